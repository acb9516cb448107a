//! The outbox: what was decided is sent, one call after the other, and what came of it is recorded.

use jiff::{SignedDuration, Timestamp};
use tracing::Instrument as _;

use super::{
    decide::Decided,
    escalate, judge,
    lifecycle::{Event, State, Verdict},
    record,
    worker::{Stop, Worker, backoff, span_of},
};
use crate::{
    audit,
    domain::InstallationId,
    github::{CallError, Review, Write},
    store::{InstallationRow, RequestKey, RequestRow, StoreError, Tx, Voice},
};

/// How old the oldest fact behind a decision may be when its call is sent, counted from when GitHub had answered.
/// A list of many pages is older than that at its first page: what changed meanwhile is found by the comparison
/// after the approval, as far as it is in the request.
pub(super) const FACTS_LAST: SignedDuration = SignedDuration::from_secs(60);

/// After so many refusals of a call for a request that is still pending, people must look.
const REFUSALS_BEFORE_PEOPLE: i64 = 8;

/// What is about to be sent, as it was recorded.
pub(super) struct Sending {
    pub(super) verdict: Verdict,
    pub(super) reason: String,
}

/// What it means for a request that the call for it failed.
pub(super) fn failed_as(error: &CallError) -> Event {
    match error {
        CallError::NotFound | CallError::Unprocessable { .. } => Event::Refused,
        error if error.may_have_taken_effect() => Event::AnswerLost,
        _ => Event::TurnedAway,
    }
}

