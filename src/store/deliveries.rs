//! Webhook deliveries: accepted in groups that share one commit, read on in order.
//!
//! They have a file of their own, so that accepting one waits for no other work. How far they were read stands in
//! the other file, beside what was made of them.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::{Store, StoreError, Tx, get, time};

/// The most deliveries that share one commit.
const MOST_AT_ONCE: usize = 64;

/// About so many bytes of bodies are read at once.
const READ_AT_ONCE: i64 = 8 * 1024 * 1024;

/// The event of a delivery that came without one `X-GitHub-Event`. Nothing can read it.
pub const UNNAMED_EVENT: &str = "unnamed";

/// The GUID of a delivery as it is kept: 16 bytes, or the text that it is when it is no UUID; nothing, where it cannot be one.
#[must_use]
pub fn delivery_key(guid: &str) -> Option<Vec<u8>> {
    let printable = guid.len() <= 100 && guid.bytes().all(|byte| byte.is_ascii_graphic());
    let digits: String = guid.split('-').collect();
    let uuid = guid.len() == 36 && digits.len() == 32;
    match hex::decode(&digits) {
        Ok(bytes) if uuid => Some(bytes),
        _ => printable.then(|| guid.as_bytes().to_vec()),
    }
}

/// The GUID of a delivery as it is kept, written as GitHub writes it.
pub struct Guid<'a>(pub &'a [u8]);

impl fmt::Display for Guid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 16 {
            let digits = hex::encode(self.0);
            let mut rest = digits.as_str();
            for (place, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
                let (part, others) = rest.split_at_checked(length).unwrap_or((rest, ""));
                write!(f, "{}{part}", if place == 0 { "" } else { "-" })?;
                rest = others;
            }
            return Ok(());
        }
        match std::str::from_utf8(self.0) {
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => f.write_str(text),
            _ => f.write_str(&hex::encode(self.0)),
        }
    }
}

/// One verified delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `X-GitHub-Delivery`, as bytes: 16 when it is a UUID, else the text. Where there is none, whatever
    /// tells this delivery from others.
    pub guid: Vec<u8>,
    /// `X-GitHub-Hook-ID`: two hooks may use one GUID. Zero when the header cannot be read.
    pub hook_id: i64,
    /// `X-GitHub-Event`, or [`UNNAMED_EVENT`].
    pub event: &'static str,
    /// The JSON payload, byte for byte.
    pub body: Vec<u8>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// Whether a delivery was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the store now.
    New,
    /// It was in the store before.
    SeenBefore,
}

/// A delivery with its place in the order of arrival.
pub(crate) struct StoredDelivery {
    /// Its place.
    pub(crate) seq: i64,
    /// `X-GitHub-Delivery`, as it is kept.
    pub(crate) guid: Vec<u8>,
    /// `X-GitHub-Event`.
    pub(crate) event: String,
    /// The payload.
    pub(crate) body: Vec<u8>,
}

/// Deliveries that were not read yet.
pub(crate) struct Unprocessed {
    /// Up to where everything was read when they were looked up.
    pub(crate) after: i64,
    /// The next ones, in order of arrival.
    pub(crate) deliveries: Vec<StoredDelivery>,
}

/// A delivery that was signed and not understood.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UnreadDelivery {
    /// Its place in the order of arrival.
    pub seq: i64,
    /// `X-GitHub-Event`.
    pub event: String,
    /// What was not understood.
    pub why: String,
    /// When it was read.
    pub at: Timestamp,
}

/// How many deliveries are in the store and how many are not read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// Stored at all.
    pub stored: i64,
    /// Stored and not read yet.
    pub unprocessed: i64,
    /// Read and not understood.
    pub unread: i64,
}

/// The file of the deliveries.
#[derive(Clone)]
pub(super) struct Inbox {
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    intake: mpsc::Sender<Waiting>,
}

struct Waiting {
    delivery: Delivery,
    answer: oneshot::Sender<Result<Accepted, Arc<sqlx::Error>>>,
}

