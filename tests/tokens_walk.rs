//! The README's way of taking tokens back is walked, line by line, as an owner would: found, planned, revoked,
//! interrupted in the middle, resumed, and reported.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::{io::Write as _, process::Command};

use common::{
    REVOKE_MANY, Set,
    shell::{command, lines, run, said},
    soon, writing,
};
use fakehub::Hold;

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_way_of_taking_tokens_back_works_as_it_is_written() {
    let lines = lines("taking tokens back");
    let [list, plan, apply, resume, report] = lines.as_slice() else {
        panic!("five lines: {lines:#?}");
    };
    let scene = Set::default().without_bot().await;
    let long_ago = "2025-01-01T00:00:00Z".parse().unwrap();
    for number in 0..150 {
        let spec = writing("kim").named(&format!("number {number}")).never_expires();
        scene.hub.grant_token("acme", spec.since(long_ago)).unwrap();
    }
    let spec = writing("lee").named("=cmd()\u{202e}\u{1b}[31m").never_expires().since(long_ago);
    scene.hub.grant_token("acme", spec).unwrap();
    let used =
        scene.hub.grant_token("acme", writing("ada").never_expires().since(long_ago)).unwrap();
    scene.hub.use_token(used.token_id).unwrap();

    let (out, _, code) = run(&scene, list, "").await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("151 of 152 tokens with access to acme"), "{out}");
    assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");

    let (out, _, code) = run(&scene, plan, "").await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("Plan 1: 151 of 152 active tokens of acme (100 %)"), "{out}");
    assert!(out.contains("of         kim 150, lee 1"), "{out}");
    assert!(out.contains("SSH keys and deploy keys"), "{out}");
    assert!(scene.hub.revocations("acme").is_empty(), "a plan revokes nothing");

    // Somebody who types anything else than the number leaves them.
    let (out, _, code) = run(&scene, apply, "yes\n").await;
    assert!(out.contains("Nothing was revoked.") && code == 1, "{out}");
    assert!(scene.hub.revocations("acme").is_empty());

    // Interrupted while the second call is under way.
    let held = scene.hub.hold(Hold::before(REVOKE_MANY).skip(1));
    let mut child = command(&scene, apply).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"151\n").unwrap();
    soon("the second call", held.reached()).await;
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    held.release();
    let ended = soon("it stops", tokio::task::spawn_blocking(|| child.wait_with_output())).await;
    let (_, error, code) = said(ended.unwrap().unwrap());
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("Go on with: patwarden tokens revoke --plan 1 --resume"), "{error}");

    let (out, error, code) = run(&scene, resume, "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("Revocation 1 of acme: done"), "{out}");
    assert!(out.contains("151 revoked"), "{out}");
    assert!(out.contains("by operator olga@"), "{out}");
    let revoked = scene.hub.revocations("acme");
    assert_eq!(revoked.len(), 151);
    assert!(revoked.iter().all(|one| one.token_id != used.token_id));

    let (out, _, code) = run(&scene, report, "").await;
    assert_eq!((code, out.lines().count()), (0, 152), "{out}");
    assert!(out.contains(",revoked,") && out.contains("spring cleaning"), "{out}");
    // A spreadsheet takes no name for a formula.
    assert!(out.contains(",'=cmd()") && !out.contains(",=cmd()"), "{out}");
    let (out, _, code) = run(&scene, "patwarden tokens revoke --plan 1 --apply --yes", "").await;
    assert_eq!(code, 1, "confirmed once and for all: {out}");
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_are_told_before_anything_is_done() {
    let scene = Set::default().without_bot().await;
    for (line, code, told) in [
        ("patwarden tokens revoke", 2, "an empty filter would mean all of them"),
        ("patwarden tokens revoke --org nobody --never-used", 2, "it is on: acme"),
        ("patwarden tokens revoke --apply --yes", 2, "--plan"),
        ("patwarden tokens revoke --never-used --yes", 2, "--apply"),
        ("patwarden tokens revoke --plan 7 --apply --yes", 1, "there is no revocation 7"),
        ("patwarden tokens revoke --plan 7 --never-used", 2, "--plan names the tokens already"),
        ("patwarden tokens list --unused-for 3w", 2, "write a number of days"),
        ("patwarden tokens list --permission contents=wirte", 2, "write read, write or admin"),
        ("patwarden tokens show 12", 1, "was ever listed"),
    ] {
        let (out, error, ended) = run(&scene, line, "").await;
        assert!(error.contains(told), "{line}: {out}{error}");
        assert_eq!(ended, code, "{line}: {error}");
    }
    assert!(scene.hub.revocations("acme").is_empty());
    scene.leave().await;
}
