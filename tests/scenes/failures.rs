//! GitHub fails in every way at every call: nothing opens, and everything is decided once the fault is over.

use std::time::Duration;

use fakehub::{Fault, Hold, SettledReview};

use crate::common::{
    ACCESS_TOKEN, GRANT_REPOSITORIES, GRANTS, INSTALLATIONS, LIST, MEMBERSHIP, PROPERTIES,
    REPOSITORIES, REVIEW, Scene, Set, TEAM, TEAM_BY_SLUG, TEAMS_OF, administrating, harmless,
    until,
};

/// Rules that ask for a role and a team, so that each of the calls is made.
const RULES: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.platform]
when.owner.role = ["member"]
when.owner.teams = ["platform"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
[deny.administration]
when.permissions.any_at_least.repository = { administration = "write" }
reason = "Tokens may not administer repositories."
"#;

/// Rules that ask for facts that others do without.
const MORE_RULES: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.read]
when.owner.active_tokens = { at_most = 5 }
unless.owner.teams = ["contractors", "interns"]
unless.repositories.any.custom_properties.tier = ["1"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
"#;

type Way = fn(Fault) -> Fault;

/// Every way in which a call can fail, with a name for the test's output.
fn ways() -> Vec<(&'static str, Way)> {
    vec![
        ("500", |fault| fault.status(500)),
        ("502", |fault| fault.status(502)),
        ("401", Fault::bad_credentials),
        ("403, a permission is missing", Fault::missing_permission),
        ("403, the hour is used up", |fault| fault.rate_limited(Duration::from_secs(7))),
        ("403, a secondary limit", |fault| fault.secondary_limit(None)),
        ("403, a secondary limit with retry-after", |fault| {
            fault.secondary_limit(Some(Duration::from_secs(3)))
        }),
        ("404", |fault| fault.status(404)),
        ("422", |fault| fault.status(422)),
        ("429", |fault| fault.too_many_requests(Duration::from_secs(3))),
        ("a silence", Fault::mute),
        ("a cut", Fault::cut),
        ("half an answer", |fault| fault.half().after_effect()),
        ("nonsense", |fault| fault.answer(200, serde_json::json!({ "message": "an outage page" }))),
        ("an answer lost after the effect", |fault| fault.cut().after_effect()),
        ("a silence after the effect", |fault| fault.mute().after_effect()),
        ("500 after the effect", |fault| fault.status(500).after_effect()),
        ("502 after the effect", |fault| fault.status(502).after_effect()),
    ]
}

async fn opened() -> Scene {
    opened_with(RULES).await
}

async fn opened_with(rules: &str) -> Scene {
    let scene = Set::default().rules(rules).flag("github-timeout", "250ms").open().await;
    scene.hub.world(|world| {
        let mut acme = world.add_organization("acme");
        acme.team("contractors", ["ada"]).team("interns", ["ben"]);
        acme.repository(fakehub::Repo::private("web").property("tier", "3"));
    });
    scene
}

/// While a call fails, nothing is approved; once it does not, the request is decided without a restart.
async fn nothing_opens(operation: &str, fails_before_review: bool) {
    nothing_opens_under(RULES, operation, fails_before_review).await;
}

async fn nothing_opens_under(rules: &str, operation: &str, fails_before_review: bool) {
    for (name, way) in ways() {
        let scene = opened_with(rules).await;
        let fault = scene.hub.fault(way(Fault::on(operation)));
        let asked = scene.ask(harmless("kim"));
        until(&format!("{operation} met with {name}"), || async {
            (scene.hub.fault_fired(fault) > 0).then_some(())
        })
        .await;
        // It fails for a while, whatever the bot makes of it.
        for _ in 0..4 {
            scene.until_idle().await;
            if fails_before_review {
                assert_eq!(scene.on_github(asked.request_id), "pending", "{operation}: {name}");
                assert_eq!(scene.calls(REVIEW), 0, "{operation}: {name}");
            }
            scene.clock.push(Duration::from_secs(3));
        }
        scene.hub.clear_fault(fault);
        scene
            .time_passes_until(
                &format!("{operation} met with {name}, and does no more"),
                Duration::from_secs(5),
                || async { scene.stands(asked.request_id).await == "approved by a rule" },
            )
            .await;
        assert_eq!(scene.on_github(asked.request_id), "approved", "{operation}: {name}");
        assert_eq!(scene.reviews(asked.request_id).0, 1, "{operation}: {name}");
        assert!(scene.hub.revocations("acme").is_empty(), "{operation}: {name}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_list_that_fails_opens_nothing() {
    nothing_opens(LIST, true).await;
}

#[tokio::test]
async fn a_role_that_cannot_be_read_opens_nothing() {
    // 404 too: only members ask, so it says that we may not see the membership, not that there is none.
    nothing_opens(MEMBERSHIP, true).await;
}

#[tokio::test]
async fn a_team_that_cannot_be_read_opens_nothing() {
    nothing_opens(TEAM, true).await;
}

#[tokio::test]
async fn a_team_whose_id_cannot_be_read_opens_nothing() {
    nothing_opens(TEAM_BY_SLUG, true).await;
}

#[tokio::test]
async fn tokens_that_cannot_be_counted_open_nothing() {
    nothing_opens_under(MORE_RULES, GRANTS, true).await;
}

#[tokio::test]
async fn custom_properties_that_cannot_be_read_open_nothing() {
    nothing_opens_under(MORE_RULES, PROPERTIES, true).await;
}

#[tokio::test]
async fn a_list_of_teams_that_cannot_be_read_is_done_without() {
    for (name, way) in ways() {
        let scene = opened_with(MORE_RULES).await;
        // Once: a limit is waited for, and then it is asked again.
        let fault = scene.hub.fault(way(Fault::on(TEAMS_OF)).times(1));
        let asked = scene.ask(harmless("kim"));
        scene.time_passes_until_settled(asked.request_id).await;
        assert!(scene.hub.fault_fired(fault) > 0, "{name}");
        assert_eq!(scene.on_github(asked.request_id), "approved", "{name}");
        scene.end().await;
    }
}

#[tokio::test]
async fn repositories_that_cannot_be_read_open_nothing() {
    nothing_opens(REPOSITORIES, true).await;
}

#[tokio::test]
async fn an_access_token_that_cannot_be_had_opens_nothing() {
    for (name, way) in ways() {
        // Before the start, or the bot has a token already.
        let mut scene = Set::default()
            .rules(RULES)
            .flag("github-timeout", "250ms")
            .flag("reconcile-interval", "30s")
            .without_bot()
            .await;
        let fault = scene.hub.fault(way(Fault::on(ACCESS_TOKEN)));
        let asked = scene.ask(harmless("kim"));
        scene.start().await;
        until(&format!("a token is asked for: {name}"), || async {
            (scene.hub.fault_fired(fault) > 0).then_some(())
        })
        .await;
        for _ in 0..4 {
            scene.clock.push(Duration::from_secs(3));
            assert_eq!(scene.on_github(asked.request_id), "pending", "{name}");
        }
        scene.hub.clear_fault(fault);
        scene
            .time_passes_until(name, Duration::from_secs(5), || async {
                scene.stands(asked.request_id).await == "approved by a rule"
            })
            .await;
        scene.end().await;
    }
}

#[tokio::test]
async fn a_review_that_fails_is_sent_until_it_is_done_and_takes_effect_once() {
    for settled_review in [SettledReview::NotFound, SettledReview::Unprocessable] {
        for (name, way) in ways() {
            let scene = Set::default()
                .rules(RULES)
                .flag("github-timeout", "250ms")
                .hub(|hub| hub.switches.settled_review = settled_review)
                .open()
                .await;
            let fault = scene.hub.fault(way(Fault::on(REVIEW)).times(2));
            let yes = scene.ask(harmless("kim"));
            let no = scene.ask(administrating("lee"));
            scene
                .time_passes_until(
                    &format!("a review met with {name}"),
                    Duration::from_secs(3),
                    || async {
                        scene.stands(yes.request_id).await == "approved by a rule"
                            && scene.stands(no.request_id).await == "denied by a rule"
                    },
                )
                .await;
            assert!(scene.hub.fault_fired(fault) >= 1, "{name}");
            assert_eq!(scene.on_github(yes.request_id), "approved", "{name}");
            assert_eq!(scene.on_github(no.request_id), "denied", "{name}");
            for ids in [yes, no] {
                assert_eq!(scene.reviews(ids.request_id).0, 1, "{name}");
            }
            scene.end().await;
        }
    }
}

#[tokio::test]
async fn an_approval_whose_answer_and_webhook_are_lost_is_told_by_the_grants() {
    let scene = opened().await;
    scene.hub.fault(Fault::on(REVIEW).cut().after_effect().times(1));
    scene.hub.drop_webhooks(true);
    let asked = scene.ask(harmless("kim"));
    // `created` is lost as well: reconciling finds it.
    scene.bot().engine.reconcile_soon();
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    assert_eq!(scene.calls(REVIEW), 1, "it was not sent again");
    assert_eq!(scene.calls(GRANTS), 2, "one to know, one to compare");
    scene.end().await;
}

#[tokio::test]
async fn a_denial_whose_answer_and_webhook_are_lost_stays_unknown_until_a_webhook_says() {
    let scene = opened().await;
    scene.hub.fault(Fault::on(REVIEW).cut().after_effect().times(1));
    scene.hub.drop_webhooks(true);
    let asked = scene.ask(administrating("kim"));
    scene.bot().engine.reconcile_soon();
    scene
        .time_passes_until("it is gone", Duration::from_secs(1), || async {
            scene.stands(asked.request_id).await == "gone"
        })
        .await;
    assert_eq!(scene.calls(REVIEW), 1);
    let effects = scene.effects(asked.request_id).await;
    assert_eq!(effects[0].state.as_str(), "unknown");
    // The webhook comes after all: it was a bot, and a call of ours was in doubt.
    scene.hub.drop_webhooks(false);
    let other = scene.ask(administrating("lee"));
    scene.until_settled(other.request_id).await;
    crate::common::soon("all webhooks arrive", scene.hub.webhooks_sent()).await;
    let deliveries = scene.hub.deliveries();
    let denied = deliveries.iter().find(|one| one.action.as_deref() == Some("denied")).unwrap();
    let mut body = denied.payload.as_ref().clone();
    body["personal_access_token_request"]["id"] = asked.request_id.into();
    scene.hub.send_webhook("personal_access_token_request", body);
    scene.until_it_stands(asked.request_id, "denied by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_comparison_that_fails_is_made_until_it_is_made() {
    for operation in [GRANTS, GRANT_REPOSITORIES] {
        nothing_opens(operation, false).await;
    }
}

#[tokio::test]
async fn a_review_that_is_refused_again_and_again_goes_to_people() {
    for status in [404, 422] {
        let scene = opened().await;
        scene.hub.fault(Fault::on(REVIEW).status(status));
        let asked = scene.ask(harmless("kim"));
        scene
            .time_passes_until("people are asked", Duration::from_secs(20), || async {
                scene.stands(asked.request_id).await == "escalated"
            })
            .await;
        assert_eq!(scene.calls(REVIEW), 8);
        assert_eq!(scene.on_github(asked.request_id), "pending");
        scene.hub.clear_faults();
        scene.end().await;
    }
}

#[tokio::test]
async fn while_github_limits_us_nothing_is_called_before_the_time_given() {
    for operation in [LIST, MEMBERSHIP, REVIEW, GRANTS] {
        let scene = opened().await;
        let fault = scene
            .hub
            .fault(Fault::on(operation).too_many_requests(Duration::from_secs(600)).times(1));
        let asked = scene.ask(harmless("kim"));
        until("the limit strikes", || async { (scene.hub.fault_fired(fault) > 0).then_some(()) })
            .await;
        scene.until_idle().await;
        scene.hub.reset_calls();
        // Others ask meanwhile, and time passes, but not enough of it.
        let other = scene.ask(harmless("lee"));
        scene.clock.push(Duration::from_secs(500));
        until("the other is known", || async { scene.row(other.request_id).await }).await;
        scene.until_idle().await;
        assert!(scene.hub.calls().is_empty(), "{operation}: {:?}", scene.hub.calls());
        scene.clock.push(Duration::from_secs(101));
        for ids in [asked, other] {
            scene.until_it_stands(ids.request_id, "approved by a rule").await;
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn a_limit_that_strikes_a_reconciliation_is_kept_as_well() {
    let scene = Set::default().flag("reconcile-interval", "60s").open().await;
    let fault =
        scene.hub.fault(Fault::on(LIST).too_many_requests(Duration::from_secs(600)).times(1));
    scene
        .time_passes_until("the limit strikes", Duration::from_secs(61), || async {
            scene.hub.fault_fired(fault) > 0
        })
        .await;
    let installation = scene.store().installations().await.unwrap()[0].id;
    until("it is noted", || async { scene.store().parked_until(installation).await.unwrap() })
        .await;
    scene.hub.reset_calls();
    let asked = scene.ask(harmless("kim"));
    scene.clock.push(Duration::from_secs(400));
    until("kim's request is known", || async { scene.row(asked.request_id).await }).await;
    scene.until_idle().await;
    assert_eq!(scene.calls(LIST), 0);
    scene.clock.push(Duration::from_secs(201));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_clock_that_github_does_not_accept_opens_nothing() {
    // GitHub's clock is twenty minutes ahead: every JWT has expired when it arrives.
    let mut scene = Set::default().flag("reconcile-interval", "30s").without_bot().await;
    scene.hub.advance(Duration::from_secs(1200));
    let asked = scene.ask(harmless("kim"));
    scene.start().await;
    for _ in 0..5 {
        let before = scene.calls(INSTALLATIONS);
        scene.clock.push(Duration::from_secs(31));
        until("installations are asked for", || async {
            (scene.calls(INSTALLATIONS) > before).then_some(())
        })
        .await;
    }
    assert!(scene.hub.calls_of(INSTALLATIONS).iter().all(|call| call.status != Some(200)));
    assert_eq!(scene.on_github(asked.request_id), "pending");
    assert_eq!(scene.calls(REVIEW), 0);
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn a_clock_that_github_does_not_accept_for_a_while_is_got_over() {
    let mut scene = Set::default().flag("reconcile-interval", "30s").without_bot().await;
    let refused = serde_json::json!({ "message": "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued" });
    let jwts = [
        scene.hub.fault(Fault::on(INSTALLATIONS).answer(401, refused.clone())),
        scene.hub.fault(Fault::on(ACCESS_TOKEN).answer(401, refused)),
    ];
    let asked = scene.ask(harmless("kim"));
    scene.start().await;
    until("a JWT is refused", || async { (scene.hub.fault_fired(jwts[0]) > 0).then_some(()) })
        .await;
    scene.clock.push(Duration::from_secs(31));
    assert_eq!(scene.on_github(asked.request_id), "pending");
    for fault in jwts {
        scene.hub.clear_fault(fault);
    }
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "approved");
    scene.end().await;
}

#[tokio::test]
async fn an_access_token_that_expired_is_renewed_and_nobody_notices() {
    let scene = opened().await;
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    // GitHub forgets our token before we do.
    scene.hub.fault(Fault::on(LIST).bad_credentials().times(1));
    let second = scene.ask(harmless("lee"));
    scene.time_passes_until_settled(second.request_id).await;
    assert_eq!(scene.stands(second.request_id).await, "approved by a rule");
    assert_eq!(scene.reviews(second.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn a_failing_request_does_not_keep_the_others_waiting() {
    let scene = opened().await;
    let stuck = scene
        .hub
        .fault(Fault::on("POST /orgs/*/personal-access-token-requests/*").status(500).times(1));
    let first = scene.ask(harmless("kim"));
    until("the first fails", || async { (scene.hub.fault_fired(stuck) > 0).then_some(()) }).await;
    let second = scene.ask(harmless("lee"));
    scene.until_it_stands(second.request_id, "approved by a rule").await;
    scene.time_passes_until_settled(first.request_id).await;
    scene.end().await;
}

#[tokio::test]
async fn an_approval_in_doubt_waits_for_a_list_of_grants_that_lags() {
    let scene = opened().await;
    scene.hub.fault(Fault::on(REVIEW).cut().after_effect().times(1));
    scene.hub.fault(Fault::on(GRANTS).lag(Duration::from_secs(3600)).times(2));
    scene.hub.drop_webhooks(true);
    let asked = scene.ask(harmless("kim"));
    scene.bot().engine.reconcile_soon();
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    assert_eq!(scene.calls(REVIEW), 1, "it was not sent again");
    scene.end().await;
}

#[tokio::test]
async fn other_failures_are_no_refusals() {
    let scene = opened().await;
    // Eight times nobody knows, then once GitHub says no: that is one refusal.
    scene.hub.fault(Fault::on(REVIEW).status(500).times(8));
    let refusal = scene.hub.fault(Fault::on(REVIEW).status(422).times(1));
    let asked = scene.ask(harmless("kim"));
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.hub.fault_fired(refusal), 1);
    assert_eq!(scene.stands(asked.request_id).await, "approved by a rule");
    scene.end().await;
}

#[tokio::test]
async fn a_github_that_takes_twenty_seconds_for_each_answer_does_not_keep_anybody_waiting_for_ever()
{
    let scene = opened().await;
    let asked: Vec<_> =
        (0..6).map(|number| scene.ask(harmless("kim").named(&format!("slow {number}")))).collect();
    let mut held = scene.hub.hold(Hold::before(REPOSITORIES));
    let mut answers = 0;
    loop {
        let all_settled = async {
            for ids in &asked {
                scene.until_settled(ids.request_id).await;
            }
        };
        tokio::select! {
            () = all_settled => break,
            () = held.reached() => {}
        }
        // Each would be old by itself before all six have come.
        scene.clock.push(Duration::from_secs(20));
        answers += 1;
        assert!(answers < 40, "answers grow old before anything is sent");
        let next = scene.hub.hold(Hold::before(REPOSITORIES));
        std::mem::replace(&mut held, next).release();
    }
    for ids in asked {
        assert_eq!(scene.reviews(ids.request_id), (1, 0));
    }
    held.release();
    scene.end().await;
}
