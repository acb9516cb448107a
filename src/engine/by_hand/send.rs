//! What was shown is looked at and judged once more, recorded, and sent: one request by its own call, many by calls of at most
//! a hundred. Nothing is sent that is not what was shown.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{Call, Desk, Item, Stand, Unheard, Weighed, Word, stopped, tokens, unreadable_row};
use crate::{
    audit,
    domain::RequestId,
    engine::{
        act::{FACTS_LAST, failed_as},
        bulk::{BulkError, Leased, Step, Watch},
        judge::{self, ByHand, Judged},
        lifecycle::{Event, State, Verdict},
        record::{self, LANDS_WITHIN},
        worker::{Worker, backoff},
    },
    github::{CallError, MOST_AT_ONCE, Read, Review, Write},
    rules::MAX_REASON_CHARS,
    store::{
        EffectKind, EffectState, InstallationRow, NewEffect, NewReview, RequestRow, StoreError,
        Voice,
    },
};

/// How long judging goes on while something is judged and not sent: facts grow old.
const SEND_WITHIN: SignedDuration = SignedDuration::from_secs(15);

/// How often a call is made for the same requests before what is in the way is told.
const MOST_CALLS: usize = 3;

/// What an approval says where the operator says nothing.
const APPROVED: &str = "Approved by hand, by an operator of patwarden.";

/// How requests are named in a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// A hundred at once.
    Many,
    /// One by one: GitHub would not take some of them together, without saying which.
    Single,
}

impl Word {
    fn sent(&self) -> &str {
        if self.reason.is_empty() && self.verdict == Verdict::Approve {
            APPROVED
        } else {
            &self.reason
        }
    }

    /// Whether it is one that can be sent.
    fn check(&self) -> Result<(), BulkError> {
        let refused = |why: &str| Err(BulkError::Refused(why.to_owned()));
        if self.verdict == Verdict::Deny && self.reason.trim().is_empty() {
            return refused(
                "a denial has a reason: GitHub mails it to the requester, so say what would pass",
            );
        }
        let length = self.reason.chars().count();
        if length > MAX_REASON_CHARS {
            return refused(&format!(
                "the reason has {length} characters, and GitHub takes {MAX_REASON_CHARS}: it would have to be cut, so write \
                 a shorter one"
            ));
        }
        if self.override_why.as_ref().is_some_and(|why| why.trim().is_empty()) {
            return refused("--override says why soft rules are not to count: it cannot be empty");
        }
        Ok(())
    }
}

impl Desk {
    /// Sends a word for those of `items` that are ready, and looks what came of it. Each item says in the end where it stands;
    /// one that is still ready was not sent.
    ///
    /// # Errors
    /// [`BulkError::Refused`] for a word that GitHub would not take as it is; otherwise what stopped it in the middle. What
    /// is recorded by then, `serve` or the next command takes up.
    pub async fn send(
        &self,
        installation: &InstallationRow,
        items: &mut [Item],
        word: &Word,
        watch: &dyn Watch,
    ) -> Result<(), BulkError> {
        word.check()?;
        self.read_rules_again().await;
        let read = self.engine.clients.read(installation.id)?;
        let write = self.engine.clients.write(installation.id)?;
        let of = ready(items);
        for _ in 0..MOST_CALLS {
            let mut calls = Calls::Many;
            let mut refusals = 0;
            while ready(items) > 0 {
                self.may_call(installation, watch).await?;
                write.my_turn().await;
                let most = if calls == Calls::Many { MOST_AT_ONCE } else { 1 };
                let mut some: Vec<&mut Item> =
                    items.iter_mut().filter(|item| item.stand == Stand::Ready).take(most).collect();
                // Looked at and judged while nobody else may write for this organization, and sent at once.
                let leased = self.bulk.lease(installation.organization.id).await?;
                let sent =
                    self.send_some(&leased, installation, (&read, &write), &mut some, word).await;
                leased.release().await;
                if let Some(error) = sent? {
                    match error {
                        CallError::Unprocessable { .. } | CallError::NotFound => {
                            // One of them is over, or all are not to be reviewed as GitHub sees it: the next look shows
                            // which, or one by one it comes out.
                            refusals += 1;
                            if refusals > 1 {
                                calls = Calls::Single;
                            }
                        }
                        error => return Err(self.told_of_limit(installation, &read, error).await),
                    }
                }
                let done = of.saturating_sub(ready(items));
                watch.step(&Step::Reviewing { done, of });
            }
            self.see_through(installation, &read, items, watch).await?;
            if ready(items) == 0 {
                break;
            }
        }
        for item in items.iter_mut().filter(|item| item.stand == Stand::Ready) {
            item.stand = Stand::Sent(format!("no answer to {MOST_CALLS} calls"));
        }
        Ok(())
    }

