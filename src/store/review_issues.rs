//! Issues in which reviewers are asked, and the outbox of comments on them.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{RequestKey, Store, StoreError, Tx, get, time, time_if_any};
use crate::{
    domain::{Fingerprint, OrganizationId, RepositoryId, RequestId, UserId},
    github::IssueRef,
};

/// How often an issue is looked at within an hour as soon as something is heard of it, and then how far apart, in milliseconds.
const LOOKS_AT_ONCE: i64 = 20;
const THEN_EVERY: i64 = 60_000;
const HOUR: i64 = 3_600_000;

/// How far an issue got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueState {
    /// To be made.
    Recorded,
    /// The call that makes it was begun; its answer is not known.
    Sent,
    /// It is there, and asks.
    Open,
    /// It is there, and says how it ended.
    Closed,
    /// It is gone from where it was: deleted, or handed to another repository.
    Lost,
}

/// An issue in which reviewers are asked.
#[derive(Clone, Debug)]
pub struct IssueRow {
    /// Its number in this store.
    pub id: i64,
    /// Of which organization.
    pub organization: OrganizationId,
    /// About which request; `None`: it is a list of many.
    pub request: Option<RequestId>,
    /// Of a list: whose requests it names.
    pub owner: Option<UserId>,
    /// In which repository.
    pub repository: RepositoryId,
    /// What that was called: `owner/name`.
    pub repository_name: String,
    /// Whether only those can read it who were given access.
    pub private: bool,
    /// How far it got.
    pub state: IssueState,
    /// Where it is on GitHub.
    pub at: Option<IssueRef>,
    /// Where people see it; its repository, as long as it is not there.
    pub url: String,
    /// A hash of what GitHub has of us, as far as we know.
    pub written: String,
    /// The fingerprint that it shows.
    pub shows: Fingerprint,
    /// The comment of ours since which it shows that; 0: from its beginning.
    pub shows_since: i64,
    /// The last comment that was read.
    pub read_to: i64,
    /// Whether there may be comments that were not read.
    pub look: bool,
    /// When it was looked at last.
    pub looked_at: Option<Timestamp>,
    /// How often somebody closed it while its request was pending.
    pub reopened: i64,
    /// Whether nobody can answer there: it is locked, or its repository is archived.
    pub locked: bool,
    /// Whether somebody closed it while its request was pending, and it was not opened again yet.
    pub shut: bool,
    /// When the last comment that was read was written, by GitHub's clock.
    pub read_to_at: Option<Timestamp>,
    /// Whether there are more comments than were read at once.
    pub behind: bool,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When the call that makes it was begun last.
    pub sent_at: Option<Timestamp>,
}

/// A comment of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentRow {
    /// Names it, within its issue.
    pub key: String,
    /// What it says.
    pub body: String,
    /// When the call was begun whose answer is not known.
    pub sent_at: Option<Timestamp>,
}

impl IssueState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Sent => "sent",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Lost => "lost",
        }
    }

    /// A word that no version wrote: it is looked for before anything is made.
    fn from_stored(word: &str) -> Self {
        match word {
            "recorded" => Self::Recorded,
            "open" => Self::Open,
            "closed" => Self::Closed,
            "lost" => Self::Lost,
            _ => Self::Sent,
        }
    }
}

