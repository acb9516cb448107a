//! Decisions and traces as text for people: one rendering for the terminal, the review, the digest and pages.

use std::fmt::Write as _;

use crate::domain::{
    PermissionGroup, Permissions, Repository, RepositorySelection, TokenRequest, agrees, cut,
    for_people, many,
};

use super::{
    cases::{Report, Side},
    decision::{Decision, Effect, RuleId},
    layer::Layer,
    rule::{Part, Verb},
    trace::{ConditionTrace, RuleTrace, Trace, WaiverTrace},
    truth::Truth,
};

/// The longest value that a line of a rendering shows.
const VALUE: usize = 200;

/// One sentence: what is to happen, and because of which rules or facts.
#[must_use]
pub fn sentence(decision: &Decision) -> String {
    let by: Vec<_> = decision.by.iter().map(|rule| rule.as_str()).collect();
    let by = if by.is_empty() { "the default".to_owned() } else { by.join(", ") };
    let mut text = match decision.effect {
        Effect::Approve => format!("approve, by {by}"),
        Effect::Deny => format!("deny, by {by}"),
        Effect::Escalate => format!("escalate to {}, by {by}", decision.to.join(" and ")),
    };
    if let Some(unknown) = decision.unknown.first() {
        // Writing to a string cannot fail.
        let _ = write!(text, "; unknown: {} ({})", unknown.fact, for_people(&unknown.why));
        if decision.unknown.len() > 1 {
            let _ = write!(text, " and {} more", decision.unknown.len() - 1);
        }
    }
    for waived in &decision.waived {
        let record = cut(&for_people(&waived.record), VALUE);
        let _ = write!(text, "; {} is silenced by {} ({record})", waived.rule, waived.waiver);
    }
    if let Some(near_miss) = &decision.near_miss {
        let keys: Vec<_> = near_miss.unmet.iter().map(|unmet| unmet.key.as_str()).collect();
        let _ =
            write!(text, "; closest: {}, unmet {}", near_miss.rule, cut(&keys.join(", "), VALUE));
    }
    text
}

/// What goes with a review that a rule made: short, and fit for the requester's eyes.
#[must_use]
pub fn review_reason(decision: &Decision) -> String {
    match (&decision.reason, decision.effect) {
        (Some(reason), _) => reason.clone(),
        (None, effect) => {
            let by: Vec<_> = decision.by.iter().map(|rule| rule.as_str()).collect();
            let by = if by.is_empty() { "the default".to_owned() } else { by.join(", ") };
            let verb = match effect {
                Effect::Approve => "Approved",
                Effect::Deny => "Denied",
                Effect::Escalate => "Escalated",
            };
            cut(&format!("{verb} by {by}"), super::decision::MAX_REASON_CHARS)
        }
    }
}

/// The whole reasoning as plain text: rules that apply first, then those that might, then the others.
#[must_use]
pub fn tree(trace: &Trace) -> String {
    let mut text = String::new();
    for truth in [Truth::Matched, Truth::Unknown, Truth::NotMatched] {
        for rule in trace.rules.iter().filter(|rule| rule.truth == truth) {
            rule_lines(&mut text, rule);
        }
    }
    let _ = writeln!(text, "default: {}", trace.default);
    text
}

