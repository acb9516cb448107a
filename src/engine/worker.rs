//! One organization's work under its lease: look, judge, record, act, check. One thing after the other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    Engine, gather,
    judge::{self, HeldBack, Judged},
    lifecycle::{Event, State, Verdict},
    record::{self, Happened},
};
use crate::{
    audit,
    domain::{Fingerprint, InstallationId, RequestId, TokenId, TokenRequest},
    github::{CallError, Listing, Read, Review},
    store::{
        EffectKind, EffectState, InstallationRow, Lease, NewEffect, RequestKey, RequestRow,
        StoreError, Tx,
    },
};

/// The most requests that one listing serves.
const CLAIMED_AT_ONCE: i64 = 100;

/// Up to so many open requests one plain page shows them all; beyond, the list is asked by token.
const ONE_PAGE: i64 = 100;

/// How many are judged before the first of them is sent.
const JUDGED_AT_ONCE: usize = 10;

/// How old a listing may be when something is judged on it.
const LISTING_LASTS: SignedDuration = SignedDuration::from_secs(30);

/// How old the oldest fact behind a decision may be when its call is sent.
const FACTS_LAST: SignedDuration = SignedDuration::from_secs(60);

/// How long an unreadable fact is read again before people are asked. Reading goes on after that.
const PEOPLE_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// How the note begins once that time is over.
const WAITED: &str = "needs people by now; ";

/// When to look again for a request that a webhook announced and no list shows.
const LOOK_AGAIN_AFTER: [SignedDuration; 3] =
    [SignedDuration::from_secs(2), SignedDuration::from_secs(10), SignedDuration::from_secs(60)];

/// After so many refusals of a call for a request that is still pending, people must look.
const REFUSALS_BEFORE_PEOPLE: i64 = 8;

/// How often the lease is renewed while a call is under way.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// What a pass came to.
pub(super) enum Pass {
    /// Something was done; perhaps there is more.
    Worked,
    /// Nothing is due now.
    Idle,
}

/// One organization, while this process holds its lease.
pub(super) struct Worker<'a> {
    pub(super) engine: &'a Engine,
    pub(super) lease: Lease,
}

/// What stops a pass.
pub(super) enum Stop {
    /// The store refused, or the lease is lost: whatever was being done is dropped.
    Store(StoreError),
    /// GitHub's limit: everything of this installation waits until then.
    Parked,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Renews a lease until it is dropped.
pub(super) struct Renewal(tokio::task::JoinHandle<()>);

impl Renewal {
    pub(super) fn of(engine: &Engine, lease: &Lease) -> Self {
        let (store, clock, lease) = (engine.store.clone(), engine.clock.clone(), lease.clone());
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                let renewed = match store.begin_under(&lease, clock.now()).await {
                    Ok(tx) => tx.commit().await,
                    Err(error) => Err(error),
                };
                if let Err(StoreError::LeaseLost) = renewed {
                    return;
                }
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Worker<'_> {
    /// Works on everything that is due now.
    pub(super) async fn pass(&self) -> Result<Pass, StoreError> {
        let engine = self.engine;
        let organization = self.lease.organization;
        let now = engine.clock.now();
        let rows = engine.store.due(organization, now, CLAIMED_AT_ONCE).await?;
        if rows.is_empty() {
            return Ok(Pass::Idle);
        }
        let Some(installation) = engine.store.installation(organization).await? else {
            self.park(
                &rows,
                after(now, 30),
                "the App is not installed on this organization, as far as we know",
            )
            .await?;
            engine.reconcile_soon();
            return Ok(Pass::Worked);
        };
        if installation.suspended {
            self.park(&rows, after(now, 300), "the App's installation is suspended").await?;
            return Ok(Pass::Worked);
        }
        if let Some(until) =
            engine.store.parked_until(installation.id).await?.filter(|until| *until > now)
        {
            self.park(&rows, until, "GitHub asked us to wait").await?;
            return Ok(Pass::Worked);
        }
        match self.work(&installation, rows).await {
            Ok(()) | Err(Stop::Parked) => Ok(Pass::Worked),
            Err(Stop::Store(error)) => Err(error),
        }
    }

    async fn work(
        &self,
        installation: &InstallationRow,
        rows: Vec<RequestRow>,
    ) -> Result<(), Stop> {
        let read = match self.engine.clients.read(installation.id) {
            Ok(read) => read,
            Err(error) => return self.failed(installation.id, &rows, &error).await,
        };
        let (to_check, to_look): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| matches!(row.state, State::Checking | State::Revoking));
        let listed_at = self.engine.clock.now();
        let seen = self.look(installation, &read, to_look).await?;
        // Counted from its end: were a slow listing old when it arrives, it would be read again for ever.
        let looked_at = self.engine.clock.now();
        let mut to_check = to_check;
        // Few at a time: what is judged is sent soon, and a slow GitHub never lets facts grow old in line.
        for some in seen.chunks(JUDGED_AT_ONCE) {
            if self.engine.is_stopping()
                || self.engine.clock.now().duration_since(looked_at) > LISTING_LASTS
            {
                // The rest is still due: the next pass lists it anew.
                break;
            }
            let decided = self.judge(installation, &read, some, listed_at).await?;
            to_check.extend(self.act(installation, decided).await?);
        }
        self.check(installation, &read, to_check).await
    }

