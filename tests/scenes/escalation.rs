//! People are asked on an issue, and what they answer there is done: by whoever may, for what they were shown, and once.

use std::time::Duration;

use fakehub::Fault;
use patwarden::{
    audit::Event,
    domain::{Approval, GrantId},
    store::Gone,
};

use crate::{
    asking::{
        MINUTE, OWNERS, REVIEWS, asked, decides, issues, opened, ours, rules, say, until_closed,
        until_issue, until_said,
    },
    common::{COMMENT, OPEN_ISSUE, REVIEW, TEAM, administrating, until},
};

#[tokio::test]
async fn what_is_left_to_people_is_asked_on_an_issue_and_an_owners_word_is_done() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    let shown = until_issue(&scene, issue, "is open", |issue| issue.open).await;
    assert!(shown.title.contains("kim"), "{}", shown.title);
    let body = shown.body.unwrap();
    for part in ["kim-writes", "contents:write", "`web`", "/approve", "nightly build of the pages"]
    {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert_eq!(scene.on_github(kims.request_id), "pending");
    say(&scene, issue, "olga", "Fine with me.\n\n/approve for the migration");
    let row = scene.until_settled(kims.request_id).await;
    assert_eq!(scene.on_github(kims.request_id), "approved");
    let by = row.state.to_string();
    assert!(
        by.starts_with("approved by @olga (")
            && by.contains("token-reviews/issues/1#issuecomment-"),
        "{by}"
    );
    // The token's card says so too.
    let installation = scene.installation().await;
    scene.bulk().await.list_tokens(&installation, &()).await.unwrap();
    let first = GrantId(i64::MIN);
    let tokens = scene.store().tokens(installation.organization.id, first, Gone::With, 10).await;
    let approval = &tokens.unwrap()[0].approval;
    assert!(
        matches!(approval, Approval::Person { login, .. } if login.starts_with("@olga (")),
        "{approval:?}"
    );
    let closed = until_closed(&scene, issue).await;
    assert_eq!(closed.state_reason.as_deref(), Some("completed"));
    let last = ours(&closed).last().unwrap().to_owned();
    assert!(last.contains("approved by `olga`") && last.contains("for the migration"), "{last}");
    let answered =
        |event: &Event| matches!(event, Event::ReviewersAnswered { effect: "approve", .. });
    assert_eq!(scene.told(kims.request_id).iter().filter(|event| answered(event)).count(), 1);
    scene.end().await;
}

#[tokio::test]
async fn one_denial_is_enough_and_its_reason_reaches_the_requester() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    say(&scene, issue, "martin", "/deny");
    until_said(&scene, issue, "needs a reason").await;
    say(&scene, issue, "martin", "/deny Please ask for read access.");
    let row = scene.until_settled(kims.request_id).await;
    assert!(row.state.to_string().starts_with("denied by @martin ("), "{}", row.state);
    assert_eq!(
        scene.hub.reviews(kims.request_id)[0].reason.as_deref(),
        Some("Please ask for read access.")
    );
    until_closed(&scene, issue).await;
    scene.end().await;
}

const FOUR_EYES: &str = "[escalate.writers]\nwhen.permissions.any_at_least.repository = { \"*\" = \"write\" }\nto = [\"owners\", \"platform\"]\n\
    [reviewers.platform]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\nquorum = 2\ncomment_required = true\n";

