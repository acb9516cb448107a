//! Requests that people are asked about: who is asked in which round, who was reached, and who answered what.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{RequestKey, Store, StoreError, Tx, from_json, get, json, time, time_if_any};
use crate::{
    domain::{Fingerprint, Login, OrganizationId, RequestId, UserId},
    engine::lifecycle::Verdict,
    review::escalation::Vote,
};

const DUE_ORGANIZATIONS: &str =
    "SELECT DISTINCT +organization_id AS organization_id FROM escalations WHERE due_at <= $1";
const NEXT_DUE: &str = "SELECT MIN(due_at) AS due_at FROM escalations WHERE due_at IS NOT NULL";
const DUE: &str = "SELECT * FROM escalations WHERE due_at <= $2 AND +organization_id = $1 \
                   ORDER BY due_at, request_id LIMIT 1";

/// How a note begins that says that nobody can be asked.
pub const NOBODY_REACHED: &str = "nobody can be reached";

/// A request that people are asked about.
#[derive(Clone, Debug)]
pub struct EscalationRow {
    /// Which.
    pub key: RequestKey,
    /// What exactly is asked about.
    pub fingerprint: Fingerprint,
    /// The decision that left it to people.
    pub decision_id: Option<i64>,
    /// Since when this is asked.
    pub asked_at: Timestamp,
    /// When something is to be done; `None`: nothing by itself.
    pub due_at: Option<Timestamp>,
    /// How often something failed, in a row.
    pub failures: i64,
    /// What is in the way, for people; empty when nothing is.
    pub note: String,
    /// When silence denies it, as the rules in force have it.
    pub denies_at: Option<Timestamp>,
    /// When silence has another group asked.
    pub asks_next_at: Option<Timestamp>,
    /// When everything was said and closed.
    pub ended_at: Option<Timestamp>,
}

/// A group that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name in the rules.
    pub name: String,
    /// The group whose silence had it asked; `None`: a rule or the default named it.
    pub instead_of: Option<String>,
    /// How many must approve, as the rules in force have it.
    pub quorum: u32,
    /// Since when somebody of it is verifiably reached, under rules that are enforced.
    pub reached_at: Option<Timestamp>,
    /// When it was reminded last.
    pub reminded_at: Option<Timestamp>,
    /// Before this moment its silence denies nothing.
    pub denies_from: Option<Timestamp>,
}

/// An answer that is about to be recorded.
#[derive(Clone, Debug)]
pub struct NewVote {
    /// Who said what.
    pub vote: Vote,
    /// Where it stands.
    pub url: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteRow {
    /// Who said what.
    pub vote: Vote,
    /// Where it stands.
    pub url: String,
    /// When it was read.
    pub at: Timestamp,
    /// Why it does not count.
    pub void: Option<String>,
}

impl EscalationRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: RequestKey {
                organization: OrganizationId(get(row, "organization_id")?),
                request: RequestId(get(row, "request_id")?),
            },
            fingerprint: Fingerprint::from_stored(get(row, "fingerprint")?),
            decision_id: get(row, "decision_id")?,
            asked_at: time(row, "asked_at")?,
            due_at: time_if_any(row, "due_at")?,
            failures: get(row, "failures")?,
            note: get(row, "note")?,
            denies_at: time_if_any(row, "denies_at")?,
            asks_next_at: time_if_any(row, "asks_next_at")?,
            ended_at: time_if_any(row, "ended_at")?,
        })
    }
}

impl GroupRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: get(row, "name")?,
            instead_of: get(row, "instead_of")?,
            quorum: get(row, "quorum")?,
            reached_at: time_if_any(row, "reached_at")?,
            reminded_at: time_if_any(row, "reminded_at")?,
            denies_from: time_if_any(row, "denies_from")?,
        })
    }
}

impl VoteRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let verdict: String = get(row, "verdict")?;
        let counts_in: BTreeSet<String> = from_json(&get::<String>(row, "counts_in")?)?;
        Ok(Self {
            vote: Vote {
                user: UserId(get(row, "user_id")?),
                login: Login::new(get::<String>(row, "login")?),
                verdict: Verdict::from_stored(&verdict)
                    .ok_or_else(|| StoreError::Unreadable(format!("an answer `{verdict}`")))?,
                fingerprint: Fingerprint::from_stored(get(row, "fingerprint")?),
                counts_in,
                comment: get(row, "comment")?,
                comment_id: get(row, "comment_id")?,
            },
            url: get(row, "url")?,
            at: time(row, "at")?,
            void: get(row, "void")?,
        })
    }
}

