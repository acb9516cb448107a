//! Stories about faults: each kind, where it strikes, and whether the call had its effect.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Answer, Client, acme};
use fakehub::{Config, Fakehub, Fault, Hold, Outcome, TokenSpec};
use reqwest::Method;
use serde_json::json;

const LIST: &str = "orgs/list-pat-grant-requests";
const REVIEW: &str = "orgs/review-pat-grant-request";
const REQUESTS: &str = "/orgs/acme/personal-access-token-requests";

async fn scene() -> (Fakehub, Client, u64) {
    let (hub, installation) = acme(Config::default()).await;
    let asked = hub.request_token("acme", TokenSpec::by("kim").on(["web"])).unwrap();
    let client = Client::installed(&hub, installation).await;
    (hub, client, asked.request_id)
}

async fn approve(client: &Client, id: u64) -> Result<Answer, reqwest::Error> {
    client
        .try_send(Method::POST, &format!("{REQUESTS}/{id}"), Some(json!({ "action": "approve" })))
        .await
}

#[tokio::test]
async fn a_status_comes_so_often_and_has_no_effect() {
    let (hub, client, id) = scene().await;
    for status in [500, 502, 503, 404, 422, 401] {
        let fault = hub.fault(Fault::on(REVIEW).status(status).times(1));
        let answer = approve(&client, id).await.unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.body["message"].is_string());
        assert_eq!(hub.fault_fired(fault), 1);
    }
    assert_eq!(hub.outcome(id), Outcome::Pending);
    assert!(hub.reviews(id).is_empty());
    assert_eq!(approve(&client, id).await.unwrap().status, 204);
    let statuses: Vec<_> = hub.calls_of(REVIEW).iter().map(|call| call.status).collect();
    assert_eq!(statuses, [500, 502, 503, 404, 422, 401, 204].map(Some));
}

#[tokio::test]
async fn a_fault_may_wait_for_later_calls_and_last_until_cleared() {
    let (hub, client, _) = scene().await;
    let fault = hub.fault(Fault::on(LIST).status(503).skip(2));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(client.get(REQUESTS).await.status);
    }
    assert_eq!(statuses, [200, 200, 503, 503, 503]);
    assert!(hub.clear_fault(fault) && !hub.clear_fault(fault));
    assert_eq!(client.get(REQUESTS).await.status, 200);

    hub.fault(Fault::on("GET /orgs/*/teams/**").status(500));
    assert_eq!(client.get("/orgs/acme/teams/platform/members").await.status, 500);
    assert_eq!(client.get("/orgs/acme/members").await.status, 200);
    hub.fault(Fault::on("*").status(502));
    assert_eq!(client.get("/orgs/acme/members").await.status, 502);
    hub.clear_faults();
    assert_eq!(client.get("/orgs/acme/teams/platform/members").await.status, 200);
}

#[tokio::test]
async fn every_kind_of_403_and_a_429() {
    let (hub, client, _) = scene().await;
    let minute = Duration::from_secs(60);

    hub.fault(Fault::on(LIST).missing_permission().times(1));
    let answer = client.get(REQUESTS).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.header("x-accepted-github-permissions"),
        Some("organization_personal_access_token_requests=read")
    );
    assert_ne!(answer.header("x-ratelimit-remaining"), Some("0"));

    hub.fault(Fault::on(LIST).rate_limited(minute).times(1));
    let answer = client.get(REQUESTS).await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (403, Some("0")));
    let reset: i64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!((55..=61).contains(&(reset - hub.now().as_second())));

    hub.fault(Fault::on(LIST).secondary_limit(Some(minute)).times(1));
    let answer = client.get(REQUESTS).await;
    assert_eq!((answer.status, answer.header("retry-after")), (403, Some("60")));

    hub.fault(Fault::on(LIST).secondary_limit(None).times(1));
    let answer = client.get(REQUESTS).await;
    assert_eq!((answer.status, answer.header("retry-after")), (403, None));

    hub.fault(Fault::on(LIST).too_many_requests(minute).times(1));
    let answer = client.get(REQUESTS).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("60")));

    hub.fault(Fault::on(LIST).bad_credentials().times(1));
    assert_eq!(client.get(REQUESTS).await.status, 401);
}

#[tokio::test]
async fn a_cut_before_the_effect_and_one_after_look_alike_to_the_caller() {
    let (hub, client, id) = scene().await;
    hub.fault(Fault::on(REVIEW).cut().times(1));
    assert!(approve(&client, id).await.is_err());
    assert_eq!(hub.outcome(id), Outcome::Pending);

    hub.fault(Fault::on(REVIEW).cut().after_effect().times(1));
    assert!(approve(&client, id).await.is_err());
    assert!(hub.outcome(id).is_approved());
    assert_eq!(hub.reviews(id).len(), 1);
    assert!(hub.calls_of(REVIEW).iter().all(|call| call.status.is_none()), "nobody was answered");
}

