//! Two bots on one record: each request is reviewed once, by one of them.

use std::time::Duration;

use fakehub::Hold;
use patwarden::server::WEBHOOK_PATH;

use crate::common::{LIST, REVIEW, Set, administrating, harmless, soon, until, writing};

#[tokio::test]
async fn two_bots_on_one_record_review_each_request_once() {
    let scene = Set::default().open().await;
    let other = scene.another_bot().await;
    let addresses = [scene.bot().address, other.address];
    let mut asked = Vec::new();
    for number in 0..60 {
        // Webhooks come to one and to the other, in turn, as behind a balancer.
        scene.hub.set_webhook_url(&format!("http://{}{WEBHOOK_PATH}", addresses[number % 2]));
        let spec = match number % 3 {
            0 => harmless("kim"),
            1 => administrating("lee"),
            _ => writing("ada"),
        };
        asked.push((number, scene.ask(spec.named(&format!("n{number}")))));
        if number % 10 == 9 {
            soon("these webhooks arrive", scene.hub.webhooks_sent()).await;
        }
    }
    for (number, ids) in asked {
        match number % 3 {
            0 => drop(scene.until_it_stands(ids.request_id, "approved by a rule").await),
            1 => drop(scene.until_it_stands(ids.request_id, "denied by a rule").await),
            _ => drop(scene.until_left_to_people(ids.request_id).await),
        }
        let reviews = if number % 3 == 2 { 0 } else { 1 };
        assert_eq!(scene.reviews(ids.request_id), (reviews, 0), "request {}", ids.request_id);
        assert_eq!(scene.decisions(ids.request_id).await.len(), 1, "request {}", ids.request_id);
    }
    soon("the other bot stops", other.stop()).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_bot_that_stalls_over_a_call_loses_its_lease_and_its_answer_is_dropped() {
    // The first bot's call hangs; its lease runs out by the clock of both, and the second takes over, looks,
    // finds the request still pending and sends. Then the first call goes through as well.
    let scene = Set::default().open().await;
    let other = scene.another_bot().await;
    let held = scene.hub.hold(Hold::before(REVIEW));
    let asked = scene.ask(harmless("kim"));
    soon("the first call hangs", held.reached()).await;
    scene.clock.push(Duration::from_secs(31));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    held.release();
    until("the late call is answered", || async {
        (scene.hub.reviews(asked.request_id).len() == 2).then_some(())
    })
    .await;
    scene.until_idle().await;
    assert_eq!(scene.reviews(asked.request_id), (1, 1), "one took effect, the other was refused");
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    soon("the other bot stops", other.stop()).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_late_call_of_a_stalled_bot_that_takes_effect_is_known_as_ours() {
    let scene = Set::default().open().await;
    let other = scene.another_bot().await;
    // The second bot's call hangs too, until the first one's went through.
    let first = scene.hub.hold(Hold::before(REVIEW));
    let second = scene.hub.hold(Hold::before(REVIEW).skip(1));
    let asked = scene.ask(harmless("kim"));
    soon("the first call hangs", first.reached()).await;
    scene.clock.push(Duration::from_secs(31));
    soon("the second call hangs", second.reached()).await;
    scene.hub.drop_webhooks(true);
    first.release();
    until("the first call took effect", || async {
        scene.has_access(asked.token_id).then_some(())
    })
    .await;
    second.release();
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    assert_eq!(scene.reviews(asked.request_id), (1, 1));
    soon("the other bot stops", other.stop()).await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn a_bot_that_is_stopped_in_good_order_leaves_its_lease_to_the_next() {
    let mut scene = Set::default().open().await;
    let first = scene.ask(harmless("kim"));
    scene.until_settled(first.request_id).await;
    scene.stop().await;
    scene.start().await;
    let second = scene.ask(harmless("lee"));
    scene.until_it_stands(second.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_reconciliation_beside_a_call_that_is_under_way_does_not_unsettle_it() {
    let scene = Set::default().open().await;
    let held = scene.hub.hold(Hold::before(REVIEW));
    let asked = scene.ask(harmless("kim"));
    soon("the call is under way", held.reached()).await;
    let seen = scene.bot().engine.reconcile().await.unwrap();
    assert_eq!((seen.pending, seen.found), (1, 0));
    assert_eq!(scene.stands(asked.request_id).await, "sent-approve");
    held.release();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn a_bot_that_is_told_to_stop_does_not_wait_for_a_list_that_does_not_come() {
    let mut scene = Set::default().flag("github-timeout", "60s").without_bot().await;
    let held = scene.hub.hold(Hold::before(LIST));
    scene.start().await;
    soon("the list is asked for", held.reached()).await;
    // Within the patience of every scene, which is half of what the call may take.
    scene.stop().await;
    held.release();
    scene.leave().await;
}
