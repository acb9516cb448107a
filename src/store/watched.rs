//! How everything stands, in numbers, for whoever watches; and whether the files can be written at all.

use jiff::Timestamp;

use super::{
    NOBODY_REACHED, ParkedRow, PolicyInForceRow, Store, StoreError, get,
    installations::InstallationRow, time, time_if_any,
};
use crate::domain::OrganizationId;

/// Open requests of one organization in one state.
#[derive(Clone, Debug)]
pub struct OpenRequests {
    /// Whose.
    pub organization: OrganizationId,
    /// The state, as `docs/design.md` names it.
    pub state: String,
    /// How many.
    pub count: i64,
    /// Since when the one that has been in it for the longest time is.
    pub since: Timestamp,
    /// How many of them wait for somebody to confirm that many are acted on at once.
    pub unconfirmed: i64,
}

/// What was left to people and is not answered, of one organization.
#[derive(Clone, Debug)]
pub struct OpenEscalations {
    /// Whose.
    pub organization: OrganizationId,
    /// How many.
    pub open: i64,
    /// Of how many the last attempt to ask somebody failed.
    pub failing: i64,
}

/// Revocations of one organization that are not at their end.
#[derive(Clone, Debug)]
pub struct OpenRevocations {
    /// Whose.
    pub organization: OrganizationId,
    /// `waiting` for somebody to confirm, or `running`.
    pub state: String,
    /// How many.
    pub count: i64,
}

/// The last time that all tokens of an organization were listed.
#[derive(Clone, Debug)]
pub struct Inventoried {
    /// Whose.
    pub organization: OrganizationId,
    /// When.
    pub at: Timestamp,
    /// How many tokens had access.
    pub active: i64,
}

/// How everything stands where the App is installed. What is open elsewhere waits until it is there again, and nobody can do
/// anything about it.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Where the App is installed.
    pub installations: Vec<InstallationRow>,
    /// Which rules are in force for whom.
    pub policies: Vec<PolicyInForceRow>,
    /// Whom GitHub asked us to leave alone.
    pub parked: Vec<ParkedRow>,
    /// Deliveries that are stored and not read.
    pub deliveries_waiting: i64,
    /// When the oldest of them arrived.
    pub oldest_delivery: Option<Timestamp>,
    /// Deliveries that were signed and not understood.
    pub not_understood: i64,
    /// Requests that are not over.
    pub requests: Vec<OpenRequests>,
    /// Since when something is due that nobody has done.
    pub due_since: Option<Timestamp>,
    /// Reviews that are recorded and not known to have had their effect.
    pub unfinished_effects: i64,
    /// What is asked of people.
    pub escalations: Vec<OpenEscalations>,
    /// Revocations under way.
    pub revocations: Vec<OpenRevocations>,
    /// The last inventories.
    pub inventories: Vec<Inventoried>,
    /// Mails that nobody has yet.
    pub mails_waiting: i64,
    /// Since when the oldest of them waits.
    pub oldest_mail: Option<Timestamp>,
}

