//! What can be seen from outside: how everything stands at one moment (a [`View`]), which [`metrics`] puts into numbers and
//! [`readiness`] into words. Both are pure; what is looked at is read here, and served in `server`.

pub mod metrics;
pub mod readiness;
mod tally;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::Mutex, time::Instant};

use self::tally::DEFAULT;
pub use self::tally::{Counter, Counts, Labels, OTHER, Tally};

use crate::{
    clock::Clock,
    domain::{InstallationId, OrganizationId},
    engine::Engine,
    github::Limits,
    store::{Store, Watched},
};

/// How long what was seen is shown to whoever else asks: asking often costs the disk nothing.
const LASTS: Duration = Duration::from_secs(1);

/// How long looking may take. A store that takes longer cannot be used.
const LOOK_DEADLINE: Duration = Duration::from_secs(8);

/// How everything stands at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// That moment.
    pub now: Timestamp,
    /// When the process began.
    pub started_at: Timestamp,
    /// What was counted since then.
    pub counts: Counts,
    /// What the store says, or why it cannot say it.
    pub watched: Result<Watched, String>,
    /// Whether a delivery could be stored, or why not.
    pub writable: Result<(), String>,
    /// When the last reconciliation ended in which every organization could be asked.
    pub reconciled_at: Option<Timestamp>,
    /// How often that is to be.
    pub reconcile_every: Duration,
    /// The rules in force.
    pub rules: Vec<RuleInForce>,
    /// What GitHub's last answers said of the hourly limits.
    pub limits: Vec<(InstallationId, Limits)>,
    /// The memory and the files of this process, where the system says.
    pub process: Option<Process>,
}

/// A rule that may decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInForce {
    /// For whom.
    pub organization: OrganizationId,
    /// To what: `approve`, `deny` or `escalate`.
    pub effect: &'static str,
    /// Its id, such as `approve.read-only`; `default` for what is so when no rule applies.
    pub rule: String,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The memory that is in use, in bytes.
    pub resident: u64,
    /// Files and connections that are open.
    pub open_files: u64,
}

impl Process {
    /// This one, as Linux tells it. `None` elsewhere.
    #[must_use]
    pub fn current() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count();
        Some(Self { resident: kib * 1024, open_files: u64::try_from(open_files).ok()? })
    }
}

/// What was seen last, and when.
struct Seen {
    at: Instant,
    view: Arc<View>,
}

/// Looks. Cheap to clone.
#[derive(Clone)]
pub struct Watcher {
    store: Store,
    engine: Arc<Engine>,
    tally: Tally,
    clock: Clock,
    started_at: Timestamp,
    last: Arc<Mutex<Option<Seen>>>,
}

impl Watcher {
    /// Looks at these.
    #[must_use]
    pub fn new(store: Store, engine: Arc<Engine>, tally: Tally, clock: Clock) -> Self {
        let started_at = clock.now();
        Self { store, engine, tally, clock, started_at, last: Arc::default() }
    }

    /// How everything stands now, or stood a second ago. However many ask, it is looked at once.
    pub async fn look(&self) -> Arc<View> {
        let mut last = self.last.lock().await;
        if let Some(seen) = last.as_ref().filter(|seen| seen.at.elapsed() < LASTS) {
            return Arc::clone(&seen.view);
        }
        let view = Arc::new(self.look_now().await);
        *last = Some(Seen { at: Instant::now(), view: Arc::clone(&view) });
        view
    }

    async fn look_now(&self) -> View {
        let now = self.clock.now();
        let store = self.store.clone();
        // In a task of its own: whoever asks may hang up, and a transaction is to end all the same.
        let looking =
            tokio::spawn(async move { (store.try_to_write(now).await, store.watched(now).await) });
        let (writable, watched) = match tokio::time::timeout(LOOK_DEADLINE, looking).await {
            Ok(Ok((writable, watched))) => (
                writable.map_err(|error| error.to_string()),
                watched.map_err(|error| error.to_string()),
            ),
            Ok(Err(error)) => (Err(error.to_string()), Err(error.to_string())),
            Err(_) => {
                let why = format!("no answer within {} s", LOOK_DEADLINE.as_secs());
                (Err(why.clone()), Err(why))
            }
        };
        let rules = watched.as_ref().map(|watched| self.rules(watched)).unwrap_or_default();
        View {
            now,
            started_at: self.started_at,
            counts: self.tally.counts(),
            watched,
            writable,
            reconciled_at: self.engine.reconciled_at(),
            reconcile_every: self.engine.reconcile_every(),
            rules,
            limits: self.engine.limits(),
            process: Process::current(),
        }
    }

    fn rules(&self, watched: &Watched) -> Vec<RuleInForce> {
        let mut rules = Vec::new();
        for installation in &watched.installations {
            let organization = &installation.organization;
            let Some(policy) = self.engine.policies().in_force(organization).policy else {
                continue;
            };
            let mut add = |effect, rule| {
                rules.push(RuleInForce { organization: organization.id, effect, rule });
            };
            for (id, verb) in policy.rule_ids() {
                add(verb.as_str(), id.to_string());
            }
            add(if policy.denies_by_default() { "deny" } else { "escalate" }, DEFAULT.to_owned());
        }
        rules
    }
}
