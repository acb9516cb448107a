//! What was said on an issue and did not count, what was done to it, and which repositories rules meant for reviews.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Store, StoreError, Tx, get, time_if_any};
use crate::{
    domain::{OrganizationId, RepositoryId, UserId},
    github::Meddled,
};

/// What did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemarkKind {
    /// A command that was not obeyed, or asked for nothing that counts.
    Answered,
    /// A command of somebody who may not decide.
    NotAllowed,
    /// Somebody changed what we wrote.
    Rewritten,
    /// Somebody closed the issue, and it was opened again.
    Reopened,
    /// A comment that was changed before it was read, by whomever: nobody knows what it said.
    Changed,
}

impl RemarkKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotAllowed => "not-allowed",
            Self::Rewritten => "rewritten",
            Self::Reopened => "reopened",
            Self::Changed => "changed",
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

/// When answers on an issue may have been taken away before they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// The last time, by whomever.
    pub at: Option<Timestamp>,
    /// The last time of which it was heard that somebody did it to another's words.
    pub by_others_at: Option<Timestamp>,
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
    /// How often the issue was opened again, whoever had closed it.
    pub reopened: i64,
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
            "SELECT COALESCE(SUM(answered AND kind NOT IN ('rewritten', 'reopened')), 0) AS answered, \
                    COALESCE(SUM(kind = 'not-allowed'), 0) AS not_allowed, \
                    COALESCE(SUM(kind = 'rewritten' AND answered), 0) AS rewritten, \
                    COALESCE(SUM(kind = 'rewritten' AND NOT answered), 0) AS unmended, \
                    COALESCE(SUM(kind = 'reopened'), 0) AS reopened \
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
            reopened: get(&row, "reopened")?,
        })
    }

    /// When comments on an issue were last changed or deleted before they were read.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unsaid(&self, issue: i64) -> Result<Unsaid, StoreError> {
        let row = sqlx::query(
            "SELECT MAX(at) AS at, MAX(CASE WHEN kind = 'tampered' THEN at END) AS by_others_at FROM review_remarks \
              WHERE issue_id = $1 AND kind IN ('tampered', 'changed')",
        )
        .bind(issue)
        .fetch_one(&self.readers)
        .await?;
        Ok(Unsaid {
            at: time_if_any(&row, "at")?,
            by_others_at: time_if_any(&row, "by_others_at")?,
        })
    }

    /// Whether it was heard that somebody changed what we wrote on an issue, and nothing followed from that yet.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn was_reworded(&self, issue: i64) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(MAX(CASE WHEN kind = 'reworded' THEN at END), 0) \
                  > COALESCE(MAX(CASE WHEN kind = 'rewritten' THEN at END), 0) AS reworded \
               FROM review_remarks WHERE issue_id = $1 AND kind IN ('reworded', 'rewritten')",
        )
        .bind(issue)
        .fetch_one(&self.readers)
        .await?;
        get(&row, "reworded")
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

    /// The names in rules under which another repository was found than the one they meant: the name in small letters, the number
    /// that is kept, and the one that was found last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn refused_review_repositories(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<(String, RepositoryId, RepositoryId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, repository_id, refused_id FROM review_repositories \
              WHERE organization_id = $1 AND refused_id IS NOT NULL ORDER BY name",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let number = |column| Ok::<_, StoreError>(RepositoryId(get(row, column)?));
                Ok((get(row, "name")?, number("repository_id")?, number("refused_id")?))
            })
            .collect()
    }

    /// Somebody says that these names in the rules mean these repositories now, which were found under them. One under which yet
    /// another was found since stays as it is, and so does every other name. Gives how many were accepted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn trust_review_repositories(
        &self,
        organization: OrganizationId,
        these: &[(String, RepositoryId)],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let mut accepted = 0;
        for (name, id) in these {
            accepted += sqlx::query(
                "UPDATE review_repositories SET repository_id = refused_id, refused_id = NULL, seen_at = $4 \
                  WHERE organization_id = $1 AND name = $2 AND refused_id = $3",
            )
            .bind(organization.0)
            .bind(name)
            .bind(id.0)
            .bind(now.as_millisecond())
            .execute(&mut *tx.inner)
            .await?
            .rows_affected();
        }
        // Whoever could not be asked because of it is asked at once.
        tx.ask_again(Some(organization), now).await?;
        tx.commit().await?;
        Ok(accepted)
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

    /// Somebody changed what others wrote on an issue; of a comment it is kept where that was not read yet.
    pub(crate) async fn note_meddling(
        &mut self,
        (repository, number): (RepositoryId, i64),
        meddled: Meddled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (kind, id, unread) = match meddled {
            Meddled::WithComment(comment) => ("tampered", comment, Some(comment)),
            Meddled::WithText => ("reworded", now.as_millisecond(), None),
        };
        sqlx::query(
            "INSERT INTO review_remarks (issue_id, remark_id, user_id, kind, answered, at) \
             SELECT id, $3, 0, $4, FALSE, $5 FROM review_issues \
              WHERE repository_id = $1 AND number = $2 AND state = 'open' AND ($6 IS NULL OR read_to < $6) \
             ON CONFLICT DO NOTHING",
        )
        .bind(repository.0)
        .bind(number)
        .bind(id)
        .bind(kind)
        .bind(now.as_millisecond())
        .bind(unread)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Keeps which other repository was found under a name; `None`: the one that it means.
    pub(crate) async fn note_refused_review_repository(
        &mut self,
        organization: OrganizationId,
        name: &str,
        other: Option<RepositoryId>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_repositories SET refused_id = $3 \
              WHERE organization_id = $1 AND name = $2 AND refused_id IS NOT $3",
        )
        .bind(organization.0)
        .bind(name.to_ascii_lowercase())
        .bind(other.map(|id| id.0))
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
