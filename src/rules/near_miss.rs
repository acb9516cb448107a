//! Which approve rule came closest: a pure function of the trace, and a short cut that gives the same.

use super::{
    decision::NearMiss,
    explain,
    rule::{Rule, Verb},
    subject::Subject,
    trace::{RuleTrace, Trace},
    truth::Truth,
};

/// The approve rule with the fewest unmet conditions; among equals that with the fewest that the requester
/// cannot change, then the first by id. None when some approve rule applies: then nothing was missing.
#[must_use]
pub fn near_miss(trace: &Trace) -> Option<NearMiss> {
    let approve = || trace.rules.iter().filter(|rule| rule.verb == Verb::Approve);
    if approve().any(|rule| rule.truth == Truth::Matched) {
        return None;
    }
    let nearest = approve().min_by_key(|rule| {
        let unmet = || rule.conditions.iter().flat_map(|condition| &condition.unmet);
        (unmet().count(), unmet().filter(|unmet| unmet.hint.is_none()).count(), &rule.rule)
    })?;
    Some(of(nearest))
}

fn of(rule: &RuleTrace) -> NearMiss {
    let unmet = rule.conditions.iter().flat_map(|condition| condition.unmet.clone());
    NearMiss { rule: rule.rule.clone(), unmet: unmet.collect() }
}

/// The same without a trace: only what is unmet is put into words.
fn of_rule(rule: &Rule, subject: &Subject<'_>) -> NearMiss {
    let mut unmet = Vec::new();
    for check in &rule.checks {
        let truth = check.passes(subject);
        if truth != Truth::Matched {
            let (expected, found) = (explain::expected(check), explain::found(check, subject));
            unmet.extend(explain::unmet(check, subject, truth, &expected, &found));
        }
    }
    NearMiss { rule: rule.id.clone(), unmet }
}

/// The same from the rules themselves: counts, and explains only the one that is found.
pub(crate) fn near_miss_of(rules: &[Rule], subject: &Subject<'_>) -> Option<NearMiss> {
    let mut best: Option<((u32, u32), &Rule)> = None;
    for rule in rules.iter().filter(|rule| rule.verb == Verb::Approve) {
        let bound = best.map_or(u32::MAX, |((unmet, _), _)| unmet);
        let Some(count) = count(rule, subject, bound) else { continue };
        let closer = match best {
            None => true,
            Some((before, first)) => (count, &rule.id) < (before, &first.id),
        };
        if closer {
            best = Some((count, rule));
        }
    }
    match best? {
        ((0, _), _) => None,
        (_, rule) => Some(of_rule(rule, subject)),
    }
}

/// Unmet conditions, and those among them that the requester cannot change; nothing once there are more
/// than `bound`.
fn count(rule: &Rule, subject: &Subject<'_>, bound: u32) -> Option<(u32, u32)> {
    let (mut unmet, mut fixed) = (0, 0);
    for check in rule.cheapest_first() {
        let count = explain::count_unmet(check, subject);
        unmet += count;
        if unmet > bound {
            return None;
        }
        if !check.condition.requester_can_change() {
            fixed += count;
        }
    }
    Some((unmet, fixed))
}
