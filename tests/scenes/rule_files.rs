//! Rules that are broken, absent, changed or capped: nothing is approved that valid rules do not approve.

use std::{path::Path, time::Duration};

use patwarden::engine::read_sources;

use crate::common::{REVIEW, RULES, Set, administrating, harmless, until, writing};

const BROKEN: &str = "schema = 1\nmode = \"enforce\"\n[approve.all]\nwhen.everything = true\n";

#[tokio::test]
async fn rules_that_are_broken_at_start_approve_nothing_and_mended_ones_are_taken_at_once() {
    for broken in [BROKEN, "", "not toml at all [", "schema = 99"] {
        let scene = Set::default().rules(broken).open().await;
        let asked = scene.ask(harmless("kim"));
        until("it waits for rules", || async {
            scene.row(asked.request_id).await.filter(|row| row.note.contains("no valid policy"))
        })
        .await;
        scene.clock.push(Duration::from_secs(120));
        scene.until_idle().await;
        assert_eq!(scene.on_github(asked.request_id), "pending");
        assert_eq!(scene.calls(REVIEW), 0);
        scene.new_rules(RULES);
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
        scene.end().await;
    }
}

#[tokio::test]
async fn rules_that_are_absent_at_start_approve_nothing() {
    let mut scene = Set::default().without_bot().await;
    std::fs::remove_file(scene.path("rules.toml")).unwrap();
    scene.start().await;
    scene.looked_around().await;
    let asked = scene.ask(harmless("kim"));
    until("it waits for rules", || async {
        scene.row(asked.request_id).await.filter(|row| row.note.contains("no valid policy"))
    })
    .await;
    assert_eq!(scene.on_github(asked.request_id), "pending");
    scene.new_rules(RULES);
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn while_a_later_file_is_broken_the_last_good_one_denies_and_approves_nothing() {
    let scene = Set::default().open().await;
    let before = scene.ask(harmless("kim"));
    scene.until_it_stands(before.request_id, "approved by a rule").await;
    scene.new_rules(BROKEN);
    let yes = scene.ask(harmless("lee"));
    let no = scene.ask(administrating("lee"));
    let perhaps = scene.ask(writing("ada"));
    scene.until_it_stands(no.request_id, "denied by a rule").await;
    let row = scene.until_left_to_people(yes.request_id).await;
    assert!(row.note.contains("would be approved, but"), "{}", row.note);
    scene.until_left_to_people(perhaps.request_id).await;
    scene.clock.push(Duration::from_secs(600));
    scene.until_idle().await;
    assert_eq!(scene.on_github(yes.request_id), "pending");
    // Mended, and without a restart.
    scene.new_rules(&format!("{RULES}\n# mended\n"));
    scene.until_it_stands(yes.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn rules_that_are_read_again_by_themselves_are_taken_within_seconds() {
    let scene = Set::default().rules(BROKEN).open().await;
    let asked = scene.ask(harmless("kim"));
    std::fs::write(scene.path("rules.toml"), RULES).unwrap();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn in_shadow_nothing_is_sent_and_another_mode_lets_it_go() {
    let shadow = RULES.replace("\"enforce\"", "\"shadow\"");
    let scene = Set::default().rules(&shadow).open().await;
    let yes = scene.ask(harmless("kim"));
    let no = scene.ask(administrating("lee"));
    for ids in [yes, no] {
        let row = scene.until_left_to_people(ids.request_id).await;
        assert_eq!(row.state.to_string(), "held");
        assert!(row.note.contains("shadow"), "{}", row.note);
    }
    assert_eq!(scene.calls(REVIEW), 0);
    scene.new_rules(RULES);
    scene.until_it_stands(yes.request_id, "approved by a rule").await;
    scene.until_it_stands(no.request_id, "denied by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_file_without_a_mode_is_in_shadow() {
    let scene = Set::default().rules(&RULES.replace("mode = \"enforce\"\n", "")).open().await;
    let asked = scene.ask(harmless("kim"));
    assert_eq!(scene.until_left_to_people(asked.request_id).await.state.to_string(), "held");
    assert_eq!(scene.calls(REVIEW), 0);
    scene.end().await;
}

#[tokio::test]
async fn approve_only_approves_and_denies_nothing() {
    let scene =
        Set::default().rules(&RULES.replace("\"enforce\"", "\"approve-only\"")).open().await;
    let yes = scene.ask(harmless("kim"));
    let no = scene.ask(administrating("lee"));
    scene.until_it_stands(yes.request_id, "approved by a rule").await;
    assert_eq!(scene.until_left_to_people(no.request_id).await.state.to_string(), "held");
    assert_eq!(scene.on_github(no.request_id), "pending");
    scene.end().await;
}

#[tokio::test]
async fn the_operators_highest_mode_caps_what_the_file_says() {
    let mut scene = Set::default().flag("highest-mode", "shadow").open().await;
    let asked = scene.ask(harmless("kim"));
    assert_eq!(scene.until_left_to_people(asked.request_id).await.state.to_string(), "held");
    assert_eq!(scene.calls(REVIEW), 0);
    // The operator lets go, and starts the bot anew: the same file says more now.
    scene.stop().await;
    scene.change(|set| set.flags.retain(|(name, _)| *name != "highest-mode"));
    scene.start().await;
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn other_rules_judge_again_what_waits_for_people_and_nothing_else() {
    let scene = Set::default().open().await;
    let done = scene.ask(harmless("kim"));
    let waits = scene.ask(writing("lee"));
    scene.until_it_stands(done.request_id, "approved by a rule").await;
    scene.until_left_to_people(waits.request_id).await;
    scene.new_rules(&RULES.replace("contents = \"read\"", "contents = \"write\""));
    scene.until_it_stands(waits.request_id, "approved by a rule").await;
    assert_eq!(scene.decisions(done.request_id).await.len(), 1);
    assert_eq!(scene.decisions(waits.request_id).await.len(), 2);
    assert_eq!(scene.reviews(done.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn rules_that_change_while_a_call_is_under_way_do_not_confuse_what_was_sent() {
    // Decided by one file, limited, and sent under another: the reason that GitHub mails is the new one's.
    let scene = Set::default().open().await;
    let fault = fakehub::Fault::on(REVIEW).too_many_requests(Duration::from_secs(60)).times(1);
    let fault = scene.hub.fault(fault);
    let asked = scene.ask(administrating("kim"));
    until("the limit strikes", || async { (scene.hub.fault_fired(fault) > 0).then_some(()) }).await;
    scene.until_idle().await;
    scene.new_rules(&RULES.replace("Tokens may not administer", "Nobody may administer"));
    scene.clock.push(Duration::from_secs(61));
    scene.until_it_stands(asked.request_id, "denied by a rule").await;
    let outcome = scene.hub.outcome(asked.request_id);
    assert!(outcome.reason().unwrap().starts_with("Nobody may"), "{outcome:?}");
    scene.end().await;
}

#[tokio::test]
async fn what_was_decided_is_not_sent_once_the_rules_in_force_may_say_otherwise() {
    for (other, stands) in [
        (BROKEN.to_owned(), "escalated"),
        (RULES.replace("mode = \"enforce\"", "mode = \"shadow\""), "held"),
        (RULES.replace("contents = \"read\", ", ""), "escalated"),
    ] {
        // Two are decided together, and the second waits for its turn to be sent.
        let mut scene = Set::default().flag("write-interval", "2s").without_bot().await;
        let asked = [scene.ask(harmless("kim")), scene.ask(harmless("lee"))];
        scene.start().await;
        let [first, second] = asked.map(|ids| ids.request_id);
        until("the first is approved", || async {
            (scene.on_github(first) == "approved").then_some(())
        })
        .await;
        let decided = scene.row(second).await.unwrap();
        assert_eq!(decided.state.as_str(), "decided-approve");
        scene.new_rules(&other);
        scene.until_it_stands(second, stands).await;
        assert_eq!(scene.reviews(second), (0, 0));
        assert_eq!(scene.on_github(second), "pending");
        scene.new_rules(RULES);
        scene.until_it_stands(second, "approved by a rule").await;
        assert_eq!(scene.reviews(second), (1, 0));
        scene.end().await;
    }
}

#[tokio::test]
async fn many_at_once_wait_for_a_confirmation_and_a_broken_file_at_a_restart_makes_none_of_that() {
    let mut scene = Set::default().flag("most-at-once", "2").flag("reconcile-interval", "30s");
    scene = scene.rules(&RULES.replace("contents = \"read\", ", ""));
    let mut scene = scene.open().await;
    let asked: Vec<_> = (0..4)
        .map(|number| scene.ask(harmless("kim").named(&format!("n{number}"))).request_id)
        .collect();
    for request in &asked {
        scene.until_left_to_people(*request).await;
    }
    // A restart with a file that is broken, then the same rules: nothing has changed for anybody.
    scene.stop().await;
    let rules = std::fs::read_to_string(scene.path("rules.toml")).unwrap();
    std::fs::write(scene.path("rules.toml"), BROKEN).unwrap();
    scene.start().await;
    scene.hub.reset_calls();
    scene.looked_around().await;
    scene.new_rules(&rules);
    scene.until_idle().await;
    for request in &asked {
        assert!(!scene.row(*request).await.unwrap().unconfirmed);
    }
    // Rules that would approve all four at once: nobody expects that of a push.
    scene.new_rules(RULES);
    scene.bot().engine.reconcile_soon();
    for request in &asked {
        let row = scene.until_it_stands(*request, "held").await;
        assert!(row.unconfirmed && row.note.contains("confirm"), "{}", row.note);
    }
    assert_eq!(scene.calls(REVIEW), 0);
    let (organization, ..) = scene.store().unconfirmed().await.unwrap().remove(0);
    assert_eq!(scene.store().confirm(organization, scene.clock.now()).await.unwrap(), 4);
    scene.bot().engine.wake();
    for request in asked {
        scene.until_it_stands(request, "approved by a rule").await;
    }
    scene.end().await;
}

#[tokio::test]
async fn what_gathered_while_there_were_no_rules_waits_for_a_confirmation_when_it_is_much() {
    let scene = Set::default().rules(BROKEN).flag("most-at-once", "2").open().await;
    let asked: Vec<_> = (0..4)
        .map(|number| scene.ask(harmless("kim").named(&format!("n{number}"))).request_id)
        .collect();
    for request in &asked {
        until("it waits for rules", || async {
            scene.row(*request).await.filter(|row| row.note.contains("no valid policy"))
        })
        .await;
    }
    scene.new_rules(RULES);
    for request in &asked {
        let row = scene.until_it_stands(*request, "held").await;
        assert!(row.note.contains("confirm"), "{}", row.note);
    }
    assert_eq!(scene.calls(REVIEW), 0);
    scene.end().await;
}

#[test]
fn a_rule_file_that_points_elsewhere_or_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("a.toml"), RULES).unwrap();
    assert_eq!(read_sources(&rules).unwrap().len(), 1);
    // Within the directory it may point where it likes: this is how a mounted ConfigMap looks.
    std::os::unix::fs::symlink("a.toml", rules.join("b.toml")).unwrap();
    assert_eq!(read_sources(&rules).unwrap().len(), 2);
    let secret = folder.path().join("app.pem");
    std::fs::write(&secret, "a secret").unwrap();
    for (target, why) in [(secret.as_path(), "points out"), (Path::new("/dev/zero"), "points out")]
    {
        let link = rules.join("z.toml");
        std::os::unix::fs::symlink(target, &link).unwrap();
        let error = read_sources(&rules).unwrap_err();
        assert!(error.contains(why) && !error.contains("a secret"), "{error}");
        std::fs::remove_file(link).unwrap();
    }
    assert!(read_sources(Path::new("/dev/zero")).unwrap_err().contains("is not a file"));
}
