//! PURE: what stands against approving a request whoever asks for it: deny rules that apply, or may. Deciding is in `decide`.

use super::{
    decision::{Decision, Effect, RuleId},
    rule::{Enforcement, Part, Verb},
    trace::{RuleTrace, Trace},
    truth::Truth,
};

/// One thing that stands against an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    /// The rule; `None`: the default denies what no rule covers.
    pub rule: Option<RuleId>,
    /// Whether somebody may override it: a hard one nobody.
    pub hard: bool,
    /// What could not be read and keeps the rule from being certain; empty: it applies.
    pub unknown: Vec<String>,
}

/// Every deny rule that applies to the request of this trace, or may, the hard ones first, and the default where that is what
/// denies. A rule that a waiver silences, or that only advises, is none.
#[must_use]
pub fn vetoes(decision: &Decision, trace: &Trace) -> Vec<Veto> {
    let mut vetoes: Vec<Veto> = trace.rules.iter().filter(|rule| stands(rule)).map(veto).collect();
    if vetoes.is_empty() && decision.effect == Effect::Deny {
        vetoes.push(Veto { rule: None, hard: false, unknown: Vec::new() });
    }
    // What is certain before what is not.
    vetoes.sort_by_key(|veto| (!veto.hard, !veto.unknown.is_empty()));
    vetoes
}

fn stands(rule: &RuleTrace) -> bool {
    rule.verb == Verb::Deny
        && rule.truth != Truth::NotMatched
        && rule.enforcement != Enforcement::Advisory
        && rule.waived().is_none()
}

fn veto(rule: &RuleTrace) -> Veto {
    let unknown = rule
        .conditions
        .iter()
        .filter(|condition| rule.truth == Truth::Unknown && condition.truth == Truth::Unknown);
    let fact = |key: &str, part: Part| {
        let prefix = if part == Part::Unless { "unless." } else { "when." };
        key.strip_prefix(prefix).unwrap_or(key).to_owned()
    };
    Veto {
        rule: Some(rule.rule.clone()),
        hard: rule.enforcement == Enforcement::Hard,
        unknown: unknown.map(|condition| fact(&condition.key, condition.part)).collect(),
    }
}
