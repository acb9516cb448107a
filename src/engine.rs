//! The imperative shell around the rules: claim, gather facts, decide, record, act, check, reconcile.

mod act;
mod bulk;
mod by_hand;
mod changes;
mod check;
mod decide;
mod deliveries;
mod departures;
mod digests;
mod escalate;
mod gather;
mod ingest;
mod inventory;
mod judge;
mod letters;
pub mod lifecycle;
mod look;
mod names;
mod planned;
mod policy;
mod post;
mod recipients;
mod reconcile;
mod record;
mod replayed;
mod retention;
mod revoke;
mod standing;
mod stocktaking;
mod turns;
mod worker;

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use bulk::{Bulk, BulkError, Step, Watch};
pub use by_hand::{Desk, Item, Refusal, Shown, Stand, Which, Word};
pub use deliveries::{Sent, ask_again, sent_lately};
pub use digests::{DigestError, Preview, SentDigest, preview_digest};
pub use names::{LookedUp, NotAsked, look_up};
pub use planned::{Operator, Planned, Reaching, lapsed};
use policy::is_an_answer;
pub use policy::{
    ENTERPRISE, EVERYBODY, Held, InForce, NoRules, Policies, read_sources, rules_at, trusted_as,
    whose_of,
};
pub use post::{MAIL_RESULTS, Post};
pub use recipients::{Recipient, Recipients, RecipientsError};
pub use reconcile::{ReconcileError, Reconciled};
pub use replayed::on_record;
pub use revoke::{Carried, PLANS_LAPSE};
use turns::Turns;

use crate::{
    audit::Audit,
    clock::Clock,
    domain::{InstallationId, Login, Organization, OrganizationId},
    github::{App, ClientOptions, InstallationClients, Limits},
    rules::policy::DigestBlock,
    settings::{AddressBook, Retention},
    store::{RequestRow, Store, StoreError},
};

/// How often the store is looked at even when nothing seems to be due: another process may have written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The least time between two readings of what came in. The first delivery of a quiet time is read at once; what
/// comes within this time is read together: every reading is a commit, and the disk has no time for others meanwhile.
const READ_EVERY: Duration = Duration::from_millis(25);

/// The most requests that share a transaction: few enough that a decision waits some milliseconds for it, and many
/// enough that its syncs leave the disk to deliveries.
const ROWS_AT_ONCE: usize = 100;

/// How often the rule files are looked at.
const RULES_EVERY: Duration = Duration::from_secs(5);

/// How long an organization whose lease somebody else holds, or whose store writes failed, is left alone.
const LEAVE_ALONE: Duration = Duration::from_millis(500);

/// How long an organization is left alone on which work broke off.
const AFTER_PANIC: Duration = Duration::from_secs(60);

/// The most organizations that are worked on at once.
const SIDE_BY_SIDE: usize = 16;

/// How the engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How often pending requests are listed although no webhook came.
    pub reconcile_every: Duration,
    /// How often GitHub is asked which webhooks did not arrive; `None`: never.
    pub deliveries_every: Option<Duration>,
    /// How often all tokens with access, and all members, are listed; `None`: never.
    pub inventory_every: Option<Duration>,
    /// How long what is kept.
    pub retention: Retention,
    /// The most waiting requests that a first run or a changed policy may act on before somebody confirms.
    pub most_at_once: usize,
    /// How GitHub is called.
    pub client: ClientOptions,
    /// Under which addresses people are reached; `None`: no mail is set up.
    pub addresses: Option<Arc<AddressBook>>,
    /// The digest of organizations for which no rules are in force; `None`: they have none.
    pub digest: Option<Arc<DigestBlock>>,
    /// GitHub's API, from which the addresses of its pages follow.
    pub api_url: String,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            reconcile_every: Duration::from_secs(300),
            deliveries_every: Some(Duration::from_secs(600)),
            inventory_every: Some(Duration::from_secs(6 * 3600)),
            retention: Retention::default(),
            most_at_once: 25,
            client: ClientOptions::default(),
            addresses: None,
            digest: None,
            api_url: "https://api.github.com".to_owned(),
        }
    }
}

