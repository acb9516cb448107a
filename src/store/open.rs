//! Opening the file: whether it is ours, rights, pragmas, migrations, and checkpoints that run aside.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

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

/// How often the checkpointer looks. Every round syncs the file, and commits under way wait for the disk meanwhile:
/// seldom is better, as long as the log stays short.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// How many pages (4 KiB) the log may grow to before writers are made to wait for it: 256 MiB.
const LONGEST_LOG: i64 = 65_536;

impl Store {
    /// Opens the store at `path`, and makes it when there is none. The file can be read by its owner only.
    ///
    /// # Errors
    /// When the file cannot be used: rights, disk, a newer version's schema. Never on a network file
    /// system: `SQLite`'s log needs shared memory.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // Before anything of a file is touched that may be somebody else's.
        look(path).await?;
        make_private(path).map_err(|error| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            StoreError::Unfit(match folder.filter(|folder| !folder.exists()) {
                Some(folder) => format!(
                    "{} cannot be made: there is no directory {}; make it first",
                    path.display(),
                    folder.display()
                ),
                None => format!("{} cannot be opened: {error}", path.display()),
            })
        })?;
        let options = options(path);
        migrate(path, &options).await?;
        Self::connect(path, options).await
    }

    /// Opens the store at `path` for commands that look into it: a file that is not there, is not a store, or
    /// was written by another version is left as it is.
    ///
    /// # Errors
    /// When the file cannot be used, with what to do about it.
    pub async fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        match look(path).await? {
            Found::ThisVersion => Self::connect(path, options(path)).await,
            Found::Nothing => Err(StoreError::Unfit(format!(
                "there is no store at {shown}: name the one that `patwarden serve` uses, with --database-url \
                 sqlite:PATH or PATWARDEN_DATABASE_URL"
            ))),
            Found::AnotherVersion => Err(StoreError::Unfit(format!(
                "the store at {shown} was written by another version of patwarden. `patwarden serve` brings an older \
                 one up to date when it starts; a newer one needs the patwarden that wrote it"
            ))),
        }
    }

    async fn connect(path: &Path, options: SqliteConnectOptions) -> Result<Self, StoreError> {
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

    /// Closes the connections, once what they are at has ended. What is committed by then is on the disk;
    /// whoever still waits for a commit hears an error.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(LONGEST_WAIT)
        .statement_cache_capacity(300)
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging()
}

/// What is at a path where a store may be.
enum Found {
    /// No file, or one with nothing in it.
    Nothing,
    ThisVersion,
    AnotherVersion,
}

/// Looks without changing anything: an error when it is not a store of ours.
async fn look(path: &Path) -> Result<Found, StoreError> {
    let not_ours = || {
        StoreError::Unfit(format!(
            "{} is not a store of patwarden's, and is left as it is: name another file",
            path.display()
        ))
    };
    match head(path) {
        Ok(head) if head.is_empty() => return Ok(Found::Nothing),
        // Source: <https://www.sqlite.org/fileformat.html#the_database_header>.
        Ok(head) if head != b"SQLite format 3\0" => return Err(not_ours()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => {
            return Err(StoreError::Unfit(format!("{} cannot be read: {error}", path.display())));
        }
    }
    let mut connection =
        SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
    let row = sqlx::query(
        "SELECT COUNT(*) AS tables, COALESCE(SUM(name IN ('_sqlx_migrations', 'delivery_keys')), 0) AS ours \
           FROM sqlite_schema WHERE type = 'table'",
    )
    .fetch_one(&mut connection)
    .await?;
    let found = match (get::<i64>(&row, "tables")?, get::<i64>(&row, "ours")?) {
        // The second: killed before its first tables were there.
        (0, _) | (1, 1) => Found::Nothing,
        (_, 2) => version(&mut connection).await?,
        _ => return Err(not_ours()),
    };
    connection.close().await?;
    Ok(found)
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(head)
}

async fn version(connection: &mut sqlx::SqliteConnection) -> Result<Found, StoreError> {
    let rows = sqlx::query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
        .fetch_all(connection)
        .await?;
    let applied = rows
        .iter()
        .map(|row| Ok((get::<i64>(row, "version")?, get::<Vec<u8>>(row, "checksum")?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let migrator = migrator();
    let ours = migrator.iter().map(|migration| (migration.version, migration.checksum.to_vec()));
    Ok(if ours.eq(applied) { Found::ThisVersion } else { Found::AnotherVersion })
}

fn migrator() -> Migrator {
    Migrator::with_migrations(vec![Migration::new(
        1,
        "first".into(),
        MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str(include_str!("migrations/sqlite/0001_first.sql")),
        false,
    )])
}

/// The file, its log and its index hold what organizations keep private.
fn make_private(path: &Path) -> io::Result<()> {
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
    let unfit =
        |error: io::Error| StoreError::Unfit(format!("no lock file beside the store: {error}"));
    // Who can open it can hold it, and keep us from starting.
    make_private(Path::new(&lock_name)).map_err(unfit)?;
    let lock = fs::OpenOptions::new().append(true).open(&lock_name).map_err(unfit)?;
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
    migrator().run(&mut connection).await.map_err(|error| {
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
