//! PURE: the states of a request in our record, and what each thing that happens makes of them.
//!
//! No I/O, no clock. The table in `docs/design.md` is this file in words.

use std::fmt;

use crate::domain::for_people;

/// What we say to a request, where we act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// To be looked up and judged.
    Waiting,
    /// Judged, and left to people.
    Escalated,
    /// Judged, and nothing is sent: by the policy's mode, or as one of too many at once.
    Held,
    /// Judged and recorded; the call is not known to have been sent.
    Decided(Verdict),
    /// The call was begun; its answer is not known. Before anything else, look.
    Sent(Verdict),
    /// Approved by us; the grant is still to be compared with what was decided.
    Checking,
    /// Approved by us, and the grant is wider than what was decided: being revoked.
    Revoking,
    /// Over.
    Settled(Outcome, SettledBy),
    /// No longer pending, and nobody told us why. A later listing or webhook says.
    Gone,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The token has access.
    Approved,
    /// The request was refused.
    Denied,
    /// The requester took it back.
    Cancelled,
    /// Approved by us, found to be wider than decided, and revoked by us.
    Revoked,
}

/// Who ended it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SettledBy {
    /// patwarden, by a rule.
    Rule,
    /// patwarden, by the word of an operator: an account on a machine, as far as that can be known.
    Operator(String),
    /// patwarden, by the word of reviewers whom it asked: who, and where they said it.
    Reviewers(String),
    /// patwarden, because reviewers whom it asked were silent for as long as the rules say: which, and how long.
    Silence(String),
    /// A person, by login.
    Person(String),
    /// The requester.
    Requester,
    /// Another App, by its bot's login.
    App(String),
    /// GitHub did not say.
    Unknown,
}

/// Something that happened to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A `created` webhook, or reconcile, says: have a look.
    Woken,
    /// A listing shows it as pending.
    Pending {
        /// It is not what was judged.
        changed: bool,
        /// Our record has been settled for longer than a listing can lag.
        long_settled: bool,
    },
    /// It is not pending, confirmed.
    Absent {
        /// What a call of ours said that may have taken effect without our hearing of it.
        in_doubt: Option<Verdict>,
        /// The token has access now.
        granted: bool,
    },
    /// Judged, and we act on it.
    Judged(Verdict),
    /// Judged, and left to people.
    Escalate,
    /// Judged, and by the policy's mode nothing is sent.
    Hold,
    /// About to be sent.
    Sending,
    /// GitHub said 204 to this.
    Acknowledged(Verdict),
    /// GitHub said that there is nothing to review: look again.
    Refused,
    /// GitHub turned the call away before doing anything: limits, permissions, credentials.
    TurnedAway,
    /// No answer, or half of one.
    AnswerLost,
    /// The grant is what was decided, or less.
    GrantFits,
    /// The grant allows more than what was decided.
    GrantIsWider,
    /// No grant is to be seen, after looking several times.
    GrantMissing,
    /// The grant was revoked.
    Revoked,
    /// A webhook says how it ended.
    Heard {
        /// How.
        outcome: Outcome,
        /// Who it names.
        who: Heard,
        /// What a call of ours said that may have taken effect without our hearing of it.
        in_doubt: Option<Verdict>,
    },
}

/// Who a webhook says it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A person's login.
    Person(String),
    /// A bot's login: perhaps ours.
    Bot(String),
    /// Nobody was named.
    Nobody,
}

