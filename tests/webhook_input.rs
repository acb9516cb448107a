//! What arrives at the webhook's address: signed or not, whole or not, understood or not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{INSTALLATIONS, Scene, Set, harmless, soon, until, writing};
use fakehub::{ContentType, RequestIds, TokenSpec, signature};
use patwarden::{
    server::{LARGEST_DELIVERY, Secrets, WEBHOOK_PATH},
    store::{RequestFilter, UNNAMED_EVENT},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const EVENT: &str = "personal_access_token_request";

/// A POST that can be got wrong in every way.
struct Post {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Post {
    /// Right in every way, with GitHub's headers.
    fn of(scene: &Scene, event: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let guid = format!(
            "{:032x}",
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
        );
        let guid = format!(
            "{}-{}-{}-{}-{}",
            &guid[..8],
            &guid[8..12],
            &guid[12..16],
            &guid[16..20],
            &guid[20..]
        );
        let signed = signature(&scene.hub.app().webhook_secret, &body);
        let headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", "GitHub-Hookshot/044aadd"),
            ("X-GitHub-Delivery", guid.as_str()),
            ("X-GitHub-Event", event),
            ("X-GitHub-Hook-ID", "475001"),
            ("X-Hub-Signature-256", signed.as_str()),
        ];
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Self { headers, body }
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    fn and(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).and(name, value)
    }

    fn header(&self, name: &str) -> Vec<u8> {
        self.headers.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    /// Sends it over a connection of its own; gives the status, whatever became of the rest.
    async fn send(&self, scene: &Scene) -> u16 {
        let mut stream = tokio::net::TcpStream::connect(scene.bot().address).await.unwrap();
        let mut head =
            format!("POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: bot.example\r\nConnection: close\r\n")
                .into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(format!("{name}: ").as_bytes());
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
            head.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let (mut read, mut write) = stream.split();
        let send = async {
            // Refused before the end: then the rest cannot be sent, and need not be.
            let _ = write.write_all(&head).await;
            if self.headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
                for chunk in self.body.chunks(64 * 1024) {
                    let size = format!("{:x}\r\n", chunk.len());
                    let sent = async {
                        write.write_all(size.as_bytes()).await?;
                        write.write_all(chunk).await?;
                        write.write_all(b"\r\n").await
                    };
                    if sent.await.is_err() {
                        break;
                    }
                }
                let _ = write.write_all(b"0\r\n\r\n").await;
            } else {
                let _ = write.write_all(&self.body).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let receive = async {
            let mut some = [0; 4096];
            loop {
                match read.read(&mut some).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => answer.extend_from_slice(&some[..count]),
                }
                if answer.windows(4).any(|four| four == b"\r\n\r\n") {
                    break;
                }
            }
        };
        tokio::select! {
            () = send => {}
            () = receive => {}
            () = tokio::time::sleep(common::PATIENCE) => panic!("no answer"),
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("`{text}`"))
    }
}

/// A `created` event as GitHub sends it, about a request that is there.
fn created(scene: &Scene, ids: RequestIds) -> Value {
    let organization = scene.hub.world(|world| world.organization("acme").unwrap().id);
    let owner = scene.hub.world(|world| world.user("kim").unwrap().id);
    json!({
        "action": "created",
        "personal_access_token_request": {
            "id": ids.request_id,
            "owner": { "login": "kim", "id": owner, "type": "User", "gravatar_id": "", "site_admin": false },
            "permissions_added": { "repository": { "contents": "read", "metadata": "read" } },
            "permissions_upgraded": {},
            "permissions_result": { "repository": { "contents": "read", "metadata": "read" } },
            "repository_selection": "subset",
            "repository_count": 1,
            "repositories": [{ "id": 1, "node_id": "R_1", "name": "web", "full_name": "acme/web", "private": true }],
            "created_at": "2026-11-21T09:08:47.000-07:00",
            "token_id": ids.token_id,
            "token_name": "kim-reads",
            "token_expired": false,
            "token_expires_at": "2026-12-21T09:08:47Z",
            "token_last_used_at": null,
        },
        "organization": { "login": "acme", "id": organization },
        "sender": { "login": "kim", "id": owner, "type": "User" },
    })
}

/// Somebody asks, and GitHub's own webhook is lost: the test sends its own.
fn asked_in_silence(scene: &Scene, spec: TokenSpec) -> RequestIds {
    scene.hub.drop_webhooks(true);
    let ids = scene.ask(spec);
    scene.hub.drop_webhooks(false);
    ids
}

async fn stored(scene: &Scene) -> i64 {
    scene.store().backlog().await.unwrap().stored
}

#[test]
fn githubs_published_test_vector_is_verified() {
    // https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
    let secrets = Secrets::new(&["It's a Secret to Everybody".into()]).unwrap();
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert!(secrets.verify(b"Hello, World!", &format!("sha256={digits}")));
    assert!(secrets.verify(b"Hello, World!", &format!("sha256={}", digits.to_uppercase())));
    for wrong in [
        digits.to_owned(),
        format!("sha1={digits}"),
        format!("SHA256={digits}"),
        format!("sha256= {digits}"),
        format!("sha256={}", &digits[..62]),
        format!("sha256={digits}00"),
        format!("sha256={}x", &digits[..63]),
        format!("sha256={}", "0".repeat(64)),
        "sha256=".to_owned(),
        String::new(),
    ] {
        assert!(!secrets.verify(b"Hello, World!", &wrong), "{wrong}");
    }
    assert!(!secrets.verify(b"Hello, World", &format!("sha256={digits}")));
    assert!(!secrets.verify(b"", &format!("sha256={digits}")));
}

#[test]
fn a_bot_without_a_secret_does_not_start() {
    assert!(Secrets::new(&[]).is_err());
    assert!(Secrets::new(&["".into()]).is_err());
    assert!(Secrets::new(&["good".into(), "".into()]).is_err());
}

#[tokio::test]
async fn each_of_several_secrets_may_have_signed_and_no_other() {
    let scene =
        Set::default().environment("GITHUB_WEBHOOK_SECRET", "the-old-one,the-new-one").open().await;
    let body = br#"{"action":"nonsense"}"#;
    for (secret, status) in [
        ("the-old-one", 202),
        ("the-new-one", 202),
        ("another", 401),
        ("the-old-one,the-new-one", 401),
    ] {
        let post =
            Post::of(&scene, EVENT, &body[..]).with("X-Hub-Signature-256", signature(secret, body));
        assert_eq!(post.send(&scene).await, status, "{secret}");
    }
    scene.end().await;
}

#[tokio::test]
async fn the_signature_is_over_the_bytes_as_they_came() {
    let scene = Set::default().open().await;
    let spaced = b"{ \"action\" :\t\"nonsense\" }\r\n";
    assert_eq!(Post::of(&scene, EVENT, &spaced[..]).send(&scene).await, 202);
    let mut other = Post::of(&scene, EVENT, &spaced[..]);
    other.body = serde_json::to_vec(&serde_json::from_slice::<Value>(spaced).unwrap()).unwrap();
    assert_eq!(other.send(&scene).await, 401, "the same JSON in other bytes");
    let mut truncated = Post::of(&scene, EVENT, &spaced[..]);
    truncated.body.pop();
    assert_eq!(truncated.send(&scene).await, 401);
    let not_text = [0xff, 0xfe, 0x00, 0x80];
    assert_eq!(
        Post::of(&scene, EVENT, not_text).send(&scene).await,
        202,
        "signed, and kept unread"
    );
    let sha1_only = Post::of(&scene, EVENT, &spaced[..])
        .without("X-Hub-Signature-256")
        .and("X-Hub-Signature", format!("sha1={}", "0".repeat(40)));
    assert_eq!(sha1_only.send(&scene).await, 401);
    scene.end().await;
}

#[tokio::test]
async fn what_is_not_signed_once_is_refused_without_a_trace() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    let right = || Post::of(&scene, EVENT, r#"{"action":"nonsense"}"#);
    let signed = right().header("X-Hub-Signature-256");
    let cases: Vec<(&str, Post)> = vec![
        ("no signature", right().without("X-Hub-Signature-256")),
        ("an empty signature", right().with("X-Hub-Signature-256", "")),
        ("two signatures", right().and("X-Hub-Signature-256", &signed)),
        ("a right and a wrong one", right().and("X-Hub-Signature-256", "sha256=00")),
        ("a signature that is no text", right().with("X-Hub-Signature-256", [0xff, 0x80])),
        (
            "two in one",
            right().with("X-Hub-Signature-256", [&signed[..], b", ", &signed[..]].concat()),
        ),
        (
            "nothing else that could be read",
            right().without("X-GitHub-Event").with("X-Hub-Signature-256", "sha256=00"),
        ),
    ];
    for (what, post) in cases {
        assert_eq!(post.send(&scene).await, 401, "{what}");
    }
    assert_eq!(stored(&scene).await, before, "nothing of that was stored");
    scene.end().await;
}

/// A signed delivery whose event can be told works, whatever else of its headers was lost on the way.
#[tokio::test]
async fn headers_that_are_lost_doubled_or_malformed_lose_no_delivery() {
    let long = "x".repeat(101);
    type Spoil<'a> = Box<dyn Fn(Post) -> Post + 'a>;
    // Without an id of its own, the same bytes again are the same delivery.
    let cases: Vec<(&str, i64, Spoil<'_>)> = vec![
        ("no delivery", 1, Box::new(|post| post.without("X-GitHub-Delivery"))),
        ("an empty delivery", 1, Box::new(|post| post.with("X-GitHub-Delivery", ""))),
        ("two deliveries", 1, Box::new(|post| post.and("X-GitHub-Delivery", "another"))),
        ("a delivery with a space", 1, Box::new(|post| post.with("X-GitHub-Delivery", "a b"))),
        ("a delivery beyond reason", 1, Box::new(|post| post.with("X-GitHub-Delivery", &long))),
        ("a hook that is no number", 2, Box::new(|post| post.with("X-GitHub-Hook-ID", "seven"))),
        ("two hooks", 2, Box::new(|post| post.and("X-GitHub-Hook-ID", "1"))),
        (
            "a hook beyond i64",
            2,
            Box::new(|post| post.with("X-GitHub-Hook-ID", "9223372036854775808")),
        ),
        ("another content type", 2, Box::new(|post| post.with("Content-Type", "text/plain"))),
        ("no content type", 2, Box::new(|post| post.without("Content-Type"))),
        ("two content types", 2, Box::new(|post| post.and("Content-Type", "application/json"))),
    ];
    let scene = Set::default().open().await;
    for (number, (what, kept, spoil)) in cases.iter().enumerate() {
        let ids = asked_in_silence(&scene, harmless("kim").named(&format!("n{number}")));
        scene.hub.drop_webhooks(true);
        let before = stored(&scene).await;
        for _ in 0..2 {
            let post = spoil(Post::of(&scene, EVENT, created(&scene, ids).to_string()));
            assert_eq!(post.send(&scene).await, 202, "{what}");
        }
        scene.until_it_stands(ids.request_id, "approved by a rule").await;
        assert_eq!(stored(&scene).await, before + kept, "{what}");
    }
    assert_eq!(scene.store().backlog().await.unwrap().unread, 0);
    scene.end().await;
}

#[tokio::test]
async fn a_delivery_that_names_no_single_event_is_kept_counted_and_shown() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    let body = r#"{"action":"nonsense"}"#;
    let right = || Post::of(&scene, EVENT, body);
    let posts = vec![
        ("no event", right().without("X-GitHub-Event")),
        ("an empty event", right().with("X-GitHub-Event", "")),
        ("two events", right().and("X-GitHub-Event", EVENT)),
        ("an event that is no text", right().with("X-GitHub-Event", [0xff])),
    ];
    let count = i64::try_from(posts.len()).unwrap();
    for (what, post) in &posts {
        assert_eq!(post.send(&scene).await, 202, "{what}");
        assert_eq!(post.send(&scene).await, 202, "{what}, again");
    }
    let bare = right().without("X-GitHub-Event").without("X-GitHub-Delivery");
    assert_eq!(bare.send(&scene).await, 202, "nothing but a signature");
    assert_eq!(stored(&scene).await, before + count + 1);
    until("all are read", || async {
        (scene.store().backlog().await.unwrap().unprocessed == 0).then_some(())
    })
    .await;
    assert_eq!(scene.store().backlog().await.unwrap().unread, count + 1);
    let shown = scene.store().unread_deliveries(100).await.unwrap();
    assert!(
        shown.iter().all(|one| one.event == UNNAMED_EVENT && one.why.contains("X-GitHub-Event"))
    );
    // In company, those that can be read are.
    let ids = asked_in_silence(&scene, harmless("kim"));
    let event = Post::of(&scene, EVENT, created(&scene, ids).to_string());
    let unnamed: Vec<Post> = (0..20).map(|_| right().without("X-GitHub-Event")).collect();
    let all = futures_util::future::join_all(unnamed.iter().map(|post| post.send(&scene)));
    let (statuses, status) = tokio::join!(all, event.send(&scene));
    assert_eq!((statuses, status), (vec![202; 20], 202));
    scene.until_it_stands(ids.request_id, "approved by a rule").await;
    assert_eq!(scene.store().backlog().await.unwrap().unread, count + 21);
    scene.end().await;
}

#[tokio::test]
async fn headers_that_are_unusual_and_right_are_taken() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    let right = || Post::of(&scene, EVENT, r#"{"action":"nonsense"}"#);
    let fine: Vec<(&str, Post)> = vec![
        ("no hook", right().without("X-GitHub-Hook-ID")),
        ("a charset", right().with("Content-Type", "application/json; charset=utf-8")),
        ("capitals", right().with("Content-Type", "Application/JSON")),
        ("a delivery that is no UUID", right().with("X-GitHub-Delivery", "delivery-1")),
    ];
    let count = i64::try_from(fine.len()).unwrap();
    for (what, post) in fine {
        assert_eq!(post.send(&scene).await, 202, "{what}");
    }
    assert_eq!(stored(&scene).await, before + count);
    scene.end().await;
}

#[tokio::test]
async fn one_guid_of_two_hooks_is_two_deliveries_and_one_guid_in_two_spellings_is_one() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    let guid = "0b989ba4-242f-11e5-81e1-c7b6966d2516";
    let post = |hook: &str, guid: &str| {
        Post::of(&scene, EVENT, r#"{"action":"nonsense"}"#)
            .with("X-GitHub-Delivery", guid)
            .with("X-GitHub-Hook-ID", hook)
    };
    for (hook, guid, count) in
        [("1", guid, 1), ("1", guid, 1), ("1", guid.to_uppercase().as_str(), 1), ("2", guid, 2)]
    {
        assert_eq!(post(hook, guid).send(&scene).await, 202);
        assert_eq!(stored(&scene).await, before + count, "{hook} {guid}");
    }
    scene.end().await;
}

#[tokio::test]
async fn the_same_delivery_many_times_at_once_is_stored_once() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    let post = Post::of(&scene, EVENT, r#"{"action":"nonsense"}"#);
    let all = (0..40).map(|_| post.send(&scene));
    let statuses = futures_util::future::join_all(all).await;
    assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    assert_eq!(stored(&scene).await, before + 1);
    scene.end().await;
}

#[tokio::test]
async fn a_form_is_as_good_as_json() {
    let scene = Set::default().open().await;
    scene.hub.set_webhook_content_type(ContentType::Form);
    let asked = scene.ask(harmless("kim").named("100% + & = ü").because("a+b&c=d%20"));
    let row = scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(row.token_name, "100% + & = ü");
    let form = "application/x-www-form-urlencoded";
    // Whatever is not understood of it is kept: also a form without a payload.
    let bodies = [
        "payload=%7B%22action%22%3A%22nonsense%22%7D",
        "other=1&payload=%7B%7D",
        "payload=",
        "other=1",
        "",
        "{\"action\":\"created\"}",
    ];
    for body in bodies {
        let post = Post::of(&scene, EVENT, body).with("Content-Type", form);
        assert_eq!(post.send(&scene).await, 202, "{body}");
    }
    until("all are read", || async {
        (scene.store().backlog().await.unwrap().unread == 6).then_some(())
    })
    .await;
    scene.end().await;
}

#[tokio::test]
async fn json_that_is_called_a_form_is_read_as_json_whatever_stands_in_it() {
    let scene = Set::default().open().await;
    let planted = serde_json::json!({"action": "created"}).to_string().replace('"', "%22");
    let name = format!("x&payload={planted}&y");
    let ids = asked_in_silence(&scene, harmless("kim").named(&name));
    let mut body = created(&scene, ids);
    body["personal_access_token_request"]["token_name"] = json!(name);
    let post = Post::of(&scene, EVENT, body.to_string())
        .with("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(post.send(&scene).await, 202);
    scene.until_it_stands(ids.request_id, "approved by a rule").await;
    assert_eq!(scene.store().backlog().await.unwrap().unread, 0);
    scene.end().await;
}

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
async fn events_that_are_not_for_us_are_answered_and_not_stored() {
    let scene = Set::default().open().await;
    let before = stored(&scene).await;
    for event in [
        "ping",
        "push",
        "issue_comment",
        "installation_repositories",
        "member",
        "invented_tomorrow",
    ] {
        assert_eq!(Post::of(&scene, event, "{}").send(&scene).await, 204, "{event}");
        let unsigned = Post::of(&scene, event, "{}").with("X-Hub-Signature-256", "sha256=00");
        assert_eq!(unsigned.send(&scene).await, 401, "{event}");
    }
    scene.hub.ping();
    soon("the ping arrives", scene.hub.webhooks_sent()).await;
    assert_eq!(scene.hub.deliveries().last().unwrap().status_code, 204);
    assert_eq!(stored(&scene).await, before);
    scene.end().await;
}

#[tokio::test]
async fn what_is_signed_and_not_understood_is_kept_counted_and_shown() {
    let scene = Set::default().open().await;
    let ids = asked_in_silence(&scene, harmless("kim"));
    let changed = |change: fn(&mut Value)| {
        let mut body = created(&scene, ids);
        change(&mut body);
        serde_json::to_vec(&body).unwrap()
    };
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("no JSON", b"payload".to_vec()),
        ("nothing", Vec::new()),
        ("half of it", changed(|_| {})[..200].to_vec()),
        ("no text", vec![0xff, 0xfe]),
        ("an array", b"[]".to_vec()),
        ("another action", changed(|body| body["action"] = "escalated".into())),
        ("no action", changed(|body| drop(body.as_object_mut().unwrap().remove("action")))),
        (
            "no request",
            changed(|body| {
                drop(body.as_object_mut().unwrap().remove("personal_access_token_request"))
            }),
        ),
        (
            "no organization",
            changed(|body| drop(body.as_object_mut().unwrap().remove("organization"))),
        ),
        (
            "an id that is text",
            changed(|body| body["personal_access_token_request"]["id"] = "1".into()),
        ),
        (
            "an id with a fraction",
            changed(|body| body["personal_access_token_request"]["id"] = json!(1.5)),
        ),
        (
            "an id beyond i64",
            changed(|body| body["personal_access_token_request"]["id"] = json!(u64::MAX)),
        ),
        ("no owner", changed(|body| body["personal_access_token_request"]["owner"] = Value::Null)),
        ("nested without end", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
    ];
    let count = i64::try_from(bodies.len()).unwrap();
    for (what, body) in bodies {
        assert_eq!(Post::of(&scene, EVENT, body).send(&scene).await, 202, "{what}");
    }
    until("all are read", || async {
        (scene.store().backlog().await.unwrap().unprocessed == 0).then_some(())
    })
    .await;
    assert_eq!(scene.store().backlog().await.unwrap().unread, count);
    let shown = scene.store().unread_deliveries(100).await.unwrap();
    assert_eq!(i64::try_from(shown.len()).unwrap(), count);
    assert!(shown.iter().all(|one| !one.why.is_empty() && one.event == EVENT));
    assert!(scene.row(ids.request_id).await.is_none());
    // Nothing of that stands in the way of what is understood.
    assert_eq!(Post::of(&scene, EVENT, created(&scene, ids).to_string()).send(&scene).await, 202);
    scene.until_it_stands(ids.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn what_is_unusual_and_allowed_is_understood() {
    type Edit = fn(&mut Value);
    let cases: Vec<(&str, Edit)> = vec![
        ("as documented", |_| {}),
        ("unknown fields", |body| {
            body["invented"] = json!({ "tomorrow": [1, 2, 3] });
            body["personal_access_token_request"]["also"] = json!("this");
            body["organization"]["and"] = Value::Null;
        }),
        ("no token fields", |body| {
            let request = body["personal_access_token_request"].as_object_mut().unwrap();
            request.remove("token_id");
            request.remove("token_name");
        }),
        ("token fields that are null", |body| {
            body["personal_access_token_request"]["token_id"] = Value::Null;
            body["personal_access_token_request"]["token_name"] = Value::Null;
        }),
        ("gravatar_id null", |body| {
            body["personal_access_token_request"]["owner"]["gravatar_id"] = Value::Null;
            body["sender"]["gravatar_id"] = Value::Null;
        }),
        ("repositories null", |body| {
            body["personal_access_token_request"]["repositories"] = Value::Null;
            body["personal_access_token_request"]["repository_count"] = Value::Null;
        }),
        ("other offsets", |body| {
            body["personal_access_token_request"]["created_at"] =
                "2026-11-21T21:53:47.123456+05:45".into();
            body["personal_access_token_request"]["token_expires_at"] =
                "2026-12-21T09:08:47-11:00".into();
        }),
        ("times that are none", |body| {
            body["personal_access_token_request"]["created_at"] = "yesterday".into();
            body["personal_access_token_request"]["token_expires_at"] = Value::Null;
        }),
        ("unknown permissions and levels", |body| {
            body["personal_access_token_request"]["permissions_result"] = json!({ "repository": { "time_travel": "sideways" }, "galaxy": { "stars": "write" } });
        }),
        ("another selection", |body| {
            body["personal_access_token_request"]["repository_selection"] = "selected".into();
        }),
        ("no sender", |body| drop(body.as_object_mut().unwrap().remove("sender"))),
        ("an enterprise without a website", |body| {
            body["enterprise"] = json!({ "id": 1, "slug": "acme", "website_url": "" });
        }),
    ];
    for (what, change) in cases {
        let scene = Set::default().open().await;
        let ids = asked_in_silence(&scene, harmless("kim"));
        let mut body = created(&scene, ids);
        change(&mut body);
        assert_eq!(Post::of(&scene, EVENT, body.to_string()).send(&scene).await, 202, "{what}");
        // The list decides, and what the webhook claims of permissions is not believed.
        let row = scene.until_it_stands(ids.request_id, "approved by a rule").await;
        assert!(row.token_id.is_some(), "{what}");
        assert_eq!(scene.store().backlog().await.unwrap().unread, 0, "{what}");
        scene.end().await;
    }
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
async fn names_and_permissions_nobody_has_heard_of_are_never_approved() {
    let scene = Set::default().open().await;
    let specs = [
        harmless("kim").repository_permission("time_travel", "read"),
        harmless("kim").repository_permission("contents", "sideways"),
        harmless("kim").organization_permission("teleportation", "read"),
        harmless("kim").other_permission("anything", "read"),
    ];
    for (number, spec) in specs.into_iter().enumerate() {
        let asked = scene.ask(spec.named(&format!("n{number}")));
        scene.until_left_to_people(asked.request_id).await;
        assert_eq!(scene.on_github(asked.request_id), "pending");
    }
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
