//! `patwarden deliveries` as somebody types it who wonders where a webhook went.

use crate::common::{Scene, Set, harmless, shell::run, soon};

const AGAIN: &str = "apps/redeliver-webhook-delivery";

/// Two requests whose webhooks found nobody; a stranger named one of the tokens. The bot looks for nothing by itself.
async fn two_lost() -> (Scene, Vec<fakehub::RequestIds>) {
    let scene = Set::default().open().await;
    let there = format!("http://{}{}", scene.bot().address, patwarden::server::WEBHOOK_PATH);
    scene.hub.set_webhook_url("http://127.0.0.1:9/webhooks/github");
    let names = ["nightly", "\u{1b}[31m\u{202e}evil"];
    let asked = names.map(|name| scene.ask(harmless("kim").named(name))).to_vec();
    soon("they are tried", scene.hub.webhooks_sent()).await;
    scene.hub.set_webhook_url(&there);
    (scene, asked)
}

#[tokio::test]
async fn what_is_missing_is_listed_shown_and_asked_for_once_somebody_types_how_many() {
    let (scene, asked) = two_lost().await;
    let (out, error, code) = run(&scene, "patwarden deliveries list --failed", "").await;
    assert_eq!(code, 0, "{error}");
    assert_eq!(out.matches("MISSING").count(), 3, "each, and what it means: {out}");
    assert!(out.contains("MISSING   it did not arrive, and is needed"), "{out}");
    assert!(out.contains("personal_access_token_re"), "{out}");
    // What the next command asks for is never cut.
    let guid = out.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(guid.len(), 36, "{out}");
    assert!(out.contains("2 deliveries; 2 missing"), "{out}");

    let line = "patwarden deliveries redeliver --failed --dry-run";
    let (out, _, code) = run(&scene, line, "").await;
    assert!(out.contains("that was a dry run") && code == 0, "{out}");
    let line = "patwarden deliveries redeliver --failed";
    let (out, _, code) = run(&scene, line, "3\n").await;
    assert!(out.contains("Nothing was asked for.") && code == 1, "{out}");
    assert_eq!(scene.calls(AGAIN), 0);

    let (out, error, code) = run(&scene, line, "2\n").await;
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(out.matches("GitHub sends it again").count(), 2, "{out}");
    for ids in &asked {
        scene.until_it_stands(ids.request_id, "approved by a rule").await;
    }
    let (out, _, _) = run(&scene, "patwarden deliveries list --failed", "").await;
    assert!(out.contains("Nothing that we read is missing."), "{out}");
    // Each word of the table is explained below it, and by --help.
    let (out, _, _) = run(&scene, "patwarden deliveries list", "").await;
    assert!(out.contains("\nstored    it arrived, and patwarden keeps it"), "{out}");
    assert!(!out.contains("MISSING"), "{out}");
    let (out, _, _) = run(&scene, "patwarden deliveries list --help", "").await;
    for word in ["stored", "answered", "unread", "MISSING"] {
        assert!(out.contains(&format!("\n  {word:<9} ")), "{word} in {out}");
    }
    let (out, _, _) = run(&scene, "patwarden deliveries list --json", "").await;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |guid: &str| {
        let all = json.as_array().unwrap();
        all.iter().find(|sent| sent["attempt"]["guid"] == guid).unwrap().clone()
    };
    let lost = scene.hub.deliveries().into_iter().find(|one| one.status_code != 202).unwrap();
    let lost = of(&lost.guid);
    assert_eq!(
        (&lost["held"], &lost["attempts"], &lost["missed"]["asked"]),
        (&true.into(), &2.into(), &1.into())
    );
    scene.end().await;
}

#[tokio::test]
async fn a_delivery_is_shown_with_headers_and_bodies_and_nothing_in_it_steers_a_terminal() {
    let (scene, _) = two_lost().await;
    for sent in scene.hub.deliveries().into_iter().filter(|one| one.status_code != 202) {
        let line = format!("patwarden deliveries show {}", sent.guid);
        let (out, error, code) = run(&scene, &line, "").await;
        assert_eq!(code, 0, "{error}");
        assert!(out.contains("X-GitHub-Event: personal_access_token_request"), "{out}");
        assert!(out.contains("\"token_name\""), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");
        assert!(out.contains("X-Hub-Signature-256: (hidden)"), "{out}");
    }
    let (_, error, code) = run(&scene, "patwarden deliveries show no-such-guid", "").await;
    assert!(error.contains("no delivery no-such-guid") && code == 1, "{error}");
    let (_, _, code) = run(&scene, "patwarden deliveries redeliver", "").await;
    assert_eq!(code, 2, "neither one nor all");
    scene.end_with_work_left().await;
}
