//! The whole reasoning behind a decision as values; rendering stands in `render`, deciding in `decide`.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{
    decision::{RuleId, Unmet},
    explain,
    layer::Layer,
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
    /// Whose it is.
    pub layer: Layer,
    /// Its weight.
    pub enforcement: Enforcement,
    /// Whether it only tightens.
    pub gate: bool,
    /// Whether its conditions are met. One that a waiver silences decides nothing all the same.
    pub truth: Truth,
    /// Each of its conditions.
    pub conditions: Vec<ConditionTrace>,
    /// The waivers of this rule for this owner, where the rule would apply or may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<WaiverTrace>,
}

/// One waiver of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverTrace {
    /// Which: `waiver.license-scan`.
    pub waiver: String,
    /// Where it is recorded.
    pub record: String,
    /// Its last day, in UTC.
    pub until: Date,
    /// Whether it silences the rule here.
    pub applies: bool,
    /// What keeps it from that, one sentence each.
    pub lacks: Vec<String>,
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
    /// The layers whose `[ceiling]` or `[require]` makes that what it is; none: the rule says it itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_by: Vec<Layer>,
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
        let truth = Truth::all(conditions.iter().map(|condition| condition.truth));
        Self {
            rule: rule.id.clone(),
            verb: rule.verb,
            layer: rule.layer,
            enforcement: rule.enforcement,
            gate: rule.gate,
            waivers: if truth == Truth::NotMatched {
                Vec::new()
            } else {
                let waivers = rule.waivers.iter().filter(|waiver| waiver.concerns(subject));
                waivers.map(|waiver| waiver.trace(subject)).collect()
            },
            truth,
            conditions,
        }
    }

    /// The waiver that silences the rule, if one does.
    #[must_use]
    pub fn waived(&self) -> Option<&WaiverTrace> {
        self.waivers.iter().find(|waiver| waiver.applies)
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
        bound_by: check.bound_by.clone(),
        expected,
        found,
        source,
        read_at,
        truth,
    }
}
