//! PURE: what an operator may say of a request, whatever the reason: no channel overrides a hard denial.

use std::fmt;

use crate::{
    engine::lifecycle::Verdict,
    rules::{Decision, Effect, RuleId, Trace, Veto, vetoes},
};

/// Why a request is not approved although an operator says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No valid rules are in force, or these are not the ones that are: nobody knows what forbids it.
    NotInForce(String),
    /// A hard rule denies it, with what it tells requesters.
    Hard(RuleId, Option<String>),
    /// A rule may deny it: facts, in the words of rule files, could not be read.
    MayBeDenied(RuleId, Vec<String>),
    /// Soft rules deny it, or may, or the default does; nobody said why that should not count. In words.
    Soft(String),
    /// What it reaches could not be read, so nobody knows what would be approved.
    Unread(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInForce(why) => write!(f, "nothing is approved without valid rules: {why}"),
            Self::Hard(rule, reason) => {
                write!(f, "{rule} denies it, which is hard: nobody can override it here")?;
                reason.iter().try_for_each(|reason| write!(f, " ({reason})"))
            }
            Self::MayBeDenied(rule, facts) => write!(
                f,
                "{rule}, which is hard, may deny it: cannot know {}. Try again when that can be read",
                facts.join(", ")
            ),
            Self::Soft(rules) => write!(f, "{rules}: --override WHY goes past that, on record"),
            Self::Unread(why) => write!(f, "its repositories could not be read: {why}"),
        }
    }
}

/// Whether `verdict` may be acted on although the rules say what they say. Everything may be denied. Nothing is approved that
/// a hard rule denies or may deny, nor anything while the rules are `broken`; what soft rules deny only with a reason.
pub(in crate::engine) fn may(
    verdict: Verdict,
    decision: &Decision,
    trace: &Trace,
    broken: Option<&str>,
    override_why: Option<&str>,
) -> Result<(), Refusal> {
    if verdict == Verdict::Deny {
        return Ok(());
    }
    if let Some(why) = broken {
        return Err(Refusal::NotInForce(why.to_owned()));
    }
    let vetoes = vetoes(decision, trace);
    if let Some(veto) = vetoes.iter().find(|veto| veto.hard) {
        // A hard veto of a rule always: the default is soft.
        let rule = veto.rule.clone().unwrap_or_else(|| RuleId::new("default"));
        return Err(if veto.unknown.is_empty() {
            Refusal::Hard(rule, reason_of(decision, veto))
        } else {
            Refusal::MayBeDenied(rule, because(decision, veto))
        });
    }
    if vetoes.is_empty() || override_why.is_some() {
        return Ok(());
    }
    let said: Vec<String> = vetoes.iter().map(|veto| in_words(decision, veto)).collect();
    Err(Refusal::Soft(said.join("; ")))
}

/// A veto for people: which, and how sure it is.
pub(in crate::engine) fn in_words(decision: &Decision, veto: &Veto) -> String {
    let Some(rule) = &veto.rule else {
        return "no rule covers it, and the default denies".to_owned();
    };
    let weight = if veto.hard { "hard" } else { "soft" };
    if veto.unknown.is_empty() {
        format!("{rule} ({weight}) denies it")
    } else {
        format!("{rule} ({weight}) may deny it: cannot know {}", because(decision, veto).join(", "))
    }
}

/// What a rule tells requesters, where its text is the one that is sent.
fn reason_of(decision: &Decision, veto: &Veto) -> Option<String> {
    let first = decision.effect == Effect::Deny && decision.by.first() == veto.rule.as_ref();
    decision.reason.clone().filter(|_| first)
}

/// The facts that a veto lacks, with why they could not be read where the decision says so.
fn because(decision: &Decision, veto: &Veto) -> Vec<String> {
    let told = decision.unknown.iter().filter(|unknown| Some(&unknown.rule) == veto.rule.as_ref());
    let told: Vec<String> = told.map(|it| format!("{} ({})", it.fact, it.why)).collect();
    if told.is_empty() { veto.unknown.clone() } else { told }
}
