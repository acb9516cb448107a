//! Stories about webhooks: signed, recorded, redelivered, lost, doubled and out of order.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::Duration;

use common::{Client, Receiver, acme};
use fakehub::{AppSender, Config, ContentType, Fakehub, Review, TokenSpec, signature};
use serde_json::{Value, json};

fn ask(hub: &Fakehub) -> u64 {
    hub.request_token(
        "acme",
        TokenSpec::by("kim").on(["web", "api"]).repository_permission("contents", "read"),
    )
    .unwrap()
    .request_id
}

async fn scene() -> (Fakehub, Receiver, u64) {
    let receiver = Receiver::start().await;
    let (hub, installation) = acme(Config::default()).await;
    hub.set_webhook_url(&receiver.url);
    (hub, receiver, installation)
}

#[test]
fn the_signature_is_the_one_github_documents() {
    assert_eq!(
        signature("It's a Secret to Everybody", b"Hello, World!"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
}

#[tokio::test]
async fn a_delivery_is_signed_and_has_github_s_headers() {
    let (hub, receiver, installation) = scene().await;
    ask(&hub);
    hub.webhooks_sent().await;
    let got = &receiver.got()[0];
    assert_eq!(got.header("x-hub-signature-256"), signature(&hub.app().webhook_secret, &got.raw));
    assert_eq!(got.header("x-github-event"), "personal_access_token_request");
    assert_eq!(got.header("x-github-delivery").len(), 36);
    assert_eq!(got.header("x-github-hook-installation-target-type"), "integration");
    assert_eq!(got.header("x-github-hook-installation-target-id"), hub.app().id.to_string());
    assert!(got.header("user-agent").starts_with("GitHub-Hookshot/"));
    assert!(!got.header("x-github-hook-id").is_empty());
    let body = got.json();
    assert_eq!(body["installation"]["id"], installation);
    assert!(
        body["personal_access_token_request"].get("reason").is_none(),
        "only the list has the reason"
    );
    assert!(body["organization"].get("html_url").is_none());
    let created = body["personal_access_token_request"]["created_at"].as_str().unwrap();
    assert!(created.ends_with("+02:00"), "the requester's offset: {created}");
}

#[tokio::test]
async fn repositories_are_null_unless_some_were_selected_and_may_be_cut() {
    let (hub, receiver, _) = scene().await;
    hub.request_token("acme", TokenSpec::by("kim").on_all()).unwrap();
    hub.request_token("acme", TokenSpec::by("kim").on_none()).unwrap();
    ask(&hub);
    hub.switches(|switches| {
        switches.webhook_repositories_cut = Some(1);
        switches.webhook_token_fields = false;
    });
    ask(&hub);
    hub.webhooks_sent().await;
    let requests: Vec<Value> = receiver
        .got()
        .iter()
        .map(|hook| hook.json()["personal_access_token_request"].clone())
        .collect();
    for (row, selection) in [(0, "all"), (1, "none")] {
        assert_eq!(requests[row]["repository_selection"], selection);
        assert!(requests[row].get("repositories").is_some_and(Value::is_null));
        assert!(requests[row]["repository_count"].is_null());
        assert_eq!(requests[row]["permissions_result"], json!({}));
    }
    assert_eq!(
        (&requests[2]["repository_count"], requests[2]["repositories"].as_array().unwrap().len()),
        (&json!(2), 2)
    );
    assert_eq!(
        (&requests[3]["repository_count"], requests[3]["repositories"].as_array().unwrap().len()),
        (&json!(2), 1)
    );
    assert!(requests[2].get("token_id").is_some() && requests[3].get("token_id").is_none());
}

#[tokio::test]
async fn a_failed_delivery_is_found_and_redelivered_under_its_guid() {
    let (hub, receiver, _) = scene().await;
    receiver.answer_with(503);
    ask(&hub);
    hub.webhooks_sent().await;
    let app = Client::app(&hub);
    let failed = app.get("/app/hook/deliveries?status=failure").await;
    let row = &failed.body[0];
    assert_eq!((&row["status_code"], &row["redelivery"]), (&json!(503), &json!(false)));
    assert_eq!(row["status"], "Invalid HTTP Response: 503");
    let one = app.get(&format!("/app/hook/deliveries/{}", row["id"])).await;
    assert_eq!(one.body["request"]["payload"]["action"], "created");
    assert_eq!(one.body["response"]["payload"], "taken");

    receiver.answer_with(202);
    let again = app.post(&format!("/app/hook/deliveries/{}/attempts", row["id"]), json!({})).await;
    assert_eq!(again.status, 202);
    hub.webhooks_sent().await;
    let got = receiver.got();
    assert_eq!(got[0].header("x-github-delivery"), got[1].header("x-github-delivery"));
    assert_eq!(got[0].raw, got[1].raw);
    let ok = app.get("/app/hook/deliveries?status=success").await;
    assert_eq!((&ok.body[0]["redelivery"], &ok.body[0]["guid"]), (&json!(true), &row["guid"]));
    assert_ne!(ok.body[0]["id"], row["id"], "every attempt has an id of its own");
    assert_eq!(app.post("/app/hook/deliveries/1/attempts", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_silent_is_recorded_and_nothing_is_repeated() {
    let mut config = Config::default();
    config.webhook_time_limit = Duration::from_millis(150);
    let (hub, _) = acme(config).await;
    hub.set_webhook_url("http://127.0.0.1:9/");
    ask(&hub);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    hub.webhooks_sent().await;
    hub.set_webhook_url(&format!("http://{}/", silent.local_addr().unwrap()));
    ask(&hub);
    hub.webhooks_sent().await;
    let deliveries = hub.deliveries();
    let statuses: Vec<(&str, u16)> = deliveries
        .iter()
        .map(|delivery| (delivery.status.as_str(), delivery.status_code))
        .collect();
    assert_eq!(statuses, [("failed to connect to host", 0), ("timed out", 0)]);
    // A code of 0 is neither a success nor a failure to the filter.
    let app = Client::app(&hub);
    assert_eq!(app.get("/app/hook/deliveries?status=failure").await.body, json!([]));
    assert_eq!(app.get("/app/hook/deliveries").await.body.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn deliveries_are_paged_by_cursor() {
    let (hub, _, _) = scene().await;
    for _ in 0..5 {
        ask(&hub);
    }
    hub.webhooks_sent().await;
    let app = Client::app(&hub);
    let mut page = app.get("/app/hook/deliveries?per_page=2").await;
    let mut seen = page.ids();
    while let Some(next) = page.link("next") {
        assert!(next.contains("cursor="));
        page = app.get(&next).await;
        seen.extend(page.ids());
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|one, next| one > next), "newest first");
}

#[tokio::test]
async fn bodies_may_come_as_a_form() {
    let (hub, receiver, _) = scene().await;
    let app = Client::app(&hub);
    let config = app
        .try_send(
            reqwest::Method::PATCH,
            "/app/hook/config",
            Some(json!({ "content_type": "form" })),
        )
        .await;
    let config = config.unwrap().body;
    assert_eq!((&config["content_type"], &config["secret"]), (&json!("form"), &json!("********")));
    ask(&hub);
    hub.webhooks_sent().await;
    let got = &receiver.got()[0];
    assert_eq!(got.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(got.header("x-hub-signature-256"), signature(&hub.app().webhook_secret, &got.raw));
    let (name, value) = form_urlencoded::parse(&got.raw).next().unwrap();
    assert_eq!(name, "payload");
    assert_eq!(serde_json::from_str::<Value>(&value).unwrap()["action"], "created");
    hub.set_webhook_content_type(ContentType::Json);
}

#[tokio::test]
async fn webhooks_may_be_lost_doubled_or_reversed() {
    let (hub, receiver, _) = scene().await;
    hub.drop_webhooks(true);
    let lost = ask(&hub);
    // What counts is the moment of the event, not that of its sending.
    hub.drop_webhooks(false);
    hub.webhooks_sent().await;
    assert!(receiver.got().is_empty() && hub.deliveries().is_empty());

    hub.duplicate_webhooks(true);
    hub.review_as("olga", lost, Review::Approve).unwrap();
    hub.webhooks_sent().await;
    let got = receiver.got();
    assert_eq!(receiver.actions(), ["approved", "approved"]);
    assert_eq!(got[0].header("x-github-delivery"), got[1].header("x-github-delivery"));
    hub.duplicate_webhooks(false);

    hub.reverse_webhooks(2);
    let next = ask(&hub);
    hub.cancel_request(next).unwrap();
    hub.reverse_webhooks(0);
    hub.webhooks_sent().await;
    assert_eq!(receiver.actions()[2..], ["cancelled", "created"]);

    let delay = Duration::from_millis(300);
    hub.delay_webhooks(delay);
    let began = std::time::Instant::now();
    for _ in 0..4 {
        ask(&hub);
    }
    hub.delay_webhooks(Duration::ZERO);
    hub.webhooks_sent().await;
    assert!(began.elapsed() >= delay && began.elapsed() < delay * 4, "all late, none later");
}

#[tokio::test]
async fn one_organization_s_webhooks_keep_their_order() {
    let (hub, receiver, _) = scene().await;
    let mut expected = Vec::new();
    for _ in 0..30 {
        let id = ask(&hub);
        hub.review_as("olga", id, Review::Approve).unwrap();
        expected.extend([(id, "created".to_owned()), (id, "approved".to_owned())]);
    }
    hub.webhooks_sent().await;
    let got: Vec<(u64, String)> = receiver
        .got()
        .iter()
        .map(|hook| {
            (hook.json()["personal_access_token_request"]["id"].as_u64().unwrap(), hook.action())
        })
        .collect();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn the_sender_of_the_app_s_own_decision_has_two_answers() {
    for (switch, login) in [(AppSender::Bot, "patwarden[bot]"), (AppSender::Ghost, "ghost")] {
        let (hub, receiver, installation) = scene().await;
        hub.switches(|switches| switches.app_sender = switch);
        let id = ask(&hub);
        let client = Client::installed(&hub, installation).await;
        assert_eq!(
            client.review(id, json!({ "action": "deny", "reason": "no" })).await.status,
            204
        );
        hub.webhooks_sent().await;
        assert_eq!(receiver.got()[1].json()["sender"]["login"], login);
    }
}

#[tokio::test]
async fn any_event_can_be_sent_and_nothing_goes_where_the_app_is_not() {
    let (hub, receiver, _) = scene().await;
    hub.send_webhook("star", json!({ "action": "created", "surprise": true }));
    hub.ping();
    hub.request_token("other", TokenSpec::by("kim").on(["secret"])).unwrap();
    hub.suspend("acme", true).unwrap();
    ask(&hub);
    hub.webhooks_sent().await;
    let mut events: Vec<String> =
        receiver.got().iter().map(|hook| hook.header("x-github-event").to_owned()).collect();
    events.sort();
    assert_eq!(events, ["installation", "ping", "star"]);
    assert!(hub.redeliver("no such guid").is_err());
}
