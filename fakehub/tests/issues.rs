//! Stories about issues: what the App writes, what people and other Apps answer, and what is told of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::Duration;

use common::{Answer, Client, Receiver, acme};
use fakehub::{Access, Config, Fakehub, Fault, Repo};
use reqwest::Method;
use serde_json::{Value, json};

const ISSUES: &str = "/repos/acme/reviews/issues";

/// `acme` with the private repository `reviews`, an App that asks by issue, and somebody who takes its webhooks.
async fn reviews() -> (Fakehub, Client, Receiver) {
    let (hub, _) = acme(Config::default().asks_by_issue()).await;
    hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("reviews").file("README.md", "x"));
    });
    let receiver = Receiver::start().await;
    hub.set_webhook_url(&receiver.url);
    let installation = hub.install("acme").unwrap();
    let client = Client::installed(&hub, installation).await;
    (hub, client, receiver)
}

async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    client.try_send(Method::PATCH, path, Some(body)).await.unwrap()
}

/// Events of issues that came, with their action.
async fn heard(hub: &Fakehub, receiver: &Receiver) -> Vec<String> {
    hub.webhooks_sent().await;
    let of = |hook: &common::Webhook| hook.header("x-github-event").to_owned();
    let hooks = receiver.got();
    let about = hooks.iter().filter(|hook| of(hook).starts_with("issue"));
    about.map(|hook| format!("{}.{}", of(hook), hook.action())).collect()
}

#[tokio::test]
async fn the_app_asks_a_person_answers_and_the_issue_is_closed() {
    let (hub, client, receiver) = reviews().await;
    let asked = client.post(ISSUES, json!({ "title": "kim asks", "body": "May she?" })).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    assert_eq!(asked.body["number"], 1);
    assert_eq!(asked.body["user"]["login"], "patwarden[bot]");
    assert_eq!(asked.body["user"]["type"], "Bot");
    assert_eq!(asked.body["performed_via_github_app"]["id"], hub.app().id);
    let said = hub.comment("acme", "reviews", 1, "olga", "/approve").unwrap();
    let comments = client.get(&format!("{ISSUES}/1/comments")).await.body;
    assert_eq!(comments[0]["id"], said.id);
    assert_eq!(comments[0]["user"]["type"], "User");
    assert_eq!(comments[0]["performed_via_github_app"], Value::Null);
    let answer = client.post(&format!("{ISSUES}/1/comments"), json!({ "body": "Done." })).await;
    assert_eq!(answer.status, 201);
    let own = format!("/repos/acme/reviews/issues/comments/{}", answer.body["id"]);
    assert_eq!(patch(&client, &own, json!({ "body": "Done!" })).await.body["body"], "Done!");
    let closed = json!({ "title": "kim asked", "state": "closed", "state_reason": "completed" });
    let closed = patch(&client, &format!("{ISSUES}/1"), closed).await.body;
    assert_eq!((&closed["state"], &closed["comments"]), (&json!("closed"), &json!(2)));
    assert_eq!(closed["closed_by"]["login"], "patwarden[bot]");
    assert_eq!(
        heard(&hub, &receiver).await,
        [
            "issues.opened",
            "issue_comment.created",
            "issue_comment.created",
            "issue_comment.edited",
            "issues.edited",
            "issues.closed"
        ]
    );
    let hooks = receiver.got();
    let person = hooks.iter().find(|hook| hook.action() == "created").unwrap().json();
    assert_eq!(person["sender"]["login"], "olga");
    assert_eq!(person["comment"]["body"], "/approve");
    assert_eq!(person["issue"]["number"], 1);
    let edited = hooks.iter().find(|hook| hook.action() == "edited").unwrap().json();
    assert_eq!(edited["changes"]["body"]["from"], "Done.");
    let deleted = client.try_send(Method::DELETE, &own, None).await.unwrap();
    assert_eq!(deleted.status, 204);
    assert_eq!(hub.issues("acme", "reviews")[0].comments.len(), 1);
}

#[tokio::test]
async fn what_is_too_long_or_missing_is_refused() {
    let (_hub, client, _) = reviews().await;
    let ask = |body: Value| {
        let client = client.clone();
        async move { client.post(ISSUES, body).await.status }
    };
    assert_eq!(ask(json!({ "title": "t", "body": "ä".repeat(65_536) })).await, 201);
    assert_eq!(ask(json!({ "title": "t", "body": "ä".repeat(65_537) })).await, 422);
    assert_eq!(ask(json!({ "title": "ä".repeat(256) })).await, 201);
    assert_eq!(ask(json!({ "title": "ä".repeat(257) })).await, 422);
    assert_eq!(ask(json!({ "title": " " })).await, 422);
    assert_eq!(ask(json!({ "body": "no title" })).await, 422);
    let comments = format!("{ISSUES}/1/comments");
    assert_eq!(client.post(&comments, json!({ "body": "x".repeat(65_537) })).await.status, 422);
    assert_eq!(client.post(&comments, json!({ "body": "\n" })).await.status, 422);
    let wrong = json!({ "state": "done" });
    assert_eq!(patch(&client, &format!("{ISSUES}/1"), wrong).await.status, 422);
}

