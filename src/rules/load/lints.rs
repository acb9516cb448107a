//! What is allowed and probably not meant, from a closed list, and what the ceiling cuts down.

use std::collections::BTreeSet;

use super::{
    conditions::Placed,
    draft::Draft,
    rule_tables::{Allow, DraftRule, cut_permissions},
};
use crate::rules::{
    cases::Outcome,
    condition::Condition,
    decision::Effect,
    diagnostic::{Code, Diagnostic},
    policy::{Ceiling, Policy},
    rule::{Enforcement, Part, Verb},
};

/// More pairs of rules than this are not compared: it is a doubt, and not worth a minute.
const MOST_PAIRS: usize = 1_000_000;

/// What the files alone show.
pub(crate) fn lint(draft: &Draft) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let denials: Vec<_> = draft
        .rules
        .iter()
        .filter(|rule| rule.verb == Verb::Deny && rule.enforcement != Enforcement::Advisory)
        .filter(|rule| rule.conditions.iter().all(|placed| placed.check.part == Part::When))
        .collect();
    for rule in &draft.rules {
        if let Some(allow) = &rule.allow {
            above_ceiling(&mut found, rule, allow, &draft.ceiling_of(rule.layer));
            contradictions(&mut found, rule, allow);
            if draft.rules.len() * denials.len() <= MOST_PAIRS {
                implied(&mut found, rule, &denials);
            }
        }
        settable_text(&mut found, rule);
    }
    let named: BTreeSet<&str> =
        draft.named_groups.iter().map(|named| named.name.as_str()).collect();
    for (name, group) in &draft.reviewers {
        if name != "owners" && !named.contains(name.as_str()) {
            let message = format!("nothing names the reviewers `{name}`");
            found.push(Diagnostic::new(Code::UnusedGroup, group.place.clone(), message));
        }
    }
    found
}

fn above_ceiling(found: &mut Vec<Diagnostic>, rule: &DraftRule, allow: &Allow, ceiling: &Ceiling) {
    let mut cut = |place: &_, message: String| {
        let help =
            "the rule lets through no more than the ceiling does; lower it to say what happens";
        found.push(Diagnostic::new(Code::CutByCeiling, Clone::clone(place), message).help(help));
    };
    let mut left = true;
    if let Some(most) = ceiling.lifetime.filter(|most| *most < allow.lifetime.0) {
        cut(&allow.lifetime.1, format!("the ceiling cuts this lifetime down to {most}d"));
        left &= most > 0;
    }
    if let (Some(most), Some((max, place))) = (ceiling.max_repositories, &allow.max_repositories)
        && most < *max
    {
        cut(place, format!("the ceiling cuts this number of repositories down to {most}"));
    }
    if let Some((true, place)) = &allow.all_repositories
        && (ceiling.all_repositories == Some(false) || ceiling.max_repositories.is_some())
    {
        cut(place, "the ceiling does not let tokens for all repositories through".to_owned());
    }
    let (permissions, place) = &allow.permissions;
    let within = cut_permissions(permissions, ceiling);
    if within != *permissions {
        let over = permissions
            .iter()
            .filter(|(group, name, level)| within.group(*group).get(*name) != Some(*level));
        let over: Vec<_> = over
            .map(|(group, name, level)| format!("{}.{name}: {level}", group.as_str()))
            .collect();
        cut(place, format!("the ceiling cuts down {}", over.join(", ")));
        left &= within.iter().next().is_some();
    }
    if !left {
        let message = format!("nothing is left of `{}.{}` under the ceiling", rule.verb, rule.id);
        found.push(Diagnostic::new(Code::NothingLeft, rule.place.clone(), message));
    }
}

