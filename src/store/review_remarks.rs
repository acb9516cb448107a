//! What was said on an issue and did not count, what was done to it, and which repositories rules meant for reviews.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Store, StoreError, Tx, get};
use crate::domain::{OrganizationId, RepositoryId, UserId};

/// What did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemarkKind {
    /// A command that was not obeyed, or asked for nothing that counts.
    Answered,
    /// A command of somebody who may not decide.
    NotAllowed,
    /// Somebody changed what we wrote.
    Rewritten,
}

impl RemarkKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotAllowed => "not-allowed",
            Self::Rewritten => "rewritten",
        }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct NewRemark {
    /// On which issue, by its number in this store.
    pub issue: i64,
    /// The comment, or the moment.
    pub id: i64,
    /// Whose; `None`: nobody in particular.
    pub user: Option<UserId>,
    /// What it was.
    pub kind: RemarkKind,
    /// Whether something was written because of it.
    pub answered: bool,
}

/// How many there were lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// For how many of them something was written.
    pub answered: i64,
    /// How many came of somebody who may not decide.
    pub not_allowed: i64,
    /// How often our words were changed, by whomever, and written anew.
    pub rewritten: i64,
    /// How often they were changed and left so.
    pub left: i64,
}

impl Store {
    /// What was written on an issue since then because of this person; of changes, because of anybody.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remarks(
        &self,
        issue: i64,
        user: Option<UserId>,
        since: Timestamp,
    ) -> Result<Remarks, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(SUM(answered AND kind <> 'rewritten'), 0) AS answered, \
                    COALESCE(SUM(kind = 'not-allowed'), 0) AS not_allowed, \
                    COALESCE(SUM(kind = 'rewritten' AND answered), 0) AS rewritten, \
                    COALESCE(SUM(kind = 'rewritten' AND NOT answered), 0) AS unmended \
               FROM review_remarks WHERE issue_id = $1 AND user_id = $2 AND at > $3",
        )
        .bind(issue)
        .bind(user.map_or(0, |user| user.0))
        .bind(since.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        Ok(Remarks {
            answered: get(&row, "answered")?,
            not_allowed: get(&row, "not_allowed")?,
            rewritten: get(&row, "rewritten")?,
            left: get(&row, "unmended")?,
        })
    }

    /// The repositories that rules of this organization meant for reviews, by their names in small letters.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn review_repositories(
        &self,
        organization: OrganizationId,
    ) -> Result<HashMap<String, RepositoryId>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, repository_id FROM review_repositories WHERE organization_id = $1",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok((get(row, "name")?, RepositoryId(get(row, "repository_id")?))))
            .collect()
    }

    /// Somebody says that the names in the rules mean the right repositories now: whichever has one when people are next asked
    /// there is kept. Gives how many were forgotten.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_review_repositories(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let forgotten = sqlx::query("DELETE FROM review_repositories WHERE organization_id = $1")
            .bind(organization.0)
            .execute(&mut *tx.inner)
            .await?
            .rows_affected();
        // Whoever could not be asked because of it is asked at once.
        sqlx::query(
            "UPDATE escalations SET due_at = $2 WHERE organization_id = $1 AND ended_at IS NULL AND note <> ''",
        )
        .bind(organization.0)
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    /// How many requests of an organization have something in the way of asking people, and what that is for one of them. What is
    /// `but_for` is nothing in the way.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn hindered_escalations(
        &self,
        organization: OrganizationId,
        but_for: &str,
    ) -> Result<Option<(i64, String)>, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS hindered, MIN(note) AS note FROM escalations \
              WHERE organization_id = $1 AND ended_at IS NULL AND note NOT IN ('', $2)",
        )
        .bind(organization.0)
        .bind(but_for)
        .fetch_one(&self.readers)
        .await?;
        let Some(note) = get::<Option<String>>(&row, "note")? else { return Ok(None) };
        Ok(Some((get(&row, "hindered")?, note)))
    }
}

impl Tx {
    /// Keeps what did not count, once.
    pub(crate) async fn note_remark(
        &mut self,
        new: &NewRemark,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO review_remarks (issue_id, remark_id, user_id, kind, answered, at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT DO NOTHING",
        )
        .bind(new.issue)
        .bind(new.id)
        .bind(new.user.map_or(0, |user| user.0))
        .bind(new.kind.as_str())
        .bind(new.answered)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Keeps which repository a name means, unless that is kept already: the first one stays.
    pub(crate) async fn note_review_repository(
        &mut self,
        organization: OrganizationId,
        name: &str,
        id: RepositoryId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO review_repositories (organization_id, name, repository_id, seen_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(organization.0)
        .bind(name.to_ascii_lowercase())
        .bind(id.0)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
