//! Who is asked, and who is not, while somebody tries to have silence, floods, noise or a stolen name decide.

use std::time::Duration;

use fakehub::{Fault, Repo, Review};

use crate::{
    asking::{
        DAY, HOUR, OWNERS, REVIEWS, SILENT, asked, decides, denied_after_a_week, issues,
        no_time_counts, opened, ours, passes, rules, say, until_closed, until_issue, until_noted,
        until_said,
    },
    common::{TEAM, shell, until, writing},
};

#[tokio::test]
async fn on_an_issue_that_is_locked_nobody_is_silent() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    passes(&scene, DAY).await;
    scene.hub.lock_issue("acme", REVIEWS, issue, "martin", true).unwrap();
    until_noted(&scene, bens.request_id, "is locked").await;
    assert_eq!(scene.alarms(bens.request_id), 1);
    let body = until_issue(&scene, issue, "says that it is locked", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("nobody can answer here"))
    })
    .await
    .body
    .unwrap();
    assert!(!body.contains("**denied**"), "{body}");
    for _ in 0..3 {
        passes(&scene, 3 * DAY).await;
    }
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.hub.lock_issue("acme", REVIEWS, issue, "martin", false).unwrap();
    until_issue(&scene, issue, "says when silence denies", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("**denied**"))
    })
    .await;
    // The whole of the time again, and not what was left of it.
    denied_after_a_week(&scene, bens, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn a_lock_that_no_webhook_told_is_found_before_silence_denies() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    // It was looked at today already, so that nothing but the end of the time makes it look again.
    passes(&scene, DAY - 6 * HOUR).await;
    say(&scene, issue, "kim", "Hm.");
    scene.until_idle().await;
    scene.hub.drop_webhooks(true);
    scene.hub.lock_issue("acme", REVIEWS, issue, "martin", true).unwrap();
    scene.hub.drop_webhooks(false);
    passes(&scene, 7 * HOUR).await;
    until_noted(&scene, bens.request_id, "is locked").await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.hub.cancel_request(bens.request_id).unwrap();
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn where_nothing_can_be_written_any_more_nobody_is_silent() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, _) = asked(&scene, "ben").await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    scene.hub.archive("acme", REVIEWS, true).unwrap();
    passes(&scene, DAY + HOUR).await;
    until_noted(&scene, bens.request_id, "archived").await;
    for _ in 0..3 {
        passes(&scene, 3 * DAY).await;
    }
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.hub.archive("acme", REVIEWS, false).unwrap();
    scene.hub.cancel_request(bens.request_id).unwrap();
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn who_is_not_to_be_asked_any_more_decides_for_nobody() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    passes(&scene, 2 * DAY + HOUR).await;
    until_said(&scene, issue, "`platform` is asked too").await;
    say(&scene, issue, "kim", "/approve");
    until_said(&scene, issue, "`platform`: 1 of 2").await;
    let alone = SILENT.replace("next = { after = \"2d\", to = \"platform\" }\n", "");
    scene.new_rules(&rules(&alone));
    say(&scene, issue, "lee", "/approve");
    until_said(&scene, issue, "`lee` is not among those who may decide").await;
    let shown = until_issue(&scene, issue, "asks the owners alone", |issue| {
        issue.body.as_deref().is_some_and(|body| !body.contains("**`platform`**"))
    })
    .await;
    assert!(shown.open);
    scene.until_idle().await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    // Named again, they are asked again.
    scene.new_rules(&rules(SILENT));
    decides(&scene, bens, issue, "lee", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn whoever_writes_nonsense_again_and_again_is_answered_five_times_and_looked_up_no_more() {
    let team = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\n";
    let scene = opened(&rules(team)).await;
    let (adas, issue) = asked(&scene, "ada").await;
    for _ in 0..12 {
        say(&scene, issue, "ben", "/approve let it pass");
    }
    for _ in 0..12 {
        say(&scene, issue, "chiara", "/explain");
    }
    scene.until_idle().await;
    let shown = until_said(&scene, issue, "How every rule judged it").await;
    let said = |text: &str| ours(&shown).filter(|said| said.contains(text)).count();
    assert_eq!(said("`ben` is not among those who may decide"), 5);
    assert_eq!(said("How every rule judged it"), 5);
    assert_eq!(scene.calls(TEAM), 5, "whether ben may decide");
    // What is silence to them stops nobody else.
    decides(&scene, adas, issue, "kim", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

/// GitHub fails when the issue is to show the first of two answers; then somebody changes what it shows.
#[tokio::test]
async fn an_issue_that_is_rewritten_while_ours_waits_to_be_written_does_not_deceive_the_second() {
    let two = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\nquorum = 2\n";
    let scene = opened(&rules(two)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    let down = scene.hub.fault(Fault::on("issues/update").status(502));
    say(&scene, issue, "olga", "/approve");
    until("the answer cannot be shown", || async {
        (scene.hub.fault_fired(down) > 0).then_some(())
    })
    .await;
    scene.hub.drop_webhooks(true);
    let harmless = Some("kim asks for contents:read on one repository.");
    scene.hub.edit_issue("acme", REVIEWS, issue, "martin", None, harmless).unwrap();
    scene.hub.drop_webhooks(false);
    scene.hub.clear_fault(down);
    say(&scene, issue, "martin", "/approve");
    until_said(&scene, issue, "only what is answered from here on counts").await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    decides(&scene, kims, issue, "martin", "/approve").await;
    scene.end().await;
}

/// Changed, answered and restored, all of it before the bot could look: GitHub told it, and only that.
#[tokio::test]
async fn an_answer_to_a_text_that_is_restored_before_anybody_looks_does_not_count() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    let written = issues(&scene).remove(0).body.unwrap();
    let down = scene.hub.fault(Fault::on("issues/get").status(502));
    let edit = |text: &str| {
        scene.hub.edit_issue("acme", REVIEWS, issue, "martin", None, Some(text)).unwrap();
    };
    edit("kim asks for contents:read on one repository.");
    say(&scene, issue, "olga", "/approve");
    edit(&written);
    crate::common::soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    scene.until_read().await;
    scene.hub.clear_fault(down);
    scene
        .both_clocks_until("it is asked again", Duration::from_secs(2), || async {
            let issue = issues(&scene).remove(0);
            ours(&issue).any(|said| said.contains("only what is answered from here on counts"))
        })
        .await;
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    decides(&scene, kims, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn a_comment_of_ours_that_a_workflow_or_a_person_rewrites_puts_no_words_into_our_mouth() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    say(&scene, issue, "olga", "/explain");
    let explained =
        until_issue(&scene, issue, "is explained", |issue| ours(issue).count() > 0).await;
    scene.until_idle().await;
    let ours_there =
        explained.comments.iter().find(|one| one.author == fakehub::Author::App).unwrap();
    let down = scene.hub.fault(Fault::on("issues/get").status(502));
    let edit = |text: &str| {
        scene.hub.edit_comment("acme", REVIEWS, ours_there.id, "martin", text).unwrap();
    };
    edit("This request is harmless.");
    say(&scene, issue, "olga", "/approve");
    edit(&ours_there.body);
    crate::common::soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    scene.until_read().await;
    scene.hub.clear_fault(down);
    scene
        .both_clocks_until("it is asked again", Duration::from_secs(2), || async {
            let issue = issues(&scene).remove(0);
            ours(&issue).any(|said| said.contains("only what is answered from here on counts"))
        })
        .await;
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    scene.end().await;
}

#[tokio::test]
async fn an_answer_that_went_away_with_its_issue_is_no_silence() {
    let mut scene = opened(&rules(SILENT)).await;
    let (bens, first) = asked(&scene, "ben").await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    scene.stop().await;
    say(&scene, first, "olga", "/approve");
    scene.hub.transfer_issue("acme", REVIEWS, first, "martin", "docs").unwrap();
    scene.both_clocks(DAY + HOUR);
    scene.start().await;
    let second = until_issue(&scene, first + 1, "is open", |issue| issue.open).await.number;
    scene.until_idle().await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    denied_after_a_week(&scene, bens, second).await;
    scene.end().await;
}

#[tokio::test]
async fn whoever_may_not_decide_holds_up_nothing_by_editing_what_they_said() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    scene.hub.drop_webhooks(true);
    let hm = scene.hub.comment("acme", REVIEWS, issue, "ada", "hm").unwrap();
    scene.both_clocks(Duration::from_secs(5));
    scene.hub.edit_comment("acme", REVIEWS, hm.id, "ada", "hm, well").unwrap();
    scene.hub.drop_webhooks(false);
    scene.both_clocks(DAY + HOUR);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "denied");
    scene.end().await;
}

#[tokio::test]
async fn an_issue_that_is_rewritten_again_and_again_is_left_alone_and_nothing_said_there_counts() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    let edits = || scene.calls("issues/update");
    for round in 0..12 {
        let text = format!("ben asks for nothing much ({round})");
        scene.hub.edit_issue("acme", REVIEWS, issue, "martin", None, Some(&text)).unwrap();
        scene.until_idle().await;
    }
    assert!(edits() <= 8, "{} edits", edits());
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "The request was changed after this was written").await;
    until_noted(&scene, bens.request_id, "was changed too often").await;
    no_time_counts(&scene, bens).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    // Once it is over, it is mended.
    scene
        .both_clocks_until("it is written anew", HOUR / 4, || async {
            let issue = issues(&scene).remove(0);
            issue.body.is_some_and(|body| body.contains("contents:write"))
        })
        .await;
    scene.until_idle().await;
    decides(&scene, bens, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn our_own_comments_and_edits_come_back_and_cost_nothing() {
    let scene = opened(&rules(OWNERS)).await;
    let (_, issue) = asked(&scene, "kim").await;
    scene.hub.reset_calls();
    say(&scene, issue, "olga", "/deny");
    until_said(&scene, issue, "needs a reason").await;
    crate::common::soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    scene.until_idle().await;
    let last = scene.hub.deliveries().last().unwrap().clone();
    assert_eq!((last.event.as_str(), last.status_code), ("issue_comment", 204));
    // Once for what olga wrote.
    assert_eq!(scene.calls("issues/list-comments"), 1);
    // Who we are is asked for once, however many issues there are.
    asked(&scene, "lee").await;
    asked(&scene, "ada").await;
    assert_eq!(scene.calls("apps/get-authenticated"), 0);
    scene.end_with_work_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_repository_under_the_name_is_not_asked_in_before_somebody_trusts_it() {
    let digest = "[digest]\nto = \"owners\"\nat = \"08:00 UTC\"\n";
    let scene = opened(&rules(&format!("{OWNERS}{digest}"))).await;
    let (kims, first) = asked(&scene, "kim").await;
    scene.hub.rename_repository("acme", REVIEWS, "token-reviews-of-old").unwrap();
    // A repository follows its old name until another one takes it.
    let (lees, _) = {
        let lees = scene.ask(writing("lee"));
        let old = || scene.hub.issues("acme", "token-reviews-of-old");
        until("asked where it is now", || async { (old().len() == 2).then_some(()) }).await;
        (lees, ())
    };
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private(REVIEWS));
    });
    let bens = scene.ask(writing("ben"));
    until_noted(&scene, bens.request_id, "another repository has this name than before").await;
    assert!(issues(&scene).is_empty());
    assert_eq!(scene.alarms(bens.request_id), 1);
    let digest = "patwarden digest preview --org acme";
    let (out, error, _) = shell::run(&scene, digest, "").await;
    assert!(out.contains("could not be asked"), "{out}{error}");
    assert!(out.contains("policy trust acme --reviews"), "{out}{error}");
    let trust = "patwarden policy trust acme --reviews --yes";
    let (out, error, code) = shell::run(&scene, trust, "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("token-reviews"), "{out}");
    scene.bot().engine.wake();
    let issue = until_issue(&scene, 1, "is open", |issue| issue.open).await.number;
    decides(&scene, bens, issue, "olga", "/approve").await;
    // What was asked where the repository is now is answered there.
    scene.hub.comment("acme", "token-reviews-of-old", first, "olga", "/approve").unwrap();
    scene.until_settled(kims.request_id).await;
    assert_eq!(scene.on_github(kims.request_id), "approved");
    scene.hub.review_as("olga", lees.request_id, Review::Approve).unwrap();
    scene.until_settled(lees.request_id).await;
    scene.end().await;
}

#[tokio::test]
async fn what_was_to_be_denied_while_nobody_was_at_work_is_asked_once_more_first() {
    let mut scene = opened(&rules(SILENT)).await;
    let mut all = Vec::new();
    for login in ["ada", "ben", "chiara"] {
        all.push(asked(&scene, login).await);
    }
    scene.stop().await;
    scene.both_clocks(30 * DAY);
    scene.start().await;
    for (ids, issue) in &all {
        until_said(&scene, *issue, "so it asks once more").await;
        assert_eq!(scene.on_github(ids.request_id), "pending");
    }
    scene.until_idle().await;
    // An answer counts as ever.
    say(&scene, all[0].1, "olga", "/approve");
    scene.until_settled(all[0].0.request_id).await;
    assert_eq!(scene.on_github(all[0].0.request_id), "approved");
    passes(&scene, 23 * HOUR).await;
    assert_eq!(scene.on_github(all[1].0.request_id), "pending");
    scene.both_clocks(HOUR + HOUR / 2);
    for (ids, issue) in &all[1..] {
        scene.until_settled(ids.request_id).await;
        assert_eq!(scene.on_github(ids.request_id), "denied");
        let closed = until_closed(&scene, *issue).await;
        assert_eq!(ours(&closed).filter(|said| said.contains("asks once more")).count(), 1);
    }
    scene.end().await;
}

#[tokio::test]
async fn another_team_that_takes_the_slug_decides_nothing() {
    let team = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\nquorum = 2\n";
    let scene = opened(&rules(team)).await;
    let (adas, issue) = asked(&scene, "ada").await;
    say(&scene, issue, "kim", "/approve");
    until_said(&scene, issue, "1 of 2").await;
    scene.hub.rename_team("acme", "platform", "platform of old").unwrap();
    scene.hub.world(|world| {
        world.add_organization("acme").team("platform", ["kim", "ben"]);
    });
    say(&scene, issue, "ben", "/approve");
    until_said(&scene, issue, "names another team than before").await;
    scene.until_idle().await;
    assert_eq!(scene.on_github(adas.request_id), "pending");
    scene.hub.cancel_request(adas.request_id).unwrap();
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn an_issue_that_is_closed_again_and_again_is_no_silence_and_is_opened_within_the_hour() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    for _ in 0..5 {
        scene.hub.close_issue("acme", REVIEWS, issue, "martin").unwrap();
        until_issue(&scene, issue, "is open again", |issue| issue.open).await;
        scene.until_idle().await;
    }
    scene.hub.close_issue("acme", REVIEWS, issue, "martin").unwrap();
    until_noted(&scene, bens.request_id, "was closed too often by others").await;
    assert_eq!(scene.alarms(bens.request_id), 1);
    assert!(issues(&scene).iter().all(|issue| !issue.open));
    passes(&scene, DAY + HOUR).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    let again = until_issue(&scene, issue, "is open again", |issue| issue.open).await;
    assert_eq!(ours(&again).filter(|said| said.contains("so it is open again")).count(), 6);
    // The whole of the time again, from then on.
    denied_after_a_week(&scene, bens, issue).await;
    scene.end().await;
}

/// As long as somebody closes it again within every hour.
#[tokio::test]
async fn an_issue_that_stays_closed_denies_nobody() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    for _ in 0..5 {
        scene.hub.close_issue("acme", REVIEWS, issue, "martin").unwrap();
        until_issue(&scene, issue, "is open again", |issue| issue.open).await;
        scene.until_idle().await;
    }
    scene.hub.close_issue("acme", REVIEWS, issue, "martin").unwrap();
    until_noted(&scene, bens.request_id, "was closed too often by others").await;
    no_time_counts(&scene, bens).await;
    // Whoever finds it answers there as ever.
    decides(&scene, bens, issue, "olga", "/approve").await;
    scene.end().await;
}

