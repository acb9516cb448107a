//! PURE: what a decision means for us, under the policy's mode and the state of its files.

use jiff::Timestamp;

use super::{
    by_hand,
    lifecycle::{Event, Verdict},
};
use crate::{
    audit,
    domain::{Fingerprint, RepositorySelection, TokenRequest},
    rules::{self, Decision, Effect, Mode, Policy, Trace, facts::Facts},
    store::{DecisionRow, NewDecision, NewReview, ReviewRow, Voice},
};

/// A judged request, and what is to be done about it.
pub(super) struct Judged {
    pub(super) fingerprint: Fingerprint,
    pub(super) facts: Facts,
    pub(super) decision: Decision,
    pub(super) trace: Trace,
    pub(super) mode: Mode,
    /// What happens to the request in our record.
    pub(super) event: Event,
    /// What is sent along with a review.
    pub(super) reason: String,
    /// What is in the way, for people.
    pub(super) note: String,
    /// Whether it is to be judged again soon: a fact may be readable then, or the policy mended.
    pub(super) retry: bool,
    /// What an operator has to do with it.
    pub(super) by_hand: Option<ByHand>,
}

/// What an operator has to do with a judgement. The decision stays what the rules say, and never acts.
pub(super) enum ByHand {
    /// It is shown, and nothing more.
    Shown,
    /// This is said now.
    Said(NewReview),
    /// This was said before, and is not over.
    Before(i64),
}

/// The policy that a request is judged by.
pub(super) struct Under<'a> {
    pub(super) policy: &'a Policy,
    /// Where its files came from.
    pub(super) source: &'a str,
}

/// What keeps a decision from being acted on, whatever the rules say.
pub(super) struct HeldBack<'a> {
    /// Why the files of the policy cannot be used as they are now.
    pub(super) broken: Option<&'a str>,
    /// One of many at once, and nobody has confirmed.
    pub(super) unconfirmed: bool,
}

/// Judges `request`. While the files of the policy are `broken`, the last good one still denies and
/// escalates; what it would approve waits for people or for the mended file.
pub(super) fn judge(
    policy: &Policy,
    held_back: &HeldBack<'_>,
    request: &TokenRequest,
    facts: Facts,
) -> Judged {
    let (decision, trace) = rules::decide_with_trace(policy, request, &facts);
    let mode = policy.mode();
    let fingerprint = Fingerprint::of(request, facts.repositories.value().map(Vec::as_slice));
    let (event, note, retry) = match (decision.effect, mode) {
        (_, Mode::Shadow) => (
            Event::Hold,
            format!("shadow: nothing is sent; it would be {}", would(&decision)),
            decision.only_unknown,
        ),
        (Effect::Approve | Effect::Deny, _) if held_back.unconfirmed => (
            Event::Hold,
            format!(
                "would be {}; one of many at once: `patwarden requests confirm` lets it go",
                would(&decision)
            ),
            false,
        ),
        (Effect::Approve, _) => match held_back.broken {
            Some(why) => (Event::Escalate, format!("would be approved, but {why}"), true),
            None => (Event::Judged(Verdict::Approve), String::new(), false),
        },
        (Effect::Deny, Mode::ApproveOnly) => (
            Event::Hold,
            "approve-only: it would be denied, and is left to people".to_owned(),
            false,
        ),
        (Effect::Deny, Mode::Enforce) => (Event::Judged(Verdict::Deny), String::new(), false),
        (Effect::Escalate, _) => {
            let note = decision.unknown.first().filter(|_| decision.only_unknown);
            let note = note.map(|unknown| format!("cannot know {}: {}", unknown.fact, unknown.why));
            (Event::Escalate, note.unwrap_or_default(), decision.only_unknown)
        }
    };
    let reason = match decision.effect {
        Effect::Approve => {
            let rules: Vec<&str> = decision.by.iter().map(rules::RuleId::as_str).collect();
            format!("Approved by patwarden (rule {}).", rules.join(", "))
        }
        _ => decision.reason.clone().unwrap_or_default(),
    };
    Judged { fingerprint, facts, decision, trace, mode, event, reason, note, retry, by_hand: None }
}

fn would(decision: &Decision) -> &'static str {
    match decision.effect {
        Effect::Approve => "approved",
        Effect::Deny => "denied",
        Effect::Escalate => "escalated",
    }
}

/// Under what a request was judged: the files, the mode, which the operator may have capped, and the repositories to which
/// nobody may write.
pub(super) fn grounds(policy: &Policy) -> String {
    format!("{} {} {}", policy.hash(), policy.mode().as_str(), policy.protection())
}

/// The policy's files, as the store keeps them.
pub(super) fn sources(policy: &Policy) -> Vec<(String, String)> {
    policy.sources().iter().map(|file| (file.name.clone(), file.text.clone())).collect()
}

