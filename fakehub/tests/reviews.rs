//! Stories about requests: asked, listed, reviewed, edited, cancelled. The world is in `common`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::Duration;

use common::{Client, Receiver, acme};
use fakehub::{
    Actor, Config, EditedRequest, Effect, Outcome, RepositoryChoice, Review, SettledReview,
    StaleBulk, TokenSpec,
};
use serde_json::json;

fn ci() -> TokenSpec {
    TokenSpec::by("kim")
        .named("ci-build")
        .on(["web", "api"])
        .repository_permission("contents", "read")
        .because("CHG-1")
}

#[tokio::test]
async fn a_request_is_listed_reviewed_and_becomes_a_grant() {
    let receiver = Receiver::start().await;
    let (hub, installation) = acme(Config::default().webhook_url(&receiver.url)).await;
    let asked = hub.request_token("acme", ci()).unwrap();
    let client = Client::installed(&hub, installation).await;

    let listed = client.get("/orgs/ACME/personal-access-token-requests").await;
    assert_eq!(listed.status, 200);
    let row = &listed.body[0];
    assert_eq!(row["id"], asked.request_id);
    assert_eq!(row["token_id"], asked.token_id);
    assert_eq!(row["reason"], "CHG-1");
    assert_eq!(
        row["permissions"],
        json!({ "repository": { "contents": "read", "metadata": "read" } })
    );
    let repositories = client.get(row["repositories_url"].as_str().unwrap()).await;
    assert_eq!(repositories.body.as_array().unwrap().len(), 2);

    let reviewed =
        client.review(asked.request_id, json!({ "action": "approve", "reason": "fine" })).await;
    assert_eq!(reviewed.status, 204);
    let Outcome::Approved { by, reason, grant_id, .. } = hub.outcome(asked.request_id) else {
        unreachable!("approved above");
    };
    assert_eq!((by, reason.as_deref()), (Actor::App, Some("fine")));
    assert!(grant_id != asked.request_id && grant_id != asked.token_id);
    let grants = client.get("/orgs/acme/personal-access-tokens").await;
    assert_eq!(grants.ids(), [grant_id]);
    let repositories =
        client.get(&format!("/orgs/acme/personal-access-tokens/{grant_id}/repositories")).await;
    assert_eq!(repositories.body.as_array().unwrap().len(), 2);

    // Once settled, a second review has no effect, and says so.
    let again = client.review(asked.request_id, json!({ "action": "deny" })).await;
    assert_eq!(again.status, 404);
    let effects: Vec<Effect> =
        hub.reviews(asked.request_id).iter().map(|review| review.effect).collect();
    assert_eq!(effects, [Effect::Applied, Effect::AlreadySettled]);

    hub.webhooks_sent().await;
    assert_eq!(receiver.actions(), ["created", "approved"]);
    let approved = receiver.got().pop().unwrap().json();
    assert_eq!(approved["sender"]["login"], "patwarden[bot]");
    assert_eq!(approved["sender"]["type"], "Bot");
    hub.shutdown().await;
}

#[tokio::test]
async fn a_person_denies_with_a_reason() {
    let (hub, _) = acme(Config::default()).await;
    let asked = hub.request_token("acme", ci()).unwrap();
    assert!(hub.review_as("kim", asked.request_id, Review::Approve).is_err(), "kim is no owner");
    hub.review_as("olga", asked.request_id, Review::deny("not today")).unwrap();
    assert_eq!(hub.outcome(asked.request_id).reason(), Some("not today"));
    assert_eq!(hub.outcome(asked.request_id).by(), Some(&Actor::Person("olga".into())));
    assert!(hub.grants("acme").is_empty());
}

#[tokio::test]
async fn reviews_github_would_not_take_are_refused_and_change_nothing() {
    let (hub, installation) = acme(Config::default()).await;
    let asked = hub.request_token("acme", ci()).unwrap();
    let client = Client::installed(&hub, installation).await;
    let refused = [
        json!({}),
        json!({ "decision": "approve" }),
        json!({ "action": "accept" }),
        json!({ "action": "approve", "reason": "x".repeat(1_025) }),
        json!({ "action": "approve", "reason": 7 }),
    ];
    for body in refused {
        assert_eq!(client.review(asked.request_id, body.clone()).await.status, 422, "{body}");
    }
    assert_eq!(hub.outcome(asked.request_id), Outcome::Pending);
    assert!(hub.reviews(asked.request_id).is_empty());
    assert_eq!(client.review(999, json!({ "action": "deny" })).await.status, 404);
    // Characters, not bytes.
    let longest = json!({ "action": "deny", "reason": "ü".repeat(1_024) });
    assert_eq!(client.review(asked.request_id, longest).await.status, 204);
}

