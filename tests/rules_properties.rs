//! What holds of every policy, every request and every state of knowledge.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod rules_support;

use jiff::SignedDuration;
use patwarden::{
    domain::{Permissions, Repository, RepositorySelection, TokenRequest},
    rules::{
        Decision, Effect, Enforcement, MAX_REASON_CHARS, PROTECTED_REPOSITORIES, SourceFile,
        Sources, Standing, Trace, Truth, Verb,
        coverage::{Coverage, coverage},
        decide, decide_with_trace,
        facts::{Fact, Facts},
        load::{load, load_layers},
        near_miss, render,
        revocation::{Selection, select},
    },
};
use proptest::prelude::*;
use rules_support::{
    PolicyText, any_policy, approve_rule, cases, facts, growing_policy, layered_policy,
    permissions, policy, repositories, request,
    tokens::{Held, blocks, held, no_rule, revocations, wide_policy, with_revocations},
    without,
};

proptest! {
    #![proptest_config(cases())]

    /// 1. Adding an approve rule never weakens a deny or an escalate that a rule made.
    #[test]
    fn an_approve_rule_weakens_no_veto(text in any_policy(12), extra in approve_rule(), request in request(), facts in facts()) {
        let before = decide(&text.load(), &request, &facts);
        let mut more = text.clone();
        more.own.rules.push(extra);
        let after = decide(&more.load(), &request, &facts);
        if !before.by.is_empty() {
            prop_assert!(after.effect >= before.effect || before.effect == Effect::Approve, "{before:?}\n{after:?}");
            if before.effect == Effect::Deny {
                prop_assert_eq!(&after.by, &before.by);
            }
        }
    }

    /// 2. Turning a known fact into an unknown one never makes an approval or a denial appear.
    #[test]
    fn an_outage_approves_and_denies_nothing(text in any_policy(12), request in request(), facts in facts(), which in any::<u32>()) {
        let policy = text.load();
        let rich = decide(&policy, &request, &facts);
        let poor = decide(&policy, &request, &without(&facts, which));
        if poor.effect != Effect::Escalate {
            prop_assert_eq!(poor.effect, rich.effect, "{:?}\n{:?}", poor, rich);
        }
    }

    /// 2, to the end: with nothing read at all.
    #[test]
    fn with_nothing_read_a_known_decision_stays_what_it_is(text in any_policy(12), request in request(), facts in facts()) {
        let policy = text.load();
        let poor = decide(&policy, &request, &Facts::nothing_read(facts.now));
        if poor.effect != Effect::Escalate {
            prop_assert_eq!(poor.effect, decide(&policy, &request, &facts).effect);
        }
    }

    /// 4. A lower layer never weakens what a rule of an upper layer decides, except by a waiver, which is named.
    #[test]
    fn a_lower_layer_weakens_no_upper_rule(text in layered_policy(12), request in request(), facts in facts()) {
        let upper = decide(&policy(&[text.enterprise().unwrap()]), &request, &facts);
        let (both, trace) = decide_with_trace(&text.load(), &request, &facts);
        for waived in &both.waived {
            let rule = trace.rules.iter().find(|rule| rule.rule == waived.rule).unwrap();
            prop_assert_eq!(rule.enforcement, Enforcement::Soft);
            prop_assert_eq!(&rule.waived().unwrap().waiver, &waived.waiver);
        }
        if both.waived.is_empty() && !upper.by.is_empty() && upper.effect != Effect::Approve {
            prop_assert!(both.effect >= upper.effect, "{upper:?}\n{both:?}");
            if both.effect == Effect::Escalate {
                prop_assert!(upper.to.iter().all(|group| both.to.contains(group)), "{upper:?}\n{both:?}");
            }
        }
        if upper.effect == Effect::Deny && !upper.by.is_empty() && both.waived.is_empty() {
            prop_assert!(upper.by.iter().all(|rule| both.by.contains(rule)));
        }
    }

    /// 4. What is approved is inside the ceilings of all layers.
    #[test]
    fn nothing_is_approved_above_an_upper_ceiling(text in layered_policy(12), request in request(), facts in facts()) {
        let mut text = text;
        text.upper.as_mut().unwrap().ceiling = Some("lifetime = \"20d\"\nmax_repositories = 2".to_owned());
        text.own.rules.push(rules_support::RuleText { verb: "approve", body: rules_support::LENIENT.to_owned() });
        let decision = decide(&text.load(), &request, &facts);
        if decision.effect == Effect::Approve {
            let lifetime = request.token.expires_at.unwrap().duration_since(request.created_at);
            prop_assert!(lifetime < SignedDuration::from_hours(21 * 24));
            prop_assert!(facts.repositories.value().map_or(0, Vec::len) <= 2 || request.repository_selection == RepositorySelection::None);
        }
    }

    /// 4. A waiver is for its owner, until its last day, and says so; without it the decision is no milder.
    #[test]
    fn only_a_waiver_that_is_named_makes_a_decision_milder(text in any_policy(12), request in request(), facts in facts()) {
        let with = decide(&text.load(), &request, &facts);
        let mut without = text.clone();
        without.waivers.clear();
        let without = decide(&without.load(), &request, &facts);
        prop_assert_eq!(&without.waived, &[]);
        if with.waived.is_empty() {
            prop_assert_eq!(&with, &without);
        } else {
            // Silenced, an escalate rule or an unknown veto opens no door that the default keeps shut.
            let shut = with.effect == Effect::Deny && with.by.is_empty();
            prop_assert!(with.effect <= without.effect || shut, "{with:?}\n{without:?}");
        }
    }

    /// A change of the upper layer never takes a lower file out of force, whatever it contradicts.
    #[test]
    fn an_upper_change_leaves_the_lower_file_in_force(
        text in layered_policy(8), other in layered_policy(8), request in request(), facts in facts(),
    ) {
        let file = |name: &str, text: String| vec![SourceFile::new(name, text)];
        // Its rules bear the names of the lower layer's, so that they clash.
        let clashing = ["approve", "deny", "escalate"].iter().fold(other.enterprise().unwrap(), |text, verb| {
            text.replace(&format!("[{verb}.e"), &format!("[{verb}.r"))
        });
        let clashing = clashing.replace("[reviewers.sec]", "[reviewers.secops]").replace("\"sec\"", "\"secops\"");
        prop_assert!(text.load().rule_count() > 0 || text.file().len() > 1);
        let sources = Sources {
            enterprise: file("enterprise.toml", clashing.clone()),
            organization: file("acme.toml", text.file()),
            standing: Standing::Before,
        };
        let loaded = load_layers(&sources);
        let shown: Vec<_> = loaded.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.render_human(false)).collect();
        prop_assert!(loaded.policy.is_some(), "{}", shown.join("\n"));
        let both = decide(&loaded.policy.unwrap(), &request, &facts);
        let upper = decide(&policy(&[clashing]), &request, &facts);
        if both.waived.is_empty() && !upper.by.is_empty() && upper.effect != Effect::Approve {
            prop_assert!(both.effect >= upper.effect, "{upper:?}\n{both:?}");
        }
    }

    /// 3. The decision is the same under every order of rules, files and layers.
    #[test]
    fn no_order_means_anything(text in any_policy(40), request in request(), facts in facts(), seed in any::<u64>()) {
        let mut rules = text.numbered();
        let straight = text.load();
        // A shuffle without a generator of its own: each seed is one order.
        rules.sort_by_key(|rule| {
            rule.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        });
        let cut = rules.len() / 2;
        let files = [
            "schema = 1\n".to_owned() + &rules[..cut].concat(),
            text.head(),
            "schema = 1\n".to_owned() + &rules[cut..].concat(),
        ];
        // The upper layer last, which is where it is not looked for.
        let shuffled = policy(&files.into_iter().chain(text.enterprise()).collect::<Vec<_>>());
        prop_assert_eq!(decide(&straight, &request, &facts), decide(&shuffled, &request, &facts));
        prop_assert_eq!(decide_with_trace(&straight, &request, &facts), decide_with_trace(&shuffled, &request, &facts));
    }

    /// 5. No approve rules, no approvals.
    #[test]
    fn nothing_is_approved_without_a_rule(mut text in any_policy(12), request in request(), facts in facts()) {
        let decision = decide(&text.load(), &request, &facts);
        if decision.effect == Effect::Approve {
            prop_assert!(decision.by.iter().all(|rule| rule.as_str().starts_with("approve.")));
            prop_assert!(!decision.by.is_empty());
        }
        text.own.rules.retain(|rule| rule.verb != "approve");
        if let Some(upper) = &mut text.upper {
            upper.rules.retain(|rule| rule.verb != "approve");
        }
        prop_assert_ne!(decide(&text.load(), &request, &facts).effect, Effect::Approve);
    }

    /// 5. Rules that are wrong in one place are no rules.
    #[test]
    fn an_invalid_policy_is_no_policy(text in any_policy(6), wrong in 0..4usize) {
        let wrongs = ["[approve.x]\n", "[deny.y]\nwhen.owner.teem = [\"a\"]\nreason = \"no\"\n", "nonsense", "[approve.z\n"];
        let own = SourceFile::new("x.toml", text.file() + wrongs[wrong]);
        let upper = text.enterprise().map(|text| SourceFile::new("e.toml", text));
        prop_assert!(load(&upper.into_iter().chain([own]).collect::<Vec<_>>()).policy.is_none());
    }

    /// 6. With only `any`, `at_least` and `any_at_least`, asking for more never yields a weaker decision.
    #[test]
    fn asking_for_more_is_never_judged_more_mildly(
        text in growing_policy(), request in request(), facts in facts(),
        more in permissions(), others in repositories(), longer in proptest::option::of(0..90i64), all in any::<bool>(),
    ) {
        let policy = text.load();
        let (greedy, greedy_facts) = asking_more(&request, &facts, &more, &others, longer, all);
        let needs_no_list = greedy.repository_selection == RepositorySelection::All
            && request.repository_selection == RepositorySelection::Subset;
        let modest = decide(&policy, &request, &facts);
        let greedy = decide(&policy, &greedy, &greedy_facts);
        // A deny rule that is only unknown asks people, also where the default would refuse.
        prop_assume!(!text.own.deny || greedy.unknown.is_empty());
        // A list that cannot be read sends some repositories to people until it can; all of them need no list.
        prop_assume!(!needs_no_list || modest.unknown.iter().all(|unknown| unknown.fact != "repositories"));
        prop_assert!(greedy.effect >= modest.effect, "{modest:?}\n{greedy:?}");
    }

    /// The fast way and the way with a trace say the same, and so does what the trace says of near misses.
    #[test]
    fn the_trace_is_the_decision(text in any_policy(60), request in request(), facts in facts()) {
        let policy = text.load();
        let (decision, trace) = decide_with_trace(&policy, &request, &facts);
        prop_assert_eq!(&decide(&policy, &request, &facts), &decision);
        if decision.effect != Effect::Approve {
            prop_assert_eq!(&near_miss(&trace), &decision.near_miss);
        }
        for rule in &trace.rules {
            let all = Truth::all(rule.conditions.iter().map(|condition| condition.truth));
            prop_assert_eq!(all, rule.truth, "{}", render::rule(rule));
            for condition in &rule.conditions {
                let met = condition.truth == Truth::Matched || rule.rule.as_str() == PROTECTED_REPOSITORIES;
                prop_assert_eq!(met, condition.unmet.is_empty(), "{:?}", condition);
            }
        }
        let json = serde_json::to_string(&(&decision, &trace)).unwrap();
        let back: (Decision, Trace) = serde_json::from_str(&json).unwrap();
        prop_assert_eq!((decision, trace), back);
    }

    /// A token that never expires is inside no bound.
    #[test]
    fn what_never_expires_is_never_approved(text in any_policy(12), mut request in request(), facts in facts()) {
        request.token.expires_at = None;
        prop_assert_ne!(decide(&text.load(), &request, &facts).effect, Effect::Approve);
    }

    /// An unknown permission or level, or one of the group `other`, is inside no bound.
    #[test]
    fn what_github_invents_is_never_approved(text in any_policy(12), mut request in request(), facts in facts(), which in 0..3u8) {
        let (map, name, level) = match which {
            0 => (&mut request.permissions.repository, "brand_new", "read"),
            1 => (&mut request.permissions.repository, "contents", "maintain"),
            _ => (&mut request.permissions.other, "odd", "read"),
        };
        map.insert(name.to_owned(), level.to_owned().into());
        prop_assert_ne!(decide(&text.load(), &request, &facts).effect, Effect::Approve);
    }

    /// No rule approves write access to the repositories in which reviewers answer.
    #[test]
    fn protected_repositories_are_never_approved_for_writing(
        mut text in any_policy(6), mut request in request(), facts in facts(),
    ) {
        // A rule that lets nearly everything through, or hardly any request would get that far.
        text.own.rules.push(rules_support::RuleText { verb: "approve", body: rules_support::LENIENT.to_owned() });
        request.permissions = Permissions::default();
        request.permissions.repository.insert("contents".to_owned(), "write".to_owned().into());
        let decision = decide(&text.load(), &request, &facts);
        let reaches = match (request.repository_selection, facts.repositories.value()) {
            (RepositorySelection::None, _) => false,
            (RepositorySelection::Subset, Some(listed)) => {
                listed.iter().any(|r| r.name == "token-reviews" || r.former_names.iter().any(|name| name == "token-reviews"))
            },
            _ => true,
        };
        if reaches {
            prop_assert_ne!(decision.effect, Effect::Approve, "{:?}", decision);
        } else {
            prop_assert!(decision.by.iter().all(|rule| rule.as_str() != PROTECTED_REPOSITORIES));
        }
    }

    /// A denial says why, at no greater length than GitHub takes, and tells of no team, login or pattern.
    #[test]
    fn a_denial_has_a_reason_that_gives_nothing_away(text in any_policy(12), request in request(), facts in facts()) {
        let decision = decide(&text.load(), &request, &facts);
        prop_assert_eq!(decision.reason.is_some(), decision.effect == Effect::Deny);
        if let Some(reason) = &decision.reason {
            prop_assert!(reason.chars().count() <= MAX_REASON_CHARS);
            let own = reason.replace(request.owner.login.as_str(), "");
            for secret in ["xyzzy", "plugh", "svc-", "release-", "ci-", "[a-z]"] {
                prop_assert!(!own.contains(secret), "{secret}: {reason}");
            }
        }
    }

    /// Escalations name whom to ask, and only they; what is escalated for unread facts names the facts.
    #[test]
    fn an_escalation_says_whom_to_ask(text in any_policy(12), request in request(), facts in facts()) {
        let decision = decide(&text.load(), &request, &facts);
        prop_assert_eq!(!decision.to.is_empty(), decision.effect == Effect::Escalate);
        prop_assert!(!decision.only_unknown || decision.unknown.iter().any(|unknown| unknown.retry));
        prop_assert!(decision.effect == Effect::Escalate || decision.unknown.is_empty());
        prop_assert!(!render::sentence(&decision).contains('\n'));
    }

    /// Where everything is known, nothing is unknown, except what a token for all repositories reaches.
    #[test]
    fn what_is_all_known_is_not_retried(text in any_policy(12), request in request(), facts in facts()) {
        let policy = text.load();
        let mut known = facts;
        known.owner_role = Fact::known(patwarden::domain::Role::Member, "x", known.now);
        known.kind = Fact::known(patwarden::domain::RequestKind::New, "x", known.now);
        known.owner_active_tokens = Fact::known(2, "x", known.now);
        for (spans, counts) in [
            (&policy.needs().owner_requests, &mut known.owner_requests),
            (&policy.needs().owner_denials, &mut known.owner_denials),
        ] {
            counts.extend(spans.iter().map(|span| (*span, Fact::known(2, "x", known.now))));
        }
        for team in &policy.needs().teams {
            known.owner_teams.insert(team.clone(), Fact::known(false, "x", known.now));
        }
        let listed = vec![Repository {
            visibility: Some(patwarden::domain::Visibility::Public),
            archived: Some(false),
            topics: Some(Vec::new()),
            custom_properties: Some(["tier", "sox"].map(|name| (name.to_owned(), Vec::new())).into()),
            ..Repository::new(patwarden::domain::RepositoryId(1), "web")
        }];
        known.repositories = Fact::known(listed, "x", known.now);
        let decision = decide(&policy, &request, &known);
        prop_assert!(!decision.only_unknown);
        if request.repository_selection != RepositorySelection::All {
            prop_assert_eq!(&decision.unknown, &[]);
        }
    }
}

