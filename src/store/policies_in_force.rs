//! What is in force for each organization, for people who look: the engine itself never reads it.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, get, time};
use crate::domain::{Login, Organization, OrganizationId};

/// One organization's policy, as it stands.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PolicyInForceRow {
    /// Whose.
    pub organization: Organization,
    /// Which place of the settings it comes from, as in `policy_places`; `None`: the settings name none.
    pub whose: Option<String>,
    /// Where its files came from.
    pub source: String,
    /// Its hash; `None`: there is none.
    pub hash: Option<String>,
    /// What it may do.
    pub mode: Option<String>,
    /// The rules, their mode and what they protect, in one word.
    #[serde(skip)]
    pub grounds: Option<String>,
    /// Why it cannot be confirmed, or why there is none.
    pub broken: Option<String>,
    /// Since when all of this is so.
    pub since: Timestamp,
}

impl PolicyInForceRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            organization: Organization {
                id: OrganizationId(get(row, "organization_id")?),
                login: Login::new(get::<String>(row, "login")?),
            },
            whose: get(row, "whose")?,
            source: get(row, "source")?,
            hash: get(row, "hash")?,
            mode: get(row, "mode")?,
            grounds: get(row, "grounds")?,
            broken: get(row, "broken")?,
            since: time(row, "since")?,
        })
    }

    /// Whether both say the same, be it since other times.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let all = |row: &Self| {
            let Self { organization, whose, source, hash, mode, grounds, broken, since: _ } =
                row.clone();
            (organization.id, organization.login, whose, source, hash, mode, grounds, broken)
        };
        all(self) == all(other)
    }
}

impl Store {
    /// What is in force, by login.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn policies_in_force(&self) -> Result<Vec<PolicyInForceRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM policies_in_force ORDER BY login")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(PolicyInForceRow::read).collect()
    }
}

impl Tx {
    /// Notes what is in force for an organization.
    pub(crate) async fn note_policy_in_force(
        &mut self,
        row: &PolicyInForceRow,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO policies_in_force (organization_id, login, whose, source, hash, mode, broken, since, grounds) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (organization_id) DO UPDATE \
             SET login = excluded.login, whose = excluded.whose, source = excluded.source, hash = excluded.hash, \
                 mode = excluded.mode, broken = excluded.broken, since = excluded.since, grounds = excluded.grounds",
        )
        .bind(row.organization.id.0)
        .bind(row.organization.login.as_str())
        .bind(&row.whose)
        .bind(&row.source)
        .bind(&row.hash)
        .bind(&row.mode)
        .bind(&row.broken)
        .bind(row.since.as_millisecond())
        .bind(&row.grounds)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Forgets what is in force for an organization on which the App is not installed any more.
    pub(crate) async fn forget_policy_in_force(
        &mut self,
        organization: OrganizationId,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM policies_in_force WHERE organization_id = $1")
            .bind(organization.0)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }
}
