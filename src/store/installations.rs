//! Where the App is installed.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, get, time, time_if_any};
use crate::domain::{Installation, InstallationId, Login, Organization, OrganizationId};

const OF_ORGANIZATION: &str = "SELECT organization_id, installation_id, login, suspended, looked_at FROM installations \
      WHERE organization_id = $1";

/// One installation, as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationRow {
    /// The organization.
    pub organization: Organization,
    /// The installation.
    pub id: InstallationId,
    /// Whether GitHub refuses every call for now.
    pub suspended: bool,
    /// When its pending requests were listed for the first time; `None`: never yet.
    pub looked_at: Option<Timestamp>,
}

impl InstallationRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            organization: Organization {
                id: OrganizationId(get(row, "organization_id")?),
                login: Login::new(get::<String>(row, "login")?),
            },
            id: InstallationId(get(row, "installation_id")?),
            suspended: get(row, "suspended")?,
            looked_at: time_if_any(row, "looked_at")?,
        })
    }
}

impl Store {
    /// Every installation that we know.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn installations(&self) -> Result<Vec<InstallationRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, installation_id, login, suspended, looked_at FROM installations ORDER BY login",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(InstallationRow::read).collect()
    }

    /// Forgets the installations on organizations that do not count.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_installations_unless(
        &self,
        counts: impl Fn(&Login) -> bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let installed = self.installations().await?;
        let others: Vec<_> =
            installed.into_iter().filter(|row| !counts(&row.organization.login)).collect();
        if others.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for row in others {
            tx.forget_installation(row.organization.id, now).await?;
        }
        tx.commit().await
    }

    /// Where the App is installed and the settings do not name the organization: its login, and since when that is known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn ignored_installations(&self) -> Result<Vec<(Login, Timestamp)>, StoreError> {
        let rows = sqlx::query("SELECT login, seen_at FROM ignored_installations ORDER BY login")
            .fetch_all(&self.readers)
            .await?;
        let read =
            |row: &SqliteRow| Ok((Login::new(get::<String>(row, "login")?), time(row, "seen_at")?));
        rows.iter().map(read).collect()
    }

    /// The installation on one organization.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn installation(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<InstallationRow>, StoreError> {
        let row =
            sqlx::query(OF_ORGANIZATION).bind(organization.0).fetch_optional(&self.readers).await?;
        row.as_ref().map(InstallationRow::read).transpose()
    }
}

impl Tx {
    pub(crate) async fn installation(
        &mut self,
        organization: OrganizationId,
    ) -> Result<Option<InstallationRow>, StoreError> {
        let row = sqlx::query(OF_ORGANIZATION)
            .bind(organization.0)
            .fetch_optional(&mut *self.inner)
            .await?;
        row.as_ref().map(InstallationRow::read).transpose()
    }

    /// Notes an installation as GitHub shows it now. Where it was not there before, or might not work, what
    /// was set aside for that is due.
    pub(crate) async fn note_installation(
        &mut self,
        installation: &Installation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = self.installation(installation.organization.id).await?;
        sqlx::query(
            "INSERT INTO installations (organization_id, installation_id, login, suspended, seen_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id) DO UPDATE \
             SET installation_id = excluded.installation_id, login = excluded.login, \
                 suspended = excluded.suspended, seen_at = excluded.seen_at",
        )
        .bind(installation.organization.id.0)
        .bind(installation.id.0)
        .bind(installation.organization.login.as_str())
        .bind(installation.suspended)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        if !installation.suspended && before.is_none_or(|before| before.suspended) {
            self.hasten_all_of(installation.organization.id, now).await?;
        }
        Ok(())
    }

    /// Its pending requests were listed, perhaps for the first time.
    pub(crate) async fn looked_at(
        &mut self,
        id: InstallationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE installations SET looked_at = $2 WHERE installation_id = $1 AND looked_at IS NULL",
        )
        .bind(id.0)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Forgets an installation that was removed, unless another has taken its place or something was heard of
    /// it since `then`.
    pub(crate) async fn forget_installation(
        &mut self,
        organization: OrganizationId,
        then: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM installations WHERE organization_id = $1 AND seen_at <= $2")
            .bind(organization.0)
            .bind(then.as_millisecond())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// Notes the installations that do not count, as GitHub lists them now; gives those that were not known.
    pub(crate) async fn note_ignored(
        &mut self,
        ignored: &[Installation],
        now: Timestamp,
    ) -> Result<Vec<Login>, StoreError> {
        let known = sqlx::query("SELECT organization_id FROM ignored_installations")
            .fetch_all(&mut *self.inner)
            .await?;
        for row in &known {
            let id = OrganizationId(get(row, "organization_id")?);
            if ignored.iter().all(|installation| installation.organization.id != id) {
                sqlx::query("DELETE FROM ignored_installations WHERE organization_id = $1")
                    .bind(id.0)
                    .execute(&mut *self.inner)
                    .await?;
            }
        }
        let mut new = Vec::new();
        for Installation { organization, .. } in ignored {
            let noted = sqlx::query(
                "INSERT INTO ignored_installations (organization_id, login, seen_at) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(organization.id.0)
            .bind(organization.login.as_str())
            .bind(now.as_millisecond())
            .execute(&mut *self.inner)
            .await?;
            if noted.rows_affected() == 1 {
                new.push(organization.login.clone());
            }
        }
        Ok(new)
    }
}