/// What the cases came to.
pub(crate) fn report(report: &Report) -> String {
    let mut text = String::new();
    for case in report.cases.iter().filter(|case| !case.passed) {
        let name = cut(&for_people(&case.name), VALUE);
        let _ = writeln!(text, "FAILED \"{name}\" ({}:{})", case.place.file, case.place.line);
        for problem in &case.problems {
            let _ = writeln!(text, "  {}", for_people(problem));
        }
        if let Some(trace) = &case.trace {
            for line in tree(trace).lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    if !report.unexercised.is_empty() {
        let rules: Vec<_> = report.unexercised.iter().map(RuleId::as_str).collect();
        let _ = writeln!(text, "no case shows what these rules do: {}", rules.join(", "));
    }
    text.push_str(&coverage(report));
    let failed = report.cases.iter().filter(|case| !case.passed).count();
    let _ = match (report.cases.len(), failed) {
        (0, _) => {
            writeln!(text, "there are no cases, so nothing is proved: add some under [tests]")
        }
        (all, 0) => writeln!(text, "{} {}", many(all, "case"), agrees(all, "passes", "pass")),
        (all, failed) => {
            writeln!(text, "{failed} of {} {}", many(all, "case"), agrees(failed, "fails", "fail"))
        }
    };
    text
}

/// Which rules and conditions no case tells anything about.
fn coverage(report: &Report) -> String {
    let shown = 20;
    let mut text = String::new();
    let idle: Vec<_> =
        report.one_sided.iter().filter(|condition| condition.never == Side::Unmet).collect();
    if !report.cases.is_empty() && !idle.is_empty() {
        let _ = writeln!(
            text,
            "{} of {} untested: take one of them out of its rule, and every case still passes. What tests one is a case that \
             meets all of its rule but this:",
            idle.len(),
            many(report.conditions, "condition"),
        );
        for condition in idle.iter().take(shown) {
            let _ = writeln!(text, "  {}: {}", condition.rule, condition.key);
        }
        if idle.len() > shown {
            let _ = writeln!(text, "  and {} more (--json shows all)", idle.len() - shown);
        }
    }
    text
}

/// One rule with each of its conditions.
#[must_use]
pub fn rule(rule: &RuleTrace) -> String {
    let mut text = String::new();
    rule_lines(&mut text, rule);
    text
}

fn rule_lines(text: &mut String, rule: &RuleTrace) {
    let weight = match rule.verb {
        Verb::Approve => String::new(),
        Verb::Deny | Verb::Escalate if rule.gate => {
            format!(" ({}, gate)", rule.enforcement.as_str())
        }
        Verb::Deny | Verb::Escalate => format!(" ({})", rule.enforcement.as_str()),
    };
    let layer = match rule.layer {
        Layer::Enterprise if rule.rule.as_str().starts_with("builtin.") => "",
        Layer::Enterprise => ", from the enterprise",
        Layer::Organization => "",
    };
    let silenced = if rule.waived().is_some() { ", and silenced by a waiver" } else { "" };
    let _ = writeln!(text, "{}: {}{silenced}{weight}{layer}", rule.rule, rule.truth.as_str());
    for waiver in &rule.waivers {
        waiver_line(text, waiver);
    }
    for condition in &rule.conditions {
        condition_line(text, condition);
    }
}

fn waiver_line(text: &mut String, waiver: &WaiverTrace) {
    let record = cut(&for_people(&waiver.record), VALUE);
    let _ = match waiver.applies {
        true => {
            writeln!(text, "  {}: silences it until {} ({record})", waiver.waiver, waiver.until)
        }
        false => writeln!(
            text,
            "  {}: does not silence it: {} ({record})",
            waiver.waiver,
            waiver.lacks.join("; ")
        ),
    };
}

fn condition_line(text: &mut String, condition: &ConditionTrace) {
    let mark = match condition.truth {
        Truth::Matched => '+',
        Truth::NotMatched => '-',
        Truth::Unknown => '?',
    };
    let _ = write!(
        text,
        "  {mark} {}: expected {}{}; found {}",
        condition.key,
        cut(&for_people(&condition.expected), VALUE),
        bound_by(condition),
        cut(&for_people(&condition.found), VALUE),
    );
    if condition.source != super::explain::FROM_REQUEST {
        let _ = write!(text, " ({}", cut(&for_people(&condition.source), VALUE));
        if let Some(read_at) = condition.read_at {
            let _ = write!(text, ", {}", read_at.strftime("%Y-%m-%d %H:%M:%SZ"));
        }
        text.push(')');
    }
    text.push('\n');
}

/// Whose bound it is, where it is not the rule's own.
fn bound_by(condition: &ConditionTrace) -> String {
    if condition.bound_by.is_empty() {
        return String::new();
    }
    let block = if condition.part == Part::Require { "[require]" } else { "[ceiling]" };
    let layers: Vec<_> =
        condition.bound_by.iter().map(|layer| format!("the {layer}'s {block}")).collect();
    format!(", by {}", layers.join(" and "))
}

/// What is asked, in one line: `contents:write, issues:read on web, api for 30 d`.
#[must_use]
pub fn asked(request: &TokenRequest, repositories: Option<&[Repository]>) -> String {
    let reach = where_to(request.repository_selection, repositories);
    format!(
        "{} on {} {}",
        permissions(&request.permissions),
        cut(&for_people(&reach), 60),
        how_long(request)
    )
}

/// The permissions in one line, but for the one that GitHub forces.
#[must_use]
pub fn permissions(permissions: &Permissions) -> String {
    let mut asked: Vec<String> = permissions
        .iter()
        // GitHub adds it to every token that may do anything else.
        .filter(|(group, name, level)| {
            !(*group == PermissionGroup::Repository
                && *name == "metadata"
                && level.as_str() == "read")
        })
        .map(|(group, name, level)| match group {
            PermissionGroup::Repository => format!("{name}:{level}"),
            group => format!("{} {name}:{level}", group.as_str()),
        })
        .collect();
    if asked.is_empty() {
        asked.push("nothing but metadata".to_owned());
    }
    cut(&for_people(&asked.join(", ")), 1_000)
}

/// The repositories in one line.
#[must_use]
pub fn where_to(selection: RepositorySelection, repositories: Option<&[Repository]>) -> String {
    match (selection, repositories) {
        (RepositorySelection::None, _) => "no repository".to_owned(),
        (RepositorySelection::All, _) => "ALL repositories".to_owned(),
        (RepositorySelection::Subset, None) => "some repositories (which was not read)".to_owned(),
        (RepositorySelection::Subset, Some(list)) => {
            let names: Vec<&str> = list.iter().map(|repository| repository.name.as_str()).collect();
            names.join(", ")
        }
    }
}

/// The lifetime: `for 30 d`, or `for ever`.
#[must_use]
pub fn how_long(request: &TokenRequest) -> String {
    match request.token.expires_at {
        None => "for ever".to_owned(),
        Some(at) => format!("for {} d", at.duration_since(request.created_at).as_hours() / 24),
    }
}