impl IssueRow {
    /// An issue that is to be made.
    #[must_use]
    pub fn new(
        key: RequestKey,
        (repository, repository_name, private): (RepositoryId, String, bool),
        url: String,
        shows: Fingerprint,
        now: Timestamp,
    ) -> Self {
        Self {
            id: 0,
            organization: key.organization,
            request: Some(key.request),
            owner: None,
            repository,
            repository_name,
            private,
            state: IssueState::Recorded,
            at: None,
            url,
            written: String::new(),
            shows,
            shows_since: 0,
            read_to: 0,
            look: true,
            looked_at: None,
            reopened: 0,
            locked: false,
            shut: false,
            read_to_at: None,
            behind: false,
            recorded_at: now,
            sent_at: None,
        }
    }

    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let repository = RepositoryId(get(row, "repository_id")?);
        Ok(Self {
            id: get(row, "id")?,
            organization: OrganizationId(get(row, "organization_id")?),
            request: get::<Option<i64>>(row, "request_id")?.map(RequestId),
            owner: get::<Option<i64>>(row, "owner_id")?.map(UserId),
            repository,
            repository_name: get(row, "repository")?,
            private: get(row, "private")?,
            state: IssueState::from_stored(&get::<String>(row, "state")?),
            at: get::<Option<i64>>(row, "number")?
                .zip(get::<Option<i64>>(row, "github_id")?)
                .map(|(number, id)| IssueRef { repository, number, id }),
            url: get(row, "url")?,
            written: get(row, "written")?,
            shows: Fingerprint::from_stored(get(row, "shows")?),
            shows_since: get(row, "shows_since")?,
            read_to: get(row, "read_to")?,
            look: get(row, "look")?,
            looked_at: time_if_any(row, "looked_at")?,
            reopened: get(row, "reopened")?,
            locked: get(row, "locked")?,
            shut: get(row, "shut")?,
            read_to_at: time_if_any(row, "read_to_at")?,
            behind: get(row, "behind")?,
            recorded_at: time(row, "recorded_at")?,
            sent_at: time_if_any(row, "sent_at")?,
        })
    }
}

impl Store {
    /// The issues about a request that are not lost, and the lists that name it, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn review_issues(&self, key: RequestKey) -> Result<Vec<IssueRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM review_issues WHERE state <> 'lost' AND ( \
                 (organization_id = $1 AND request_id = $2) \
                 OR id IN (SELECT issue_id FROM listed_requests WHERE organization_id = $1 AND request_id = $2)) \
              ORDER BY id",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(IssueRow::read).collect()
    }

    /// GitHub's ids of all issues of a repository that are known as something, or were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn known_review_issues(
        &self,
        repository: RepositoryId,
    ) -> Result<HashSet<i64>, StoreError> {
        let rows = sqlx::query(
            "SELECT github_id FROM review_issues WHERE repository_id = $1 AND github_id IS NOT NULL",
        )
        .bind(repository.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| get(row, "github_id")).collect()
    }

    /// How many issues about this request were lost.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn lost_issues(&self, key: RequestKey) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS lost FROM review_issues \
              WHERE organization_id = $1 AND request_id = $2 AND state = 'lost'",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_one(&self.readers)
        .await?;
        get(&row, "lost")
    }

    /// The comments on an issue that are to be written, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn comments_to_write(&self, issue: i64) -> Result<Vec<CommentRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM review_comments WHERE issue_id = $1 AND state IN ('recorded', 'sent') \
              ORDER BY recorded_at, key",
        )
        .bind(issue)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(CommentRow {
                    key: get(row, "key")?,
                    body: get(row, "body")?,
                    sent_at: time_if_any(row, "sent_at")?,
                })
            })
            .collect()
    }

    /// Whether an issue of GitHub's is one in which reviewers are asked.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn is_review_issue(
        &self,
        repository: RepositoryId,
        number: i64,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 AS one FROM review_issues \
              WHERE repository_id = $1 AND number = $2 AND state NOT IN ('closed', 'lost') LIMIT 1",
        )
        .bind(repository.0)
        .bind(number)
        .fetch_optional(&self.readers)
        .await?;
        Ok(row.is_some())
    }

    /// How many issues about single requests were recorded in an organization since then: of this person, and of all.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn issues_since(
        &self,
        organization: OrganizationId,
        owner: UserId,
        since: Timestamp,
    ) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS issues, COALESCE(SUM(r.owner_id = $3), 0) AS theirs FROM review_issues i \
               JOIN requests r ON r.organization_id = i.organization_id AND r.request_id = i.request_id \
              WHERE i.organization_id = $1 AND i.recorded_at > $2",
        )
        .bind(organization.0)
        .bind(since.as_millisecond())
        .bind(owner.0)
        .fetch_one(&self.readers)
        .await?;
        Ok((get(&row, "theirs")?, get(&row, "issues")?))
    }

    /// The open list of a repository for one person's requests, if there is one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_list(
        &self,
        organization: OrganizationId,
        repository: RepositoryId,
        owner: UserId,
    ) -> Result<Option<IssueRow>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM review_issues WHERE organization_id = $1 AND request_id IS NULL AND repository_id = $2 \
                AND owner_id = $3 AND state NOT IN ('closed', 'lost') ORDER BY id DESC LIMIT 1",
        )
        .bind(organization.0)
        .bind(repository.0)
        .bind(owner.0)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(IssueRow::read).transpose()
    }

    /// The requests that a list names, in the order of their numbers.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn listed_in(&self, issue: i64) -> Result<Vec<RequestId>, StoreError> {
        let rows = sqlx::query(
            "SELECT request_id FROM listed_requests WHERE issue_id = $1 ORDER BY request_id",
        )
        .bind(issue)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok(RequestId(get(row, "request_id")?))).collect()
    }
}