    /// One listing for all of them. Gives those that are to be judged or sent now, with what was listed.
    async fn look(
        &self,
        installation: &InstallationRow,
        read: &Read,
        rows: Vec<RequestRow>,
    ) -> Result<Vec<(RequestRow, TokenRequest)>, Stop> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let organization = &installation.organization;
        let tokens: Option<Vec<TokenId>> = rows.iter().map(|row| row.token_id).collect();
        let one_page = self.engine.store.count_open(organization.id).await? <= ONE_PAGE;
        let listed = match tokens {
            Some(tokens) if !one_page => read.pending_requests_of(organization, &tokens).await,
            _ => read.pending_requests(organization).await,
        };
        let listing = match listed {
            Ok(listing) => listing,
            Err(error) => {
                self.failed(installation.id, &rows, &error).await?;
                return Ok(Vec::new());
            }
        };
        let now = self.engine.clock.now();
        let Listing { requests, unreadable } = listing;
        let mut listed: HashMap<RequestId, TokenRequest> =
            requests.into_iter().map(|request| (request.id, request)).collect();
        let mut seen = Vec::new();
        let mut absent = Vec::new();
        let mut tx = self.begin().await?;
        for row in rows {
            if let Some(request) = listed.remove(&row.id) {
                if let Some(row) = self.note_pending(&mut tx, row.key(), &request, now).await? {
                    seen.push((row, request));
                }
            } else if let Some((_, why)) =
                unreadable.iter().find(|(id, _)| id.is_none_or(|id| id == row.id))
            {
                let note = format!("GitHub's list shows it in a form that we cannot read: {why}");
                self.postpone(&mut tx, row.key(), &note, now).await?;
            } else {
                absent.push(row);
            }
        }
        tx.commit().await?;
        seen.extend(self.look_for_absent(installation, read, absent).await?);
        Ok(seen)
    }

    async fn note_pending(
        &self,
        tx: &mut Tx,
        key: RequestKey,
        request: &TokenRequest,
        now: Timestamp,
    ) -> Result<Option<RequestRow>, StoreError> {
        let shape = Fingerprint::of(request, None);
        let Some(row) = tx.request(key).await? else { return Ok(None) };
        let changed = row.shape.as_ref().is_some_and(|judged| *judged != shape);
        let event = Event::Pending { changed, long_settled: false };
        let happened = record::happen(tx, key, &event, now, |row| {
            row.organization.login = request.organization.login.clone();
            row.token_id = Some(request.token.id);
            row.token_name.clone_from(&request.token.name);
            row.owner = request.owner.clone();
            row.listed = Some(request.clone());
            row.looks = 0;
        })
        .await?;
        Ok(happened.map(|happened| happened.row))
    }