#[tokio::test]
async fn a_bulk_review_takes_effect_a_while_after_its_answer() {
    let (hub, installation) = acme(Config::default()).await;
    let ids: Vec<u64> =
        (0..3).map(|_| hub.request_token("acme", ci()).unwrap().request_id).collect();
    let client = Client::installed(&hub, installation).await;
    let path = "/orgs/acme/personal-access-token-requests";
    let answer = client
        .post(path, json!({ "pat_request_ids": ids, "action": "approve", "reason": "all" }))
        .await;
    assert_eq!((answer.status, answer.body), (202, json!({})));
    assert_eq!(hub.outcome(ids[0]), Outcome::Pending, "not yet");
    for id in &ids {
        assert!(hub.settled(*id, Duration::from_secs(5)).await.is_approved());
        assert!(hub.reviews(*id)[0].bulk);
    }
    assert_eq!(hub.grants("acme").len(), 3);
}

#[tokio::test]
async fn a_bulk_review_holds_at_most_a_hundred_ids() {
    let (hub, installation) = acme(Config::default()).await;
    let asked = hub.request_token("acme", ci()).unwrap();
    let client = Client::installed(&hub, installation).await;
    let path = "/orgs/acme/personal-access-token-requests";
    let many: Vec<u64> = vec![asked.request_id; 101];
    for ids in [json!(many), json!([]), json!("1"), json!(["1"])] {
        assert_eq!(
            client.post(path, json!({ "pat_request_ids": ids, "action": "deny" })).await.status,
            422
        );
    }
    assert_eq!(client.post(path, json!({ "action": "deny" })).await.status, 422);
    let grants = "/orgs/acme/personal-access-tokens";
    assert_eq!(
        client.post(grants, json!({ "pat_ids": many, "action": "revoke" })).await.status,
        422
    );
    assert_eq!(client.post(grants, json!({ "pat_ids": [1] })).await.status, 422, "no action");
}

#[tokio::test]
async fn a_stale_id_in_a_bulk_call_has_two_answers() {
    for (switch, status) in [(StaleBulk::FailsWhole, 422), (StaleBulk::Partial, 202)] {
        let (hub, installation) = acme(Config::default()).await;
        hub.switches(|switches| switches.stale_bulk = switch);
        let good = hub.request_token("acme", ci()).unwrap().request_id;
        let stale = hub.request_token("acme", ci()).unwrap().request_id;
        hub.review_as("olga", stale, Review::Approve).unwrap();
        let client = Client::installed(&hub, installation).await;
        let body = json!({ "pat_request_ids": [good, stale], "action": "deny" });
        let answer = client.post("/orgs/acme/personal-access-token-requests", body).await;
        assert_eq!(answer.status, status);
        let outcome = hub.settled(good, Duration::from_millis(600)).await;
        assert_eq!(outcome.is_denied(), switch == StaleBulk::Partial);
        assert!(hub.outcome(stale).is_approved());
    }
}

#[tokio::test]
async fn a_settled_id_has_two_answers() {
    for (switch, status) in [(SettledReview::NotFound, 404), (SettledReview::Unprocessable, 422)] {
        let (hub, installation) = acme(Config::default()).await;
        hub.switches(|switches| switches.settled_review = switch);
        let asked = hub.request_token("acme", ci()).unwrap();
        hub.cancel_request(asked.request_id).unwrap();
        let client = Client::installed(&hub, installation).await;
        assert_eq!(
            client.review(asked.request_id, json!({ "action": "approve" })).await.status,
            status
        );
        assert!(matches!(hub.outcome(asked.request_id), Outcome::Cancelled { .. }));
    }
}

#[tokio::test]
async fn an_edited_token_asks_again_and_keeps_its_grant_until_then() {
    let receiver = Receiver::start().await;
    let (hub, _) = acme(Config::default().webhook_url(&receiver.url)).await;
    let first = hub.request_token("acme", ci()).unwrap();
    hub.review_as("olga", first.request_id, Review::Approve).unwrap();
    let second = hub
        .edit_token(first.token_id, |spec| {
            spec.repository_permission("contents", "write").repository_permission("issues", "read")
        })
        .unwrap();
    assert_ne!(second.request_id, first.request_id);
    assert_eq!(second.token_id, first.token_id);
    let before = hub.grants("acme");
    assert_eq!(before[0].permissions.repository["contents"], "read", "the old grant stays");

    hub.webhooks_sent().await;
    let created = receiver.got().pop().unwrap().json();
    let request = &created["personal_access_token_request"];
    assert_eq!(request["permissions_added"], json!({ "repository": { "issues": "read" } }));
    assert_eq!(request["permissions_upgraded"], json!({ "repository": { "contents": "write" } }));
    assert_eq!(
        request["permissions_result"],
        json!({ "repository": { "contents": "write", "issues": "read", "metadata": "read" } })
    );

    hub.review_as("olga", second.request_id, Review::Approve).unwrap();
    let after = hub.grants("acme");
    assert_eq!((after.len(), after[0].id), (1, before[0].id), "the same grant, in a new shape");
    assert_eq!(after[0].permissions.repository["contents"], "write");
}

