//! Opening the files: whether they are ours, rights, pragmas, migrations, and checkpoints that run aside.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Store, StoreError, deliveries, get, leases};

/// The first version without the bug that could corrupt a database when the WAL was reset.
/// Source: <https://www.sqlite.org/changes.html>.
const OLDEST_SQLITE: i64 = 3_051_003;

/// How long anything waits for its turn to write.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often the checkpointer looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many pages (4 KiB) may wait for a quiet second to be copied into the file: 128 MiB.
const MOST_WAITING: i64 = 32_768;

/// How many pages the log may grow to before writers are made to wait for it: 256 MiB.
const LONGEST_LOG: i64 = 65_536;

/// One of the two files of a store.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// A table that it has and nobody else's file.
    mark: &'static str,
    /// In order, each with what it brings.
    migrations: &'static [(&'static str, &'static str)],
}

/// Both files.
pub(super) struct Files {
    pub(super) record: File,
    pub(super) deliveries: File,
}

impl Files {
    pub(super) fn of(path: &Path) -> Self {
        Self {
            record: File {
                path: path.to_owned(),
                mark: "decisions",
                migrations: &[
                    ("first", include_str!("migrations/sqlite/0001_first.sql")),
                    ("tokens", include_str!("migrations/sqlite/0002_tokens.sql")),
                    ("checks", include_str!("migrations/sqlite/0003_checks.sql")),
                    ("mails", include_str!("migrations/sqlite/0005_mails.sql")),
                    ("reviews", include_str!("migrations/sqlite/0006_reviews.sql")),
                    ("notices", include_str!("migrations/sqlite/0007_notices.sql")),
                    ("grounds", include_str!("migrations/sqlite/0008_grounds.sql")),
                    ("digests", include_str!("migrations/sqlite/0009_digests.sql")),
                    ("escalations", include_str!("migrations/sqlite/0010_escalations.sql")),
                    ("missed", include_str!("migrations/sqlite/0011_missed.sql")),
                    ("asking", include_str!("migrations/sqlite/0012_asking.sql")),
                    ("answers", include_str!("migrations/sqlite/0013_answers.sql")),
                ],
            },
            deliveries: File {
                path: beside(path, ".deliveries"),
                mark: "delivery_keys",
                migrations: &[(
                    "first",
                    include_str!("migrations/sqlite-deliveries/0001_first.sql"),
                )],
            },
        }
    }
}

/// What is named like a store and lies beside it.
fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

impl Store {
    /// Opens the store at `path`, and makes it when there is none: this file, and beside it one with `.deliveries`
    /// at the end of its name. They can be read by their owner only.
    ///
    /// # Errors
    /// When a file cannot be used: rights, disk, a newer version's schema. Never on a network file
    /// system: `SQLite`'s log needs shared memory.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let files = Files::of(path);
        // Before anything of a file is touched that may be somebody else's.
        let (record, deliveries) = (files.record.look().await?, files.deliveries.look().await?);
        let lock = lock(path).await?;
        // This one first: a record without deliveries is one that lost them.
        for file in [&files.deliveries, &files.record] {
            file.migrate().await?;
        }
        if matches!(record, Found::Nothing) && !matches!(deliveries, Found::Nothing) {
            let file = files.deliveries.path.display();
            tracing::warn!(%file, "these deliveries lie beside no store: all are read again, into a new one");
        }
        files.leave_a_gap().await?;
        drop(lock);
        Self::connect(files).await
    }

    /// Opens the store at `path` for commands that look into it: a file that is not there, is not a store, or
    /// was written by another version is left as it is.
    ///
    /// # Errors
    /// When a file cannot be used, with what to do about it.
    pub async fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        let files = Files::of(path);
        let record = files.record.look().await?;
        if matches!(record, Found::Nothing) {
            return Err(StoreError::Unfit(format!(
                "there is no store at {shown}. Either `patwarden serve` has not run with these settings yet, or they are \
                 not those of `serve`: name its settings file with --config or PATWARDEN_CONFIG, or the store itself \
                 with --database-url sqlite:PATH or PATWARDEN_DATABASE_URL"
            )));
        }
        match (record, files.deliveries.look().await?) {
            (Found::ThisVersion, Found::ThisVersion) => Self::connect(files).await,
            (Found::ThisVersion, Found::Nothing) => Err(StoreError::Unfit(format!(
                "the store at {shown} is not whole: {} is missing, which holds its deliveries. Bring it back from \
                 where it was moved to, or from a backup. If it is lost, `patwarden serve` begins another one when \
                 it starts, and finds pending requests by listing",
                files.deliveries.path.display()
            ))),
            _ => Err(StoreError::Unfit(format!(
                "the store at {shown} was written by another version of patwarden. `patwarden serve` brings an older \
                 one up to date when it starts; a newer one needs the patwarden that wrote it"
            ))),
        }
    }

    async fn connect(files: Files) -> Result<Self, StoreError> {
        let (writer, readers, of_record) = files.record.connect(4, Duration::ZERO).await?;
        let (intake, inbox, of_inbox) = files.deliveries.connect(2, LOOK_EVERY / 2).await?;
        let checkpoints = [of_record, of_inbox];
        let inbox = deliveries::Inbox::start(intake, inbox);
        let holder = leases::Holder::new(&files.record.path).map_err(|error| {
            StoreError::Unfit(format!("no lock file beside the store: {error}"))
        })?;
        Ok(Self { writer, readers, inbox, checkpoints, holder })
    }

    /// Closes the connections, once what they are at has ended. What is committed by then is on the disk;
    /// whoever still waits for a commit hears an error.
    pub async fn close(&self) {
        let [of_record, of_inbox] = &self.checkpoints;
        // All of them: the last that closes a file removes its log, by name, and by then another may be there.
        for pool in [
            &self.inbox.readers,
            of_inbox,
            &self.inbox.writer,
            &self.readers,
            of_record,
            &self.writer,
        ] {
            pool.close().await;
        }
    }
}