impl Store {
    /// Accepts a delivery: when this returns `Ok`, it is on the disk. Calls that arrive while another
    /// commit is under way share the next one.
    ///
    /// # Errors
    /// When it could not be made durable; then GitHub must be told so.
    pub async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        let (answer, answered) = oneshot::channel();
        let closed = || StoreError::Unfit("the store is closing".to_owned());
        self.inbox.intake.send(Waiting { delivery, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?.map_err(|error| {
            StoreError::Unfit(format!("the delivery could not be stored: {error}"))
        })
    }

    /// How the deliveries stand.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        // The cursor first: what comes in meanwhile counts as not read, which it was.
        let read = sqlx::query(
            "SELECT value AS cursor, (SELECT COUNT(*) FROM unread_deliveries) AS unread \
               FROM cursors WHERE name = 'deliveries'",
        )
        .fetch_one(&self.readers)
        .await?;
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM delivery_keys) AS stored, \
                    (SELECT COUNT(*) FROM deliveries WHERE seq > $1) AS unprocessed",
        )
        .bind(get::<i64>(&read, "cursor")?)
        .fetch_one(&self.inbox.readers)
        .await?;
        Ok(Backlog {
            stored: get(&row, "stored")?,
            unprocessed: get(&row, "unprocessed")?,
            unread: get(&read, "unread")?,
        })
    }

    /// The newest deliveries that were signed and not understood.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unread_deliveries(&self, limit: i64) -> Result<Vec<UnreadDelivery>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, event, why, at FROM unread_deliveries ORDER BY seq DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(UnreadDelivery {
                    seq: get(row, "seq")?,
                    event: get(row, "event")?,
                    why: get(row, "why")?,
                    at: time(row, "at")?,
                })
            })
            .collect()
    }

    /// The next deliveries in order of arrival that were not read yet, as many as fit into a few megabytes, and
    /// one at least.
    ///
    /// No transaction is open meanwhile, and another process may read the same ones:
    /// [`Tx::processed`] tells.
    pub(crate) async fn unprocessed(&self, limit: i64) -> Result<Unprocessed, StoreError> {
        let row = sqlx::query("SELECT value FROM cursors WHERE name = 'deliveries'")
            .fetch_one(&self.readers)
            .await?;
        let after: i64 = get(&row, "value")?;
        let sizes = sqlx::query(
            "SELECT seq, LENGTH(body) AS bytes FROM deliveries WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.inbox.readers)
        .await?;
        let (mut last, mut bytes) = (None, 0);
        for row in &sizes {
            bytes += get::<i64>(row, "bytes")?;
            if last.is_some() && bytes > READ_AT_ONCE {
                break;
            }
            last = Some(get::<i64>(row, "seq")?);
        }
        let Some(last) = last else { return Ok(Unprocessed { after, deliveries: Vec::new() }) };
        let rows = sqlx::query(
            "SELECT seq, guid, event, body FROM deliveries WHERE seq > $1 AND seq <= $2 ORDER BY seq",
        )
        .bind(after)
        .bind(last)
        .fetch_all(&self.inbox.readers)
        .await?;
        let deliveries = rows.iter().map(|row| {
            Ok(StoredDelivery {
                seq: get(row, "seq")?,
                guid: get(row, "guid")?,
                event: get(row, "event")?,
                body: get(row, "body")?,
            })
        });
        Ok(Unprocessed { after, deliveries: deliveries.collect::<Result<_, StoreError>>()? })
    }
}

impl Tx {
    /// Everything after `after` and up to `seq` is read, in this very transaction. `false`: another process has read
    /// some of it since it was looked up.
    pub(crate) async fn processed(&mut self, after: i64, seq: i64) -> Result<bool, StoreError> {
        let moved =
            sqlx::query("UPDATE cursors SET value = $2 WHERE name = 'deliveries' AND value = $1")
                .bind(after)
                .bind(seq)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
        Ok(moved == 1)
    }