impl State {
    /// The state after `event`. Total: whatever comes in whatever order has an answer.
    #[must_use]
    pub fn after(&self, event: &Event) -> Self {
        use Event as E;
        use State as S;
        match (self, event) {
            // Being woken changes where it stands only when we thought that it was gone.
            (S::Gone, E::Woken | E::Pending { .. }) => S::Waiting,
            (state, E::Woken) => state.clone(),

            (
                S::Escalated | S::Held | S::Decided(_) | S::Sent(_),
                E::Pending { changed: true, .. },
            ) => S::Waiting,
            (S::Sent(verdict), E::Pending { .. }) => S::Decided(*verdict),
            (S::Settled(..), E::Pending { long_settled: true, .. }) => S::Waiting,
            (state, E::Pending { .. }) => state.clone(),

            // Ours only when a call of ours is in doubt: a refusal proves that it was somebody else. Whatever
            // was judged since: a call that was sent before may land after.
            (S::Sent(Verdict::Approve), E::Absent { granted: true, .. })
            | (
                S::Waiting | S::Escalated | S::Held | S::Decided(_) | S::Sent(_),
                E::Absent { granted: true, in_doubt: Some(Verdict::Approve) },
            ) => S::Checking,
            (
                S::Waiting | S::Escalated | S::Held | S::Decided(_) | S::Sent(_),
                E::Absent { .. },
            ) => S::Gone,
            (state, E::Absent { .. }) => state.clone(),

            (S::Waiting | S::Escalated | S::Held | S::Decided(_), E::Judged(verdict)) => {
                S::Decided(*verdict)
            }
            (S::Waiting | S::Escalated | S::Held | S::Decided(_), E::Escalate) => S::Escalated,
            (S::Waiting | S::Escalated | S::Held | S::Decided(_), E::Hold) => S::Held,
            (state, E::Judged(_) | E::Escalate | E::Hold) => state.clone(),

            (S::Decided(verdict), E::Sending) => S::Sent(*verdict),
            (state, E::Sending) => state.clone(),

            // 204 is proof that it was us, whatever name a webhook gave and whatever we made of silence.
            (S::Revoking | S::Settled(Outcome::Revoked, _), E::Acknowledged(_)) => self.clone(),
            (S::Settled(Outcome::Approved, by), E::Acknowledged(_)) if by.is_ours() => self.clone(),
            (S::Settled(Outcome::Denied, by), E::Acknowledged(Verdict::Deny)) if by.is_ours() => {
                self.clone()
            }
            (_, E::Acknowledged(Verdict::Approve)) => S::Checking,
            (_, E::Acknowledged(Verdict::Deny)) => S::Settled(Outcome::Denied, SettledBy::Rule),

            (S::Sent(verdict), E::Refused | E::TurnedAway) => S::Decided(*verdict),
            (state, E::Refused | E::TurnedAway | E::AnswerLost) => state.clone(),

            (S::Checking, E::GrantFits | E::GrantMissing) => {
                S::Settled(Outcome::Approved, SettledBy::Rule)
            }
            (S::Checking, E::GrantIsWider) => S::Revoking,
            (state, E::GrantFits | E::GrantMissing | E::GrantIsWider) => state.clone(),

            (S::Revoking, E::Revoked) => S::Settled(Outcome::Revoked, SettledBy::Rule),
            (state, E::Revoked) => state.clone(),

            (state, E::Heard { outcome, who, in_doubt }) => {
                state.after_hearing(*outcome, who, *in_doubt)
            }
        }
    }

    fn after_hearing(&self, outcome: Outcome, who: &Heard, in_doubt: Option<Verdict>) -> Self {
        let said = |verdict| in_doubt == Some(verdict) || *self == Self::Sent(verdict);
        let ours = !matches!(who, Heard::Person(_))
            && match outcome {
                Outcome::Approved => said(Verdict::Approve),
                Outcome::Denied => said(Verdict::Deny),
                Outcome::Cancelled | Outcome::Revoked => false,
            };
        match self {
            // Approved by us, as we know: only comparing the grant ends that, whatever name a webhook gives.
            Self::Checking | Self::Revoking => self.clone(),
            Self::Settled(ended, SettledBy::Unknown) if *ended == outcome => {
                Self::Settled(outcome, SettledBy::from_hearing(outcome, who))
            }
            Self::Settled(..) => self.clone(),
            _ if ours && outcome == Outcome::Approved => Self::Checking,
            _ if ours => Self::Settled(outcome, SettledBy::Rule),
            _ => Self::Settled(outcome, SettledBy::from_hearing(outcome, who)),
        }
    }

    /// The same, where what we sent was somebody's word and no rule's. What we revoked stays ours.
    #[must_use]
    pub fn by_word_of(&self, by: &SettledBy) -> Self {
        match self {
            Self::Settled(outcome @ (Outcome::Approved | Outcome::Denied), SettledBy::Rule) => {
                Self::Settled(*outcome, by.clone())
            }
            state => state.clone(),
        }
    }