#[tokio::test]
async fn an_effect_may_hide_behind_a_bad_gateway() {
    let (hub, client, id) = scene().await;
    hub.fault(Fault::on(REVIEW).status(502).after_effect().times(1));
    assert_eq!(approve(&client, id).await.unwrap().status, 502);
    assert!(hub.outcome(id).is_approved());
}

#[tokio::test]
async fn half_an_answer_breaks_off() {
    let (hub, client, _) = scene().await;
    hub.fault(Fault::on(LIST).half().times(1));
    let response = client
        .http
        .get(format!("{}{REQUESTS}", hub.api_url()))
        .bearer_auth(&client.token)
        .send()
        .await;
    let response = response.unwrap();
    assert_eq!(response.status(), 200, "the head arrives whole");
    let announced = response.content_length().unwrap();
    let mut got = 0;
    let mut response = response;
    let broken = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => got += chunk.len() as u64,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && got > 0 && got < announced, "{got} of {announced} bytes");
}

#[tokio::test]
async fn slow_and_mute() {
    let (hub, client, id) = scene().await;
    hub.fault(Fault::on(REVIEW).slow(Duration::from_millis(250)).times(1));
    let began = Instant::now();
    assert_eq!(approve(&client, id).await.unwrap().status, 204);
    assert!(began.elapsed() >= Duration::from_millis(250));

    hub.fault(Fault::on(LIST).mute().times(1));
    let silent = tokio::time::timeout(Duration::from_millis(200), client.get(REQUESTS)).await;
    assert!(silent.is_err());
    assert_eq!(client.get(REQUESTS).await.status, 200);
}

#[tokio::test]
async fn a_slow_call_goes_on_when_its_caller_has_left() {
    let (hub, client, id) = scene().await;
    hub.fault(Fault::on(REVIEW).slow(Duration::from_millis(150)).times(1));
    let left = tokio::time::timeout(Duration::from_millis(30), approve(&client, id)).await;
    assert!(left.is_err());
    assert!(hub.settled(id, Duration::from_secs(5)).await.is_approved());
}

#[tokio::test]
async fn a_list_may_lag_behind() {
    let (hub, client, old) = scene().await;
    hub.advance(Duration::from_secs(60));
    let new = hub.request_token("acme", TokenSpec::by("lee").on(["api"])).unwrap().request_id;
    assert_eq!(approve(&client, old).await.unwrap().status, 204);
    assert_eq!(client.get(REQUESTS).await.ids(), [new]);
    hub.fault(Fault::on(LIST).lag(Duration::from_secs(30)).times(1));
    assert_eq!(client.get(REQUESTS).await.ids(), [old], "as it was half a minute ago");
    assert_eq!(client.get(REQUESTS).await.ids(), [new]);
}

#[tokio::test]
async fn a_row_may_be_lost_between_pages() {
    let (hub, client, _) = scene().await;
    for _ in 0..4 {
        hub.request_token("acme", TokenSpec::by("kim").on(["web"])).unwrap();
    }
    let whole = client.get(REQUESTS).await.ids();
    hub.fault(Fault::on(LIST).lose_row().times(1));
    let mut seen = client.get(&format!("{REQUESTS}?per_page=2")).await.ids();
    seen.extend(client.get(&format!("{REQUESTS}?per_page=2&page=2")).await.ids());
    seen.extend(client.get(&format!("{REQUESTS}?per_page=2&page=3")).await.ids());
    assert_eq!(seen, [whole[0], whole[1], whole[3], whole[4], whole[4]]);
}

#[tokio::test]
async fn a_call_held_before_its_effect_can_be_released_or_cut() {
    let (hub, client, id) = scene().await;
    let held = hub.hold(Hold::before(REVIEW));
    let call = tokio::spawn({
        let client = client.clone();
        async move { approve(&client, id).await }
    });
    held.reached().await;
    assert_eq!((hub.outcome(id), held.count()), (Outcome::Pending, 1));
    held.cut();
    assert!(call.await.unwrap().is_err());
    assert_eq!(hub.outcome(id), Outcome::Pending);

    let held = hub.hold(Hold::before(REVIEW));
    let call = tokio::spawn({
        let client = client.clone();
        async move { approve(&client, id).await }
    });
    held.reached().await;
    held.release();
    assert_eq!(call.await.unwrap().unwrap().status, 204);
    assert!(hub.outcome(id).is_approved());
}

#[tokio::test]
async fn a_call_held_after_its_effect_has_had_it() {
    let (hub, client, id) = scene().await;
    let held = hub.hold(Hold::after(REVIEW));
    let call = tokio::spawn({
        let client = client.clone();
        async move { approve(&client, id).await }
    });
    held.reached().await;
    assert!(hub.outcome(id).is_approved());
    held.cut();
    assert!(call.await.unwrap().is_err());
    // The hold was for one call.
    assert_eq!(approve(&client, id).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_dropped_hold_lets_go() {
    let (hub, client, id) = scene().await;
    let held = hub.hold(Hold::before(REVIEW));
    let call = tokio::spawn({
        let client = client.clone();
        async move { approve(&client, id).await }
    });
    held.reached().await;
    drop(held);
    assert_eq!(call.await.unwrap().unwrap().status, 204);
}
