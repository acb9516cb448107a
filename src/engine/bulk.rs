//! Work on many tokens at once: at GitHub's pace, under the organization's lease, and never in a request's way.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    or_stop,
    turns::{Renewal, Turn, Turns},
    worker::backoff,
};
use crate::{
    audit::Audit,
    clock::Clock,
    domain::{InstallationId, OrganizationId, many},
    github::{
        App, CallError, ClientOptions, GrantPage, GrantPages, InstallationClients, Limits, Read,
    },
    store::{InstallationRow, Lease, Store, StoreError},
};

/// What is left to requests of GitHub's hourly calls: bulk work stops when no more than this share remains, in percent.
const LEFT_TO_REQUESTS: i64 = 20;

/// How long bulk work steps aside for requests that are due. Where nobody works on them by then, nobody will.
const STEP_ASIDE: Duration = Duration::from_secs(10);

/// How long a lease is waited for that somebody holds.
const LONGEST_LEASE_WAIT: Duration = Duration::from_secs(300);

/// How often that, and a lease that somebody holds, is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// So many reads are made in the time of one write. GitHub counts a read as one point and a write as five, takes 900
/// points a minute, and asks for a second between writes: ten reads a second leave a third to requests.
/// Source: <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#calculating-points-for-the-secondary-rate-limit>.
const READS_PER_WRITE: u32 = 10;

/// How often a call that failed for no reason of ours is tried again.
const TRIES: i64 = 6;

/// How far our clock and GitHub's may be apart when something depends on how long ago something was.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// How far a long piece of work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tokens are being listed: so many so far.
    Listing {
        /// Tokens.
        tokens: usize,
    },
    /// Tokens are being revoked.
    Revoking {
        /// Tokens of which it is known what came of them, or for which GitHub took a call.
        done: u64,
        /// All tokens of the revocation.
        of: u64,
    },
    /// What was revoked is looked for, to see that it is gone.
    Verifying {
        /// Tokens of which it is known what came of them.
        done: u64,
        /// All tokens of the revocation.
        of: u64,
    },
    /// Requests are being looked up and judged, for somebody to review them.
    Judging {
        /// Requests of which that is done.
        done: u64,
        /// All that are meant.
        of: u64,
    },
    /// Reviews are being sent.
    Reviewing {
        /// Requests for which a call was made, or which are left out.
        done: u64,
        /// All that are meant.
        of: u64,
    },
    /// Nothing is sent before this moment.
    Waiting {
        /// Until when.
        until: Timestamp,
        /// For what.
        why: &'static str,
    },
}

/// Who watches a long piece of work.
pub trait Watch: Send + Sync {
    /// It got this far.
    fn step(&self, step: &Step);
}

/// Nobody watches.
impl Watch for () {
    fn step(&self, _: &Step) {}
}

/// Why bulk work stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// Somebody said so.
    #[error("interrupted")]
    Interrupted,
    /// GitHub refuses, or did not answer often enough.
    #[error(transparent)]
    GitHub(#[from] CallError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Our clock is not GitHub's, and what is asked for depends on the time.
    #[error(
        "this machine's clock is {} {} GitHub's: nothing that depends on time is done before they agree. \
         Set the clock (is a time service running?), then try again",
        many(*minutes, "minute"), if *ahead { "ahead of" } else { "behind" }
    )]
    ClocksApart {
        /// How far.
        minutes: i64,
        /// Which way.
        ahead: bool,
    },
    /// It is not to go on for now, and why; nothing is lost.
    #[error("it waits: {0}")]
    Paused(String),
    /// What was asked for cannot be done, as a sentence with its remedy.
    #[error("{0}")]
    Refused(String),
}

/// What works on many tokens: for `serve`, and for commands that have the App's key.
pub struct Bulk {
    pub(super) store: Store,
    pub(super) clients: Arc<InstallationClients>,
    pub(super) clock: Clock,
    pub(super) audit: Audit,
    turns: Turns,
    read_interval: Duration,
    last_read: Mutex<Option<Instant>>,
    stop: CancellationToken,
}

/// A turn on an organization with its lease, for one call that changes something.
pub(super) struct Leased {
    pub(super) lease: Lease,
    store: Store,
    _renewal: Renewal,
    _turn: Turn,
}

