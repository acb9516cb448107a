//! Where GitHub cannot reach the bot: it listens to nobody, and finds requests and answers by looking.

use std::time::Duration;

use fakehub::{Repo, RequestIds};

use crate::{
    asking::{
        DAY, HOUR, REVIEWS, SILENT, denied_after_a_week, issues, ours, passes, rules, say, set,
        until_closed,
    },
    common::{LIST, Scene, Set, harmless, soon, writing},
};

/// How often it looks.
const LOOK: Duration = Duration::from_secs(30);

#[tokio::test]
async fn without_webhooks_requests_are_found_by_lists_and_no_other_machine_reaches_the_port() {
    let scene = Set::default()
        .flag("webhook", "off")
        .flag("reconcile-interval", "30s")
        .flag("listen", "0.0.0.0:0")
        .open()
        .await;
    let asked = scene.ask(harmless("kim"));
    soon("GitHub tries", scene.hub.webhooks_sent()).await;
    for delivery in scene.hub.deliveries() {
        assert_eq!(delivery.status_code, 404, "there is no such place");
        assert!(delivery.url.starts_with("http://127.0.0.1:"), "{}", delivery.url);
    }
    assert_eq!((scene.calls(LIST), scene.on_github(asked.request_id)), (0, "pending".to_owned()));
    scene.clock.push(LOOK);
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

/// A bot that hears nothing, and a request about which people are asked.
async fn asked_unheard() -> (Scene, RequestIds, u64) {
    let mut scene = set(&rules(SILENT), Repo::private(REVIEWS)).await;
    scene.change(|set| {
        set.flags.push(("webhook", "off".to_owned()));
        set.flags.push(("reconcile-interval", "30s".to_owned()));
    });
    scene.start().await;
    scene.looked_around().await;
    let asked = scene.ask(writing("ben"));
    scene.both_clocks_until("it is asked", LOOK, || async { issues(&scene).len() == 1 }).await;
    scene.until_idle().await;
    let issue = issues(&scene).remove(0).number;
    (scene, asked, issue)
}

#[tokio::test]
async fn an_answer_that_was_changed_and_restored_between_two_looks_does_not_count() {
    let (scene, bens, issue) = asked_unheard().await;
    let answer = scene.hub.comment("acme", REVIEWS, issue, "olga", "/approve").unwrap();
    for text in ["/deny no", "/approve"] {
        scene.both_clocks(Duration::from_secs(2));
        scene.hub.edit_comment("acme", REVIEWS, answer.id, "martin", text).unwrap();
    }
    let told = |scene: &Scene| {
        let issue = issues(scene).remove(0);
        ours(&issue).any(|said| said.contains("was changed after it was written"))
    };
    scene.both_clocks_until("it does not count", LOOK, || async { told(&scene) }).await;
    scene.until_idle().await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    // As it is written, it counts with the next look.
    say(&scene, issue, "olga", "/approve");
    scene.both_clocks(LOOK);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "approved");
    until_closed(&scene, issue).await;
    scene.end().await;
}

/// Of a comment that was changed before it was read nobody knows what it said: perhaps an answer.
#[tokio::test]
async fn an_answer_that_was_changed_into_chatter_between_two_looks_is_no_silence() {
    let (scene, bens, issue) = asked_unheard().await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    let answer = scene.hub.comment("acme", REVIEWS, issue, "olga", "/approve").unwrap();
    scene.both_clocks(Duration::from_secs(2));
    scene.hub.edit_comment("acme", REVIEWS, answer.id, "martin", "A nice day.").unwrap();
    passes(&scene, DAY + HOUR).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    // Who did it is not known, so nobody is called: the issue says until when they have time by now.
    assert_eq!(scene.alarms(bens.request_id), 0);
    // The requester's own words are no answer, and whoever asks gains no time by changing them.
    let own = scene.hub.comment("acme", REVIEWS, issue, "ben", "please").unwrap();
    scene.both_clocks(Duration::from_secs(2));
    scene.hub.edit_comment("acme", REVIEWS, own.id, "ben", "please!").unwrap();
    denied_after_a_week(&scene, bens, issue).await;
    scene.end().await;
}
