//! Stories about requests: asked, listed, reviewed, edited, cancelled. The world is in `common`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use common::{Client, Receiver, acme};
use fakehub::{Actor, Config, Effect, Outcome, Review, TokenSpec};
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