    /// Somebody may have taken their time to type the number: the rules that count are those of now.
    async fn read_rules_again(&self) {
        let policies = self.engine.policies.clone();
        // Files on a disk that may hang: never on a thread that serves.
        let _ = tokio::task::spawn_blocking(move || policies.reload()).await;
        self.engine.look_at_rules().await;
    }

    /// Notes a limit for all of us, or the next who calls goes on while limited.
    async fn told_of_limit(
        &self,
        installation: &InstallationRow,
        read: &Read,
        error: CallError,
    ) -> BulkError {
        if let CallError::RateLimited { until } = &error {
            let noted = async {
                let mut tx = self.engine.store.begin().await?;
                tx.note_limits(installation.id, read.limits(), Some(*until)).await?;
                tx.commit().await
            };
            if let Err(error) = noted.await {
                return error.into();
            }
        }
        error.into()
    }

    /// Looks at some, judges them, and makes one call for those that are as they were shown. Gives why GitHub would not take
    /// it, where that is known.
    async fn send_some(
        &self,
        leased: &Leased,
        installation: &InstallationRow,
        (read, write): (&Read, &Write),
        items: &mut [&mut Item],
        word: &Word,
    ) -> Result<Option<CallError>, BulkError> {
        let worker = self.worker(leased);
        let ready = self.look_again(&worker, installation, read, items).await?;
        let looked_at = self.engine.clock.now();
        let mut to_send = Vec::new();
        for seen in &ready {
            let now = self.engine.clock.now();
            if !to_send.is_empty() && now.duration_since(looked_at) > SEND_WITHIN {
                // The rest is still ready: the next call is for them.
                break;
            }
            for weighed in self.weigh(read, std::slice::from_ref(seen), looked_at, word).await? {
                let Some(item) = items.iter_mut().find(|item| item.id == weighed.seen.0.id) else {
                    continue;
                };
                if item.fingerprint.as_ref() != Some(&weighed.fingerprint) {
                    item.stand = Stand::Changed;
                } else if let Err(refusal) = weighed.permitted {
                    item.stand = Stand::Refused(refusal);
                } else if self.engine.clock.now().duration_since(weighed.oldest) > FACTS_LAST {
                    item.stand = Stand::Failed(
                        "GitHub is slow: what was read grew old before it could be sent".to_owned(),
                    );
                } else if let Some(row) = self.record_word(&worker, weighed, word).await? {
                    to_send.push(row);
                } else {
                    item.stand = Stand::NotPending("it ended meanwhile".to_owned());
                }
            }
        }
        match to_send.as_slice() {
            [] => Ok(None),
            [only] => {
                let now = self.engine.clock.now();
                let sent = worker.send(installation, write, only, now).await;
                let row = match sent {
                    Ok(row) => row,
                    Err(stop) => return Err(stopped(self, installation, stop).await),
                };
                if let Some(item) = items.iter_mut().find(|item| item.id == only.id) {
                    item.stand = after_one(row);
                    item.call = Call::Own;
                }
                Ok(None)
            }
            many => self.send_many(&worker, installation, write, many, items).await,
        }
    }

    /// Looks for those that are to be sent, by token id. Gives those that are pending as they were shown.
    async fn look_again(
        &self,
        worker: &Worker<'_>,
        installation: &InstallationRow,
        read: &Read,
        items: &mut [&mut Item],
    ) -> Result<Vec<super::Seen>, BulkError> {
        let organization = &installation.organization;
        let listing = read
            .pending_requests_of(organization, &tokens(items.iter().map(|item| &**item)))
            .await?;
        let listed: HashMap<RequestId, _> =
            listing.requests.into_iter().map(|request| (request.id, request)).collect();
        let mut seen = Vec::new();
        for item in items {
            let hidden =
                listing.unreadable.iter().find(|(row, _)| row.is_none_or(|row| row == item.id));
            let Some(request) = listed.get(&item.id) else {
                item.stand = match hidden {
                    Some((_, why)) => Stand::Failed(unreadable_row(why)),
                    None => Stand::NotPending(self.note_gone(worker, installation, item.id).await?),
                };
                continue;
            };
            let unheard = Unheard::Kept(item.decision.as_ref().map(|(id, _)| id));
            match self.take_up(worker, request, unheard).await? {
                Ok(row) => seen.push((row, request.clone())),
                Err(stand) => item.stand = stand,
            }
        }
        Ok(seen)
    }

