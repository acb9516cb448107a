//! The decision: which rules apply, and how their effects combine. The one place where effects meet.

use std::collections::BTreeSet;

use crate::domain::TokenRequest;

use super::{
    decision::{Decision, Effect, NearMiss, RuleId, UnknownFact, Waived},
    facts::Facts,
    near_miss::{near_miss, near_miss_of},
    policy::{PROTECTED_REPOSITORIES, Policy},
    protected,
    reason::{Template, Values},
    rule::{Enforcement, Rule, Verb},
    subject::Subject,
    trace::{RuleTrace, Trace},
    truth::Truth,
};

/// What the policy says of the request, given the facts. Cannot fail; asks only rules that can apply.
#[must_use]
pub fn decide(policy: &Policy, request: &TokenRequest, facts: &Facts) -> Decision {
    let subject = Subject::new(request, facts, policy.slots);
    let verdict = verdict(policy, &subject);
    let near_miss = match verdict.effect {
        Effect::Approve => None,
        Effect::Escalate | Effect::Deny => near_miss_of(&policy.rules, &subject),
    };
    verdict.into_decision(policy, &subject, near_miss)
}

/// The decision and the whole reasoning, from one evaluation of every rule.
#[must_use]
pub fn decide_with_trace(
    policy: &Policy,
    request: &TokenRequest,
    facts: &Facts,
) -> (Decision, Trace) {
    let subject = Subject::new(request, facts, policy.slots);
    let mut traces: Vec<_> =
        policy.rules.iter().map(|rule| RuleTrace::of(rule, &subject)).collect();
    let findings = policy.rules.iter().zip(&traces).map(|(rule, trace)| (rule, trace.truth));
    let verdict = combine(policy, &subject, findings);
    traces.extend(protected::trace(policy, &subject));
    let trace = Trace {
        now: facts.now,
        rules: traces,
        default: if policy.default.deny { "deny" } else { "escalate" }.to_owned(),
    };
    let near_miss = if verdict.effect == Effect::Approve { None } else { near_miss(&trace) };
    (verdict.into_decision(policy, &subject, near_miss), trace)
}

/// The ids of the rules that apply, whether or not they decide: for saying which rules no case exercises.
pub(crate) fn applying<'p>(
    policy: &'p Policy,
    request: &TokenRequest,
    facts: &Facts,
) -> Vec<&'p RuleId> {
    let subject = Subject::new(request, facts, policy.slots);
    let rules = policy.index.candidates(&subject).into_iter();
    let rules = rules.filter_map(|number| policy.rules.get(number as usize));
    rules.filter(|rule| rule.applies(&subject) == Truth::Matched).map(|rule| &rule.id).collect()
}

fn verdict<'p>(policy: &'p Policy, subject: &Subject<'_>) -> Verdict<'p> {
    let candidates = policy.index.candidates(subject).into_iter();
    let findings = candidates
        .filter_map(|number| policy.rules.get(number as usize))
        .map(|rule| (rule, rule.applies(subject)));
    combine(policy, subject, findings)
}

/// A decision without its texts.
struct Verdict<'p> {
    effect: Effect,
    by: Vec<RuleId>,
    to: BTreeSet<&'p str>,
    unknown: Vec<UnknownFact>,
    only_unknown: bool,
    advisories: Vec<RuleId>,
    waived: Vec<Waived>,
    /// The text of the denial, and the rule whose text it is.
    template: Option<(&'p Template, Option<RuleId>)>,
}

