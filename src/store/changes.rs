//! Pull requests against rules: which are to be looked at, and of which commits something was said.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, get};
use crate::domain::RepositoryId;

/// A pull request that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Its repository.
    pub repository: RepositoryId,
    /// Its number.
    pub number: i64,
    /// How often that was tried, in a row.
    pub attempts: i64,
    /// Somebody wants the check of its commit again.
    pub again: bool,
}

impl ChangeRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            repository: RepositoryId(get(row, "repository_id")?),
            number: get(row, "number")?,
            attempts: get(row, "attempts")?,
            again: get(row, "again")?,
        })
    }
}

impl Store {
    /// Takes one pull request that is due; until `until` no other process takes it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_due_change(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<ChangeRow>, StoreError> {
        let due = sqlx::query("SELECT 1 AS due FROM rule_changes WHERE due_at <= $1 LIMIT 1")
            .bind(now.as_millisecond())
            .fetch_optional(&self.readers)
            .await?;
        if due.is_none() {
            return Ok(None);
        }
        let mut tx = self.begin().await?;
        let taken = sqlx::query(
            "UPDATE rule_changes SET due_at = $2, attempts = attempts + 1 \
              WHERE (repository_id, number) IN \
                    (SELECT repository_id, number FROM rule_changes WHERE due_at <= $1 ORDER BY due_at LIMIT 1) \
              RETURNING repository_id, number, attempts, again",
        )
        .bind(now.as_millisecond())
        .bind(until.as_millisecond())
        .fetch_optional(&mut *tx.inner)
        .await?;
        tx.commit().await?;
        taken.as_ref().map(ChangeRow::read).transpose()
    }

    /// Whether something was said of a commit.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_checked(
        &self,
        repository: RepositoryId,
        commit: &str,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 AS checked FROM checked_commits WHERE repository_id = $1 AND commit_sha = $2",
        )
        .bind(repository.0)
        .bind(commit)
        .fetch_optional(&self.readers)
        .await?;
        Ok(row.is_some())
    }

    /// It was looked at: nothing is to be done until somebody says so, or at `next`. `commit`: the one of which
    /// something was said.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn change_is_done(
        &self,
        row: &ChangeRow,
        commit: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE rule_changes SET due_at = NULL, attempts = 0, again = FALSE \
              WHERE repository_id = $1 AND number = $2 AND attempts = $3",
        )
        .bind(row.repository.0)
        .bind(row.number)
        .bind(row.attempts)
        .execute(&mut *tx.inner)
        .await?;
        if let Some(commit) = commit {
            sqlx::query(
                "INSERT INTO checked_commits (repository_id, commit_sha, number, checked_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (repository_id, commit_sha) DO UPDATE SET number = excluded.number, checked_at = excluded.checked_at",
            )
            .bind(row.repository.0)
            .bind(commit)
            .bind(row.number)
            .bind(now.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
        }
        tx.commit().await
    }

    /// It could not be looked at: again at `next`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn change_waits(&self, row: &ChangeRow, next: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE rule_changes SET due_at = $4 WHERE repository_id = $1 AND number = $2 AND attempts = $3",
        )
        .bind(row.repository.0)
        .bind(row.number)
        .bind(row.attempts)
        .bind(next.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }
}

impl Tx {
    /// A pull request is to be looked at.
    pub(crate) async fn note_change(
        &mut self,
        repository: RepositoryId,
        number: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // What comes while it is being looked at counts from then on: the attempts tell the look that it is late.
        sqlx::query(
            "INSERT INTO rule_changes (repository_id, number, due_at) VALUES ($1, $2, $3) \
             ON CONFLICT (repository_id, number) DO UPDATE SET due_at = excluded.due_at, attempts = 0",
        )
        .bind(repository.0)
        .bind(number)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Somebody wants the check of a commit again.
    pub(crate) async fn check_again(
        &mut self,
        repository: RepositoryId,
        commit: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE rule_changes SET due_at = $3, attempts = 0, again = TRUE \
              WHERE repository_id = $1 AND number IN \
                    (SELECT number FROM checked_commits WHERE repository_id = $1 AND commit_sha = $2)",
        )
        .bind(repository.0)
        .bind(commit)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