/// What is at a path where a store may be.
pub(super) enum Found {
    /// No file, or one with nothing in it.
    Nothing,
    ThisVersion,
    AnotherVersion,
}

impl File {
    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(LONGEST_WAIT)
            .statement_cache_capacity(300)
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging()
    }

    /// The one connection that writes, so many that read, and the one for checkpoints. Whether one is due is looked
    /// at from `later` on, so that those of two files do not fall together.
    async fn connect(
        &self,
        readers: u32,
        later: Duration,
    ) -> Result<(SqlitePool, SqlitePool, SqlitePool), StoreError> {
        let options = self.options();
        let one = || {
            SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(LONGEST_WAIT)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = one().connect_with(options.clone().pragma("wal_autocheckpoint", "0")).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(readers)
            .acquire_timeout(LONGEST_WAIT)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().read_only(true));
        let checkpoints = one().connect_with(options).await?;
        tokio::spawn(keep_the_log_short(checkpoints.clone(), later));
        Ok((writer, readers, checkpoints))
    }

    /// Looks without changing anything: an error when it is no file of ours.
    pub(super) async fn look(&self) -> Result<Found, StoreError> {
        let path = &self.path;
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
                return Err(StoreError::Unfit(format!(
                    "{} cannot be read: {error}",
                    path.display()
                )));
            }
        }
        let mut connection =
            SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS tables, COALESCE(SUM(name IN ('_sqlx_migrations', $1)), 0) AS ours \
               FROM sqlite_schema WHERE type = 'table'",
        )
        .bind(self.mark)
        .fetch_one(&mut connection)
        .await?;
        let found = match (get::<i64>(&row, "tables")?, get::<i64>(&row, "ours")?) {
            // The second: killed before its first tables were there.
            (0, _) | (1, 1) => Found::Nothing,
            (_, 2) => self.version(&mut connection).await?,
            _ => return Err(not_ours()),
        };
        connection.close().await?;
        Ok(found)
    }

    async fn version(&self, connection: &mut SqliteConnection) -> Result<Found, StoreError> {
        let rows = sqlx::query("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(connection)
            .await?;
        let applied = rows
            .iter()
            .map(|row| Ok((get::<i64>(row, "version")?, get::<Vec<u8>>(row, "checksum")?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let migrator = self.migrator();
        let ours =
            migrator.iter().map(|migration| (migration.version, migration.checksum.to_vec()));
        Ok(if ours.eq(applied) { Found::ThisVersion } else { Found::AnotherVersion })
    }

    fn migrator(&self) -> Migrator {
        let migration = |(version, (brings, sql)): (i64, &(&'static str, &'static str))| {
            Migration::new(
                version,
                (*brings).into(),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(*sql),
                false,
            )
        };
        Migrator::with_migrations((1..).zip(self.migrations).map(migration).collect())
    }

    /// Makes the file when it is not there, and brings its tables up to date. Only under the lock.
    async fn migrate(&self) -> Result<(), StoreError> {
        make_private(&self.path).map_err(|error| {
            StoreError::Unfit(format!("{} cannot be opened: {error}", self.path.display()))
        })?;
        let mut connection = self.options().connect().await?;
        let row =
            sqlx::query("SELECT sqlite_version() AS version").fetch_one(&mut connection).await?;
        let version: String = get(&row, "version")?;
        if numbered(&version) < OLDEST_SQLITE {
            return Err(StoreError::Unfit(format!(
                "SQLite {version} can lose data when its log is reset; 3.51.3 or newer is needed"
            )));
        }
        self.migrator().run(&mut connection).await.map_err(|error| {
            StoreError::Unfit(format!(
                "the tables of {} cannot be brought up to date: {error}. A store that a newer patwarden wrote needs \
                 that patwarden",
                self.path.display()
            ))
        })?;
        connection.close().await?;
        Ok(())
    }
}

impl Files {
    /// Where the deliveries end before what was read of them, they were lost or come from an older backup. The next
    /// ones must have higher numbers than all that was read, or they would pass for read.
    async fn leave_a_gap(&self) -> Result<(), StoreError> {
        let mut record = self.record.options().connect().await?;
        let row = sqlx::query("SELECT value FROM cursors WHERE name = 'deliveries'")
            .fetch_one(&mut record)
            .await?;
        let cursor: i64 = get(&row, "value")?;
        record.close().await?;
        // Read before the deliveries are: another process may be at work, and its cursor is never ahead of them.
        let mut deliveries = self.deliveries.options().connect().await?;
        let gap = sqlx::query(
            "INSERT INTO deliveries (seq, received_at, guid, hook_id, event, body) \
             SELECT $1, 0, x'', 0, 'lost', x'' WHERE (SELECT COALESCE(MAX(seq), 0) FROM deliveries) < $1",
        )
        .bind(cursor)
        .execute(&mut deliveries)
        .await?
        .rows_affected();
        deliveries.close().await?;
        if gap > 0 {
            let file = self.deliveries.path.display();
            tracing::warn!(
                %file,
                "this file ends before what was read of it: it was lost, or comes from an older backup. Deliveries \
                 that were in it and not read yet are lost; pending requests are found by listing"
            );
        }
        Ok(())
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(head)
}

/// Makes an empty file that only its owner can read, where nothing is yet: not even a link.
pub(super) fn make_new(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map(drop)
}

/// The file, its log and its index hold what organizations keep private.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let mut rights = file.metadata()?.permissions();
    if rights.mode() & 0o077 != 0 {
        rights.set_mode(0o600);
        file.set_permissions(rights)?;
    }
    Ok(())
}

/// Two processes that start at once must not both migrate; the driver takes no lock for `SQLite`.
async fn lock(store: &Path) -> Result<fs::File, StoreError> {
    let unfit = |error: io::Error| {
        let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty());
        StoreError::Unfit(match folder.filter(|folder| !folder.exists()) {
            Some(folder) => format!(
                "{} cannot be made: there is no directory {}; make it first",
                store.display(),
                folder.display()
            ),
            None => format!("no lock file beside the store {}: {error}", store.display()),
        })
    };
    let name = beside(store, ".lock");
    // Who can open it can hold it, and keep us from starting.
    make_private(&name).map_err(unfit)?;
    let lock = fs::OpenOptions::new().append(true).open(&name).map_err(unfit)?;
    tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .map_err(|error| StoreError::Unfit(error.to_string()))?
        .map_err(unfit)
}

fn numbered(version: &str) -> i64 {
    let mut parts = version.split('.').map(|part| part.parse::<i64>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    part() * 1_000_000 + part() * 1_000 + part()
}

/// Copies the log into the file from a connection of its own: a commit never waits for it, unless the log
/// has grown beyond all reason.
///
/// It syncs all that it has copied, and commits under way wait for the disk meanwhile. So it is done after a second
/// in which nothing was written, or when there is too much to wait for one.
async fn keep_the_log_short(pool: SqlitePool, later: Duration) {
    tokio::time::sleep(later).await;
    let mut seen = 0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let shortened = match pool.acquire().await {
            Ok(mut connection) => shorten_the_log(&mut connection, &mut seen).await,
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = shortened {
            tracing::warn!(%error, "the store's log is not shortened now");
        }
    }
}

async fn shorten_the_log(
    connection: &mut SqliteConnection,
    seen: &mut i64,
) -> Result<(), StoreError> {
    // Another number whenever somebody else has written.
    let row = sqlx::query("PRAGMA data_version").fetch_one(&mut *connection).await?;
    let version = get(&row, "data_version")?;
    let quiet = std::mem::replace(seen, version) == version;
    // Says how things stand, and does nothing.
    let row = sqlx::query("PRAGMA wal_checkpoint(NOOP)").fetch_one(&mut *connection).await?;
    let (log, copied): (i64, i64) = (get(&row, "log")?, get(&row, "checkpointed")?);
    if log == copied || (!quiet && log - copied < MOST_WAITING) {
        return Ok(());
    }
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut *connection).await?;
    if log > LONGEST_LOG {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waiting(connection: &mut SqliteConnection) -> i64 {
        let row = sqlx::query("PRAGMA wal_checkpoint(NOOP)").fetch_one(connection).await;
        let row = row.expect("an answer");
        get::<i64>(&row, "log").expect("a number")
            - get::<i64>(&row, "checkpointed").expect("a number")
    }

    #[tokio::test]
    async fn a_checkpoint_waits_until_nothing_is_written() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = Files::of(&folder.path().join("store.sqlite")).record;
        file.migrate().await.expect("a file");
        let options = file.options().pragma("wal_autocheckpoint", "0");
        let mut writer = options.clone().connect().await.expect("a connection");
        let mut aside = options.connect().await.expect("another");
        let mut seen = 0;
        for number in 1..=3 {
            sqlx::query("UPDATE cursors SET value = $1")
                .bind(number)
                .execute(&mut writer)
                .await
                .expect("a commit");
            shorten_the_log(&mut aside, &mut seen).await.expect("an answer");
            assert!(waiting(&mut aside).await > 0, "something was written since it looked");
        }
        shorten_the_log(&mut aside, &mut seen).await.expect("an answer");
        assert_eq!(waiting(&mut aside).await, 0);
    }
}
