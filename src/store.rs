//! The only place with SQL: a durable record of deliveries, requests, decisions, effects and leases.
//!
//! Two SQLite files, WAL, `synchronous=FULL`: what GitHub delivered, and everything else. A file has one writer, and a
//! delivery is to wait for no other work. The SQL is kept portable to PostgreSQL (`$1`, `RETURNING`,
//! `ON CONFLICT`). One file a table; what the values mean is decided elsewhere.

mod again;
mod backup;
mod changes;
mod coverage;
mod decisions;
mod deliveries;
mod departures;
mod digests;
mod effects;
mod escalations;
mod forgetting;
mod heard;
mod holds;
mod installations;
mod leases;
mod limits;
mod mails;
mod members;
mod missed;
mod names;
mod open;
mod owners;
mod policies;
mod policies_in_force;
mod policy_places;
mod requests;
mod retention;
mod review_issues;
mod review_remarks;
mod reviews;
mod revocations;
mod standing;
mod teams;
mod tokens;
mod watched;

use jiff::Timestamp;
use sqlx::{Sqlite, SqlitePool, Transaction, sqlite::SqliteRow};

pub use backup::{Looked, LookedAt};
pub use changes::{ChangeRow, Reviewed, RunsLately, Said, Told};
pub use coverage::JudgedToken;
pub use decisions::{DecisionFilter, DecisionRow, NewDecision, ReplayFilter};
pub(crate) use deliveries::StoredDelivery;
pub use deliveries::{
    Accepted, Backlog, Delivery, Guid, UNNAMED_EVENT, UnreadDelivery, delivery_key,
};
pub use digests::{
    DigestRow, DigestState, EndedRequest, ExpiringSpan, ExpiringToken, StillMeant, ToldToken,
};
pub(crate) use effects::NewEffect;
pub use effects::{EffectKind, EffectRow, EffectState};
pub use escalations::{EscalationRow, GroupRow, NOBODY_REACHED, NewVote, VoteRow};
pub use forgetting::{Forgotten, Person};
pub use heard::Named;
pub use holds::{Held, HoldRow};
pub use installations::InstallationRow;
pub use leases::Lease;
pub use limits::ParkedRow;
pub use mails::{MailRow, MailState, MailsUnder};
pub use members::MemberChanges;
pub use missed::{MissedRow, MissedState};
pub use policies_in_force::PolicyInForceRow;
pub use policy_places::{Found, Pin, PinnedBy, PlaceIs, PolicyFiles, PolicyPlaceRow, Refused};
pub use requests::{Doubt, RequestFilter, RequestKey, RequestRow};
pub use review_issues::{CommentRow, IssueRow, IssueState};
pub use review_remarks::{NewRemark, RemarkKind, Remarks, Unsaid};
pub(crate) use reviews::NewReview;
pub use reviews::{ReviewRow, Voice};
pub use revocations::{
    ItemState, NewItem, NewRevocation, RevocationItemRow, RevocationRow, RevocationState,
};
pub use standing::{NoticeMail, NoticeRow, Notified, StandingRun, StandingRunRow};
pub use tokens::{Gone, TokenEventKind, TokenEventRow, TokenListingRow};
pub use watched::{Inventoried, OpenEscalations, OpenRequests, OpenRevocations, Watched};

/// How many rows share a transaction in background work: few enough that nothing else waits long for its turn.
const ROWS_AT_ONCE: usize = 100;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or refused: full, locked, gone.
    #[error("the store cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// Another process works on this organization now: whatever was being done is dropped.
    #[error("another process holds the lease of this organization")]
    LeaseLost,
    /// The file is not one that this version can work with.
    #[error("{0}")]
    Unfit(String),
    /// A row holds what no version of patwarden writes.
    #[error("the store holds something unreadable: {0}")]
    Unreadable(String),
}

/// The record. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    inbox: deliveries::Inbox,
    checkpoints: [SqlitePool; 2],
    holder: leases::Holder,
}

/// One transaction that writes. Dropped without [`Tx::commit`], it leaves nothing behind.
pub struct Tx {
    inner: Transaction<'static, Sqlite>,
}

impl Store {
    /// Begins a transaction that writes. There is one writer; others wait their turn, for five seconds.
    ///
    /// # Errors
    /// When the turn does not come in time, or the database refuses.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(Tx { inner: self.writer.begin_with("BEGIN IMMEDIATE").await? })
    }

    /// Begins a transaction that is allowed only while `lease` is held, and renews it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when somebody else holds it by now; otherwise as [`Store::begin`].
    pub async fn begin_under(&self, lease: &Lease, now: Timestamp) -> Result<Tx, StoreError> {
        let mut tx = self.begin().await?;
        tx.renew(lease, now).await?;
        Ok(tx)
    }
}

impl Tx {
    /// Makes it durable: when this returns, the write-ahead log is on the disk.
    ///
    /// # Errors
    /// When the database refuses; then nothing of it happened.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }
}

/// Reads a column that the schema says is there.
fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    use sqlx::Row;
    Ok(row.try_get(column)?)
}

fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    moment(get(row, column)?)
}

fn time_if_any(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?.map(moment).transpose()
}

fn moment(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds)
        .map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Unreadable(error.to_string()))
}
