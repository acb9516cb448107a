//! Copying both files while others use them, and looking whether files are sound and belong together. Changes no store.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    Store, StoreError, get,
    open::{File, Files, Found, make_new},
    time_if_any,
};

/// What a file has at the end of its name until all of it is there, and was looked through.
const PARTIAL: &str = ".partial";

/// The most faults of one file that are told.
const MOST_FAULTS: i64 = 20;

/// A store that was read through.
#[derive(Debug, Serialize)]
pub struct Looked {
    /// The record and the deliveries.
    pub files: Vec<LookedAt>,
    /// Whether this version of patwarden wrote it.
    pub this_version: bool,
    /// Requests on record.
    pub requests: i64,
    /// Decisions on record.
    pub decisions: i64,
    /// When the last of them was made.
    pub last_decision_at: Option<Timestamp>,
    /// Deliveries whose bodies are there.
    pub deliveries: i64,
    /// How many of them the record does not know of yet.
    pub unread: i64,
    /// What is wrong with it; nothing: it is sound.
    pub faults: Vec<String>,
}

/// One of its files.
#[derive(Debug, Serialize)]
pub struct LookedAt {
    /// Where it is.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
}

impl Store {
    /// Copies the store at `path` into `folder`, which is made and must hold nothing: two files of the same names, each as it was at
    /// one moment. Whoever works on the store goes on; a store of another version is copied as it is. A copy has its name
    /// only once it was read through, found sound, and is on the disk.
    ///
    /// # Errors
    /// When there is no store, when `folder` cannot be used, when the disk is full, and when what was copied is not sound. Then
    /// nothing is left in `folder`.
    pub async fn back_up(path: &Path, folder: &Path) -> Result<Looked, StoreError> {
        let files = Files::of(path);
        files.are_there().await?;
        let name = path
            .file_name()
            .ok_or_else(|| StoreError::Unfit(format!("{} names no file", path.display())))?;
        let copy = Files::of(&folder.join(name));
        make_empty(folder)?;
        let copied = files.copy_to(&copy).await;
        if copied.is_err() {
            for file in [&copy.record, &copy.deliveries] {
                let _ = fs::remove_file(file.partial());
                let _ = fs::remove_file(&file.path);
            }
            let _ = fs::remove_dir(folder);
        }
        copied
    }

    /// Reads the store at `path` through, also while others use it.
    ///
    /// # Errors
    /// When there is no store, or a file of it is none.
    pub async fn look_through(path: &Path) -> Result<Looked, StoreError> {
        let files = Files::of(path);
        // A file may be too damaged to say whose it is: that is what is looked for.
        let this_version = match files.are_there().await {
            Err(StoreError::Database(_)) => false,
            known => known?,
        };
        files.look_through(this_version).await
    }
}

impl Files {
    /// Whether this version wrote both.
    async fn are_there(&self) -> Result<bool, StoreError> {
        let mut this_version = true;
        for file in [&self.record, &self.deliveries] {
            match file.look().await? {
                Found::Nothing => {
                    return Err(StoreError::Unfit(format!(
                        "there is no store at {}: {} is missing. Name the settings file of `patwarden serve` with --config or \
                         PATWARDEN_CONFIG, or the store itself with --database-url sqlite:PATH or PATWARDEN_DATABASE_URL",
                        self.record.path.display(),
                        file.path.display()
                    )));
                }
                Found::ThisVersion => {}
                Found::AnotherVersion => this_version = false,
            }
        }
        Ok(this_version)
    }

