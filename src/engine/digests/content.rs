//! What the record says of one organization's day. Asked in pieces that stay small, whatever there is: some rows of each
//! kind, and how many there are.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use crate::{
    digest::{
        Alarm, By, Coming, ComingToken, Day, Decided, Denial, EXPIRES_IN_DAYS, Expiring, Few,
        Outside, OutsideWhat, Pages, PersonCount, RuleCount, STALE_AFTER_DAYS, Trend, Trouble,
        Urgency, Waiting, WaitingRun,
    },
    domain::{Approval, Login, Organization, RequestId, agrees, many},
    engine::{
        InForce,
        escalate::NO_WAY,
        lifecycle::{Outcome, SettledBy},
        revoke::PLANS_LAPSE,
    },
    rules::{self, Mode, Policy, facts::Fact, revocation::Revocation},
    store::{
        DigestRow, DigestState, EndedRequest, ExpiringSpan, IssueRow, IssueState, RequestRow,
        StillMeant, Store, StoreError, ToldToken,
    },
};

/// How many things of a kind are read to be shown.
const SHOWN: i64 = 20;

/// How many tokens are read to tell on which days they are taken. Those beyond count to the last of these days.
const TAKEN_SOON: i64 = 5_000;

/// How many tokens are read to be grouped by their owners.
const EXPIRING: i64 = 300;

/// How many requests that are over are counted at a time.
const COUNTED_AT_ONCE: i64 = 500;

/// After how long without an answer a request is overdue, where its reviewers say nothing of reminders.
const OVERDUE: SignedDuration = SignedDuration::from_hours(24);

/// How old a list of tokens or members may be before that is a trouble. They are read every six hours, unless told.
const LISTS_GROW_OLD: SignedDuration = SignedDuration::from_hours(72);

/// How long a mail, or an owner who is to be told something, may wait before that is a trouble.
const WAITS_TOO_LONG: SignedDuration = SignedDuration::from_hours(24);

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
        coming: content.coming(&frame.zone).await?,
        runs: content.runs().await?,
        outside: content.outside(outside, since).await?,
        expiring: content.expiring(since).await?,
        trend: content.trend(median_wait, before).await?,
        waiting,
        troubles,
        decided,
        alarms,
        zone: frame.zone,
        without_address: frame.without_address,
    })
}

/// What is over, as a digest tells it.
struct Ended {
    decided: Decided,
    outside: Few<Outside>,
    alarms: Few<Alarm>,
    median_wait: Option<i64>,
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

