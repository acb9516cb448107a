//! Where GitHub cannot reach the bot: it listens to nobody, and finds requests by looking.

use std::time::Duration;

use crate::common::{LIST, Set, harmless, soon};

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
    scene.clock.push(Duration::from_secs(30));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}