fn asking_more(
    request: &TokenRequest,
    facts: &Facts,
    more: &Permissions,
    others: &[Repository],
    longer: Option<i64>,
    all: bool,
) -> (TokenRequest, Facts) {
    let (mut greedy, mut greedy_facts) = (request.clone(), facts.clone());
    for (group, name, level) in more.iter() {
        let map = match group {
            patwarden::domain::PermissionGroup::Repository => &mut greedy.permissions.repository,
            patwarden::domain::PermissionGroup::Organization => {
                &mut greedy.permissions.organization
            }
            patwarden::domain::PermissionGroup::Other => &mut greedy.permissions.other,
        };
        let strongest = map.get(name).map_or(level, |before| before.max(level)).clone();
        map.insert(name.to_owned(), strongest);
    }
    greedy.token.expires_at = match (greedy.token.expires_at, longer) {
        (Some(at), Some(days)) => Some(at + SignedDuration::from_hours(days * 24)),
        _ => None,
    };
    if let Fact::Known { value, .. } = &mut greedy_facts.repositories {
        // An empty list of a subset is an unread one, and reading it is not asking for more.
        if !value.is_empty() || greedy.repository_selection == RepositorySelection::None {
            if greedy.repository_selection == RepositorySelection::None {
                value.clear();
            }
            for other in others {
                if value.iter().all(|repository| repository.name != other.name) {
                    value.push(other.clone());
                }
            }
            if greedy.repository_selection == RepositorySelection::None && !value.is_empty() {
                greedy.repository_selection = RepositorySelection::Subset;
            }
        }
    }
    if all {
        greedy.repository_selection = RepositorySelection::All;
    }
    (greedy, greedy_facts)
}

