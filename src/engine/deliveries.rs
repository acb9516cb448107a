//! Webhooks that did not arrive: GitHub never sends one again by itself, so its list of deliveries is looked through, and
//! what failed is asked for again. It comes by the door that every webhook comes by; nothing is decided from the list.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Engine, LOOK_EVERY, ReconcileError, after,
    ingest::{Reads, reads},
    or_stop, retry_pause,
};
use crate::{
    domain::{InstallationId, RepositoryId},
    github::{App, CallError, HookDelivery, HookDeliveryPage},
    store::{MissedRow, MissedState, Store},
};

/// How often a delivery is asked for again.
const ATTEMPTS: i64 = 3;

/// How long after each time it is looked for in vain before it is asked for again, or given up.
const PATIENCE: [SignedDuration; 3] =
    [SignedDuration::from_mins(10), SignedDuration::from_hours(1), SignedDuration::from_mins(10)];

/// How much of what was read the last time is read again: an attempt enters the list when it ends, under the time at
/// which it began.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// The most pages of a hundred that are read in one round. What is older then is left to the lists of pending requests.
const MOST_PAGES: usize = 100;

/// The most deliveries that are asked for in one round.
const MOST_A_ROUND: usize = 50;

/// All attempts to deliver one webhook.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// The newest attempt; the newest that failed, where all did.
    pub attempt: HookDelivery,
    /// How many attempts the list shows.
    pub attempts: usize,
    /// Whether one of them was taken.
    pub taken: bool,
    /// Whether it is in the inbox.
    pub held: bool,
    /// Whether it is about something that we read.
    pub read: bool,
    /// What we did about it, where it had failed.
    pub missed: Option<MissedRow>,
}

impl Sent {
    /// Whether something is lacking: nobody took it, and we would have.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        !self.taken && !self.held && self.read
    }
}

/// What GitHub's list shows.
#[derive(Default)]
struct Walk {
    /// One for each GUID, the newest first.
    sent: Vec<Sent>,
    places: HashMap<String, usize>,
    newest: Option<Timestamp>,
    /// Whether everything was read that was to be read.
    whole: bool,
}

impl Walk {
    async fn through(app: &App, until: Timestamp, pages: usize) -> Result<Self, CallError> {
        let mut walk = Self::default();
        let mut page: Option<HookDeliveryPage> = None;
        for _ in 0..pages {
            let next = app.hook_deliveries(page.as_ref()).await?;
            let last = next.deliveries.last().map(|attempt| attempt.delivered_at);
            for attempt in &next.deliveries {
                walk.add(attempt);
            }
            if last.is_none_or(|last| last < until) || !next.has_more() {
                walk.whole = true;
                break;
            }
            page = Some(next);
        }
        Ok(walk)
    }

    fn add(&mut self, attempt: &HookDelivery) {
        self.newest = self.newest.max(Some(attempt.delivered_at));
        let place = self.places.get(&attempt.guid).and_then(|place| self.sent.get_mut(*place));
        match place {
            Some(sent) => {
                sent.attempts += 1;
                sent.taken |= attempt.arrived();
            }
            None => {
                self.places.insert(attempt.guid.clone(), self.sent.len());
                self.sent.push(Sent {
                    attempt: attempt.clone(),
                    attempts: 1,
                    taken: attempt.arrived(),
                    held: false,
                    read: reads(&attempt.event) != Reads::Never,
                    missed: None,
                });
            }
        }
    }
}

/// What GitHub sent lately, the newest first, beside what we hold of it; at most so many pages of a hundred attempts.
///
/// # Errors
/// When GitHub cannot be asked, or the store refuses.
pub async fn sent_lately(
    app: &App,
    store: &Store,
    pages: usize,
) -> Result<Vec<Sent>, ReconcileError> {
    let walk = Walk::through(app, Timestamp::MIN, pages).await?;
    let guids: Vec<String> = walk.sent.iter().map(|sent| sent.attempt.guid.clone()).collect();
    let held = store.held(&guids).await?;
    let mut missed: HashMap<String, MissedRow> =
        store.missed(i64::MAX).await?.into_iter().map(|row| (row.guid.clone(), row)).collect();
    let sent = walk.sent.into_iter().map(|sent| Sent {
        held: held.contains(&sent.attempt.guid),
        missed: missed.remove(&sent.attempt.guid),
        ..sent
    });
    Ok(sent.collect())
}