impl Worker<'_> {
    /// Sends what was decided. Gives those whose grant is now to be compared.
    pub(super) async fn act(
        &self,
        installation: &InstallationRow,
        decided: Vec<Decided>,
    ) -> Result<Vec<RequestRow>, Stop> {
        if decided.is_empty() {
            return Ok(Vec::new());
        }
        let write = match self.engine.clients.write(installation.id) {
            Ok(write) => write,
            Err(error) => {
                let rows: Vec<_> = decided.into_iter().map(|decided| decided.row).collect();
                self.failed(installation.id, &rows, &error).await?;
                return Ok(Vec::new());
            }
        };
        let mut approved = Vec::new();
        let mut sent_any = false;
        for Decided { row, oldest } in decided {
            write.my_turn().await;
            if self.engine.is_stopping() {
                break;
            }
            let now = self.engine.clock.now();
            if now.duration_since(oldest) > FACTS_LAST {
                if !sent_any {
                    // GitHub is slow: not at once again, or nothing would ever be sent.
                    let mut tx = self.begin().await?;
                    let note =
                        "what was read grew old before it could be acted on; it is read again";
                    self.postpone(&mut tx, row.key(), note, now).await?;
                    tx.commit().await?;
                }
                // The others are still due: the next pass lists and judges them anew.
                break;
            }
            sent_any = true;
            let sent = self.send(installation, &write, &row, now).instrument(span_of(&row));
            let row = sent.await?;
            approved.extend(row.filter(|row| matches!(row.state, State::Checking)));
        }
        Ok(approved)
    }

    pub(super) async fn send(
        &self,
        installation: &InstallationRow,
        write: &Write,
        row: &RequestRow,
        now: Timestamp,
    ) -> Result<Option<RequestRow>, Stop> {
        let key = row.key();
        let Some(Sending { verdict, reason }) = self.begin_sending(key, now).await? else {
            return Ok(None);
        };
        let review = match verdict {
            Verdict::Approve => Review::Approve,
            Verdict::Deny => Review::Deny,
        };
        let answer = write.review(&installation.organization, row.id, review, &reason).await;
        crate::crash::point("review-answered");
        self.answered(installation.id, key, verdict, answer).await
    }

    /// Records that the call is begun, if it still is to be: everything may have changed while it waited for
    /// its turn.
    async fn begin_sending(
        &self,
        key: RequestKey,
        now: Timestamp,
    ) -> Result<Option<Sending>, StoreError> {
        let mut tx = self.begin().await?;
        let sending = self.note_sending(&mut tx, key, now).await?;
        tx.commit().await?;
        crate::crash::point("sending-committed");
        Ok(sending.map(|(sending, entry)| {
            self.engine.audit.write(entry);
            sending
        }))
    }

    /// The same in a transaction for one or many.
    pub(super) async fn note_sending(
        &self,
        tx: &mut Tx,
        key: RequestKey,
        now: Timestamp,
    ) -> Result<Option<(Sending, audit::Entry)>, StoreError> {
        let Some(effect) = tx.unfinished_effect(key).await? else {
            // A webhook ended it meanwhile. Were it something else, it is looked at again, not at once.
            self.postpone(tx, key, "", now).await?;
            return Ok(None);
        };
        let current = tx.request(key).await?;
        let voice = match effect.review_id {
            Some(review) => tx.voice_of(review).await?,
            None => None,
        };
        if !current.is_some_and(|row| self.is_still_right(&row, voice)) {
            // Still due: the next pass judges it under the rules as they are now.
            return Ok(None);
        }
        let Some(sent) = record::happen(tx, key, &Event::Sending, now, |_| {}).await? else {
            return Ok(None);
        };
        let State::Sent(verdict) = sent.row.state else { return Ok(None) };
        tx.effect_sent(key, now).await?;
        let sending =
            audit::Event::Sending { effect: verdict.as_str(), attempt: effect.attempts + 1 };
        let entry = record::entry(&sent.row, sending, now);
        Ok(Some((Sending { verdict, reason: effect.reason }, entry)))
    }

    /// Whether the rules that decided are still in force, and nothing forbids to act on them. To deny by hand needs none;
    /// silence is nobody's hand.
    fn is_still_right(&self, row: &RequestRow, voice: Option<Voice>) -> bool {
        let in_force = self.engine.policies.in_force(&row.organization);
        let same =
            in_force.policy.is_some_and(|policy| row.judged_under == Some(judge::grounds(&policy)));
        match row.state {
            State::Decided(Verdict::Approve) => same && in_force.broken.is_none(),
            State::Decided(Verdict::Deny) => {
                same || matches!(voice, Some(Voice::Operator | Voice::Reviewers))
            }
            _ => false,
        }
    }

    async fn answered(
        &self,
        installation: InstallationId,
        key: RequestKey,
        verdict: Verdict,
        answer: Result<(), CallError>,
    ) -> Result<Option<RequestRow>, Stop> {
        let now = self.engine.clock.now();
        let error = answer.err();
        let event = error.as_ref().map_or(Event::Acknowledged(verdict), failed_as);
        let mut tx = self.begin().await?;
        let happened = record::happen(&mut tx, key, &event, now, |row| {
            let Some(error) = &error else { return };
            if matches!(row.state, State::Settled(..) | State::Gone | State::Checking) {
                return;
            }
            row.failures += 1;
            row.refusals += i64::from(event == Event::Refused);
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
        let refused_for_good =
            all.iter().any(|happened| happened.row.refusals >= REFUSALS_BEFORE_PEOPLE);
        if refused_for_good {
            all.extend(
                record::happen(&mut tx, key, &Event::Escalate, now, |row| {
                    row.note = format!("GitHub refused our review {REFUSALS_BEFORE_PEOPLE} times: a person must look");
                })
                .await?,
            );
        }
        if let (true, Some(last)) = (refused_for_good, all.last()) {
            let in_force = self.engine.policies.in_force(&last.row.organization);
            if let Some(policy) = in_force.policy {
                let decision = match last.row.decision_id {
                    Some(id) => self.engine.store.decision(id).await?,
                    None => None,
                };
                let to = decision.map(|row| row.decision.to).unwrap_or_default();
                escalate::ask_people(&mut tx, &last.row, &policy, &to, now, now).await?;
            }
        }
        tx.commit().await?;
        crate::crash::point("answer-committed");
        let row = all.last().map(|happened| happened.row.clone());
        if let Some(row) = row.as_ref().filter(|_| refused_for_good) {
            self.engine.call_for_people(row, &[]);
        }
        self.tell(all);
        if let Some(CallError::RateLimited { until }) = error {
            self.limited(installation, until).await?;
            return Err(Stop::Parked);
        }
        Ok(row)
    }
}