    async fn copy_to(&self, copy: &Self) -> Result<Looked, StoreError> {
        // The record first: what it has read must be in the deliveries that are copied after it. The other way round, the
        // next deliveries might get numbers that pass for read.
        self.record.copy_to(&copy.record).await?;
        self.deliveries.copy_to(&copy.deliveries).await?;
        for file in [&copy.deliveries, &copy.record] {
            fs::rename(file.partial(), &file.path).map_err(|error| file.unusable(&error))?;
        }
        let looked = copy.look_through(self.are_there().await?).await?;
        if let [first, ..] = looked.faults.as_slice() {
            return Err(StoreError::Unfit(format!(
                "what was copied is not sound, and was deleted: {first}. `patwarden store check` says what of the store itself is"
            )));
        }
        let folder = copy.record.path.parent().unwrap_or(Path::new("."));
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| copy.record.unusable(&error))?;
        Ok(looked)
    }

    async fn look_through(&self, this_version: bool) -> Result<Looked, StoreError> {
        let mut faults = Vec::new();
        let mut files = Vec::new();
        for file in [&self.record, &self.deliveries] {
            let bytes = fs::metadata(&file.path).map_err(|error| file.unusable(&error))?.len();
            files.push(LookedAt { path: file.path.clone(), bytes });
            faults.extend(file.faults().await);
        }
        let mut looked = Looked {
            files,
            this_version,
            requests: 0,
            decisions: 0,
            last_decision_at: None,
            deliveries: 0,
            unread: 0,
            faults,
        };
        // What is said of a file that is damaged may be as wrong as the file.
        if looked.faults.is_empty() {
            self.count(&mut looked).await?;
        }
        Ok(looked)
    }

    async fn count(&self, looked: &mut Looked) -> Result<(), StoreError> {
        let mut record = self.record.reader().await?;
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM requests) AS requests, (SELECT COUNT(*) FROM decisions) AS decisions, \
                    (SELECT MAX(decided_at) FROM decisions) AS last, \
                    (SELECT value FROM cursors WHERE name = 'deliveries') AS read_to",
        )
        .fetch_one(&mut record)
        .await?;
        record.close().await?;
        looked.requests = get(&row, "requests")?;
        looked.decisions = get(&row, "decisions")?;
        looked.last_decision_at = time_if_any(&row, "last")?;
        let read_to: i64 = get(&row, "read_to")?;
        // After the record: somebody may be at work, who reads no delivery that is not there.
        let mut deliveries = self.deliveries.reader().await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS deliveries, COALESCE(SUM(seq > $1), 0) AS unread, COALESCE(MAX(seq), 0) AS last \
               FROM deliveries",
        )
        .bind(read_to)
        .fetch_one(&mut deliveries)
        .await?;
        deliveries.close().await?;
        looked.deliveries = get(&row, "deliveries")?;
        looked.unread = get(&row, "unread")?;
        if get::<i64>(&row, "last")? < read_to {
            looked.faults.push(format!(
                "{} is older than the record beside it, or was lost and begun anew: what was in it and not read is lost. \
                 `patwarden serve` goes on with both, and finds pending requests by listing",
                self.deliveries.path.display()
            ));
        }
        Ok(())
    }
}

impl File {
    fn partial(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(PARTIAL);
        name.into()
    }

    fn unusable(&self, error: &io::Error) -> StoreError {
        StoreError::Unfit(format!("{} cannot be written or read: {error}", self.path.display()))
    }

    /// A connection that changes nothing, not even how the file is kept.
    async fn reader(&self) -> Result<SqliteConnection, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        Ok(options.connect().await?)
    }

    /// As it is at one moment, in one transaction that only reads: writers do not wait for it.
    async fn copy_to(&self, copy: &Self) -> Result<(), StoreError> {
        let partial = copy.partial();
        // Before anything is in it: SQLite writes into a file that is there and empty, and keeps its rights.
        make_new(&partial).map_err(|error| copy.unusable(&error))?;
        let mut reader = self.reader().await?;
        sqlx::query("VACUUM INTO $1")
            .bind(partial.to_string_lossy().into_owned())
            .execute(&mut reader)
            .await?;
        reader.close().await?;
        fs::File::open(&partial)
            .and_then(|file| file.sync_all())
            .map_err(|error| copy.unusable(&error))
    }

    /// What SQLite finds wrong with it, from the first page to the last.
    async fn faults(&self) -> Vec<String> {
        let told = |what: String| format!("{}: {what}", self.path.display());
        match self.integrity().await {
            Ok(said) => said.into_iter().filter(|said| said != "ok").map(told).collect(),
            Err(error) => vec![told(error.to_string())],
        }
    }

    async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut reader = self.reader().await?;
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA integrity_check({MOST_FAULTS})")))
                .fetch_all(&mut reader)
                .await?;
        reader.close().await?;
        rows.iter().map(|row| get(row, "integrity_check")).collect()
    }
}

/// A directory for us alone, in which nothing is.
fn make_empty(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let cannot = |error: io::Error| {
        StoreError::Unfit(format!("{} cannot be made: {error}", folder.display()))
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
    if fs::read_dir(folder).map_err(cannot)?.next().is_some() {
        return Err(StoreError::Unfit(format!(
            "there is something in {} already: name a directory that does not exist yet",
            folder.display()
        )));
    }
    Ok(())
}