#[tokio::test]
async fn a_list_has_pull_requests_too_and_is_filtered_sorted_and_paged() {
    let (hub, client, _) = reviews().await;
    hub.open_issue("acme", "reviews", "kim", "Mine", "").unwrap();
    client.post(ISSUES, json!({ "title": "Ours", "labels": ["review"] })).await;
    let changes = [("a", Some("b"))];
    hub.open_pull_request("acme", "reviews", "kim", "a", "A pull request", changes).unwrap();
    let all = |query: &str| {
        let (client, path) = (client.clone(), format!("{ISSUES}?{query}"));
        async move { client.get(&path).await }
    };
    let numbers = |answer: &Answer| -> Vec<u64> {
        answer.body.as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()).collect()
    };
    let found = all("state=all").await;
    assert_eq!(numbers(&found), [3, 2, 1], "they share their numbers");
    assert!(found.body[0].get("pull_request").is_some());
    assert!(found.body[1].get("pull_request").is_none());
    assert_eq!(numbers(&all("creator=patwarden%5Bbot%5D").await), [2]);
    assert_eq!(numbers(&all("creator=other%5Bbot%5D").await), [0_u64; 0]);
    assert_eq!(all("creator=nobody-at-all").await.status, 422);
    assert_eq!(numbers(&all("labels=Review").await), [2]);
    hub.close_issue("acme", "reviews", 1, "kim").unwrap();
    assert_eq!(numbers(&all("direction=asc").await), [2, 3]);
    assert_eq!(numbers(&all("state=closed").await), [1]);
    let page = all("state=all&per_page=2").await;
    assert!(page.link("next").unwrap().contains("page=2"));
    // What was touched since, and not what was made since.
    hub.advance(Duration::from_secs(60));
    let since = hub.now().to_string();
    hub.comment("acme", "reviews", 1, "lee", "late").unwrap();
    assert_eq!(numbers(&all(&format!("state=all&since={since}")).await), [1]);
    let comments = client.get(&format!("{ISSUES}/1/comments?since={since}")).await;
    assert_eq!(comments.body.as_array().unwrap().len(), 1);
    hub.advance(Duration::from_secs(60));
    let later = hub.now().to_string();
    let comments = client.get(&format!("{ISSUES}/1/comments?since={later}")).await;
    assert_eq!(comments.body, json!([]));
    hub.edit_comment(
        "acme",
        "reviews",
        hub.issues("acme", "reviews")[0].comments[0].id,
        "lee",
        "x",
    )
    .unwrap();
    let comments = client.get(&format!("{ISSUES}/1/comments?since={later}")).await;
    assert_eq!(comments.body.as_array().unwrap().len(), 1, "an edit counts as well");
}

#[tokio::test]
async fn who_wrote_and_through_what_can_be_told_apart() {
    let (hub, client, _) = reviews().await;
    client.post(ISSUES, json!({ "title": "Ours" })).await;
    hub.comment("acme", "reviews", 1, "kim", "I").unwrap();
    hub.comment_through_app("acme", "reviews", 1, "chat", Some("kim"), "I, from afar").unwrap();
    hub.comment_through_app("acme", "reviews", 1, "chat", None, "beep").unwrap();
    let said = client.get(&format!("{ISSUES}/1/comments")).await.body;
    let author = |at: usize| {
        let one = &said[at];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let via = text(&one["performed_via_github_app"]["slug"]);
        (text(&one["user"]["login"]), text(&one["user"]["type"]), via)
    };
    let expected = |login: &str, kind: &str, via: &str| (login.into(), kind.into(), via.into());
    assert_eq!(author(0), expected("kim", "User", ""));
    assert_eq!(author(1), expected("kim", "User", "chat"));
    assert_eq!(author(2), expected("chat[bot]", "Bot", "chat"));
    let id = &said[0]["user"]["id"];
    hub.world(|world| world.rename_user("kim", "kimberly"));
    let said = client.get(&format!("{ISSUES}/1/comments")).await.body;
    assert_eq!(said[0]["user"]["login"], "kimberly");
    assert_eq!(&said[0]["user"]["id"], id);
}

