//! Standing revocation: which approved tokens a `[revoke.ID]` block selects. When somebody acts on it, after which
//! notice and on how many at once, is not known here.

use std::{fmt, iter::once_with};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::domain::{Approval, Role, for_people};

use super::{
    condition::Condition,
    coverage::Coverage,
    decision::RuleId,
    explain,
    facts::Needs,
    held::{Departed, HeldToken, Left},
    policy::Policy,
    quantity::{Bounds, Measure, Span},
    rule::{Check, Part},
    subject::Subject,
    truth::Truth,
    unread::Unread,
};

/// A standing revocation policy, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// All of it must hold.
    pub(crate) when: When,
    /// One of these must have happened, where there are any; sorted.
    pub(crate) on: Vec<Departure>,
    /// How long after the notice.
    pub grace: Span,
    /// More than this many in one run: none.
    pub max_per_run: u32,
    /// More than this share of the active tokens, in percent: none.
    pub max_share: Option<u8>,
}

/// What `when` of a standing policy asks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct When {
    /// Whole days, at least.
    pub(crate) unused_for: Option<i64>,
    /// Whole days, at least.
    pub(crate) granted_for: Option<i64>,
    /// Whole days, more than.
    pub(crate) lifetime_over: Option<i64>,
    pub(crate) no_longer_covered: bool,
    /// What rules may ask as well, by key.
    pub(crate) checks: Vec<Check>,
}

/// An event that selects the tokens of whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Departure {
    /// Somebody is no longer a member of the organization.
    #[serde(rename = "organization.member_removed")]
    Organization,
    /// Somebody is no longer in a team.
    #[serde(rename = "membership.removed")]
    Team,
}

impl Departure {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Organization, Self::Team];

    /// The word in rule files: the webhook's name and action.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization.member_removed",
            Self::Team => "membership.removed",
        }
    }

    /// What somebody left for it to happen.
    fn is_of(self, left: &Left) -> bool {
        matches!(
            (self, left),
            (Self::Organization, Left::Organization) | (Self::Team, Left::Team(_))
        )
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a standing policy says of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// It is to be revoked, for all of these reasons: one for each thing that is asked.
    Selected(Vec<Reason>),
    /// It is not.
    NotSelected,
    /// Nobody knows: it is left alone, and reported.
    CannotSay(Unread),
}

/// One thing that a standing policy asks for and that a token has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The key from the block on: `when.unused_for`, `on`.
    pub key: String,
    /// What was asked for.
    pub expected: String,
    /// What was found, fit to be shown.
    pub found: String,
    /// Since when it has been so, where that is known.
    pub since: Option<Timestamp>,
}

impl fmt::Display for Reason {
    /// One line for people; the day is a day in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}; found {}", self.key, self.expected, self.found)?;
        match self.since {
            Some(since) => write!(f, ", since {}", since.to_zoned(TimeZone::UTC).date()),
            None => Ok(()),
        }
    }
}

impl Reason {
    /// The same for whom the token belongs to: what is true of the token, and nothing of who is in which team or what
    /// rules are made of. `None` where nothing is left.
    #[must_use]
    pub fn for_its_owner(&self) -> Option<String> {
        match self.key.as_str() {
            "when.unused_for" | "when.granted_for" | "on" => Some(self.found.clone()),
            "when.lifetime_over" => Some(format!("its lifetime: {}", self.found)),
            "when.no_longer_covered" => Some("no rule would approve it today".to_owned()),
            _ => None,
        }
    }
}

/// Whether the policy's block `[revoke.ID]` selects the token. None where it has no such block.
///
/// A token that has expired is never selected: it can do nothing any more, and its owner would be told of a
/// revocation that changes nothing.
#[must_use]
pub fn select(policy: &Policy, id: &str, token: &HeldToken<'_>) -> Option<Selection> {
    Some(policy.revocations().get(id)?.select(policy, id, token))
}

/// What one question comes to.
enum Answer {
    Yes(Reason),
    No,
    CannotSay(Unread),
}

impl Revocation {
    /// The events that select, where there are any, in order.
    #[must_use]
    pub fn on(&self) -> &[Departure] {
        &self.on
    }

    /// Whether it is about use: a token that was used since it was selected is spared.
    #[must_use]
    pub fn is_about_use(&self) -> bool {
        self.when.unused_for.is_some()
    }