    /// It is not pending any more, as asking for its token shows. What it became is looked at by whoever knows how, where a call
    /// is in doubt.
    async fn note_gone(
        &self,
        worker: &Worker<'_>,
        installation: &InstallationRow,
        id: RequestId,
    ) -> Result<String, StoreError> {
        let now = self.engine.clock.now();
        let key =
            crate::store::RequestKey { organization: installation.organization.id, request: id };
        let mut tx = worker.begin().await?;
        let row = tx.request(key).await?;
        if row
            .as_ref()
            .is_some_and(|row| row.in_doubt.is_none() && !matches!(row.state, State::Sent(_)))
        {
            let event = Event::Absent { in_doubt: None, granted: false };
            let happened = record::happen(&mut tx, key, &event, now, |_| {}).await?;
            tx.commit().await?;
            worker.tell(happened);
        }
        self.known_of(installation.organization.id, id).await
    }

    /// Records a word, what the rules say, and the effect in the outbox, before anything is sent. `None`: a webhook ended the
    /// request meanwhile.
    async fn record_word(
        &self,
        worker: &Worker<'_>,
        weighed: Weighed,
        word: &Word,
    ) -> Result<Option<RequestRow>, StoreError> {
        let key = weighed.seen.0.key();
        // Said of many, and on record only where something was overridden.
        let override_why = word.override_why.clone().filter(|_| !weighed.vetoes().is_empty());
        let before = self.engine.store.open_review(key).await?.filter(|before| {
            // The same, said before and not over: GitHub refused a call for many, or a command broke off.
            before.fingerprint == weighed.fingerprint
                && before.verdict == word.verdict
                && before.reason == word.sent()
                && before.override_why == override_why
                && before.operator == word.operator
        });
        let by_hand = match &before {
            Some(before) => ByHand::Before(before.id),
            None => ByHand::Said(NewReview {
                fingerprint: weighed.fingerprint.clone(),
                verdict: word.verdict,
                reason: word.sent().to_owned(),
                override_why: override_why.clone(),
                voice: Voice::Operator,
                operator: word.operator.clone(),
            }),
        };
        let Weighed { seen: (row, request), in_force, judged, learned, fingerprint, .. } = weighed;
        let recorded = match (judged, in_force.policy.as_deref()) {
            (Some(judged), Some(policy)) => {
                let judged: Judged =
                    judged.with_word(word.verdict, word.sent().to_owned(), by_hand);
                let under = judge::Under { policy, source: &in_force.source };
                worker.record(&row, &request, &under, judged, &learned).await?
            }
            _ => {
                worker
                    .record_without_rules(&row, &request, fingerprint, by_hand, word.sent())
                    .await?
            }
        };
        let recorded = recorded.filter(|row| row.state == State::Decided(word.verdict));
        if let (Some(row), None) = (&recorded, before) {
            let said = audit::Event::ReviewedByHand {
                effect: word.verdict.as_str(),
                by: word.operator.clone(),
                reason: word.sent().to_owned(),
                override_why,
            };
            self.engine.audit.write(record::entry(row, said, self.engine.clock.now()));
        }
        Ok(recorded)
    }

    /// One call for many, in the record before it is made.
    async fn send_many(
        &self,
        worker: &Worker<'_>,
        installation: &InstallationRow,
        write: &Write,
        rows: &[RequestRow],
        items: &mut [&mut Item],
    ) -> Result<Option<CallError>, BulkError> {
        let now = self.engine.clock.now();
        let (mut sending, mut entries) = (Vec::new(), Vec::new());
        let mut what = None;
        let mut tx = worker.begin().await?;
        for row in rows {
            match worker.note_sending(&mut tx, row.key(), now).await? {
                Some((one, entry)) => {
                    // Until GitHub has had the time to do it, nobody is to look and send it again.
                    record::happen(&mut tx, row.key(), &Event::Woken, now, |row| {
                        row.due_at = now.saturating_add(LANDS_WITHIN).ok();
                    })
                    .await?;
                    what = Some((one.verdict, one.reason));
                    sending.push(row.id);
                    entries.push(entry);
                }
                None => set(
                    items,
                    row.id,
                    Stand::NotPending("it ended meanwhile, or the rules changed".to_owned()),
                ),
            }
        }
        tx.commit().await?;
        crate::crash::point("reviews-journalled");
        for entry in entries {
            self.engine.audit.write(entry);
        }
        let Some((verdict, reason)) = what else { return Ok(None) };
        let review = match verdict {
            Verdict::Approve => Review::Approve,
            Verdict::Deny => Review::Deny,
        };
        let answer = write.review_many(&installation.organization, &sending, review, &reason).await;
        crate::crash::point("reviews-answered");
        let error = answer.err();
        self.answered_many(worker, rows, &sending, error.as_ref()).await?;
        let lost = error.is_some();
        let known = error.filter(|error| !error.may_have_taken_effect());
        if known.is_none() {
            let call = if lost { Call::Lost } else { Call::Taken };
            for item in items.iter_mut().filter(|item| sending.contains(&item.id)) {
                item.stand = Stand::Sent("GitHub does it later".to_owned());
                item.call = call;
            }
        }
        Ok(known)
    }

