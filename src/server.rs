//! What listens: the routers, their limits and deadlines. What a delivery is stands in `webhook`, what watchers see in `ops`.

mod connection;
mod ops;
pub mod setup;
mod webhook;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use ops::ops_router;
pub use webhook::{LARGEST_DELIVERY, RESULTS, Secrets, VerifiedDelivery};

use crate::{
    clock::Clock,
    domain::OrganizationId,
    engine::Engine,
    github::{IssueEvent, RepositoryEvent},
    store::Store,
    watch::Tally,
};

/// The most connections at once on the webhook's address. Each takes a file descriptor, of which a process has 1,024 unless
/// told otherwise, and the store and the calls to GitHub need some too: with none left nothing is decided at all.
const MOST_CONNECTIONS: usize = 512;

/// The same on the address for watchers.
const MOST_WATCHERS: usize = 32;

/// How long a client may take to send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long what is under way may take once the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Where GitHub sends its webhooks.
pub const WEBHOOK_PATH: &str = "/webhooks/github";

/// What the handlers share.
#[derive(Clone)]
pub struct Shared {
    store: Store,
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Told of every event about a repository; says whether anybody follows it.
    repository_changed: Arc<dyn Fn(&RepositoryEvent) -> bool + Send + Sync>,
    /// Says whether a repository has rules that somebody follows.
    holds_rules: Arc<dyn Fn(&RepositoryEvent) -> bool + Send + Sync>,
    /// Told of every event that says that somebody left an organization or a team of it.
    somebody_left: Arc<dyn Fn(OrganizationId) + Send + Sync>,
    /// Says whether something of an issue was done by our own bot, which needs not be told of it.
    done_by_us: Arc<dyn Fn(&IssueEvent) -> bool + Send + Sync>,
    secrets: Arc<Secrets>,
    budget: webhook::Budget,
    clock: Clock,
    tally: Tally,
}

impl Shared {
    /// Deliveries signed with one of `secrets` go into `store`; then `engine` is told.
    #[must_use]
    pub fn new(store: Store, engine: &Arc<Engine>, secrets: Secrets, clock: Clock) -> Self {
        let (engine, policies) = (Arc::clone(engine), engine.policies().clone());
        let (leaving, doing) = (Arc::clone(&engine), Arc::clone(&engine));
        let shared = Self::waking(store, secrets, clock, move || engine.wake());
        let holding = policies.clone();
        Self {
            repository_changed: Arc::new(move |event| policies.heard_of(event)),
            somebody_left: Arc::new(move |organization| leaving.somebody_left(organization)),
            done_by_us: Arc::new(move |event| doing.did(event)),
            holds_rules: Arc::new(move |event| !holding.held_by(event.id).is_empty()),
            ..shared
        }
    }

    /// The same with something else to be told: for benchmarks, which have no engine.
    #[must_use]
    pub fn waking(
        store: Store,
        secrets: Secrets,
        clock: Clock,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            wake: Arc::new(wake),
            repository_changed: Arc::new(|_| false),
            holds_rules: Arc::new(|_| false),
            somebody_left: Arc::new(|_| {}),
            done_by_us: Arc::new(|_| false),
            secrets: Arc::new(secrets),
            budget: webhook::Budget::default(),
            clock,
            tally: Tally::default(),
        }
    }

    /// The same, with what comes in counted there.
    #[must_use]
    pub fn counting(self, tally: Tally) -> Self {
        Self { tally, ..self }
    }
}

/// The routes.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route(WEBHOOK_PATH, post(webhook::receive))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(CatchPanicLayer::new())
        .with_state(shared)
}

/// The routes where no webhooks are received.
pub fn health() -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).layer(CatchPanicLayer::new())
}

/// A server that is bound and not yet serving.
pub struct Bound {
    listener: std::net::TcpListener,
    /// Where it listens: the port is the real one also when any was asked for.
    pub address: SocketAddr,
    door: connection::Door,
}

impl Bound {
    /// Binds `address`.
    ///
    /// # Errors
    /// When it is taken, or not ours to use.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        Self::with_places(address, MOST_CONNECTIONS, Tally::default())
    }

    /// The same, with connections that were closed or refused for want of room counted there.
    ///
    /// # Errors
    /// As there.
    pub fn counting(address: SocketAddr, tally: Tally) -> io::Result<Self> {
        Self::with_places(address, MOST_CONNECTIONS, tally)
    }

    /// Binds an address for those who watch: there are few.
    ///
    /// # Errors
    /// As there.
    pub fn for_watchers(address: SocketAddr) -> io::Result<Self> {
        Self::with_places(address, MOST_WATCHERS, Tally::default())
    }

    fn with_places(address: SocketAddr, places: usize, tally: Tally) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, door: connection::Door::to(places, tally) })
    }

    /// Serves until `stop`, then lets what is under way end.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        let handle = Handle::new();
        let stopping = handle.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            stopping.graceful_shutdown(Some(DRAIN));
        });
        let mut server =
            axum_server::from_tcp(self.listener)?.acceptor(self.door).http1_only().handle(handle);
        // Without a deadline for the head, and without fixing the protocol, a silent client would hold its
        // connection for ever.
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
        server.serve(router.into_make_service()).await
    }
}
