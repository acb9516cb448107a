//! A name that nobody has heard of is told, with the one that was probably meant; and what is shown of requests and tokens
//! is what somebody needs to see, within the width of a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{GRANTS, Scene, Set, harmless, shell::run, writing};
use fakehub::{Fault, Repo};

/// Kim's token was approved by a rule, and Lee's is left to people.
async fn two_asked() -> (Scene, fakehub::RequestIds, fakehub::RequestIds) {
    let scene = Set::default().open().await;
    let (kims, lees) = (scene.ask(harmless("kim")), scene.ask(writing("lee").on(["api"])));
    scene.until_it_stands(kims.request_id, "approved by a rule").await;
    scene.until_left_to_people(lees.request_id).await;
    (scene, kims, lees)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_a_filter_is_told_with_the_nearest_name() {
    let (scene, ..) = two_asked().await;
    let (_, error, code) = run(&scene, "patwarden tokens list --refresh", "").await;
    assert_eq!(code, 0, "{error}");
    for (line, code, told) in [
        ("requests list --permission contets=write", 2, "did you mean `contents`?"),
        ("requests list --permission contents=admin", 2, "at most as `write`"),
        ("tokens list --permission pull-requests", 2, "did you mean `pull_requests`?"),
        ("requests deny --org acme --permission isues --reason no", 2, "did you mean `issues`?"),
        ("requests list --owner kmi", 0, "nobody with the login `kmi` (did you mean `kim`?)"),
        ("requests approve --org acme --owner leee --dry-run", 0, "did you mean `lee`?"),
        ("tokens list --owner kim --owner adda", 0, "did you mean `ada`?"),
        ("tokens list --owner zoroaster", 0, "nobody with the login `zoroaster`"),
        ("requests list --repository appi", 0, "did you mean `api`?"),
        ("tokens list --repository wbe", 0, "did you mean `web`?"),
        ("tokens list --approved-by approve.raed", 0, "did you mean `approve.read`?"),
        ("tokens list --approved-by rulle", 0, "did you mean `rule`?"),
        ("tokens list --token-id 77", 0, "no token of the number 77"),
        ("tokens revoke --owner kmi", 0, "did you mean `kim`?"),
        ("requests list --org acne", 2, "did you mean `acme`?"),
        ("requests confirm --org nope", 2, "it is on: acme"),
        ("requests approve --org nope --owner kim", 2, "it is on: acme"),
        ("tokens list --org nope", 2, "it is on: acme"),
        ("requests approve abc", 2, "as `patwarden requests list` shows it"),
        ("tokens show abc", 2, "as `patwarden tokens list` shows it"),
    ] {
        let line = format!("patwarden {line}");
        let (out, error, ended) = run(&scene, &line, "").await;
        assert!(error.contains(told), "{line}: {out}{error}");
        assert_eq!(ended, code, "{line}: {out}{error}");
    }
    // A name that is right needs no note.
    for line in [
        "tokens list --owner KIM --approved-by approve.read --permission contents",
        "requests list --all --owner martin --repository web",
        "tokens list --approved-by itself --approved-by rule",
    ] {
        let (_, error, code) = run(&scene, &format!("patwarden {line}"), "").await;
        assert_eq!((code, error.as_str()), (0, ""), "{line}");
    }
    let plan = |out: &str, error: &str| (out.contains("Plan"), error.contains("note"));
    let (out, error, _) = run(&scene, "patwarden tokens revoke --owner kmi", "").await;
    assert_eq!(plan(&out, &error), (false, true), "{out}{error}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_means_nothing_says_which_part_of_it_is_to_blame() {
    let (scene, ..) = two_asked().await;
    let (out, error, code) =
        run(&scene, "patwarden tokens revoke --owner kim --unused-for 90d", "").await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("No token with access is meant by --owner kim --unused-for 90d"), "{out}");
    assert!(out.contains("--owner kim       1\n  --unused-for 90d  none"), "{out}");
    let (out, ..) = run(&scene, "patwarden tokens list --owner kim --unused-for 90d", "").await;
    assert!(out.contains("--unused-for 90d  none"), "{out}");
    let (out, ..) = run(&scene, "patwarden requests list --owner lee --never-expires", "").await;
    assert!(out.contains("--owner lee      1\n  --never-expires  none"), "{out}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_means_everything_says_so_again_and_each_plan_says_what_is_next() {
    let (scene, ..) = two_asked().await;
    let (out, ..) = run(&scene, "patwarden tokens revoke --owner kim", "").await;
    assert!(out.contains("Plan 1") && out.contains("EVERY active token"), "{out}");
    let (out, ..) = run(&scene, "patwarden tokens revoke --plan 1", "").await;
    assert!(out.contains("Revoke them:  patwarden tokens revoke --plan 1 --apply"), "{out}");
    let (out, ..) = run(&scene, "patwarden tokens revoke --plan 1 --apply", "no\n").await;
    assert!(out.contains("EVERY active token of the organization is meant."), "{out}");
    assert!(scene.hub.revocations("acme").is_empty());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_requests_tells_what_is_asked_for_and_fits_a_terminal() {
    let (scene, kims, lees) = two_asked().await;
    let long = "a name that is longer than anybody needs, and goes on".to_owned();
    let wide = writing("ada").named(&long).repository_permission("actions", "write").on_all();
    let wide = scene.ask(wide.because("words ".repeat(40).trim()));
    scene.until_left_to_people(wide.request_id).await;
    let (out, ..) = run(&scene, "patwarden requests list", "").await;
    assert!(out.lines().next().unwrap().contains("ASKS FOR"), "{out}");
    assert!(out.contains("contents:write") && out.contains("api for 30 d"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 120), "{out}");
    let (out, ..) = run(&scene, "patwarden requests list --all --json", "").await;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |id: u64| {
        let all = json["requests"].as_array().unwrap();
        all.iter().find(|row| row["request_id"].as_u64() == Some(id)).unwrap()
    };
    assert_eq!(of(lees.request_id)["repositories"][0], "api");
    assert_eq!(of(lees.request_id)["permissions"]["repository"]["contents"], "write");
    assert_eq!(of(wide.request_id)["repository_selection"], "all");
    let (out, ..) = run(&scene, "patwarden requests list --csv", "").await;
    assert!(out.contains(",subset,api,") && out.contains(",all,,"), "{out}");

    // What is about to be approved is shown in full, and what is over is no veto.
    let ids = format!("{} {}", wide.request_id, kims.request_id);
    let line = format!("patwarden requests approve {ids} --dry-run");
    let (out, error, _) = run(&scene, &line, "").await;
    assert!(out.contains("actions:write, contents:write; ALL repositories"), "{out}");
    assert!(out.contains("left out  not-pending: approved by a rule"), "{out}");
    assert!(!out.contains("VETOES") && error.is_empty(), "{out}{error}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_just_approved_is_told_as_that_and_then_with_its_repositories() {
    let (scene, kims, lees) = two_asked().await;
    for id in [kims.token_id, kims.request_id] {
        let (_, error, code) = run(&scene, &format!("patwarden tokens show {id}"), "").await;
        assert_eq!(code, 1);
        assert!(error.contains("patwarden approved it on"), "{error}");
        assert!(error.contains("approve, by approve.read"), "{error}");
        assert!(error.contains("patwarden tokens list --org acme --refresh"), "{error}");
    }
    let pending = format!("patwarden tokens show {}", lees.token_id);
    let (_, error, _) = run(&scene, &pending, "").await;
    assert!(error.contains("its request stands at \"escalated\""), "{error}");
    // Nobody asks GitHub which repositories it reaches: the decision has them.
    let (out, ..) = run(&scene, "patwarden tokens list --refresh", "").await;
    assert!(out.contains(" web ") && !out.contains("which was not read"), "{out}");
    let (out, ..) = run(&scene, &format!("patwarden tokens show {}", kims.token_id), "").await;
    assert!(out.contains("repositories  web"), "{out}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_says_of_which_organization_it_is_where_only_one_has_it() {
    let (scene, kims, lees) = two_asked().await;
    scene.hub.world(|world| {
        world.add_organization("umbrella").owner("olga").repositories([Repo::private("web")]);
    });
    scene.hub.install("umbrella").unwrap();
    let line = format!("patwarden requests deny {} --reason no --yes", lees.request_id);
    let (out, error, code) = run(&scene, &line, "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(scene.on_github(lees.request_id), "denied");
    let (_, error, code) = run(&scene, "patwarden requests approve 4711 --yes", "").await;
    assert!(code == 2 && error.contains("--org: acme, umbrella"), "{error}");
    run(&scene, "patwarden tokens list --org acme --refresh", "").await;
    let day = patwarden::clock::Clock::system().now().strftime("%Y-%m-%d").to_string();
    let hold =
        format!("patwarden revocations hold --token {} --until {day} --why no", kims.token_id);
    let (out, error, code) = run(&scene, &hold, "").await;
    assert!(code == 0 && out.contains("of acme"), "{out}{error}");
    scene.end_with_work_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_read_are_counted_where_a_filter_might_mean_them() {
    let (scene, ..) = two_asked().await;
    run(&scene, "patwarden tokens list --refresh", "").await;
    let garbled = || {
        let rows = serde_json::json!([{ "id": 7, "reason": "in a form of tomorrow's" }]);
        scene.hub.fault(Fault::on(GRANTS).answer(200, rows).times(1));
    };
    garbled();
    let (out, error, _) = run(&scene, "patwarden tokens list --repository web", "").await;
    assert!(out.contains("Of the tokens that reach the repository, 1 is listed"), "{out}{error}");
    garbled();
    // What scripts read stays as it is.
    let (out, error, _) = run(&scene, "patwarden tokens list --repository web --json", "").await;
    assert!(error.contains("Of the tokens that reach the repository, 1 is listed"), "{error}");
    assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
    garbled();
    let (out, error, code) = run(&scene, "patwarden tokens revoke --owner kim", "").await;
    assert!(out.contains("1 token is listed by GitHub in a form"), "{code} {out}{error}");
    scene.end().await;
}