    /// Not in the list. A list may lag or lose a row: only then is it gone when looking again, and asking
    /// for the token by name, finds nothing either.
    async fn look_for_absent(
        &self,
        installation: &InstallationRow,
        read: &Read,
        rows: Vec<RequestRow>,
    ) -> Result<Vec<(RequestRow, TokenRequest)>, Stop> {
        let now = self.engine.clock.now();
        let mut to_confirm = Vec::new();
        let mut tx = self.begin().await?;
        for row in rows {
            let next =
                usize::try_from(row.looks).ok().and_then(|looks| LOOK_AGAIN_AFTER.get(looks));
            match next {
                Some(wait) if row.listed.is_none() => {
                    let again =
                        row.woken_at.saturating_add(*wait).unwrap_or(now).max(after(now, 1));
                    record::happen(&mut tx, row.key(), &Event::Woken, now, |row| {
                        row.looks += 1;
                        row.due_at = Some(again);
                        row.note =
                            "announced by a webhook, and not in GitHub's list yet".to_owned();
                    })
                    .await?;
                }
                _ => to_confirm.push(row),
            }
        }
        tx.commit().await?;
        if to_confirm.is_empty() {
            return Ok(Vec::new());
        }
        let tokens: Vec<TokenId> = to_confirm.iter().filter_map(|row| row.token_id).collect();
        let listing = match read.pending_requests_of(&installation.organization, &tokens).await {
            Ok(listing) => listing,
            Err(error) => {
                self.failed(installation.id, &to_confirm, &error).await?;
                return Ok(Vec::new());
            }
        };
        // Only a call of ours whose answer was lost can have approved it: that is worth another look.
        let in_doubt: Vec<TokenId> = to_confirm
            .iter()
            .filter(|row| {
                matches!(row.state, State::Sent(Verdict::Approve))
                    || row.in_doubt.is_some_and(|doubt| doubt.verdict == Verdict::Approve)
            })
            .filter_map(|row| row.token_id)
            .collect();
        let grants = match read.grants_of(&installation.organization, &in_doubt).await {
            Ok(grants) => grants,
            Err(error) => {
                self.failed(installation.id, &to_confirm, &error).await?;
                return Ok(Vec::new());
            }
        };
        let now = self.engine.clock.now();
        let mut seen = Vec::new();
        let mut happened = Vec::new();
        let mut tx = self.begin().await?;
        for row in to_confirm {
            if let Some(request) = listing.requests.iter().find(|request| request.id == row.id) {
                if let Some(row) = self.note_pending(&mut tx, row.key(), request, now).await? {
                    seen.push((row, request.clone()));
                }
                continue;
            }
            if let Some((_, why)) =
                listing.unreadable.iter().find(|(id, _)| id.is_none_or(|id| id == row.id))
            {
                let note = format!("GitHub's list shows it in a form that we cannot read: {why}");
                self.postpone(&mut tx, row.key(), &note, now).await?;
                continue;
            }
            // An edited token keeps its old access while the request waits: only access granted since then
            // came from this request.
            let asked_at = row.listed.as_ref().map(|request| request.created_at);
            let granted = grants.iter().any(|grant| {
                Some(grant.token.id) == row.token_id
                    && asked_at.is_none_or(|asked_at| grant.access_granted_at >= asked_at)
            });
            let in_doubt = row.in_doubt.map(|doubt| doubt.verdict);
            let event = Event::Absent { in_doubt, granted };
            happened.extend(record::happen(&mut tx, row.key(), &event, now, |_| {}).await?);
        }
        tx.commit().await?;
        self.tell(happened);
        Ok(seen)
    }

