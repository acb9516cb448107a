//! The built-in veto: no rule approves write access to where the rules, or the answers of reviewers, are kept.

use super::{
    decision::{RuleId, Unmet},
    explain,
    layer::Layer,
    policy::{PROTECTED_REPOSITORIES, Policy},
    rule::{Enforcement, Part, Verb},
    subject::{Repositories, Subject},
    trace::{ConditionTrace, RuleTrace},
    truth::Truth,
};

/// Whether the token could write to a protected repository.
pub(crate) fn applies(policy: &Policy, subject: &Subject<'_>) -> Truth {
    if !subject.writes() {
        return Truth::NotMatched;
    }
    reaches(policy, subject)
}

fn reaches(policy: &Policy, subject: &Subject<'_>) -> Truth {
    let mut here = names(policy, subject).peekable();
    if here.peek().is_none() {
        return Truth::NotMatched;
    }
    match subject.repositories {
        Repositories::None => Truth::NotMatched,
        Repositories::All => Truth::Matched,
        Repositories::Unknown(_) => Truth::Unknown,
        Repositories::Listed(_) => {
            Truth::of(here.any(|protected| subject.names().any(|name| name == protected)))
        }
    }
}

/// The protected repositories of the request's organization.
fn names<'p>(policy: &'p Policy, subject: &Subject<'_>) -> impl Iterator<Item = &'p str> {
    let protected = policy.protected.iter();
    protected
        .filter(|(organization, _)| *organization == subject.organization)
        .map(|(_, repository)| repository.as_str())
}

/// The veto as a rule of the trace; absent where nothing is protected.
pub(crate) fn trace(policy: &Policy, subject: &Subject<'_>) -> Option<RuleTrace> {
    let names: Vec<_> = names(policy, subject).collect();
    if names.is_empty() {
        return None;
    }
    let condition = |key: &str, expected: String, found: String, truth: Truth| ConditionTrace {
        key: key.to_owned(),
        part: Part::When,
        expected,
        found,
        source: explain::FROM_REQUEST.to_owned(),
        read_at: None,
        truth,
        unmet: Vec::<Unmet>::new(),
    };
    let writes = Truth::of(subject.writes());
    Some(RuleTrace {
        rule: RuleId::new(PROTECTED_REPOSITORIES),
        verb: Verb::Escalate,
        layer: Layer::Enterprise,
        enforcement: Enforcement::Hard,
        gate: true,
        waivers: Vec::new(),
        truth: applies(policy, subject),
        conditions: vec![
            condition(
                "when.permissions.any_at_least.repository",
                "any: write".to_owned(),
                if subject.writes() { "writes" } else { "reads only" }.to_owned(),
                writes,
            ),
            condition(
                "when.repositories.any.name",
                names.join(", "),
                explain::repository_names(subject),
                reaches(policy, subject),
            ),
        ],
    })
}
