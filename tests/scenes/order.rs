//! Webhooks that come twice, late, early, in the wrong order, or from somebody else; people who are quicker.

use std::time::Duration;

use fakehub::{AppSender, Hold, Outcome, Review, SettledReview};

use crate::common::{LIST, REVIEW, Set, administrating, harmless, soon, until, writing};

/// Who GitHub names as the sender of our own decisions is not known: both answers are played.
const SENDERS: [AppSender; 2] = [AppSender::Bot, AppSender::Ghost];

#[tokio::test]
async fn a_delivery_that_comes_twice_is_decided_once() {
    let scene = Set::default().open().await;
    scene.hub.duplicate_webhooks(true);
    let asked = scene.ask(harmless("kim"));
    let row = scene.until_settled(asked.request_id).await;
    assert_eq!(row.state.to_string(), "approved by a rule");
    assert_eq!(scene.on_github(asked.request_id), "approved");
    soon("the twins arrive", scene.hub.webhooks_sent()).await;
    // `created` and `approved`, each of them twice: four deliveries answered, two of them new.
    let deliveries = scene.hub.deliveries();
    let ours = deliveries.iter().filter(|one| one.event == "personal_access_token_request");
    assert_eq!(ours.clone().count(), 4);
    assert!(ours.clone().all(|one| one.status_code == 202));
    let installation = 1;
    assert!(scene.store().backlog().await.unwrap().stored <= 2 + installation);
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    assert_eq!(scene.decisions(asked.request_id).await.len(), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_redelivery_after_the_end_changes_nothing() {
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_settled(asked.request_id).await;
    soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    scene.until_idle().await;
    scene.hub.reset_calls();
    let stored = scene.store().backlog().await.unwrap().stored;
    for delivery in scene.hub.deliveries() {
        scene.hub.redeliver(&delivery.guid).unwrap();
    }
    soon("all redeliveries arrive", scene.hub.webhooks_sent()).await;
    let redelivered = scene.hub.deliveries();
    assert!(redelivered.iter().filter(|one| one.redelivery).all(|one| one.status_code == 202));
    scene.until_idle().await;
    assert_eq!(scene.store().backlog().await.unwrap().stored, stored);
    assert!(scene.hub.calls().is_empty(), "a redelivery asks GitHub nothing");
    assert_eq!(scene.decisions(asked.request_id).await.len(), 1);
    scene.end().await;
}

#[tokio::test]
async fn the_same_news_under_another_guid_changes_nothing_either() {
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_settled(asked.request_id).await;
    soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    let created =
        scene.hub.deliveries().into_iter().find(|one| one.action.as_deref() == Some("created"));
    let body = created.unwrap().payload.as_ref().clone();
    scene.hub.send_webhook("personal_access_token_request", body);
    soon("it arrives", scene.hub.webhooks_sent()).await;
    scene.until_idle().await;
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn approved_heard_before_created_is_over_at_once() {
    let scene = Set::default().open().await;
    scene.hub.reverse_webhooks(2);
    let asked = scene.ask(harmless("kim"));
    scene.hub.review_as("olga", asked.request_id, Review::Approve).unwrap();
    let row = scene.until_settled(asked.request_id).await;
    assert_eq!(row.state.to_string(), "approved by @olga");
    soon("created arrives last", scene.hub.webhooks_sent()).await;
    scene.until_idle().await;
    assert_eq!(scene.stands(asked.request_id).await, "approved by @olga");
    assert_eq!(scene.calls(REVIEW), 0);
    scene.hub.reverse_webhooks(0);
    scene.end().await;
}

#[tokio::test]
async fn a_late_denied_of_somebody_else_does_not_undo_our_record() {
    let scene = Set::default().open().await;
    scene.hub.drop_webhooks(true);
    let first = scene.ask(harmless("kim"));
    scene.hub.review_as("olga", first.request_id, Review::deny("no")).unwrap();
    scene.hub.drop_webhooks(false);
    // `denied` alone, and only then `created`: as webhooks that crossed on the way.
    let second = scene.ask(harmless("lee"));
    scene.until_settled(second.request_id).await;
    soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    let template =
        scene.hub.deliveries().into_iter().find(|one| one.action.as_deref() == Some("created"));
    let mut body = template.unwrap().payload.as_ref().clone();
    body["personal_access_token_request"]["id"] = first.request_id.into();
    body["personal_access_token_request"]["token_id"] = first.token_id.into();
    let mut denied = body.clone();
    denied["action"] = "denied".into();
    denied["sender"]["login"] = "olga".into();
    scene.hub.send_webhook("personal_access_token_request", denied);
    scene.hub.send_webhook("personal_access_token_request", body);
    soon("both arrive", scene.hub.webhooks_sent()).await;
    scene.until_idle().await;
    assert_eq!(scene.stands(first.request_id).await, "denied by @olga");
    assert_eq!(scene.on_github(second.request_id), "approved");
    scene.end().await;
}

#[tokio::test]
async fn our_own_approved_may_come_before_the_answer_to_our_call() {
    for sender in SENDERS {
        let scene = Set::default().hub(|hub| hub.switches.app_sender = sender).open().await;
        let held = scene.hub.hold(Hold::after(REVIEW));
        let asked = scene.ask(harmless("kim"));
        soon("the review is sent", held.reached()).await;
        // The effect is there and so is the webhook; the answer is not.
        soon("the webhook arrives", scene.hub.webhooks_sent()).await;
        scene.until_read().await;
        held.release();
        let row = scene.until_it_stands(asked.request_id, "approved by a rule").await;
        assert!(row.note.is_empty(), "{sender:?}: {}", row.note);
        assert_eq!(scene.reviews(asked.request_id), (1, 0));
        assert_eq!(scene.calls(crate::common::GRANTS), 1, "{sender:?}: the grant is compared");
        let effects = scene.effects(asked.request_id).await;
        assert_eq!(effects.len(), 1, "{sender:?}");
        assert_eq!(effects[0].state.as_str(), "applied", "{sender:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn our_own_denied_may_come_before_the_answer_to_our_call() {
    for sender in SENDERS {
        let scene = Set::default().hub(|hub| hub.switches.app_sender = sender).open().await;
        let held = scene.hub.hold(Hold::after(REVIEW));
        let asked = scene.ask(administrating("kim"));
        soon("the review is sent", held.reached()).await;
        soon("the webhook arrives", scene.hub.webhooks_sent()).await;
        held.release();
        scene.until_it_stands(asked.request_id, "denied by a rule").await;
        assert_eq!(scene.on_github(asked.request_id), "denied");
        assert_eq!(scene.reviews(asked.request_id), (1, 0));
        scene.end().await;
    }
}

#[tokio::test]
async fn our_own_approved_that_comes_while_the_grant_is_compared_ends_nothing() {
    for sender in SENDERS {
        let scene = Set::default().hub(|hub| hub.switches.app_sender = sender).open().await;
        scene.hub.delay_webhooks(Duration::from_millis(1));
        let held = scene.hub.hold(Hold::before(crate::common::GRANTS));
        let asked = scene.ask(harmless("kim"));
        soon("the grant is asked for", held.reached()).await;
        soon("the webhook arrives", scene.hub.webhooks_sent()).await;
        scene.until_read().await;
        assert_eq!(scene.stands(asked.request_id).await, "checking", "{sender:?}");
        held.release();
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
        scene.end().await;
    }
}

#[tokio::test]
async fn a_person_who_decides_while_our_call_is_on_its_way_is_the_one_who_decided() {
    for settled_review in [SettledReview::NotFound, SettledReview::Unprocessable] {
        for approves in [true, false] {
            let scene =
                Set::default().hub(|hub| hub.switches.settled_review = settled_review).open().await;
            let held = scene.hub.hold(Hold::before(REVIEW));
            let asked = scene.ask(harmless("kim"));
            soon("the review is sent", held.reached()).await;
            let review = if approves { Review::Approve } else { Review::deny("not you") };
            scene.hub.review_as("martin", asked.request_id, review).unwrap();
            soon("the webhook arrives", scene.hub.webhooks_sent()).await;
            held.release();
            let wanted = if approves { "approved by @martin" } else { "denied by @martin" };
            scene.until_it_stands(asked.request_id, wanted).await;
            until("our call is refused", || async {
                (scene.reviews(asked.request_id) == (0, 1)).then_some(())
            })
            .await;
            scene.until_idle().await;
            assert_eq!(scene.stands(asked.request_id).await, wanted);
            assert!(scene.hub.revocations("acme").is_empty());
            scene.end().await;
        }
    }
}

#[tokio::test]
async fn a_person_who_decided_and_whose_webhook_is_lost_is_no_rule_of_ours() {
    for settled_review in [SettledReview::NotFound, SettledReview::Unprocessable] {
        let scene =
            Set::default().hub(|hub| hub.switches.settled_review = settled_review).open().await;
        let held = scene.hub.hold(Hold::before(REVIEW));
        let asked = scene.ask(harmless("kim"));
        soon("the review is sent", held.reached()).await;
        scene.hub.drop_webhooks(true);
        scene.hub.review_as("martin", asked.request_id, Review::Approve).unwrap();
        held.release();
        scene
            .time_passes_until("it is known to be gone", Duration::from_secs(1), || async {
                scene.stands(asked.request_id).await == "gone"
            })
            .await;
        assert_eq!(scene.reviews(asked.request_id), (0, 1));
        scene.end().await;
    }
}

#[tokio::test]
async fn a_person_decides_what_was_left_to_people() {
    let scene = Set::default().open().await;
    let yes = scene.ask(writing("kim"));
    let no = scene.ask(writing("lee"));
    scene.until_left_to_people(yes.request_id).await;
    scene.until_left_to_people(no.request_id).await;
    scene.hub.review_as("olga", yes.request_id, Review::Approve).unwrap();
    scene.hub.review_as("martin", no.request_id, Review::deny("ask for less")).unwrap();
    scene.until_it_stands(yes.request_id, "approved by @olga").await;
    scene.until_it_stands(no.request_id, "denied by @martin").await;
    assert_eq!(scene.calls(REVIEW), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_request_that_is_taken_back_while_it_waits_is_over() {
    let scene = Set::default().open().await;
    let waiting = scene.ask(writing("kim"));
    scene.until_left_to_people(waiting.request_id).await;
    scene.hub.cancel_request(waiting.request_id).unwrap();
    scene.until_it_stands(waiting.request_id, "cancelled by the requester").await;
    scene.end().await;
}

#[tokio::test]
async fn a_request_that_is_taken_back_while_our_call_is_on_its_way_is_over() {
    for settled_review in [SettledReview::NotFound, SettledReview::Unprocessable] {
        let scene =
            Set::default().hub(|hub| hub.switches.settled_review = settled_review).open().await;
        let held = scene.hub.hold(Hold::before(REVIEW));
        let asked = scene.ask(harmless("kim"));
        soon("the review is sent", held.reached()).await;
        scene.hub.cancel_request(asked.request_id).unwrap();
        soon("the webhook arrives", scene.hub.webhooks_sent()).await;
        held.release();
        scene.until_it_stands(asked.request_id, "cancelled by the requester").await;
        assert!(!scene.has_access(asked.token_id));
        scene.end().await;
    }
}

#[tokio::test]
async fn an_owners_own_token_is_noted_and_left_alone() {
    for sends_approved in [true, false] {
        let scene = Set::default()
            .hub(|hub| hub.switches.owner_token_sends_approved = sends_approved)
            .open()
            .await;
        let asked = scene.ask(administrating("olga"));
        assert!(matches!(scene.hub.outcome(asked.request_id), Outcome::Approved { .. }));
        soon("the webhook, if there is one, arrives", scene.hub.webhooks_sent()).await;
        scene.until_idle().await;
        if sends_approved {
            let row = scene.until_settled(asked.request_id).await;
            assert!(row.state.to_string().starts_with("approved by "), "{}", row.state);
            assert_ne!(row.state.to_string(), "approved by a rule");
        } else {
            assert!(scene.row(asked.request_id).await.is_none());
        }
        assert_eq!(scene.calls(REVIEW), 0);
        assert_eq!(scene.calls(LIST), 0);
        assert!(scene.has_access(asked.token_id), "nobody takes it away");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_change_to_an_approved_token_is_judged_by_itself() {
    let scene = Set::default().open().await;
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    // More than the rules allow: the old access stays, and the answer is nobody's yet.
    let change = scene
        .hub
        .edit_token(first.token_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    assert_ne!(change.request_id, first.request_id);
    scene.until_left_to_people(change.request_id).await;
    assert!(scene.has_access(first.token_id));
    assert_eq!(scene.on_github(change.request_id), "pending");
    assert_eq!(scene.stands(first.request_id).await, "approved by a rule");
    scene.hub.cancel_request(change.request_id).unwrap();
    scene.until_it_stands(change.request_id, "cancelled by the requester").await;
    scene.end().await;
}

#[tokio::test]
async fn the_old_access_of_a_changed_token_is_not_taken_for_the_answer_to_a_lost_call() {
    let scene = Set::default().open().await;
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    // A second passes, as it does between an approval and an edit: GitHub's times are in whole seconds.
    scene.hub.advance(Duration::from_secs(2));
    // Our call is cut before GitHub did anything; then the requester takes the change back, unheard.
    let held = scene.hub.hold(Hold::before(REVIEW));
    let change = scene
        .hub
        .edit_token(first.token_id, |spec| spec.repository_permission("issues", "read"))
        .unwrap();
    soon("the review is sent", held.reached()).await;
    scene.hub.drop_webhooks(true);
    scene.hub.cancel_request(change.request_id).unwrap();
    held.cut();
    scene
        .time_passes_until("it is known to be gone", Duration::from_secs(1), || async {
            scene.stands(change.request_id).await == "gone"
        })
        .await;
    assert!(scene.has_access(first.token_id), "the old access stays");
    assert!(scene.hub.revocations("acme").is_empty());
    scene.end().await;
}

#[tokio::test]
async fn a_change_to_an_approved_token_that_the_rules_allow_is_approved_and_compared() {
    let scene = Set::default().open().await;
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    let change = scene
        .hub
        .edit_token(first.token_id, |spec| spec.repository_permission("issues", "read"))
        .unwrap();
    scene.until_it_stands(change.request_id, "approved by a rule").await;
    assert_eq!(scene.reviews(change.request_id), (1, 0));
    let grants = scene.hub.grants("acme");
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].permissions.repository.get("issues").map(String::as_str), Some("read"));
    assert!(scene.hub.revocations("acme").is_empty());
    scene.end().await;
}