/// Everything that works on requests.
pub struct Engine {
    store: Store,
    app: Arc<App>,
    clients: Arc<InstallationClients>,
    policies: Policies,
    /// One proposed change of rules is judged at a time.
    judging: Arc<tokio::sync::Semaphore>,
    clock: Clock,
    audit: Audit,
    options: EngineOptions,
    cache: gather::Cache,
    wake: Arc<Notify>,
    reconcile: Notify,
    stocktake: Notify,
    revoke: Notify,
    departures: departures::Departures,
    turns: Turns,
    stopping: AtomicBool,
    /// GitHub said, since the start, where the App is installed.
    listed: AtomicBool,
    /// When every organization was last reconciled.
    reconciled_at: std::sync::Mutex<Option<Timestamp>>,
}

impl Engine {
    /// An engine over these parts. Nothing happens before [`Engine::run`].
    #[must_use]
    pub fn new(
        store: Store,
        app: Arc<App>,
        policies: Policies,
        clock: Clock,
        audit: Audit,
        options: EngineOptions,
    ) -> Arc<Self> {
        let wake = Arc::new(Notify::new());
        Arc::new(Self {
            clients: Arc::new(InstallationClients::new(Arc::clone(&app), options.client)),
            turns: Turns::waking(Arc::clone(&wake)),
            store,
            app,
            policies,
            judging: Arc::new(tokio::sync::Semaphore::new(1)),
            clock,
            audit,
            options,
            cache: gather::Cache::default(),
            wake,
            reconcile: Notify::new(),
            stocktake: Notify::new(),
            revoke: Notify::new(),
            departures: departures::Departures::default(),
            stopping: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            reconciled_at: std::sync::Mutex::default(),
        })
    }

