//! Leases: one process at a time works on an organization, and proves it with every write.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Store, StoreError, Tx, get, time};
use crate::domain::OrganizationId;

/// How long a lease lasts when it is not renewed. Every write renews it, and so does whoever waits long.
const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// The right to work on one organization.
#[derive(Clone, Debug)]
pub struct Lease {
    /// On which.
    pub organization: OrganizationId,
    /// Grows each time the lease changes hands: a write under an older number is refused.
    number: i64,
}

/// This process, among those that use the store. It holds a lock on a file of its own for as long as it
/// lives, so that the others need not wait for the lease of one that was killed.
#[derive(Clone)]
pub(super) struct Holder {
    id: Arc<str>,
    folder: Arc<Path>,
    _lock: Arc<OwnLock>,
}

struct OwnLock {
    file: PathBuf,
    _locked: fs::File,
}

impl Drop for OwnLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

impl Holder {
    pub(super) fn new(store: &Path) -> io::Result<Self> {
        let mut folder = store.as_os_str().to_owned();
        folder.push(".holders");
        let folder: PathBuf = folder.into();
        make_private(&folder)?;
        sweep(&folder);
        loop {
            let mut random = [0u8; 12];
            getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
            let id: Arc<str> = hex::encode(random).into();
            let file = folder.join(&*id);
            let locked = fs::OpenOptions::new().create_new(true).write(true).open(&file)?;
            locked.lock()?;
            // Another process may have swept the file away between its making and its locking.
            if file.exists() {
                let lock = Arc::new(OwnLock { file, _locked: locked });
                return Ok(Self { id, folder: folder.into(), _lock: lock });
            }
        }
    }

    /// Whether the process behind `id` is known to be dead: its file is gone, or nobody holds its lock.
    fn is_dead(&self, id: &str) -> bool {
        if id == &*self.id || id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return false;
        }
        match fs::File::open(self.folder.join(id)) {
            Ok(file) => file.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// The folder, for us alone: who can open a file of it can hold its lock, and make a dead process look alive.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut rights = fs::metadata(folder)?.permissions();
    if rights.mode() & 0o077 != 0 {
        rights.set_mode(0o700);
        fs::set_permissions(folder, rights)?;
    }
    Ok(())
}

/// Removes the files that dead processes left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(file) = fs::File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            // Removed while we hold the lock: whoever is about to lock it finds it gone, and makes another.
            let _ = fs::remove_file(entry.path());
        }
        drop(file);
    }
}

impl Store {
    /// Takes the lease of an organization, or finds it taken.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn lease(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.begin().await?;
        let held =
            sqlx::query("SELECT holder, number, until FROM leases WHERE organization_id = $1")
                .bind(organization.0)
                .fetch_optional(&mut *tx.inner)
                .await?;
        let mut number = 1;
        if let Some(row) = held {
            let holder: String = get(&row, "holder")?;
            let theirs = holder != *self.holder.id && !holder.is_empty();
            if theirs && time(&row, "until")? > now && !self.holder.is_dead(&holder) {
                return Ok(None);
            }
            number = get::<i64>(&row, "number")? + 1;
        }
        sqlx::query(
            "INSERT INTO leases (organization_id, holder, number, until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (organization_id) DO UPDATE \
             SET holder = excluded.holder, number = excluded.number, until = excluded.until",
        )
        .bind(organization.0)
        .bind(&*self.holder.id)
        .bind(number)
        .bind(until(now).as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await?;
        Ok(Some(Lease { organization, number }))
    }

    /// Gives a lease back. When that fails it runs out by itself.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE leases SET holder = '', until = 0 WHERE organization_id = $1 AND number = $2",
        )
        .bind(lease.organization.0)
        .bind(lease.number)
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }
}

impl Tx {
    pub(super) async fn renew(&mut self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        let renewed =
            sqlx::query("UPDATE leases SET until = $1 WHERE organization_id = $2 AND number = $3")
                .bind(until(now).as_millisecond())
                .bind(lease.organization.0)
                .bind(lease.number)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
        if renewed == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
    }
}

fn until(now: Timestamp) -> Timestamp {
    now.saturating_add(LEASE).unwrap_or(now)
}
