//! What the record says of one organization's day. Asked in pieces that stay small, whatever there is: some rows of each
//! kind, and how many there are.

mod ended;
mod troubles;

use std::collections::{BTreeMap, HashMap};

use ended::Ended;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use crate::{
    digest::{
        By, Coming, ComingToken, Day, EXPIRES_IN_DAYS, Expiring, Few, Outside, OutsideWhat, Pages,
        STALE_AFTER_DAYS, Trend, Trouble, Urgency, Waiting, WaitingRun,
    },
    domain::{Approval, Login, Organization},
    engine::{InForce, revoke::PLANS_LAPSE},
    rules::{self, Mode, Policy, facts::Fact, revocation::Revocation},
    store::{
        DigestRow, DigestState, ExpiringSpan, IssueRow, IssueState, RequestRow, StillMeant, Store,
        StoreError, ToldToken,
    },
};

/// How many things of a kind are read to be shown.
const SHOWN: i64 = 20;

/// How many tokens are read to tell on which days they are taken. Those beyond count to the last of these days.
const TAKEN_SOON: i64 = 5_000;

/// How many tokens are read to be grouped by their owners.
const EXPIRING: i64 = 300;

/// After how long without an answer a request is overdue, where its reviewers say nothing of reminders.
const OVERDUE: SignedDuration = SignedDuration::from_hours(24);

/// Which day it is, and what stands outside the record.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Of which day, as the calendar in `zone` has it.
    pub(super) date: Date,
    /// Up to when everything is in it.
    pub(super) now: Timestamp,
    /// The zone in which times are shown.
    pub(super) zone: TimeZone,
    /// When it was due, where it comes late.
    pub(super) late: Option<Timestamp>,
    /// GitHub's pages.
    pub(super) pages: Pages,
    /// Who has no address.
    pub(super) without_address: Vec<Login>,
    /// Recipients of whom nobody knows who they are, and why.
    pub(super) unknown_recipients: Vec<String>,
}

/// The day of one organization.
///
/// # Errors
/// When the store refuses.
pub(super) async fn day(
    store: &Store,
    in_force: &InForce,
    organization: &Organization,
    frame: Frame,
) -> Result<Day, StoreError> {
    let content = Content { store, in_force, organization, now: frame.now };
    let before = store.last_digest(organization.id, Some(DigestState::Sent)).await?;
    let begun = store.last_digest(organization.id, Some(DigestState::Begun)).await?;
    // Of the first day, what came before the first look counts as well.
    let begun = begun.map(|row| row.slot_at);
    let since = before.as_ref().map(|row| row.made_at).or(begun).unwrap_or(ago(frame.now, 24));
    let Ended { decided, outside, alarms, median_wait } = content.ended(since).await?;
    let waiting = content.waiting().await?;
    let mut troubles = content.troubles(since, &waiting).await?;
    let mut listed = tokens(store, organization, frame.now).await?;
    let mut coming = content.coming(&frame.zone).await?;
    let listed_since = tokens(store, organization, frame.now).await?;
    if listed_since != listed {
        // A list came in between: what goes away and how many are unused must not contradict each other.
        (listed, coming) = (listed_since, content.coming(&frame.zone).await?);
    }
    troubles.extend(frame.unknown_recipients.into_iter().map(|detail| Trouble {
        what: "some of those who are to have this digest could not be asked for".to_owned(),
        detail,
        remedy: "mend `to` of [digest], or the team".to_owned(),
    }));
    Ok(Day {
        organization: organization.login.clone(),
        date: frame.date,
        now: frame.now,
        since,
        late: frame.late,
        mode: in_force.policy.as_ref().map(|policy| policy.mode()),
        by: match (&in_force.policy, &in_force.broken) {
            (None, _) => By::Settings,
            (Some(_), Some(_)) => By::LastGoodRules,
            (Some(_), None) => By::Rules,
        },
        pages: frame.pages,
        unconfirmed: unsigned(store.unconfirmed_of(organization.id).await?),
        coming,
        runs: content.runs().await?,
        outside: content.outside(outside, since).await?,
        expiring: content.expiring(since).await?,
        trend: trend(median_wait, listed, before),
        waiting,
        troubles,
        decided,
        alarms,
        zone: frame.zone,
        without_address: frame.without_address,
    })
}

/// How many tokens have access, and how many of those nobody used for long: what the next digest compares with.
pub(super) async fn tokens(
    store: &Store,
    organization: &Organization,
    now: Timestamp,
) -> Result<(i64, i64), StoreError> {
    store.count_stale_tokens(organization.id, ago(now, STALE_AFTER_DAYS * 24), now).await
}

struct Content<'a> {
    store: &'a Store,
    in_force: &'a InForce,
    organization: &'a Organization,
    now: Timestamp,
}