/// Deny over escalate over approve; what is unknown escalates; the default only when nothing else speaks.
fn combine<'p>(
    policy: &'p Policy,
    subject: &Subject<'_>,
    findings: impl Iterator<Item = (&'p Rule, Truth)>,
) -> Verdict<'p> {
    let (mut advisories, mut waived) = (Vec::new(), Vec::new());
    let (mut approving, mut maybe_approving) = (Vec::new(), Vec::new());
    let (mut denying, mut maybe_denying) = (Vec::new(), Vec::new());
    let (mut escalating, mut gates) = (Vec::new(), Vec::new());
    for (rule, truth) in findings {
        if truth == Truth::NotMatched {
            continue;
        }
        if rule.enforcement == Enforcement::Advisory {
            if truth == Truth::Matched {
                advisories.push(rule.id.clone());
            }
            continue;
        }
        if let Some(waiver) = rule.waived(subject) {
            waived.push(Waived {
                rule: rule.id.clone(),
                waiver: waiver.id.clone(),
                record: waiver.record.clone(),
            });
            continue;
        }
        match (rule.verb, truth) {
            (Verb::Approve, Truth::Matched) => approving.push(rule),
            (Verb::Approve, _) => maybe_approving.push(rule),
            (Verb::Deny, Truth::Matched) => denying.push(rule),
            (Verb::Deny, _) => maybe_denying.push(rule),
            (Verb::Escalate, truth) if rule.gate => gates.push((rule, truth)),
            (Verb::Escalate, truth) => escalating.push((rule, truth)),
        }
    }
    let mut verdict = Verdict {
        effect: Effect::Escalate,
        by: Vec::new(),
        to: BTreeSet::new(),
        unknown: Vec::new(),
        only_unknown: false,
        advisories,
        waived,
        template: None,
    };

    if !denying.is_empty() {
        denying
            .sort_by(|a, b| (a.enforcement, a.layer, &a.id).cmp(&(b.enforcement, b.layer, &b.id)));
        verdict.effect = Effect::Deny;
        verdict.by = denying.iter().map(|rule| rule.id.clone()).collect();
        verdict.template =
            denying.first().and_then(|rule| Some((rule.reason.as_ref()?, Some(rule.id.clone()))));
        return verdict;
    }

    let default_to = || policy.default.to.iter().map(String::as_str);
    let mut known_escalation = false;
    for rule in &maybe_denying {
        verdict.by.push(rule.id.clone());
        verdict.to.extend(default_to());
        verdict.unknown.extend(rule.unknowns(subject));
    }
    let mut escalate = |verdict: &mut Verdict<'p>, rules: &[(&'p Rule, Truth)]| {
        for (rule, truth) in rules {
            verdict.by.push(rule.id.clone());
            if rule.to.is_empty() {
                // Its groups were an upper layer's, and are gone.
                verdict.to.extend(default_to());
            }
            verdict.to.extend(rule.to.iter().map(String::as_str));
            if *truth == Truth::Matched {
                known_escalation = true;
            } else {
                verdict.unknown.extend(rule.unknowns(subject));
            }
        }
    };
    escalate(&mut verdict, &escalating);
    let opened = !verdict.by.is_empty();
    let doubtful = approving.is_empty() && !maybe_approving.is_empty();
    let refused = !opened && approving.is_empty() && policy.default.deny && !doubtful;
    if refused {
        verdict.effect = Effect::Deny;
        verdict.template = policy.default.reason.as_ref().map(|reason| (reason, None));
        return verdict;
    }

    // From here on the request would be approved or escalated: what only tightens counts.
    escalate(&mut verdict, &gates);
    if let Some(truth) = (!approving.is_empty()).then(|| protected::applies(policy, subject))
        && truth != Truth::NotMatched
    {
        verdict.by.push(RuleId::new(PROTECTED_REPOSITORIES));
        verdict.to.extend(default_to());
        known_escalation |= truth == Truth::Matched;
    }
    if verdict.by.is_empty() && !approving.is_empty() {
        verdict.effect = Effect::Approve;
        verdict.by = approving.iter().map(|rule| rule.id.clone()).collect();
        return verdict;
    }
    if verdict.by.is_empty() {
        verdict.to.extend(default_to());
    }
    if doubtful && !known_escalation {
        verdict.unknown.extend(maybe_approving.iter().flat_map(|rule| rule.unknowns(subject)));
    }
    verdict.by.sort();
    verdict.unknown.sort();
    verdict.unknown.dedup();
    // A known escalation stays one whatever an unread fact may be, unless that fact may yet deny.
    let may_change = !known_escalation || !maybe_denying.is_empty();
    verdict.only_unknown = may_change && verdict.unknown.iter().any(|unknown| unknown.retry);
    verdict
}

impl Policy {
    /// What a requester is told where a group's silence denies: its text with the placeholders filled in.
    #[must_use]
    pub fn silence_reason(
        &self,
        group: &str,
        request: &TokenRequest,
        near_miss: Option<&NearMiss>,
    ) -> Option<String> {
        let finally = self.reviewers().get(group)?.finally.as_ref()?;
        // It was checked when it was loaded.
        let template = Template::parse(finally.reason.as_deref()?).ok()?;
        let rule = format!("reviewers.{group}");
        Some(template.render(&self.values(&rule, request, near_miss)))
    }

    fn values<'a>(
        &'a self,
        rule: &'a str,
        request: &'a TokenRequest,
        near_miss: Option<&'a NearMiss>,
    ) -> Values<'a> {
        Values {
            rule,
            organization: request.organization.login.as_str(),
            owner: request.owner.login.as_str(),
            ceiling_lifetime: self.ceiling.lifetime.map(|days| format!("{days}d")),
            ceiling_max_repositories: self.ceiling.max_repositories.map(|n| n.to_string()),
            policy_url: &self.policy_url,
            near_miss,
        }
    }
}

impl Verdict<'_> {
    fn into_decision(
        self,
        policy: &Policy,
        subject: &Subject<'_>,
        near_miss: Option<NearMiss>,
    ) -> Decision {
        let reason = self.template.map(|(template, rule)| {
            let rule = rule.as_ref().map_or("default", RuleId::as_str);
            template.render(&policy.values(rule, subject.request, near_miss.as_ref()))
        });
        Decision {
            effect: self.effect,
            by: self.by,
            reason,
            to: self.to.into_iter().map(str::to_owned).collect(),
            unknown: self.unknown,
            only_unknown: self.only_unknown,
            near_miss,
            advisories: self.advisories,
            waived: self.waived,
        }
    }
}
