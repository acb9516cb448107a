//! Rules in a repository: what is there decides, what becomes of the repository is noticed, and nobody else's repository is
//! ever taken for it.

use std::time::Duration;

use fakehub::{Changes, Fault, Hold, Repo, Visibility};
use patwarden::{engine::InForce, store::PinnedBy};

use crate::common::{
    INSTALLATIONS, RULES, Scene, Set, administrating, harmless, on_github, soon, until, writing,
};

const PLACE: &str = "github:acme/rules/patwarden/rules.toml";
const FILE: &str = "patwarden/rules.toml";
const REPOSITORY: &str = "repos/get";
const REF: &str = "git/get-ref";
const CONTENTS: &str = "repos/get-content";

const BROKEN: &str = "schema = 1\nmode = \"enforce\"\n[approve.all]\nwhen.everything = true\n";

/// Just longer than the time between two looks at a repository.
const A_LOOK: Duration = Duration::from_secs(301);

fn set() -> Set {
    Set::default()
        .hub(|config| *config = config.clone().rules_in_a_repository())
        .flag("rules", PLACE)
}

/// A scene whose rules are in a repository, not yet begun.
async fn with_rules(set: Set, text: &str) -> Scene {
    let scene = set.without_bot().await;
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("rules").file(FILE, text));
    });
    scene
}

/// The same, with the rules in force.
async fn open(text: &str) -> Scene {
    let mut scene = with_rules(set(), text).await;
    begin(&mut scene).await;
    scene
}

async fn begin(scene: &mut Scene) {
    scene.start().await;
    scene.looked_around().await;
    until_in_force(scene, "the rules are confirmed", |it| it.broken.is_none()).await;
    scene.hub.reset_calls();
}

fn in_force(scene: &Scene) -> InForce {
    scene.bot().engine.policies().in_force(&scene.organization("acme"))
}

async fn until_in_force(scene: &Scene, what: &str, is: impl Fn(&InForce) -> bool) -> InForce {
    until(what, || async { Some(in_force(scene)).filter(|it| is(it)) }).await
}

async fn until_broken(scene: &Scene, why: &str) {
    until_in_force(scene, why, |it| it.broken.as_ref().is_some_and(|told| told.contains(why)))
        .await;
}

fn push(scene: &Scene, text: &str) -> String {
    scene.hub.commit("acme", "rules", "main", "olga", "rules", [(FILE, Some(text))]).unwrap()
}

/// What a command says that looks into the scene's store, and its exit code.
async fn patwarden(scene: &Scene, arguments: &[&str]) -> (String, i32) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_patwarden"));
    command.args(arguments).env_clear();
    command.arg("--database-url").arg(format!("sqlite:{}", scene.store_path().display()));
    command.stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

/// Everything that the rules would approve waits, and what they deny is denied.
async fn nothing_is_approved(scene: &Scene) -> u64 {
    let yes = scene.ask(harmless("kim"));
    let no = scene.ask(administrating("lee"));
    scene.until_it_stands(no.request_id, "denied by a rule").await;
    let row = scene.until_left_to_people(yes.request_id).await;
    assert!(row.note.contains("would be approved, but"), "{}", row.note);
    assert_eq!(scene.on_github(yes.request_id), "pending");
    yes.request_id
}

#[tokio::test]
async fn rules_in_a_repository_decide_and_the_decision_names_the_commit() {
    let scene = open(RULES).await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    let sha = scene.hub.sha("acme", "rules", "main").unwrap();
    let decision = scene.decisions(asked.request_id).await.remove(0);
    assert_eq!(decision.policy_source, format!("acme/rules@{sha}"));
    let told = scene.told(asked.request_id);
    assert!(format!("{told:?}").contains(&format!("acme/rules@{sha}")), "{told:?}");
    // The list names the decision, by which the whole of it is shown.
    let (list, _) = patwarden(&scene, &["requests", "list", "--all"]).await;
    let (head, row) = (list.lines().next().unwrap(), list.lines().nth(1).unwrap());
    let column = head.find("DECISION").expect(&list);
    let number = row.get(column..).unwrap().split_whitespace().next().unwrap().to_owned();
    let (shown, code) = patwarden(&scene, &["decisions", "show", &number]).await;
    assert!(code == 0 && shown.contains(&sha), "{list}{shown}");
    let policy = in_force(&scene).policy.unwrap();
    assert!(policy.protected_repositories().contains(&("acme".to_owned(), "rules".to_owned())));
    let place = scene.store().policy_place("everybody").await.unwrap().unwrap();
    let pin = place.pin.unwrap();
    assert_eq!((pin.by, place.full_name.as_deref()), (PinnedBy::FirstUse, Some("acme/rules")));
    assert_eq!(place.good.unwrap().commit, Some(sha));
    scene.end().await;
}

