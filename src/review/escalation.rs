//! Where one escalation stands: who was asked, what they said of what exactly, and what follows from that now.
//!
//! Silence never approves. Times count from the moment at which reviewers were verifiably reached, as our own record has it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{Fingerprint, Login, UserId},
    engine::lifecycle::Verdict,
    rules::{
        Span,
        policy::{FinallyDecision, Reviewers},
    },
};

/// A group that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name in the rules.
    pub name: String,
    /// As the rules in force define it.
    pub group: Reviewers,
    /// The group whose silence had it asked; `None`: a rule or the default named it.
    pub instead_of: Option<String>,
    /// Since when somebody of it is verifiably reached, under rules that are enforced; no time counts before that.
    pub reached_at: Option<Timestamp>,
    /// When it was reminded last.
    pub reminded_at: Option<Timestamp>,
    /// Before this moment its silence denies nothing: it is asked once more.
    pub denies_from: Option<Timestamp>,
}

/// An answer of somebody who was found to be allowed to give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Who.
    pub user: UserId,
    /// The same, for people.
    pub login: Login,
    /// Yes or no.
    pub verdict: Verdict,
    /// Of what exactly: what the issue showed.
    pub fingerprint: Fingerprint,
    /// The groups for which the voter may decide, as it was read when the answer was.
    pub counts_in: BTreeSet<String>,
    /// What was said along; may be empty.
    pub comment: String,
    /// The comment it was given in: of two answers of one person the later one counts.
    pub comment_id: i64,
}

/// One escalation as the record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is asked about.
    pub fingerprint: Fingerprint,
    /// Who asks for the token, and never answers.
    pub requester: UserId,
    /// Who is asked.
    pub asked: Vec<Asked>,
    /// Every answer, of other fingerprints too.
    pub votes: Vec<Vote>,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Somebody denied it.
    Deny(Vote),
    /// Every group that must agree does; these are the answers that say so.
    Approve(Vec<Vote>),
    /// A group was silent for as long as its rules say, and they say that this denies.
    Silence {
        /// Which group.
        group: String,
        /// For how long.
        after: Span,
        /// Since when that is over.
        since: Timestamp,
    },
    /// A group was silent for so long that another one is asked as well.
    Ask {
        /// Who is asked now.
        group: String,
        /// Who was silent.
        instead_of: String,
    },
    /// These are to be reminded.
    Remind(BTreeSet<String>),
    /// Nothing before this moment; `None`: nothing by itself.
    Nothing(Option<Timestamp>),
}

/// How far a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Which group.
    pub group: String,
    /// How many must approve.
    pub quorum: usize,
    /// Those who did.
    pub approved_by: Vec<Login>,
}

impl Standing {
    /// The answers that count: the last one of each person, of what is asked about now, by somebody who may decide and is not
    /// the requester.
    fn counted(&self) -> Vec<&Vote> {
        let mut last: BTreeMap<UserId, &Vote> = BTreeMap::new();
        let meant = self.votes.iter().filter(|vote| {
            vote.fingerprint == self.fingerprint
                && vote.user != self.requester
                && self.asked.iter().any(|asked| vote.counts_in.contains(&asked.name))
        });
        for vote in meant {
            let known = last.entry(vote.user).or_insert(vote);
            if vote.comment_id > known.comment_id {
                *known = vote;
            }
        }
        last.into_values().collect()
    }

    /// The approvals that count in a group.
    fn approvals(&self, asked: &Asked) -> Vec<&Vote> {
        let counts = |vote: &&Vote| {
            vote.verdict == Verdict::Approve
                && vote.counts_in.contains(&asked.name)
                && !(asked.group.comment_required && vote.comment.trim().is_empty())
        };
        self.counted().into_iter().filter(counts).collect()
    }