impl Store {
    /// The organizations in which something is to be done about a request that people are asked about.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn organizations_with_due_escalations(
        &self,
        now: Timestamp,
    ) -> Result<Vec<OrganizationId>, StoreError> {
        let rows = sqlx::query(DUE_ORGANIZATIONS)
            .bind(now.as_millisecond())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok(OrganizationId(get(row, "organization_id")?))).collect()
    }

    /// When the next of them is due, if any is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_due_escalation(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(NEXT_DUE).fetch_one(&self.readers).await?;
        time_if_any(&row, "due_at")
    }

    /// The one of an organization that has been due for the longest time.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due_escalation(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<Option<EscalationRow>, StoreError> {
        let row = sqlx::query(DUE)
            .bind(organization.0)
            .bind(now.as_millisecond())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(EscalationRow::read).transpose()
    }

    /// What people are asked about a request, if they are or were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn escalation(&self, key: RequestKey) -> Result<Option<EscalationRow>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM escalations WHERE organization_id = $1 AND request_id = $2")
                .bind(key.organization.0)
                .bind(key.request.0)
                .fetch_optional(&self.readers)
                .await?;
        row.as_ref().map(EscalationRow::read).transpose()
    }

    /// Who is asked about it, in order of name.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn escalation_groups(&self, key: RequestKey) -> Result<Vec<GroupRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM escalation_groups WHERE organization_id = $1 AND request_id = $2 ORDER BY name",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(GroupRow::read).collect()
    }

    /// Every answer to it, of every round, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn votes(&self, key: RequestKey) -> Result<Vec<VoteRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM escalation_votes WHERE organization_id = $1 AND request_id = $2 ORDER BY comment_id",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(VoteRow::read).collect()
    }

    /// How many comments of ours are not written yet.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unwritten_comments(&self) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS unwritten FROM review_comments WHERE state IN ('recorded', 'sent')",
        )
        .fetch_one(&self.readers)
        .await?;
        get(&row, "unwritten")
    }
}

