//! Asking people: what is to be done about one request that is left to them, one step after the other, under the
//! organization's lease and only while no request is due.
//!
//! What is to be written stands in the store before it is written; a step that broke off is taken up again.

mod answers;
mod case;
mod issues;
mod mails;
mod permission;
mod reached;
mod say;
mod words;

use case::{Case, in_their_place};
use jiff::{SignedDuration, Timestamp};

use super::{
    by_hand,
    lifecycle::State,
    record,
    worker::{Pass, Stop, Worker, after, backoff},
};
use crate::{
    audit,
    digest::Pages,
    domain::{OrganizationId, RepositorySelection, TokenRequest},
    github::CallError,
    review::{
        escalation::{Asked, Due, Standing},
        issue::Audience,
        reply::Reply,
    },
    rules::{Mode, Policy, facts::Needs},
    store::{
        EscalationRow, GroupRow, InstallationRow, IssueRow, IssueState, NOBODY_REACHED, RequestRow,
        StoreError, Tx,
    },
};

/// An issue is looked at once in a while although nothing is heard of it: what is deleted is not told by any list.
const LOOK_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// How long it takes until something is tried again that GitHub refuses, and that somebody has to change.
const REFUSED_FOR: SignedDuration = SignedDuration::from_mins(10);

/// How many open issues of an organization are read anew with each reconciliation: a call for each.
const READ_AT_ONCE: i64 = 50;

/// How often lists are read unless somebody says otherwise, in seconds.
const USUAL_INTERVAL: i64 = 300;

/// How often it is looked whether a mail arrived.
const MAIL_EVERY: i64 = 30;

/// What is noted where the rules name nobody's issue or address: people look at GitHub's list by themselves.
pub(super) const NO_WAY: &str = "the rules name no way to reach reviewers";

/// Why a step ended before its end.
enum Trouble {
    /// GitHub.
    Call(CallError),
    /// The store, the lease, or GitHub's limit.
    Stop(Stop),
    /// Nothing can be done before this moment: a call may still take effect.
    Until(Timestamp),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Stop(error.into())
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Who can read an issue.
fn audience(issue: &IssueRow) -> Audience {
    if issue.private { Audience::Reviewers } else { Audience::Anybody }
}

/// What people are shown of a request: also what it reaches, whether or not a rule asks for that.
pub(super) fn needs_for_people(policy: &Policy, request: &TokenRequest) -> Option<Needs> {
    let unread =
        request.repository_selection == RepositorySelection::Subset && !policy.needs().repositories;
    unread.then(|| by_hand::needs(Some(policy)))
}

/// Notes that people are asked about a request that was left to them: at once, or after `wait` where a fact or the rules may yet
/// be mended.
pub(super) async fn ask_people(
    tx: &mut Tx,
    row: &RequestRow,
    policy: &Policy,
    to: &[String],
    from: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(fingerprint) = row.fingerprint.clone().filter(|_| row.state == State::Escalated)
    else {
        return Ok(());
    };
    // One of many at once: somebody is to confirm first.
    if row.unconfirmed || policy.mode() == Mode::Shadow {
        return Ok(());
    }
    let to = if to.is_empty() { policy.default_to() } else { to };
    let owners = ["owners".to_owned()];
    let to = if to.is_empty() { &owners[..] } else { to };
    let escalation = EscalationRow {
        key: row.key(),
        fingerprint,
        decision_id: row.decision_id,
        asked_at: now,
        due_at: Some(from.max(now)),
        failures: 0,
        note: String::new(),
        denies_at: None,
        asks_next_at: None,
        ended_at: None,
    };
    tx.ask_people(&escalation, to).await
}

impl super::Engine {
    /// Has the issues read anew that were read longest ago: webhooks are lost.
    pub(super) async fn look_for_answers(
        &self,
        organization: OrganizationId,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        // As many an hour as with the usual interval, however often lists are read.
        let seconds = i64::try_from(self.options.reconcile_every.as_secs()).unwrap_or(i64::MAX);
        let most =
            READ_AT_ONCE.saturating_mul(seconds).div_euclid(USUAL_INTERVAL).clamp(1, READ_AT_ONCE);
        tx.look_at_oldest_issues(organization, most, now).await?;
        tx.commit().await
    }
}

impl Worker<'_> {
    /// One step for one request that people are asked about, if anything is due.
    pub(super) async fn escalate(&self) -> Result<Pass, StoreError> {
        let engine = self.engine;
        let now = engine.clock.now();
        let Some(row) = engine.store.due_escalation(self.lease.organization, now).await? else {
            return Ok(Pass::Idle);
        };
        let installation = engine.store.installation(self.lease.organization).await?;
        let Some(installation) = installation.filter(|installation| !installation.suspended) else {
            self.rest(&row, after(now, 3_600), "the App is not installed, or suspended").await?;
            return Ok(Pass::Worked);
        };
        let parked = engine.store.parked_until(installation.id).await?;
        if let Some(until) = parked.filter(|until| *until > now) {
            self.rest(&row, until, "GitHub asked us to wait").await?;
            return Ok(Pass::Worked);
        }
        match self.step(&installation, &row).await {
            Ok(()) | Err(Trouble::Stop(Stop::Parked)) => {}
            Err(Trouble::Stop(Stop::Store(error))) => return Err(error),
            Err(Trouble::Until(until)) => {
                self.rest(&row, until, "it is not known yet whether a call took effect").await?;
            }
            Err(Trouble::Call(error)) => self.step_failed(&installation, &row, &error).await?,
        }
        Ok(Pass::Worked)
    }