    /// Keeps a delivery that was signed and not understood.
    pub(crate) async fn could_not_read(
        &mut self,
        seq: i64,
        event: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO unread_deliveries (seq, event, why, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(seq)
        .bind(event)
        .bind(why)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}

impl Inbox {
    /// Starts the task that commits what [`Store::accept`] hands over, as many at once as have arrived.
    pub(super) fn start(writer: SqlitePool, readers: SqlitePool) -> Self {
        let (intake, arrived) = mpsc::channel(4 * MOST_AT_ONCE);
        tokio::spawn(keep_committing(writer.clone(), arrived));
        Self { writer, readers, intake }
    }
}

async fn keep_committing(writer: SqlitePool, mut arrived: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(MOST_AT_ONCE);
    while arrived.recv_many(&mut group, MOST_AT_ONCE).await > 0 {
        let stored = commit(&writer, &mut group).await;
        match stored {
            Ok(new) => {
                crate::crash::point("deliveries-committed");
                for (waiting, accepted) in group.drain(..).zip(new) {
                    // Whoever hung up meanwhile will find it in the store.
                    let _ = waiting.answer.send(Ok(accepted));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiting in group.drain(..) {
                    let _ = waiting.answer.send(Err(Arc::clone(&error)));
                }
            }
        }
    }
}

async fn commit(writer: &SqlitePool, group: &mut [Waiting]) -> Result<Vec<Accepted>, sqlx::Error> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    if insert_keys(&mut tx, group).await? == group.len() as u64 {
        insert_bodies(&mut tx, group).await?;
        crate::crash::point("deliveries-written");
        tx.commit().await?;
        return Ok(vec![Accepted::New; group.len()]);
    }
    // Something in the group was seen before (perhaps in the group itself): one by one, to tell which.
    tx.rollback().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut accepted = Vec::with_capacity(group.len());
    for waiting in group.chunks_mut(1) {
        if insert_keys(&mut tx, waiting).await? == 1 {
            insert_bodies(&mut tx, waiting).await?;
            accepted.push(Accepted::New);
        } else {
            accepted.push(Accepted::SeenBefore);
        }
    }
    tx.commit().await?;
    Ok(accepted)
}

async fn insert_keys(
    tx: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    group: &[Waiting],
) -> Result<u64, sqlx::Error> {
    static STATEMENTS: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| {
        statements(
            "INSERT INTO delivery_keys (guid, hook_id) VALUES ",
            2,
            " ON CONFLICT DO NOTHING",
        )
    });
    let mut query = sqlx::query(AssertSqlSafe(statement(&STATEMENTS, group.len())));
    for Waiting { delivery, .. } in group {
        query = query.bind(delivery.guid.clone()).bind(delivery.hook_id);
    }
    Ok(query.execute(&mut **tx).await?.rows_affected())
}

async fn insert_bodies(
    tx: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    group: &mut [Waiting],
) -> Result<(), sqlx::Error> {
    static STATEMENTS: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| {
        statements(
            "INSERT INTO deliveries (received_at, guid, hook_id, event, body) VALUES ",
            5,
            "",
        )
    });
    let mut query = sqlx::query(AssertSqlSafe(statement(&STATEMENTS, group.len())));
    for Waiting { delivery, .. } in group.iter_mut() {
        query = query
            .bind(delivery.received_at.as_millisecond())
            .bind(delivery.guid.clone())
            .bind(delivery.hook_id)
            .bind(delivery.event)
            .bind(std::mem::take(&mut delivery.body));
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// The statement for each size of group, made once: the database keeps them prepared.
fn statements(head: &str, columns: usize, tail: &str) -> Vec<Arc<str>> {
    (0..=MOST_AT_ONCE)
        .map(|rows| {
            let mut sql = head.to_owned();
            for row in 0..rows {
                sql.push_str(if row == 0 { "(" } else { ", (" });
                for column in 1..=columns {
                    let _ = write!(
                        sql,
                        "{}${}",
                        if column == 1 { "" } else { ", " },
                        row * columns + column
                    );
                }
                sql.push(')');
            }
            sql.push_str(tail);
            sql.into()
        })
        .collect()
}

fn statement(statements: &[Arc<str>], rows: usize) -> Arc<str> {
    statements.get(rows).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_two_that_read_the_same_deliveries_one_counts() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("store.sqlite");
        let store = Store::open(&path).await.expect("a store");
        let other = Store::open(&path).await.expect("the same");
        for number in 1..=3 {
            let delivery = Delivery {
                guid: vec![number],
                hook_id: 1,
                event: UNNAMED_EVENT,
                body: Vec::new(),
                received_at: Timestamp::UNIX_EPOCH,
            };
            store.accept(delivery).await.expect("room");
        }
        let some = store.unprocessed(2).await.expect("some");
        let all = other.unprocessed(50).await.expect("all");
        assert_eq!((some.deliveries.len(), all.deliveries.len()), (2, 3));
        let mut tx = store.begin().await.expect("a turn");
        assert!(tx.processed(some.after, 2).await.expect("an answer"));
        tx.commit().await.expect("a commit");
        let mut tx = other.begin().await.expect("a turn");
        assert!(!tx.processed(all.after, 3).await.expect("an answer"));
        drop(tx);
        let rest = other.unprocessed(50).await.expect("the rest");
        assert_eq!((rest.after, rest.deliveries.len()), (2, 1));
    }
}
