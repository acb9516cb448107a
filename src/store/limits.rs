//! What GitHub's answers said of rate limits, kept for all processes and for after a restart.

use jiff::Timestamp;

use super::{Store, StoreError, Tx, get, time, time_if_any};
use crate::{domain::InstallationId, github::Limits};

/// An organization that GitHub asked us to leave alone for a while.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ParkedRow {
    /// Its login.
    pub organization: String,
    /// Until when.
    pub until: Timestamp,
    /// Calls an hour, if GitHub said so.
    pub call_limit: Option<i64>,
    /// How many of them were left.
    pub remaining: Option<i64>,
    /// When the count begins anew.
    pub resets_at: Option<Timestamp>,
}

impl Store {
    /// The organizations that are to be left alone now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn parked(&self, now: Timestamp) -> Result<Vec<ParkedRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT login, parked_until, call_limit, remaining, resets_at FROM rate_limits \
               JOIN installations USING (installation_id) WHERE parked_until > $1 ORDER BY login",
        )
        .bind(now.as_millisecond())
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ParkedRow {
                    organization: get(row, "login")?,
                    until: time(row, "parked_until")?,
                    call_limit: get(row, "call_limit")?,
                    remaining: get(row, "remaining")?,
                    resets_at: time_if_any(row, "resets_at")?,
                })
            })
            .collect()
    }

    /// Until when GitHub asked us to leave this installation alone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn parked_until(&self, id: InstallationId) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT parked_until FROM rate_limits WHERE installation_id = $1")
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.as_ref().map(|row| time_if_any(row, "parked_until")).transpose()?.flatten())
    }
}

impl Tx {
    /// Keeps what GitHub asked for.
    pub(crate) async fn note_limits(
        &mut self,
        id: InstallationId,
        limits: Option<Limits>,
        parked_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO rate_limits (installation_id, parked_until, call_limit, remaining, resets_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (installation_id) DO UPDATE \
             SET parked_until = excluded.parked_until, call_limit = excluded.call_limit, \
                 remaining = excluded.remaining, resets_at = excluded.resets_at",
        )
        .bind(id.0)
        .bind(parked_until.map(Timestamp::as_millisecond))
        .bind(limits.map(|limits| limits.limit))
        .bind(limits.map(|limits| limits.remaining))
        .bind(limits.map(|limits| limits.resets_at.as_millisecond()))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
