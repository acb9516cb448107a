//! What rules ask about the world beyond the request: how much somebody has and asked for, what repositories were and are, who a team is.

use std::time::Duration;

use fakehub::{Fault, PropertyDefinition, Repo, RequestIds, Review, TokenSpec};
use patwarden::rules::Span;

use crate::common::{
    GRANTS, LIST, PROPERTIES, REVIEW, Scene, Set, administrating, harmless, until, writing,
};

const DAY: Duration = Duration::from_secs(86_400);

/// Reading is approved; administration is denied. The rest is what a scene is about.
fn rules(more: &str) -> String {
    format!(
        r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.read]
when.owner.login = ["*"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = {{ contents = "read" }}
[deny.administration]
when.permissions.any_at_least.repository = {{ administration = "write" }}
reason = "Tokens may not administer repositories."
{more}"#
    )
}

/// Reading is approved for those with at most so many other tokens.
fn at_most(tokens: u32) -> String {
    rules("").replace(
        "when.owner.login = [\"*\"]",
        &format!("when.owner.active_tokens = {{ at_most = {tokens} }}"),
    )
}

async fn opened(rules: &str) -> Scene {
    Set::default().rules(rules).open().await
}

/// Waits until all of them are judged; gives how many were approved and how many left to people.
async fn judged(scene: &Scene, asked: &[RequestIds]) -> (usize, usize) {
    let (mut approved, mut left) = (0, 0);
    for ids in asked {
        let stands = until("it is judged, and what was approved is compared", || async {
            let stands = scene.stands(ids.request_id).await;
            ["approved by a rule", "escalated"].contains(&stands.as_str()).then_some(stands)
        })
        .await;
        approved += usize::from(stands == "approved by a rule");
        left += usize::from(stands == "escalated");
    }
    (approved, left)
}

/// What the last decision on a request says of why.
async fn why(scene: &Scene, ids: RequestIds) -> String {
    let decision = scene.decisions(ids.request_id).await.remove(0).decision;
    decision.unknown.iter().map(|unknown| format!("{}: {}\n", unknown.fact, unknown.why)).collect()
}

async fn active_tokens(scene: &Scene, ids: RequestIds) -> Option<u64> {
    scene.decisions(ids.request_id).await.remove(0).facts.owner_active_tokens.value().copied()
}

