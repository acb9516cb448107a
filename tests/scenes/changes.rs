//! Pull requests that change rules: a check run says what is wrong and what would come out otherwise, once for each commit,
//! and tells nobody what they may not know.

use fakehub::{CheckRun, Fault, Head, PullRequest, Repo, Visibility};

use crate::common::{RULES, Scene, Set, harmless, until, writing};

const FILE: &str = "patwarden.toml";
const CREATE: &str = "checks/create";
const UPDATE: &str = "checks/update";

/// A scene whose rules are in a repository, in force.
async fn open() -> Scene {
    open_with(RULES).await
}

async fn open_with(rules: &str) -> Scene {
    open_under(rules, None).await
}

/// The same under an enterprise's file that not everybody may read.
async fn open_under(rules: &str, enterprise: Option<&str>) -> Scene {
    let set = Set::default()
        .hub(|config| *config = config.clone().rules_in_a_repository())
        .flag("rules", "github:acme/rules/patwarden.toml");
    let mut scene = set.without_bot().await;
    if let Some(enterprise) = enterprise {
        let path = scene.path("enterprise.toml");
        std::fs::write(&path, enterprise).unwrap();
        scene.change(|set| set.flags.push(("enterprise-rules", path.display().to_string())));
    }
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("rules").file(FILE, rules));
    });
    scene.start().await;
    scene.looked_around().await;
    let organization = scene.organization("acme");
    until("the rules are in force", || async {
        let in_force = scene.bot().engine.policies().in_force(&organization);
        (in_force.policy.is_some() && in_force.broken.is_none()).then_some(())
    })
    .await;
    scene
}

/// The rules with pushing allowed: looser than before.
fn looser() -> String {
    RULES.replace("contents = \"read\"", "contents = \"write\"")
}

fn propose(scene: &Scene, author: &str, text: &str) -> PullRequest {
    let changes = [(FILE, Some(text))];
    scene
        .hub
        .open_pull_request("acme", "rules", author, "change", "Change the rules", changes)
        .unwrap()
}

async fn checks(scene: &Scene, many: usize) -> Vec<CheckRun> {
    until("the check is written", || async {
        let runs = scene.hub.check_runs("acme", "rules");
        (runs.len() >= many && runs.iter().all(|run| run.status == "completed")).then_some(runs)
    })
    .await
}

/// Long enough for a check to be written, were one to come.
async fn quiet(scene: &Scene) {
    until("the webhooks are delivered", || async {
        (scene.hub.webhooks_waiting() == 0).then_some(())
    })
    .await;
    scene.until_read().await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
}

#[tokio::test]
async fn a_change_that_loosens_shows_which_recorded_decisions_would_flip() {
    let scene = open().await;
    let waits = scene.ask(writing("kim").named("deploy-key"));
    scene.until_it_stands(waits.request_id, "escalated").await;
    let pull = propose(&scene, "olga", &looser());
    let runs = checks(&scene, 1).await;
    let run = &runs[0];
    assert_eq!(
        (run.name.as_str(), run.head_sha.as_str()),
        ("patwarden rules", pull.head_sha.as_str())
    );
    assert_eq!(run.conclusion.as_deref(), Some("success"));
    assert_eq!(
        run.title.as_deref(),
        Some("valid; 0 cases pass; 1 milder, 0 stricter, 0 uncovered")
    );
    let summary = run.summary.as_deref().unwrap();
    assert!(summary.contains("- Changed: `approve.read`."), "{summary}");
    let bound = "- In `approve.read`: `allow.permissions.repository.contents: read → write`.";
    assert!(summary.contains(bound), "{summary}");
    assert!(summary.contains("| milder | kim, deploy-key (pending) |"), "{summary}");
    // As the reference of the language shows it.
    let page = include_str!("../../docs/rules.md");
    let row = page.lines().find(|line| line.starts_with("| milder | ")).unwrap();
    assert!(summary.lines().any(|line| line == row), "{row}\n{summary}");
    // It was only asked about: nothing is in force of it.
    assert_eq!(scene.on_github(waits.request_id), "pending");
    scene.end().await;
}

