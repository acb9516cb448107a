//! The handle a test or the command line holds: start, drive, look, stop.

mod code;
mod issues;
mod keys;
mod look;
mod people;
mod registration;
mod repositories;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{self, App};
use crate::calls::Calls;
use crate::clock::Clock;
use crate::config::{Config, Switches};
use crate::deliveries::{ContentType, Deliveries, HookConfig, Outbox};
use crate::error::Error;
use crate::faults::{Fault, Faults, Held, Hold};
use crate::ids;
use crate::installations::Wishes;
use crate::later::Later;
use crate::limits::Limits;
use crate::render::Urls;
use crate::sender;
use crate::server;
use crate::shared::Shared;
use crate::state::State;
use crate::world::World;
pub use keys::AppKey;
pub(crate) use registration::Registrations;

/// A GitHub of your own. Clones are handles of the same one; when the last is dropped, it ends.
#[derive(Debug, Clone)]
pub struct Fakehub {
    pub(crate) shared: Arc<Shared>,
    /// Absent in the handles of the control API, which must not keep fakehub alive.
    ending: Option<Arc<Ending>>,
}

/// Ends the tasks when the last handle goes.
#[derive(Debug)]
struct Ending {
    shared: Arc<Shared>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
    }
}

impl Fakehub {
    /// Starts a GitHub and listens.
    ///
    /// # Errors
    /// When the address cannot be listened on, no key can be made, or there is no tokio runtime.
    pub async fn start(config: Config) -> Result<Self, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::NoRuntime);
        }
        let listener =
            TcpListener::bind(config.listen).await.map_err(|why| Error::Listen(why.to_string()))?;
        let address = listener.local_addr().map_err(|why| Error::Listen(why.to_string()))?;
        let key = app::process_key()?;
        let secret =
            config.webhook_secret.clone().unwrap_or_else(|| hex::encode(ids::random::<20>()));
        let app = Arc::new(App {
            id: 812_001,
            client_id: "Iv23fakehub00000000".to_owned(),
            slug: config.app_slug.clone(),
            name: config.app_slug.clone(),
            keys: vec![key.active(1)],
            private_key_pem: key.private_pem,
            webhook_secret: secret.clone(),
        });
        let (events, event_queue) = unbounded_channel();
        let (laters, later_queue) = unbounded_channel();
        let clock = Arc::new(Clock::default());
        let site = format!("http://{address}");
        let world = World::default();
        let hook = HookConfig {
            id: 475_001,
            url: config.webhook_url.clone(),
            active: true,
            content_type: ContentType::Json,
            secret: Some(secret),
            insecure_ssl: false,
        };
        let state = State {
            clock: Arc::clone(&clock),
            app,
            wishes: Wishes::with(&config.app_permissions, &config.app_events),
            urls: Urls { api: site.clone(), site },
            switches: config.switches,
            deliveries: Deliveries::new(config.delivery_log, world.counters.delivery),
            world,
            tokens: std::collections::HashMap::new(),
            requests: std::collections::BTreeMap::new(),
            books: std::collections::HashMap::new(),
            installations: std::collections::BTreeMap::new(),
            access_tokens: std::collections::HashMap::new(),
            reviews: Vec::new(),
            revocations: Vec::new(),
            limits: Limits::new(config.rate_limit),
            hook,
            events: Outbox::new(events),
            laters,
            registrations: Registrations::default(),
            interned: std::collections::HashSet::new(),
        };
        let shared = Arc::new(Shared {
            calls: Calls::new(config.call_log),
            config,
            clock,
            state: Mutex::new(state),
            faults: Faults::default(),
            stop: watch::Sender::new(false),
            address,
            holds: Mutex::default(),
        });
        let tasks = vec![
            tokio::spawn(server::run(Arc::clone(&shared), listener, address)),
            tokio::spawn(sender::run(Arc::clone(&shared), event_queue)),
            tokio::spawn(run_laters(Arc::clone(&shared), later_queue)),
        ];
        let ending = Arc::new(Ending { shared: Arc::clone(&shared), tasks: Mutex::new(tasks) });
        Ok(Self { shared, ending: Some(ending) })
    }

    /// A handle that does not keep fakehub alive.
    pub(crate) fn lent(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), ending: None }
    }

    /// The API's base URL, without a slash at the end. `/api/v3` after it works too, as on GHES.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The base URL in the form a GitHub Enterprise Server has.
    #[must_use]
    pub fn ghes_url(&self) -> String {
        format!("http://{}/api/v3", self.shared.address)
    }

    /// The App: the one of the start, or the one that was registered last.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        self.shared.with(|state| Arc::clone(&state.app))
    }

    /// Sends webhooks there from now on.
    pub fn set_webhook_url(&self, url: &str) {
        self.shared.with(|state| state.hook.url = Some(url.to_owned()));
    }

    /// Sends bodies in this form from now on.
    pub fn set_webhook_content_type(&self, content_type: ContentType) {
        self.shared.with(|state| state.hook.content_type = content_type);
    }

    /// Looks at the world or changes it. Nothing that waits may be done inside, nor any other call to this handle.
    pub fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.shared.with(|state| act(&mut state.world))
    }

    /// Changes answers to open questions while running.
    pub fn switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state| change(&mut state.switches));
    }

    /// The App's owner changes what it asks for and hears: these permissions and events besides what patwarden always
    /// has. Installations keep what they granted until they are asked again ([`Fakehub::install`]).
    pub fn change_app<N: Into<String>, L: Into<String>, E: Into<String>>(
        &self,
        permissions: impl IntoIterator<Item = (N, L)>,
        events: impl IntoIterator<Item = E>,
    ) {
        let permissions =
            permissions.into_iter().map(|(name, level)| (name.into(), level.into())).collect();
        let events: Vec<String> = events.into_iter().map(Into::into).collect();
        self.shared.with(|state| state.wishes = Wishes::with(&permissions, &events));
    }

    /// Puts a fault in force; gives its number.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.shared.faults.add(fault)
    }

    /// How often a fault has fired.
    #[must_use]
    pub fn fault_fired(&self, number: u64) -> u32 {
        self.shared.faults.fired(number)
    }

    /// Ends one fault; whether there was one.
    pub fn clear_fault(&self, number: u64) -> bool {
        self.shared.faults.remove(number)
    }

    /// Makes calls wait at a place; see [`Hold`].
    #[must_use]
    pub fn hold(&self, hold: Hold) -> Held {
        self.shared.faults.hold(hold)
    }

    /// Ends all faults and lets all held calls go.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Leaves an installation this many calls in its present hour.
    pub fn leave_calls(&self, installation: u64, remaining: u32) {
        self.shared.with(|state| {
            let now = state.now();
            state.limits.leave(crate::limits::Bucket::Installation(installation), remaining, now);
        });
    }

    /// The time by fakehub's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Moves fakehub's clock forward. Delays and time limits still run on real time.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// The same for a client whose own clock is moved as far, and which cannot but sign JWTs by the machine's: those are
    /// judged as if this time had not passed.
    pub fn advance_for_all(&self, by: Duration) {
        self.shared.clock.advance_for_all(by);
    }

    /// Waits until somebody else, such as the control API, asks for the end.
    pub async fn ended(&self) {
        self.shared.stopped().await;
    }

    /// Ends everything: no connection stays open, no webhook is sent any more.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let tasks = self
            .ending
            .as_ref()
            .and_then(|ending| {
                ending.tasks.lock().ok().map(|mut tasks| std::mem::take(&mut *tasks))
            })
            .unwrap_or_default();
        for task in tasks {
            let _ = task.await;
        }
    }
}

/// Carries out effects a while after their answers.
async fn run_laters(shared: Arc<Shared>, mut queue: UnboundedReceiver<Later>) {
    loop {
        let later = tokio::select! {
            later = queue.recv() => later,
            () = shared.stopped() => None,
        };
        let Some(later) = later else {
            return;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(shared.config.bulk_delay) => shared.with(|state| later.run(state)),
                () = shared.stopped() => {}
            }
        });
    }
}