#[tokio::test]
async fn a_first_start_on_rules_in_a_repository_is_no_error() {
    let scene = with_rules(set(), RULES).await;
    let held = scene.hub.hold(Hold::before(INSTALLATIONS));
    let app = scene.hub.app();
    let log = std::fs::File::create(scene.path("log")).unwrap();
    let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_patwarden"))
        .args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "off", "--rules", PLACE])
        .env_clear()
        .env("GITHUB_APP_ID", app.id.to_string())
        .env("GITHUB_APP_PRIVATE_KEY", &app.private_key_pem)
        .env("GITHUB_WEBHOOK_SECRET", &app.webhook_secret)
        .env("GITHUB_API_URL", scene.hub.api_url())
        .env("PATWARDEN_DATABASE_URL", format!("sqlite:{}", scene.store_path().display()))
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let told = |what: &str| std::fs::read_to_string(scene.path("log")).unwrap().contains(what);
    soon("it asks where the App is", held.reached()).await;
    // Longer than between two looks at the repository.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    held.release();
    until("the rules are read", || async { told("rules loaded").then_some(()) }).await;
    let read = std::fs::read_to_string(scene.path("log")).unwrap();
    serve.kill().unwrap();
    serve.wait().unwrap();
    assert!(!read.contains("ERROR"), "{read}");
    scene.leave().await;
}

#[tokio::test]
async fn a_directory_of_rules_is_read_whole_and_without_what_lies_below() {
    let mut scene = with_rules(set().flag("rules", "github:acme/rules/patwarden"), RULES).await;
    let more = "schema = 1\n[deny.x]\nwhen.token.never_expires = true\nreason = \"No.\"\n";
    let changes = Changes::new()
        .write("patwarden/more.toml", more)
        .write("patwarden/below/other.toml", BROKEN)
        .write("patwarden/README.md", "Rules.");
    scene.hub.commit("acme", "rules", "main", "olga", "more", changes).unwrap();
    begin(&mut scene).await;
    assert_eq!(in_force(&scene).policy.unwrap().rule_count(), 3);
    scene.end().await;
}

#[tokio::test]
async fn nobody_gets_write_access_to_the_rules_by_a_rule() {
    let scene = open(&RULES.replace("contents = \"read\"", "contents = \"write\"")).await;
    let elsewhere = scene.ask(writing("kim"));
    let rules = scene.ask(writing("kim").named("rules").on(["rules"]));
    scene.until_it_stands(elsewhere.request_id, "approved by a rule").await;
    scene.until_it_stands(rules.request_id, "escalated").await;
    scene.end().await;
}

#[tokio::test]
async fn a_rename_is_not_faster_than_the_veto() {
    let scene = open(&RULES.replace("contents = \"read\"", "contents = \"write\"")).await;
    scene.hub.drop_webhooks(true);
    scene.hub.rename_repository("acme", "rules", "harmless").unwrap();
    scene.hub.drop_webhooks(false);
    let asked = scene.ask(writing("kim").on(["harmless"]));
    let row = scene.until_it_stands(asked.request_id, "escalated").await;
    let decision = scene.decisions(row.id.0.try_into().unwrap()).await.remove(0).decision;
    assert_eq!(decision.by[0].as_str(), "builtin.protected-repositories");
    scene.end().await;
}