/// What is said of a token, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Yes,
    No,
    CannotSay,
}

fn says(selection: Option<Selection>) -> Says {
    match selection.unwrap() {
        Selection::Selected(_) => Says::Yes,
        Selection::NotSelected => Says::No,
        Selection::CannotSay(_) => Says::CannotSay,
    }
}

fn is_covered(coverage: &Coverage) -> Says {
    match coverage {
        Coverage::Covered(_) => Says::Yes,
        Coverage::NotCovered(_) => Says::No,
        Coverage::Unknown(_) => Says::CannotSay,
    }
}

/// The request that somebody would make to get just what the token has.
fn as_request(held: &Held) -> TokenRequest {
    let grant = held.grant.clone();
    let recorded = held.recorded.as_ref();
    let recorded = recorded.filter(|r| r.token.expires_at == grant.token.expires_at);
    TokenRequest {
        id: patwarden::domain::RequestId(9),
        organization: grant.organization,
        owner: grant.owner,
        token: grant.token,
        reason: None,
        repository_selection: grant.repository_selection,
        permissions: grant.permissions,
        created_at: recorded.map_or(grant.access_granted_at, |request| request.created_at),
    }
}

proptest! {
    #![proptest_config(cases())]

    /// 2. Turning a known fact into an unknown one never makes a revocation appear, nor a token seem uncovered.
    #[test]
    fn an_outage_revokes_nothing(text in wide_policy(12), revocations in revocations(), held in held(), which in any::<u32>()) {
        let policy = with_revocations(&text, &revocations);
        for facts in [without(&held.facts, which), Facts::nothing_read(held.facts.now)] {
            let poorer = Held { facts, ..held.clone() };
            for id in revocations.keys() {
                let poor = says(select(&policy, id, &poorer.token()));
                if poor != Says::CannotSay {
                    prop_assert_eq!(poor, says(select(&policy, id, &held.token())));
                }
            }
            let poor = is_covered(&coverage(&policy, &poorer.token()));
            if poor != Says::CannotSay {
                prop_assert_eq!(poor, is_covered(&coverage(&policy, &held.token())));
            }
        }
    }

    /// 3. What is said of a token, and why, is the same under every order of rules, blocks, files and events.
    #[test]
    fn no_order_selects_another_token(text in wide_policy(40), revocations in revocations(), held in held(), seed in any::<u64>()) {
        let straight = with_revocations(&text, &revocations);
        let mut tables = text.numbered();
        tables.extend(blocks(&revocations));
        tables.sort_by_key(|table| {
            table.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        });
        let files = ["schema = 1\n".to_owned() + &tables.concat(), text.head()];
        let shuffled = policy(&files.into_iter().chain(text.enterprise()).collect::<Vec<_>>());
        let mut turned = held.clone();
        turned.left.reverse();
        for id in revocations.keys() {
            prop_assert_eq!(select(&straight, id, &held.token()), select(&shuffled, id, &turned.token()));
        }
        prop_assert_eq!(coverage(&straight, &held.token()), coverage(&shuffled, &turned.token()));
    }

    /// Adding an approve rule never makes a token lose its access.
    #[test]
    fn an_approve_rule_revokes_nothing(text in wide_policy(12), extra in approve_rule(), revocations in revocations(), held in held()) {
        let mut more = text.clone();
        more.own.rules.push(extra);
        let (before, after) = (with_revocations(&text, &revocations), with_revocations(&more, &revocations));
        for id in revocations.keys() {
            if says(select(&after, id, &held.token())) == Says::Yes {
                prop_assert_eq!(says(select(&before, id, &held.token())), Says::Yes);
            }
        }
        if is_covered(&coverage(&before, &held.token())) == Says::Yes {
            prop_assert_eq!(is_covered(&coverage(&after, &held.token())), Says::Yes);
        }
    }

    /// What people approved, or nobody knows who, no change of the rules takes away.
    #[test]
    fn what_no_rule_approved_is_never_no_longer_covered(text in wide_policy(12), revocations in revocations(), mut held in held(), approval in no_rule()) {
        held.approval = approval;
        let policy = with_revocations(&text, &revocations);
        for (id, body) in &revocations {
            if body.contains("no_longer_covered") {
                prop_assert_eq!(select(&policy, id, &held.token()), Some(Selection::NotSelected));
            }
        }
    }

    /// A token that never expires is over any lifetime.
    #[test]
    fn what_never_expires_is_over_any_lifetime(days in 1..=36_500u32, mut held in held()) {
        held.grant.token.expires_at = None;
        held.grant.token.expired = false;
        let text = format!(
            "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
             [revoke.x]\nwhen.lifetime_over = \"{days}d\"\ngrace = \"0d\"\nmax_per_run = 1\n"
        );
        prop_assert_eq!(says(select(&policy(&[text]), "x", &held.token())), Says::Yes);
    }

    /// What has expired is never selected.
    #[test]
    fn what_has_expired_is_left_alone(text in wide_policy(6), revocations in revocations(), mut held in held(), flagged in any::<bool>()) {
        if flagged {
            held.grant.token.expired = true;
        } else {
            held.grant.token.expires_at = Some(held.facts.now);
        }
        let policy = with_revocations(&text, &revocations);
        for id in revocations.keys() {
            prop_assert_eq!(select(&policy, id, &held.token()), Some(Selection::NotSelected));
        }
    }

    /// A token is covered as its request would be approved, but for what only a request has: the same as the trace
    /// says of every rule, whatever index and short cuts there are.
    #[test]
    fn coverage_is_the_trace_without_what_only_a_request_has(text in wide_policy(60), held in held()) {
        let policy = text.load();
        let (decision, trace) = decide_with_trace(&policy, &as_request(&held), &held.facts);
        let left_out = |key: &str| {
            let key = key.split_once('.').map_or(key, |(_, key)| key);
            key.starts_with("request.") || key.starts_with("reason_") || matches!(key, "token.name" | "clock")
        };
        let approve = trace.rules.iter().filter(|rule| rule.verb == Verb::Approve);
        let truths = approve.map(|rule| {
            let asked = rule.conditions.iter().filter(|condition| !left_out(&condition.key));
            Truth::all(asked.map(|condition| match condition.truth {
                // Any list is inside it.
                Truth::Unknown if condition.key == "allow.repositories" && condition.expected.starts_with("*,") => Truth::Matched,
                truth => truth,
            }))
        });
        let wanted = match Truth::any(truths) {
            Truth::Matched => Says::Yes,
            Truth::NotMatched => Says::No,
            Truth::Unknown => Says::CannotSay,
        };
        let found = coverage(&policy, &held.token());
        prop_assert_eq!(is_covered(&found), wanted, "{}", render::tree(&trace));
        if decision.effect == Effect::Approve {
            prop_assert_eq!(wanted, Says::Yes);
        }
    }

    /// Where an answer does not hang on the repositories, reading them changes nothing.
    #[test]
    fn repositories_that_are_not_asked_for_change_nothing(text in wide_policy(12), revocations in revocations(), held in held()) {
        let policy = with_revocations(&text, &revocations);
        let poorer = held.without_repositories();
        for id in revocations.keys() {
            let poor = select(&policy, id, &poorer.token());
            let hangs = matches!(&poor, Some(Selection::CannotSay(unread)) if unread.needed.repositories);
            if !hangs {
                prop_assert_eq!(says(poor), says(select(&policy, id, &held.token())));
            }
        }
        let poor = coverage(&policy, &poorer.token());
        if !matches!(&poor, Coverage::Unknown(unread) if unread.needed.repositories) {
            prop_assert_eq!(is_covered(&poor), is_covered(&coverage(&policy, &held.token())));
        }
    }

    /// Whatever is said of a token is said in one line for each thing, and names what is lacking.
    #[test]
    fn a_selection_says_why(text in wide_policy(12), revocations in revocations(), held in held()) {
        let policy = with_revocations(&text, &revocations);
        for (id, body) in &revocations {
            match select(&policy, id, &held.token()).unwrap() {
                Selection::Selected(reasons) => {
                    // Of all repositories, each key under `all` stands for itself.
                    let keys: Vec<_> = body.lines().filter(|line| line.starts_with("when") || line.starts_with("on")).collect();
                    prop_assert!(reasons.len() >= keys.len(), "{reasons:?} {keys:?}");
                    prop_assert!(reasons.iter().all(|reason| !reason.to_string().contains('\n')));
                }
                Selection::CannotSay(unread) => {
                    prop_assert!(!unread.facts.is_empty());
                    let may_be_read = unread.facts.iter().any(|fact| fact.retry);
                    prop_assert_eq!(may_be_read, !unread.needed.is_empty(), "{:?}", unread);
                }
                Selection::NotSelected => {}
            }
        }
    }
}

