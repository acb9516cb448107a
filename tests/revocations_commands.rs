//! The commands on standing policies' runs and holds are typed as an owner would, with the real binary: what waits is
//! confirmed with its number, what is held is kept, and every word in the tables is explained.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{
    Scene, Set, harmless,
    shell::{command, run, said},
    until,
};
use patwarden::store::{RevocationRow, RevocationState};

const RULES: &str = "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
    [revoke.unused]\nwhen.unused_for = \"90d\"\ngrace = \"0d\"\nmax_per_run = 1\n";

/// Two tokens that nobody used for long, and a bot whose policy may take one of them by itself. Gives their numbers.
async fn two_wait() -> (Scene, u64, u64) {
    let mut scene = Set::default()
        .rules(RULES)
        .flag("inventory-interval", "1h")
        .hub(|hub| hub.bulk_delay = Duration::ZERO)
        .without_bot()
        .await;
    let since = scene.hub.now() - jiff::SignedDuration::from_hours(200 * 24);
    let [kims, lees] = ["kim", "lee"].map(|login| {
        let spec = harmless(login).since(since).never_expires();
        scene.hub.grant_token("acme", spec).unwrap().token_id
    });
    scene.start().await;
    scene.looked_around().await;
    until_a_run_is(&scene, RevocationState::Waiting).await;
    (scene, kims, lees)
}

async fn last_run(scene: &Scene) -> Option<RevocationRow> {
    scene.store().revocations(None, 1).await.unwrap().pop()
}

async fn until_a_run_is(scene: &Scene, state: RevocationState) -> RevocationRow {
    until(&format!("a run is {}", state.as_str()), || async {
        last_run(scene).await.filter(|row| row.state == state)
    })
    .await
}

/// The last day that may be asked for, and more.
fn in_days(days: i64) -> String {
    let at = patwarden::clock::Clock::system().now() + jiff::SignedDuration::from_hours(days * 24);
    at.strftime("%Y-%m-%d").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_goes_with_its_number_and_leaves_out_what_is_held() {
    let (scene, kims, lees) = two_wait().await;
    let (out, error, code) = run(&scene, "patwarden revocations list --org ACME", "").await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("waiting") && out.contains("2 planned"), "{out}");
    assert!(out.contains("revoke.unused"), "{out}");
    let (out, ..) = run(&scene, "patwarden revocations show 1", "").await;
    assert!(out.contains("more than max_per_run = 1"), "{out}");
    assert!(out.contains("Let it go:  patwarden revocations confirm 1"), "{out}");

    // Planned by a policy, it is not for the command that carries plans out.
    let by_hand = "patwarden tokens revoke --plan 1 --apply --yes";
    let (_, error, code) = run(&scene, by_hand, "").await;
    assert!(code == 1 && error.contains("patwarden revocations confirm 1"), "{error}");

    let hold = format!("patwarden revocations hold --token {kims} --why \"CHG-7\" --until");
    let (_, error, code) = run(&scene, &format!("{hold} {}", in_days(200)), "").await;
    assert!(code == 1 && error.contains("180 days"), "{error}");
    let (out, error, code) = run(&scene, &format!("{hold} {}", in_days(30)), "").await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains(&format!("No standing policy revokes token {kims} of acme")), "{out}");
    let (out, ..) = run(&scene, "patwarden revocations holds --org acme", "").await;
    assert!(out.contains(&format!("token {kims}")) && out.contains("CHG-7"), "{out}");
    let (out, ..) = run(&scene, "patwarden revocations holds --json", "").await;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json[0]["why"], "CHG-7", "{json}");

    // Whoever types anything else than the number leaves it waiting.
    let (out, _, code) = run(&scene, "patwarden revocations confirm 1", "yes\n").await;
    assert!(code == 1 && out.contains("Nothing was confirmed"), "{out}");
    assert!(out.contains("EVERY active token of the organization is meant."), "{out}");
    assert_eq!(last_run(&scene).await.unwrap().state, RevocationState::Waiting);
    let (out, error, code) = run(&scene, "patwarden revocations confirm 1", "2\n").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("Confirmed. `patwarden serve` carries it out"), "{out}");
    scene
        .both_clocks_until("it is done", Duration::from_secs(30), || async {
            last_run(&scene).await.is_some_and(|row| row.state == RevocationState::Done)
        })
        .await;
    assert!(scene.has_access(kims) && !scene.has_access(lees));
    let (out, ..) = run(&scene, "patwarden revocations show 1 --csv", "").await;
    let of = |owner: &str| out.lines().find(|line| line.contains(owner)).unwrap().to_owned();
    assert!(of(",kim,").contains("left-out") && of(",lee,").contains("revoked"), "{out}");
    let (_, error, code) = run(&scene, "patwarden revocations confirm 1 --yes", "").await;
    assert!(code == 1 && error.contains("it does not wait for anybody"), "{error}");

    let release = format!("patwarden revocations release --token {kims}");
    let (out, error, code) = run(&scene, &release, "").await;
    assert!(code == 0 && out.contains("is no longer held"), "{out}{error}");
    let (_, error, code) = run(&scene, &release, "").await;
    assert!(code == 1 && error.contains("is not held"), "{error}");
    let (out, ..) = run(&scene, "patwarden revocations holds", "").await;
    assert!(out.contains("Nothing is held"), "{out}");
    let (out, ..) = run(&scene, "patwarden revocations holds --all", "").await;
    assert!(out.contains("by operator olga@"), "{out}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_are_told_and_the_words_of_the_tables_explained() {
    let (scene, kims, _) = two_wait().await;
    let until = in_days(3);
    for (line, code, told) in [
        ("list --org acne".to_owned(), 2, "did you mean `acme`?"),
        ("holds --org acne".to_owned(), 2, "it is on: acme"),
        ("confirm 7 --yes".to_owned(), 1, "there is no revocation 7"),
        ("confirm one".to_owned(), 2, "as `patwarden revocations list` shows it"),
        ("show one".to_owned(), 2, "as `patwarden revocations list` shows it"),
        (format!("hold --token {kims} --until {until} --why \" \""), 1, "--why is empty"),
        (format!("hold --token {kims} --policy unused --until {until} --why no"), 2, "--policy"),
        (
            format!("hold --token 77 --until {until} --why no"),
            1,
            "no token of acme has the number 77",
        ),
        (format!("hold --token {kims} --org acne --until {until} --why no"), 2, "`acme`"),
        ("release --policy unused".to_owned(), 1, "revoke.unused is not held"),
        // It may be a policy of tomorrow's: it is held, and said.
        (
            format!("hold --policy unusde --until {until} --why no"),
            0,
            "did you mean `revoke.unused`?",
        ),
    ] {
        let line = format!("patwarden revocations {line}");
        let (out, error, ended) = run(&scene, &line, "").await;
        assert!(error.contains(told), "{line}: {out}{error}");
        assert_eq!(ended, code, "{line}: {out}{error}");
    }
    for which in ["list", "show"] {
        let help = command(&scene, &format!("patwarden revocations {which} --help"));
        let (out, ..) = said({ help }.output().unwrap());
        for state in RevocationState::ALL {
            assert!(out.contains(state.meaning()), "{out}");
        }
        for state in patwarden::store::ItemState::ALL {
            assert!(out.contains(state.meaning()), "{out}");
        }
    }
    scene.end().await;
}