impl Leased {
    /// Gives it back. When that fails it runs out by itself.
    pub(super) async fn release(self) {
        if let Err(error) = self.store.release(&self.lease).await {
            tracing::warn!(%error, "a lease was not given back; it runs out by itself");
        }
    }
}

impl Bulk {
    /// What works on many tokens in a process of its own. It ends at the next step once `stop` is.
    #[must_use]
    pub fn new(
        store: Store,
        app: Arc<App>,
        clock: Clock,
        audit: Audit,
        client: ClientOptions,
        stop: CancellationToken,
    ) -> Self {
        let clients = Arc::new(InstallationClients::new(app, client));
        Self::beside(store, clients, clock, audit, Turns::default(), client, stop)
    }

    /// The same in a process that works on requests as well.
    pub(super) fn beside(
        store: Store,
        clients: Arc<InstallationClients>,
        clock: Clock,
        audit: Audit,
        turns: Turns,
        client: ClientOptions,
        stop: CancellationToken,
    ) -> Self {
        let read_interval = client.write_interval / READS_PER_WRITE;
        let last_read = Mutex::default();
        Self { store, clients, clock, audit, turns, read_interval, last_read, stop }
    }

    pub(super) fn check_stop(&self) -> Result<(), BulkError> {
        if self.stop.is_cancelled() { Err(BulkError::Interrupted) } else { Ok(()) }
    }

    /// Sleeps, unless it is to stop.
    pub(super) async fn sleep_until(&self, then: Timestamp) -> Result<(), BulkError> {
        or_stop(&self.stop, self.clock.sleep_until(then)).await.ok_or(BulkError::Interrupted)
    }

    pub(super) async fn pause(&self, span: Duration) -> Result<(), BulkError> {
        or_stop(&self.stop, tokio::time::sleep(span)).await.ok_or(BulkError::Interrupted)
    }

    /// Waits until GitHub may be called for bulk work: GitHub asked for no pause, enough calls remain for requests, and
    /// no request is due.
    pub(super) async fn may_call(
        &self,
        installation: &InstallationRow,
        read: &Read,
        watch: &dyn Watch,
    ) -> Result<(), BulkError> {
        let mut asked_aside = false;
        loop {
            self.check_stop()?;
            let now = self.clock.now();
            let parked = self.store.parked_until(installation.id).await?;
            let (until, why) = match (parked.filter(|until| *until > now), used_up(read, now)) {
                (Some(until), _) => (until, "GitHub asked us to wait"),
                (None, Some(until)) => (until, "the rest of this hour's calls is left to requests"),
                (None, None) => {
                    if asked_aside || !self.step_aside(installation.organization.id).await? {
                        return Ok(());
                    }
                    // Time went by, and calls: look again at what remains.
                    asked_aside = true;
                    continue;
                }
            };
            watch.step(&Step::Waiting { until, why });
            self.sleep_until(until).await?;
        }
    }

    /// Waits while requests of the organization are due. Gives whether it waited.
    pub(super) async fn step_aside(&self, organization: OrganizationId) -> Result<bool, BulkError> {
        let began = Instant::now();
        let mut waited = false;
        while began.elapsed() < STEP_ASIDE {
            if !self.store.any_due(organization, self.clock.now()).await? {
                return Ok(waited);
            }
            waited = true;
            self.pause(GLANCE).await?;
        }
        tracing::debug!(%organization, "requests are due and nobody works on them: is `patwarden serve` running?");
        Ok(waited)
    }

    /// Reads something, at the pace of bulk work, and again after a failure that may pass.
    pub(super) async fn reading<T, F: Future<Output = Result<T, CallError>>>(
        &self,
        installation: &InstallationRow,
        read: &Read,
        watch: &dyn Watch,
        mut call: impl FnMut() -> F,
    ) -> Result<T, BulkError> {
        let mut failures = 0;
        loop {
            self.may_call(installation, read, watch).await?;
            self.keep_pace().await?;
            let error = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            self.after_failure(installation.id, read, error, failures, watch).await?;
        }
    }

    /// The next page of a list, at the pace of bulk work; `None` after the last, without waiting for anything.
    pub(super) async fn next_page(
        &self,
        installation: &InstallationRow,
        read: &Read,
        pages: &Mutex<GrantPages>,
        watch: &dyn Watch,
    ) -> Result<Option<GrantPage>, BulkError> {
        if pages.lock().await.is_over() {
            return Ok(None);
        }
        self.reading(installation, read, watch, || async { pages.lock().await.next().await }).await
    }