/// The generators are worth something only if all kinds of decisions come out of them.
#[test]
fn the_generators_reach_every_effect() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = (any_policy(12), request(), facts());
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    let mut unknown = 0;
    for _ in 0..3_000 {
        let (text, request, facts): (PolicyText, _, _) =
            strategy.new_tree(&mut runner).unwrap().current();
        let decision = decide(&text.load(), &request, &facts);
        *counts.entry((decision.effect, decision.by.is_empty())).or_default() += 1;
        unknown += u32::from(decision.only_unknown);
    }
    for key in [
        (Effect::Approve, false),
        (Effect::Escalate, false),
        (Effect::Escalate, true),
        (Effect::Deny, false),
        (Effect::Deny, true),
    ] {
        assert!(counts.get(&key).is_some_and(|count| *count >= 30), "{key:?}: {counts:?}");
    }
    assert!(unknown >= 100, "{unknown}");
}

/// The same for tokens: every answer to every kind of question that has it.
#[test]
fn the_generators_reach_every_answer() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    const OF_TIME: [&str; 3] = ["when.unused_for", "when.granted_for", "when.lifetime_over"];
    const OF_FACTS: [&str; 4] =
        ["when.no_longer_covered", "on =", "when.repositories", "when.owner"];
    let mut runner = TestRunner::deterministic();
    let strategy = (wide_policy(12), revocations(), held());
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    for _ in 0..2_000 {
        let (text, revocations, held) = strategy.new_tree(&mut runner).unwrap().current();
        let policy = with_revocations(&text, &revocations);
        for (id, body) in &revocations {
            let says = says(select(&policy, id, &held.token()));
            for kind in OF_TIME.iter().chain(&OF_FACTS).filter(|kind| body.contains(**kind)) {
                *counts.entry((*kind, says)).or_default() += 1;
            }
        }
        *counts.entry(("coverage", is_covered(&coverage(&policy, &held.token())))).or_default() +=
            1;
    }
    let reached =
        |kind, says| assert!(counts.get(&(kind, says)) >= Some(&30), "{kind} {says:?}: {counts:?}");
    for kind in OF_TIME.into_iter().chain(OF_FACTS).chain(["coverage"]) {
        reached(kind, Says::Yes);
        reached(kind, Says::No);
        if !OF_TIME.contains(&kind) {
            reached(kind, Says::CannotSay);
        }
    }
}