    /// Gathers facts and judges; records each decision before anything is sent.
    async fn judge(
        &self,
        installation: &InstallationRow,
        read: &Read,
        seen: &[(RequestRow, TokenRequest)],
        listed_at: Timestamp,
    ) -> Result<Vec<(RequestRow, Timestamp)>, Stop> {
        let engine = self.engine;
        let mut decided = Vec::new();
        for (row, request) in seen {
            let now = engine.clock.now();
            // `Decided` too: it was parked or its process died, and its facts are old by now.
            if !matches!(
                row.state,
                State::Waiting | State::Escalated | State::Held | State::Decided(_)
            ) {
                continue;
            }
            let in_force = engine.policy.in_force();
            let Some(policy) = in_force.policy else {
                let why = in_force.broken.unwrap_or_else(|| "no rules were loaded".to_owned());
                self.park(
                    std::slice::from_ref(row),
                    after(now, 30),
                    &format!("no valid policy: {why}"),
                )
                .await?;
                continue;
            };
            let gathered =
                gather::gather(read, &engine.cache, &engine.clock, request, policy.needs()).await;
            let oldest =
                gather::oldest(&gathered.facts).map_or(listed_at, |read_at| read_at.min(listed_at));
            let held_back =
                HeldBack { broken: in_force.broken.as_deref(), unconfirmed: row.unconfirmed };
            let judged = judge::judge(&policy, &held_back, request, gathered.facts);
            let row = self.record(row, request, &policy, judged).await?;
            decided.extend(
                row.filter(|row| matches!(row.state, State::Decided(_))).map(|row| (row, oldest)),
            );
            if let Some(until) = gathered.limited_until {
                engine.cache.forget(installation.organization.id).await;
                self.limited(installation.id, read, until).await?;
                return Err(Stop::Parked);
            }
        }
        Ok(decided)
    }

    async fn record(
        &self,
        row: &RequestRow,
        request: &TokenRequest,
        policy: &Arc<crate::rules::Policy>,
        judged: Judged,
    ) -> Result<Option<RequestRow>, StoreError> {
        let engine = self.engine;
        let key = row.key();
        let now = engine.clock.now();
        let last = match row.decision_id {
            Some(id) => engine.store.decision(id).await?,
            None => None,
        };
        let mut tx = self.begin().await?;
        let Some(current) = tx.request(key).await? else { return Ok(None) };
        if !matches!(
            current.state,
            State::Waiting | State::Escalated | State::Held | State::Decided(_)
        ) {
            // A webhook said meanwhile how it ended.
            return Ok(None);
        }
        let repeats =
            last.as_ref().is_some_and(|last| judged.says_the_same_as(last, policy.hash()));
        let decision_id = match last.filter(|_| repeats) {
            Some(last) => last.id,
            None => {
                tx.note_policy(policy.hash(), &judge::sources(policy), now).await?;
                tx.record_decision(key, &judged.as_new(request, policy, now)).await?
            }
        };
        if matches!(current.state, State::Decided(_)) && !repeats {
            let (state, why) = match current.in_doubt {
                Some(_) => (EffectState::Unknown, "judged again, and no answer to our call"),
                None => (EffectState::Void, "judged again before it was sent"),
            };
            tx.end_effects(key, state, why, now).await?;
        }
        let shape = Fingerprint::of(request, None);
        let mut people_now = !repeats && !judged.retry;
        let happened = record::happen(&mut tx, key, &judged.event, now, |row| {
            let waited = judged.retry && now.duration_since(row.state_since) >= PEOPLE_AFTER;
            people_now |= waited && !row.note.starts_with(WAITED);
            row.note = format!("{}{}", if waited { WAITED } else { "" }, judged.note);
            row.fingerprint = Some(judged.fingerprint.clone());
            row.shape = Some(shape);
            row.decision_id = Some(decision_id);
            row.judged_under = Some(judge::grounds(policy));
            row.due_at = match &row.state {
                State::Decided(_) => Some(now),
                _ if judged.retry => {
                    row.failures += 1;
                    Some(backoff(now, row.failures))
                }
                // Until it is known whether an earlier call of ours lands after all.
                _ if row.in_doubt.is_some() => {
                    now.saturating_add(record::LANDS_WITHIN).ok().map(|then| after(then, 1))
                }
                _ => None,
            };
        })
        .await?;
        let Some(Happened { row, mut entries }) = happened else { return Ok(None) };
        if let State::Decided(verdict) = row.state {
            let kind = match verdict {
                Verdict::Approve => EffectKind::Approve,
                Verdict::Deny => EffectKind::Deny,
            };
            let effect = NewEffect {
                fingerprint: &judged.fingerprint,
                kind,
                decision_id,
                target_id: row.id.0,
                reason: &judged.reason,
            };
            tx.record_effect(key, &effect, now).await?;
        }
        crate::crash::point("decision-written");
        tx.commit().await?;
        crate::crash::point("decision-committed");
        if !repeats {
            entries.insert(0, record::entry(&row, judged.as_audit(decision_id, policy), now));
        }
        if people_now && row.state == State::Escalated {
            engine.announce_escalation(&row, &judged);
        }
        self.tell([Happened { row: row.clone(), entries }]);
        Ok(Some(row))
    }