    async fn keep_pace(&self) -> Result<(), BulkError> {
        let mut last = self.last_read.lock().await;
        if let Some(last) = *last {
            let next = last + self.read_interval;
            or_stop(&self.stop, tokio::time::sleep_until(next))
                .await
                .ok_or(BulkError::Interrupted)?;
        }
        *last = Some(Instant::now());
        Ok(())
    }

    /// Waits after a failure that may pass; gives it back when it will not, or came too often.
    pub(super) async fn after_failure(
        &self,
        installation: InstallationId,
        read: &Read,
        error: CallError,
        failures: i64,
        watch: &dyn Watch,
    ) -> Result<(), BulkError> {
        match error {
            CallError::RateLimited { until } => {
                // For all of us, or the next who calls goes on while limited.
                let mut tx = self.store.begin().await?;
                tx.note_limits(installation, read.limits(), Some(until)).await?;
                tx.commit().await?;
                Ok(())
            }
            CallError::NoAnswer { .. } if failures < TRIES => {
                let until = backoff(self.clock.now(), failures);
                tracing::warn!(%error, "a call to GitHub failed; it is tried again");
                watch.step(&Step::Waiting { until, why: "GitHub did not answer" });
                self.sleep_until(until).await
            }
            error => Err(error.into()),
        }
    }

    /// The turn and the lease of an organization, as soon as nobody else has them.
    pub(super) async fn lease(&self, organization: OrganizationId) -> Result<Leased, BulkError> {
        let began = Instant::now();
        loop {
            self.check_stop()?;
            if began.elapsed() > LONGEST_LEASE_WAIT {
                return Err(BulkError::Refused(
                    "another process has been working on this organization for minutes: look what it does, then go on"
                        .to_owned(),
                ));
            }
            if let Some(turn) = self.turns.take(organization)
                && let Some(lease) = self.store.lease(organization, self.clock.now()).await?
            {
                let renewal = Renewal::of(&self.store, &self.clock, &lease);
                let store = self.store.clone();
                return Ok(Leased { lease, store, _renewal: renewal, _turn: turn });
            }
            self.pause(GLANCE).await?;
        }
    }

    /// Asks GitHub where the App is installed, and keeps it: for commands that run where nothing else did.
    ///
    /// # Errors
    /// When GitHub or the store refuses.
    pub async fn look_around(&self, app: &App) -> Result<(), BulkError> {
        let installations = app.installations().await?;
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        for installation in &installations {
            tx.note_installation(installation, now).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The installation of an organization, if the App may work there.
    ///
    /// # Errors
    /// A sentence with its remedy when it may not; when the store refuses.
    pub async fn installation(
        &self,
        organization: OrganizationId,
    ) -> Result<InstallationRow, BulkError> {
        match self.store.installation(organization).await? {
            Some(row) if row.suspended => Err(BulkError::Refused(format!(
                "the App's installation on {} is suspended: an owner can lift that in the organization's settings",
                row.organization.login
            ))),
            Some(row) => Ok(row),
            None => Err(BulkError::Refused(format!(
                "the App is not installed on the organization with the number {organization}, as far as we know"
            ))),
        }
    }

    /// Whether our clock is GitHub's, as far as the last answer tells.
    ///
    /// # Errors
    /// [`BulkError::ClocksApart`].
    pub(super) fn clocks_agree(read: &Read) -> Result<(), BulkError> {
        let Some(ahead) = read.clock_ahead().filter(|ahead| ahead.abs() > CLOCKS_APART) else {
            return Ok(());
        };
        Err(BulkError::ClocksApart { minutes: ahead.abs().as_mins(), ahead: ahead.is_positive() })
    }
}

/// Until when bulk work leaves an installation's calls to requests.
pub(super) fn used_up(read: &Read, now: Timestamp) -> Option<Timestamp> {
    let Limits { limit, remaining, resets_at } = read.limits()?;
    let used_up = remaining.saturating_mul(100) <= limit.saturating_mul(LEFT_TO_REQUESTS);
    (used_up && resets_at > now).then_some(resets_at)
}
