//! How often GitHub is called: one listing for all, one review each, one comparison for fifty, and no fact that no rule names.

use std::time::Duration;

use fakehub::{Fakehub, RequestIds, TokenSpec};

use crate::common::{
    ACCESS_TOKEN, GRANT_REPOSITORIES, GRANTS, INSTALLATIONS, LIST, MEMBERSHIP, PROPERTIES,
    REPOSITORIES, REVIEW, RULES, Set, TEAM, TEAM_BY_SLUG, TEAMS_OF, harmless, writing,
};

/// Rules that name no fact but what the list shows.
const NO_FACTS: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.public]
when.owner.login = ["*"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
[deny.administration]
when.permissions.any_at_least.repository = { administration = "write" }
reason = "Tokens may not administer repositories."
"#;

/// Rules that name every fact there is.
const ALL_FACTS: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.read]
when.owner.role = ["member"]
when.owner.active_tokens = { at_most = 200 }
when.request.kind = ["new"]
when.repositories.all.custom_properties.tier = { is_set = false }
unless.owner.teams = ["contractors", "acme/interns"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
[deny.too-many]
when.owner.denials = { at_least = 3, within = "7d" }
reason = "Three requests were denied within a week. Ask an owner."
[escalate.many]
when.owner.requests = { at_least = 200, within = "1d" }
to = "owners"
"#;

const TEAMS: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.platform]
when.owner.teams = ["platform"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
"#;

fn summary(hub: &Fakehub) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for call in hub.calls() {
        *counts.entry(call.operation).or_insert(0) += 1;
    }
    format!("{counts:?}")
}

#[tokio::test]
async fn one_request_costs_a_list_a_review_and_a_comparison() {
    let scene = Set::default().rules(NO_FACTS).open().await;
    let public = scene.ask(TokenSpec::by("kim").on_none());
    scene.until_it_stands(public.request_id, "approved by a rule").await;
    scene.until_idle().await;
    for (operation, calls) in [(LIST, 1), (REVIEW, 1), (GRANTS, 1), (REPOSITORIES, 0)] {
        assert_eq!(scene.calls(operation), calls, "{operation}: {}", summary(&scene.hub));
    }
    scene.hub.reset_calls();
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    for (operation, calls) in [(LIST, 1), (REVIEW, 1), (GRANTS, 1), (MEMBERSHIP, 0), (TEAM, 0)] {
        assert_eq!(scene.calls(operation), calls, "{operation}: {}", summary(&scene.hub));
    }
    scene.end().await;
}

#[tokio::test]
async fn a_hundred_that_wait_together_cost_one_listing_and_two_comparisons() {
    let scene = Set::default().open().await;
    let asked =
        scene.ask_together(100, |number| harmless("kim").named(&format!("n{number}"))).await;
    for ids in &asked {
        scene.until_it_stands(ids.request_id, "approved by a rule").await;
    }
    let all = summary(&scene.hub);
    // One listing for the first, which waited alone, and one for the other ninety-nine.
    assert_eq!(scene.calls(LIST), 2, "{all}");
    assert_eq!(scene.calls(REVIEW), 100, "{all}");
    assert_eq!(scene.calls(GRANTS), 3, "one for the first and two for the others: {all}");
    assert_eq!(scene.calls(MEMBERSHIP), 1, "kim's role serves all of kim's requests: {all}");
    assert_eq!(scene.calls(INSTALLATIONS), 0, "{all}");
    assert!(scene.calls(ACCESS_TOKEN) <= 1, "{all}");
    scene.end().await;
}

#[tokio::test]
async fn two_hundred_and_fifty_that_wait_cost_a_call_for_each_page() {
    let mut scene = Set::default().without_bot().await;
    let asked: Vec<RequestIds> =
        (0..250).map(|number| scene.ask(writing("kim").named(&format!("n{number}")))).collect();
    scene.start().await;
    for ids in &asked {
        scene.until_left_to_people(ids.request_id).await;
    }
    let all = summary(&scene.hub);
    // Three pages for reconciling, then by token, fifty a call, as they are claimed.
    assert!(scene.calls(LIST) <= 3 + 5 + 1, "{all}");
    assert_eq!(scene.calls(MEMBERSHIP), 1, "{all}");
    assert_eq!(scene.calls(REVIEW), 0, "{all}");
    scene.end().await;
}

#[tokio::test]
async fn a_fact_that_no_rule_names_is_not_asked_for() {
    for (rules, membership, team) in [(NO_FACTS, 0, 0), (RULES, 1, 0), (TEAMS, 0, 1)] {
        let scene = Set::default().rules(rules).open().await;
        let asked = scene.ask(harmless("kim"));
        scene.until_it_stands(asked.request_id, "approved by a rule").await;
        let all = summary(&scene.hub);
        assert_eq!(scene.calls(MEMBERSHIP), membership, "{all}");
        assert_eq!(scene.calls(TEAM), team, "{all}");
        assert_eq!(scene.calls(TEAM_BY_SLUG), team, "which team the slug names: {all}");
        assert_eq!(scene.calls(TEAMS_OF), 0, "{all}");
        assert_eq!(scene.calls(PROPERTIES), 0, "{all}");
        assert_eq!(scene.calls(GRANTS), 1, "to compare: {all}");
        scene.end().await;
    }
}

