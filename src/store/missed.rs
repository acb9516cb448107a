//! Webhooks that did not arrive: which, how often they were asked for again, and what came of it.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{
    ROWS_AT_ONCE, Store, StoreError, Tx, deliveries::delivery_key, get, time, time_if_any,
};
use crate::domain::{InstallationId, RepositoryId};

/// Where a delivery stands that did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissedState {
    /// To be asked for again, or asked for and not here yet.
    Waiting,
    /// It came after all.
    Arrived,
    /// GitHub will not send it again.
    Refused,
    /// It was asked for as often as is sensible, or is too old.
    GivenUp,
}

impl MissedState {
    /// How it is written in the store and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Arrived => "arrived",
            Self::Refused => "refused",
            Self::GivenUp => "given-up",
        }
    }

    fn from_stored(text: &str) -> Result<Self, StoreError> {
        [Self::Waiting, Self::Arrived, Self::Refused, Self::GivenUp]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::Unreadable(format!("a missed delivery is `{text}`")))
    }
}

/// A delivery that did not arrive.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MissedRow {
    /// `X-GitHub-Delivery`.
    pub guid: String,
    /// GitHub's id of the newest attempt that failed.
    pub attempt: i64,
    /// The event.
    pub event: String,
    /// Its action.
    pub action: Option<String>,
    /// The installation that it is about.
    pub installation: Option<InstallationId>,
    /// When that attempt was made.
    pub delivered_at: Timestamp,
    /// Where it stands.
    pub state: MissedState,
    /// How often it was asked for again.
    pub asked: i64,
    /// When last.
    pub asked_at: Option<Timestamp>,
    /// When it may be asked for next.
    pub due_at: Timestamp,
    /// What is in the way, for people.
    pub note: String,
}

impl MissedRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            guid: get(row, "guid")?,
            attempt: get(row, "attempt_id")?,
            event: get(row, "event")?,
            action: get(row, "action")?,
            installation: get::<Option<i64>>(row, "installation_id")?.map(InstallationId),
            delivered_at: time(row, "delivered_at")?,
            state: MissedState::from_stored(&get::<String>(row, "state")?)?,
            asked: get(row, "asked")?,
            asked_at: time_if_any(row, "asked_at")?,
            due_at: time(row, "due_at")?,
            note: get(row, "note")?,
        })
    }
}

