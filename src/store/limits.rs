//! What GitHub's answers said of rate limits, kept for all processes and for after a restart.

use jiff::Timestamp;

use super::{Store, StoreError, Tx, time_if_any};
use crate::{domain::InstallationId, github::Limits};

impl Store {
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
        .bind(parked_until.map_or(0, Timestamp::as_millisecond))
        .bind(limits.map_or(-1, |limits| limits.limit))
        .bind(limits.map_or(-1, |limits| limits.remaining))
        .bind(limits.map_or(0, |limits| limits.resets_at.as_millisecond()))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
