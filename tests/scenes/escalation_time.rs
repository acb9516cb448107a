//! What comes of silence, and of too many at once: reminders, somebody else, an end; and where people are asked, or not.

use std::time::Duration;

use fakehub::{Fault, Hold, Repo};
use patwarden::store::{MailState, Voice};

use crate::{
    asking::{
        DAY, HOUR, OWNERS, REVIEWS, asked, decides, issues, mail_settings, opened,
        opened_with_mail, ours, passes, rules, say, set, until_closed, until_issue, until_mails,
        until_noted, until_said,
    },
    common::{LIST, OPEN_ISSUE, administrating, harmless, until, writing},
    forgetting::sql,
};

const SILENT: &str = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\n\
    remind_every = \"1d\"\nnext = { after = \"2d\", to = \"platform\" }\n\
    finally = { after = \"7d\", decision = \"deny\", reason = \"{owner}: nobody answered. ({rule})\" }\n\
    [reviewers.platform]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\n";

/// Owners are asked by mail alone.
const MAILED: &str =
    "[reviewers.owners]\nnotify = [\"email:owners\"]\nmay_decide.roles = [\"owner\"]\n";
const OLGA: &str = "olga = \"olga@acme.example\"";

#[tokio::test]
async fn silence_reminds_then_asks_others_then_denies_also_across_a_restart() {
    let mut scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    until_issue(&scene, issue, "says when it ends", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("It is **denied** on"))
    })
    .await;
    passes(&scene, DAY + HOUR).await;
    until_said(&scene, issue, "This still waits").await;
    scene.stop().await;
    // Down over the next moment, and two reminders: one is sent.
    scene.both_clocks(DAY + DAY);
    scene.start().await;
    let shown = until_said(&scene, issue, "`platform` is asked too").await;
    assert!(ours(&shown).filter(|said| said.contains("This still waits")).count() <= 2);
    assert_eq!(scene.on_github(bens.request_id), "pending");
    passes(&scene, 3 * DAY).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.both_clocks(DAY + HOUR);
    let row = scene.until_settled(bens.request_id).await;
    assert!(
        row.state.to_string().starts_with("denied by reviewers.owners: no answer within 7d"),
        "{}",
        row.state
    );
    let reason = scene.hub.reviews(bens.request_id)[0].reason.clone().unwrap();
    assert_eq!(reason, "ben: nobody answered. (reviewers.owners)");
    let review = scene.store().reviews(row.key()).await.unwrap().pop().unwrap();
    assert_eq!(review.voice, Voice::Silence);
    let closed = until_closed(&scene, issue).await;
    assert!(ours(&closed).last().unwrap().contains("nobody answered in time"), "{closed:?}");
    scene.end().await;
}