    async fn troubles(
        &self,
        since: Timestamp,
        waiting: &Few<Waiting>,
    ) -> Result<Vec<Trouble>, StoreError> {
        let (store, organization) = (self.store, self.organization);
        let mut troubles = Vec::new();
        let mut add = |what: String, detail: String, remedy: &str| {
            troubles.push(Trouble { what, detail, remedy: remedy.to_owned() });
        };
        if let Some(why) = &self.in_force.broken {
            let what = match &self.in_force.policy {
                Some(_) => "the rules that are there now cannot be used: nothing is approved",
                None => "no rules are in force: nothing is approved",
            };
            add(
                what.to_owned(),
                why.clone(),
                "patwarden policy list shows what is wrong with them",
            );
        }
        if self.policy().is_some_and(Policy::approvals_were_disabled) {
            let what = "an upper layer made approve rules of this organization impossible";
            add(what.to_owned(), String::new(), "patwarden policy list shows which");
        }
        if let Some(parked) = store
            .parked(self.now)
            .await?
            .into_iter()
            .find(|parked| Login::new(parked.organization.clone()) == organization.login)
        {
            let what = "GitHub asks for a pause: requests wait until it is over".to_owned();
            add(what, format!("until {}", parked.until.strftime("%Y-%m-%d %H:%M UTC")), "");
        }
        let unread = store.count_unread_deliveries(since).await?;
        if unread > 0 {
            let what = format!(
                "{} from GitHub {} not understood",
                many(unread, "delivery"),
                agrees(unread, "was", "were")
            );
            add(what, String::new(), "patwarden requests list shows them");
        }
        let old = |at: Option<Timestamp>| {
            at.is_some_and(|at| self.now.duration_since(at) > LISTS_GROW_OLD)
        };
        let listing = store.token_listing(organization.id).await?;
        if old(listing.as_ref().map(|listing| listing.ended_at)) {
            let what = "the tokens with access were not listed for days";
            add(what.to_owned(), String::new(), "patwarden's log says why");
        }
        if let Some(listing) = listing.filter(|listing| listing.unreadable > 0) {
            let what = format!(
                "{} {} listed in a form that cannot be read",
                many(listing.unreadable, "token"),
                agrees(listing.unreadable, "is", "are")
            );
            add(what, String::new(), "patwarden's log names them; nothing is done with them");
        }
        if old(store.members_listed_at(organization.id).await?) {
            let what = "the members were not listed for days: who leaves is not noticed";
            add(what.to_owned(), String::new(), "patwarden's log says why");
        }
        let mut unread: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for unknown in waiting.shown.iter().filter_map(|one| one.decision.as_ref()) {
            for fact in unknown.unknown.iter().filter(|fact| fact.retry) {
                unread.entry(&fact.fact).or_insert((0, &fact.why)).0 += 1;
            }
        }
        for (fact, (number, why)) in unread {
            let what = format!("{fact} could not be read for {number} of the requests that wait");
            add(what, why.to_owned(), "it is read again until it can be");
        }
        if let Some((hindered, why)) = store.hindered_escalations(organization.id, NO_WAY).await? {
            let what = format!(
                "people could not be asked about {}, or could not answer",
                many(hindered, "request")
            );
            add(
                what,
                why,
                "no time counts against them meanwhile; patwarden requests show says more",
            );
        }
        let late = self.now.saturating_sub(WAITS_TOO_LONG).unwrap_or(Timestamp::MIN);
        let (refused, delayed) = store.undelivered_mails(organization.id, since, late).await?;
        if refused > 0 {
            let what = format!(
                "{} {} refused by the mail server",
                many(refused, "mail"),
                agrees(refused, "was", "were")
            );
            add(what, String::new(), "patwarden's log says which and why");
        }
        if delayed > 0 {
            let what = format!(
                "{} {} for more than a day to be sent",
                many(delayed, "mail"),
                agrees(delayed, "waits", "wait")
            );
            add(what, String::new(), "patwarden's log says why; they are tried again");
        }
        if let Some(policy) = self.acting() {
            for (id, revocation) in policy.revocations() {
                let name = format!("revoke.{id}");
                let still = self.still_meant(revocation);
                let (_, _, untold) =
                    store.told_tokens(organization.id, &name, still, late, 1).await?;
                if untold > 0 && revocation.grace.seconds() > 0 {
                    let what = format!(
                        "a standing policy selects {} whose owner was not told for more than a day",
                        many(untold, "token")
                    );
                    add(
                        what,
                        name,
                        "they are not taken: add the owners to [addresses], or tell them yourself",
                    );
                }
            }
        }
        Ok(troubles)
    }