    /// The word under which the store keeps it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Escalated => "escalated",
            Self::Held => "held",
            Self::Decided(Verdict::Approve) => "decided-approve",
            Self::Decided(Verdict::Deny) => "decided-deny",
            Self::Sent(Verdict::Approve) => "sent-approve",
            Self::Sent(Verdict::Deny) => "sent-deny",
            Self::Checking => "checking",
            Self::Revoking => "revoking",
            Self::Settled(..) => "settled",
            Self::Gone => "gone",
        }
    }

    /// Reads what [`State::as_str`] and its companions wrote. An unknown word is `Waiting`: looking again
    /// is always safe.
    #[must_use]
    pub fn from_stored(
        state: &str,
        outcome: Option<&str>,
        by: Option<&str>,
        actor: Option<&str>,
    ) -> Self {
        match state {
            "escalated" => Self::Escalated,
            "held" => Self::Held,
            "decided-approve" => Self::Decided(Verdict::Approve),
            "decided-deny" => Self::Decided(Verdict::Deny),
            "sent-approve" => Self::Sent(Verdict::Approve),
            "sent-deny" => Self::Sent(Verdict::Deny),
            "checking" => Self::Checking,
            "revoking" => Self::Revoking,
            "gone" => Self::Gone,
            "settled" => {
                let outcome = match outcome {
                    Some("approved") => Outcome::Approved,
                    Some("denied") => Outcome::Denied,
                    Some("revoked") => Outcome::Revoked,
                    _ => Outcome::Cancelled,
                };
                let actor = actor.unwrap_or_default().to_owned();
                let by = match by {
                    Some("rule") => SettledBy::Rule,
                    Some("operator") => SettledBy::Operator(actor),
                    Some("reviewers") => SettledBy::Reviewers(actor),
                    Some("silence") => SettledBy::Silence(actor),
                    Some("person") => SettledBy::Person(actor),
                    Some("requester") => SettledBy::Requester,
                    Some("app") => SettledBy::App(actor),
                    _ => SettledBy::Unknown,
                };
                Self::Settled(outcome, by)
            }
            _ => Self::Waiting,
        }
    }
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    /// Reads what [`Verdict::as_str`] wrote.
    #[must_use]
    pub fn from_stored(word: &str) -> Option<Self> {
        match word {
            "approve" => Some(Self::Approve),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Revoked => "revoked",
        }
    }
}

impl SettledBy {
    /// The word for it, without the name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Operator(_) => "operator",
            Self::Reviewers(_) => "reviewers",
            Self::Silence(_) => "silence",
            Self::Person(_) => "person",
            Self::Requester => "requester",
            Self::App(_) => "app",
            Self::Unknown => "unknown",
        }
    }

    /// The login, or what is known of an operator or of reviewers, where somebody is named.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        match self {
            Self::Operator(name)
            | Self::Reviewers(name)
            | Self::Silence(name)
            | Self::Person(name)
            | Self::App(name) => Some(name),
            Self::Rule | Self::Requester | Self::Unknown => None,
        }
    }

    /// Whether a call of ours ended it, whoever had us make it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Rule | Self::Operator(_) | Self::Reviewers(_) | Self::Silence(_))
    }

    fn from_hearing(outcome: Outcome, who: &Heard) -> Self {
        match (outcome, who) {
            (Outcome::Cancelled, _) => Self::Requester,
            (_, Heard::Person(login)) => Self::Person(login.clone()),
            (_, Heard::Bot(login)) => Self::App(login.clone()),
            (_, Heard::Nobody) => Self::Unknown,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The one revocation that nobody asked for; who approved it before is in its decision.
            Self::Settled(Outcome::Revoked, _) => f.write_str("revoked after approval"),
            Self::Settled(outcome, by) => write!(f, "{} by {by}", outcome.as_str()),
            state => f.write_str(state.as_str()),
        }
    }
}

impl fmt::Display for SettledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule => f.write_str("a rule"),
            Self::Operator(name) | Self::Reviewers(name) | Self::Silence(name) => {
                f.write_str(&for_people(name))
            }
            Self::Person(login) => write!(f, "@{}", for_people(login)),
            Self::Requester => f.write_str("the requester"),
            Self::App(login) => write!(f, "the App {}", for_people(login)),
            Self::Unknown => f.write_str("somebody GitHub does not name"),
        }
    }
}
