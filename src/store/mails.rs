//! The outbox of mail: what is to be sent, what was, and what a mail server will not take.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{RevocationRow, Store, StoreError, Tx, get};
use crate::domain::OrganizationId;

/// Where a mail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// To be sent.
    Waiting,
    /// A mail server, or the folder, has it.
    Sent,
    /// The mail server will not take it.
    Refused,
}

/// One mail.
#[derive(Clone, Debug)]
pub struct MailRow {
    /// Names it: a mail is put into the outbox once for each key.
    pub key: String,
    /// On whose behalf.
    pub organization: OrganizationId,
    /// Whom it goes to.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// All of it, as text.
    pub text: String,
    /// The same, as HTML.
    pub html: String,
    /// The list that it belongs to, as `List-Id` has it before the host; empty: it is to one person.
    pub list: String,
    /// How often it was tried in vain.
    pub attempts: i64,
}

impl MailRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: get(row, "key")?,
            organization: OrganizationId(get(row, "organization_id")?),
            recipient: get(row, "recipient")?,
            subject: get(row, "subject")?,
            text: get(row, "text")?,
            html: get(row, "html")?,
            list: get(row, "list")?,
            attempts: get(row, "attempts")?,
        })
    }
}

impl MailState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

impl Store {
    /// The mails that are to be sent now: at most so many, the longest due first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due_mails(&self, now: Timestamp, limit: i64) -> Result<Vec<MailRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM mails WHERE state = 'waiting' AND due_at <= $1 ORDER BY due_at, key LIMIT $2",
        )
        .bind(now.as_millisecond())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(MailRow::read).collect()
    }
}

/// The mails whose keys begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailsUnder {
    /// How many there are.
    pub count: i64,
    /// Whether a mail server, or the folder, has one of them.
    pub arrived: bool,
    /// Whether one of them is still to be sent.
    pub waits: bool,
}

impl MailsUnder {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Store {
    /// What became of the mails whose keys begin with `prefix`, which ends with a slash.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mails_under(&self, prefix: &str) -> Result<MailsUnder, StoreError> {
        // A zero comes right after the slash.
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let row = sqlx::query(
            "SELECT COUNT(*) AS count, COALESCE(MAX(state = 'sent'), FALSE) AS arrived, \
                 COALESCE(MAX(state = 'waiting'), FALSE) AS waits FROM mails \
              WHERE key >= $1 AND key < $2",
        )
        .bind(prefix)
        .bind(end)
        .fetch_one(&self.readers)
        .await?;
        Ok(MailsUnder {
            count: get(&row, "count")?,
            arrived: get(&row, "arrived")?,
            waits: get(&row, "waits")?,
        })
    }
}

impl Store {
    /// The mails that stand there, the newest first: at most so many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mails(&self, state: MailState, limit: i64) -> Result<Vec<MailRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM mails WHERE state = $1 ORDER BY created_at DESC, key LIMIT $2",
        )
        .bind(state.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(MailRow::read).collect()
    }
}

/// How many mails share a transaction.
const AT_ONCE: usize = 500;

impl Store {
    /// The revocations that came to their ends and of which the tokens' owners were not told: some of them, the oldest
    /// first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revocations_to_tell(&self) -> Result<Vec<RevocationRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM revocations WHERE state = 'done' AND owners_told_at IS NULL ORDER BY id LIMIT 20",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RevocationRow::read).collect()
    }

    /// Puts the mails into the outbox that tell owners of a revocation, and keeps that they were told. Done twice, it is
    /// done once.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tell_owners(
        &self,
        revocation: i64,
        mails: &[MailRow],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for some in mails.chunks(AT_ONCE) {
            let mut tx = self.begin().await?;
            for mail in some {
                tx.put_mail(mail, now).await?;
            }
            tx.commit().await?;
        }
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE revocations SET owners_told_at = $2 WHERE id = $1")
            .bind(revocation)
            .bind(now.as_millisecond())
            .execute(&mut *tx.inner)
            .await?;
        tx.commit().await
    }
}

impl Tx {
    /// Puts a mail into the outbox, unless one with its key is or was there. Gives whether it was put.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn put_mail(&mut self, mail: &MailRow, now: Timestamp) -> Result<bool, StoreError> {
        let put = sqlx::query(
            "INSERT INTO mails (key, organization_id, recipient, subject, text, html, list, state, due_at, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $8, 'waiting', $7, $7) ON CONFLICT (key) DO NOTHING",
        )
        .bind(&mail.key)
        .bind(mail.organization.0)
        .bind(&mail.recipient)
        .bind(&mail.subject)
        .bind(&mail.text)
        .bind(&mail.html)
        .bind(now.as_millisecond())
        .bind(&mail.list)
        .execute(&mut *self.inner)
        .await?;
        Ok(put.rows_affected() == 1)
    }

    /// What came of sending a mail: where it stands `now`, and when it is tried again if it waits.
    pub(crate) async fn note_mail(
        &mut self,
        key: &str,
        state: MailState,
        note: &str,
        (now, due_at): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        self.note_notices(key, state, now).await?;
        sqlx::query(
            "UPDATE mails SET state = $2, note = $3, due_at = $4, attempts = attempts + 1 \
              WHERE key = $1 AND state = 'waiting'",
        )
        .bind(key)
        .bind(state.as_str())
        .bind(note)
        .bind(due_at.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