    /// What ended since then: counted, what people decided, and the median of the waits in seconds.
    async fn ended(&self, since: Timestamp) -> Result<Ended, StoreError> {
        let mut count = Count::default();
        let mut after = (since, RequestId(i64::MAX));
        loop {
            let some = self
                .store
                .ended_requests(self.organization.id, after, self.now, COUNTED_AT_ONCE)
                .await?;
            let Some(last) = some.last() else { break };
            after = (last.ended_at, last.id);
            some.into_iter().for_each(|one| count.add(one));
        }
        Ok(count.into_parts())
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

    async fn trend(
        &self,
        median_wait: Option<i64>,
        before: Option<DigestRow>,
    ) -> Result<Trend, StoreError> {
        let (active, stale) = tokens(self.store, self.organization, self.now).await?;
        let before = before.map(|row| (row.active, row.stale));
        Ok(Trend { median_wait, active, stale, before })
    }
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

/// What ended, as it is counted.
#[derive(Default)]
struct Count {
    alarms: Few<Alarm>,
    rules: BTreeMap<String, RuleCount>,
    people: BTreeMap<String, PersonCount>,
    denials: Few<Denial>,
    outside: Few<Outside>,
    cancelled: u64,
    otherwise: u64,
    waits: Vec<i64>,
}

impl Count {
    fn add(&mut self, ended: EndedRequest) {
        let waited = ended.ended_at.duration_since(ended.woken_at).as_secs().max(0);
        let approved = matches!(ended.outcome, Outcome::Approved);
        match (&ended.by, ended.outcome) {
            (_, Outcome::Cancelled) => self.cancelled += 1,
            (SettledBy::Rule, outcome) => {
                self.waits.push(waited);
                let first = ended.decision.as_ref().and_then(|decision| decision.by.first());
                let rule = first.map_or_else(|| "the default".to_owned(), ToString::to_string);
                let count = self.rules.entry(rule.clone()).or_default();
                count.rule = rule.clone();
                match outcome {
                    Outcome::Approved => count.approved += 1,
                    Outcome::Revoked => {
                        count.revoked += 1;
                        self.alarms.all += 1;
                        if self.alarms.shown.len() < SHOWN as usize {
                            self.alarms.shown.push(Alarm {
                                request: ended.id.0,
                                owner: ended.owner,
                                token_name: ended.token_name,
                                at: ended.ended_at,
                            });
                        }
                    }
                    _ => {
                        count.denied += 1;
                        self.denials.all += 1;
                        if self.denials.shown.len() < SHOWN as usize {
                            let reason = ended.decision.and_then(|decision| decision.reason);
                            self.denials.shown.push(Denial {
                                owner: ended.owner,
                                token_name: ended.token_name,
                                rule,
                                reason: reason.unwrap_or_default(),
                            });
                        }
                    }
                }
            }
            (SettledBy::Person(login), _) => {
                self.waits.push(waited);
                self.person(format!("@{login}"), approved);
                self.outside.all += 1;
                if self.outside.shown.len() < SHOWN as usize {
                    let login = login.clone();
                    self.outside.shown.push(Outside {
                        owner: ended.owner,
                        token_name: ended.token_name,
                        at: ended.ended_at,
                        what: if approved {
                            OutsideWhat::Approved(login)
                        } else {
                            OutsideWhat::Denied(login)
                        },
                    });
                }
            }
            (SettledBy::Operator(name), _) => {
                self.waits.push(waited);
                self.person(name.clone(), approved);
            }
            (SettledBy::Reviewers(who), _) => {
                self.waits.push(waited);
                // Who, by number, and on which issue: the login is enough here.
                let who = who.split_once(" (").map_or(who.as_str(), |(who, _)| who);
                self.person(who.to_owned(), approved);
            }
            (SettledBy::Silence(_), _) => {
                self.waits.push(waited);
                self.person("nobody's answer in time".to_owned(), approved);
            }
            (SettledBy::Requester | SettledBy::App(_) | SettledBy::Unknown, _) => {
                self.otherwise += 1;
            }
        }
    }

    fn person(&mut self, who: String, approved: bool) {
        let count = self.people.entry(who.clone()).or_default();
        count.who = who;
        if approved {
            count.approved += 1;
        } else {
            count.denied += 1;
        }
    }

    fn into_parts(mut self) -> Ended {
        self.waits.sort_unstable();
        let median = self.waits.get(self.waits.len().saturating_sub(1) / 2).copied();
        let mut by_rule: Vec<RuleCount> = self.rules.into_values().collect();
        let decided = |one: &RuleCount| one.approved + one.denied + one.revoked;
        by_rule.sort_by(|a, b| (decided(b), &a.rule).cmp(&(decided(a), &b.rule)));
        let mut people: Vec<PersonCount> = self.people.into_values().collect();
        let decided = |one: &PersonCount| one.approved + one.denied;
        people.sort_by(|a, b| (decided(b), &a.who).cmp(&(decided(a), &b.who)));
        let decided = Decided {
            by_rule,
            denials: self.denials,
            people,
            cancelled: self.cancelled,
            otherwise: self.otherwise,
        };
        Ended { decided, outside: self.outside, alarms: self.alarms, median_wait: median }
    }
}

fn ago(now: Timestamp, hours: i64) -> Timestamp {
    now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
