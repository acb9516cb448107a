//! What strangers may cost us, and what somebody with the webhook's secret can make us believe: little, and nothing that
//! GitHub does not say itself.

use std::time::Duration;

use fakehub::RequestIds;
use patwarden::{
    server::{LARGEST_DELIVERY, WEBHOOK_PATH},
    store::RequestFilter,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::{
    common::{self, INSTALLATIONS, Set, harmless, until, writing},
    post::{EVENT, Post, asked_in_silence, created, stored},
};

/// What a webhook says of a request is kept with it and read with all others that are due: whoever has the secret
/// must not be able to fill the memory for good.
#[tokio::test]
async fn names_of_megabytes_are_not_kept_with_the_request() {
    let scene = Set::default().open().await;
    scene.hub.drop_webhooks(true);
    let long = "x".repeat(5_000_000);
    let asked = scene.ask(harmless("kim"));
    let mut body = created(&scene, asked);
    body["personal_access_token_request"]["id"] = json!(77);
    body["personal_access_token_request"]["token_name"] = json!(long);
    assert_eq!(Post::of(&scene, EVENT, body.to_string()).send(&scene).await, 202);
    let row = until("it is heard of", || scene.row(77)).await;
    assert_eq!(row.token_name.chars().count(), 1_000);
    for (place, id) in
        [("/organization/login", 78), ("/personal_access_token_request/owner/login", 79)]
    {
        let mut body = created(&scene, asked);
        body["personal_access_token_request"]["id"] = json!(id);
        *body.pointer_mut(place).unwrap() = json!(long);
        assert_eq!(Post::of(&scene, EVENT, body.to_string()).send(&scene).await, 202);
        scene.until_read().await;
        assert!(scene.row(id).await.is_none(), "{place}");
    }
    assert_eq!(scene.store().backlog().await.unwrap().unread, 2);
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn a_body_of_tiny_chunks_takes_no_more_of_the_memory_than_it_holds() {
    let scene = Set::default().open().await;
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let mut stream = tokio::net::TcpStream::connect(scene.bot().address).await.unwrap();
        let mut head = format!(
            "POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: bot.example\r\nX-Hub-Signature-256: sha256=00\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        head.extend_from_slice(&b"1\r\nx\r\n".repeat(32_700));
        stream.write_all(&head).await.unwrap();
        strangers.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let large = format!("{{\"padding\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(Post::of(&scene, EVENT, large).send(&scene).await, 202);
    scene.end().await;
}

#[tokio::test]
async fn twenty_five_megabytes_are_taken_and_not_a_byte_more() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    let mut body = serde_json::to_vec(&json!({ "action": "nonsense", "padding": "" })).unwrap();
    body.resize(LARGEST_DELIVERY, b' ');
    let whole = Post::of(&scene, EVENT, body.clone());
    assert_eq!(whole.send(&scene).await, 202);
    let chunked = Post::of(&scene, EVENT, body.clone()).and("Transfer-Encoding", "chunked");
    assert_eq!(chunked.send(&scene).await, 202);
    assert_eq!(stored(&scene).await, before + 2);
    body.push(b' ');
    assert_eq!(Post::of(&scene, EVENT, body.clone()).send(&scene).await, 413);
    let chunked = Post::of(&scene, EVENT, body).and("Transfer-Encoding", "chunked");
    assert_eq!(chunked.send(&scene).await, 413);
    assert_eq!(stored(&scene).await, before + 2);
    scene.end().await;
}

#[tokio::test]
async fn strangers_who_send_slowly_do_not_fill_the_memory_and_go_away_again() {
    let scene = Set::default().open().await;
    let small = Post::of(&scene, EVENT, r#"{"action":"nonsense"}"#);
    let mut large = br#"{"action":"nonsense"}"#.to_vec();
    large.resize(LARGEST_DELIVERY, b' ');
    let large = Post::of(&scene, EVENT, large);
    let mut slow = Vec::new();
    // Three have sent 24 of the 96 MiB that there are for large ones; many have announced as much and sent nothing.
    for sent in [24 * 1024 * 1024; 3].into_iter().chain([0; 10]) {
        let mut stream = tokio::net::TcpStream::connect(scene.bot().address).await.unwrap();
        let head = format!(
            "POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             X-Hub-Signature-256: sha256={}\r\nContent-Length: {LARGEST_DELIVERY}\r\n\r\n",
            "0".repeat(64)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; sent]).await.unwrap();
        slow.push(stream);
    }
    until("a large one is turned away", || async {
        (large.send(&scene).await == 503).then_some(())
    })
    .await;
    assert_eq!(small.send(&scene).await, 202, "a small one still fits");
    drop(slow.drain(..3));
    until("a large one fits, whatever others announce", || async {
        (large.send(&scene).await == 202).then_some(())
    })
    .await;
    scene.end().await;
}

#[tokio::test]
async fn a_webhook_that_claims_less_than_the_list_shows_is_not_believed() {
    let scene = Set::default().open().await;
    let ids = asked_in_silence(&scene, writing("kim"));
    let body = created(&scene, ids).to_string();
    assert_eq!(Post::of(&scene, EVENT, body).send(&scene).await, 202);
    scene.until_left_to_people(ids.request_id).await;
    assert_eq!(scene.on_github(ids.request_id), "pending");
    scene.end().await;
}

#[tokio::test]
async fn a_webhook_about_a_request_that_is_not_there_makes_nothing_happen() {
    let scene = Set::default().open().await;
    let ids = RequestIds { request_id: 999_999, token_id: 999_998, grant_id: None };
    let body = created(&scene, ids).to_string();
    assert_eq!(Post::of(&scene, EVENT, body).send(&scene).await, 202);
    scene
        .time_passes_until("it is known to be gone", Duration::from_secs(5), || async {
            scene.stands(ids.request_id).await == "gone"
        })
        .await;
    assert_eq!(scene.calls(common::REVIEW), 0);
    scene.end().await;
}

#[tokio::test]
async fn hostile_names_go_through_and_reach_nobodys_terminal() {
    let mut scene = Set::default().without_bot().await;
    let log = scene.path("audit.jsonl").display().to_string();
    scene.change(|set| set.flags.push(("audit-log", log)));
    scene.start().await;
    scene.looked_around().await;
    let long = "x".repeat(5_000);
    let names = [
        "\u{202e}gnp.exe\u{2066}",
        "line\nbreak\r\nX-Injected: yes",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "'; DROP TABLE requests; --",
        "<script>alert(1)</script>",
        "{rule} {organization} {{}} %s %n",
        "🦀 naïve ﷽ Z̸̛a̵l̷g̶o̸",
        "\u{0}nul",
        long.as_str(),
        "",
    ];
    for name in names {
        let asked = scene.ask(harmless("kim").named(name).because(name));
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
        assert_eq!(scene.row(asked.request_id).await.unwrap().token_name, name);
        let denied = scene.ask(common::administrating("kim").named(name).because(name));
        scene.until_it_stands(denied.request_id, "denied by a rule").await;
    }
    let log = std::fs::read_to_string(scene.path("audit.jsonl")).unwrap();
    assert!(log.lines().count() >= names.len());
    for line in log.lines() {
        serde_json::from_str::<Value>(line).unwrap();
        assert!(line.len() < 5_000, "{} bytes", line.len());
        let entry: Value = serde_json::from_str(line).unwrap();
        let token = entry["token"].as_str().unwrap();
        let hostile = |letter: char| {
            letter.is_control()
                || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!token.contains(hostile), "{token:?}");
    }
    scene.end().await;
}

#[tokio::test]
async fn other_methods_and_paths_are_not_served() {
    let scene = Set::default().open().await;
    let site = format!("http://{}", scene.bot().address);
    let client = reqwest::Client::new();
    let status = |response: reqwest::Response| response.status().as_u16();
    assert_eq!(status(client.get(format!("{site}{WEBHOOK_PATH}")).send().await.unwrap()), 405);
    assert_eq!(status(client.put(format!("{site}{WEBHOOK_PATH}")).send().await.unwrap()), 405);
    assert_eq!(status(client.post(format!("{site}/")).send().await.unwrap()), 404);
    assert_eq!(status(client.post(format!("{site}{WEBHOOK_PATH}/")).send().await.unwrap()), 404);
    assert_eq!(status(client.get(format!("{site}/healthz")).send().await.unwrap()), 200);
    scene.end().await;
}

/// Somebody has the webhook's secret and nothing else.
#[tokio::test]
async fn a_forged_webhook_cannot_have_us_look_at_another_installation() {
    let scene = Set::default().open().await;
    let before = scene.store().installations().await.unwrap();
    let ids = asked_in_silence(&scene, harmless("kim"));
    scene.hub.reset_calls();
    let mut body = created(&scene, ids);
    body["organization"]["login"] = json!("evil");
    body["installation"] = json!({ "id": 999, "node_id": "x" });
    assert_eq!(Post::of(&scene, EVENT, body.to_string()).send(&scene).await, 202);
    scene.until_it_stands(ids.request_id, "approved by a rule").await;
    let after = scene.store().installations().await.unwrap();
    assert_eq!((after[0].id, &after[0].organization), (before[0].id, &before[0].organization));
    // GitHub is asked where the App really is.
    until("installations are listed", || async { (scene.calls(INSTALLATIONS) > 0).then_some(()) })
        .await;
    // Nor may it invent an organization that has our installation.
    body["organization"]["id"] = json!(424_242);
    body["organization"]["login"] = json!("acme");
    body["installation"]["id"] = json!(before[0].id.0);
    body["action"] = json!("cancelled");
    assert_eq!(Post::of(&scene, EVENT, body.to_string()).send(&scene).await, 202);
    until("the invention is forgotten", || async {
        scene.until_idle().await;
        let rows = scene.store().requests(&RequestFilter { limit: 10, ..Default::default() }).await;
        let heard = rows.unwrap().iter().any(|row| row.organization.id.0 == 424_242);
        (heard && scene.store().installations().await.unwrap().len() == 1).then_some(())
    })
    .await;
    scene.end().await;
}

#[tokio::test]
async fn a_forged_webhook_cannot_hide_a_request_behind_another_token() {
    let scene = Set::default().open().await;
    // More than a page: then the list is asked by token.
    scene.hub.drop_webhooks(true);
    let others: Vec<_> = (0..102)
        .map(|number| scene.ask(writing("ada").named(&format!("other {number}"))).request_id)
        .collect();
    scene.bot().engine.reconcile_soon();
    for request in others {
        scene.until_left_to_people(request).await;
    }
    let ids = asked_in_silence(&scene, harmless("kim"));
    let mut body = created(&scene, ids);
    body["personal_access_token_request"]["token_id"] = json!(999_999);
    assert_eq!(Post::of(&scene, EVENT, body.to_string()).send(&scene).await, 202);
    scene
        .time_passes_until("the forged token is not found", Duration::from_secs(5), || async {
            scene.stands(ids.request_id).await == "gone"
        })
        .await;
    scene.bot().engine.reconcile_soon();
    scene.until_it_stands(ids.request_id, "approved by a rule").await;
    scene.end().await;
}