    /// Sends what was decided, one call after the other. Gives those whose grant is now to be compared.
    async fn act(
        &self,
        installation: &InstallationRow,
        decided: Vec<(RequestRow, Timestamp)>,
    ) -> Result<Vec<RequestRow>, Stop> {
        if decided.is_empty() {
            return Ok(Vec::new());
        }
        let engine = self.engine;
        let write = match engine.clients.write(installation.id) {
            Ok(write) => write,
            Err(error) => {
                let rows: Vec<_> = decided.into_iter().map(|(row, _)| row).collect();
                self.failed(installation.id, &rows, &error).await?;
                return Ok(Vec::new());
            }
        };
        let mut approved = Vec::new();
        for (row, oldest) in decided {
            write.my_turn().await;
            let now = engine.clock.now();
            if engine.is_stopping() || now.duration_since(oldest) > FACTS_LAST {
                // Still due: the next pass lists and judges it anew.
                break;
            }
            let key = row.key();
            let mut tx = self.begin().await?;
            let Some(effect) = tx.unfinished_effect(key).await? else {
                // A webhook ended it meanwhile. Were it something else, it is looked at again, not at once.
                self.postpone(&mut tx, key, "", now).await?;
                tx.commit().await?;
                continue;
            };
            let Some(sent) = record::happen(&mut tx, key, &Event::Sending, now, |_| {}).await?
            else {
                continue;
            };
            let State::Sent(verdict) = sent.row.state else { continue };
            tx.effect_sent(key, now).await?;
            tx.commit().await?;
            crate::crash::point("sending-committed");
            let (review, word) = match verdict {
                Verdict::Approve => (Review::Approve, "approve"),
                Verdict::Deny => (Review::Deny, "deny"),
            };
            let sending = audit::Event::Sending { effect: word, attempt: effect.attempts + 1 };
            engine.audit.write(record::entry(&sent.row, sending, now));
            let answer =
                write.review(&installation.organization, row.id, review, &effect.reason).await;
            crate::crash::point("review-answered");
            let row = self.answered(installation.id, key, verdict, answer).await?;
            if let Some(row) = row.filter(|row| matches!(row.state, State::Checking)) {
                approved.push(row);
            }
        }
        Ok(approved)
    }