    /// The latest use that leaves a token unused for long enough at `now`; `None`: how recently it was used says nothing.
    #[must_use]
    pub fn idle_since(&self, now: Timestamp) -> Option<Timestamp> {
        let idle = SignedDuration::from_secs(self.when.unused_for?.saturating_mul(86_400));
        Some(now.saturating_sub(idle).unwrap_or(Timestamp::MIN))
    }

    /// Whether it hangs on what approve rules cover.
    #[must_use]
    pub fn is_about_coverage(&self) -> bool {
        self.when.no_longer_covered
    }

    /// Adds the facts that it asks for, but for those of the approve rules.
    pub(crate) fn ask(&self, needs: &mut Needs) {
        self.when.checks.iter().for_each(|check| needs.ask(&check.condition));
        needs.owner_role |= self.on.contains(&Departure::Organization);
    }

    fn select(&self, policy: &Policy, id: &str, token: &HeldToken<'_>) -> Selection {
        if token.has_expired() {
            return Selection::NotSelected;
        }
        let mut so_far = SoFar::default();
        // What needs no facts goes first: of most tokens it says all there is to say.
        if !self.when.times(token).all(|answer| so_far.take(answer)) {
            return Selection::NotSelected;
        }
        let asked_by = RuleId::new(format!("revoke.{id}"));
        let request = token.as_request();
        let subject = Subject::new(&request, token.facts, policy.cover.slots);
        let departure = once_with(|| self.departure(&asked_by, token, &subject));
        let checks = self.when.checks.iter().map(|check| checked(&asked_by, check, &subject));
        let coverage = once_with(|| self.when.coverage(policy, token, &subject));
        let mut others = departure.flatten().chain(checks).chain(coverage.flatten());
        if others.all(|answer| so_far.take(answer)) {
            so_far.selection()
        } else {
            Selection::NotSelected
        }
    }

    /// What `on` comes to; nothing where it is not there.
    fn departure(
        &self,
        asked_by: &RuleId,
        token: &HeldToken<'_>,
        subject: &Subject<'_>,
    ) -> Option<Answer> {
        if self.on.is_empty() {
            return None;
        }
        let wanted = |departed: &&Departed| {
            departed.at > token.grant.access_granted_at
                && self.on.iter().any(|departure| departure.is_of(&departed.left))
        };
        let mut departed: Vec<_> = token.left.iter().filter(wanted).collect();
        // The latest is told, whatever order they were noted in.
        departed.sort_by(|a, b| b.cmp(a));
        let mut unread: Option<Unread> = None;
        for departed in departed {
            let still_out = still_out(&departed.left);
            match still_out.passes(subject) {
                Truth::Matched => {
                    let on: Vec<_> = self.on.iter().map(|departure| departure.as_str()).collect();
                    return Some(Answer::Yes(Reason {
                        key: "on".to_owned(),
                        expected: format!("{} after it was granted", on.join(" or ")),
                        found: left(&departed.left, token),
                        since: Some(departed.at),
                    }));
                }
                Truth::Unknown => {
                    unread.get_or_insert_default().note(asked_by, &still_out, subject);
                }
                Truth::NotMatched => {}
            }
        }
        Some(unread.map_or(Answer::No, Answer::CannotSay))
    }
}

impl When {
    /// What time alone answers.
    fn times(&self, token: &HeldToken<'_>) -> impl Iterator<Item = Answer> {
        let unused = self.unused_for.map(|least| unused_for(least, token));
        let granted = self.granted_for.map(|least| granted_for(least, token));
        let lifetime = self.lifetime_over.map(|most| lifetime_over(most, token));
        unused.into_iter().chain(granted).chain(lifetime)
    }

    /// What `no_longer_covered` comes to; nothing where it is not asked.
    fn coverage(
        &self,
        policy: &Policy,
        token: &HeldToken<'_>,
        subject: &Subject<'_>,
    ) -> Option<Answer> {
        if !self.no_longer_covered {
            return None;
        }
        // What people approved they approved knowing the rules, and what nobody recorded is not known to be ours.
        let Approval::Rule { rules, .. } = token.approval else { return Some(Answer::No) };
        Some(match policy.cover.of(subject) {
            Coverage::Covered(_) => Answer::No,
            Coverage::Unknown(unread) => Answer::CannotSay(unread),
            coverage @ Coverage::NotCovered(_) => Answer::Yes(Reason {
                key: "when.no_longer_covered".to_owned(),
                expected: "no approve rule covers it any more".to_owned(),
                found: format!("approved by {}; {coverage}", for_people(&rules.join(", "))),
                since: None,
            }),
        })
    }
}

