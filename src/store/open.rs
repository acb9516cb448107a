//! Opening the file: rights, pragmas, migrations, and checkpoints that run aside.

use std::{fs, path::Path, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Semaphore;

use super::{LONGEST_WAIT, Store, StoreError, deliveries, get, leases};

/// The first version without the bug that could corrupt a database when the WAL was reset.
/// Source: <https://www.sqlite.org/changes.html>.
const OLDEST_SQLITE: i64 = 3_051_003;

/// How often the checkpointer looks.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(250);

/// How many pages (4 KiB) the log may grow to before writers are made to wait for it: 256 MiB.
const LONGEST_LOG: i64 = 65_536;

impl Store {
    /// Opens the store at `path`, and makes it when there is none. The file can be read by its owner only.
    ///
    /// # Errors
    /// When the file cannot be used: rights, disk, a newer version's schema. Never on a network file
    /// system: `SQLite`'s log needs shared memory.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|error| {
            StoreError::Unfit(format!("{} cannot be opened: {error}", path.display()))
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(LONGEST_WAIT)
            .statement_cache_capacity(300)
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        migrate(path, &options).await?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(LONGEST_WAIT)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone().pragma("wal_autocheckpoint", "0"))
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(LONGEST_WAIT)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().read_only(true));
        let checkpoints = options.connect().await?;
        tokio::spawn(keep_the_log_short(checkpoints, writer.clone()));
        let intake = deliveries::start(writer.clone());
        let holder = leases::Holder::new(path).map_err(|error| {
            StoreError::Unfit(format!("no lock file beside the store: {error}"))
        })?;
        let turn = Arc::new(Semaphore::new(1));
        Ok(Self { writer, turn, readers, intake, holder })
    }

    /// Closes the file, with everything in its place.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The file, its log and its index hold what organizations keep private.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let mut rights = file.metadata()?.permissions();
    if rights.mode() & 0o077 != 0 {
        rights.set_mode(0o600);
        file.set_permissions(rights)?;
    }
    Ok(())
}

async fn migrate(path: &Path, options: &SqliteConnectOptions) -> Result<(), StoreError> {
    // Two processes that start at once must not both migrate; the driver takes no lock for SQLite.
    let mut lock_name = path.as_os_str().to_owned();
    lock_name.push(".lock");
    let unfit = |error: std::io::Error| {
        StoreError::Unfit(format!("no lock file beside the store: {error}"))
    };
    let lock = fs::OpenOptions::new().create(true).append(true).open(&lock_name).map_err(unfit)?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .map_err(|error| StoreError::Unfit(error.to_string()))?
        .map_err(unfit)?;
    let mut connection = options.connect().await?;
    let row = sqlx::query("SELECT sqlite_version() AS version").fetch_one(&mut connection).await?;
    let version: String = get(&row, "version")?;
    if numbered(&version) < OLDEST_SQLITE {
        return Err(StoreError::Unfit(format!(
            "SQLite {version} can lose data when its log is reset; 3.51.3 or newer is needed"
        )));
    }
    let migrator = Migrator::with_migrations(vec![Migration::new(
        1,
        "first".into(),
        MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str(include_str!("migrations/sqlite/0001_first.sql")),
        false,
    )]);
    migrator.run(&mut connection).await.map_err(|error| {
        StoreError::Unfit(format!(
            "the store's tables cannot be brought up to date: {error}. A store that a newer patwarden wrote needs that patwarden"
        ))
    })?;
    connection.close().await?;
    drop(lock);
    Ok(())
}

fn numbered(version: &str) -> i64 {
    let mut parts = version.split('.').map(|part| part.parse::<i64>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    part() * 1_000_000 + part() * 1_000 + part()
}

/// Copies the log into the file from a connection of its own: a commit never waits for it, unless the log
/// has grown beyond all reason.
async fn keep_the_log_short(mut connection: sqlx::SqliteConnection, writer: SqlitePool) {
    while !writer.is_closed() {
        tokio::time::sleep(CHECKPOINT_EVERY).await;
        let log_pages =
            match sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut connection).await {
                Ok(row) => get::<i64>(&row, "log").unwrap_or(0),
                Err(error) => {
                    tracing::debug!(%error, "checkpoint postponed");
                    continue;
                }
            };
        if log_pages > LONGEST_LOG
            && let Err(error) =
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await
        {
            tracing::warn!(%error, log_pages, "the store's log grows and cannot be cut");
        }
    }
    let _ = connection.close().await;
}