impl Tx {
    /// Puts an issue into the outbox, and gives its number in the store.
    pub(crate) async fn record_issue(&mut self, new: &IssueRow) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO review_issues (organization_id, request_id, repository_id, repository, private, state, shows, \
                 recorded_at, url, owner_id) VALUES ($1, $2, $3, $4, $5, 'recorded', $6, $7, $8, $9) RETURNING id",
        )
        .bind(new.organization.0)
        .bind(new.request.map(|request| request.0))
        .bind(new.repository.0)
        .bind(&new.repository_name)
        .bind(new.private)
        .bind(new.shows.as_str())
        .bind(new.recorded_at.as_millisecond())
        .bind(&new.url)
        .bind(new.owner.map(|owner| owner.0))
        .fetch_one(&mut *self.inner)
        .await?;
        get(&row, "id")
    }

    /// Where an issue stands.
    pub(crate) async fn save_issue(&mut self, row: &IssueRow) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_issues SET repository = $2, private = $3, state = $4, number = $5, url = $6, written = $7, \
                 shows = $8, shows_since = $9, read_to = $10, looked_at = $11, reopened = $12, sent_at = $13, github_id = $14, \
                 locked = $15, shut = $16, read_to_at = $17, behind = $18 WHERE id = $1",
        )
        .bind(row.id)
        .bind(&row.repository_name)
        .bind(row.private)
        .bind(row.state.as_str())
        .bind(row.at.map(|at| at.number))
        .bind(&row.url)
        .bind(&row.written)
        .bind(row.shows.as_str())
        .bind(row.shows_since)
        .bind(row.read_to)
        .bind(row.looked_at.map(Timestamp::as_millisecond))
        .bind(row.reopened)
        .bind(row.sent_at.map(Timestamp::as_millisecond))
        .bind(row.at.map(|at| at.id))
        .bind(row.locked)
        .bind(row.shut)
        .bind(row.read_to_at.map(Timestamp::as_millisecond))
        .bind(row.behind)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// A list names this request, too.
    pub(crate) async fn list_request(
        &mut self,
        issue: i64,
        key: RequestKey,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO listed_requests (issue_id, organization_id, request_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(issue)
        .bind(key.organization.0)
        .bind(key.request.0)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Puts a comment into the outbox, unless one with its key is or was there.
    pub(crate) async fn put_comment(
        &mut self,
        issue: i64,
        key: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO review_comments (issue_id, key, body, state, recorded_at) VALUES ($1, $2, $3, 'recorded', $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(issue)
        .bind(key)
        .bind(body)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// A comment is being written since then; `None`: it certainly was not.
    pub(crate) async fn comment_sent(
        &mut self,
        issue: i64,
        key: &str,
        since: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_comments SET state = CASE WHEN $3 IS NULL THEN 'recorded' ELSE 'sent' END, sent_at = $3 \
              WHERE issue_id = $1 AND key = $2",
        )
        .bind(issue)
        .bind(key)
        .bind(since.map(Timestamp::as_millisecond))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// A comment is there, under this id; `None`: it will never be.
    pub(crate) async fn comment_done(
        &mut self,
        issue: i64,
        key: &str,
        id: Option<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_comments SET state = CASE WHEN $3 IS NULL THEN 'void' ELSE 'done' END, comment_id = $3 \
              WHERE issue_id = $1 AND key = $2",
        )
        .bind(issue)
        .bind(key)
        .bind(id)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Comments on an issue that is gone are never written.
    pub(crate) async fn void_comments(&mut self, issue: i64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_comments SET state = 'void' WHERE issue_id = $1 AND state IN ('recorded', 'sent')",
        )
        .bind(issue)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Somebody did something to an issue: whoever is asked there may have answered. It is looked at at once; once a minute where
    /// it was often within the hour, since whoever may comment there would otherwise use up the calls for everybody. What is due
    /// already is due another moment later: by that, whoever is at work on it sees that something was heard meanwhile, also within one
    /// millisecond.
    pub(crate) async fn look_at_issue(
        &mut self,
        repository: RepositoryId,
        number: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_issues SET look = TRUE WHERE repository_id = $1 AND number = $2 AND state NOT IN ('closed', 'lost')",
        )
        .bind(repository.0)
        .bind(number)
        .execute(&mut *self.inner)
        .await?;
        sqlx::query(
            "UPDATE escalations SET due_at = \
                     CASE WHEN escalations.due_at >= i.due_at AND escalations.due_at < i.due_at + 1000 THEN escalations.due_at + 1 ELSE i.due_at END \
               FROM \
                 (SELECT organization_id, request_id, \
                         MAX($3, CASE WHEN looks >= $4 AND looks_from > $3 - $5 THEN COALESCE(looked_at, 0) + $6 ELSE 0 END) AS due_at \
                    FROM review_issues \
                   WHERE repository_id = $1 AND number = $2 AND state NOT IN ('closed', 'lost') AND request_id IS NOT NULL) i \
              WHERE escalations.ended_at IS NULL AND escalations.organization_id = i.organization_id \
                AND escalations.request_id = i.request_id",
        )
        .bind(repository.0)
        .bind(number)
        .bind(now.as_millisecond())
        .bind(LOOKS_AT_ONCE)
        .bind(HOUR)
        .bind(THEN_EVERY)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// The open issues of an organization that were looked at longest ago are to be looked at again: at most so many.
    pub(crate) async fn look_at_oldest_issues(
        &mut self,
        organization: OrganizationId,
        most: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "UPDATE review_issues SET look = TRUE WHERE id IN \
                 (SELECT i.id FROM review_issues i JOIN escalations e \
                      ON e.organization_id = i.organization_id AND e.request_id = i.request_id AND e.ended_at IS NULL \
                   WHERE i.organization_id = $1 AND i.state = 'open' ORDER BY i.looked_at LIMIT $2) \
              RETURNING request_id",
        )
        .bind(organization.0)
        .bind(most)
        .fetch_all(&mut *self.inner)
        .await?;
        for row in &rows {
            let request = RequestId(get(row, "request_id")?);
            self.wake_escalation(RequestKey { organization, request }, now).await?;
        }
        Ok(())
    }

    /// The issues about a request are to be looked at again.
    pub(crate) async fn look_again_at_issues(&mut self, key: RequestKey) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_issues SET look = TRUE WHERE organization_id = $1 AND request_id = $2",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// An issue is being read now: whatever comes from here on counts anew.
    pub(crate) async fn issue_looked_at(
        &mut self,
        issue: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE review_issues SET look = FALSE, looks = CASE WHEN looks_from > $2 - $3 THEN looks + 1 ELSE 1 END, \
                 looks_from = CASE WHEN looks_from > $2 - $3 THEN looks_from ELSE $2 END WHERE id = $1",
        )
        .bind(issue)
        .bind(now.as_millisecond())
        .bind(HOUR)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
