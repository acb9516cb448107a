//! Lists that lag, lose rows, come in pages; webhooks that never come.

use std::time::Duration;

use fakehub::{Fault, Review};

use crate::common::{INSTALLATIONS, LIST, REVIEW, Set, harmless, soon, until, writing};

#[tokio::test]
async fn a_request_that_the_list_does_not_show_yet_is_looked_for_at_2_10_and_60_seconds() {
    let scene = Set::default().open().await;
    let fault = scene.hub.fault(Fault::on(LIST).lag(Duration::from_secs(3600)));
    let asked = scene.ask(harmless("kim"));
    for (looks, wait) in [(1, 2), (2, 8), (3, 50)] {
        until("the bot has looked in vain", || async {
            let row = scene.row(asked.request_id).await?;
            (row.looks == looks).then_some(())
        })
        .await;
        assert_eq!(scene.calls(LIST), usize::try_from(looks).unwrap());
        let row = scene.row(asked.request_id).await.unwrap();
        let due = row.due_at.unwrap().duration_since(row.woken_at).as_secs();
        assert_eq!(due, [2, 10, 60][usize::try_from(looks - 1).unwrap()]);
        if looks == 3 {
            scene.hub.clear_fault(fault);
        }
        scene.clock.push(Duration::from_secs(wait));
    }
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_request_that_no_list_ever_shows_is_gone_and_a_later_list_brings_it_back() {
    for token_fields in [true, false] {
        let scene = Set::default()
            .hub(|hub| hub.switches.webhook_token_fields = token_fields)
            .flag("reconcile-interval", "120s")
            .open()
            .await;
        // So long that no reconciliation comes in between.
        let fault = scene.hub.fault(Fault::on(LIST).lag(Duration::from_secs(3600)));
        let asked = scene.ask(harmless("kim"));
        scene
            .time_passes_until("it counts as gone", Duration::from_secs(5), || async {
                scene.stands(asked.request_id).await == "gone"
            })
            .await;
        assert_eq!(scene.calls(REVIEW), 0);
        scene.hub.clear_fault(fault);
        scene
            .time_passes_until("it is found", Duration::from_secs(30), || async {
                scene.stands(asked.request_id).await == "approved by a rule"
            })
            .await;
        assert_eq!(scene.reviews(asked.request_id), (1, 0));
        scene.end().await;
    }
}

#[tokio::test]
async fn a_webhook_without_token_fields_is_enough() {
    let scene = Set::default().hub(|hub| hub.switches.webhook_token_fields = false).open().await;
    let asked = scene.ask(harmless("kim"));
    let row = scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert!(row.token_id.is_some());
    scene.end().await;
}

#[tokio::test]
async fn a_row_that_is_lost_between_pages_is_not_taken_for_gone() {
    for numeric_links in [true, false] {
        // People wait, more than a page of them, and the bot knows them all.
        let scene = Set::default()
            .hub(|hub| hub.switches.numeric_links = numeric_links)
            .flag("reconcile-interval", "60s")
            .open()
            .await;
        let mut waiting = Vec::new();
        for number in 0..150 {
            let spec = writing("kim").named(&format!("number {number}"));
            waiting.push(scene.ask(spec).request_id);
        }
        for request in &waiting {
            scene.until_left_to_people(*request).await;
        }
        let fault = scene.hub.fault(Fault::on(LIST).lose_row().times(3));
        scene
            .time_passes_until("rows were lost three times", Duration::from_secs(20), || async {
                scene.hub.fault_fired(fault) == 3
            })
            .await;
        scene.until_idle().await;
        for request in &waiting {
            assert_eq!(scene.stands(*request).await, "escalated");
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn what_no_webhook_told_is_found_by_reconciling() {
    let scene = Set::default().flag("reconcile-interval", "60s").open().await;
    scene.hub.drop_webhooks(true);
    let kims = scene.ask(harmless("kim"));
    let lees = scene.ask(writing("lee"));
    scene.clock.push(Duration::from_secs(61));
    scene.until_it_stands(kims.request_id, "approved by a rule").await;
    scene.until_left_to_people(lees.request_id).await;
    // Nor does a webhook tell that a person decided: it is not pending any more, and that is all we know.
    scene.hub.review_as("olga", lees.request_id, Review::Approve).unwrap();
    scene
        .time_passes_until("it is known to be gone", Duration::from_secs(30), || async {
            scene.stands(lees.request_id).await == "gone"
        })
        .await;
    assert_eq!(scene.reviews(kims.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn what_was_asked_while_the_bot_was_down_is_found_at_its_start() {
    let mut scene = Set::default().without_bot().await;
    let early = scene.ask(harmless("kim"));
    scene.start().await;
    scene.until_it_stands(early.request_id, "approved by a rule").await;
    scene.stop().await;
    let while_down = scene.ask(harmless("lee"));
    soon("the webhook fails", scene.hub.webhooks_sent()).await;
    assert!(scene.hub.deliveries().iter().any(|one| one.status_code == 0));
    scene.start().await;
    scene.until_it_stands(while_down.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn an_installation_that_no_webhook_told_of_is_found() {
    let mut scene = Set::default().without_bot().await;
    scene.hub.uninstall("acme").unwrap();
    scene.start().await;
    scene.hub.drop_webhooks(true);
    scene.hub.install("acme").unwrap();
    scene.hub.drop_webhooks(false);
    // GitHub may leave the installation out of `created`: then it must be asked for.
    let asked = scene.ask(harmless("kim"));
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "approved");
    scene.end().await;
}

#[tokio::test]
async fn a_suspended_installation_is_left_alone_and_worked_on_afterwards() {
    let scene = Set::default().flag("reconcile-interval", "60s").open().await;
    scene.hub.suspend("acme", true).unwrap();
    soon("the bot hears of it", scene.hub.webhooks_sent()).await;
    scene.hub.suspend("acme", false).unwrap();
    let asked = scene.ask(harmless("kim"));
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "approved");
    scene.end().await;
}

#[tokio::test]
async fn what_waited_for_a_suspended_installation_is_decided_when_it_works_again() {
    let scene = Set::default().open().await;
    let fault = scene.hub.fault(Fault::on(LIST).status(500));
    let asked = scene.ask(harmless("kim"));
    until("the list fails", || async { (scene.hub.fault_fired(fault) > 0).then_some(()) }).await;
    scene.hub.suspend("acme", true).unwrap();
    soon("the bot hears of it", scene.hub.webhooks_sent()).await;
    scene
        .time_passes_until("the bot sees that it may not", Duration::from_secs(2), || async {
            let row = scene.row(asked.request_id).await;
            row.is_some_and(|row| row.note.contains("suspended"))
        })
        .await;
    scene.hub.clear_fault(fault);
    scene.hub.reset_calls();
    scene.hub.suspend("acme", false).unwrap();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_listing_that_takes_half_a_minute_is_used_all_the_same() {
    let scene = Set::default().open().await;
    let held = scene.hub.hold(fakehub::Hold::after(LIST));
    let asked = scene.ask(harmless("kim"));
    soon("the list is read", held.reached()).await;
    scene.clock.push(Duration::from_secs(35));
    held.release();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(scene.calls(LIST), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_list_that_lags_after_our_own_approval_does_not_make_us_approve_again() {
    let scene = Set::default().flag("reconcile-interval", "30s").open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.hub.fault(Fault::on(LIST).lag(Duration::from_secs(5)).times(1));
    scene.clock.push(Duration::from_secs(31));
    until("the old list is read", || async { (scene.calls(LIST) >= 2).then_some(()) }).await;
    scene.until_idle().await;
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn an_organization_that_removes_the_app_is_left_alone_and_taken_up_when_it_is_back() {
    let scene = Set::default().open().await;
    let fault = scene.hub.fault(Fault::on(LIST).status(500));
    let asked = scene.ask(harmless("kim"));
    until("the list fails", || async { (scene.hub.fault_fired(fault) > 0).then_some(()) }).await;
    scene.hub.uninstall("acme").unwrap();
    soon("the bot hears of it", scene.hub.webhooks_sent()).await;
    scene
        .time_passes_until("the bot sees that it is gone", Duration::from_secs(2), || async {
            let row = scene.row(asked.request_id).await;
            row.is_some_and(|row| row.note.contains("not installed"))
        })
        .await;
    scene.hub.clear_fault(fault);
    // Hours pass: GitHub is not asked again and again about an organization that left.
    until("it is looked for once more", || async {
        (scene.calls(INSTALLATIONS) > 0).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let asked_for = scene.calls(INSTALLATIONS);
    for _ in 0..5 {
        scene.clock.push(Duration::from_secs(3600));
        scene.until_idle().await;
    }
    // Longer than the bot waits before it looks around when it wants to.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(scene.calls(INSTALLATIONS), asked_for);
    scene.hub.install("acme").unwrap();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}
