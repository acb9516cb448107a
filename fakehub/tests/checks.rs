//! Stories about pull requests and what the App writes on them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use common::{Client, Receiver, acme};
use fakehub::{Changes, Config, Fakehub, Head, Repo, Visibility};
use reqwest::Method;
use serde_json::{Value, json};

const OPEN: [(&str, Option<&str>); 1] = [("rules.toml", Some("schema = 2\n"))];

/// `acme` with the repository `policy`, an App that may write checks, and somebody who takes its webhooks.
async fn policy() -> (Fakehub, Client, Receiver) {
    let (hub, _) = acme(Config::default().rules_in_a_repository()).await;
    hub.world(|world| {
        let files = "a = 1\nb = 2\nc = 3\n";
        let repo =
            Repo::private("policy").file("rules.toml", "schema = 1\n").file("old.toml", files);
        world.add_organization("acme").repository(repo);
    });
    let receiver = Receiver::start().await;
    hub.set_webhook_url(&receiver.url);
    let installation = hub.install("acme").unwrap();
    let client = Client::installed(&hub, installation).await;
    (hub, client, receiver)
}

/// Events and actions that came since the App was installed.
async fn heard(hub: &Fakehub, receiver: &Receiver) -> Vec<String> {
    hub.webhooks_sent().await;
    let hooks = receiver.got();
    let names = hooks.iter().map(|hook| match hook.action().as_str() {
        "" => hook.header("x-github-event").to_owned(),
        action => format!("{}.{action}", hook.header("x-github-event")),
    });
    names.filter(|name| !name.starts_with("installation")).collect()
}

async fn write(client: &Client, body: Value) -> (u16, Value) {
    let answer = client.post("/repos/acme/policy/check-runs", body).await;
    (answer.status, answer.body)
}

async fn patch(client: &Client, id: &Value, body: Value) -> (u16, Value) {
    let path = format!("/repos/acme/policy/check-runs/{id}");
    let answer = client.try_send(Method::PATCH, &path, Some(body)).await.unwrap();
    (answer.status, answer.body)
}

fn note(line: u64) -> Value {
    json!({ "path": "rules.toml", "start_line": line, "end_line": line, "annotation_level": "failure", "message": "no" })
}

#[tokio::test]
async fn a_pull_request_is_opened_pushed_to_and_merged() {
    let (hub, client, receiver) = policy().await;
    let pull = hub.open_pull_request("acme", "policy", "kim", "looser", "Looser", OPEN).unwrap();
    let listed = client.get("/repos/acme/policy/pulls").await.body;
    assert_eq!(listed[0]["head"]["sha"], pull.head_sha.as_str());
    assert_eq!(listed[0]["head"]["label"], "acme:looser");
    let sha = hub
        .push_to_pull_request(
            "acme",
            "policy",
            pull.number,
            "Move",
            Changes::new().rename("old.toml", "new.toml"),
        )
        .unwrap();
    let files = client.get("/repos/acme/policy/pulls/1/files").await.body;
    let shown = |at: usize| (files[at]["filename"].clone(), files[at]["status"].clone());
    assert_eq!(shown(0), (json!("new.toml"), json!("renamed")));
    assert_eq!(files[0]["previous_filename"], "old.toml");
    assert_eq!(shown(1), (json!("rules.toml"), json!("modified")));
    let one = client.get("/repos/acme/policy/pulls/1/files?per_page=1").await;
    assert!(one.link("next").unwrap().contains("page=2"));
    let merged = hub.merge_pull_request("acme", "policy", 1, "olga").unwrap();
    assert_eq!(hub.sha("acme", "policy", "main"), Some(merged));
    let now = client.get("/repos/acme/policy/pulls/1").await.body;
    assert_eq!((&now["state"], &now["merged"]), (&json!("closed"), &json!(true)));
    assert_eq!(client.get("/repos/acme/policy/pulls").await.body, json!([]));
    assert_eq!(client.get("/repos/acme/policy/pulls?state=all").await.ids(), [pull.id]);
    assert_eq!(
        heard(&hub, &receiver).await,
        [
            "push",
            "check_suite.requested",
            "pull_request.opened",
            "push",
            "check_suite.requested",
            "pull_request.synchronize",
            "push",
            "check_suite.requested",
            "pull_request.closed"
        ]
    );
    let hooks = receiver.got();
    let last = hooks.last().unwrap().json();
    assert_eq!(last["pull_request"]["merged"], true);
    let synchronized = hooks.iter().find(|hook| hook.action() == "synchronize").unwrap().json();
    assert_eq!(
        (&synchronized["before"], &synchronized["after"]),
        (&json!(pull.head_sha), &json!(sha))
    );
    let push = hooks.iter().rfind(|hook| hook.header("x-github-event") == "push").unwrap().json();
    assert_eq!(push["ref"], "refs/heads/main");
    assert_eq!(push["commits"].as_array().unwrap().len(), 3, "two and the merge");
}