    /// How far each group is that is asked.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        let tally = |asked: &Asked| Tally {
            group: asked.name.clone(),
            quorum: quorum(asked),
            approved_by: self.approvals(asked).into_iter().map(|vote| vote.login.clone()).collect(),
        };
        self.asked.iter().map(tally).collect()
    }

    /// The approvals that count in each group that is asked.
    #[must_use]
    pub fn approvals_by_group(&self) -> BTreeMap<&str, Vec<&Vote>> {
        self.asked.iter().map(|asked| (asked.name.as_str(), self.approvals(asked))).collect()
    }

    /// When the last group is given up on, where silence leaves it pending.
    #[must_use]
    pub fn given_up_at(&self) -> Option<Timestamp> {
        let given_up = self.asked.iter().filter_map(|asked| {
            let finally = asked.group.finally.as_ref()?;
            let pending = finally.decision == FinallyDecision::LeavePending;
            pending.then(|| Some(passed(asked.reached_at?, finally.after)))?
        });
        given_up.max()
    }

    /// The approvals by which a group agrees, or those in whose place it was asked, or who was asked in its place.
    fn agreement<'a>(&'a self, asked: &'a Asked, depth: usize) -> Option<Vec<&'a Vote>> {
        let approvals = self.approvals(asked);
        if approvals.len() >= quorum(asked) {
            return Some(approvals);
        }
        let depth = depth.checked_sub(1)?;
        let mut later =
            self.asked.iter().filter(|other| other.instead_of.as_ref() == Some(&asked.name));
        later.find_map(|other| self.agreement(other, depth))
    }

    /// The approvals that carry it, once every group that a rule or the default named agrees.
    fn carried(&self) -> Option<Vec<Vote>> {
        let mut votes: BTreeMap<i64, Vote> = BTreeMap::new();
        let mut named = self.asked.iter().filter(|asked| asked.instead_of.is_none()).peekable();
        named.peek()?;
        for asked in named {
            // A chain is no longer than there are groups; in a circle nobody ever agrees.
            for vote in self.agreement(asked, self.asked.len())? {
                votes.insert(vote.comment_id, vote.clone());
            }
        }
        Some(votes.into_values().collect())
    }

    /// What is to be done at `now`: an answer first, then what silence comes to.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Due {
        let denied = self.counted().into_iter().find(|vote| vote.verdict == Verdict::Deny);
        if let Some(vote) = denied {
            return Due::Deny(vote.clone());
        }
        if let Some(votes) = self.carried() {
            return Due::Approve(votes);
        }
        let mut later: Vec<Timestamp> = Vec::new();
        let mut is_due = |at: Option<Timestamp>| {
            later.extend(at.filter(|at| *at > now));
            at.is_some_and(|at| at <= now)
        };
        for asked in &self.asked {
            if let Some((at, after)) = denies_at(asked)
                && is_due(Some(at))
            {
                return Due::Silence { group: asked.name.clone(), after, since: at };
            }
        }
        for asked in &self.asked {
            if let Some((at, to)) = self.hands_on_at(asked)
                && is_due(Some(at))
            {
                return Due::Ask { group: to.to_owned(), instead_of: asked.name.clone() };
            }
        }
        let remind: BTreeSet<String> = self
            .asked
            .iter()
            .filter(|asked| is_due(reminder_at(asked, now)))
            .map(|asked| asked.name.clone())
            .collect();
        if remind.is_empty() { Due::Nothing(later.into_iter().min()) } else { Due::Remind(remind) }
    }

    /// When silence denies it, and whose.
    #[must_use]
    pub fn deadline(&self) -> Option<(Timestamp, &str)> {
        let deadlines = self.asked.iter();
        deadlines.filter_map(|asked| Some((denies_at(asked)?.0, asked.name.as_str()))).min()
    }

    /// Who is asked next after silence, when, and in whose place.
    #[must_use]
    pub fn handing_on(&self) -> Option<(Timestamp, &str)> {
        self.asked.iter().filter_map(|asked| self.hands_on_at(asked)).min()
    }

    /// When a group's silence has another one asked, unless that one is asked already.
    fn hands_on_at<'a>(&self, asked: &'a Asked) -> Option<(Timestamp, &'a str)> {
        let next = asked.group.next.as_ref()?;
        let known = self.asked.iter().any(|other| other.name == next.to);
        let at = passed(asked.reached_at?, next.after);
        (!known).then_some((at, next.to.as_str()))
    }
}

fn quorum(asked: &Asked) -> usize {
    usize::try_from(asked.group.quorum).unwrap_or(usize::MAX).max(1)
}

fn passed(since: Timestamp, span: Span) -> Timestamp {
    since.saturating_add(SignedDuration::from_secs(span.seconds())).unwrap_or(Timestamp::MAX)
}

fn denies_at(asked: &Asked) -> Option<(Timestamp, Span)> {
    let finally = asked.group.finally.as_ref()?;
    let denies = finally.decision == FinallyDecision::Deny;
    let at = passed(asked.reached_at?, finally.after);
    let at = asked.denies_from.map_or(at, |from| from.max(at));
    denies.then_some((at, finally.after))
}

/// The next reminder; one, however many were missed. None any more from when a request is left pending for good.
fn reminder_at(asked: &Asked, now: Timestamp) -> Option<Timestamp> {
    let reached_at = asked.reached_at?;
    let last = asked.reminded_at.map_or(reached_at, |reminded_at| reminded_at.max(reached_at));
    let every = asked.group.remind_every.filter(|every| every.seconds() > 0)?;
    let next = passed(last, every);
    let finally = asked.group.finally.as_ref();
    let given_up = finally.is_some_and(|finally| {
        finally.decision == FinallyDecision::LeavePending
            && passed(reached_at, finally.after) <= next.max(now)
    });
    (!given_up).then_some(next)
}