impl Tx {
    /// People are asked about this, from `due` on. What was asked before of another fingerprint is void; of the same one only who
    /// is asked may change. Who was asked in somebody's place stays so.
    pub(crate) async fn ask_people(
        &mut self,
        row: &EscalationRow,
        groups: &[String],
    ) -> Result<(), StoreError> {
        let key = row.key;
        let before = sqlx::query(
            "SELECT fingerprint FROM escalations \
              WHERE organization_id = $1 AND request_id = $2 AND ended_at IS NULL",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_optional(&mut *self.inner)
        .await?;
        let before = before.map(|row| get::<String>(&row, "fingerprint")).transpose()?;
        let same = before.as_deref() == Some(row.fingerprint.as_str());
        sqlx::query(
            "INSERT INTO escalations (organization_id, request_id, fingerprint, decision_id, asked_at, due_at) \
             VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (organization_id, request_id) DO UPDATE SET fingerprint = excluded.fingerprint, \
                 decision_id = COALESCE(excluded.decision_id, decision_id), \
                 asked_at = CASE WHEN $7 THEN asked_at ELSE excluded.asked_at END, \
                 due_at = CASE WHEN $7 AND due_at < excluded.due_at THEN due_at ELSE excluded.due_at END, \
                 failures = CASE WHEN $7 THEN failures ELSE 0 END, ended_at = NULL",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(row.fingerprint.as_str())
        .bind(row.decision_id)
        .bind(row.asked_at.as_millisecond())
        .bind(row.due_at.map(Timestamp::as_millisecond))
        .bind(same)
        .execute(&mut *self.inner)
        .await?;
        if !same {
            sqlx::query(
                "UPDATE escalation_votes SET void = 'people are asked anew' \
                  WHERE organization_id = $1 AND request_id = $2 AND void IS NULL",
            )
            .bind(key.organization.0)
            .bind(key.request.0)
            .execute(&mut *self.inner)
            .await?;
        }
        let names = json(&groups)?;
        sqlx::query(
            "DELETE FROM escalation_groups WHERE organization_id = $1 AND request_id = $2 \
                AND (NOT $3 OR (instead_of IS NULL AND name NOT IN (SELECT value FROM json_each($4))))",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(same)
        .bind(&names)
        .execute(&mut *self.inner)
        .await?;
        for name in groups {
            sqlx::query(
                "INSERT INTO escalation_groups (organization_id, request_id, name) VALUES ($1, $2, $3) \
                 ON CONFLICT (organization_id, request_id, name) DO UPDATE SET instead_of = NULL",
            )
            .bind(key.organization.0)
            .bind(key.request.0)
            .bind(name)
            .execute(&mut *self.inner)
            .await?;
        }
        Ok(())
    }

    /// Something happened to a request: whoever is asked about it is to know.
    pub(crate) async fn wake_escalation(
        &mut self,
        key: RequestKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE escalations SET due_at = CASE WHEN due_at >= $3 AND due_at < $3 + 1000 THEN due_at + 1 ELSE $3 END \
              WHERE organization_id = $1 AND request_id = $2 AND ended_at IS NULL",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Where an escalation stands after it was worked on. It stays due where something happened since it was read as due at
    /// `was_due`.
    pub(crate) async fn save_escalation(
        &mut self,
        row: &EscalationRow,
        was_due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE escalations SET due_at = CASE WHEN due_at IS $8 THEN $3 ELSE due_at END, failures = $4, note = $5, \
                 denies_at = $9, asks_next_at = $10, \
                 ended_at = CASE WHEN due_at IS $8 THEN $6 ELSE ended_at END \
              WHERE organization_id = $1 AND request_id = $2 AND fingerprint = $7",
        )
        .bind(row.key.organization.0)
        .bind(row.key.request.0)
        .bind(row.due_at.map(Timestamp::as_millisecond))
        .bind(row.failures)
        .bind(&row.note)
        .bind(row.ended_at.map(Timestamp::as_millisecond))
        .bind(row.fingerprint.as_str())
        .bind(was_due.map(Timestamp::as_millisecond))
        .bind(row.denies_at.map(Timestamp::as_millisecond))
        .bind(row.asks_next_at.map(Timestamp::as_millisecond))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Another group is asked because one was silent. Where it was asked in somebody else's place before, and rules said
    /// otherwise meanwhile, it is asked anew.
    pub(crate) async fn ask_instead(
        &mut self,
        key: RequestKey,
        group: &str,
        instead_of: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO escalation_groups (organization_id, request_id, name, instead_of) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (organization_id, request_id, name) DO UPDATE SET instead_of = excluded.instead_of, \
                 reached_at = NULL, reminded_at = NULL, denies_from = NULL WHERE escalation_groups.instead_of IS NOT NULL",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(group)
        .bind(instead_of)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// When a group was reached and reminded.
    pub(crate) async fn save_group(
        &mut self,
        key: RequestKey,
        row: &GroupRow,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE escalation_groups SET reached_at = $4, reminded_at = $5, quorum = $6, denies_from = $7 \
              WHERE organization_id = $1 AND request_id = $2 AND name = $3",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(&row.name)
        .bind(row.reached_at.map(Timestamp::as_millisecond))
        .bind(row.reminded_at.map(Timestamp::as_millisecond))
        .bind(row.quorum)
        .bind(row.denies_from.map(Timestamp::as_millisecond))
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Records an answer, once for each comment.
    pub(crate) async fn record_vote(
        &mut self,
        key: RequestKey,
        new: &NewVote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let vote = &new.vote;
        sqlx::query(
            "INSERT INTO escalation_votes (organization_id, request_id, comment_id, fingerprint, user_id, login, verdict, \
                 comment, counts_in, url, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(vote.comment_id)
        .bind(vote.fingerprint.as_str())
        .bind(vote.user.0)
        .bind(vote.login.as_str())
        .bind(vote.verdict.as_str())
        .bind(&vote.comment)
        .bind(json(&vote.counts_in)?)
        .bind(&new.url)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// An answer does not count any more.
    pub(crate) async fn void_vote(
        &mut self,
        key: RequestKey,
        comment_id: i64,
        why: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE escalation_votes SET void = $4 \
              WHERE organization_id = $1 AND request_id = $2 AND comment_id = $3 AND void IS NULL",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(comment_id)
        .bind(why)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;

    #[tokio::test]
    async fn what_is_asked_after_every_delivery_reads_only_what_is_due() {
        let folder = tempfile::tempdir().expect("a directory");
        let store = Store::open(&folder.path().join("store.sqlite")).await.expect("a store");
        for statement in [DUE_ORGANIZATIONS, NEXT_DUE, DUE] {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                .fetch_all(&store.readers)
                .await
                .expect("a plan");
            let step: String = plan.first().expect("a step").get("detail");
            assert!(step.starts_with("SEARCH") && step.contains("escalations_due"), "{step}");
        }
    }
}
