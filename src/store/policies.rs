//! The policies under which decisions were made, as they were written.

use jiff::Timestamp;

use super::{Store, StoreError, Tx, from_json, get, json};

impl Store {
    /// The files of a policy: name and text of each.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn policy(&self, hash: &str) -> Result<Option<Vec<(String, String)>>, StoreError> {
        let row = sqlx::query("SELECT sources FROM policies WHERE hash = $1")
            .bind(hash)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| from_json(&get::<String>(&row, "sources")?)).transpose()
    }
}

impl Tx {
    /// Keeps a policy's files under its hash.
    pub(crate) async fn note_policy(
        &mut self,
        hash: &str,
        sources: &[(String, String)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO policies (hash, sources, seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(hash)
        .bind(json(&sources)?)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