#[tokio::test]
async fn rules_that_could_not_be_used_fail_with_every_mistake_at_its_line() {
    let scene = open().await;
    let mistakes: String = (0..60)
        .map(|n| format!("[deny.x{n}]\nreason = \"No.\"\nwhen.owner.teem = [\"a\"]\n"))
        .collect();
    propose(&scene, "olga", &format!("{RULES}{mistakes}"));
    let run = until("all of it is written", || async {
        let run = checks(&scene, 1).await.remove(0);
        (run.annotations.len() > 50).then_some(run)
    })
    .await;
    assert_eq!(run.conclusion.as_deref(), Some("failure"));
    let failures: Vec<_> = run.annotations.iter().filter(|note| note.level == "failure").collect();
    assert_eq!(failures.len(), 60, "{failures:?}");
    let line = RULES.lines().count() as u64 + 3;
    let first = failures[0];
    assert_eq!((first.path.as_str(), first.start_line, first.start_column), (FILE, line, Some(12)));
    assert_eq!(first.title.as_deref(), Some("unknown-key"));
    assert!(scene.calls(UPDATE) >= 1, "GitHub takes fifty at a time");
    assert_eq!(scene.calls(CREATE), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_stranger_learns_what_is_wrong_and_nothing_of_what_is_on_record() {
    let scene = open().await;
    scene.hub.set_collaborator("acme", "rules", "kim", Some(fakehub::Access::Read)).unwrap();
    let waits = scene.ask(writing("lee").named("deploy-key"));
    scene.until_it_stands(waits.request_id, "escalated").await;
    let text = looser();
    let changes = [(FILE, Some(text.as_str()))];
    scene
        .hub
        .open_pull_request("acme", "rules", "kim", Head::Fork("x".to_owned()), "Please", changes)
        .unwrap();
    let run = checks(&scene, 1).await.remove(0);
    let said = format!("{:?} {:?}", run.title, run.summary);
    assert!(
        said.contains("Not shown") && !said.contains("deploy-key") && !said.contains("milder"),
        "{said}"
    );
    assert_eq!(run.conclusion.as_deref(), Some("success"));
    scene.end().await;
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_the_enterprises_rules() {
    let enterprise = "schema = 1\nlayer = \"enterprise\"\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
        [ceiling]\nlifetime = \"37d\"\n[escalate.insider-watch]\nwhen.owner.login = [\"lee\"]\nto = \"owners\"\n";
    let scene = open_under(RULES, Some(enterprise)).await;
    scene.hub.set_collaborator("acme", "rules", "kim", Some(fakehub::Access::Read)).unwrap();
    let question = "[tests.a]\nwants = { repositories = [\"web\"], permissions.repository = { contents = \"read\" } }\nworld.owner.login = \"lee\"\nexpect = \"approve\"\n\
        [waiver.w]\nrule = \"escalate.insider-watc\"\nowner = \"kim\"\ngranted = 2026-01-01\nuntil = 2026-02-01\nrecord = \"R\"\nmax.lifetime = \"1d\"\n";
    let text = format!("{RULES}{question}");
    let changes = [(FILE, Some(text.as_str()))];
    let fork = Head::Fork("x".to_owned());
    scene.hub.open_pull_request("acme", "rules", "kim", fork, "Please", changes).unwrap();
    let run = checks(&scene, 1).await.remove(0);
    let said = format!("{:?} {:?} {:?} {:?}", run.title, run.summary, run.text, run.annotations);
    for secret in ["insider-watch", "37", "escalate to", "did you mean"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    // Somebody who can push to the repository is told.
    propose(&scene, "olga", &text);
    let runs = checks(&scene, 2).await;
    assert!(
        runs.iter().any(|run| format!("{run:?}").contains("escalate.insider-watch")),
        "{runs:?}"
    );
    scene.end().await;
}

#[tokio::test]
async fn in_a_public_repository_nobody_is_named() {
    let scene = open().await;
    scene.hub.set_visibility("acme", "rules", Visibility::Public).unwrap();
    let waits = scene.ask(writing("kim").named("deploy-key"));
    scene.until_it_stands(waits.request_id, "escalated").await;
    propose(&scene, "olga", &looser());
    let run = checks(&scene, 1).await.remove(0);
    let summary = run.summary.unwrap();
    assert!(summary.contains("| escalate | approve | 1 |"), "{summary}");
    assert!(!summary.contains("kim") && !summary.contains("deploy-key"), "{summary}");
    scene.end().await;
}

#[tokio::test]
async fn a_commit_is_checked_once_a_new_one_anew_and_again_when_somebody_asks() {
    let scene = open().await;
    let pull = propose(&scene, "olga", &looser());
    checks(&scene, 1).await;
    // Said again by GitHub, and by a change of the title: the same commit.
    scene.hub.close_pull_request("acme", "rules", pull.number, "olga").unwrap();
    scene.hub.reopen_pull_request("acme", "rules", pull.number, "olga").unwrap();
    quiet(&scene).await;
    assert_eq!((scene.hub.check_runs("acme", "rules").len(), scene.calls(UPDATE)), (1, 0));
    let text = RULES.replace("\"90d\"", "\"9d\"");
    let changes = [(FILE, Some(text.as_str()))];
    let sha =
        scene.hub.push_to_pull_request("acme", "rules", pull.number, "less", changes).unwrap();
    let runs = checks(&scene, 2).await;
    let run = runs.iter().find(|run| run.head_sha == sha).unwrap();
    scene.hub.rerequest_check("acme", "rules", run.id, "olga").unwrap();
    let runs = checks(&scene, 3).await;
    assert_eq!(runs.iter().filter(|run| run.head_sha == sha).count(), 2);
    scene.end().await;
}

#[tokio::test]
async fn what_does_not_touch_the_rules_or_their_branch_is_left_alone() {
    let scene = open().await;
    scene.hub.commit("acme", "web", "main", "kim", "begin", [("a", Some("b"))]).unwrap();
    let readme = [("README.md", Some("Hello."))];
    scene.hub.open_pull_request("acme", "rules", "olga", "readme", "Say hello", readme).unwrap();
    scene.hub.open_pull_request("acme", "web", "kim", "work", "Work", [(FILE, Some("x"))]).unwrap();
    quiet(&scene).await;
    assert_eq!(scene.calls(CREATE), 0);
    assert_eq!(scene.hub.check_runs("acme", "rules").len(), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_pull_request_of_which_nobody_told_is_found() {
    let scene = open().await;
    scene.hub.drop_webhooks(true);
    propose(&scene, "olga", &looser());
    scene.hub.drop_webhooks(false);
    scene.clock.push(std::time::Duration::from_secs(1_000));
    checks(&scene, 1).await;
    scene.end().await;
}

#[tokio::test]
async fn while_github_fails_the_check_waits_and_is_written_once() {
    let scene = open().await;
    scene.hub.fault(Fault::on(CREATE).status(502).after_effect().times(1));
    propose(&scene, "olga", &looser());
    until("the first try fails", || async { (scene.calls(CREATE) >= 1).then_some(()) }).await;
    scene.clock.push(std::time::Duration::from_secs(600));
    until("the second try is over", || async { (scene.calls(UPDATE) >= 1).then_some(()) }).await;
    quiet(&scene).await;
    let runs = scene.hub.check_runs("acme", "rules");
    assert_eq!(runs.len(), 1, "{runs:?}");
    scene.end().await;
}

#[tokio::test]
async fn a_change_that_deletes_the_rules_fails() {
    let scene = open().await;
    let changes = [(FILE, None::<&str>)];
    scene.hub.open_pull_request("acme", "rules", "olga", "away", "No rules", changes).unwrap();
    let run = checks(&scene, 1).await.remove(0);
    assert_eq!(
        (run.conclusion.as_deref(), run.title.as_deref()),
        (Some("failure"), Some("no rules would be left"))
    );
    scene.end().await;
}

#[tokio::test]
async fn the_check_and_the_runtime_say_the_same() {
    let scene = open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    let stricter = RULES.replace("\"90d\"", "\"1d\"");
    let pull = propose(&scene, "olga", &stricter);
    let run = checks(&scene, 1).await.remove(0);
    assert_eq!(
        run.title.as_deref(),
        Some("valid; 0 cases pass; 0 milder, 0 stricter, 1 uncovered")
    );
    let sha = scene.hub.merge_pull_request("acme", "rules", pull.number, "olga").unwrap();
    let organization = scene.organization("acme");
    until("the change is in force", || async {
        let in_force = scene.bot().engine.policies().in_force(&organization);
        in_force.source.ends_with(&sha).then_some(())
    })
    .await;
    let asked = scene.ask(harmless("lee"));
    scene.until_it_stands(asked.request_id, "escalated").await;
    scene.end().await;
}

#[tokio::test]
async fn what_a_stranger_proposed_first_is_planned_for_whoever_may_know_and_proposes_the_same() {
    let scene = open().await;
    scene.hub.set_collaborator("acme", "rules", "kim", Some(fakehub::Access::Read)).unwrap();
    let waits = scene.ask(writing("lee").named("deploy-key"));
    scene.until_it_stands(waits.request_id, "escalated").await;
    let text = looser();
    let changes = [(FILE, Some(text.as_str()))];
    let fork = Head::Fork("x".to_owned());
    let theirs =
        scene.hub.open_pull_request("acme", "rules", "kim", fork, "Please", changes).unwrap();
    let first = checks(&scene, 1).await.remove(0);
    assert!(first.summary.unwrap().contains("Not shown"));
    // A maintainer takes the very commit over into a branch of the repository.
    scene.hub.set_branch("acme", "rules", "adopted", "olga", &theirs.head_sha).unwrap();
    let nothing: [(&str, Option<&str>); 0] = [];
    let ours = scene
        .hub
        .open_pull_request("acme", "rules", "olga", "adopted", "Adopted", nothing)
        .unwrap();
    assert_eq!(ours.head_sha, theirs.head_sha);
    let runs = checks(&scene, 2).await;
    let planned = runs.iter().find(|run| run.id != first.id).unwrap();
    assert!(planned.summary.as_ref().unwrap().contains("| milder | lee, deploy-key (pending) |"));
    // Somebody else who may know no more than the first learns nothing by it, and costs no run.
    scene.hub.close_pull_request("acme", "rules", theirs.number, "kim").unwrap();
    scene.hub.reopen_pull_request("acme", "rules", theirs.number, "kim").unwrap();
    quiet(&scene).await;
    assert_eq!(scene.hub.check_runs("acme", "rules").len(), 2);
    // Asked again, the plan is what is said again, once.
    scene.hub.rerequest_suite("acme", "rules", &ours.head_sha, "olga").unwrap();
    let runs = checks(&scene, 3).await;
    quiet(&scene).await;
    assert_eq!(scene.hub.check_runs("acme", "rules").len(), 3);
    let planned = |run: &&CheckRun| run.summary.as_ref().unwrap().contains("| milder |");
    assert_eq!(runs.iter().filter(planned).count(), 2);
    scene.end().await;
}

#[tokio::test]
async fn who_asks_again_without_end_is_told_when_it_is_enough() {
    let scene = open().await;
    let pull = propose(&scene, "olga", &looser());
    let run = checks(&scene, 1).await.remove(0);
    for many in 2..=6 {
        scene.hub.rerequest_check("acme", "rules", run.id, "olga").unwrap();
        checks(&scene, many).await;
    }
    let runs = scene.hub.check_runs("acme", "rules");
    let told: Vec<bool> = runs
        .iter()
        .map(|run| {
            run.summary.as_ref().unwrap().contains("checked 6 times within an hour. Asked again")
        })
        .collect();
    assert_eq!(told.iter().filter(|told| **told).count(), 1, "the last one says so");
    scene.hub.reset_calls();
    for _ in 0..5 {
        scene.hub.rerequest_check("acme", "rules", run.id, "olga").unwrap();
    }
    quiet(&scene).await;
    assert_eq!(scene.hub.calls().len(), 0, "nor does it cost calls");
    // Another title does not get around it; another commit is another matter.
    scene.hub.edit_pull_request("acme", "rules", pull.number, "olga", Some("Now"), None).unwrap();
    quiet(&scene).await;
    assert_eq!(scene.hub.check_runs("acme", "rules").len(), 6);
    let text = RULES.replace("\"90d\"", "\"9d\"");
    let changes = [(FILE, Some(text.as_str()))];
    scene.hub.push_to_pull_request("acme", "rules", pull.number, "less", changes).unwrap();
    // Nor does who goes on asking for the old one hold it up.
    scene.hub.rerequest_check("acme", "rules", run.id, "olga").unwrap();
    checks(&scene, 7).await;
    scene.end().await;
}

#[tokio::test]
async fn a_check_that_was_asked_for_too_often_comes_an_hour_later() {
    let scene = open().await;
    propose(&scene, "olga", &looser());
    let run = checks(&scene, 1).await.remove(0);
    for many in 2..=6 {
        scene.hub.rerequest_check("acme", "rules", run.id, "olga").unwrap();
        checks(&scene, many).await;
    }
    scene.hub.rerequest_check("acme", "rules", run.id, "olga").unwrap();
    quiet(&scene).await;
    assert_eq!(scene.hub.check_runs("acme", "rules").len(), 6);
    scene.clock.push(std::time::Duration::from_secs(3_700));
    checks(&scene, 7).await;
    scene.end().await;
}

#[tokio::test]
async fn what_was_said_of_a_closed_pull_request_is_forgotten_after_a_quarter_of_a_year() {
    let scene = open().await;
    let closed = propose(&scene, "olga", &looser());
    let text = RULES.replace("\"90d\"", "\"9d\"");
    let stays = scene
        .hub
        .open_pull_request("acme", "rules", "olga", "stays", "Less", [(FILE, Some(text.as_str()))])
        .unwrap();
    checks(&scene, 2).await;
    scene.hub.close_pull_request("acme", "rules", closed.number, "olga").unwrap();
    quiet(&scene).await;
    let repository = *scene.store().changed_repositories().await.unwrap().first().unwrap();
    let said = async |sha: &str| scene.store().said_of(repository, sha).await.unwrap().len();
    assert_eq!((said(&closed.head_sha).await, said(&stays.head_sha).await), (1, 1));
    // Looked at every quarter of an hour, and kept for long.
    scene.clock.push(std::time::Duration::from_secs(89 * 86_400));
    quiet(&scene).await;
    assert_eq!((said(&closed.head_sha).await, said(&stays.head_sha).await), (1, 1));
    scene.clock.push(std::time::Duration::from_secs(2 * 86_400));
    until("it is forgotten", || async { (said(&closed.head_sha).await == 0).then_some(()) }).await;
    // What is open is not said again.
    assert_eq!(said(&stays.head_sha).await, 1);
    quiet(&scene).await;
    assert_eq!(scene.hub.check_runs("acme", "rules").len(), 2);
    scene.end().await;
}
