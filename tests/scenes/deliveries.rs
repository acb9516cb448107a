//! Webhooks that did not arrive: GitHub is asked for them again, a few times and no more, and they come by the usual door.

use std::time::Duration;

use fakehub::{Fault, Review};
use patwarden::{
    server::WEBHOOK_PATH,
    store::{Delivery, MissedRow, MissedState, delivery_key},
};
use serde_json::json;

use crate::common::{Scene, Set, harmless, soon, until, writing};

const SENT: &str = "apps/list-webhook-deliveries";
const AGAIN: &str = "apps/redeliver-webhook-delivery";

/// An address at which nobody answers.
const NOBODY: &str = "http://127.0.0.1:9/webhooks/github";

const MINUTE: Duration = Duration::from_secs(60);

/// A bot that looks for lost webhooks every minute, and has done so once.
async fn opened() -> Scene {
    let mut scene = Set::default().flag("deliveries-interval", "60s").without_bot().await;
    scene.start().await;
    scene.looked_around().await;
    looks(&scene, 1).await;
    scene
}

/// Waits until GitHub's list was asked for so often since the scene began to count.
async fn looks(scene: &Scene, times: usize) {
    until("the list of deliveries is looked at", || async {
        (scene.calls(SENT) >= times).then_some(())
    })
    .await;
}

/// Lets a minute go by, and waits for the look that is due then.
async fn a_minute_later(scene: &Scene) {
    let before = scene.calls(SENT);
    scene.both_clocks(MINUTE);
    looks(scene, before + 1).await;
}

/// Somebody asks, and the webhook finds nobody; from then on webhooks arrive again if `mended`.
async fn lost(scene: &Scene, mended: bool) -> fakehub::RequestIds {
    scene.hub.set_webhook_url(NOBODY);
    let asked = scene.ask(harmless("kim"));
    soon("it is tried", scene.hub.webhooks_sent()).await;
    if mended {
        mend(scene);
    }
    asked
}

fn mend(scene: &Scene) {
    scene.hub.set_webhook_url(&format!("http://{}{WEBHOOK_PATH}", scene.bot().address));
}

async fn missed(scene: &Scene) -> Vec<MissedRow> {
    scene.store().missed(100).await.unwrap()
}