#[tokio::test]
async fn people_do_what_their_role_lets_them() {
    let (hub, client, receiver) = reviews().await;
    client.post(ISSUES, json!({ "title": "Ours" })).await;
    assert!(hub.comment("acme", "reviews", 1, "mallory", "let me in").is_err(), "it is private");
    let said = hub.comment("acme", "reviews", 1, "kim", "/approve").unwrap().id;
    assert!(hub.edit_comment("acme", "reviews", said, "lee", "/deny").is_err(), "not hers");
    hub.set_collaborator("acme", "reviews", "lee", Some(Access::Write)).unwrap();
    hub.edit_comment("acme", "reviews", said, "lee", "/deny no").unwrap();
    assert!(hub.close_issue("acme", "reviews", 1, "ada").is_err());
    hub.close_issue("acme", "reviews", 1, "lee").unwrap();
    hub.reopen_issue("acme", "reviews", 1, "lee").unwrap();
    hub.lock_issue("acme", "reviews", 1, "lee", true).unwrap();
    assert!(hub.comment("acme", "reviews", 1, "ada", "hello").is_err(), "it is locked");
    let refused = client.post(&format!("{ISSUES}/1/comments"), json!({ "body": "x" })).await;
    assert_eq!(refused.status, 403, "for the App as well");
    hub.lock_issue("acme", "reviews", 1, "lee", false).unwrap();
    hub.delete_comment("acme", "reviews", said, "kim").unwrap();
    assert!(hub.delete_issue("acme", "reviews", 1, "lee").is_err());
    hub.delete_issue("acme", "reviews", 1, "olga").unwrap();
    assert_eq!(client.get(&format!("{ISSUES}/1")).await.status, 410);
    assert_eq!(client.post(ISSUES, json!({ "title": "Anew" })).await.body["number"], 2);
    assert_eq!(
        heard(&hub, &receiver).await,
        [
            "issues.opened",
            "issue_comment.created",
            "issue_comment.edited",
            "issues.closed",
            "issues.reopened",
            "issues.locked",
            "issues.unlocked",
            "issue_comment.deleted",
            "issues.deleted",
            "issues.opened"
        ]
    );
}

#[tokio::test]
async fn a_moved_issue_is_found_where_it_is() {
    let (hub, client, receiver) = reviews().await;
    client.post(ISSUES, json!({ "title": "Ours" })).await;
    hub.comment("acme", "reviews", 1, "kim", "stays with it").unwrap();
    let number = hub.transfer_issue("acme", "reviews", 1, "olga", "web").unwrap();
    let moved = client.get(&format!("{ISSUES}/1")).await;
    assert_eq!(moved.body["repository_url"], format!("{}/repos/acme/web", client.base));
    assert_eq!((&moved.body["number"], &moved.body["comments"]), (&json!(number), &json!(1)));
    assert_eq!(client.get(ISSUES).await.body, json!([]));
    assert!(heard(&hub, &receiver).await.contains(&"issues.transferred".to_owned()));
    let told = receiver.got().last().unwrap().json();
    assert_eq!(told["changes"]["new_repository"]["name"], "web");
}

#[tokio::test]
async fn an_assignee_must_see_the_repository() {
    let (hub, client, receiver) = reviews().await;
    client.post(ISSUES, json!({ "title": "Ours" })).await;
    hub.world(|world| world.add_user("stranger").id);
    let wanted = json!({ "assignees": ["kim", "stranger"] });
    let answer = client.post(&format!("{ISSUES}/1/assignees"), wanted).await;
    assert_eq!(answer.status, 201);
    assert_eq!(hub.issues("acme", "reviews")[0].assignees, ["kim"]);
    assert_eq!(heard(&hub, &receiver).await, ["issues.opened", "issues.assigned"]);
}

#[tokio::test]
async fn where_there_are_no_issues_or_none_may_be_written_it_says_so() {
    let (hub, client, _) = reviews().await;
    hub.set_issues("acme", "reviews", false).unwrap();
    assert_eq!(client.post(ISSUES, json!({ "title": "x" })).await.status, 410);
    assert_eq!(client.get(ISSUES).await.status, 410);
    hub.set_issues("acme", "reviews", true).unwrap();
    hub.archive("acme", "reviews", true).unwrap();
    assert_eq!(client.post(ISSUES, json!({ "title": "x" })).await.status, 403);
    let lacking = hub.install_with("acme", [("metadata", "read")]).unwrap();
    let client = Client::installed(&hub, lacking).await;
    let refused = client.post(ISSUES, json!({ "title": "x" })).await;
    assert_eq!(refused.header("x-accepted-github-permissions"), Some("issues=write"));
    assert_eq!(client.get(ISSUES).await.status, 403);
}

#[tokio::test]
async fn a_lost_answer_leaves_the_issue_and_an_unheard_app_hears_nothing() {
    let (hub, client, receiver) = reviews().await;
    hub.fault(Fault::on("issues/create").cut().after_effect().times(1));
    let lost = client.try_send(Method::POST, ISSUES, Some(json!({ "title": "x" }))).await;
    assert!(lost.is_err());
    assert_eq!(hub.issues("acme", "reviews").len(), 1);
    assert_eq!(heard(&hub, &receiver).await, ["issues.opened"]);
    hub.install_with("acme", [("issues", "write")]).unwrap();
    hub.change_app([("issues", "write")], ["issues"]);
    hub.comment("acme", "reviews", 1, "kim", "unheard").unwrap();
    assert_eq!(heard(&hub, &receiver).await, ["issues.opened"]);
}
