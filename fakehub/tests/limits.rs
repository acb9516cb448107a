//! Stories about primary rate limits: counted for each installation, exhausted, reset.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::Duration;

use common::{Client, acme};
use fakehub::Config;

#[tokio::test]
async fn calls_are_counted_until_none_is_left_and_again_after_an_hour() {
    let (hub, installation) = acme(Config::default().rate_limit(Some(5))).await;
    let client = Client::installed(&hub, installation).await;
    for used in 1..=5 {
        let answer = client.get("/orgs/acme/members").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("5"));
        assert_eq!(answer.header("x-ratelimit-used"), Some(used.to_string().as_str()));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((5 - used).to_string().as_str()));
        assert_eq!(answer.header("x-ratelimit-resource"), Some("core"));
    }
    let over = client.get("/orgs/acme/members").await;
    assert_eq!((over.status, over.header("x-ratelimit-remaining")), (403, Some("0")));
    let reset: i64 = over.header("x-ratelimit-reset").unwrap().parse().unwrap();

    // Looking at the limit is free, and another installation has its own.
    assert_eq!(client.get("/rate_limit").await.body["resources"]["core"]["remaining"], 0);
    let other = hub.install("other").unwrap();
    assert_eq!(Client::installed(&hub, other).await.get("/orgs/other/members").await.status, 200);

    let wait = u64::try_from(reset - hub.now().as_second()).unwrap();
    hub.advance(Duration::from_secs(wait));
    let fresh = Client::installed(&hub, installation).await;
    assert_eq!(fresh.get("/orgs/acme/members").await.header("x-ratelimit-used"), Some("1"));
}

#[tokio::test]
async fn a_test_may_leave_few_calls_or_no_limit() {
    let (hub, installation) = acme(Config::default()).await;
    let client = Client::installed(&hub, installation).await;
    assert_eq!(client.get("/orgs/acme/members").await.header("x-ratelimit-limit"), Some("5000"));
    hub.leave_calls(installation, 1);
    assert_eq!(client.get("/orgs/acme/members").await.status, 200);
    assert_eq!(client.get("/orgs/acme/members").await.status, 403);

    let (hub, installation) = acme(Config::default().rate_limit(None)).await;
    let client = Client::installed(&hub, installation).await;
    assert_eq!(client.get("/orgs/acme/members").await.header("x-ratelimit-limit"), None);
    assert_eq!(client.get("/rate_limit").await.status, 404);
}

#[tokio::test]
async fn the_date_of_an_answer_is_the_fake_s() {
    let (hub, installation) = acme(Config::default()).await;
    hub.advance(Duration::from_secs(400 * 86_400));
    let client = Client::installed(&hub, installation).await;
    let answer = client.get("/orgs/acme/members").await;
    let expected = hub.now().strftime("%d %b %Y").to_string();
    assert!(answer.header("date").unwrap().contains(&expected));
    assert!(answer.header("x-github-request-id").is_some());
}