    /// Leaves it alone until then.
    async fn rest(
        &self,
        row: &EscalationRow,
        until: Timestamp,
        note: &str,
    ) -> Result<(), StoreError> {
        let until = until.max(after(self.engine.clock.now(), 1));
        let resting = EscalationRow { due_at: Some(until), note: note.to_owned(), ..row.clone() };
        let mut tx = self.begin().await?;
        tx.save_escalation(&resting, row.due_at).await?;
        tx.commit().await
    }

    async fn step_failed(
        &self,
        installation: &InstallationRow,
        row: &EscalationRow,
        error: &CallError,
    ) -> Result<(), StoreError> {
        let now = self.engine.clock.now();
        let failures = row.failures + 1;
        let until = match error {
            CallError::RateLimited { until } => {
                self.limited(installation.id, *until).await?;
                *until
            }
            error if super::is_an_answer(error) => now.saturating_add(REFUSED_FOR).unwrap_or(now),
            _ => backoff(now, failures),
        };
        tracing::warn!(
            organization = %installation.organization.login, request = %row.key.request, %error, failures,
            "people could not be asked, or their answers not be read; it is tried again"
        );
        let note = format!("people could not be asked: {error}");
        let failed = EscalationRow { due_at: Some(until), failures, note, ..row.clone() };
        let mut tx = self.begin().await?;
        // What was about to be read was perhaps not.
        tx.look_again_at_issues(row.key).await?;
        tx.save_escalation(&failed, row.due_at).await?;
        tx.commit().await?;
        if failures == 1 && super::is_an_answer(error) {
            self.alarm(row, &format!("people could not be asked about a request: {error}")).await?;
        }
        Ok(())
    }

    /// Where GitHub is: as an issue's own address says, or else as the address of its API does.
    fn base(&self, url: Option<&str>) -> String {
        let parsed = url.and_then(|url| url::Url::parse(url).ok());
        let origin = parsed.map(|url| url.origin()).filter(url::Origin::is_tuple);
        let by_settings = || Pages::site(&self.engine.options.api_url);
        origin.map_or_else(by_settings, |origin| origin.ascii_serialization())
    }

    async fn alarm(&self, row: &EscalationRow, what: &str) -> Result<(), StoreError> {
        let Some(request) = self.engine.store.request(row.key).await? else { return Ok(()) };
        let alarm = audit::Event::Alarm { what: what.to_owned() };
        self.engine.audit.write(record::entry(&request, alarm, self.engine.clock.now()));
        Ok(())
    }

    async fn step(
        &self,
        installation: &InstallationRow,
        row: &EscalationRow,
    ) -> Result<(), Trouble> {
        let engine = self.engine;
        let now = engine.clock.now();
        let Some(request) = engine.store.request(row.key).await? else {
            return Ok(self.end(row).await?);
        };
        let read = engine.clients.read(installation.id)?;
        let write = engine.clients.write(installation.id)?;
        let over = matches!(request.state, State::Settled(..) | State::Gone | State::Held);
        let in_force = engine.policies.in_force(&installation.organization);
        let Some(policy) = in_force.policy else {
            return Ok(self.rest(row, after(now, 30), "no valid policy").await?);
        };
        let groups = in_their_place(engine.store.escalation_groups(row.key).await?, &policy);
        let row = row.clone();
        let case = Case { installation, read, write, row, request, policy, groups };
        if over {
            return self.conclude(&case).await;
        }
        if case.request.state != State::Escalated || case.policy.mode() == Mode::Shadow {
            // Something is under way: whatever comes of it wakes this.
            return Ok(self.wait_for_the_request(&case.row).await?);
        }
        self.ask(case).await
    }