#[tokio::test]
async fn a_fork_pushes_nothing_here_and_its_commits_can_be_read() {
    let (hub, client, receiver) = policy().await;
    hub.set_visibility("acme", "policy", Visibility::Public).unwrap();
    let head = Head::Fork("patch-1".into());
    let pull = hub.open_pull_request("acme", "policy", "mallory", head, "Mine", OPEN).unwrap();
    let shown = client.get("/repos/acme/policy/pulls/1").await.body;
    assert_eq!(shown["head"]["repo"]["full_name"], "mallory/policy");
    assert_eq!(shown["author_association"], "NONE");
    let at = format!("/repos/acme/policy/contents/rules.toml?ref={}", pull.head_sha);
    assert_eq!(client.get(&at).await.status, 200);
    let by_name = "/repos/acme/policy/contents/rules.toml?ref=refs/pull/1/head";
    assert_eq!(client.get(by_name).await.body["sha"], client.get(&at).await.body["sha"]);
    assert_eq!(client.get("/repos/acme/policy/branches/patch-1").await.status, 404);
    hub.push_to_pull_request("acme", "policy", 1, "More", [("more", Some(""))]).unwrap();
    hub.close_pull_request("acme", "policy", 1, "olga").unwrap();
    hub.reopen_pull_request("acme", "policy", 1, "mallory").unwrap();
    assert_eq!(
        heard(&hub, &receiver).await,
        [
            "repository.publicized",
            "pull_request.opened",
            "pull_request.synchronize",
            "pull_request.closed",
            "pull_request.reopened"
        ]
    );
}

#[tokio::test]
async fn both_sides_of_a_conflict_are_kept_apart() {
    let (hub, _, _) = policy().await;
    hub.open_pull_request("acme", "policy", "kim", "a", "A", OPEN).unwrap();
    let other = [("rules.toml", Some("schema = 9\n"))];
    hub.commit("acme", "policy", "main", "olga", "Nine", other).unwrap();
    assert!(hub.merge_pull_request("acme", "policy", 1, "olga").is_err());
}

