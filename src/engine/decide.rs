//! Facts are gathered, the rules decide, and the decision is durable before anything is sent.

use jiff::{SignedDuration, Timestamp};
use tracing::Instrument as _;

use super::{
    by_hand, escalate,
    gather::{self, Learned, Sources},
    judge::{self, ByHand, HeldBack, Judged, Under},
    lifecycle::{Event, State, Verdict},
    look::Seen,
    record::{self, Happened},
    worker::{Stop, Worker, after, backoff, span_of},
};
use crate::{
    domain::{Fingerprint, TokenRequest},
    github::Read,
    store::{
        DecisionRow, EffectKind, EffectState, InstallationRow, NewEffect, RequestKey, RequestRow,
        ReviewRow, StoreError, Tx,
    },
};

/// How long judging goes on while something is decided and not sent: a slow GitHub must not let the facts of
/// the first grow old in line.
const SEND_WITHIN: SignedDuration = SignedDuration::from_secs(15);

/// How long an unreadable fact is read again before people are asked. Reading goes on after that.
const PEOPLE_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// How the note begins once that time is over.
const WAITED: &str = "needs people by now; ";

/// A request that was decided, and is to be sent.
pub(super) struct Decided {
    pub(super) row: RequestRow,
    /// When the oldest thing was read on which that rests.
    pub(super) oldest: Timestamp,
}