#[tokio::test]
async fn a_push_is_in_force_at_once_whether_it_loosens_or_tightens() {
    let scene = open(&RULES.replace("contents = \"read\", ", "")).await;
    let waits = scene.ask(harmless("kim"));
    scene.until_left_to_people(waits.request_id).await;
    let sha = push(&scene, RULES);
    scene.until_it_stands(waits.request_id, "approved by a rule").await;
    let decided = scene.decisions(waits.request_id).await;
    assert_eq!(decided.first().unwrap().policy_source, format!("acme/rules@{sha}"));
    let sha = push(&scene, &RULES.replace("\"90d\"", "\"7d\""));
    until_in_force(&scene, "the new commit is in force", |it| it.source.ends_with(&sha)).await;
    let asked = scene.ask(harmless("lee"));
    scene.until_it_stands(asked.request_id, "escalated").await;
    scene.end().await;
}

#[tokio::test]
async fn a_push_that_nobody_tells_is_found_by_looking() {
    let scene = open(RULES).await;
    scene.hub.drop_webhooks(true);
    let sha = push(&scene, &RULES.replace("\"90d\"", "\"7d\""));
    scene.hub.drop_webhooks(false);
    scene.clock.push(A_LOOK);
    until_in_force(&scene, "the new commit is in force", |it| it.source.ends_with(&sha)).await;
    scene.end().await;
}

#[tokio::test]
async fn where_nothing_changed_a_look_costs_nothing() {
    let scene = open(RULES).await;
    for look in 1..=3 {
        scene.clock.push(A_LOOK);
        until("another look", || async { (scene.calls(REF) == look).then_some(()) }).await;
    }
    let looks = [scene.hub.calls_of(REPOSITORY), scene.hub.calls_of(REF)];
    for call in looks.iter().flatten() {
        assert_eq!(call.status, Some(304), "{call:?}");
    }
    assert_eq!(looks.map(|calls| calls.len()), [3, 3]);
    assert_eq!(scene.calls(CONTENTS), 0);
    scene.end().await;
}

#[tokio::test]
async fn other_branches_and_other_repositories_wake_nobody() {
    let scene = open(RULES).await;
    scene.hub.commit("acme", "rules", "draft", "olga", "try", [(FILE, Some(BROKEN))]).unwrap();
    scene.hub.commit("acme", "web", "main", "kim", "work", [("a", Some("b"))]).unwrap();
    until("the webhooks are delivered", || async {
        (scene.hub.webhooks_waiting() == 0).then_some(())
    })
    .await;
    let pushes: Vec<_> =
        scene.hub.deliveries().into_iter().filter(|it| it.event == "push").collect();
    assert_eq!(pushes.len(), 2);
    assert!(pushes.iter().all(|push| push.status_code == 204), "{pushes:?}");
    assert_eq!((scene.calls(REPOSITORY), scene.calls(REF)), (0, 0));
    scene.until_read().await;
    scene.end().await;
}