async fn until_missed_is(scene: &Scene, wanted: MissedState) -> MissedRow {
    until(&format!("the webhook is {}", wanted.as_str()), || async {
        missed(scene).await.into_iter().find(|row| row.state == wanted)
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_was_lost_is_asked_for_again_and_the_request_decided() {
    let scene = opened().await;
    let asked = lost(&scene, true).await;
    assert_eq!(scene.stands(asked.request_id).await, "unheard of");
    a_minute_later(&scene).await;
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(scene.calls(AGAIN), 1);
    a_minute_later(&scene).await;
    until_missed_is(&scene, MissedState::Arrived).await;
    a_minute_later(&scene).await;
    assert_eq!(scene.calls(AGAIN), 1, "what arrived is not asked for again");
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn what_no_list_shows_is_known_after_the_bot_was_down() {
    // Who denied it stands in the webhook and nowhere else: a list only shows that the request is gone.
    let mut scene = opened().await;
    let asked = scene.ask(writing("kim"));
    scene.until_left_to_people(asked.request_id).await;
    scene.stop().await;
    scene.hub.review_as("olga", asked.request_id, Review::deny("not now")).unwrap();
    soon("nobody is there", scene.hub.webhooks_sent()).await;
    scene.start().await;
    scene.until_it_stands(asked.request_id, "denied by @olga").await;
    assert_eq!(scene.calls(AGAIN), 1);
    scene.end().await;
}

#[tokio::test]
async fn after_three_times_nobody_asks_any_more() {
    let scene = opened().await;
    lost(&scene, false).await;
    scene
        .both_clocks_until("it is given up", Duration::from_secs(300), || async {
            missed(&scene).await.iter().any(|row| row.state == MissedState::GivenUp)
        })
        .await;
    assert_eq!(scene.calls(AGAIN), 3);
    assert_eq!(missed(&scene).await.len(), 1, "all attempts are one delivery");
    for _ in 0..3 {
        scene.both_clocks(Duration::from_secs(3600));
        a_minute_later(&scene).await;
    }
    assert_eq!(scene.calls(AGAIN), 3);
    mend(&scene);
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn a_restart_does_not_begin_to_count_anew_and_does_not_ask_at_once() {
    let mut scene = opened().await;
    scene.hub.set_webhook_url(NOBODY);
    // What is left to people leads to no other webhook.
    scene.ask(writing("kim"));
    soon("it is tried", scene.hub.webhooks_sent()).await;
    a_minute_later(&scene).await;
    until("it is asked for", || async { (scene.calls(AGAIN) == 1).then_some(()) }).await;
    for _ in 0..3 {
        scene.stop().await;
        let before = scene.calls(SENT);
        scene.start().await;
        // Where webhooks go is said at each start; this one is never to arrive.
        scene.hub.set_webhook_url(NOBODY);
        looks(&scene, before + 1).await;
        a_minute_later(&scene).await;
    }
    assert_eq!(scene.calls(AGAIN), 1, "ten minutes are not over");
    let [row] = missed(&scene).await.try_into().unwrap();
    assert_eq!((row.asked, row.state), (1, MissedState::Waiting));
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn what_is_here_already_is_not_asked_for_whatever_github_thinks() {
    // As after an answer that came too late: GitHub calls it a failure, and the webhook is in the inbox.
    let scene = opened().await;
    let asked = lost(&scene, true).await;
    let sent = scene.hub.deliveries().pop().unwrap();
    let delivery = Delivery {
        guid: delivery_key(&sent.guid).unwrap(),
        hook_id: 1,
        event: "personal_access_token_request",
        body: serde_json::to_vec(&*sent.payload).unwrap(),
        received_at: scene.clock.now(),
    };
    scene.store().accept(delivery).await.unwrap();
    scene.bot().engine.wake();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    a_minute_later(&scene).await;
    a_minute_later(&scene).await;
    assert_eq!(scene.calls(AGAIN), 0);
    assert!(missed(&scene).await.is_empty());
    scene.end().await;
}

#[tokio::test]
async fn events_that_nobody_reads_are_not_asked_for() {
    let scene = opened().await;
    scene.hub.set_webhook_url(NOBODY);
    for event in ["push", "repository", "star", "membership"] {
        scene.hub.send_webhook(event, json!({ "action": "created" }));
    }
    soon("they are tried", scene.hub.webhooks_sent()).await;
    mend(&scene);
    a_minute_later(&scene).await;
    a_minute_later(&scene).await;
    assert_eq!(scene.calls(AGAIN), 0);
    scene.end().await;
}

#[tokio::test]
async fn what_github_will_not_send_again_is_asked_for_once() {
    for status in [404, 422] {
        let scene = opened().await;
        lost(&scene, true).await;
        scene.hub.fault(Fault::on(AGAIN).status(status));
        a_minute_later(&scene).await;
        let row = until_missed_is(&scene, MissedState::Refused).await;
        assert!(!row.note.is_empty(), "{status}");
        scene.both_clocks(Duration::from_secs(3600));
        a_minute_later(&scene).await;
        assert_eq!(scene.calls(AGAIN), 1, "{status}");
        scene.end().await;
    }
}

#[tokio::test]
async fn while_github_is_down_no_try_is_used_up_and_afterwards_it_is_asked() {
    let scene = opened().await;
    let asked = lost(&scene, true).await;
    let down = scene.hub.fault(Fault::on(SENT).status(502));
    for _ in 0..3 {
        a_minute_later(&scene).await;
    }
    assert_eq!(scene.calls(AGAIN), 0);
    scene.hub.clear_fault(down);
    // Nor by a refusal of which it is known that nothing was done.
    let busy = scene.hub.fault(Fault::on(AGAIN).too_many_requests(MINUTE).times(1));
    a_minute_later(&scene).await;
    until("the limit strikes", || async { (scene.hub.fault_fired(busy) == 1).then_some(()) }).await;
    let calls = scene.calls(SENT);
    scene.both_clocks(Duration::from_secs(30));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(scene.calls(SENT), calls, "it waits as long as GitHub asked");
    a_minute_later(&scene).await;
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    let [row] = missed(&scene).await.try_into().unwrap();
    assert_eq!(row.asked, 1);
    scene.end().await;
}

#[tokio::test]
async fn two_bots_on_one_record_ask_once() {
    let scene = opened().await;
    let other = scene.another_bot().await;
    looks(&scene, 2).await;
    lost(&scene, false).await;
    for _ in 0..5 {
        let before = scene.calls(SENT);
        scene.both_clocks(MINUTE);
        looks(&scene, before + 2).await;
    }
    until("one of them asks", || async { (scene.calls(AGAIN) > 0).then_some(()) }).await;
    assert_eq!(scene.calls(AGAIN), 1);
    soon("the other bot stops", other.stop()).await.unwrap();
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn nothing_is_asked_for_while_the_app_is_suspended() {
    let mut scene = opened().await;
    let asked = scene.ask(writing("kim"));
    scene.until_left_to_people(asked.request_id).await;
    scene.stop().await;
    scene.hub.review_as("olga", asked.request_id, Review::deny("not now")).unwrap();
    soon("nobody is there", scene.hub.webhooks_sent()).await;
    scene.hub.suspend("acme", true).unwrap();
    soon("nor for this", scene.hub.webhooks_sent()).await;
    let before = scene.calls(SENT);
    scene.start().await;
    looks(&scene, before + 1).await;
    a_minute_later(&scene).await;
    assert_eq!(scene.calls(AGAIN), 0);
    scene.hub.suspend("acme", false).unwrap();
    scene.bot().engine.reconcile_soon();
    scene.both_clocks_until("it is asked for", MINUTE, || async { scene.calls(AGAIN) > 0 }).await;
    scene.until_it_stands(asked.request_id, "denied by @olga").await;
    scene.end().await;
}

#[tokio::test]
async fn the_list_is_read_to_what_was_seen_and_no_further() {
    let scene = opened().await;
    let asked = lost(&scene, false).await;
    // Above it, more than two pages of what is none of our business.
    for _ in 0..230 {
        scene.hub.send_webhook("star", json!({ "action": "created" }));
    }
    soon("they are tried", scene.hub.webhooks_sent()).await;
    mend(&scene);
    let before = scene.calls(SENT);
    scene.both_clocks(MINUTE);
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(scene.calls(SENT) - before, 3, "all pages");
    // Later than the overlap: what was read is not read again.
    scene.both_clocks(Duration::from_secs(1800));
    looks(&scene, before + 4).await;
    scene.hub.send_webhook("star", json!({ "action": "created" }));
    soon("it arrives", scene.hub.webhooks_sent()).await;
    let newest = scene.hub.deliveries().pop().unwrap().delivered_at.as_second();
    scene.both_clocks(MINUTE);
    until("it is seen", || async {
        let read = scene.store().deliveries_read_until().await.unwrap();
        (read.as_second() >= newest).then_some(())
    })
    .await;
    let before = scene.calls(SENT);
    scene.both_clocks(Duration::from_secs(1800));
    looks(&scene, before + 1).await;
    // As long as the further pages would take.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.calls(SENT) - before, 1, "one page");
    scene.end().await;
}