#[tokio::test]
async fn editing_a_waiting_request_has_three_answers() {
    for (switch, actions) in [
        (EditedRequest::SameIdSilently, &["created"][..]),
        (EditedRequest::SameIdCreatedAgain, &["created", "created"]),
        (EditedRequest::CancelledThenCreated, &["created", "cancelled", "created"]),
    ] {
        let receiver = Receiver::start().await;
        let (hub, _) = acme(Config::default().webhook_url(&receiver.url)).await;
        hub.switches(|switches| switches.edited_request = switch);
        let asked = hub.request_token("acme", ci()).unwrap();
        let edited = hub.edit_request(asked.request_id, |spec| spec.on_all()).unwrap();
        assert_eq!(
            edited.request_id == asked.request_id,
            switch != EditedRequest::CancelledThenCreated
        );
        assert_eq!(hub.asked(edited.request_id).unwrap().repositories, RepositoryChoice::All);
        hub.webhooks_sent().await;
        assert_eq!(receiver.actions(), actions);
    }
}

#[tokio::test]
async fn an_owner_s_own_token_needs_nobody() {
    for sends in [true, false] {
        let receiver = Receiver::start().await;
        let (hub, installation) = acme(Config::default().webhook_url(&receiver.url)).await;
        hub.switches(|switches| switches.owner_token_sends_approved = sends);
        let asked = hub.request_token("acme", TokenSpec::by("olga").on_all()).unwrap();
        assert_eq!(hub.outcome(asked.request_id).by(), Some(&Actor::GitHub));
        assert_eq!(hub.grants("acme")[0].id, asked.grant_id.unwrap());
        let client = Client::installed(&hub, installation).await;
        assert!(client.get("/orgs/acme/personal-access-token-requests").await.ids().is_empty());
        hub.webhooks_sent().await;
        let expected: &[&str] = if sends { &["approved"] } else { &[] };
        assert_eq!(receiver.actions(), expected, "never a `created`");
    }
}

#[tokio::test]
async fn a_member_who_leaves_takes_tokens_along() {
    let receiver = Receiver::start().await;
    let (hub, installation) = acme(Config::default().webhook_url(&receiver.url)).await;
    let waiting = hub.request_token("acme", ci()).unwrap();
    hub.grant_token("acme", ci()).unwrap();
    hub.remove_member("acme", "kim").unwrap();
    assert!(matches!(hub.outcome(waiting.request_id), Outcome::Cancelled { .. }));
    assert!(hub.grants("acme").is_empty());
    let client = Client::installed(&hub, installation).await;
    assert_eq!(client.get("/orgs/acme/memberships/kim").await.status, 404);
    hub.webhooks_sent().await;
    assert_eq!(receiver.got().pop().unwrap().header("x-github-event"), "organization");
}

#[tokio::test]
async fn revoking_one_and_many() {
    let (hub, installation) = acme(Config::default()).await;
    let grants: Vec<u64> =
        (0..4).map(|_| hub.grant_token("acme", ci()).unwrap().grant_id.unwrap()).collect();
    let client = Client::installed(&hub, installation).await;
    let one = format!("/orgs/acme/personal-access-tokens/{}", grants[0]);
    assert_eq!(client.post(&one, json!({ "action": "delete" })).await.status, 422);
    assert_eq!(client.post(&one, json!({ "action": "revoke" })).await.status, 204);
    assert_eq!(client.post(&one, json!({ "action": "revoke" })).await.status, 404);
    let body = json!({ "action": "revoke", "pat_ids": [grants[1], grants[2]] });
    assert_eq!(client.post("/orgs/acme/personal-access-tokens", body).await.status, 202);
    assert_eq!(hub.grants("acme").len(), 3, "not yet");
    for _ in 0..500 {
        if hub.grants("acme").len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(hub.grants("acme")[0].id, grants[3]);
    assert_eq!(hub.revocations("acme").len(), 3);
}