#[tokio::test]
async fn each_group_gives_its_own_quorum_and_the_requester_never_counts() {
    let scene = opened(&rules(&format!("{OWNERS}{FOUR_EYES}"))).await;
    scene.hub.add_team_member("acme", "platform", "ada").unwrap();
    let (kims, issue) = asked(&scene, "kim").await;
    // Kim is in the team, and asks.
    say(&scene, issue, "kim", "/approve it is mine");
    until_said(&scene, issue, "nobody decides on their own request").await;
    say(&scene, issue, "ben", "/approve why not");
    until_said(&scene, issue, "is not among those who may decide").await;
    say(&scene, issue, "lee", "/approve");
    until_said(&scene, issue, "An approval needs a comment").await;
    say(&scene, issue, "lee", "/approve looked at it");
    until_said(&scene, issue, "`platform`: 1 of 2").await;
    // The same person again is no second one.
    say(&scene, issue, "lee", "/approve really");
    until_issue(&scene, issue, "counts", |issue| {
        ours(issue).filter(|said| said.contains("`platform`: 1 of 2")).count() == 2
    })
    .await;
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "`owners`: 1 of 1").await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    say(&scene, issue, "ada", "/approve me too");
    let row = scene.until_settled(kims.request_id).await;
    let by = row.state.to_string();
    for who in ["@lee", "@olga", "@ada"] {
        assert!(by.contains(who), "{who} in {by}");
    }
    assert_eq!(scene.on_github(kims.request_id), "approved");
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn whether_somebody_may_decide_and_cannot_be_read_does_not_count_and_is_said() {
    let team = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\n";
    let scene = opened(&rules(team)).await;
    let (bens, issue) = asked(&scene, "ben").await;
    let fault = scene.hub.fault(Fault::on(TEAM).missing_permission());
    say(&scene, issue, "kim", "/approve");
    until_said(&scene, issue, "could not be read").await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    scene.hub.clear_fault(fault);
    decides(&scene, bens, issue, "kim", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn an_edited_request_voids_what_was_said_of_it_before() {
    let two = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\nquorum = 2\n";
    let scene = opened(&rules(two)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "1 of 2").await;
    scene
        .hub
        .edit_request(kims.request_id, |spec| spec.repository_permission("issues", "write"))
        .unwrap();
    scene.bot().engine.reconcile_soon();
    until_said(&scene, issue, "The request was changed").await;
    let shown = until_issue(&scene, issue, "shows both", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("issues:write"))
    })
    .await;
    assert!(shown.body.unwrap().contains("0 of 2"));
    say(&scene, issue, "martin", "/approve");
    until_issue(&scene, issue, "counts anew", |issue| {
        ours(issue).filter(|said| said.contains("1 of 2")).count() == 2
    })
    .await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    decides(&scene, kims, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn an_edit_that_no_list_shows_is_found_before_an_answer_to_something_else_counts() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    // The list says "a subset", before and after.
    scene.hub.edit_request(kims.request_id, |spec| spec.on(["web", "billing"])).unwrap();
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "The request was changed").await;
    until_issue(&scene, issue, "shows both", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("`billing`"))
    })
    .await;
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    decides(&scene, kims, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn only_what_a_person_wrote_as_it_is_read_is_a_command() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    say(&scene, issue, "olga", "> /approve\n\nNo: see above.\n\n```\n/approve\n```\n\n`/approve`");
    scene.hub.comment_through_app("acme", REVIEWS, issue, "helper", None, "/approve").unwrap();
    scene
        .hub
        .comment_through_app("acme", REVIEWS, issue, "helper", Some("olga"), "/approve")
        .unwrap();
    say(&scene, issue, "olga", "/approve\n\n/deny no");
    until_said(&scene, issue, "more than one command").await;
    // Deleted before it was read: it never was. Edited before that: somebody else may have done it.
    scene.hub.drop_webhooks(true);
    let deleted = scene.hub.comment("acme", REVIEWS, issue, "olga", "/approve").unwrap();
    scene.hub.delete_comment("acme", REVIEWS, deleted.id, "olga").unwrap();
    let edited = scene.hub.comment("acme", REVIEWS, issue, "olga", "Hm.").unwrap();
    scene.both_clocks(MINUTE);
    scene.hub.edit_comment("acme", REVIEWS, edited.id, "martin", "/approve").unwrap();
    scene.hub.drop_webhooks(false);
    scene.bot().engine.reconcile_soon();
    until_said(&scene, issue, "was changed after it was written").await;
    // Read as no command, and made one afterwards.
    let read = scene.hub.comment("acme", REVIEWS, issue, "olga", "Hm, hm.").unwrap();
    scene.until_idle().await;
    scene.both_clocks(MINUTE);
    scene.hub.edit_comment("acme", REVIEWS, read.id, "martin", "/approve").unwrap();
    say(&scene, issue, "olga", "/explain");
    until_said(&scene, issue, "How every rule judged it").await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    assert_eq!(scene.calls(REVIEW), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_hard_denial_of_now_is_not_got_past() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    scene.new_rules(
        &rules(OWNERS).replace(
            "[deny.administration]",
            "[deny.writing]\nenforcement = \"hard\"\nwhen.permissions.any_at_least.repository = { contents = \"write\" }\n\
             reason = \"Nobody writes.\"\n[deny.administration]",
        ),
    );
    say(&scene, issue, "olga", "/approve");
    let row = scene.until_settled(kims.request_id).await;
    assert_eq!(row.state.to_string(), "denied by a rule");
    let closed = until_closed(&scene, issue).await;
    assert!(ours(&closed).last().unwrap().contains("denied by the rules"), "{closed:?}");
    scene.end().await;
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_issue_and_no_second_comment() {
    let scene = opened(&rules(OWNERS)).await;
    scene.hub.fault(Fault::on(OPEN_ISSUE).cut().after_effect().times(1));
    let (kims, issue) = asked(&scene, "kim").await;
    scene
        .time_passes_until("it is found", Duration::from_secs(1), || async {
            scene
                .told(kims.request_id)
                .iter()
                .any(|event| matches!(event, Event::ReviewersAsked { .. }))
        })
        .await;
    assert_eq!(issues(&scene).len(), 1);
    scene.hub.fault(Fault::on(COMMENT).cut().after_effect().times(1));
    say(&scene, issue, "olga", "/deny");
    until_said(&scene, issue, "needs a reason").await;
    scene
        .time_passes_until("it is known", Duration::from_secs(1), || async {
            scene.store().unwritten_comments().await.unwrap() == 0
        })
        .await;
    let said = until_said(&scene, issue, "needs a reason").await;
    assert_eq!(ours(&said).filter(|said| said.contains("needs a reason")).count(), 1);
    say(&scene, issue, "olga", "/approve");
    scene.until_settled(kims.request_id).await;
    until_closed(&scene, issue).await;
    assert_eq!(scene.calls(OPEN_ISSUE), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_comment_that_no_webhook_told_is_found() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    scene.hub.drop_webhooks(true);
    say(&scene, issue, "olga", "/approve");
    scene.hub.drop_webhooks(false);
    scene.bot().engine.reconcile_soon();
    scene.until_settled(kims.request_id).await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn whoever_ends_it_the_issue_says_so_and_is_closed() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, first) = asked(&scene, "kim").await;
    let (lees, second) = asked(&scene, "lee").await;
    scene.hub.review_as("olga", kims.request_id, fakehub::Review::Approve).unwrap();
    scene.hub.cancel_request(lees.request_id).unwrap();
    let closed = until_closed(&scene, first).await;
    assert!(
        ours(&closed).last().unwrap().contains("approved by `olga`, not on this issue"),
        "{closed:?}"
    );
    let closed = until_closed(&scene, second).await;
    assert_eq!(closed.state_reason.as_deref(), Some("not_planned"));
    assert!(ours(&closed).last().unwrap().contains("taken back by its requester"), "{closed:?}");
    // What is said there now is nobody's word.
    say(&scene, first, "olga", "/deny too late");
    scene.end().await;
}

#[tokio::test]
async fn an_approval_that_rules_forbid_by_now_is_refused_and_a_new_one_is_needed() {
    let scene = opened(&rules(OWNERS)).await;
    let _ = administrating("kim");
    let (kims, issue) = asked(&scene, "kim").await;
    std::fs::write(scene.path("rules.toml"), "schema = 1\nmode = ").unwrap();
    let policies = scene.bot().engine.policies().clone();
    policies.reload();
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "not approved").await;
    scene.new_rules(&rules(OWNERS));
    scene.until_idle().await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    decides(&scene, kims, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn what_is_answered_to_an_issue_that_somebody_rewrote_does_not_count() {
    let scene = opened(&rules(OWNERS)).await;
    let (kims, issue) = asked(&scene, "kim").await;
    scene.hub.drop_webhooks(true);
    let harmless = Some("kim asks for contents:read on one repository.");
    scene.hub.edit_issue("acme", REVIEWS, issue, "martin", None, harmless).unwrap();
    scene.hub.drop_webhooks(false);
    say(&scene, issue, "olga", "/approve");
    until_said(&scene, issue, "only what is answered from here on counts").await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    let again = until_issue(&scene, issue, "is written anew", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("contents:write"))
    })
    .await;
    assert!(again.open);
    decides(&scene, kims, issue, "olga", "/approve").await;
    until_closed(&scene, issue).await;
    scene.end().await;
}

#[tokio::test]
async fn an_issue_of_another_request_is_not_taken_for_a_lost_one_whatever_mark_it_was_given() {
    let scene = opened(&rules(OWNERS)).await;
    let (lees, first) = asked(&scene, "lee").await;
    say(&scene, first, "olga", "/approve");
    scene.until_settled(lees.request_id).await;
    until_closed(&scene, first).await;
    let (kims, second) = asked(&scene, "kim").await;
    let mark = issues(&scene)[1].body.clone().unwrap();
    scene.hub.edit_issue("acme", REVIEWS, first, "martin", None, Some(&mark)).unwrap();
    scene.hub.reopen_issue("acme", REVIEWS, first, "martin").unwrap();
    scene.hub.delete_issue("acme", REVIEWS, second, "olga").unwrap();
    let third = until("another issue", || async {
        issues(&scene).into_iter().find(|issue| issue.number > second)
    })
    .await;
    assert_eq!(scene.on_github(kims.request_id), "pending");
    say(&scene, third.number, "martin", "/approve");
    let row = scene.until_settled(kims.request_id).await;
    assert!(row.state.to_string().contains("@martin"), "{}", row.state);
    until_issue(&scene, third.number, "is closed", |issue| !issue.open).await;
    scene.end().await;
}

#[tokio::test]
async fn who_is_to_be_asked_by_now_and_was_not_is_asked_before_anything_is_approved() {
    let freeze = "[escalate.web]\nwhen.repositories.any.topics = [\"frozen\"]\nto = \"platform\"\n\
        [reviewers.platform]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.teams = [\"platform\"]\n";
    let scene = opened(&rules(&format!("{OWNERS}{freeze}"))).await;
    let (bens, issue) = asked(&scene, "ben").await;
    scene.hub.set_topics("acme", "web", ["frozen"]).unwrap();
    scene.clock.push(2 * MINUTE);
    scene.hub.advance_for_all(2 * MINUTE);
    say(&scene, issue, "olga", "/approve");
    until_issue(&scene, issue, "names the others", |issue| {
        issue.body.as_deref().is_some_and(|body| body.contains("platform"))
    })
    .await;
    assert_eq!(scene.on_github(bens.request_id), "pending");
    say(&scene, issue, "kim", "/approve");
    scene
        .both_clocks_until("both have answered", MINUTE, || async {
            scene.on_github(bens.request_id) != "pending" || {
                say(&scene, issue, "olga", "/approve");
                false
            }
        })
        .await;
    assert_eq!(scene.on_github(bens.request_id), "approved");
    until_closed(&scene, issue).await;
    scene.end().await;
}