/// Somebody wants this delivery again, however often it was asked for.
///
/// # Errors
/// Whatever the call came to, or the store.
pub async fn ask_again(
    app: &App,
    store: &Store,
    sent: &Sent,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    let [patience, ..] = PATIENCE;
    store.note_missed(&[missed(&sent.attempt, now)]).await?;
    // Before the call: `patwarden serve` is not to ask as well.
    store.asked_by_hand(&sent.attempt.guid, now, later(now, patience)).await?;
    match app.redeliver(sent.attempt.id).await {
        Ok(()) => Ok(()),
        Err(error) => {
            store.take_asking_back(&sent.attempt.guid, now).await?;
            Err(error.into())
        }
    }
}

fn missed(attempt: &HookDelivery, due_at: Timestamp) -> MissedRow {
    MissedRow {
        guid: attempt.guid.clone(),
        attempt: attempt.id,
        event: attempt.event.clone(),
        action: attempt.action.clone(),
        installation: attempt.installation_id,
        delivered_at: attempt.delivered_at,
        state: MissedState::Waiting,
        asked: 0,
        asked_at: None,
        due_at,
        note: String::new(),
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(now)
}

impl Engine {
    /// Looks for what did not arrive at start and every so often; what failed is tried again sooner.
    pub(super) async fn keep_fetching(self: Arc<Self>, stop: CancellationToken) {
        let Some(every) = self.options.deliveries_every else { return stop.cancelled().await };
        // Whose deliveries are asked for hangs on where the App is installed.
        while !self.listed.load(Ordering::Acquire) {
            if or_stop(&stop, tokio::time::sleep(LOOK_EVERY / 10)).await.is_none() {
                return;
            }
        }
        let mut failures = 0u32;
        loop {
            let began = self.clock.now();
            let Some(round) = or_stop(&stop, self.fetch_missed()).await else { return };
            let until = match round {
                Ok(asked) => {
                    if asked > 0 {
                        tracing::info!(asked, "GitHub was asked for webhooks that did not arrive");
                    }
                    failures = 0;
                    None
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "webhooks that did not arrive could not be looked for; tried again");
                    error.wait_until()
                }
            };
            let next = match failures {
                0 => after(began, every).max(after(self.clock.now(), LOOK_EVERY)),
                failures => after(self.clock.now(), retry_pause(failures).min(every)),
            };
            let next = until.map_or(next, |until| until.max(next));
            if or_stop(&stop, self.clock.sleep_until(next)).await.is_none() {
                return;
            }
        }
    }

    /// One round: what failed since the last is noted, and what waits is asked for. Gives how many were.
    async fn fetch_missed(&self) -> Result<usize, ReconcileError> {
        let kept = self.app.deliveries_are_kept();
        let oldest = self.clock.now().saturating_sub(kept).unwrap_or(Timestamp::MIN);
        let read = self.store.deliveries_read_until().await?;
        let until = read.saturating_sub(OVERLAP).unwrap_or(read).max(oldest);
        let walk = Walk::through(&self.app, until, MOST_PAGES).await?;
        if !walk.whole {
            tracing::warn!(
                pages = MOST_PAGES,
                "GitHub sent more webhooks than are looked through at once; of older ones, pending requests are found by listing"
            );
        }
        let now = self.clock.now();
        let reviewing = self.store.repositories_of_reviews().await?;
        let failed: Vec<&Sent> =
            walk.sent.iter().filter(|sent| self.is_wanted(sent, &reviewing)).collect();
        let guids: Vec<String> = failed.iter().map(|sent| sent.attempt.guid.clone()).collect();
        let held = self.store.held(&guids).await?;
        let rows: Vec<MissedRow> = failed
            .into_iter()
            .filter(|sent| !held.contains(&sent.attempt.guid))
            .map(|sent| missed(&sent.attempt, now))
            .collect();
        self.store.note_missed(&rows).await?;
        if let Some(newest) = walk.newest {
            self.store.note_deliveries_read(newest).await?;
        }
        let taken = walk.sent.iter().filter(|sent| sent.taken);
        let due = self.still_missed(taken.map(|sent| sent.attempt.guid.clone()), oldest).await?;
        self.ask_for(due).await
    }

    /// Whether a delivery would have been read, and nobody took it. Where GitHub does not say which repository it is about,
    /// only the delivery itself does.
    fn is_wanted(&self, sent: &Sent, reviewing: &HashSet<RepositoryId>) -> bool {
        if sent.taken {
            return false;
        }
        let of = sent.attempt.repository_id;
        match reads(&sent.attempt.event) {
            Reads::Always => true,
            Reads::OfRules => of.is_none_or(|id| !self.policies.held_by(id).is_empty()),
            Reads::OfReviewers if reviewing.is_empty() => false,
            Reads::OfReviewers => of.is_none_or(|id| reviewing.contains(&id)),
            Reads::Never => false,
        }
    }

    /// What is due to be asked for. Whatever came meanwhile, is too old or was asked for often enough waits no more.
    async fn still_missed(
        &self,
        taken: impl Iterator<Item = String>,
        oldest: Timestamp,
    ) -> Result<Vec<MissedRow>, ReconcileError> {
        let waiting = self.store.missed_waiting().await?;
        let guids: Vec<String> = waiting.iter().map(|row| row.guid.clone()).collect();
        let mut here = self.store.held(&guids).await?;
        here.extend(taken);
        let here: HashSet<String> = here;
        let now = self.clock.now();
        let (mut due, mut arrived, mut given_up) = (Vec::new(), Vec::new(), Vec::new());
        for row in waiting {
            if here.contains(&row.guid) {
                arrived.push(row.guid);
            } else if row.delivered_at < oldest || (row.asked >= ATTEMPTS && row.due_at <= now) {
                tracing::error!(
                    guid = row.guid,
                    event = row.event,
                    asked = row.asked,
                    "a webhook did not arrive and is not asked for any more: does GitHub reach us? Pending requests are \
                     found by listing; see `patwarden deliveries list --failed`"
                );
                given_up.push(row.guid);
            } else if row.due_at <= now {
                due.push(row);
            }
        }
        self.store.settle_missed(&arrived, MissedState::Arrived, "").await?;
        self.store.settle_missed(&given_up, MissedState::GivenUp, "it never arrived").await?;
        Ok(due)
    }

    /// Asks for deliveries, the newest first, one after the other. Those of installations that do not work are left
    /// until they do.
    async fn ask_for(&self, due: Vec<MissedRow>) -> Result<usize, ReconcileError> {
        let installed = self.store.installations().await?;
        let works: HashSet<InstallationId> =
            installed.iter().filter(|row| !row.suspended).map(|row| row.id).collect();
        let due =
            due.into_iter().filter(|row| row.installation.is_none_or(|id| works.contains(&id)));
        let mut due: Vec<MissedRow> = due.collect();
        // What no list shows as well comes after what may be a request: many issues are written on.
        due.sort_by_key(|row| reads(&row.event) != Reads::Always);
        let mut asked = 0;
        for row in due.into_iter().take(MOST_A_ROUND) {
            let now = self.clock.now();
            let patience = usize::try_from(row.asked).ok().and_then(|asked| PATIENCE.get(asked));
            let next = later(now, patience.copied().unwrap_or(SignedDuration::from_hours(1)));
            // Written down before it is done: whatever happens to us then, it is not done more often.
            if !self.store.ask_for_missed(&row, now, next).await? {
                continue;
            }
            match self.app.redeliver(row.attempt).await {
                Ok(()) => asked += 1,
                Err(error @ (CallError::NotFound | CallError::Unprocessable { .. })) => {
                    let guids = [row.guid];
                    let note = error.to_string();
                    self.store.settle_missed(&guids, MissedState::Refused, &note).await?;
                }
                Err(error) => {
                    if !error.may_have_taken_effect() {
                        self.store.take_asking_back(&row.guid, now).await?;
                    }
                    return Err(error.into());
                }
            }
            tokio::time::sleep(self.options.client.write_interval).await;
        }
        Ok(asked)
    }
}