    async fn answered_many(
        &self,
        worker: &Worker<'_>,
        rows: &[RequestRow],
        sending: &[RequestId],
        error: Option<&CallError>,
    ) -> Result<(), StoreError> {
        let now = self.engine.clock.now();
        // 202 says that GitHub took the call: it proves nothing of any request.
        let event = error.map_or(Event::Woken, failed_as);
        let mut happened = Vec::new();
        let mut tx = worker.begin().await?;
        for row in rows.iter().filter(|row| sending.contains(&row.id)) {
            let key = row.key();
            let one = record::happen(&mut tx, key, &event, now, |row| match error {
                _ if !matches!(row.state, State::Sent(_) | State::Decided(_)) => {}
                None => "GitHub took the review and does it later".clone_into(&mut row.note),
                Some(error) => {
                    row.failures += 1;
                    row.note = error.to_string();
                    row.due_at = match error {
                        CallError::RateLimited { until } => Some(*until),
                        error if error.may_have_taken_effect() => {
                            now.saturating_add(LANDS_WITHIN).ok()
                        }
                        _ => Some(backoff(now, row.failures)),
                    };
                }
            })
            .await?;
            if let Some(error) = error.filter(|error| !error.may_have_taken_effect()) {
                tx.effect_not_sent(key, &error.to_string()).await?;
            }
            happened.extend(one);
        }
        tx.commit().await?;
        worker.tell(happened);
        Ok(())
    }
}

impl Worker<'_> {
    /// Records an operator's denial where no rules are in force: that needs none.
    async fn record_without_rules(
        &self,
        row: &RequestRow,
        request: &crate::domain::TokenRequest,
        fingerprint: crate::domain::Fingerprint,
        by_hand: ByHand,
        reason: &str,
    ) -> Result<Option<RequestRow>, StoreError> {
        let (key, now) = (row.key(), self.engine.clock.now());
        let mut tx = self.begin().await?;
        let before = tx.request(key).await?;
        let Some(before) = before.filter(|row| super::may_be_judged(&row.state)) else {
            return Ok(None);
        };
        let review_id = match &by_hand {
            ByHand::Said(new) => {
                if matches!(before.state, State::Decided(_)) {
                    let (state, why) = match before.in_doubt {
                        Some(_) => {
                            (EffectState::Unknown, "reviewed by hand, and no answer to our call")
                        }
                        None => (EffectState::Void, "reviewed by hand before it was sent"),
                    };
                    tx.end_effects(key, state, why, now).await?;
                }
                Some(tx.record_review(key, new, None, now).await?)
            }
            ByHand::Before(id) => Some(*id),
            ByHand::Shown => return Ok(None),
        };
        let event = Event::Judged(Verdict::Deny);
        let happened = record::happen(&mut tx, key, &event, now, |row| {
            row.fingerprint = Some(fingerprint.clone());
            row.shape = Some(crate::domain::Fingerprint::of(request, None));
            row.due_at = Some(now);
        })
        .await?;
        let effect = NewEffect {
            fingerprint: &fingerprint,
            kind: EffectKind::Deny,
            decision_id: None,
            review_id,
            target_id: row.id.0,
            reason,
        };
        tx.record_effect(key, &effect, now).await?;
        tx.commit().await?;
        Ok(happened.map(|happened| happened.row))
    }
}

fn ready(items: &[Item]) -> u64 {
    let ready = items.iter().filter(|item| item.stand == Stand::Ready).count();
    u64::try_from(ready).unwrap_or(u64::MAX)
}

fn set(items: &mut [&mut Item], id: RequestId, stand: Stand) {
    if let Some(item) = items.iter_mut().find(|item| item.id == id) {
        item.stand = stand;
    }
}

/// Where a request stands after its own call.
fn after_one(row: Option<RequestRow>) -> Stand {
    match row {
        None => Stand::NotPending("it ended meanwhile, or the rules changed".to_owned()),
        Some(row) => match row.state {
            State::Checking | State::Settled(..) => Stand::Done(row.state),
            State::Sent(_) => Stand::Sent(row.note),
            _ => Stand::Failed(row.note),
        },
    }
}

/// When an item's call is to be looked after.
pub(super) fn looks(sent_at: Timestamp) -> [Timestamp; 3] {
    [1, 3, 10].map(|seconds| {
        sent_at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(sent_at)
    })
}
