//! One organization's work under its lease: look, decide, act, check. One thing after the other.

use jiff::{SignedDuration, Timestamp};
use tracing::Span;

use super::{
    Engine,
    lifecycle::{Event, State},
    record::{self, Happened},
};
use crate::{
    domain::InstallationId,
    github::CallError,
    store::{InstallationRow, Lease, RequestKey, RequestRow, StoreError, Tx},
};

/// The most requests that one listing serves.
const CLAIMED_AT_ONCE: i64 = 100;

/// How many are judged before the first of them is sent.
const JUDGED_AT_ONCE: usize = 10;

/// Of how many requests that one call serves the log shows the numbers, when it fails.
const SHOWN: usize = 20;

/// How old a listing may be when something is judged on it.
const LISTING_LASTS: SignedDuration = SignedDuration::from_secs(30);

/// How long after something was to be seen and was not it is looked for again.
const LOOK_AGAIN_AFTER: [SignedDuration; 3] =
    [SignedDuration::from_secs(2), SignedDuration::from_secs(10), SignedDuration::from_secs(60)];

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

impl Worker<'_> {
    /// Works on everything that is due now.
    pub(super) async fn pass(&self) -> Result<Pass, StoreError> {
        let engine = self.engine;
        let organization = self.lease.organization;
        let now = engine.clock.now();
        let rows = engine.store.due(organization, now, CLAIMED_AT_ONCE).await?;
        if rows.is_empty() {
            // What waits for people has time.
            return self.escalate().await;
        }
        let installation = engine.store.installation(organization).await?;
        let Some(installation) = installation.filter(|installation| !installation.suspended) else {
            self.set_aside(&rows).await?;
            return Ok(Pass::Worked);
        };
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
        let seen = self.look(installation, &read, to_look).await?;
        // From its end: were a slow listing old when it arrives, it would be read again for ever.
        let looked_at = self.engine.clock.now();
        let mut to_check = to_check;
        // Few at a time: what is decided is sent soon.
        for some in seen.chunks(JUDGED_AT_ONCE) {
            if self.engine.is_stopping()
                || self.engine.clock.now().duration_since(looked_at) > LISTING_LASTS
            {
                // The rest is still due: the next pass lists it anew.
                break;
            }
            let decided = self.decide(installation, &read, some, looked_at).await?;
            to_check.extend(self.act(installation, decided).await?);
        }
        self.check(installation, &read, to_check).await
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
        let requests: Vec<i64> = rows.iter().take(SHOWN).map(|row| row.id.0).collect();
        tracing::warn!(organization, count = rows.len(), ?requests, %error, "a call to GitHub failed; it is tried again");
        if let CallError::RateLimited { until } = error {
            self.park(rows, *until, &error.to_string()).await?;
            self.limited(installation, *until).await?;
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
    pub(super) async fn park(
        &self,
        rows: &[RequestRow],
        until: Timestamp,
        note: &str,
    ) -> Result<(), StoreError> {
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        for row in rows {
            self.leave_until(&mut tx, row.key(), until.max(after(now, 1)), note, now).await?;
        }
        tx.commit().await
    }

    async fn leave_until(
        &self,
        tx: &mut Tx,
        key: RequestKey,
        until: Timestamp,
        note: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        record::happen(tx, key, &Event::Woken, now, |row| {
            if row.due_at.is_some() {
                row.note = note.to_owned();
                row.due_at = Some(until);
            }
        })
        .await?;
        Ok(())
    }

    /// The App is not there, or may not work: what waits is left alone until it is and may, when
    /// [`Tx::note_installation`] takes it up again. Once a day is often enough to doubt that.
    async fn set_aside(&self, rows: &[RequestRow]) -> Result<(), StoreError> {
        let Some(organization) = rows.first().map(|row| &row.organization) else { return Ok(()) };
        let now = self.engine.clock.now();
        let mut tx = self.begin().await?;
        // As it is now, not as it was read before: nobody would take up what is set aside too late.
        let note = match tx.installation(organization.id).await? {
            Some(installation) if !installation.suspended => return Ok(()),
            Some(_) => "the App's installation is suspended",
            None => "the App is not installed on this organization, as far as we know",
        };
        for row in rows {
            self.leave_until(&mut tx, row.key(), after(now, 24 * 60 * 60), note, now).await?;
        }
        tx.commit().await?;
        tracing::warn!(organization = %organization.login, requests = rows.len(), "left alone: {note}");
        self.engine.reconcile_soon();
        Ok(())
    }

    /// Nothing is sent for this installation before `until`.
    pub(super) async fn limited(
        &self,
        installation: InstallationId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        tracing::warn!(%installation, %until, "GitHub's rate limit: nothing is sent until then");
        let limits = self.engine.clients.read(installation).ok().and_then(|read| read.limits());
        let mut tx = self.begin().await?;
        tx.note_limits(installation, limits, Some(until)).await?;
        tx.commit().await
    }
}

/// What every line of the log says that is written while something is done for a request, be it by others than us.
pub(super) fn span_of(row: &RequestRow) -> Span {
    tracing::info_span!("request", organization = %row.organization.login, request = %row.id)
}

/// When a request is to be looked for again that was looked for in vain, and how often; `None`: often enough.
pub(super) fn next_look(row: &RequestRow) -> Option<SignedDuration> {
    usize::try_from(row.looks).ok().and_then(|looks| LOOK_AGAIN_AFTER.get(looks)).copied()
}

/// `seconds` after `now`.
pub(super) fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

/// When to try again after so many failures in a row: 1 s, 2 s, 4 s … 256 s, each a little uneven, so
/// that what failed together does not come back together.
pub(super) fn backoff(now: Timestamp, failures: i64) -> Timestamp {
    let doubled = 1_i64 << failures.clamp(1, 9).saturating_sub(1);
    let milliseconds = doubled * 1_000;
    let mut random = [0u8; 1];
    // Without randomness they come back together: no reason to fail.
    let _ = getrandom::fill(&mut random);
    let [random] = random;
    let uneven = milliseconds - milliseconds * i64::from(random) / 1_024;
    now.saturating_add(SignedDuration::from_millis(uneven)).unwrap_or(now)
}
