//! What is old is deleted in the background, and nothing that is still needed.

use std::time::Duration;

use patwarden::store::{Delivery, UNNAMED_EVENT};

use crate::common::{Scene, Set, administrating, harmless, soon, until, writing};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A bot that lists tokens, so that it is known which have access.
async fn opened() -> Scene {
    Set::default().flag("inventory-interval", "24h").open().await
}

/// Lets a day go by, and whatever is needed of another until all tokens were listed once more.
async fn listed(scene: &Scene) {
    scene.both_clocks(DAY);
    let began = scene.clock.now();
    let acme = scene.organization("acme").id;
    let listed = || async {
        let listing = scene.store().token_listing(acme).await.unwrap();
        listing.is_some_and(|listing| listing.ended_at > began)
    };
    scene.both_clocks_until("the tokens are listed", DAY / 4, listed).await;
}

/// How many bodies are in the file of deliveries.
async fn bodies(scene: &Scene) -> i64 {
    use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
    let options = SqliteConnectOptions::new().filename(scene.deliveries_path());
    let mut connection = options.connect().await.unwrap();
    let count = "SELECT COUNT(*) FROM deliveries";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn bodies_go_after_a_month_and_a_delivery_is_still_known() {
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.until_idle().await;
    let known = scene.store().backlog().await.unwrap().stored;
    let first = scene.hub.deliveries().remove(0);
    scene.both_clocks(20 * DAY);
    // Young when the others are old; and it keeps the numbers from being given twice.
    let delivery = Delivery {
        guid: vec![7; 16],
        hook_id: 1,
        event: UNNAMED_EVENT,
        body: Vec::new(),
        received_at: scene.clock.now(),
    };
    scene.store().accept(delivery.clone()).await.unwrap();
    scene.bot().engine.wake();
    scene.until_idle().await;
    scene.both_clocks(5 * DAY);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bodies(&scene).await, known + 1, "a month is not over");
    scene.both_clocks(6 * DAY);
    until("the old ones are gone", || async { (bodies(&scene).await == 1).then_some(()) }).await;
    assert_eq!(scene.store().backlog().await.unwrap().stored, known + 1);
    // It is not taken a second time.
    scene.hub.redeliver(&first.guid).unwrap();
    soon("it is sent again", scene.hub.webhooks_sent()).await;
    assert_eq!(bodies(&scene).await, 1);
    assert_eq!(scene.hub.deliveries().pop().unwrap().status_code, 202);
    scene.end().await;
}

#[tokio::test]
async fn what_nobody_has_read_yet_is_kept_however_old() {
    let scene = Set::default().without_bot().await;
    let store = patwarden::store::Store::open(&scene.store_path()).await.unwrap();
    for number in 1..=3 {
        let delivery = Delivery {
            guid: vec![number; 16],
            hook_id: 1,
            event: UNNAMED_EVENT,
            body: vec![0; 100],
            received_at: jiff::Timestamp::UNIX_EPOCH,
        };
        store.accept(delivery).await.unwrap();
    }
    assert_eq!(store.prune_deliveries(scene.clock.now()).await.unwrap(), 0);
    assert_eq!(bodies(&scene).await, 3);
    store.close().await;
    scene.leave().await;
}

#[tokio::test]
async fn a_decision_goes_when_its_time_is_over_and_its_token_has_long_no_access() {
    let scene = opened().await;
    let open = scene.ask(writing("lee"));
    let denied = scene.ask(administrating("ada"));
    let [kept, gone] = [("kim", "stays"), ("ben", "goes")]
        .map(|(login, name)| scene.ask(harmless(login).named(name).never_expires()));
    for ids in [&kept, &gone] {
        scene.until_left_to_people(ids.request_id).await;
        scene.hub.review_as("olga", ids.request_id, fakehub::Review::Approve).unwrap();
        scene.until_it_stands(ids.request_id, "approved by @olga").await;
    }
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    scene.until_left_to_people(open.request_id).await;
    scene.until_idle().await;
    listed(&scene).await;
    scene.both_clocks(390 * DAY);
    scene.hub.delete_token(gone.token_id).unwrap();
    listed(&scene).await;
    assert_eq!(scene.decisions(denied.request_id).await.len(), 1, "its time is not over");
    until_forgotten(&scene, &denied).await;
    assert!(scene.decisions(denied.request_id).await.is_empty());
    for (ids, why) in [(&open, "open"), (&kept, "in use"), (&gone, "in use until lately")] {
        assert!(!scene.decisions(ids.request_id).await.is_empty(), "{why}");
    }
    scene.both_clocks(380 * DAY);
    until_forgotten(&scene, &gone).await;
    assert!(!scene.decisions(kept.request_id).await.is_empty(), "a token in use");
    assert!(!scene.decisions(open.request_id).await.is_empty(), "an open request");
    scene.end().await;
}

/// Lets days go by until nothing is on record of a request.
async fn until_forgotten(scene: &Scene, ids: &fakehub::RequestIds) {
    let gone = || async { scene.row(ids.request_id).await.is_none() };
    scene.both_clocks_until("nothing is on record of it", DAY, gone).await;
}