#[tokio::test]
async fn an_invalid_file_that_was_pushed_leaves_the_last_good_one_and_approves_nothing() {
    let scene = open(RULES).await;
    push(&scene, BROKEN);
    until_broken(&scene, "the rules at github:acme/rules/patwarden/rules.toml have").await;
    let waits = nothing_is_approved(&scene).await;
    push(&scene, &format!("{RULES}\n# mended\n"));
    scene.until_it_stands(waits, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn rules_that_cannot_be_rules_are_not_taken() {
    let scene = open(RULES).await;
    let large = format!("{RULES}\n#{}", "x".repeat(1024 * 1024));
    for (changes, why) in [
        (Changes::new().write(FILE, large), "is larger than"),
        (Changes::new().write(FILE, vec![0xff, 0xfe]), "is not text"),
        (Changes::new().delete(FILE).write("patwarden/rules.toml/x", "y"), "no file"),
        (Changes::new().delete("patwarden/rules.toml/x"), "there is no"),
    ] {
        scene.hub.commit("acme", "rules", "main", "olga", why, changes).unwrap();
        until_broken(&scene, why).await;
    }
    let waits = nothing_is_approved(&scene).await;
    push(&scene, RULES);
    scene.until_it_stands(waits, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_repository_that_was_deleted_or_hidden_leaves_the_last_good_rules_and_approves_nothing() {
    let scene = open(RULES).await;
    // Without the permission to read contents, and with it again.
    let permissions = [
        ("organization_personal_access_token_requests", "write"),
        ("organization_personal_access_tokens", "write"),
        ("members", "read"),
        ("metadata", "read"),
    ];
    scene.hub.install_with("acme", permissions).unwrap();
    scene.clock.push(A_LOOK);
    until_broken(&scene, "GitHub refuses").await;
    let waits = nothing_is_approved(&scene).await;
    scene.hub.install("acme").unwrap();
    scene.clock.push(A_LOOK);
    scene.until_it_stands(waits, "approved by a rule").await;
    // The App does not reach the repository any more.
    scene.hub.choose_repositories("acme", Some(&["web"])).unwrap();
    scene.clock.push(A_LOOK);
    until_broken(&scene, "no such repository").await;
    scene.hub.choose_repositories("acme", None).unwrap();
    scene.clock.push(A_LOOK);
    until_in_force(&scene, "it is back", |it| it.broken.is_none()).await;
    scene.hub.delete_repository("acme", "rules").unwrap();
    until_broken(&scene, "no such repository").await;
    let row = scene.until_left_to_people(scene.ask(harmless("ada")).request_id).await;
    assert!(row.note.contains("would be approved, but"), "{}", row.note);
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn while_github_says_nothing_of_the_rules_after_a_restart_the_last_good_ones_approve_nothing()
{
    let mut scene = open(RULES).await;
    scene.stop().await;
    let fault = scene.hub.fault(Fault::on(REPOSITORY).status(503));
    scene.start().await;
    scene.looked_around().await;
    let waits = nothing_is_approved(&scene).await;
    let why = in_force(&scene).broken.unwrap();
    assert!(why.contains("has not confirmed them since the start"), "{why}");
    scene.hub.clear_fault(fault);
    scene.clock.push(A_LOOK);
    scene.until_it_stands(waits, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_restart_under_the_same_rules_reads_no_file_again() {
    let mut scene = open(RULES).await;
    scene.stop().await;
    scene.hub.reset_calls();
    scene.start().await;
    scene.looked_around().await;
    until_in_force(&scene, "confirmed", |it| it.broken.is_none()).await;
    assert_eq!(scene.calls(CONTENTS), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_github_that_fails_for_minutes_stops_nothing_and_one_that_fails_for_longer_does() {
    let scene = open(RULES).await;
    let fault = scene.hub.fault(Fault::on(REPOSITORY).status(502));
    scene.clock.push(A_LOOK);
    until("a look fails", || async { (scene.hub.fault_fired(fault) > 0).then_some(()) }).await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.clock.push(Duration::from_secs(700));
    until_broken(&scene, "GitHub has not confirmed them since").await;
    let waits = nothing_is_approved(&scene).await;
    scene.hub.clear_fault(fault);
    scene.clock.push(A_LOOK);
    scene.until_it_stands(waits, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_change_that_cannot_be_read_is_known_to_be_one() {
    let scene = open(RULES).await;
    let fault = scene.hub.fault(Fault::on(CONTENTS).status(502));
    push(&scene, &RULES.replace("\"90d\"", "\"7d\""));
    until_broken(&scene, "changed, and could not be read").await;
    scene.hub.clear_fault(fault);
    scene.clock.push(A_LOOK);
    until_in_force(&scene, "it is read", |it| it.broken.is_none()).await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "escalated").await;
    scene.end().await;
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_followed() {
    let scene = open(RULES).await;
    scene.hub.rename_repository("acme", "rules", "token-rules").unwrap();
    until_in_force(&scene, "its new name is known", |it| it.source.contains("acme/token-rules@"))
        .await;
    let place = scene.store().policy_place("everybody").await.unwrap().unwrap();
    assert_eq!(place.full_name.as_deref(), Some("acme/token-rules"));
    let sha = scene
        .hub
        .commit(
            "acme",
            "token-rules",
            "main",
            "olga",
            "x",
            [(FILE, Some(format!("{RULES}\n#").as_str()))],
        )
        .unwrap();
    until_in_force(&scene, "a push to it counts", |it| it.source.ends_with(&sha)).await;
    let policy = in_force(&scene).policy.unwrap();
    assert!(
        policy.protected_repositories().contains(&("acme".to_owned(), "token-rules".to_owned()))
    );
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn another_repository_under_the_name_is_refused_until_somebody_trusts_it() {
    let mut scene = open(RULES).await;
    scene.hub.rename_repository("acme", "rules", "old-rules").unwrap();
    until_in_force(&scene, "it is followed", |it| it.source.contains("old-rules")).await;
    let loose = RULES.replace("contents = \"read\"", "contents = \"write\"");
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("rules").file(FILE, &loose));
    });
    push(&scene, &format!("{loose}\n"));
    until_broken(&scene, "is another repository").await;
    let waits = nothing_is_approved(&scene).await;
    let perhaps = scene.ask(writing("ben"));
    scene.until_it_stands(perhaps.request_id, "escalated").await;
    let refused = scene.store().policy_place("everybody").await.unwrap().unwrap().refused.unwrap();
    assert_eq!(refused.found.full_name, "acme/rules");
    // A restart forgets nothing of it.
    scene.stop().await;
    scene.start().await;
    scene.looked_around().await;
    until_broken(&scene, "is another repository").await;
    let (list, code) = patwarden(&scene, &["policy", "list"]).await;
    assert!(list.contains("REFUSED since") && list.contains("BROKEN"), "{list}");
    assert_eq!(code, 1);
    // Asked, and not answered.
    let (said, code) = patwarden(&scene, &["policy", "trust", "everybody"]).await;
    assert!(said.contains("acme/rules (number ") && said.contains("Left as it is"), "{said}");
    assert_eq!(code, 1);
    let (said, code) = patwarden(&scene, &["policy", "trust", "everybody", "--yes"]).await;
    assert!(said.contains("Accepted"), "{said}");
    assert_eq!(code, 0);
    scene.until_it_stands(waits, "approved by a rule").await;
    let (list, code) = patwarden(&scene, &["policy", "list"]).await;
    assert!(list.contains("pinned by trust") && list.contains("valid"), "{list}");
    assert_eq!(code, 0);
    scene.until_it_stands(perhaps.request_id, "approved by a rule").await;
    assert!(in_force(&scene).source.starts_with("acme/rules@"));
    scene.end().await;
}

/// The name now belongs to another repository, whose file says this.
async fn taken_over(scene: &Scene, file: &str, text: &str) {
    scene.hub.rename_repository("acme", "rules", "old-rules").unwrap();
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("rules").file(file, text));
    });
}

#[tokio::test]
async fn a_setting_that_is_written_otherwise_does_not_forget_which_repository_is_meant() {
    const LOOSE: &str =
        "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";
    let mut scene = open(RULES).await;
    let pinned = scene.store().policy_pin("everybody").await.unwrap().unwrap();
    // Other letters, and the same repository: nothing is read again.
    scene.stop().await;
    scene.change(|set| {
        set.flags = vec![("rules", "github:ACME/Rules/patwarden/rules.toml".to_owned())]
    });
    begin(&mut scene).await;
    assert_eq!(scene.calls(CONTENTS), 0);
    assert_eq!(scene.store().policy_pin("everybody").await.unwrap().unwrap(), pinned);
    // Another path of it: the files are others, the repository is the same.
    scene.stop().await;
    let moved = [("other/rules.toml", Some(LOOSE))];
    scene.hub.commit("acme", "rules", "main", "olga", "move", moved).unwrap();
    scene
        .change(|set| set.flags = vec![("rules", "github:acme/rules/other/rules.toml".to_owned())]);
    scene.start().await;
    let before = scene.store().policy_place("everybody").await.unwrap().unwrap();
    assert!(before.good.is_none(), "what stood at the other path is not in force");
    until_in_force(&scene, "its rules count", |it| {
        it.policy.as_ref().is_some_and(|it| it.rule_count() == 0)
    })
    .await;
    assert_eq!(scene.store().policy_pin("everybody").await.unwrap().unwrap(), pinned);
    // Whoever has taken the name meanwhile is not let in by either.
    scene.stop().await;
    taken_over(&scene, "third/rules.toml", LOOSE).await;
    for setting in ["github:Acme/RULES/other/rules.toml", "github:acme/rules/third/rules.toml"] {
        scene.change(|set| set.flags = vec![("rules", setting.to_owned())]);
        scene.start().await;
        until_broken(&scene, "is another repository").await;
        assert_eq!(scene.store().policy_pin("everybody").await.unwrap().unwrap(), pinned);
        scene.stop().await;
    }
    scene.start().await;
    scene.end().await;
}

#[tokio::test]
async fn the_name_by_which_a_renamed_repository_is_followed_means_that_repository() {
    let mut scene = open(RULES).await;
    scene.hub.rename_repository("acme", "rules", "policies").unwrap();
    until_in_force(&scene, "it is followed", |it| it.source.contains("acme/policies@")).await;
    scene.stop().await;
    // While the settings are brought up to date, somebody takes the new name.
    scene.hub.rename_repository("acme", "policies", "elsewhere").unwrap();
    scene.hub.world(|world| {
        let repository = Repo::private("policies").file(FILE, RULES);
        world.add_organization("acme").repository(repository);
    });
    let setting = "github:acme/policies/patwarden/rules.toml";
    scene.change(|set| set.flags = vec![("rules", setting.to_owned())]);
    scene.start().await;
    until_broken(&scene, "is another repository").await;
    scene.end().await;
}

#[tokio::test]
async fn a_repository_that_was_handed_over_is_refused_until_somebody_trusts_that() {
    let scene = open(RULES).await;
    scene.hub.world(|world| {
        world.add_organization("other").owner("oskar");
    });
    scene.hub.install("other").unwrap();
    until("the other organization is known", || async {
        (scene.store().installations().await.unwrap().len() == 2).then_some(())
    })
    .await;
    scene.hub.transfer_repository("acme", "rules", "other").unwrap();
    scene.clock.push(A_LOOK);
    until_broken(&scene, "belongs to other now").await;
    let waits = nothing_is_approved(&scene).await;
    let refused = scene.store().policy_place("everybody").await.unwrap().unwrap().refused.unwrap();
    assert_eq!(refused.found.full_name, "other/rules");
    assert!(scene.store().trust_repository("everybody", &refused.found).await.unwrap());
    scene.until_it_stands(waits, "approved by a rule").await;
    assert!(in_force(&scene).source.starts_with("other/rules@"));
    scene.end().await;
}

#[tokio::test]
async fn a_number_in_the_settings_is_the_only_repository_that_counts() {
    let scene = with_rules(set(), RULES).await;
    let id =
        scene.hub.world(|world| world.organization("acme").unwrap().repository("web").unwrap().id);
    let file = format!("[organizations.acme]\nrules = \"{PLACE}\"\nrepository_id = {id}\n");
    let mut scene = scene;
    scene.change(|set| {
        set.flags.retain(|(name, _)| *name != "rules");
        set.file = Some(file);
    });
    scene.start().await;
    scene.looked_around().await;
    until_broken(&scene, "`repository_id` in the settings says which one is meant").await;
    assert!(in_force(&scene).policy.is_none());
    let asked = scene.ask(harmless("kim"));
    until("it waits for rules", || async {
        scene.row(asked.request_id).await.filter(|row| row.note.contains("no valid policy"))
    })
    .await;
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn rules_that_everybody_can_read_count_and_are_told() {
    let scene = open(RULES).await;
    scene.hub.set_visibility("acme", "rules", Visibility::Public).unwrap();
    until("it is noted", || async {
        let place = scene.store().policy_place("everybody").await.unwrap().unwrap();
        place.public.then_some(())
    })
    .await;
    let (list, code) = patwarden(&scene, &["policy", "list"]).await;
    assert!(list.contains("PUBLIC"), "{list}");
    assert_eq!(code, 0);
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn without_the_app_on_the_owner_of_the_repository_there_is_no_policy() {
    let mut scene = with_rules(set(), RULES).await;
    scene.change(|set| {
        set.flags.retain(|(name, _)| *name != "rules");
        set.flags.push(("rules", "github:elsewhere/rules/a.toml".to_owned()));
    });
    scene.start().await;
    scene.looked_around().await;
    until_broken(&scene, "the App is not installed on elsewhere").await;
    let asked = scene.ask(harmless("kim"));
    until("it waits for rules", || async {
        scene.row(asked.request_id).await.filter(|row| row.note.contains("not installed"))
    })
    .await;
    assert_eq!(on_github(&scene.hub, asked.request_id), "pending");
    scene.end_with_work_left().await;
}