    async fn wait_for_the_request(&self, row: &EscalationRow) -> Result<(), StoreError> {
        let waiting = EscalationRow { due_at: None, ..row.clone() };
        let mut tx = self.begin().await?;
        tx.save_escalation(&waiting, row.due_at).await?;
        tx.commit().await
    }

    /// Asks whoever is to be asked, reads what they answered, and does what follows.
    async fn ask(&self, mut case: Case<'_>) -> Result<(), Trouble> {
        let issues::Channels { mut issues, mut missing } = self.channels(&case).await?;
        let mut failed = None;
        for issue in &mut issues {
            match self.keep_up(&case, issue).await {
                Ok(()) => {}
                Err(Trouble::Call(error)) if super::is_an_answer(&error) => {
                    missing.push(format!("{}: {error}", issue.repository_name));
                }
                Err(trouble @ Trouble::Stop(_)) => return Err(trouble),
                // The others are asked first.
                Err(trouble) => failed = failed.or(Some(trouble)),
            }
        }
        let mut mailed = mails::Mailed::default();
        for group in &case.groups {
            mailed = mailed.and(self.mail(&case, group, mails::Occasion::Asked).await?);
        }
        issues.retain(|issue| issue.state != IssueState::Lost);
        self.note_reached(&mut case, &issues, &mailed).await?;
        if let Some(trouble) = failed {
            return Err(trouble);
        }
        // Judged by the moment before the look, also where the machine slept in between: what came after it nobody has seen.
        let mut seen_at = self.engine.clock.now();
        for issue in &mut issues {
            let stale = |at: Timestamp| seen_at.duration_since(at) >= LOOK_EVERY;
            issue.look |= issue.behind || issue.looked_at.is_some_and(stale);
        }
        let mut looked = self.read_answers(&case, &mut issues).await?;
        // What was found there may keep people from answering.
        self.note_reached(&mut case, &issues, &mailed).await?;
        loop {
            let standing = self.standing(&case).await?;
            let due = standing.due(seen_at);
            let by_time = matches!(due, Due::Silence { .. } | Due::Ask { .. });
            if by_time && !looked {
                // Somebody may have answered, and nobody told us; or nobody could.
                seen_at = self.engine.clock.now();
                issues.iter_mut().for_each(|issue| issue.look = true);
                self.read_answers(&case, &mut issues).await?;
                self.note_reached(&mut case, &issues, &mailed).await?;
                looked = true;
                continue;
            }
            return match due {
                Due::Approve(votes) => self.say_approved(&case, &issues, votes).await,
                Due::Deny(vote) => self.say_denied(&case, &issues, vote).await,
                Due::Silence { group, after, since } => {
                    let silence = say::Silence { group, after, since };
                    self.say_silent(&mut case, &issues, &standing, &silence).await
                }
                Due::Ask { group, instead_of } => {
                    self.ask_next(&case, &issues, &group, &instead_of).await
                }
                Due::Remind(names) => self.remind(&case, &issues, &standing, &names).await,
                Due::Nothing(until) => {
                    for issue in issues.iter_mut().filter(|one| one.state == IssueState::Open) {
                        self.keep_up(&case, issue).await?;
                    }
                    issues.retain(|issue| issue.state != IssueState::Lost);
                    let unreached = case.groups.iter().any(|row| row.reached_at.is_none());
                    self.note_reached(&mut case, &issues, &mailed).await?;
                    if unreached && case.groups.iter().all(|row| row.reached_at.is_some()) {
                        // What was mended reaches them again, and what silence comes to is computed from that.
                        let mut tx = self.begin().await?;
                        tx.wake_escalation(case.row.key, self.engine.clock.now()).await?;
                        return Ok(tx.commit().await?);
                    }
                    missing.extend(issues.iter().filter_map(IssueRow::why_mute));
                    missing.extend(mailed.missing.iter().cloned());
                    let missing = missing.join("; ");
                    self.until_then(&case, &issues, (&mailed, missing), (&standing, until)).await
                }
            };
        }
    }

    /// Where it stands, with answers of this moment.
    async fn standing(&self, case: &Case<'_>) -> Result<Standing, StoreError> {
        let votes = self.engine.store.votes(case.row.key).await?;
        let asked = case.groups.iter().map(|row| Asked {
            name: row.name.clone(),
            group: case.defined(&row.name),
            instead_of: row.instead_of.clone(),
            reached_at: row.reached_at.filter(|_| case.enforced()),
            reminded_at: row.reminded_at,
            denies_from: row.denies_from,
        });
        Ok(Standing {
            fingerprint: case.row.fingerprint.clone(),
            requester: case.request.owner.id,
            asked: asked.collect(),
            votes: votes.into_iter().filter(|row| row.void.is_none()).map(|row| row.vote).collect(),
        })
    }

