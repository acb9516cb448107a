//! What a decision says: effect, rules, reason, unknown facts. Values only; deciding stands in `decide`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is to happen with a request; the later one is the stricter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is approved.
    Approve,
    /// People decide.
    Escalate,
    /// It is denied, with a reason.
    Deny,
}

impl Effect {
    /// The word in rule files and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Escalate => "escalate",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule's name with its verb: `approve.read-only`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(String);

impl RuleId {
    /// A rule by its verb and id, or one that is built in (`builtin.protected-repositories`).
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name with its verb.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fact that could not be read and that kept a rule from being certain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnknownFact {
    /// Which fact, in the words of rule files: `owner.teams`.
    pub fact: String,
    /// Why it is not known: a sentence for people.
    pub why: String,
    /// Which rule asked.
    pub rule: RuleId,
    /// Whether reading again may help. A token for all repositories has no list and never will.
    pub retry: bool,
}

/// One thing that kept an approve rule from applying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// The key, or the one permission: `allow.lifetime`, `allow.permissions.repository.workflows`.
    pub key: String,
    /// What would be met, for whoever may see the rules.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// Whether it was merely unknown.
    pub unknown: bool,
    /// What the requester could change, in words that name no team, no login and no pattern; `None` when
    /// it is not in the requester's hands.
    pub hint: Option<String>,
}

/// The approve rule that came closest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearMiss {
    /// The rule.
    pub rule: RuleId,
    /// What it lacked: never empty.
    pub unmet: Vec<Unmet>,
}

impl NearMiss {
    /// `approve.ci-runners: allow.lifetime`, one line for each thing that was lacking.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.unmet.iter().map(|unmet| format!("{}: {}", self.rule, unmet.key)).collect()
    }
}

/// What the rules say of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is to happen.
    pub effect: Effect,
    /// Every rule that made it, the one whose reason is sent first; empty when the default did.
    pub by: Vec<RuleId>,
    /// The text that goes with a denial, complete and at most 1,024 characters long.
    pub reason: Option<String>,
    /// The groups of reviewers that are asked; each of them must agree.
    pub to: Vec<String>,
    /// The facts that could not be read and that bear on this decision.
    pub unknown: Vec<UnknownFact>,
    /// Whether it was escalated only because of facts that reading again may yet tell: before people are
    /// asked, they are read again.
    pub only_unknown: bool,
    /// What came closest to an approval, where nothing approved.
    pub near_miss: Option<NearMiss>,
    /// Advisory rules that would have applied.
    pub advisories: Vec<RuleId>,
    /// Rules that a waiver silenced.
    #[serde(default)]
    pub waived: Vec<Waived>,
}

/// A rule that would have applied, or may, and that a waiver silenced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Waived {
    /// The rule.
    pub rule: RuleId,
    /// The waiver: `waiver.license-scan`.
    pub waiver: String,
    /// Where the waiver is recorded.
    pub record: String,
}

/// The longest text that GitHub takes with a review.
pub const MAX_REASON_CHARS: usize = 1024;