#[tokio::test]
async fn requests_that_are_judged_together_count_each_other() {
    for (limit, held_already) in [(0, 0), (1, 0), (1, 1), (3, 1), (2, 3)] {
        let scene = opened(&at_most(limit)).await;
        for number in 0..held_already {
            let spec = harmless("kim").named(&format!("old {number}"));
            scene.hub.grant_token("acme", spec).unwrap();
        }
        let asked =
            scene.ask_together(6, |number| harmless("kim").named(&format!("n{number}"))).await;
        let lees = scene.ask(harmless("lee"));
        // With at most so many others, there is one more in the end.
        let most = (usize::try_from(limit).unwrap() + 1).saturating_sub(held_already);
        let all = (limit, held_already);
        assert_eq!(judged(&scene, &asked).await, (most, 6 - most), "{all:?}");
        scene.until_it_stands(lees.request_id, "approved by a rule").await;
        assert_eq!(scene.calls(REVIEW), most + 1, "{all:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn an_approval_that_github_does_not_list_yet_counts_and_a_token_that_ended_does_not() {
    let scene = opened(&at_most(0)).await;
    // Listed still, but it opens nothing any more.
    let ended = harmless("kim").named("ended").until(scene.hub.now() - Duration::from_secs(60));
    scene.hub.grant_token("acme", ended).unwrap();
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    assert_eq!(active_tokens(&scene, first).await, Some(0));
    let lag = scene.hub.fault(Fault::on(GRANTS).lag(Duration::from_secs(3600)));
    scene.clock.push(Duration::from_secs(120));
    let second = scene.ask(harmless("kim").named("second"));
    scene.until_left_to_people(second.request_id).await;
    assert!(scene.hub.fault_fired(lag) > 0);
    assert_eq!(active_tokens(&scene, second).await, Some(1), "by our record alone");
    scene.hub.clear_fault(lag);
    // Taken away by a person: no list says so, so it counts for as long as lists may lag.
    let grant =
        scene.hub.grants("acme").iter().find(|grant| grant.token_id == first.token_id).unwrap().id;
    scene.hub.revoke_as("olga", "acme", grant).unwrap();
    let third = scene.ask(harmless("kim").named("third"));
    scene.until_left_to_people(third.request_id).await;
    scene.clock.push(Duration::from_secs(15 * 60));
    let fourth = scene.ask(harmless("kim").named("fourth"));
    scene.until_it_stands(fourth.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn an_approval_whose_answer_was_lost_counts_as_well() {
    let scene = Set::default().rules(&at_most(0)).flag("github-timeout", "250ms").open().await;
    scene.hub.drop_webhooks(true);
    scene.hub.fault(Fault::on(REVIEW).cut().after_effect().times(1));
    scene.hub.fault(Fault::on(GRANTS).lag(Duration::from_secs(3600)).times(3));
    let first = scene.ask(harmless("kim"));
    scene.bot().engine.reconcile_soon();
    until("the answer is lost", || async { (scene.calls(REVIEW) == 1).then_some(()) }).await;
    let second = scene.ask(harmless("kim").named("second"));
    scene.bot().engine.reconcile_soon();
    scene.until_left_to_people(second.request_id).await;
    scene.time_passes_until_settled(first.request_id).await;
    assert_eq!(scene.calls(REVIEW), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_change_of_a_token_does_not_count_the_token_itself() {
    let rules = at_most(0) + "[escalate.new]\nwhen.request.kind = [\"new\"]\nto = \"owners\"\n";
    let scene = opened(&rules).await;
    let token = scene.hub.grant_token("acme", harmless("kim")).unwrap().token_id;
    // A moment later: the list of tokens that is read for it must be newer than that.
    let new = scene.ask(harmless("lee"));
    scene.until_left_to_people(new.request_id).await;
    scene.hub.reset_calls();
    let change = scene.hub.edit_token(token, |spec| spec.on(["web", "api"])).unwrap();
    scene.until_it_stands(change.request_id, "approved by a rule").await;
    assert_eq!(active_tokens(&scene, change).await, Some(0));
    assert_eq!(scene.calls(GRANTS), 2, "one for both conditions, one to compare");
    // What was approved since the last list makes the next edit a change, however soon it comes.
    let lees = scene.hub.grant_token("acme", harmless("lee").named("another")).unwrap().token_id;
    let soon = scene.hub.edit_token(lees, |spec| spec.on(["web", "api"])).unwrap();
    scene.until_it_stands(soon.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn who_was_denied_again_and_again_is_denied_for_a_while() {
    let scene = opened(&rules(
        "[deny.too-many]\nwhen.owner.denials = { at_least = 2, within = \"1d\" }\n\
         reason = \"Two requests were denied within a day. Ask an owner.\"\n",
    ))
    .await;
    // Once by a rule and once by a person.
    let by_rule = scene.ask(administrating("kim"));
    scene.until_it_stands(by_rule.request_id, "denied by a rule").await;
    let by_olga = scene.ask(writing("kim"));
    scene.until_left_to_people(by_olga.request_id).await;
    let between = scene.ask(harmless("kim").named("between"));
    scene.until_it_stands(between.request_id, "approved by a rule").await;
    scene.hub.review_as("olga", by_olga.request_id, Review::deny("not this one")).unwrap();
    scene.until_it_stands(by_olga.request_id, "denied by @olga").await;
    let third = scene.ask(harmless("kim"));
    scene.until_it_stands(third.request_id, "denied by a rule").await;
    let decision = scene.decisions(third.request_id).await.remove(0);
    assert_eq!(decision.decision.by[0].as_str(), "deny.too-many");
    let denials = &decision.facts.owner_denials[&Span(86_400)];
    assert_eq!(denials.value(), Some(&2));
    // Nobody else's, and not for ever.
    let lees = scene.ask(harmless("lee"));
    scene.until_it_stands(lees.request_id, "approved by a rule").await;
    scene.clock.push(DAY + Duration::from_secs(60));
    let later = scene.ask(harmless("kim").named("a day later"));
    scene.until_it_stands(later.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn who_asks_very_often_is_left_to_people_for_a_while() {
    let scene = opened(&rules(
        "[escalate.often]\nwhen.owner.requests = { at_least = 3, within = \"6h\" }\nto = \"owners\"\n",
    ))
    .await;
    for number in 0..3 {
        let asked = scene.ask(harmless("kim").named(&format!("n{number}")));
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
    }
    let fourth = scene.ask(harmless("kim").named("fourth"));
    scene.until_left_to_people(fourth.request_id).await;
    let lees = scene.ask(harmless("lee"));
    scene.until_it_stands(lees.request_id, "approved by a rule").await;
    scene.clock.push(DAY / 4 + Duration::from_secs(60));
    let later = scene.ask(harmless("kim").named("later"));
    scene.until_it_stands(later.request_id, "approved by a rule").await;
    scene.end().await;
}

/// Tier 1 is for people, production is not read by anybody, and what has no tier is approved for ada only.
const PROPERTY_RULES: &str = "[escalate.tier-1]\n\
    when.repositories.any.custom_properties.Tier = [\"1\"]\nto = \"owners\"\n\
    [deny.production]\nwhen.repositories.any.custom_properties.stages = [\"prod\"]\n\
    reason = \"Tokens may not read what runs in production.\"\n";

fn define_properties(scene: &Scene) {
    scene.hub.world(|world| {
        let mut acme = world.add_organization("acme");
        for (name, value_type) in [("tier", "single_select"), ("Stages", "multi_select")] {
            acme.property_definition(PropertyDefinition {
                name: name.to_owned(),
                value_type: value_type.to_owned(),
                required: false,
                default_value: None,
                allowed_values: Vec::new(),
            });
        }
        acme.repositories([
            Repo::private("billing").property("tier", "1"),
            Repo::private("api")
                .property("tier", "2")
                .property("Stages", ["dev", "prod"].as_slice()),
            Repo::private("web").property("tier", "3").property("Stages", ["dev"].as_slice()),
        ]);
        // More than a page of them, before and after.
        acme.repositories((0..150).map(|number| Repo::private(&format!("lib-{number}"))));
    });
}

#[tokio::test]
async fn custom_properties_decide_and_one_list_serves_all_who_wait() {
    let scene = opened(&rules(PROPERTY_RULES)).await;
    define_properties(&scene);
    let repositories = ["billing", "api", "web", "lib-7"];
    let asked = scene
        .ask_together(8, |number| {
            harmless("kim").on([repositories[number % 4]]).named(&format!("n{number}"))
        })
        .await;
    for (number, ids) in asked.iter().enumerate() {
        match number % 4 {
            0 => drop(scene.until_left_to_people(ids.request_id).await),
            1 => drop(scene.until_it_stands(ids.request_id, "denied by a rule").await),
            _ => drop(scene.until_it_stands(ids.request_id, "approved by a rule").await),
        }
    }
    assert_eq!(scene.calls(PROPERTIES), 2, "two pages, once");
    let public = scene.ask(TokenSpec::by("lee").on_none());
    scene.clock.push(Duration::from_secs(31));
    scene.until_it_stands(public.request_id, "approved by a rule").await;
    assert_eq!(scene.calls(PROPERTIES), 2, "not for a token without a list");
    scene.end().await;
}

#[tokio::test]
async fn custom_properties_that_the_app_may_not_read_ask_people_and_name_the_permission() {
    let scene = opened(&rules(PROPERTY_RULES)).await;
    define_properties(&scene);
    let fault = scene.hub.fault(Fault::on(PROPERTIES).missing_permission());
    let asked = scene.ask(harmless("kim"));
    scene.until_left_to_people(asked.request_id).await;
    let said = why(&scene, asked).await;
    assert!(said.contains("repositories.custom_properties.tier: GitHub refuses"), "{said}");
    assert!(said.contains("the App needs the permission `organization_custom_properties: read`"));
    assert_eq!(scene.calls(REVIEW), 0);
    scene.hub.clear_fault(fault);
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.on_github(asked.request_id), "approved");
    scene.end().await;
}

#[tokio::test]
async fn a_property_that_nobody_defined_is_unknown_and_not_unset() {
    let scene = opened(&rules(
        "[deny.unset]\nwhen.repositories.any.custom_properties.owner = { is_set = false }\n\
         reason = \"Every repository has an owner.\"\n",
    ))
    .await;
    let asked = scene.ask(harmless("kim"));
    scene.until_left_to_people(asked.request_id).await;
    let said = why(&scene, asked).await;
    assert!(said.contains("GitHub lists no such property of web"), "{said}");
    scene.end_with_work_left().await;
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_still_caught_by_a_veto_on_its_name() {
    let scene = opened(&rules(
        "[escalate.releases]\nwhen.repositories.any.name = [\"release-*\"]\nto = \"owners\"\n",
    ))
    .await;
    scene.hub.world(|world| {
        let names = ["Release-24", "release-25", "tools"];
        world.add_organization("acme").repositories(names.map(Repo::private));
    });
    let before = scene.ask(harmless("kim").on(["release-24", "tools"]));
    scene.until_left_to_people(before.request_id).await;
    scene.hub.rename_repository("acme", "Release-24", "harmless-24").unwrap();
    scene.hub.rename_repository("acme", "tools", "Tools").unwrap();
    let after = scene.ask(harmless("lee").on(["harmless-24", "Tools"]));
    scene.until_left_to_people(after.request_id).await;
    let decision = scene.decisions(after.request_id).await.remove(0);
    assert_eq!(decision.decision.by[0].as_str(), "escalate.releases");
    let repositories = decision.facts.repositories.value().unwrap();
    let former = |name: &str| {
        &repositories.iter().find(|repository| repository.name == name).unwrap().former_names
    };
    assert_eq!(*former("harmless-24"), ["release-24"]);
    assert!(former("Tools").is_empty(), "letters that became capitals are no other name");
    // Under which name nobody asked for it, we never saw it.
    scene.hub.rename_repository("acme", "release-25", "harmless-25").unwrap();
    let unseen = scene.ask(harmless("kim").on(["harmless-25"]).named("unseen"));
    scene.until_it_stands(unseen.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_former_name_opens_nothing() {
    let only_tools =
        rules("").replace("allow.repositories = [\"*\"]", "allow.repositories = [\"tools\"]");
    let scene = opened(&only_tools).await;
    scene.hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("tools"));
    });
    let before = scene.ask(harmless("kim").on(["tools"]));
    scene.until_it_stands(before.request_id, "approved by a rule").await;
    scene.hub.rename_repository("acme", "tools", "payments").unwrap();
    let after = scene.ask(harmless("lee").on(["payments"]));
    scene.until_left_to_people(after.request_id).await;
    scene.end().await;
}

#[tokio::test]
async fn a_team_that_was_renamed_or_whose_slug_was_taken_is_unknown_until_somebody_trusts_it() {
    let scene = opened(&rules(
        "[deny.contractors]\nwhen.owner.teams = [\"contractors\"]\n\
         reason = \"Ask the one you work for.\"\n",
    ))
    .await;
    scene.hub.world(|world| {
        world.add_organization("acme").team("contractors", ["chiara"]);
    });
    let denied = scene.ask(harmless("chiara"));
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    let kims = scene.ask(harmless("kim"));
    scene.until_it_stands(kims.request_id, "approved by a rule").await;

    scene.hub.rename_team("acme", "contractors", "externals").unwrap();
    scene.clock.push(Duration::from_secs(31));
    let renamed = scene.ask(harmless("chiara").named("after the renaming"));
    scene.until_left_to_people(renamed.request_id).await;
    let said = why(&scene, renamed).await;
    assert!(said.contains("there is no team `contractors` that the App can see"), "{said}");

    scene.hub.world(|world| {
        world.add_organization("acme").team("contractors", ["ada"]);
    });
    scene.clock.push(Duration::from_secs(31));
    let taken = scene.ask(harmless("chiara").named("after the taking"));
    scene.until_left_to_people(taken.request_id).await;
    let said = why(&scene, taken).await;
    assert!(said.contains("the slug `contractors` names another team than before"), "{said}");
    // Of nobody is it said that they are not in it.
    let adas = scene.ask(harmless("ada"));
    scene.until_left_to_people(adas.request_id).await;
    assert_eq!(scene.on_github(adas.request_id), "pending");

    let acme = scene.key(adas.request_id).await.organization;
    assert_eq!(scene.store().forget_teams(acme).await.unwrap(), 1);
    for (ids, outcome) in [(adas, "denied"), (renamed, "approved"), (taken, "approved")] {
        scene.time_passes_until_settled(ids.request_id).await;
        assert_eq!(scene.on_github(ids.request_id), outcome);
    }
    assert!(scene.calls(LIST) > 0);
    scene.end().await;
}

#[tokio::test]
async fn the_team_behind_a_slug_is_kept_over_a_restart_and_a_renaming_of_the_organization() {
    let mut scene = opened(&rules(
        "[deny.contractors]\nwhen.owner.teams = [\"ACME/contractors\"]\n\
         reason = \"Ask the one you work for.\"\n",
    ))
    .await;
    scene.hub.world(|world| {
        world.add_organization("acme").team("contractors", ["chiara"]);
    });
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    let acme = scene.key(first.request_id).await.organization;
    let known = scene.store().known_teams(acme).await.unwrap();
    assert_eq!(known.keys().collect::<Vec<_>>(), ["contractors"], "its login may change");
    scene.stop().await;
    scene.hub.delete_team("acme", "contractors").unwrap();
    scene.hub.world(|world| {
        world.add_organization("acme").team("contractors", ["ada"]);
    });
    scene.start().await;
    let second = scene.ask(harmless("chiara"));
    scene.until_left_to_people(second.request_id).await;
    assert!(why(&scene, second).await.contains("names another team than before"));
    scene.end_with_work_left().await;
}