fn contradictions(found: &mut Vec<Diagnostic>, rule: &DraftRule, allow: &Allow) {
    let mut contradiction = |place: &_, message: &str| {
        found.push(Diagnostic::new(Code::ContradictoryBounds, Clone::clone(place), message));
    };
    if let Some((true, place)) = &allow.all_repositories {
        if allow.max_repositories.is_some() {
            contradiction(
                place,
                "all repositories are more than any `max_repositories`, so this lets nothing more through",
            );
        } else if !allow.repositories.everything() {
            contradiction(
                place,
                "all repositories are not inside this list of names; it takes `repositories = [\"*\"]`",
            );
        }
    }
    for Placed { check, place } in
        rule.conditions.iter().filter(|placed| placed.check.part == Part::When)
    {
        match &check.condition {
            Condition::TokenNeverExpires(true) => {
                contradiction(place, "a token that never expires is inside no `allow.lifetime`");
            }
            Condition::TokenLifetime(bounds)
                if bounds.at_least.is_some_and(|least| least > allow.lifetime.0) =>
            {
                contradiction(place, "this lifetime is longer than `allow.lifetime`");
            }
            Condition::RepositoriesCount(bounds)
                if allow
                    .max_repositories
                    .as_ref()
                    .is_some_and(|(max, _)| bounds.at_least.is_some_and(|least| least > *max)) =>
            {
                contradiction(place, "this is more than `allow.max_repositories`");
            }
            _ => {}
        }
    }
}

/// An approve rule whose every request some deny rule refuses, as far as one key shows it.
fn implied(found: &mut Vec<Diagnostic>, rule: &DraftRule, denials: &[&DraftRule]) {
    let when = || rule.conditions.iter().filter(|placed| placed.check.part == Part::When);
    for deny in denials {
        let covered = deny.conditions.iter().all(|denied| {
            when().any(|approved| approved.check.condition.implies(&denied.check.condition))
        });
        if covered {
            let message = format!("`deny.{}` refuses everything that this rule is for", deny.id);
            found.push(
                Diagnostic::new(Code::ImpliedByDeny, rule.place.clone(), message)
                    .related(deny.place.clone(), "this rule"),
            );
        }
    }
}

/// Text that whoever asks can choose narrows nothing, and excuses everybody.
fn settable_text(found: &mut Vec<Diagnostic>, rule: &DraftRule) {
    if rule.verb == Verb::Approve {
        let mut when = rule.conditions.iter().filter(|placed| placed.check.part == Part::When);
        let all = when.all(|placed| placed.check.condition.is_settable_text());
        if all && rule.conditions.iter().any(|placed| placed.check.part == Part::When) {
            let message =
                format!("anybody can pass the `when` of `approve.{}` by choosing a text", rule.id);
            let help = "add who may: `when.owner.teams`, `when.owner.role` or `when.owner.login`";
            found.push(Diagnostic::new(Code::SettableText, rule.place.clone(), message).help(help));
        }
        return;
    }
    for Placed { check, place } in &rule.conditions {
        if check.part == Part::Unless && check.condition.is_settable_text() {
            let message =
                format!("anybody can escape `{}.{}` by choosing a text", rule.verb, rule.id);
            found.push(Diagnostic::new(Code::SettableText, place.clone(), message));
        }
    }
}

/// Approve rules that no case lets pass, or that none refuses.
pub(crate) fn untested(policy: &Policy, outcomes: &[Outcome<'_>]) -> Vec<Diagnostic> {
    let (mut passing, mut refusing) = (BTreeSet::new(), BTreeSet::new());
    for Outcome { decision, .. } in outcomes {
        if decision.effect == Effect::Approve {
            passing.extend(&decision.by);
        } else if let Some(near_miss) = &decision.near_miss {
            refusing.insert(&near_miss.rule);
        }
    }
    let approve = policy.rules.iter().filter(|rule| rule.verb == Verb::Approve);
    let lacking = approve.filter_map(|rule| {
        let lacking = match (passing.contains(&rule.id), refusing.contains(&rule.id)) {
            (true, true) => return None,
            (true, false) => "no case that it just refuses (its near miss)",
            (false, true) => "no case that it lets pass",
            (false, false) => "neither a case that it lets pass nor one that it just refuses",
        };
        let message = format!("`{}` has {lacking}", rule.id);
        let help = "add both under [tests]";
        Some(Diagnostic::new(Code::UntestedApprove, rule.place.clone(), message).help(help))
    });
    lacking.collect()
}