#[tokio::test]
async fn a_check_run_grows_and_ends() {
    let (hub, client, receiver) = policy().await;
    let pull = hub.open_pull_request("acme", "policy", "kim", "a", "A", OPEN).unwrap();
    let fifty: Vec<Value> = (1..=50).map(note).collect();
    let output = json!({ "title": "t", "summary": "s".repeat(65_535), "annotations": fifty });
    let (status, run) =
        write(&client, json!({ "name": "rules", "head_sha": pull.head_sha, "output": output }))
            .await;
    assert_eq!((status, &run["status"]), (201, &json!("queued")));
    assert_eq!(run["pull_requests"][0]["number"], 1);
    let more = json!({ "summary": "done", "annotations": [note(51)] });
    let (status, run) =
        patch(&client, &run["id"], json!({ "conclusion": "failure", "output": more })).await;
    assert_eq!((status, &run["status"]), (200, &json!("completed")));
    assert_eq!(run["output"]["annotations_count"], 51);
    assert_eq!(run["output"]["title"], "t");
    let written = hub.check_runs("acme", "policy");
    assert_eq!(written[0].conclusion.as_deref(), Some("failure"));
    assert_eq!(written[0].annotations.last().unwrap().start_line, 51);
    assert_eq!(written[0].summary.as_deref(), Some("done"));
    let path = format!("/repos/acme/policy/check-runs/{}/annotations?per_page=100", run["id"]);
    assert_eq!(client.get(&path).await.body.as_array().unwrap().len(), 51);
    hub.rerequest_check("acme", "policy", written[0].id, "kim").unwrap();
    hub.rerequest_suite("acme", "policy", &pull.head_sha, "kim").unwrap();
    let heard = heard(&hub, &receiver).await;
    let expected = [
        "check_run.created",
        "check_run.completed",
        "check_run.rerequested",
        "check_suite.rerequested",
    ];
    assert_eq!(heard[heard.len() - 4..], expected);
    let again = receiver.got().iter().find(|hook| hook.action() == "rerequested").unwrap().json();
    assert_eq!(again["check_run"]["id"], run["id"]);
    assert_eq!(again["check_run"]["check_suite"]["head_branch"], "a");
}

