//! Runs of standing policies: when each was last made, which tokens it selected, whose owners were told, and what is to
//! be carried out.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{
    MailRow, MailState, Store, StoreError, Tx, get,
    revocations::{NewItem, NewRevocation, RevocationRow},
    time, time_if_any,
};
use crate::domain::{GrantId, OrganizationId};

/// The channel of a notice that its mail server will not take.
const REFUSED: &str = "refused";

/// When a standing policy was last asked of every token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingRunRow {
    /// Under which rules.
    pub grounds: String,
    /// When.
    pub ran_at: Timestamp,
}

/// A token that a standing policy selects, and whether its owner was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// The token's grant.
    pub grant_id: GrantId,
    /// The access that it was selected for.
    pub access_granted_at: Timestamp,
    /// Since when it is selected.
    pub selected_at: Timestamp,
    /// Whether its owner was told.
    pub told: Notified,
}

/// Whether the owner of a token was told what a standing policy has in mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// Not yet.
    No,
    /// A mail is in the outbox.
    OnTheWay,
    /// That verifiably arrived: a mail server, or the folder, has the mail.
    Delivered(Timestamp),
    /// The mail server will not take the mail.
    Refused,
}

/// A mail that tells an owner of tokens what a standing policy has in mind.
#[derive(Clone, Debug)]
pub struct NoticeMail {
    /// The mail.
    pub mail: MailRow,
    /// Of which tokens it tells.
    pub grants: Vec<GrantId>,
}

/// What a run came to, to be kept all at once.
#[derive(Clone, Debug)]
pub struct StandingRun {
    /// `revoke.ID`.
    pub policy: String,
    /// Under which rules.
    pub grounds: String,
    /// When its tokens were looked at.
    pub at: Timestamp,
    /// Whether it was asked of every token with an answer: then it is over for today.
    pub complete: bool,
    /// The tokens that it selects now.
    pub selected: Vec<(GrantId, Timestamp)>,
    /// Those that it is known not to select any more.
    pub no_longer: Vec<GrantId>,
    /// What is kept as revocations: a report, a run.
    pub revocations: Vec<(NewRevocation, Vec<NewItem>)>,
    /// What owners are told: of each token once, whoever asks the policy meanwhile.
    pub notices: Vec<NoticeMail>,
}

impl Store {
    /// When each standing policy of an organization was last asked.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn standing_runs(
        &self,
        organization: OrganizationId,
    ) -> Result<HashMap<String, StandingRunRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT policy, grounds, ran_at FROM standing_runs WHERE organization_id = $1",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let ran =
                    StandingRunRow { grounds: get(row, "grounds")?, ran_at: time(row, "ran_at")? };
                Ok((get(row, "policy")?, ran))
            })
            .collect()
    }

    /// The tokens that a standing policy selects, as it was last asked.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn notices(
        &self,
        organization: OrganizationId,
        policy: &str,
    ) -> Result<HashMap<GrantId, NoticeRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM notices WHERE organization_id = $1 AND policy = $2")
            .bind(organization.0)
            .bind(policy)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let notice = NoticeRow {
                    grant_id: GrantId(get(row, "grant_id")?),
                    access_granted_at: time(row, "access_granted_at")?,
                    selected_at: time(row, "selected_at")?,
                    told: Notified::read(row)?,
                };
                Ok((notice.grant_id, notice))
            })
            .collect()
    }

    /// Keeps what a run came to: all of it, or nothing. Gives the numbers of the revocations, or `None` where another
    /// process was first with a run of this policy.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn record_standing_run(
        &self,
        organization: OrganizationId,
        run: &StandingRun,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let mut tx = self.begin().await?;
        if tx.has_open_run(organization, &run.policy).await? {
            return Ok(None);
        }
        for grant in &run.no_longer {
            sqlx::query(
                "DELETE FROM notices WHERE organization_id = $1 AND policy = $2 AND grant_id = $3",
            )
            .bind(organization.0)
            .bind(&run.policy)
            .bind(grant.0)
            .execute(&mut *tx.inner)
            .await?;
        }
        for (grant, access_granted_at) in &run.selected {
            // Access that was given anew is another matter, and told anew.
            sqlx::query(
                "INSERT INTO notices (organization_id, policy, grant_id, access_granted_at, selected_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (organization_id, policy, grant_id) DO UPDATE \
                 SET access_granted_at = excluded.access_granted_at, selected_at = excluded.selected_at, \
                     told_at = NULL, delivered_at = NULL, channel = NULL, mail = NULL \
                  WHERE notices.access_granted_at <> excluded.access_granted_at",
            )
            .bind(organization.0)
            .bind(&run.policy)
            .bind(grant.0)
            .bind(access_granted_at.as_millisecond())
            .bind(run.at.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
        }
        for notice in &run.notices {
            tx.put_notice(organization, run, notice).await?;
        }
        let mut ids = Vec::new();
        for (revocation, items) in &run.revocations {
            ids.push(tx.add_revocation(revocation, items).await?);
        }
        if run.complete {
            sqlx::query(
                "INSERT INTO standing_runs (organization_id, policy, grounds, ran_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (organization_id, policy) DO UPDATE \
                 SET grounds = excluded.grounds, ran_at = excluded.ran_at",
            )
            .bind(organization.0)
            .bind(&run.policy)
            .bind(&run.grounds)
            .bind(run.at.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
        }
        tx.commit().await?;
        Ok(Some(ids))
    }

    /// The run of a standing policy that waits or is carried out, if there is one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_run(
        &self,
        organization: OrganizationId,
        policy: &str,
    ) -> Result<Option<RevocationRow>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM revocations \
              WHERE organization_id = $1 AND policy = $2 AND state IN ('waiting', 'running')",
        )
        .bind(organization.0)
        .bind(policy)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(RevocationRow::read).transpose()
    }

    /// The runs of standing policies of an organization that wait for somebody.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn waiting_standing_runs(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<RevocationRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM revocations \
              WHERE organization_id = $1 AND state = 'waiting' AND policy IS NOT NULL ORDER BY id",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RevocationRow::read).collect()
    }

    /// The confirmed runs of standing policies that are not at their ends, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn running_standing_runs(&self) -> Result<Vec<RevocationRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM revocations WHERE state = 'running' AND policy IS NOT NULL ORDER BY id",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RevocationRow::read).collect()
    }

    /// How many tokens a standing policy has taken or is about to take by itself, in runs made since then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn taken_since(
        &self,
        organization: OrganizationId,
        policy: &str,
        since: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS tokens FROM revocations r JOIN revocation_items i ON i.revocation_id = r.id \
              WHERE r.organization_id = $1 AND r.policy = $2 AND r.planned_at > $3 \
                AND r.confirmed_by = r.planned_by AND i.state NOT IN ('left-out', 'already-gone', 'reported')",
        )
        .bind(organization.0)
        .bind(policy)
        .bind(since.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        get(&row, "tokens")
    }

    /// A run of a standing policy is given up: of what was not sent yet nothing will be. Gives how many tokens that are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn leave_out_what_is_planned(
        &self,
        id: i64,
        why: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let left_out = sqlx::query(
            "UPDATE revocation_items SET state = 'left-out', why = $2, ended_at = $3 \
              WHERE revocation_id = $1 AND state = 'planned'",
        )
        .bind(id)
        .bind(why)
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(left_out)
    }

    /// A run of a standing policy that waits is given up. Gives whether it still waited.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn drop_waiting_run(
        &self,
        id: i64,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let dropped = sqlx::query(
            "UPDATE revocations SET state = 'dropped', note = $2, ended_at = $3 \
              WHERE id = $1 AND state = 'waiting'",
        )
        .bind(id)
        .bind(why)
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(dropped == 1)
    }
}

