//! The servers that are compared, each in a process of its own: the same handler, with something else
//! behind it. What arrives was verified by patwarden's own extractor in all of them.

use std::{
    fs,
    io::{BufRead, Write},
    net::SocketAddr,
    path::Path,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use patwarden::{
    clock::Clock,
    github,
    server::{Bound, Secrets, Shared, VerifiedDelivery, WEBHOOK_PATH, router},
    store::{Delivery, Store},
};
use secrecy::SecretString;
use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{beside, payload::SECRET};

/// What is behind the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the signature is verified, the JSON is read, and that is that. The limit.
    NoStore,
    /// Nothing, and the JSON is not read either, as patwarden does not before it answers.
    SignatureOnly,
    /// A file that is appended to, one `fdatasync` for all that arrived meanwhile: the durable limit.
    Log,
    /// One commit a delivery, into the same tables, through a pool of one connection.
    OneCommit,
    /// patwarden.
    Patwarden,
    /// patwarden with everything that works beside it: engine, audit, reconciliation.
    WithEngine,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::SignatureOnly => "signature-only",
            Self::Log => "log",
            Self::OneCommit => "one-commit",
            Self::Patwarden => "patwarden",
            Self::WithEngine => "with-engine",
        }
    }

    const fn all() -> [Self; 6] {
        [
            Self::NoStore,
            Self::SignatureOnly,
            Self::Log,
            Self::OneCommit,
            Self::Patwarden,
            Self::WithEngine,
        ]
    }

    pub fn from_word(word: &str) -> Self {
        Self::all().into_iter().find(|kind| kind.word() == word).expect("a receiver we know")
    }
}

/// Serves until standard input ends. The runtime is that of `patwarden serve`.
pub fn serve(kind: Kind, folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        if kind == Kind::WithEngine {
            return beside::serve(folder).await;
        }
        let path = folder.join("store.sqlite");
        let store = Store::open(&path).await.expect("a store");
        let clock = Clock::system();
        let secrets = Secrets::new(&[SecretString::from(SECRET)]).expect("a secret");
        let shared = Shared::waking(store, secrets, clock.clone(), || {});
        let routes = match kind {
            Kind::Patwarden | Kind::WithEngine => router(shared),
            Kind::NoStore => Router::new().route(WEBHOOK_PATH, post(only_read)).with_state(shared),
            Kind::SignatureOnly => {
                Router::new().route(WEBHOOK_PATH, post(only_verify)).with_state(shared)
            }
            Kind::Log => {
                let log = Log::start(folder);
                let receive = move |State(_): State<Shared>, delivery: VerifiedDelivery| {
                    let (log, clock) = (log.clone(), clock.clone());
                    async move {
                        let (delivery, _budget) = delivery.into_delivery(clock.now());
                        log.append(delivery).await
                    }
                };
                Router::new().route(WEBHOOK_PATH, post(receive)).with_state(shared)
            }
            Kind::OneCommit => {
                let pool = pool(&folder.join("store.sqlite.deliveries")).await;
                let receive = move |State(_): State<Shared>, delivery: VerifiedDelivery| {
                    let (pool, clock) = (pool.clone(), clock.clone());
                    async move {
                        let (delivery, _budget) = delivery.into_delivery(clock.now());
                        one_commit(&pool, delivery).await
                    }
                };
                Router::new().route(WEBHOOK_PATH, post(receive)).with_state(shared)
            }
        };
        let bound = Bound::to(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        say(&bound.address.to_string());
        let stop = CancellationToken::new();
        let served = tokio::spawn(bound.serve(routes, stop.clone()));
        let _ = tokio::task::spawn_blocking(|| {
            std::io::stdin().lock().lines().map_while(Result::ok).for_each(drop);
        })
        .await;
        drop(served);
        std::process::exit(0);
    });
}

/// Tells the parent.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("a parent that listens");
}

async fn only_read(State(_): State<Shared>, delivery: VerifiedDelivery) -> StatusCode {
    let (delivery, _budget) = delivery.into_delivery(jiff::Timestamp::UNIX_EPOCH);
    match github::parse_request_event(&delivery.body) {
        Ok(event) => {
            std::hint::black_box(event);
            StatusCode::ACCEPTED
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

async fn only_verify(State(_): State<Shared>, delivery: VerifiedDelivery) -> StatusCode {
    let (delivery, _budget) = delivery.into_delivery(jiff::Timestamp::UNIX_EPOCH);
    std::hint::black_box(delivery);
    StatusCode::ACCEPTED
}

async fn pool(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
    pool.connect_with(options).await.expect("a store")
}

async fn one_commit(pool: &SqlitePool, delivery: Delivery) -> StatusCode {
    let stored = async {
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
        let new = sqlx::query(
            "INSERT INTO delivery_keys (guid, hook_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(&delivery.guid)
        .bind(delivery.hook_id)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if new == 1 {
            sqlx::query(
                "INSERT INTO deliveries (received_at, guid, hook_id, event, body) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(delivery.received_at.as_millisecond())
            .bind(delivery.guid)
            .bind(delivery.hook_id)
            .bind(delivery.event)
            .bind(delivery.body)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    };
    match stored.await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Appends, and answers when it is on the disk.
#[derive(Clone)]
struct Log(mpsc::Sender<(Delivery, oneshot::Sender<()>)>);

impl Log {
    fn start(folder: &Path) -> Self {
        let (log, mut arrived) = mpsc::channel::<(Delivery, oneshot::Sender<()>)>(256);
        let mut file = fs::File::create(folder.join("log")).expect("a file");
        std::thread::spawn(move || {
            let (mut group, mut bytes) = (Vec::new(), Vec::new());
            while arrived.blocking_recv_many(&mut group, 64) > 0 {
                bytes.clear();
                for (delivery, _) in &group {
                    bytes.extend_from_slice(&delivery.guid);
                    bytes.extend_from_slice(&delivery.hook_id.to_le_bytes());
                    bytes.extend_from_slice(&(delivery.body.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(&delivery.body);
                }
                file.write_all(&bytes).and_then(|()| file.sync_data()).expect("a disk");
                for (_, answer) in group.drain(..) {
                    let _ = answer.send(());
                }
            }
        });
        Self(log)
    }

    async fn append(&self, delivery: Delivery) -> StatusCode {
        let (answer, answered) = oneshot::channel();
        let sent = self.0.send((delivery, answer)).await;
        if sent.is_ok() && answered.await.is_ok() {
            StatusCode::ACCEPTED
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