impl Store {
    /// Which of these deliveries are in the inbox, by GUID.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn held(&self, guids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut held = HashSet::new();
        for guid in guids {
            let Some(key) = delivery_key(guid) else { continue };
            let found = sqlx::query("SELECT 1 AS held FROM delivery_keys WHERE guid = $1 LIMIT 1")
                .bind(key)
                .fetch_optional(&self.inbox.readers)
                .await?;
            if found.is_some() {
                held.insert(guid.clone());
            }
        }
        Ok(held)
    }

    /// The body of a delivery that is in the inbox, and when it arrived; nothing, where it is not or was pruned.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn delivery_body(
        &self,
        guid: &str,
    ) -> Result<Option<(Timestamp, Vec<u8>)>, StoreError> {
        let Some(key) = delivery_key(guid) else { return Ok(None) };
        let row = sqlx::query(
            "SELECT received_at, body FROM deliveries WHERE guid = $1 ORDER BY seq DESC LIMIT 1",
        )
        .bind(key)
        .fetch_optional(&self.inbox.readers)
        .await?;
        row.map(|row| Ok((time(&row, "received_at")?, get(&row, "body")?))).transpose()
    }

    /// The repositories with issues in which people are or were asked.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn repositories_of_reviews(&self) -> Result<HashSet<RepositoryId>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT repository_id FROM review_issues")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok(RepositoryId(get(row, "repository_id")?))).collect()
    }

    /// Up to which moment GitHub's list of deliveries was read to its end.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn deliveries_read_until(&self) -> Result<Timestamp, StoreError> {
        let row = sqlx::query("SELECT value FROM cursors WHERE name = 'github-deliveries'")
            .fetch_one(&self.readers)
            .await?;
        time(&row, "value")
    }

    /// What did not arrive and waits, the newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn missed_waiting(&self) -> Result<Vec<MissedRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM missed_deliveries WHERE state = 'waiting' ORDER BY delivered_at DESC, guid",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(MissedRow::read).collect()
    }

    /// All that did not arrive at once, whatever came of it, the newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn missed(&self, limit: i64) -> Result<Vec<MissedRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM missed_deliveries ORDER BY delivered_at DESC, guid LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(MissedRow::read).collect()
    }

    /// Notes deliveries that failed. One that is known keeps its count; one that was said to have arrived, and is not in
    /// the inbox, was taken by somebody else, and is not asked for again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_missed(&self, missed: &[MissedRow]) -> Result<(), StoreError> {
        for some in missed.chunks(ROWS_AT_ONCE) {
            let mut tx = self.begin().await?;
            for row in some {
                sqlx::query(
                    "INSERT INTO missed_deliveries (guid, attempt_id, event, action, installation_id, delivered_at, \
                         state, due_at) VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7) \
                     ON CONFLICT (guid) DO UPDATE SET attempt_id = excluded.attempt_id, \
                         delivered_at = excluded.delivered_at WHERE excluded.delivered_at > missed_deliveries.delivered_at",
                )
                .bind(&row.guid)
                .bind(row.attempt)
                .bind(&row.event)
                .bind(&row.action)
                .bind(row.installation.map(|id| id.0))
                .bind(row.delivered_at.as_millisecond())
                .bind(row.due_at.as_millisecond())
                .execute(&mut *tx.inner)
                .await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// The list was read to its end up to this moment.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_deliveries_read(&self, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE cursors SET value = $1 WHERE name = 'github-deliveries' AND value < $1",
        )
        .bind(until.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }

    /// Keeps that a delivery is about to be asked for again, before that is done. `false`: another process was first, or
    /// it waits no more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn ask_for_missed(
        &self,
        row: &MissedRow,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let asked = sqlx::query(
            "UPDATE missed_deliveries SET asked = asked + 1, asked_at = $3, due_at = $4, note = '' \
              WHERE guid = $1 AND asked = $2 AND state = 'waiting' AND due_at <= $3",
        )
        .bind(&row.guid)
        .bind(row.asked)
        .bind(now.as_millisecond())
        .bind(due_at.as_millisecond())
        .execute(&mut *tx.inner)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(asked == 1)
    }

    /// Somebody asks for a delivery again: it waits once more, whatever was made of it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn asked_by_hand(
        &self,
        guid: &str,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE missed_deliveries SET state = 'waiting', asked = asked + 1, asked_at = $2, due_at = $3, note = '' \
              WHERE guid = $1",
        )
        .bind(guid)
        .bind(now.as_millisecond())
        .bind(due_at.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }

    /// What became of deliveries that waited.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settle_missed(
        &self,
        guids: &[String],
        state: MissedState,
        note: &str,
    ) -> Result<(), StoreError> {
        for some in guids.chunks(ROWS_AT_ONCE) {
            let mut tx = self.begin().await?;
            for guid in some {
                tx.settle_one(guid, state, note).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// GitHub did not do what was asked, and it is known that it did not: the try does not count.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_asking_back(&self, guid: &str, due_at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE missed_deliveries SET asked = asked - 1, due_at = $2 WHERE guid = $1 AND asked > 0",
        )
        .bind(guid)
        .bind(due_at.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }
}

impl Tx {
    async fn settle_one(
        &mut self,
        guid: &str,
        state: MissedState,
        note: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE missed_deliveries SET state = $2, note = $3 WHERE guid = $1 AND state = 'waiting'",
        )
        .bind(guid)
        .bind(state.as_str())
        .bind(note)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