#[tokio::test]
async fn the_newest_run_of_a_name_is_the_latest() {
    let (hub, client, _) = policy().await;
    let sha = hub.sha("acme", "policy", "main").unwrap();
    let mut ids = Vec::new();
    for name in ["rules", "rules", "other"] {
        let body = json!({ "name": name, "head_sha": sha, "conclusion": "success" });
        ids.push(write(&client, body).await.1["id"].as_u64().unwrap());
    }
    let found = async |query: &str| {
        let body =
            client.get(&format!("/repos/acme/policy/commits/main/check-runs{query}")).await.body;
        let runs = body["check_runs"].as_array().unwrap().iter();
        runs.map(|run| run["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [ids[2], ids[1]]);
    assert_eq!(found("?filter=all&check_name=rules").await, [ids[1], ids[0]]);
    assert_eq!(found("?app_id=1").await, [0; 0]);
    assert_eq!(found(&format!("?app_id={}&status=queued", hub.app().id)).await, [0; 0]);
}

#[tokio::test]
async fn what_github_does_not_take_is_refused() {
    let (hub, client, _) = policy().await;
    let sha = hub.sha("acme", "policy", "main").unwrap();
    let with = |fields: Value| {
        let mut body = json!({ "name": "rules", "head_sha": sha });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let output = |fields: Value| {
        let mut body = json!({ "title": "t", "summary": "s" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        with(json!({ "output": body }))
    };
    let noted = |fields: Value| {
        let mut one = note(3);
        one.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        output(json!({ "annotations": [one] }))
    };
    let many: Vec<Value> = (1..=51).map(note).collect();
    for (what, body) in [
        ("no name", json!({ "head_sha": sha })),
        ("no such commit", json!({ "name": "rules", "head_sha": "0".repeat(40) })),
        ("a name instead of a sha", json!({ "name": "rules", "head_sha": "main" })),
        ("an unknown conclusion", with(json!({ "conclusion": "fine" }))),
        ("a conclusion only GitHub gives", with(json!({ "conclusion": "stale" }))),
        ("completed without a conclusion", with(json!({ "status": "completed" }))),
        ("an end without a conclusion", with(json!({ "completed_at": "2026-01-01T00:00:00Z" }))),
        ("output without a title", with(json!({ "output": { "summary": "s" } }))),
        ("a long summary", output(json!({ "summary": "s".repeat(65_536) }))),
        ("a long text", output(json!({ "text": "s".repeat(65_536) }))),
        ("51 annotations", output(json!({ "annotations": many }))),
        ("no path", noted(json!({ "path": null }))),
        ("an unknown level", noted(json!({ "annotation_level": "error" }))),
        ("the end before the start", noted(json!({ "end_line": 2 }))),
        ("columns over lines", noted(json!({ "end_line": 4, "start_column": 1, "end_column": 2 }))),
        ("a line as text", noted(json!({ "start_line": "3" }))),
        (
            "a long label",
            with(
                json!({ "actions": [{ "label": "l".repeat(21), "description": "d", "identifier": "i" }] }),
            ),
        ),
    ] {
        let (status, answer) = write(&client, body).await;
        assert_eq!(status, 422, "{what}: {answer}");
    }
    assert_eq!(hub.check_runs("acme", "policy").len(), 0);
    assert_eq!(write(&client, noted(json!({ "start_column": 1, "end_column": 2 }))).await.0, 201);
    hub.archive("acme", "policy", true).unwrap();
    assert_eq!(write(&client, with(json!({}))).await.0, 403, "archived");
    assert_eq!(patch(&client, &json!(1), json!({})).await.0, 403);
}

#[tokio::test]
async fn repositories_and_teams_are_told_of() {
    let (hub, _, receiver) = policy().await;
    hub.rename_repository("acme", "policy", "rules").unwrap();
    hub.set_visibility("acme", "rules", Visibility::Public).unwrap();
    hub.set_visibility("acme", "rules", Visibility::Private).unwrap();
    hub.archive("acme", "rules", true).unwrap();
    hub.archive("acme", "rules", false).unwrap();
    hub.commit("acme", "rules", "next", "olga", "Next", [("a", Some(""))]).unwrap();
    hub.set_default_branch("acme", "rules", "next").unwrap();
    hub.rename_team("acme", "platform", "Core Platform").unwrap();
    hub.delete_team("acme", "core-platform").unwrap();
    hub.delete_repository("acme", "rules").unwrap();
    assert_eq!(
        heard(&hub, &receiver).await,
        [
            "repository.renamed",
            "repository.publicized",
            "repository.privatized",
            "repository.archived",
            "repository.unarchived",
            "push",
            "check_suite.requested",
            "repository.edited",
            "team.edited",
            "team.deleted",
            "repository.deleted"
        ]
    );
    let hooks = receiver.got();
    let of = |action: &str| hooks.iter().find(|hook| hook.action() == action).unwrap().json();
    assert_eq!(of("renamed")["changes"]["repository"]["name"]["from"], "policy");
    let edited = hooks
        .iter()
        .find(|hook| hook.header("x-github-event") == "repository" && hook.action() == "edited");
    assert_eq!(edited.unwrap().json()["changes"]["default_branch"]["from"], "main");
    let before = of("deleted")["team"]["id"].clone();
    hub.world(|world| {
        world.add_organization("acme").team("core-platform", ["mallory"]);
        let taken = world.organization("acme").unwrap().teams["core-platform"].id;
        assert_ne!(json!(taken), before, "the slug is the same, the team is not");
    });
}

#[tokio::test]
async fn an_app_hears_only_what_it_subscribed_to_may_read_and_was_given() {
    let (hub, _, receiver) = policy().await;
    let commit = |repository: &str, text: &str| {
        hub.commit("acme", repository, "main", "olga", "x", [("a", Some(text))]).unwrap();
    };
    hub.choose_repositories("acme", Some(&["web"])).unwrap();
    commit("policy", "1");
    assert_eq!(heard(&hub, &receiver).await, [""; 0], "it was not given this repository");
    commit("web", "1");
    assert_eq!(heard(&hub, &receiver).await, ["push", "check_suite.requested"]);
    hub.install_with("acme", [("metadata", "read"), ("checks", "read")]).unwrap();
    commit("web", "2");
    assert_eq!(heard(&hub, &receiver).await.len(), 3, "without `contents` no push");
    hub.change_app([("checks", "write")], [""; 0]);
    commit("web", "3");
    assert_eq!(heard(&hub, &receiver).await.len(), 3, "no longer subscribed");
}
