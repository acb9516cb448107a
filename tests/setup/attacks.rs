//! Who forges what comes back from GitHub, or what GitHub says; who sends forms of their own; what is written over.

use std::time::{Duration, Instant};

use fakehub::Fault;
use patwarden::{
    clock::Clock,
    server::setup::{Open, OpenError},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{CONVERT, FILES, Stage, options};

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_forged_missing_doubled_old_or_used_fetches_nothing() {
    let stage = Stage::open().await;
    assert_eq!(
        stage.get("/back?code=abc&state=").await.status,
        StatusCode::FORBIDDEN,
        "none was given out"
    );
    let back = stage.sent_back().await;
    let state = back.rsplit("state=").next().unwrap().to_owned();
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let forged = format!("{}{}", &state[..63], if state.ends_with('0') { '1' } else { '0' });
    for query in [
        format!("code={code}"),
        format!("code={code}&state="),
        format!("code={code}&state={forged}"),
        format!("code={code}&state={}", &state[..32]),
        format!("code={code}&state={state}&state={state}"),
    ] {
        let answer = stage.get(&format!("/back?{query}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{query}");
    }
    assert_eq!(stage.exchanges(), 0);
    // A second page with other choices: what was given out before counts no more.
    let newer = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::FORBIDDEN);
    // The right one with a code that is none is used up by that.
    let newer_state = newer.rsplit("state=").next().unwrap().to_owned();
    let answer = stage.get(&format!("/back?code=..%2Fapp&state={newer_state}")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text);
    assert_eq!(stage.get(&newer).await.status, StatusCode::FORBIDDEN);
    let late = stage.sent_back().await;
    stage.clock.push(Duration::from_secs(3_601));
    assert_eq!(stage.get(&late).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.exchanges(), 0);
    stage.nothing_is_written();
    stage.stop.cancel();
    assert!(stage.over().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_pages_are_not_taken_and_every_answer_is_closed_to_them() {
    let stage = Stage::open().await;
    let first = stage.get("/").await;
    let policy = first.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(policy.contains("form-action 'self';"), "{policy}");
    assert!(!first.text.contains("<script"), "no script is needed");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "strict-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(first.header(name), value);
    }
    let own = format!("http://{}", stage.address);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let answer = stage.choose(&[("origin", origin)], &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let site = stage.hub.api_url();
    let without = [("host", site.as_str()), ("organization", "acme")];
    let answer = stage.call(Method::POST, "/app", &[("origin", &own)], &without).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "no token");
    let guessed = [("token", "guessed"), ("host", site.as_str()), ("organization", "acme")];
    let answer = stage.call(Method::POST, "/app", &[("origin", &own)], &guessed).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "another token");
    let token = first.after("name=\"token\" value=\"");
    let text = stage.http.post(format!("{own}/app")).header("cookie", &stage.cookie);
    let text = text.header("content-type", "text/plain");
    let answer = text.body(format!("token={token}&host={site}&organization=acme")).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::FORBIDDEN, "what no form of ours sends");
    let review = stage.choose(&[("origin", &own)], &[]).await;
    let policy = review.header("content-security-policy");
    assert!(policy.contains(&format!("form-action 'self' {site};")), "{policy}");
    // What people type comes back as text.
    let hostile = "\"><script>alert(1)</script>";
    let wrong = stage.choose(&[], &[("organization", hostile)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.text.contains("<script"), "{}", wrong.text);
    let huge = "x".repeat(20_000);
    assert_eq!(stage.choose(&[], &[("webhook", &huge)]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_github_answers_that_is_no_app_leaves_nothing_behind() {
    let stage = Stage::open().await;
    let huge = "x".repeat(2_000_000);
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nTOPSECRET\n-----END RSA PRIVATE KEY-----\n";
    let faults = [
        ("refused", Fault::on(CONVERT).status(404)),
        ("not processed", Fault::on(CONVERT).status(422)),
        ("broken", Fault::on(CONVERT).status(500)),
        ("mute", Fault::on(CONVERT).mute()),
        ("half", Fault::on(CONVERT).half()),
        ("huge", Fault::on(CONVERT).answer(201, json!({ "id": 7, "slug": huge, "pem": pem }))),
        ("empty", Fault::on(CONVERT).answer(201, json!({}))),
        (
            "of another kind",
            Fault::on(CONVERT).answer(201, json!({ "id": "TOPSECRET", "slug": "x", "pem": pem })),
        ),
        (
            "with a key that is none",
            Fault::on(CONVERT).answer(201, json!({ "id": 7, "slug": "x", "pem": pem })),
        ),
        (
            "with a slug that is a path",
            Fault::on(CONVERT).answer(
                201,
                json!({ "id": 7, "slug": "../x", "pem": stage.hub.app().private_key_pem }),
            ),
        ),
    ];
    for (what, fault) in faults {
        let back = stage.sent_back().await;
        let fault = stage.hub.fault(fault.times(1));
        let began = Instant::now();
        let answer = stage.get(&back).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{what}: {}", answer.text);
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        assert!(!answer.text.contains("TOPSECRET"), "{what}");
        assert!(
            answer.text.contains("/organizations/acme/settings/apps"),
            "{what}: {}",
            answer.text
        );
        assert_eq!(stage.hub.fault_fired(fault), 1, "{what}");
        stage.hub.clear_fault(fault);
        stage.nothing_is_written();
    }
    let back = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::OK, "and then it works");
    stage.over().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_never_written_over() {
    let stage = Stage::open().await;
    let back = stage.sent_back().await;
    // Made while the page was open.
    std::fs::create_dir_all(stage.path("")).unwrap();
    std::fs::write(stage.path("patwarden.pem"), "mine").unwrap();
    let answer = stage.get(&back).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text.contains("nothing is written over it"), "{}", answer.text);
    assert_eq!(stage.exchanges(), 0, "what has no place is not fetched");
    assert_eq!(std::fs::read_to_string(stage.path("patwarden.pem")).unwrap(), "mine");
    assert!(!stage.path("patwarden.toml").exists());
    // And there from the first: no page at all. A link that leads nowhere is something, too.
    for name in FILES {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join(name)).unwrap();
        let refused = Open::bind(options(&stage.hub, folder.path().to_owned()), Clock::system());
        assert!(matches!(refused, Err(OpenError::Files(_))), "{name}");
    }
}