    async fn answered(
        &self,
        installation: InstallationId,
        key: RequestKey,
        verdict: Verdict,
        answer: Result<(), CallError>,
    ) -> Result<Option<RequestRow>, Stop> {
        let now = self.engine.clock.now();
        let (event, error) = match answer {
            Ok(()) => (Event::Acknowledged(verdict), None),
            Err(error) => {
                let event = match &error {
                    CallError::NotFound | CallError::Unprocessable { .. } => Event::Refused,
                    error if error.may_have_taken_effect() => Event::AnswerLost,
                    _ => Event::TurnedAway,
                };
                (event, Some(error))
            }
        };
        let mut tx = self.begin().await?;
        let happened = record::happen(&mut tx, key, &event, now, |row| {
            let Some(error) = &error else { return };
            if matches!(row.state, State::Settled(..) | State::Gone | State::Checking) {
                return;
            }
            row.failures += 1;
            row.note = error.to_string();
            row.due_at = Some(match error {
                CallError::RateLimited { until } => *until,
                _ => backoff(now, row.failures),
            });
        })
        .await?;
        let Some(happened) = happened else { return Ok(None) };
        if let Some(error) = &error {
            if !error.may_have_taken_effect() {
                tx.effect_not_sent(key, &error.to_string()).await?;
            }
            tracing::warn!(request = %key.request, organization = %happened.row.organization.login, %error, "a review was not acknowledged");
        }
        let mut all = vec![happened];
        let refused_for_good = event == Event::Refused
            && all.first().is_some_and(|happened| happened.row.failures >= REFUSALS_BEFORE_PEOPLE);
        if refused_for_good {
            all.extend(
                record::happen(&mut tx, key, &Event::Escalate, now, |row| {
                    row.note = format!("GitHub refused our review {REFUSALS_BEFORE_PEOPLE} times: a person must look");
                })
                .await?,
            );
        }
        tx.commit().await?;
        crate::crash::point("answer-committed");
        let row = all.last().map(|happened| happened.row.clone());
        self.tell(all);
        if let Some(CallError::RateLimited { until }) = error {
            let read = self.engine.clients.read(installation).ok();
            self.limited_with(installation, read.and_then(|read| read.limits()), until).await?;
            return Err(Stop::Parked);
        }
        Ok(row)
    }

    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        self.engine.store.begin_under(&self.lease, self.engine.clock.now()).await
    }

    pub(super) fn tell(&self, happened: impl IntoIterator<Item = Happened>) {
        for entry in happened.into_iter().flat_map(|happened| happened.entries) {
            self.engine.audit.write(entry);
        }
    }

    /// A call that serves all of `rows` failed: none of them is decided, all are tried again.
    pub(super) async fn failed(
        &self,
        installation: InstallationId,
        rows: &[RequestRow],
        error: &CallError,
    ) -> Result<(), Stop> {
        let now = self.engine.clock.now();
        let organization =
            rows.first().map(|row| row.organization.login.to_string()).unwrap_or_default();
        tracing::warn!(organization, requests = rows.len(), %error, "a call to GitHub failed; it is tried again");
        if let CallError::RateLimited { until } = error {
            self.park(rows, *until, &error.to_string()).await?;
            let limits = self.engine.clients.read(installation).ok().and_then(|read| read.limits());
            self.limited_with(installation, limits, *until).await?;
            return Err(Stop::Parked);
        }
        let mut tx = self.begin().await?;
        for row in rows {
            self.postpone(&mut tx, row.key(), &error.to_string(), now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Tries one request again later, a little later each time.
    pub(super) async fn postpone(
        &self,
        tx: &mut Tx,
        key: RequestKey,
        note: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        record::happen(tx, key, &Event::Woken, now, |row| {
            if row.due_at.is_some() {
                row.failures += 1;
                row.note = note.to_owned();
                row.due_at = Some(backoff(now, row.failures));
            }
        })
        .await?;
        Ok(())
    }

    /// Leaves requests alone until `until`.
    async fn park(
        &self,
        rows: &[RequestRow],
        until: Timestamp,
        note: &str,
    ) -> Result<(), StoreError> {
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        for row in rows {
            record::happen(&mut tx, row.key(), &Event::Woken, now, |row| {
                if row.due_at.is_some() {
                    row.note = note.to_owned();
                    row.due_at = Some(until.max(after(now, 1)));
                }
            })
            .await?;
        }
        tx.commit().await
    }

    async fn limited(
        &self,
        installation: InstallationId,
        read: &Read,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.limited_with(installation, read.limits(), until).await
    }

    async fn limited_with(
        &self,
        installation: InstallationId,
        limits: Option<crate::github::Limits>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        tracing::warn!(%installation, %until, "GitHub's rate limit: nothing is sent until then");
        let mut tx = self.begin().await?;
        tx.note_limits(installation, limits, Some(until)).await?;
        tx.commit().await
    }
}

/// `seconds` after `now`.
pub(super) fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

/// When to try again after so many failures in a row: 1 s, 2 s, 4 s … 5 minutes, each a little uneven, so
/// that what failed together does not come back together.
pub(super) fn backoff(now: Timestamp, failures: i64) -> Timestamp {
    let doubled = 1_i64 << failures.clamp(1, 9).saturating_sub(1);
    let milliseconds = (doubled * 1_000).min(300_000);
    let mut random = [0u8; 1];
    // Without randomness they come back together: no reason to fail.
    let _ = getrandom::fill(&mut random);
    let [random] = random;
    let uneven = milliseconds - milliseconds * i64::from(random) / 1_024;
    now.saturating_add(SignedDuration::from_millis(uneven)).unwrap_or(now)
}