impl Judged {
    /// Whether recording this would only repeat `last`: a retry that found nothing new.
    pub(super) fn says_the_same_as(&self, last: &DecisionRow, policy_hash: &str) -> bool {
        last.fingerprint == self.fingerprint
            && last.policy_hash == policy_hash
            && last.mode == self.mode.as_str()
            && last.acts == self.acts()
            && last.decision == self.decision
    }

    pub(super) fn acts(&self) -> bool {
        matches!(self.event, Event::Judged(_)) && self.by_hand.is_none()
    }

    /// The same, where an operator's word is what is acted on. Whether it may be was asked before.
    pub(super) fn with_word(self, verdict: Verdict, reason: String, by_hand: ByHand) -> Self {
        Self {
            event: Event::Judged(verdict),
            reason,
            note: String::new(),
            retry: false,
            by_hand: Some(by_hand),
            ..self
        }
    }

    /// Goes on with what an operator said before, if it was said of exactly this and may still be acted on. Otherwise the
    /// rules alone count.
    pub(super) fn going_on_with(self, review: &ReviewRow, broken: Option<&str>) -> Self {
        let over = review.override_why.as_deref();
        let may = by_hand::may(review.verdict, &self.decision, &self.trace, broken, over).is_ok();
        let may = match review.voice {
            Voice::Operator => may,
            // An approval is counted anew, with who may decide and who else is to be asked at that moment.
            Voice::Reviewers => may && self.mode != Mode::Shadow && review.verdict == Verdict::Deny,
            // Nobody said it: it holds only as long as nothing but people could decide.
            Voice::Silence => {
                self.mode == Mode::Enforce
                    && broken.is_none()
                    && self.decision.effect == Effect::Escalate
                    && !self.decision.only_unknown
            }
        };
        if self.fingerprint != review.fingerprint || !may {
            return self;
        }
        self.with_word(review.verdict, review.reason.clone(), ByHand::Before(review.id))
    }

    pub(super) fn as_new<'a>(
        &'a self,
        request: &'a TokenRequest,
        under: &Under<'a>,
        now: Timestamp,
    ) -> NewDecision<'a> {
        NewDecision {
            fingerprint: &self.fingerprint,
            request,
            facts: &self.facts,
            decision: &self.decision,
            trace: &self.trace,
            mode: self.mode.as_str(),
            acts: self.acts(),
            policy_hash: under.policy.hash(),
            policy_source: under.source,
            decided_at: now,
        }
    }

    pub(super) fn as_audit(&self, decision: i64, under: &Under<'_>) -> audit::Event {
        audit::Event::Decided {
            decision,
            effect: self.decision.effect.as_str(),
            rules: self.decision.by.iter().map(ToString::to_string).collect(),
            mode: self.mode.as_str(),
            acts: self.acts(),
            policy: under.policy.hash().to_owned(),
            policy_source: under.source.to_owned(),
            why: rules::render::sentence(&self.decision),
        }
    }
}

/// Whether what a token may do now is what was decided, less, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The same.
    Same,
    /// Less: perhaps the list lags behind.
    Less,
    /// More: an edit slipped in between.
    More,
}

/// Compares a grant, and its repositories where it has a list, with the request as it was decided.
pub(super) fn compare(
    decided: &TokenRequest,
    decided_repositories: Option<&[crate::domain::Repository]>,
    grant: &crate::domain::Grant,
    granted_repositories: Option<&[crate::domain::Repository]>,
) -> Fit {
    use RepositorySelection::{All, None as Nothing, Subset};
    let ids = |repositories: &[crate::domain::Repository]| {
        repositories
            .iter()
            .map(|repository| repository.id)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let repositories = match (decided.repository_selection, grant.repository_selection) {
        (All, All) | (Nothing, Nothing) => Fit::Same,
        (All, _) | (Subset, Nothing) => Fit::Less,
        (Subset, Subset) => match (decided_repositories.map(ids), granted_repositories.map(ids)) {
            (Some(decided), Some(granted)) if decided == granted => Fit::Same,
            (Some(decided), Some(granted)) if granted.is_subset(&decided) => Fit::Less,
            // No rule asked which: the decision was about any.
            (None, _) => Fit::Same,
            _ => Fit::More,
        },
        (Nothing | Subset, _) => Fit::More,
    };
    let permissions = if grant.permissions == decided.permissions {
        Fit::Same
    } else if grant.permissions.is_within(&decided.permissions) {
        Fit::Less
    } else {
        Fit::More
    };
    let lifetime = match (decided.token.expires_at, grant.token.expires_at) {
        (decided, granted) if decided == granted => Fit::Same,
        (None, Some(_)) => Fit::Less,
        (Some(decided), Some(granted)) if granted < decided => Fit::Less,
        _ => Fit::More,
    };
    let owner = if grant.owner.id == decided.owner.id { Fit::Same } else { Fit::More };
    let all = [repositories, permissions, lifetime, owner];
    if all.contains(&Fit::More) {
        Fit::More
    } else if all.contains(&Fit::Less) {
        Fit::Less
    } else {
        Fit::Same
    }
}