#[tokio::test]
async fn every_fact_there_is_costs_a_call_each_for_all_who_ask_together() {
    let scene = Set::default().rules(ALL_FACTS).open().await;
    scene.hub.world(|world| {
        world
            .add_organization("acme")
            .team("contractors", ["chiara"])
            .team("interns", ["ben"])
            .property_definition(fakehub::PropertyDefinition {
                name: "tier".to_owned(),
                value_type: "string".to_owned(),
                required: false,
                default_value: None,
                allowed_values: Vec::new(),
            });
    });
    let people = ["kim", "lee", "ada"];
    let asked = scene
        .ask_together(9, |number| harmless(people[number % 3]).named(&format!("n{number}")))
        .await;
    for ids in &asked {
        scene.until_it_stands(ids.request_id, "approved by a rule").await;
    }
    let all = summary(&scene.hub);
    for (operation, calls) in [
        (MEMBERSHIP, 3),
        (TEAM, 2),
        (TEAMS_OF, 1),
        (TEAM_BY_SLUG, 0),
        (PROPERTIES, 1),
        (REPOSITORIES, 9),
    ] {
        assert_eq!(scene.calls(operation), calls, "{operation}: {all}");
    }
    // The tokens of the first owner, then, newer than their requests, those of all three; and two comparisons. Whether
    // a request is a change stands in the same lists.
    assert_eq!(scene.calls(GRANTS), 4, "{all}");
    scene.end().await;
}

#[tokio::test]
async fn repositories_are_read_once_to_judge_and_once_to_compare() {
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(scene.calls(REPOSITORIES), 1);
    assert_eq!(scene.calls(GRANT_REPOSITORIES), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_teams_members_are_read_once_for_all_who_ask_together() {
    let scene = Set::default().rules(TEAMS).open().await;
    let people = ["kim", "lee", "ada"];
    let asked = scene
        .ask_together(30, |number| harmless(people[number % 3]).named(&format!("n{number}")))
        .await;
    for (number, ids) in asked.iter().enumerate() {
        if people[number % 3] == "ada" {
            scene.until_left_to_people(ids.request_id).await;
        } else {
            scene.until_it_stands(ids.request_id, "approved by a rule").await;
        }
    }
    assert_eq!(scene.calls(TEAM), 1, "{}", summary(&scene.hub));
    assert_eq!(scene.calls(TEAM_BY_SLUG), 1, "{}", summary(&scene.hub));
    scene.end().await;
}

#[tokio::test]
async fn facts_are_read_anew_after_half_a_minute() {
    let scene = Set::default().open().await;
    let first = scene.ask(harmless("kim"));
    scene.until_it_stands(first.request_id, "approved by a rule").await;
    scene.until_idle().await;
    scene.clock.push(Duration::from_secs(31));
    let second = scene.ask(harmless("kim").named("another"));
    scene.until_it_stands(second.request_id, "approved by a rule").await;
    assert_eq!(scene.calls(MEMBERSHIP), 2);
    scene.end().await;
}

#[tokio::test]
async fn a_call_that_comes_too_late_for_its_facts_is_not_sent() {
    // While our turn to write has not come, a minute passes: the facts behind the decision are old.
    let scene = Set::default().flag("write-interval", "600ms").open().await;
    let asked = scene.ask_together(3, |number| harmless("kim").named(&format!("n{number}"))).await;
    scene.until_it_stands(asked[0].request_id, "approved by a rule").await;
    scene.hub.world(|world| {
        world.add_organization("acme").owner("kim");
    });
    scene.clock.push(Duration::from_secs(120));
    // By now kim is an owner, and the rules say yes to members only.
    for ids in &asked[2..] {
        scene.until_left_to_people(ids.request_id).await;
        assert_eq!(scene.reviews(ids.request_id), (0, 0));
    }
    scene.end().await;
}

#[tokio::test]
async fn reviews_of_one_organization_keep_their_distance() {
    let scene = Set::default().flag("write-interval", "200ms").open().await;
    let began = std::time::Instant::now();
    let asked = scene.ask_together(5, |number| harmless("kim").named(&format!("n{number}"))).await;
    for ids in &asked {
        scene.until_it_stands(ids.request_id, "approved by a rule").await;
    }
    assert!(began.elapsed() >= Duration::from_millis(4 * 200), "{:?}", began.elapsed());
    scene.end().await;
}