#[tokio::test]
async fn an_answer_that_somebody_else_deletes_before_it_is_read_is_no_silence() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    // What the bot reads first is the whole story: the answer is gone by then.
    let held = scene.hub.fault(Fault::on("issues/get").status(502));
    let answer = scene.hub.comment("acme", REVIEWS, issue, "olga", "/approve").unwrap();
    scene.hub.delete_comment("acme", REVIEWS, answer.id, "martin").unwrap();
    crate::common::soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    scene.until_read().await;
    scene.hub.clear_fault(held);
    // From then on it counts anew.
    until("the alarm is told", || async { (scene.alarms(bens.request_id) > 0).then_some(()) })
        .await;
    passes(&scene, DAY + HOUR).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    assert_eq!(scene.alarms(bens.request_id), 1, "{:?}", scene.all_alarms());
    assert!(scene.all_alarms()[0].contains("deleted by somebody else before it was read"));
    // Whoever takes back their own words takes nothing from others, and neither does what was read.
    let own = scene.hub.comment("acme", REVIEWS, issue, "ben", "please").unwrap();
    scene.until_idle().await;
    scene.hub.delete_comment("acme", REVIEWS, own.id, "martin").unwrap();
    passes(&scene, 5 * DAY).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.both_clocks(DAY);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "denied");
    assert_eq!(scene.alarms(bens.request_id), 1);
    scene.end().await;
}