#[tokio::test]
async fn an_answer_that_nobody_told_us_of_comes_before_silence() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    scene.hub.drop_webhooks(true);
    say(&scene, issue, "olga", "/approve");
    scene.hub.drop_webhooks(false);
    scene.both_clocks(8 * DAY);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "approved");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn no_time_counts_before_somebody_was_reached() {
    let scene = opened(&rules(SILENT)).await;
    let fault = scene.hub.fault(Fault::on(OPEN_ISSUE).missing_permission());
    let bens = scene.ask(writing("ben"));
    until("it is told", || async { (scene.alarms(bens.request_id) > 0).then_some(()) }).await;
    for _ in 0..3 {
        passes(&scene, 5 * DAY).await;
    }
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.hub.clear_fault(fault);
    passes(&scene, HOUR).await;
    let issue = until_issue(&scene, 1, "is open", |issue| issue.open).await.number;
    passes(&scene, 6 * DAY).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    passes(&scene, DAY + HOUR).await;
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "denied");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn silence_denies_nothing_while_the_clocks_differ() {
    let scene = opened(&rules(SILENT)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    // Ours alone is ahead.
    scene.clock.push(7 * DAY + HOUR);
    scene.until_idle().await;
    until("it is noted", || async {
        let row =
            scene.store().escalation(scene.key(bens.request_id).await).await.unwrap().unwrap();
        row.note.contains("clock").then_some(())
    })
    .await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.hub.advance_for_all(7 * DAY + HOUR);
    scene.both_clocks(HOUR);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "denied");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn approve_only_asks_people_and_silence_denies_nothing() {
    let scene = opened(&rules(SILENT).replace("\"enforce\"", "\"approve-only\"")).await;
    let (bens, issue) = asked(&scene, "ben").await;
    passes(&scene, 30 * DAY).await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    decides(&scene, bens, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn in_shadow_nobody_is_asked() {
    let scene = opened(&rules(OWNERS).replace("\"enforce\"", "\"shadow\"")).await;
    let kims = scene.ask(writing("kim"));
    scene.until_it_stands(kims.request_id, "held").await;
    scene.until_idle().await;
    assert!(issues(&scene).is_empty());
    scene.new_rules(&rules(OWNERS));
    let issue = until_issue(&scene, 1, "is open", |issue| issue.open).await.number;
    scene.new_rules(&rules(OWNERS).replace("\"enforce\"", "\"shadow\""));
    until_closed(&scene, issue).await;
    say(&scene, issue, "olga", "/approve");
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    scene.new_rules(&rules(OWNERS));
    until_issue(&scene, issue, "is open again", |issue| issue.open).await;
    assert_eq!(issues(&scene).len(), 1);
    scene.end().await;
}

#[tokio::test]
async fn where_everybody_reads_only_who_asks_is_said() {
    let mut scene = set(&rules(OWNERS), Repo::public(REVIEWS)).await;
    scene.start().await;
    scene.looked_around().await;
    let (kims, issue) = asked(&scene, "kim").await;
    let shown = until_issue(&scene, issue, "is open", |issue| issue.open).await;
    let text = format!("{} {}", shown.title, shown.body.unwrap());
    for secret in ["kim-writes", "contents", "web", "nightly", "escalate"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    say(&scene, issue, "olga", "/explain");
    until_said(&scene, issue, "not said where everybody can read it").await;
    say(&scene, issue, "olga", "/approve because of the secret project");
    scene.until_settled(kims.request_id).await;
    let closed = until_closed(&scene, issue).await;
    assert!(ours(&closed).all(|said| !said.contains("secret project")), "{closed:?}");
    scene.end().await;
}

#[tokio::test]
async fn more_than_twenty_of_one_person_within_an_hour_become_one_list_and_others_have_their_own_issue()
 {
    let scene = opened(&rules(OWNERS)).await;
    let mut all =
        scene.ask_together(25, |number| writing("kim").named(&format!("token-{number}"))).await;
    let list = until_issue(&scene, 21, "names five", |issue| {
        issue.body.as_deref().is_some_and(|body| body.matches("waiting").count() == 5)
    })
    .await;
    scene.until_idle().await;
    assert_eq!(issues(&scene).len(), 21);
    let (bens, bens_issue) = asked(&scene, "ben").await;
    let shown = until_issue(&scene, bens_issue, "is open", |issue| issue.open).await;
    assert!(shown.title.starts_with("ben asks"), "{}", shown.title);
    all.push(bens);
    for ids in &all {
        scene.hub.cancel_request(ids.request_id).unwrap();
    }
    until("all are closed", || async {
        issues(&scene).iter().all(|issue| !issue.open).then_some(())
    })
    .await;
    assert!(list.open);
    scene.end().await;
}

#[tokio::test]
async fn of_many_at_a_first_run_nobody_is_asked_before_somebody_confirms() {
    let mut scene = set(&rules(OWNERS), Repo::private(REVIEWS)).await;
    scene.change(|set| set.flags.push(("most-at-once", "2".to_owned())));
    let all: Vec<_> =
        (0..3).map(|number| scene.ask(writing("kim").named(&format!("token-{number}")))).collect();
    scene.start().await;
    for ids in &all {
        scene.until_left_to_people(ids.request_id).await;
    }
    scene.until_idle().await;
    assert!(issues(&scene).is_empty());
    let organization = scene.organization("acme").id;
    scene.store().confirm(organization, scene.clock.now()).await.unwrap();
    scene.bot().engine.wake();
    until("all are asked about", || async { (issues(&scene).len() == 3).then_some(()) }).await;
    scene.end().await;
}

#[tokio::test]
async fn two_processes_on_one_store_open_one_issue() {
    let scene = opened(&rules(OWNERS)).await;
    let other = scene.another_bot().await;
    let mut numbers = Vec::new();
    for login in ["kim", "lee", "ben"] {
        numbers.push(scene.ask(writing(login)).request_id);
    }
    until("all are asked about", || async { (issues(&scene).len() == 3).then_some(()) }).await;
    scene.until_idle().await;
    for number in 1..=3 {
        say(&scene, number, "olga", "/approve");
    }
    for request in numbers {
        scene.until_settled(request).await;
        assert_eq!(scene.on_github(request), "approved");
    }
    until("all are closed", || async {
        issues(&scene).iter().all(|issue| !issue.open).then_some(())
    })
    .await;
    assert_eq!(issues(&scene).len(), 3);
    for issue in issues(&scene) {
        assert_eq!(ours(&issue).count(), 1, "{issue:?}");
    }
    other.stop().await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn an_issue_that_was_deleted_or_closed_by_hand_does_not_stop_the_question() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, first) = asked(&scene, "kim").await;
    scene.hub.close_issue("acme", REVIEWS, first, "olga").unwrap();
    until_said(&scene, first, "Closing this issue decides nothing").await;
    until_issue(&scene, first, "is open again", |issue| issue.open).await;
    scene.until_idle().await;
    scene.hub.delete_issue("acme", REVIEWS, first, "olga").unwrap();
    let second = until_issue(&scene, first + 1, "is open", |issue| issue.open).await.number;
    assert!(scene.alarms(kims.request_id) > 0);
    decides(&scene, kims, second, "olga", "/approve").await;
    until_closed(&scene, second).await;
    scene.end().await;
}

#[tokio::test]
async fn people_are_not_bothered_with_a_fact_that_can_be_read_a_minute_later() {
    let team = "[escalate.team]\nwhen.owner.teams = [\"platform\"]\nto = \"owners\"\n[approve.read]\nwhen.owner.role = [\"member\"]\n\
        allow.lifetime = \"90d\"\nallow.repositories = [\"*\"]\nallow.permissions.repository = { contents = \"read\" }\n";
    let scene = opened(&rules(&format!("{OWNERS}{team}"))).await;
    let fault = scene.hub.fault(Fault::on(crate::common::TEAM).status(500));
    let adas = scene.ask(harmless("ada"));
    scene.until_left_to_people(adas.request_id).await;
    passes(&scene, Duration::from_secs(300)).await;
    assert!(issues(&scene).is_empty());
    passes(&scene, Duration::from_secs(660)).await;
    let issue = until_issue(&scene, 1, "is open", |issue| issue.open).await.number;
    scene.hub.clear_fault(fault);
    scene.time_passes_until_settled(adas.request_id).await;
    assert_eq!(scene.on_github(adas.request_id), "approved");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn requests_go_before_questions() {
    let scene = opened(&rules(OWNERS)).await;
    let held = scene.hub.hold(Hold::before(LIST));
    let kims = scene.ask(writing("kim"));
    crate::common::soon("the bot looks", held.reached()).await;
    let lees = scene.ask(administrating("lee"));
    held.release();
    scene.until_settled(lees.request_id).await;
    assert_eq!(scene.on_github(lees.request_id), "denied");
    until_issue(&scene, 1, "is open", |issue| issue.open).await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    scene.end().await;
}

#[tokio::test]
async fn reviewers_are_told_by_mail_and_time_counts_once_a_mail_is_delivered() {
    let mailed = SILENT.replacen("issue:acme/token-reviews", "email:owners", 1).replacen(
        "next = { after = \"2d\", to = \"platform\" }\n",
        "",
        1,
    );
    let scene = opened_with_mail(&rules(&mailed), OLGA).await;
    let bens = scene.ask(writing("ben").named("x\r\nBcc: a@b.example"));
    // The mail goes when its time has come, by the post's own clock.
    let told = until_mails(&scene, 1).await.remove(0);
    assert!(told.contains("To: olga@acme.example"), "{told}");
    assert!(told.contains("Subject: [patwarden acme] a token request of ben to decide"), "{told}");
    // On the GitHub that is asked, which may be an enterprise's own.
    let page = "/organizations/acme/settings/personal-access-token-requests";
    assert!(told.contains(page) && !told.contains("https://github.com"), "{told}");
    assert!(!told.contains("\nBcc"), "{told}");
    passes(&scene, Duration::from_secs(60)).await;
    until("it counts as reached", || async {
        let groups =
            scene.store().escalation_groups(scene.key(bens.request_id).await).await.unwrap();
        groups[0].reached_at.map(drop)
    })
    .await;
    passes(&scene, DAY + HOUR).await;
    until_mails(&scene, 2).await;
    scene.both_clocks(6 * DAY);
    scene.until_settled(bens.request_id).await;
    assert_eq!(scene.on_github(bens.request_id), "denied");
    assert!(issues(&scene).is_empty());
    scene.end().await;
}

#[tokio::test]
async fn what_is_named_and_cannot_be_used_is_told_once_and_nothing_is_asked_there() {
    let elsewhere = "[reviewers.owners]\nnotify = [\"issue:other/token-reviews\", \"email:owners\"]\nmay_decide.roles = [\"owner\"]\n\
        finally = { after = \"1d\", decision = \"deny\", reason = \"no\" }\n";
    let scene = opened(&rules(elsewhere)).await;
    scene.hub.world(|world| {
        world.add_organization("other").owner("olga").repository(Repo::private(REVIEWS));
    });
    let bens = scene.ask(writing("ben"));
    until("it is told", || async { (scene.alarms(bens.request_id) > 0).then_some(()) }).await;
    for _ in 0..3 {
        passes(&scene, 2 * DAY).await;
    }
    assert_eq!((scene.alarms(bens.request_id), scene.calls(OPEN_ISSUE)), (1, 0));
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.end().await;
}

#[tokio::test]
async fn an_issue_that_is_locked_or_moved_is_noticed() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, first) = asked(&scene, "kim").await;
    scene.hub.lock_issue("acme", REVIEWS, first, "olga", true).unwrap();
    say(&scene, first, "olga", "/deny");
    until("it is told", || async { (scene.alarms(kims.request_id) > 0).then_some(()) }).await;
    scene.hub.transfer_issue("acme", REVIEWS, first, "olga", "docs").unwrap();
    let second = until_issue(&scene, first + 1, "is open", |issue| issue.open).await.number;
    // What is said where it was moved to is nobody's word.
    scene.hub.comment("acme", "docs", 1, "olga", "/approve").unwrap();
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    say(&scene, second, "olga", "/approve");
    scene.until_settled(kims.request_id).await;
    until_closed(&scene, second).await;
    scene.end().await;
}

#[tokio::test]
async fn what_is_said_on_other_issues_is_not_even_stored() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    let other =
        scene.hub.open_issue("acme", REVIEWS, "olga", "Something else", "/approve").unwrap();
    say(&scene, other, "olga", "/approve");
    crate::common::soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    let last = scene.hub.deliveries().last().unwrap().clone();
    assert_eq!((last.event.as_str(), last.status_code), ("issue_comment", 204));
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    say(&scene, issue, "olga", "/deny no");
    scene.until_settled(kims.request_id).await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_who_is_asked_who_answered_and_what_silence_comes_to() {
    let two = SILENT.replacen("remind_every", "quorum = 2\nremind_every", 1);
    let scene = opened(&rules(&two)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "1 of 2").await;
    scene.until_idle().await;
    let show = format!("patwarden requests show {}", bens.request_id);
    let (out, error, code) = crate::common::shell::run(&scene, &show, "").await;
    assert_eq!(code, 0, "{error}");
    for part in [
        "owners: 1 of 2 approved; reached",
        "token-reviews/issues/1",
        "@olga (",
        "approve",
        "Without an answer it is denied at",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let (out, _, _) = crate::common::shell::run(&scene, "patwarden requests list", "").await;
    assert!(out.contains("asked: owners 1 of 2; denied "), "{out}");
    say(&scene, issue, "martin", "/approve");
    scene.until_settled(bens.request_id).await;
    until_closed(&scene, issue).await;
    scene.until_idle().await;
    // What was asked, and who was, is told of what is over too.
    let (out, _, _) = crate::common::shell::run(&scene, &show, "").await;
    for part in [
        "It asks for contents:write on web for 30 d, until 2",
        "It says \"nightly build of the pages\".",
        "People were asked from 2",
        "owners: 2 of 2 approved; reached",
        "token-reviews/issues/1",
        "@martin (",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains("Without an answer"), "{out}");
    let nowhere = "patwarden digest preview --org acme --rules /nowhere/rules.toml";
    let (out, error, code) = crate::common::shell::run(&scene, nowhere, "").await;
    assert_eq!(code, 1, "{out}{error}");
    assert!(
        error.contains("no rules of acme can be used") && error.contains("/nowhere"),
        "{error}"
    );
    let hold = "patwarden revocations hold --token 7 --until tomorrow --why later";
    let (out, error, code) = crate::common::shell::run(&scene, hold, "").await;
    assert_eq!(code, 2, "{out}{error}");
    assert!(error.contains("a day is written as year, month and day, such as 2"), "{error}");
    scene.end().await;
}

#[tokio::test]
async fn whoever_is_asked_the_same_once_more_is_told_by_mail_once_more() {
    let scene = opened_with_mail(&rules(MAILED), OLGA).await;
    let bens = scene.ask(writing("ben"));
    until_mails(&scene, 1).await;
    scene.until_idle().await;
    for (name, so_far) in [("ben-writes-more", 2), ("ben-writes", 3)] {
        passes(&scene, Duration::from_secs(60)).await;
        scene.hub.edit_request(bens.request_id, |spec| spec.named(name)).unwrap();
        scene.bot().engine.reconcile_soon();
        until_mails(&scene, so_far).await;
        scene.until_idle().await;
    }
    scene.hub.cancel_request(bens.request_id).unwrap();
    scene.end_with_work_left().await;
}

/// Whoever mends the address book starts the bot anew, and does not wait until it would have tried again.
#[tokio::test]
async fn whoever_had_no_address_is_asked_as_soon_as_a_start_knows_one() {
    let mut scene = opened_with_mail(&rules(MAILED), "kim = \"kim@acme.example\"").await;
    let bens = scene.ask(writing("ben"));
    until_noted(&scene, bens.request_id, "nobody can be reached").await;
    scene.until_idle().await;
    scene.stop().await;
    scene.change(|set| set.file = Some(mail_settings(OLGA)));
    scene.start().await;
    assert!(until_mails(&scene, 1).await[0].contains("To: olga@acme.example"));
    scene.hub.cancel_request(bens.request_id).unwrap();
    scene.end_with_work_left().await;
}

/// The same of a mail server that was away for hours.
#[tokio::test]
async fn a_mail_that_waits_for_its_next_try_goes_as_soon_as_the_bot_is_started() {
    let mut scene = opened_with_mail(&rules(MAILED), OLGA).await;
    // A folder cannot be where a file is.
    std::fs::write(scene.path("mail"), "").unwrap();
    let bens = scene.ask(writing("ben"));
    let waits = || scene.store().mails(MailState::Waiting, 10);
    until("it was tried", || async {
        waits().await.unwrap().first().is_some_and(|mail| mail.attempts > 0).then_some(())
    })
    .await;
    scene.stop().await;
    sql(&scene, "UPDATE mails SET attempts = 9, due_at = due_at + 1800000").await;
    std::fs::remove_file(scene.path("mail")).unwrap();
    scene.start().await;
    until_mails(&scene, 1).await;
    scene.hub.cancel_request(bens.request_id).unwrap();
    scene.end_with_work_left().await;
}