    /// When a reconciliation last ended in which every organization could be asked.
    #[must_use]
    pub fn reconciled_at(&self) -> Option<Timestamp> {
        *self.reconciled_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often that is to be.
    #[must_use]
    pub fn reconcile_every(&self) -> Duration {
        self.options.reconcile_every
    }

    /// What GitHub's last answers said of the hourly limits.
    #[must_use]
    pub fn limits(&self) -> Vec<(InstallationId, Limits)> {
        self.clients.limits()
    }

    /// Says that something was stored.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Asks for a reconciliation as soon as possible.
    pub fn reconcile_soon(&self) {
        self.reconcile.notify_one();
    }

    /// Says that somebody left an organization or a team of it, as far as an event can be believed: it is looked who that
    /// is.
    pub fn somebody_left(&self, organization: OrganizationId) {
        self.departures.heard(organization, self.clock.now());
        self.stocktake.notify_one();
    }

    /// Whether something of an issue was done by our own bot, as far as it is known by now who that is.
    pub fn did(&self, event: &crate::github::IssueEvent) -> bool {
        self.app.did(event)
    }

    /// Whether nothing new is to be begun.
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The rules in force.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Works until `stop`, then finishes what is under way.
    ///
    /// # Errors
    /// When a part of it ended although nobody told it to: without all of its parts it must not go on.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), EngineFailed> {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).keep_reconciling(stop.clone()));
        tasks.spawn(Arc::clone(&self).watch_rules(stop.clone()));
        tasks.spawn(Arc::clone(&self).follow_repositories(stop.clone()));
        tasks.spawn(Arc::clone(&self).review_changes(stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_fetching(stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_pruning(stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_inventory(stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_revoking(stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_telling(stop.clone()));
        tasks.spawn(Arc::clone(&self).keep_digests(stop.clone()));
        let mut workers = JoinSet::new();
        let mut failed = None;
        let mut next_reading = Instant::now();
        while !stop.is_cancelled() && failed.is_none() {
            let began = Instant::now();
            match self.start_workers(&mut workers).await {
                Ok(true) => next_reading = began + READ_EVERY,
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the store cannot be used; nothing is decided until it can");
                    let _ = or_stop(&stop, tokio::time::sleep(LOOK_EVERY)).await;
                }
            }
            let next = self.next_due().await;
            tokio::select! {
                () = self.woken(next_reading) => {}
                () = self.nap(next) => {}
                Some(_) = workers.join_next(), if !workers.is_empty() => {}
                Some(ended) = tasks.join_next() => failed = EngineFailed::after(ended, &stop),
                () = stop.cancelled() => {}
            }
        }
        // The call that is under way ends; what was not begun is still due after the next start.
        self.stopping.store(true, Ordering::Relaxed);
        while workers.join_next().await.is_some() {}
        if stop.is_cancelled() {
            while let Some(ended) = tasks.join_next().await {
                failed = failed.or(EngineFailed::after(ended, &stop));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// When something is due that nobody wakes us for.
    async fn next_due(&self) -> Option<Timestamp> {
        let requests = self.store.next_due().await.ok().flatten();
        let escalations = self.store.next_due_escalation().await.ok().flatten();
        requests.into_iter().chain(escalations).min()
    }

    async fn woken(&self, next_reading: Instant) {
        self.wake.notified().await;
        tokio::time::sleep_until(next_reading).await;
    }

    async fn nap(&self, next: Option<Timestamp>) {
        let due = async {
            match next.filter(|next| *next > self.clock.now()) {
                Some(next) => self.clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }

    /// Reads what came in, and sees to it that somebody works on whatever is due. Gives whether something had come in.
    async fn start_workers(
        self: &Arc<Self>,
        workers: &mut JoinSet<()>,
    ) -> Result<bool, StoreError> {
        let ingested = {
            let counts = |login: &Login| self.app.allows(login);
            ingest::ingest(&self.store, &self.clock, &self.audit, counts).await?
        };
        if ingested.more {
            self.wake();
        }
        if ingested.look_around {
            self.clients.renew();
            // Also a permission that was given or taken: repositories with rules may be readable now, or not any more.
            self.policies.look_soon();
            self.reconcile_soon();
        }
        let now = self.clock.now();
        let mut due = self.store.due_organizations(now).await?;
        for organization in self.store.organizations_with_due_escalations(now).await? {
            if !due.contains(&organization) {
                due.push(organization);
            }
        }
        for organization in due {
            if workers.len() >= SIDE_BY_SIDE {
                break;
            }
            if let Some(turn) = self.turns.take(organization) {
                let engine = Arc::clone(self);
                workers.spawn(async move {
                    let _turn = turn;
                    let work = Arc::clone(&engine).work_on(organization);
                    // In a task of its own: a panic is a defect of ours, and must neither end all work nor
                    // come back a thousand times a second.
                    let pause = match tokio::spawn(work).await {
                        Ok(Some(())) => return,
                        Ok(None) => LEAVE_ALONE,
                        Err(error) => {
                            tracing::error!(%organization, %error, "work on an organization broke off; it is taken up again");
                            AFTER_PANIC
                        }
                    };
                    if !engine.is_stopping() {
                        tokio::time::sleep(pause).await;
                    }
                });
            }
        }
        Ok(ingested.some)
    }

    /// Works on one organization until nothing is due. `None` when it is somebody else's just now.
    async fn work_on(self: Arc<Self>, organization: OrganizationId) -> Option<()> {
        let lease = match self.store.lease(organization, self.clock.now()).await {
            Ok(lease) => lease?,
            Err(error) => {
                tracing::error!(%error, "no lease; nothing is decided");
                return None;
            }
        };
        let _renewal = turns::Renewal::of(&self.store, &self.clock, &lease);
        let worker = worker::Worker { engine: &self, lease };
        let ended = loop {
            if self.is_stopping() {
                break None;
            }
            match worker.pass().await {
                Ok(worker::Pass::Worked) => {}
                Ok(worker::Pass::Idle) => break Some(()),
                Err(error) => {
                    tracing::warn!(%error, "what was being done is dropped; it is taken up again");
                    break None;
                }
            }
        };
        if let Err(error) = self.store.release(&worker.lease).await {
            tracing::warn!(%error, "a lease was not given back; it runs out by itself");
        }
        ended
    }

    /// Reconciles at once, then every so often; what failed is tried again sooner, and only that.
    async fn keep_reconciling(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0u32;
        let mut again = Vec::new();
        loop {
            let began = self.clock.now();
            let round = async {
                if again.is_empty() {
                    self.reconcile().await
                } else {
                    self.reconcile_again(&again).await
                }
            };
            let Some(round) = or_stop(&stop, round).await else { return };
            let until = match round {
                Ok(round) => {
                    tracing::info!(
                        organizations = round.organizations,
                        pending = round.pending,
                        found = round.found,
                        failed = round.failed.len(),
                        "reconciled"
                    );
                    failures = if round.failed.is_empty() { 0 } else { failures + 1 };
                    if round.failed.is_empty() {
                        *self.reconciled_at.lock().unwrap_or_else(PoisonError::into_inner) =
                            Some(began);
                    }
                    again = round.failed;
                    None
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(%error, failures, "cannot reconcile with GitHub; tried again");
                    error.wait_until()
                }
            };
            let every = self.options.reconcile_every;
            let now = self.clock.now();
            let next = match failures {
                // From its beginning: what changed while it was under way is found an interval later.
                0 => after(began, every).max(after(now, LOOK_EVERY)),
                failures => after(now, retry_pause(failures).min(every)),
            };
            tokio::select! {
                () = self.clock.sleep_until(until.map_or(next, |until| until.max(next))) => {}
                () = async { self.reconcile.notified().await; tokio::time::sleep(LEAVE_ALONE).await } => again.clear(),
                () = stop.cancelled() => return,
            }
        }
    }

    async fn watch_rules(self: Arc<Self>, stop: CancellationToken) {
        let mut changed = self.policies.watch();
        let mut told = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(RULES_EVERY) => {
                    let policies = self.policies.clone();
                    // Small files, but on a disk that may hang: never on a thread that serves.
                    let _ = tokio::task::spawn_blocking(move || policies.reload()).await;
                    match self.store.policy_logins().await {
                        Ok(logins) => self.policies.rebind(&logins),
                        Err(error) => tracing::warn!(%error, "the store was not asked who is trusted"),
                    }
                }
                news = changed.changed() => {
                    if news.is_err() {
                        return;
                    }
                    let generation = *changed.borrow_and_update();
                    match self.rules_changed(told).await {
                        Ok(()) => told = generation,
                        Err(error) => {
                            tracing::error!(%error, "what waits for rules could not be woken; it is tried again");
                            tokio::time::sleep(LOOK_EVERY).await;
                            changed.mark_changed();
                        }
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    /// Other rules since that generation, or the same ones mended: whatever waited for them is judged now.
    async fn rules_changed(&self, since: u64) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.policies.keep(&self.store, now).await?;
        let most = i64::try_from(self.options.most_at_once).unwrap_or(i64::MAX);
        let mut any = false;
        for organization in self.store.organizations_with_open_requests().await? {
            if !self.policies.changed_since(since, &organization) {
                continue;
            }
            any = true;
            let mut tx = self.store.begin().await?;
            if let Some(policy) = self.policies.in_force(&organization).policy {
                tx.hold_what_is_outdated(organization.id, &judge::grounds(&policy), most).await?;
            }
            tx.hasten_unjudged(organization.id, now).await?;
            tx.commit().await?;
        }
        self.note_policies().await?;
        if any {
            self.wake();
            self.reconcile_soon();
        }
        Ok(())
    }

    /// Keeps for people what is in force where the App is installed.
    async fn note_policies(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let installed = self.store.installations().await?;
        let organizations: Vec<Organization> =
            installed.into_iter().map(|row| row.organization).collect();
        self.policies.bind(&organizations, &self.store).await?;
        let noted = self.store.policies_in_force().await?;
        let mut tx = self.store.begin().await?;
        for organization in &organizations {
            let row = self.policies.in_force(organization).as_row(organization, now);
            let before = noted.iter().find(|noted| noted.organization.id == organization.id);
            if before.is_some_and(|before| before.says_the_same_as(&row)) {
                continue;
            }
            let InForce { policy, broken, source, .. } = self.policies.in_force(organization);
            let mode = policy.as_ref().map_or("none", |policy| policy.mode().as_str());
            tracing::info!(organization = %organization.login, source, mode, broken, "the policy in force");
            tx.note_policy_in_force(&row).await?;
        }
        for gone in noted {
            if organizations.iter().all(|organization| organization.id != gone.organization.id) {
                tx.forget_policy_in_force(gone.organization.id).await?;
            }
        }
        tx.commit().await
    }

    /// Says in the log that people are needed.
    fn call_for_people(&self, row: &RequestRow, to: &[String]) {
        tracing::warn!(
            organization = %row.organization.login, request = %row.id, owner = %row.owner.login,
            to = to.join(", "), note = row.note, "waits for people"
        );
    }
}

/// A part of the engine ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
#[error("a part of the engine ended by itself ({0}): a defect, please report it")]
pub struct EngineFailed(String);

impl EngineFailed {
    /// Whether it is a failure that a part `ended`: told to stop, all of them do.
    fn after(ended: Result<(), JoinError>, stop: &CancellationToken) -> Option<Self> {
        match ended {
            Ok(()) if stop.is_cancelled() => None,
            Ok(()) => Some(Self("without a word".to_owned())),
            Err(error) => Some(Self(error.to_string())),
        }
    }
}

fn retry_pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(6))
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.saturating_add(pause).unwrap_or(now)
}

/// What `work` gives, unless `stop` comes first.
async fn or_stop<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = stop.cancelled() => None,
    }
}
