//! One compiled rule: its checks, and how they combine into matched, not matched or unknown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    decision::{RuleId, UnknownFact},
    diagnostic::Place,
    explain,
    reason::Template,
    subject::Subject,
    truth::Truth,
};

/// What a rule does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Lets a request through, within bounds.
    Approve,
    /// Refuses it, with a reason.
    Deny,
    /// Hands it to people.
    Escalate,
}

impl Verb {
    /// The name of the rule's table in a file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Escalate => "escalate",
        }
    }
}

/// How much a deny or escalate rule weighs against a waiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// No waiver silences it.
    Hard,
    /// A waiver may silence it.
    Soft,
    /// Recorded and reported; decides nothing.
    Advisory,
}

impl Enforcement {
    /// The word in rule files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Advisory => "advisory",
        }
    }
}

/// Which part of a rule a check comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `when`: must hold.
    When,
    /// `unless`: must not hold.
    Unless,
    /// `allow`: the request must be inside.
    Allow,
    /// `require`: the request must give it.
    Require,
}

/// One condition of a rule, where it stands and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) part: Part,
    /// The key from the rule's table on: `when.owner.teams`.
    pub(crate) key: String,
    pub(crate) condition: Condition,
    /// In `when` of a deny or escalate rule, a token for all repositories has any that is asked for.
    pub(crate) all_is_any: bool,
}

impl Check {
    /// Whether the check is passed: for an exception, whether it does not hold.
    pub(crate) fn passes(&self, subject: &Subject<'_>) -> Truth {
        let holds = self.condition.holds(subject, self.all_is_any);
        if self.part == Part::Unless { holds.negated() } else { holds }
    }
}

/// A rule of any verb.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) verb: Verb,
    /// 0 is the uppermost.
    pub(crate) layer: u8,
    pub(crate) enforcement: Enforcement,
    /// An escalate rule that only tightens.
    pub(crate) gate: bool,
    pub(crate) checks: Vec<Check>,
    pub(crate) to: Vec<String>,
    pub(crate) reason: Option<Template>,
    pub(crate) place: Place,
}

impl Rule {
    /// Whether the rule applies. Stops at the first check that fails.
    pub(crate) fn applies(&self, subject: &Subject<'_>) -> Truth {
        Truth::all(self.checks.iter().map(|check| check.passes(subject)))
    }

    /// The facts that keep the rule from being known to apply or not.
    pub(crate) fn unknowns(&self, subject: &Subject<'_>) -> Vec<UnknownFact> {
        let unknown = self.checks.iter().filter(|check| check.passes(subject) == Truth::Unknown);
        unknown.flat_map(|check| explain::unknowns(&self.id, check, subject)).collect()
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