impl Worker<'_> {
    /// Gathers facts and judges; records each decision before anything is sent. Those that there was no time
    /// for are still due.
    pub(super) async fn decide(
        &self,
        installation: &InstallationRow,
        read: &Read,
        seen: &[Seen],
        looked_at: Timestamp,
    ) -> Result<Vec<Decided>, Stop> {
        let engine = self.engine;
        let began = engine.clock.now();
        let mut decided = Vec::new();
        // `Decided` too: it was parked or its process died, and its facts are old by now.
        for (row, request) in seen.iter().filter(|(row, _)| may_be_judged(&row.state)) {
            let now = engine.clock.now();
            if engine.is_stopping()
                || (!decided.is_empty() && now.duration_since(began) > SEND_WITHIN)
            {
                break;
            }
            let in_force = engine.policies.in_force(&installation.organization);
            let Some(policy) = in_force.policy.clone() else {
                let why = in_force.broken.unwrap_or_else(|| "no rules were loaded".to_owned());
                let note = format!("no valid policy: {why}");
                self.park(std::slice::from_ref(row), after(now, 30), &note).await?;
                continue;
            };
            let sources = Sources {
                read,
                store: &engine.store,
                cache: &engine.cache,
                clock: &engine.clock,
                together: seen,
                looked_at,
            };
            let review = self.open_review(row).await?;
            // What an operator said was said of these repositories and no others.
            let needs = match review {
                Some(_) => &by_hand::needs(Some(&policy)),
                None => policy.needs(),
            };
            let span = span_of(row);
            let gathered = gather::gather(sources, request, needs).instrument(span.clone()).await?;
            let oldest =
                gather::oldest(&gathered.facts).map_or(looked_at, |read_at| read_at.min(looked_at));
            let held_back =
                HeldBack { broken: in_force.broken.as_deref(), unconfirmed: row.unconfirmed };
            let mut gathered = gathered;
            let mut judged = judge::judge(&policy, &held_back, request, gathered.facts);
            if judged.event == Event::Escalate
                && gathered.limited_until.is_none()
                && let Some(needs) = escalate::needs_for_people(&policy, request)
            {
                // People decide about all that they are shown.
                let gathering = gather::gather(sources, request, &needs).instrument(span.clone());
                gathered = gathering.await?;
                judged = judge::judge(&policy, &held_back, request, gathered.facts);
            }
            let judged = match &review {
                Some(review) => judged.going_on_with(review, held_back.broken),
                None => judged,
            };
            let under = Under { policy: &policy, source: &in_force.source };
            let recording = self.record(row, request, &under, judged, &gathered.learned);
            let row = recording.instrument(span).await?;
            decided.extend(
                row.filter(|row| matches!(row.state, State::Decided(_)))
                    .map(|row| Decided { row, oldest }),
            );
            if let Some(until) = gathered.limited_until {
                engine.cache.forget(installation.organization.id).await;
                self.limited(installation.id, until).await?;
                return Err(Stop::Parked);
            }
        }
        Ok(decided)
    }

    /// Records what was judged, and what is to be sent for it. Gives the request as it stands then, unless a
    /// webhook said meanwhile how it ended.
    pub(super) async fn record(
        &self,
        row: &RequestRow,
        request: &TokenRequest,
        under: &Under<'_>,
        judged: Judged,
        learned: &Learned,
    ) -> Result<Option<RequestRow>, StoreError> {
        let engine = self.engine;
        let policy = under.policy;
        let key = row.key();
        let now = engine.clock.now();
        let last = self.readable_decision(row.decision_id).await?;
        let mut tx = self.begin().await?;
        let Some(current) = tx.request(key).await?.filter(|row| may_be_judged(&row.state)) else {
            return Ok(None);
        };
        let last = last.filter(|last| judged.says_the_same_as(last, policy.hash()));
        let repeats = last.is_some();
        let decision_id = match last {
            Some(last) => last.id,
            None => record_decision(&mut tx, request, under, &judged, now).await?,
        };
        let review_id = match &judged.by_hand {
            Some(ByHand::Said(new)) => {
                Some(tx.record_review(key, new, Some(decision_id), now).await?)
            }
            Some(ByHand::Before(id)) => Some(*id),
            Some(ByHand::Shown) | None => None,
        };
        let said_anew = matches!(judged.by_hand, Some(ByHand::Said(_)));
        if matches!(current.state, State::Decided(_)) && (!repeats || said_anew) {
            let (state, why) = match current.in_doubt {
                Some(_) => (EffectState::Unknown, "judged again, and no answer to our call"),
                None => (EffectState::Void, "judged again before it was sent"),
            };
            tx.end_effects(key, state, why, now).await?;
        }
        let mut people_now = !repeats && !judged.retry;
        let happened = record::happen(&mut tx, key, &judged.event, now, |row| {
            let waited = judged.retry && now.duration_since(row.state_since) >= PEOPLE_AFTER;
            people_now |= waited && !row.note.starts_with(WAITED);
            row.note = format!("{}{}", if waited { WAITED } else { "" }, judged.note);
            row.fingerprint = Some(judged.fingerprint.clone());
            row.shape = Some(Fingerprint::of(request, None));
            row.decision_id = Some(decision_id);
            row.judged_under = Some(judge::grounds(policy));
            row.failures += i64::from(judged.retry);
            row.due_at = due_after(row, judged.retry, now);
        })
        .await?;
        let Some(Happened { row, mut entries }) = happened else { return Ok(None) };
        // What may yet be read or mended is waited for.
        let from = if judged.retry {
            row.state_since.saturating_add(PEOPLE_AFTER).unwrap_or(now)
        } else {
            now
        };
        escalate::ask_people(&mut tx, &row, policy, &judged.decision.to, from, now).await?;
        learned.note(&mut tx, key.organization, now).await?;
        self.record_effect(&mut tx, &row, &judged, Some(decision_id), review_id).await?;
        crate::crash::point("decision-written");
        tx.commit().await?;
        crate::crash::point("decision-committed");
        if !repeats {
            entries.insert(0, record::entry(&row, judged.as_audit(decision_id, under), now));
        }
        if people_now && row.state == State::Escalated {
            engine.call_for_people(&row, &judged.decision.to);
        }
        self.tell([Happened { row: row.clone(), entries }]);
        Ok(Some(row))
    }

    async fn record_effect(
        &self,
        tx: &mut Tx,
        row: &RequestRow,
        judged: &Judged,
        decision_id: Option<i64>,
        review_id: Option<i64>,
    ) -> Result<(), StoreError> {
        let kind = match row.state {
            State::Decided(Verdict::Approve) => EffectKind::Approve,
            State::Decided(Verdict::Deny) => EffectKind::Deny,
            _ => return Ok(()),
        };
        let effect = NewEffect {
            fingerprint: &judged.fingerprint,
            kind,
            decision_id,
            review_id,
            target_id: row.id.0,
            reason: &judged.reason,
        };
        tx.record_effect(row.key(), &effect, self.engine.clock.now()).await
    }

    /// Records what the rules say of a request, for an operator to see, and gives its number. Where the request stands is not
    /// touched.
    pub(super) async fn note_shown(
        &self,
        row: &RequestRow,
        request: &TokenRequest,
        under: &Under<'_>,
        judged: &Judged,
        learned: &Learned,
    ) -> Result<i64, StoreError> {
        let now = self.engine.clock.now();
        let last = self.readable_decision(row.decision_id).await?;
        if let Some(last) = last.filter(|last| judged.says_the_same_as(last, under.policy.hash())) {
            return Ok(last.id);
        }
        let mut tx = self.begin().await?;
        let id = record_decision(&mut tx, request, under, judged, now).await?;
        learned.note(&mut tx, row.organization.id, now).await?;
        record::happen(&mut tx, row.key(), &Event::Woken, now, |row| {
            if matches!(row.state, State::Waiting | State::Escalated | State::Held) {
                row.decision_id = Some(id);
            }
        })
        .await?;
        tx.commit().await?;
        let entry = record::entry(row, judged.as_audit(id, under), now);
        self.tell([Happened { row: row.clone(), entries: vec![entry] }]);
        Ok(id)
    }

    /// What an operator said of a request whose call is not over.
    async fn open_review(&self, row: &RequestRow) -> Result<Option<ReviewRow>, StoreError> {
        match row.state {
            State::Decided(_) => self.engine.store.open_review(row.key()).await,
            _ => Ok(None),
        }
    }

    /// A recorded decision. One that cannot be read (another version wrote it, or the file was edited) is as
    /// good as none: it must not keep the whole organization from being worked on.
    pub(super) async fn readable_decision(
        &self,
        id: Option<i64>,
    ) -> Result<Option<DecisionRow>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        match self.engine.store.decision(id).await {
            Err(StoreError::Unreadable(why)) => {
                tracing::error!(decision = id, why, "a decision in the record cannot be read");
                Ok(None)
            }
            read => read,
        }
    }
}

async fn record_decision(
    tx: &mut Tx,
    request: &TokenRequest,
    under: &Under<'_>,
    judged: &Judged,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let policy = under.policy;
    let key = RequestKey { organization: request.organization.id, request: request.id };
    tx.note_policy(policy.hash(), &judge::sources(policy), now).await?;
    tx.record_decision(key, &judged.as_new(request, under, now)).await
}

pub(super) fn may_be_judged(state: &State) -> bool {
    matches!(state, State::Waiting | State::Escalated | State::Held | State::Decided(_))
}

/// When a judged request is looked at again by itself, if at all.
fn due_after(row: &RequestRow, retry: bool, now: Timestamp) -> Option<Timestamp> {
    match &row.state {
        State::Decided(_) => Some(now),
        _ if retry => Some(backoff(now, row.failures)),
        // Until it is known whether an earlier call of ours lands after all.
        _ if row.in_doubt.is_some() => {
            now.saturating_add(record::LANDS_WITHIN).ok().map(|then| after(then, 1))
        }
        _ => None,
    }
}