impl Content<'_> {
    fn policy(&self) -> Option<&Policy> {
        self.in_force.policy.as_deref()
    }

    async fn waiting(&self) -> Result<Few<Waiting>, StoreError> {
        let (rows, all) = self.store.waiting_for_people(self.organization.id, SHOWN).await?;
        let mut shown = Vec::new();
        for row in rows {
            shown.push(self.one_waiting(row).await?);
        }
        Ok(Few { shown, all: unsigned(all) })
    }

    async fn one_waiting(&self, row: RequestRow) -> Result<Waiting, StoreError> {
        let key = row.key();
        let judged = match row.decision_id {
            None => None,
            Some(id) => match self.store.decision(id).await {
                // Another version may have written it otherwise: the request is shown without it.
                Err(StoreError::Unreadable(_)) => None,
                decision => decision?,
            },
        };
        let repositories = judged.as_ref().and_then(|judged| match &judged.facts.repositories {
            Fact::Known { value, .. } => {
                Some(value.iter().map(|repository| repository.name.clone()).collect())
            }
            Fact::Unknown { .. } => None,
        });
        let cautions = judged.as_ref().map(|judged| {
            let repositories = judged.facts.repositories.value().map(Vec::as_slice);
            let guarded = self.policy().map(|policy| policy.guarded(&judged.request, repositories));
            rules::cautions(&judged.decision, &judged.trace, guarded.unwrap_or_default())
        });
        let decision = judged.map(|judged| judged.decision);
        let since = row.listed.as_ref().map_or(row.woken_at, |listed| listed.created_at);
        let since = since.min(row.woken_at);
        let remind = decision.iter().flat_map(|decision| &decision.to).filter_map(|group| {
            let reviewers = self.policy()?.reviewers().get(group)?;
            Some(SignedDuration::from_secs(reviewers.remind_every?.seconds()))
        });
        let asked = self.store.escalation(key).await?.filter(|row| row.ended_at.is_none());
        let denies_at = asked.as_ref().and_then(|asked| asked.denies_at);
        let issues =
            if asked.is_some() { self.store.review_issues(key).await? } else { Vec::new() };
        let open = |issue: &IssueRow| issue.state == IssueState::Open && issue.request.is_some();
        let issue = issues.into_iter().find(open).map(|issue| issue.url);
        let overdue = self.now.duration_since(since) > remind.min().unwrap_or(OVERDUE);
        Ok(Waiting {
            request: row.id.0,
            owner: row.owner.login,
            token_name: row.token_name,
            since,
            urgency: if overdue { Urgency::Overdue } else { Urgency::InTime },
            asked: row.listed,
            repositories,
            decision,
            cautions: cautions.unwrap_or_default(),
            note: row.note,
            denies_at,
            issue,
        })
    }

    /// What standing policies take although nobody confirms anything: their owners were told, and `grace` runs.
    async fn coming(&self, zone: &TimeZone) -> Result<Vec<Coming>, StoreError> {
        // Under rules that are not those that are there, nothing is taken.
        let Some(policy) = self.acting() else { return Ok(Vec::new()) };
        let mut holds = self.store.holds(Some(self.organization.id)).await?;
        holds.retain(|hold| hold.is_in_force(self.now));
        let mut coming = Vec::new();
        for (id, revocation) in policy.revocations() {
            let name = format!("revoke.{id}");
            let grace = SignedDuration::from_secs(revocation.grace.seconds());
            if grace.is_zero() {
                continue;
            }
            let still = self.still_meant(revocation);
            let (told, all, _) = self
                .store
                .told_tokens(self.organization.id, &name, still, Timestamp::MIN, TAKEN_SOON)
                .await?;
            let beyond = unsigned(all).saturating_sub(told.len() as u64);
            let mut days: BTreeMap<Date, Taken> = BTreeMap::new();
            for token in told {
                if holds.iter().any(|hold| hold.is_of(&name, token.token_id)) {
                    continue;
                }
                let at = token.delivered_at.saturating_add(grace).unwrap_or(Timestamp::MAX);
                let at = at.max(self.now);
                let date = at.to_zoned(zone.clone()).date();
                days.entry(date).or_insert_with(|| Taken::from(at)).add(at, token);
            }
            let last = days.keys().next_back().copied();
            let use_keeps = revocation.is_about_use();
            coming.extend(days.into_iter().map(|(date, Taken { at, owners, named })| {
                let mut most: Vec<(Login, u64)> = owners.into_iter().collect();
                most.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
                let tokens: u64 = most.iter().map(|(_, tokens)| tokens).sum();
                let beyond = if Some(date) == last { beyond } else { 0 };
                let all = most.len() as u64;
                let shown = most.into_iter().take(3).map(|(owner, _)| owner).collect();
                Coming {
                    policy: name.clone(),
                    at,
                    tokens: tokens + beyond,
                    owners: Few { shown, all },
                    named,
                    use_keeps,
                }
            }));
        }
        coming.sort_by(|a, b| (a.at, &a.policy).cmp(&(b.at, &b.policy)));
        Ok(coming)
    }

    /// Which of the tokens that a policy selected it would still take.
    fn still_meant(&self, revocation: &Revocation) -> StillMeant {
        StillMeant { now: self.now, idle_since: revocation.idle_since(self.now) }
    }

    /// The rules, where they take tokens back by themselves now.
    fn acting(&self) -> Option<&Policy> {
        self.policy()
            .filter(|policy| policy.mode() == Mode::Enforce && self.in_force.broken.is_none())
    }

    async fn runs(&self) -> Result<Vec<WaitingRun>, StoreError> {
        let mut runs = Vec::new();
        for row in self.store.waiting_standing_runs(self.organization.id).await? {
            let lapses = row.planned_at.saturating_add(PLANS_LAPSE).unwrap_or(Timestamp::MAX);
            if lapses <= self.now {
                continue;
            }
            let counts = self.store.count_revocation_items(row.id).await?;
            runs.push(WaitingRun {
                id: row.id,
                policy: row.policy.unwrap_or_default(),
                tokens: unsigned(counts.iter().map(|(_, tokens)| tokens).sum()),
                why: row.note,
                lapses,
            });
        }
        Ok(runs)
    }

    async fn outside(
        &self,
        mut outside: Few<Outside>,
        since: Timestamp,
    ) -> Result<Few<Outside>, StoreError> {
        let (tokens, all) =
            self.store.tokens_of_no_request(self.organization.id, since, SHOWN).await?;
        outside.all += unsigned(all);
        outside.shown.extend(tokens.into_iter().map(|known| Outside {
            owner: known.grant.owner.login,
            token_name: known.grant.token.name,
            at: known.grant.access_granted_at,
            what: match known.approval {
                Approval::Itself => OutsideWhat::OwnersOwn,
                _ => OutsideWhat::Unexplained,
            },
        }));
        outside.shown.sort_by_key(|one| one.at);
        Ok(outside)
    }

    /// Tokens that came so near to their ends since the last digest that they are to be listed: each at every such
    /// distance once, whether a digest was missed or not, and those that were first seen since at the one that they are within.
    /// What was given for a month is no news on its first day: at a distance only those are listed that had twice as long.
    async fn expiring(&self, since: Timestamp) -> Result<Few<Expiring>, StoreError> {
        let mut expiring = Few::default();
        let mut known = Timestamp::MIN;
        for days in EXPIRES_IN_DAYS {
            let ahead = SignedDuration::from_hours(days * 24);
            let moved = |at: Timestamp| at.saturating_add(ahead).unwrap_or(Timestamp::MAX);
            // After a long time the spans overlap; and what has expired already is no news.
            let after = self.now.max(known);
            known = moved(self.now);
            let span = ExpiringSpan {
                after,
                unless_known_after: (moved(since).max(after), since),
                to: known,
                lasted: SignedDuration::from_hours(2 * days * 24),
            };
            let left = EXPIRING - i64::try_from(expiring.shown.len()).unwrap_or(EXPIRING);
            let (tokens, all) =
                self.store.expiring_tokens(self.organization.id, &span, left.max(0)).await?;
            expiring.all += unsigned(all);
            expiring.shown.extend(tokens.into_iter().map(|token| Expiring {
                owner: token.owner,
                token_name: token.name,
                at: token.expires_at,
            }));
        }
        Ok(expiring)
    }
}

fn trend(
    median_wait: Option<i64>,
    (active, stale): (i64, i64),
    before: Option<DigestRow>,
) -> Trend {
    Trend { median_wait, active, stale, before: before.map(|row| (row.active, row.stale)) }
}

/// What a standing policy takes on a day.
struct Taken {
    at: Timestamp,
    owners: HashMap<Login, u64>,
    named: Vec<ComingToken>,
}

impl Taken {
    fn from(at: Timestamp) -> Self {
        Self { at, owners: HashMap::new(), named: Vec::new() }
    }

    fn add(&mut self, at: Timestamp, token: ToldToken) {
        self.at = at.min(self.at);
        if self.named.len() < SHOWN as usize {
            let (owner, name) = (token.owner.clone(), token.name);
            self.named.push(ComingToken { token: token.token_id.0, owner, name });
        }
        *self.owners.entry(token.owner).or_default() += 1;
    }
}

fn ago(now: Timestamp, hours: i64) -> Timestamp {
    now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