impl Notified {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        if let Some(at) = time_if_any(row, "delivered_at")? {
            return Ok(Self::Delivered(at));
        }
        if get::<Option<String>>(row, "channel")?.as_deref() == Some(REFUSED) {
            return Ok(Self::Refused);
        }
        Ok(match time_if_any(row, "told_at")? {
            Some(_) => Self::OnTheWay,
            None => Self::No,
        })
    }
}

impl Tx {
    /// Puts a mail into the outbox that tells of tokens, and keeps that it does; where another process told of all of
    /// them meanwhile, nothing.
    async fn put_notice(
        &mut self,
        organization: OrganizationId,
        run: &StandingRun,
        notice: &NoticeMail,
    ) -> Result<(), StoreError> {
        let mut told = 0;
        for grant in &notice.grants {
            told += sqlx::query(
                "UPDATE notices SET told_at = $4, mail = $5 \
                  WHERE organization_id = $1 AND policy = $2 AND grant_id = $3 AND told_at IS NULL",
            )
            .bind(organization.0)
            .bind(&run.policy)
            .bind(grant.0)
            .bind(run.at.as_millisecond())
            .bind(&notice.mail.key)
            .execute(&mut *self.inner)
            .await?
            .rows_affected();
        }
        if told > 0 {
            self.put_mail(&notice.mail, run.at).await?;
        }
        Ok(())
    }

    /// A mail arrived, or never will: where it tells of tokens, `grace` runs from now on, or never.
    pub(super) async fn note_notices(
        &mut self,
        mail: &str,
        state: MailState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (delivered_at, channel) = match state {
            MailState::Waiting => return Ok(()),
            MailState::Sent => (Some(now.as_millisecond()), "mail"),
            MailState::Refused => (None, REFUSED),
        };
        sqlx::query(
            "UPDATE notices SET delivered_at = $2, channel = $3 WHERE mail = $1 AND delivered_at IS NULL",
        )
        .bind(mail)
        .bind(delivered_at)
        .bind(channel)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    async fn has_open_run(
        &mut self,
        organization: OrganizationId,
        policy: &str,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 AS one FROM revocations \
              WHERE organization_id = $1 AND policy = $2 AND state IN ('waiting', 'running')",
        )
        .bind(organization.0)
        .bind(policy)
        .fetch_optional(&mut *self.inner)
        .await?;
        Ok(row.is_some())
    }
}