/// What the questions so far came to.
#[derive(Default)]
struct SoFar {
    reasons: Vec<Reason>,
    unread: Option<Unread>,
}

impl SoFar {
    /// Takes in one answer; false where it settles that the token is not selected.
    fn take(&mut self, answer: Answer) -> bool {
        match answer {
            Answer::Yes(reason) => self.reasons.push(reason),
            Answer::CannotSay(unread) => self.unread.get_or_insert_default().extend(unread),
            Answer::No => return false,
        }
        true
    }

    fn selection(self) -> Selection {
        match self.unread {
            Some(unread) => Selection::CannotSay(unread.sorted()),
            // A block that asks nothing selects nothing.
            None if self.reasons.is_empty() => Selection::NotSelected,
            None => Selection::Selected(self.reasons),
        }
    }
}

fn unused_for(least: i64, token: &HeldToken<'_>) -> Answer {
    let since = token.idle_since();
    let days = token.days_since(since);
    let granted_at = token.grant.access_granted_at;
    let found = match token.grant.token.last_used_at {
        None => format!("never used, granted {days}d ago"),
        Some(at) if at < granted_at => format!("not used since it was granted {days}d ago"),
        Some(_) => format!("last used {days}d ago"),
    };
    at_least("when.unused_for", "unused", least, days, found, since)
}

fn granted_for(least: i64, token: &HeldToken<'_>) -> Answer {
    let since = token.grant.access_granted_at;
    let days = token.days_since(since);
    at_least("when.granted_for", "granted", least, days, format!("granted {days}d ago"), since)
}

fn at_least(
    key: &str,
    what: &str,
    least: i64,
    days: i64,
    found: String,
    since: Timestamp,
) -> Answer {
    if days < least {
        return Answer::No;
    }
    Answer::Yes(Reason {
        key: key.to_owned(),
        expected: format!("{what} for at least {least}d"),
        found,
        since: Some(since),
    })
}

fn lifetime_over(most: i64, token: &HeldToken<'_>) -> Answer {
    let lifetime = token.lifetime();
    if Bounds::at_most(most).hold(lifetime) {
        return Answer::No;
    }
    let from = match token.lifetime_on_record() {
        Some(_) => "from its request",
        None => "from when it was granted",
    };
    Answer::Yes(Reason {
        key: "when.lifetime_over".to_owned(),
        expected: format!("a lifetime over {most}d"),
        found: match lifetime {
            Measure::Infinite => "never expires".to_owned(),
            Measure::Finite(days) => format!("{days}d {from}"),
        },
        since: None,
    })
}

fn checked(asked_by: &RuleId, check: &Check, subject: &Subject<'_>) -> Answer {
    match check.passes(subject) {
        Truth::NotMatched => Answer::No,
        Truth::Matched => Answer::Yes(Reason {
            key: check.key.clone(),
            expected: explain::expected(check),
            found: explain::found(check, subject),
            since: None,
        }),
        Truth::Unknown => {
            let mut unread = Unread::default();
            unread.note(asked_by, check, subject);
            Answer::CannotSay(unread)
        }
    }
}

/// Whether somebody who left is not back: a condition like those of rules, so that it lacks what those lack.
fn still_out(left: &Left) -> Check {
    let (part, condition) = match left {
        Left::Organization => (Part::When, Condition::OwnerRole(vec![Role::Stranger])),
        Left::Team(team) => (Part::Unless, Condition::OwnerTeams(vec![team.clone()])),
    };
    Check { part, key: "on".to_owned(), condition, veto: false, slot: None, bound_by: Vec::new() }
}

fn left(left: &Left, token: &HeldToken<'_>) -> String {
    match left {
        Left::Organization => {
            format!("left {}", for_people(token.grant.organization.login.as_str()))
        }
        Left::Team(team) => format!("left the team {}", for_people(&team.to_string())),
    }
}
