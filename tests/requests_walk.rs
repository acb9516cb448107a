//! The README's way of reviewing by hand is walked, line by line, with the real binary; slips are told, and nothing that a
//! command shows steers a terminal or a spreadsheet.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{
    LIST, REVIEW, REVIEW_MANY, Set, administrating,
    shell::{lines, run},
    writing,
};
use fakehub::Fault;

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_way_of_reviewing_by_hand_works_as_it_is_written() {
    let lines = lines("reviewing by hand");
    let [list, approve, deny, all] = lines.as_slice() else { panic!("four lines: {lines:#?}") };
    let scene = Set::default().open().await;
    let lees = scene.ask(writing("lee").named("=cmd()\u{202e}\u{1b}[31m")).request_id;
    let kims: Vec<u64> = (0..3)
        .map(|number| scene.ask(writing("kim").named(&format!("number {number}"))).request_id)
        .collect();
    let reads = scene.ask(common::harmless("ada")).request_id;
    for request in kims.iter().chain([&lees]) {
        scene.until_left_to_people(*request).await;
    }
    scene.until_it_stands(reads, "approved by a rule").await;
    scene.hub.reset_calls();

    let (out, error, code) = run(&scene, list, "").await;
    assert_eq!((code, out.matches("escalated").count()), (0, 4), "{out}{error}");
    assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");

    // Somebody who types anything else than the number leaves them, and so does --dry-run.
    let (out, _, code) = run(&scene, approve, "yes\n").await;
    assert!(out.contains("Type 1 to approve it") && out.contains("Nothing was sent."), "{out}");
    assert_eq!((code, scene.calls(REVIEW)), (1, 0));
    let (out, _, code) = run(&scene, &format!("{approve} --dry-run"), "").await;
    assert!(out.contains("1 of 1 would be"), "{out}");
    assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");
    assert_eq!((code, scene.calls(REVIEW)), (0, 0));

    let (out, error, code) = run(&scene, approve, "1\n").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("by operator olga@") && out.contains("(local, unverified)"), "{out}");
    assert_eq!(scene.on_github(lees), "approved");
    assert_eq!(scene.hub.reviews(lees)[0].reason.as_deref(), Some("for the migration, CHG-12"));

    let (out, error, code) = run(&scene, deny, "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!((scene.calls(REVIEW), scene.calls(REVIEW_MANY)), (1, 1));
    for request in &kims {
        assert_eq!(scene.on_github(*request), "denied");
    }
    scene.until_idle().await;

    let (out, _, code) = run(&scene, all, "").await;
    assert_eq!((code, out.lines().count()), (0, 6), "{out}");
    assert!(out.contains(",denied,operator,\"operator olga@"), "{out}");
    assert!(out.contains(",approved,rule,"), "{out}");
    assert!(out.contains(",'=cmd()") && !out.contains(",=cmd()"), "{out}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_denial_is_overridden_with_a_word_that_the_record_shows() {
    let rules = common::RULES.replace("mode = \"enforce\"", "mode = \"approve-only\"");
    let scene = Set::default().rules(&rules).open().await;
    let soft = scene.ask(administrating("ada")).request_id;
    scene.until_left_to_people(soft).await;
    let approve = format!("patwarden requests approve {soft} --yes");
    let (out, _, code) = run(&scene, &approve, "").await;
    assert!(out.contains("deny.administration (soft) denies it: --override WHY"), "{out}");
    assert_eq!((code, scene.on_github(soft)), (1, "pending".to_owned()));
    let line = format!("{approve} --override \"RISK-7, a week\" --json");
    let (out, error, code) = run(&scene, &line, "").await;
    assert_eq!(code, 0, "{out}{error}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["requests"][0]["outcome"], "approved");
    assert_eq!(json["requests"][0]["effect"], "deny");
    assert_eq!(json["override_why"], "RISK-7, a week");
    let decision = json["requests"][0]["decision"].as_i64().unwrap();
    let (out, ..) = run(&scene, &format!("patwarden decisions show {decision}"), "").await;
    assert!(out.contains("Reviewed by hand: approve, by operator olga@"), "{out}");
    assert!(out.contains("soft rules overridden: RISK-7, a week"), "{out}");
    let (out, ..) = run(&scene, "patwarden requests list --all --json", "").await;
    assert!(out.contains("approved by operator olga@") && out.contains("RISK-7, a week"), "{out}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn which_repositories_a_request_would_reach_is_known_where_it_was_judged() {
    let scene = Set::default().open().await;
    let web = scene.ask(writing("kim")).request_id;
    let docs = scene.ask(writing("lee").on(["docs"])).request_id;
    let all = scene.ask(writing("ada").on_all()).request_id;
    for request in [web, docs, all] {
        scene.until_left_to_people(request).await;
    }
    let listed = "patwarden requests list --repository WEB --json";
    let (out, error, code) = run(&scene, listed, "").await;
    assert_eq!(code, 0, "{error}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut found: Vec<u64> = json["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["request_id"].as_u64().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!((found, json["cannot_say"].as_u64()), (vec![web, all], Some(0)));
    // Where neither a rule nor people needed them, nobody can say: that is counted, and said.
    scene.new_rules(
        "schema = 1\nmode = \"shadow\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n",
    );
    let unread = scene.ask(writing("ben")).request_id;
    scene.until_left_to_people(unread).await;
    let (out, ..) = run(&scene, "patwarden requests list --repository web", "").await;
    assert!(out.contains("Of 1 other nobody can say whether it is meant"), "{out}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_are_told_before_anything_is_sent() {
    let scene = Set::default().open().await;
    let request = scene.ask(writing("kim")).request_id;
    scene.until_left_to_people(request).await;
    let long = "x".repeat(1_025);
    for (line, code, told) in [
        ("approve".to_owned(), 2, "an empty filter would mean all of them"),
        ("approve --owner kim".to_owned(), 2, "say with --org"),
        (format!("approve {request} --owner kim --org acme"), 2, "leave out what else says which"),
        (format!("approve {request} --json"), 2, "add --yes or --dry-run"),
        (format!("approve {request} --yes --override \" \""), 2, "--override is empty"),
        (format!("deny {request} --yes"), 2, "--reason"),
        (format!("deny {request} --yes --reason \" \""), 2, "--reason is empty"),
        (format!("deny {request} --yes --reason {long}"), 2, "1025 characters"),
        (format!("deny {request} --yes --reason no --org nobody"), 2, "it is on: acme"),
        (format!("deny {request} --yes --reason no --rules nowhere.toml"), 0, ""),
        (format!("approve {request} --yes"), 1, ""),
    ] {
        let line = format!("patwarden requests {line}");
        let (out, error, ended) = run(&scene, &line, "").await;
        assert!(error.contains(told), "{line}: {out}{error}");
        assert_eq!(ended, code, "{line}: {out}{error}");
    }
    // A denial needs no rules, and what is over is told as what it is.
    assert_eq!((scene.on_github(request), scene.reviews(request)), ("denied".into(), (1, 0)));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_a_command_in_the_middle_is_told_with_how_it_goes_on() {
    let scene = Set::default().open().await;
    let request = scene.ask(writing("kim")).request_id;
    scene.until_left_to_people(request).await;
    let wait = std::time::Duration::from_secs(2);
    scene.hub.fault(Fault::on(REVIEW).too_many_requests(wait).times(1));
    let line = format!("patwarden requests deny {request} --yes --reason no");
    let (out, error, code) = run(&scene, &line, "").await;
    assert_eq!(code, 4, "{out}{error}");
    assert!(
        error.contains("Stopped in the middle") && error.contains("patwarden serve"),
        "{error}"
    );
    // `serve` goes on when GitHub allows it, and it stays the operator's.
    let row = scene.until_settled(request).await;
    assert!(row.state.to_string().starts_with("denied by operator olga@"), "{}", row.state);
    assert_eq!(scene.reviews(request).0, 1);
    // GitHub that cannot be asked at all is a failure, and nothing is recorded.
    let other = scene.ask(writing("lee")).request_id;
    scene.until_left_to_people(other).await;
    let fault = scene.hub.fault(Fault::on(LIST).status(500));
    let (_, error, code) =
        run(&scene, &line.replace(&request.to_string(), &other.to_string()), "").await;
    assert_eq!(code, 1, "{error}");
    scene.hub.clear_fault(fault);
    assert_eq!(scene.on_github(other), "pending");
    scene.end().await;
}
