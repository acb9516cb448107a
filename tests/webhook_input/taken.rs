//! What is taken: whatever is signed over the bytes as they came, once, whatever became of its headers; and what is
//! understood of it.

use fakehub::{ContentType, signature};
use patwarden::{server::Secrets, store::UNNAMED_EVENT};
use serde_json::{Value, json};

use crate::{
    common::{Set, harmless, soon, until},
    post::{EVENT, Post, asked_in_silence, created, stored},
};

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