impl Store {
    /// How everything stands. It asks indexes only, for it is asked often.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn watched(&self, now: Timestamp) -> Result<Watched, StoreError> {
        let mut watched = Watched {
            installations: self.installations().await?,
            policies: self.policies_in_force().await?,
            parked: self.parked(now).await?,
            due_since: self.next_due().await?.filter(|due| *due <= now),
            unfinished_effects: self.unfinished_effects().await?,
            ..Watched::default()
        };
        self.watch_deliveries(&mut watched).await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS count, MIN(created_at) AS since FROM mails WHERE state = 'waiting'",
        )
        .fetch_one(&self.readers)
        .await?;
        watched.mails_waiting = get(&row, "count")?;
        watched.oldest_mail = time_if_any(&row, "since")?;
        self.watch_requests(&mut watched).await?;
        self.watch_revocations(&mut watched).await?;
        Ok(watched)
    }

    async fn watch_deliveries(&self, watched: &mut Watched) -> Result<(), StoreError> {
        // The cursor first: what comes in meanwhile counts as not read, which it was.
        let read = sqlx::query(
            "SELECT value AS cursor, (SELECT COUNT(*) FROM unread_deliveries) AS unread \
               FROM cursors WHERE name = 'deliveries'",
        )
        .fetch_one(&self.readers)
        .await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS count, MIN(received_at) AS since FROM deliveries WHERE seq > $1",
        )
        .bind(get::<i64>(&read, "cursor")?)
        .fetch_one(&self.inbox.readers)
        .await?;
        watched.not_understood = get(&read, "unread")?;
        watched.deliveries_waiting = get(&row, "count")?;
        watched.oldest_delivery = time_if_any(&row, "since")?;
        Ok(())
    }

    async fn watch_requests(&self, watched: &mut Watched) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, state, COUNT(*) AS count, MIN(state_since) AS since, \
                 SUM(unconfirmed) AS unconfirmed \
               FROM requests WHERE state NOT IN ('settled', 'gone') \
                AND organization_id IN (SELECT organization_id FROM installations) \
              GROUP BY organization_id, state",
        )
        .fetch_all(&self.readers)
        .await?;
        for row in &rows {
            watched.requests.push(OpenRequests {
                organization: OrganizationId(get(row, "organization_id")?),
                state: get(row, "state")?,
                count: get(row, "count")?,
                since: time(row, "since")?,
                unconfirmed: get(row, "unconfirmed")?,
            });
        }
        let rows = sqlx::query(
            "SELECT organization_id, COUNT(*) AS count, SUM(failures > 0 OR note LIKE $1 || '%') AS failing \
               FROM escalations WHERE ended_at IS NULL \
                AND organization_id IN (SELECT organization_id FROM installations) GROUP BY organization_id",
        )
        .bind(NOBODY_REACHED)
        .fetch_all(&self.readers)
        .await?;
        for row in &rows {
            watched.escalations.push(OpenEscalations {
                organization: OrganizationId(get(row, "organization_id")?),
                open: get(row, "count")?,
                failing: get(row, "failing")?,
            });
        }
        Ok(())
    }

    async fn watch_revocations(&self, watched: &mut Watched) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, state, COUNT(*) AS count FROM revocations \
              WHERE state IN ('waiting', 'running') \
                AND organization_id IN (SELECT organization_id FROM installations) \
              GROUP BY organization_id, state",
        )
        .fetch_all(&self.readers)
        .await?;
        for row in &rows {
            watched.revocations.push(OpenRevocations {
                organization: OrganizationId(get(row, "organization_id")?),
                state: get(row, "state")?,
                count: get(row, "count")?,
            });
        }
        let rows = sqlx::query(
            "SELECT organization_id, ended_at, active FROM token_listings \
              WHERE organization_id IN (SELECT organization_id FROM installations)",
        )
        .fetch_all(&self.readers)
        .await?;
        for row in &rows {
            watched.inventories.push(Inventoried {
                organization: OrganizationId(get(row, "organization_id")?),
                at: time(row, "ended_at")?,
                active: get(row, "active")?,
            });
        }
        Ok(())
    }

    /// Writes to both files what changes nothing, as durably as a delivery is written.
    ///
    /// # Errors
    /// When one of them cannot be written: locked, full, gone.
    pub async fn try_to_write(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut record = self.begin().await?;
        sqlx::query(
            "INSERT INTO cursors (name, value) VALUES ('last tried to write', $1) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(now.as_millisecond())
        .execute(&mut *record.inner)
        .await?;
        record.commit().await?;
        let mut deliveries = self.inbox.writer.begin_with("BEGIN IMMEDIATE").await?;
        // No GUID is empty. Where nothing but the same were written again, nothing would be written.
        sqlx::query("INSERT INTO delivery_keys (guid, hook_id) VALUES (x'', $1)")
            .bind(now.as_millisecond())
            .execute(&mut *deliveries)
            .await?;
        sqlx::query("DELETE FROM delivery_keys WHERE guid = x''").execute(&mut *deliveries).await?;
        deliveries.commit().await?;
        Ok(())
    }
}