#[tokio::test]
async fn chatter_is_read_once_a_minute_and_what_was_read_is_not_read_again() {
    let scene = opened(&rules(OWNERS)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    scene.hub.reset_calls();
    for round in 0..40 {
        say(&scene, issue, "kim", &format!("What a nice day ({round}).\n{}", "x".repeat(1_000)));
        scene.until_idle().await;
        scene.both_clocks(Duration::from_secs(1));
    }
    let looks = scene.calls("issues/list-comments");
    assert!((18..=21).contains(&looks), "{looks} looks");
    scene.both_clocks(HOUR);
    scene.until_idle().await;
    scene.hub.reset_calls();
    decides(&scene, bens, issue, "olga", "/approve").await;
    let calls = scene.hub.calls_of("issues/list-comments");
    assert!(calls.iter().all(|call| call.query.contains("since=")), "{calls:?}");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn what_is_behind_a_thousand_comments_is_read_later_and_nobody_is_silent_meanwhile() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    scene.hub.drop_webhooks(true);
    for round in 1..=1_001 {
        say(&scene, issue, "kim", "A nice day.");
        if round % 100 == 0 {
            scene.both_clocks(Duration::from_secs(60));
        }
    }
    scene.hub.drop_webhooks(false);
    scene.hub.reset_calls();
    say(&scene, issue, "olga", "/approve");
    until_noted(&scene, bens.request_id, "has more comments than are read at once").await;
    assert_eq!(scene.calls("issues/list-comments"), 10);
    assert_eq!(scene.on_github(bens.request_id), "pending");
    no_time_counts(&scene, bens).await;
    scene.both_clocks(HOUR / 4);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "approved");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_accepts_one_repository_accepts_no_other() {
    let both = OWNERS.replace(
        "[\"issue:acme/token-reviews\"]",
        "[\"issue:acme/token-reviews\", \"issue:acme/second\"]",
    );
    let scene = opened(&rules(OWNERS)).await;
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("second"));
    });
    scene.new_rules(&rules(&both));
    let (kims, first) = asked(&scene, "kim").await;
    scene.until_idle().await;
    assert_eq!(scene.hub.issues("acme", "second").len(), 1);
    say(&scene, first, "olga", "/approve");
    scene.until_settled(kims.request_id).await;
    // Both are replaced; of the first one that is seen, and accepted.
    scene.new_rules(&rules(OWNERS));
    for name in [REVIEWS, "second"] {
        scene.hub.rename_repository("acme", name, &format!("{name}-of-old")).unwrap();
        scene.hub.world(|world| {
            world.add_organization("acme").repository(Repo::private(name));
        });
    }
    let bens = scene.ask(writing("ben"));
    until_noted(&scene, bens.request_id, "another repository has this name than before").await;
    let trust = "patwarden policy trust acme --reviews --yes";
    let (out, error, code) = shell::run(&scene, trust, "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("token-reviews") && !out.contains("second"), "{out}");
    scene.bot().engine.wake();
    let issue = until_issue(&scene, 1, "is open", |issue| issue.open).await.number;
    scene.new_rules(&rules(&both));
    let lees = scene.ask(writing("lee"));
    until_noted(&scene, lees.request_id, "another repository has this name than before").await;
    assert!(scene.hub.issues("acme", "second").is_empty());
    let (out, ..) = shell::run(&scene, trust, "").await;
    assert!(out.contains("second") && !out.contains("token-reviews"), "{out}");
    let (out, ..) = shell::run(&scene, trust, "").await;
    assert!(out.contains("there is nothing to accept"), "{out}");
    say(&scene, issue, "olga", "/approve");
    scene.until_settled(bens.request_id).await;
    scene.hub.review_as("olga", lees.request_id, Review::Approve).unwrap();
    scene.until_settled(lees.request_id).await;
    scene.end_with_work_left().await;
}
