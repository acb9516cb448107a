//! The whole reasoning behind a decision as values; rendering stands in `render`, deciding in `decide`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    decision::{RuleId, Unmet},
    explain,
    rule::{Check, Enforcement, Part, Rule, Verb},
    subject::Subject,
    truth::Truth,
};

/// Every rule, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// When it was judged.
    pub now: Timestamp,
    /// Every rule, in order of layer and id; those built in come last.
    pub rules: Vec<RuleTrace>,
    /// What happens when no rule applies: `escalate` or `deny`.
    pub default: String,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTrace {
    /// Which.
    pub rule: RuleId,
    /// Its verb.
    pub verb: Verb,
    /// Its layer; 0 is the uppermost.
    pub layer: u8,
    /// Its weight.
    pub enforcement: Enforcement,
    /// Whether it only tightens.
    pub gate: bool,
    /// Whether it applies.
    pub truth: Truth,
    /// Each of its conditions.
    pub conditions: Vec<ConditionTrace>,
}

/// One condition of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionTrace {
    /// The key from the rule's table on: `when.owner.teams`.
    pub key: String,
    /// Which part of the rule it is in.
    pub part: Part,
    /// What was asked for.
    pub expected: String,
    /// What was found, fit to be shown.
    pub found: String,
    /// From where.
    pub source: String,
    /// When it was read, where it was read at all.
    pub read_at: Option<Timestamp>,
    /// Whether it is met; of an exception, whether the exception does not hold.
    pub truth: Truth,
    /// What of it is not met.
    pub unmet: Vec<Unmet>,
}

impl RuleTrace {
    pub(crate) fn of(rule: &Rule, subject: &Subject<'_>) -> Self {
        let conditions: Vec<_> = rule.checks.iter().map(|check| trace(check, subject)).collect();
        Self {
            rule: rule.id.clone(),
            verb: rule.verb,
            layer: rule.layer,
            enforcement: rule.enforcement,
            gate: rule.gate,
            truth: Truth::all(conditions.iter().map(|condition| condition.truth)),
            conditions,
        }
    }
}

fn trace(check: &Check, subject: &Subject<'_>) -> ConditionTrace {
    let truth = check.passes(subject);
    let (source, read_at) = explain::source(check, subject);
    let (expected, found) = (explain::expected(check), explain::found(check, subject));
    ConditionTrace {
        key: check.key.clone(),
        part: check.part,
        unmet: explain::unmet(check, subject, truth, &expected, &found),
        expected,
        found,
        source,
        read_at,
        truth,
    }
}
