//! Pull requests against rules: which are to be looked at, what was said of which commits, and how often lately.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sqlx::{QueryBuilder, Sqlite, sqlite::SqliteRow};

use super::{Store, StoreError, Tx, get, moment};
use crate::domain::RepositoryId;

/// Of more open pull requests than this, nobody tells the closed ones apart: SQLite takes some thousands of values in a
/// statement.
const MOST_OPEN: usize = 10_000;

/// How much was said of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// What the files show: who proposes it may not know more.
    Part,
    /// What is on record, too.
    All,
}

impl Told {
    fn as_str(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::All => "all",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        [Self::Part, Self::All]
            .into_iter()
            .find(|told| told.as_str() == text)
            .ok_or_else(|| StoreError::Unreadable(format!("a commit of which `{text}` was told")))
    }
}

/// What was said of a commit for one pull request that proposes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// For which.
    pub number: i64,
    /// How much.
    pub told: Told,
}

/// What a look at a pull request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reviewed {
    /// There was nothing to be said.
    Nothing,
    /// All that may be said of this commit was said before.
    Known(String, Told),
    /// A check run was written for this commit.
    Written(String, Told),
}

/// How many check runs were written for a commit lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunsLately {
    /// How many.
    pub count: usize,
    /// When the first of them was.
    pub first: Option<Timestamp>,
}

impl RunsLately {
    /// Until when another one has to wait, if `most` within `span` are all there may be.
    #[must_use]
    pub fn full_until(self, most: usize, span: SignedDuration) -> Option<Timestamp> {
        let first = self.first.filter(|_| self.count >= most)?;
        Some(first.saturating_add(span).unwrap_or(Timestamp::MAX))
    }
}

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

    /// What was said of a commit so far.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn said_of(
        &self,
        repository: RepositoryId,
        commit: &str,
    ) -> Result<Vec<Said>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, told FROM checked_changes WHERE repository_id = $1 AND commit_sha = $2",
        )
        .bind(repository.0)
        .bind(commit)
        .fetch_all(&self.readers)
        .await?;
        let said = |row: &SqliteRow| {
            let told = Told::read(&get::<String>(row, "told")?)?;
            Ok(Said { number: get(row, "number")?, told })
        };
        rows.iter().map(said).collect()
    }

    /// The check runs that were written for a commit since then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn runs_of(
        &self,
        repository: RepositoryId,
        commit: &str,
        since: Timestamp,
    ) -> Result<RunsLately, StoreError> {
        let row = sqlx::query(RUNS)
            .bind(repository.0)
            .bind(commit)
            .bind(since.as_millisecond())
            .fetch_one(&self.readers)
            .await?;
        runs_lately(&row)
    }

    /// It was looked at: nothing is to be done until somebody says so.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn change_is_done(
        &self,
        row: &ChangeRow,
        reviewed: &Reviewed,
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
        if let Reviewed::Known(commit, told) | Reviewed::Written(commit, told) = reviewed {
            sqlx::query(
                "INSERT INTO checked_changes (repository_id, commit_sha, number, told, checked_at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (repository_id, commit_sha, number) DO UPDATE SET told = excluded.told, checked_at = excluded.checked_at",
            )
            .bind(row.repository.0)
            .bind(commit)
            .bind(row.number)
            .bind(told.as_str())
            .bind(now.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
        }
        if let Reviewed::Written(commit, _) = reviewed {
            sqlx::query(
                "INSERT INTO check_runs (repository_id, commit_sha, written_at) VALUES ($1, $2, $3)",
            )
            .bind(row.repository.0)
            .bind(commit)
            .bind(now.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
        }
        tx.commit().await
    }

    /// Forgets what was said before `then` for pull requests of a repository that are not among the open ones.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_changes(
        &self,
        repository: RepositoryId,
        open: &BTreeSet<i64>,
        then: Timestamp,
    ) -> Result<(), StoreError> {
        if open.len() > MOST_OPEN {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for (table, old) in [
            ("checked_changes", "checked_at < "),
            ("rule_changes", "due_at IS NULL AND seen_at < "),
        ] {
            let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM ");
            query.push(table).push(" WHERE repository_id = ").push_bind(repository.0);
            query.push(" AND ").push(old).push_bind(then.as_millisecond());
            if !open.is_empty() {
                query.push(" AND number NOT IN (");
                let mut numbers = query.separated(", ");
                for number in open {
                    numbers.push_bind(*number);
                }
                query.push(")");
            }
            query.build().execute(&mut *tx.inner).await?;
        }
        tx.commit().await
    }

    /// Every repository with pull requests of which something is kept.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn changed_repositories(&self) -> Result<BTreeSet<RepositoryId>, StoreError> {
        let rows = sqlx::query(
            "SELECT repository_id FROM rule_changes UNION SELECT repository_id FROM checked_changes",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok(RepositoryId(get(row, "repository_id")?))).collect()
    }

    /// Forgets check runs that were written before `then`, which count against no limit any more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_runs(&self, then: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM check_runs WHERE written_at < $1")
            .bind(then.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
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
            "INSERT INTO rule_changes (repository_id, number, due_at, seen_at) VALUES ($1, $2, $3, $3) \
             ON CONFLICT (repository_id, number) DO UPDATE SET due_at = excluded.due_at, seen_at = excluded.seen_at, attempts = 0",
        )
        .bind(repository.0)
        .bind(number)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// The check runs that were written for a commit since then.
    pub(crate) async fn runs_of(
        &mut self,
        repository: RepositoryId,
        commit: &str,
        since: Timestamp,
    ) -> Result<RunsLately, StoreError> {
        let row = sqlx::query(RUNS)
            .bind(repository.0)
            .bind(commit)
            .bind(since.as_millisecond())
            .fetch_one(&mut *self.inner)
            .await?;
        runs_lately(&row)
    }

    /// Somebody wants the check of a commit again: at `due`, for the pull request of which most was said. What is due
    /// sooner stays so: it may be about another commit.
    pub(crate) async fn check_again(
        &mut self,
        repository: RepositoryId,
        commit: &str,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE rule_changes SET due_at = CASE WHEN due_at < $3 THEN due_at ELSE $3 END, seen_at = $4, attempts = 0, again = TRUE \
              WHERE repository_id = $1 AND number IN \
                    (SELECT number FROM checked_changes WHERE repository_id = $1 AND commit_sha = $2 \
                      ORDER BY told, number DESC LIMIT 1)",
        )
        .bind(repository.0)
        .bind(commit)
        .bind(due.as_millisecond())
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}

const RUNS: &str = "SELECT COUNT(*) AS runs, MIN(written_at) AS first FROM check_runs \
    WHERE repository_id = $1 AND commit_sha = $2 AND written_at >= $3";

fn runs_lately(row: &SqliteRow) -> Result<RunsLately, StoreError> {
    let count = usize::try_from(get::<i64>(row, "runs")?).unwrap_or(usize::MAX);
    let first = get::<Option<i64>>(row, "first")?.map(moment).transpose()?;
    Ok(RunsLately { count, first })
}
