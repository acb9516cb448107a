//! One compiled rule: its checks, and how they combine into matched, not matched or unknown.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    condition::Condition,
    decision::{RuleId, UnknownFact},
    diagnostic::Place,
    explain,
    layer::Layer,
    reason::Template,
    subject::Subject,
    truth::Truth,
    waiver,
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
    /// It stands in `when` of a deny or escalate rule: see [`Condition::holds`].
    pub(crate) veto: bool,
    /// The layers whose `[ceiling]` or `[require]` makes the bound what it is; none: the rule says it itself.
    pub(crate) bound_by: Vec<Layer>,
    /// Where the answer is remembered, for a costly condition that several rules share.
    pub(crate) slot: Option<u32>,
}

impl Check {
    /// Whether the check is passed: for an exception, whether it does not hold.
    pub(crate) fn passes(&self, subject: &Subject<'_>) -> Truth {
        let holds = match self.slot {
            None => self.condition.holds(subject, self.veto),
            Some(slot) => subject.remember(slot, || self.condition.holds(subject, self.veto)),
        };
        if self.part == Part::Unless { holds.negated() } else { holds }
    }
}

/// A rule of any verb.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) verb: Verb,
    pub(crate) layer: Layer,
    pub(crate) enforcement: Enforcement,
    /// An escalate rule that only tightens.
    pub(crate) gate: bool,
    pub(crate) checks: Vec<Check>,
    /// The checks in the order in which they are asked: those that cost least first.
    pub(crate) cheap_first: Vec<u16>,
    /// Those that name this rule, in order of their ids.
    pub(crate) waivers: Vec<waiver::Compiled>,
    pub(crate) to: Vec<String>,
    pub(crate) reason: Option<Template>,
    pub(crate) place: Place,
}

/// Gives every costly condition that occurs more than once a slot, and says how many there are.
pub(crate) fn share(rules: &mut [Rule]) -> usize {
    let mut seen: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
    for (at, rule) in rules.iter().enumerate() {
        for (check_at, check) in rule.checks.iter().enumerate() {
            if check.condition.cost() > 1 {
                let text = format!("{} {}", check.veto, explain::wanted(&check.condition));
                seen.entry(text).or_default().push((at, check_at));
            }
        }
    }
    let check = |rules: &[Rule], (at, check_at): (usize, usize)| {
        rules.get(at).and_then(|rule| rule.checks.get(check_at)).cloned()
    };
    let mut slots = 0;
    for places in seen.into_values().filter(|places| places.len() > 1) {
        let Some(first) = places.first().and_then(|place| check(rules, *place)) else { continue };
        for (at, check_at) in places {
            // The text finds what is probably the same; only what is the same shares an answer.
            if let Some(check) = rules.get_mut(at).and_then(|rule| rule.checks.get_mut(check_at))
                && check.condition == first.condition
            {
                check.slot = u32::try_from(slots).ok();
            }
        }
        slots += 1;
    }
    slots
}

/// The order in which `checks` cost least.
pub(crate) fn cheap_first(checks: &[Check]) -> Vec<u16> {
    let mut order: Vec<u16> = (0..).take(checks.len()).collect();
    order.sort_by_key(|at| checks.get(usize::from(*at)).map(|check| check.condition.cost()));
    order
}

impl Rule {
    /// Whether the rule applies. Stops at the first check that fails.
    pub(crate) fn applies(&self, subject: &Subject<'_>) -> Truth {
        Truth::all(self.cheapest_first().map(|check| check.passes(subject)))
    }

    /// Whether it means the same, wherever it stands.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        let meaning = |rule: &Self| {
            let checks = rule
                .checks
                .iter()
                .map(|check| (check.part, check.key.clone(), check.condition.clone(), check.veto));
            let waivers: Vec<_> = rule.waivers.iter().map(|waiver| waiver.meaning()).collect();
            let rest = (rule.enforcement, rule.gate, rule.to.clone(), rule.reason.clone());
            (checks.collect::<Vec<_>>(), waivers, rest)
        };
        self.id == other.id && meaning(self) == meaning(other)
    }

    /// The waiver that silences the rule for this request.
    pub(crate) fn waived(&self, subject: &Subject<'_>) -> Option<&waiver::Compiled> {
        self.waivers.iter().find(|waiver| waiver.applies(subject))
    }

    /// The checks, those that cost least first.
    pub(crate) fn cheapest_first(&self) -> impl Iterator<Item = &Check> {
        self.cheap_first.iter().filter_map(|at| self.checks.get(usize::from(*at)))
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