    async fn ask_next(
        &self,
        case: &Case<'_>,
        issues: &[IssueRow],
        group: &str,
        instead_of: &str,
    ) -> Result<(), Trouble> {
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        tx.ask_instead(case.row.key, group, instead_of).await?;
        for issue in issues.iter().filter(|issue| issue.request.is_some()) {
            let asked_at = case.row.asked_at.as_millisecond();
            let key = format!("asked:{group}:{asked_at}:{}", case.row.fingerprint);
            let text = Reply::AskedNext { group }.text(&key, audience(issue));
            tx.put_comment(issue.id, &key, &text, now).await?;
        }
        tx.wake_escalation(case.row.key, now).await?;
        Ok(tx.commit().await?)
    }

    async fn remind(
        &self,
        case: &Case<'_>,
        issues: &[IssueRow],
        standing: &Standing,
        names: &std::collections::BTreeSet<String>,
    ) -> Result<(), Trouble> {
        let now = self.engine.clock.now();
        for row in case.groups.iter().filter(|row| names.contains(&row.name)) {
            self.mail(case, row, mails::Occasion::Reminded(now)).await?;
        }
        let finally = words::finally(standing);
        let reminder = Reply::Reminder { since: case.row.asked_at, finally };
        let mut tx = self.begin().await?;
        for issue in issues.iter().filter(|issue| issue.request.is_some()) {
            let key = format!("reminder:{}", now.as_millisecond());
            let text = reminder.text(&key, audience(issue));
            tx.put_comment(issue.id, &key, &text, now).await?;
        }
        for row in case.groups.iter().filter(|row| names.contains(&row.name)) {
            let reminded = GroupRow { reminded_at: Some(now), ..row.clone() };
            tx.save_group(case.row.key, &reminded).await?;
        }
        tx.wake_escalation(case.row.key, now).await?;
        Ok(tx.commit().await?)
    }

    /// Nothing is to be done before the next moment that the rules name, or a look for what nobody tells.
    async fn until_then(
        &self,
        case: &Case<'_>,
        issues: &[IssueRow],
        (mailed, missing): (&mails::Mailed, String),
        (standing, until): (&Standing, Option<Timestamp>),
    ) -> Result<(), Trouble> {
        let now = self.engine.clock.now();
        let own = issues.iter().filter(|issue| issue.request.is_some());
        let looked = own.filter_map(|issue| issue.looked_at).min();
        let look_at = looked.and_then(|at| at.checked_add(LOOK_EVERY).ok());
        let mail_at = mailed.is_under_way().then(|| after(now, MAIL_EVERY));
        let again_at = (!missing.is_empty()).then(|| issues::later(now));
        let next = [until, look_at, mail_at, again_at].into_iter().flatten().min();
        let due_at = next.map(|next| next.max(after(now, 1)));
        let there = issues.iter().any(|issue| issue.state == IssueState::Open);
        let nobody = !there && mailed.is_nothing();
        let named = !missing.is_empty();
        let note = match (nobody, missing.is_empty()) {
            (true, true) => NO_WAY.to_owned(),
            (true, false) => format!("{NOBODY_REACHED}: {missing}"),
            (false, _) => missing,
        };
        // Where the rules name no way at all, people look at GitHub's list by themselves.
        if named && case.row.note != note {
            self.alarm(&case.row, &format!("people are to decide; {note}")).await?;
        }
        let denies_at = standing.deadline().map(|(at, _)| at);
        let asks_next_at = standing.handing_on().map(|(at, _)| at);
        let row = EscalationRow {
            due_at,
            failures: 0,
            note,
            denies_at,
            asks_next_at,
            ..case.row.clone()
        };
        let mut tx = self.begin().await?;
        tx.save_escalation(&row, case.row.due_at).await?;
        Ok(tx.commit().await?)
    }

    /// The request is over, or not left to people any more: every issue says so and is closed.
    async fn conclude(&self, case: &Case<'_>) -> Result<(), Trouble> {
        let mut issues = self.engine.store.review_issues(case.row.key).await?;
        for issue in &mut issues {
            self.close(case, issue).await?;
        }
        Ok(self.end(&case.row).await?)
    }

    async fn end(&self, row: &EscalationRow) -> Result<(), StoreError> {
        let now = self.engine.clock.now();
        let ended = EscalationRow {
            due_at: None,
            ended_at: Some(now),
            failures: 0,
            note: String::new(),
            ..row.clone()
        };
        let mut tx = self.begin().await?;
        tx.save_escalation(&ended, row.due_at).await?;
        tx.commit().await
    }
}
