//! What is old enough to go: bodies of deliveries, requests with their decisions, tokens that are gone. A few hundred rows a
//! transaction, and nothing that is still needed.

use jiff::Timestamp;

use super::{RequestKey, Store, StoreError, Tx, get};
use crate::domain::{OrganizationId, RequestId};

/// The most rows that go in one transaction: others wait some milliseconds for it.
const AT_ONCE: i64 = 500;

/// The most bytes of bodies that go in one transaction: nothing may keep a delivery waiting that GitHub waits for.
const BYTES_AT_ONCE: i64 = 8 * 1024 * 1024;

/// Which requests may go, by `$1`, before which all must have been over, and `$2`, since when all tokens of their
/// organization must have been listed. A request stays while it is open, while what was sent for it has no answer, while
/// its token has access or had it since `$1`, and where nobody can say whether it has.
const MAY_GO: &str = "r.state IN ('settled', 'gone') AND r.state_since < $1 AND r.woken_at < $1 \
    AND r.due_at IS NULL AND r.in_doubt IS NULL \
    AND NOT EXISTS (SELECT 1 FROM effects e WHERE e.organization_id = r.organization_id \
        AND e.request_id = r.request_id AND e.state IN ('recorded', 'sent')) \
    AND NOT EXISTS (SELECT 1 FROM escalations x WHERE x.organization_id = r.organization_id \
        AND x.request_id = r.request_id AND x.ended_at IS NULL) \
    AND NOT EXISTS (SELECT 1 FROM review_issues i WHERE i.organization_id = r.organization_id \
        AND i.request_id = r.request_id AND i.state NOT IN ('closed', 'lost')) \
    AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.organization_id = r.organization_id \
        AND d.request_id = r.request_id AND d.decided_at >= $1) \
    AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.organization_id = r.organization_id \
        AND t.token_id = r.token_id AND (t.gone_at IS NULL OR t.gone_at >= $1)) \
    AND ((r.state = 'settled' AND r.outcome IN ('denied', 'cancelled')) \
        OR (r.token_id IS NOT NULL AND EXISTS (SELECT 1 FROM token_listings l \
            WHERE l.organization_id = r.organization_id AND l.unreadable = 0 AND l.ended_at >= $2)))";

impl Store {
    /// Deletes some of the bodies that arrived before `before` and were read; gives how many. That they were here stays
    /// known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        let read = sqlx::query("SELECT value FROM cursors WHERE name = 'deliveries'")
            .fetch_one(&self.readers)
            .await?;
        let read: i64 = get(&read, "value")?;
        let oldest = sqlx::query(
            "SELECT seq, received_at, LENGTH(body) AS bytes FROM deliveries ORDER BY seq LIMIT $1",
        )
        .bind(AT_ONCE)
        .fetch_all(&self.inbox.readers)
        .await?;
        let (mut last, mut bytes) = (None, 0);
        for row in &oldest {
            let seq: i64 = get(row, "seq")?;
            bytes += get::<i64>(row, "bytes")?;
            let young = get::<i64>(row, "received_at")? >= before.as_millisecond();
            if seq > read || young || (last.is_some() && bytes > BYTES_AT_ONCE) {
                break;
            }
            last = Some(seq);
        }
        let Some(last) = last else { return Ok(0) };
        let mut tx = self.inbox.writer.begin_with("BEGIN IMMEDIATE").await?;
        // The newest one stays: the next number is one more than its.
        let deleted = sqlx::query(
            "DELETE FROM deliveries WHERE seq <= $1 AND seq < (SELECT MAX(seq) FROM deliveries)",
        )
        .bind(last)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(deleted)
    }

    /// Deletes some of what was kept of deliveries that were not understood, or did not arrive, before `before`; gives how
    /// much.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_notes_of_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let mut deleted = 0;
        for statement in [
            "DELETE FROM unread_deliveries WHERE seq IN \
                 (SELECT seq FROM unread_deliveries WHERE at < $1 ORDER BY seq LIMIT $2)",
            "DELETE FROM missed_deliveries WHERE guid IN \
                 (SELECT guid FROM missed_deliveries WHERE delivered_at < $1 AND state <> 'waiting' LIMIT $2)",
        ] {
            deleted += sqlx::query(statement)
                .bind(before.as_millisecond())
                .bind(AT_ONCE)
                .execute(&mut *tx.inner)
                .await?
                .rows_affected();
        }
        tx.commit().await?;
        Ok(deleted)
    }

    /// Deletes some of the requests that were over before `before`, with their decisions, effects and reviews; gives how
    /// many rows. `listed_since`: whether a token has access is believed where all were listed since then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_requests(
        &self,
        before: Timestamp,
        listed_since: Timestamp,
    ) -> Result<u64, StoreError> {
        // Looked for outside of the transaction, and looked at again inside: others are not to wait for the looking.
        let old = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT r.organization_id, r.request_id FROM requests r WHERE {MAY_GO} ORDER BY r.state_since LIMIT $3"
        )))
        .bind(before.as_millisecond())
        .bind(listed_since.as_millisecond())
        .bind(AT_ONCE / 5)
        .fetch_all(&self.readers)
        .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let mut deleted = 0;
        for row in &old {
            let room = AT_ONCE - i64::try_from(deleted).unwrap_or(AT_ONCE);
            if room <= 0 {
                break;
            }
            let key = RequestKey {
                organization: OrganizationId(get(row, "organization_id")?),
                request: RequestId(get(row, "request_id")?),
            };
            if tx.may_go(key, before, listed_since).await? {
                deleted += tx.delete_request(key, room).await?;
            }
        }
        tx.commit().await?;
        Ok(deleted)
    }

    /// Deletes some of the tokens that lost their access before `before` and of which no request is on record any more,
    /// and of the others what changed before then; gives how many rows. That a token was first seen stays known.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_tokens(&self, before: Timestamp) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "SELECT t.organization_id, t.grant_id FROM tokens t WHERE t.gone_at < $1 \
                AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.organization_id = t.organization_id \
                    AND r.token_id = t.token_id) \
                AND NOT EXISTS (SELECT 1 FROM revocation_items i WHERE i.grant_id = t.grant_id \
                    AND i.state IN ('sent', 'acknowledged')) LIMIT $2",
        )
        .bind(before.as_millisecond())
        .bind(AT_ONCE / 5)
        .fetch_all(&self.readers)
        .await?;
        let changes = sqlx::query(
            "SELECT id FROM token_events WHERE at < $1 AND what = 'changed' ORDER BY id LIMIT $2",
        )
        .bind(before.as_millisecond())
        .bind(AT_ONCE / 5)
        .fetch_all(&self.readers)
        .await?;
        if gone.is_empty() && changes.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let mut deleted = 0;
        for row in &gone {
            let key = (get::<i64>(row, "organization_id")?, get::<i64>(row, "grant_id")?);
            if deleted >= AT_ONCE.unsigned_abs() {
                break;
            }
            deleted += tx.delete_token(key, before).await?;
        }
        for row in &changes {
            deleted += sqlx::query("DELETE FROM token_events WHERE id = $1")
                .bind(get::<i64>(row, "id")?)
                .execute(&mut *tx.inner)
                .await?
                .rows_affected();
        }
        tx.commit().await?;
        Ok(deleted)
    }
}

impl Tx {
    async fn may_go(
        &mut self,
        key: RequestKey,
        before: Timestamp,
        listed_since: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT 1 AS found FROM requests r WHERE r.organization_id = $3 AND r.request_id = $4 AND {MAY_GO}"
        )))
        .bind(before.as_millisecond())
        .bind(listed_since.as_millisecond())
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_optional(&mut *self.inner)
        .await?;
        Ok(found.is_some())
    }

    /// A request with all that is on record of it; with more than `room` decisions, so many of those and no more.
    pub(super) async fn delete_request(
        &mut self,
        key: RequestKey,
        room: i64,
    ) -> Result<u64, StoreError> {
        let decisions = sqlx::query(
            "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions \
                 WHERE organization_id = $1 AND request_id = $2 ORDER BY id LIMIT $3)",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(room)
        .execute(&mut *self.inner)
        .await?
        .rows_affected();
        if i64::try_from(decisions).is_ok_and(|decisions| decisions >= room) {
            return Ok(decisions);
        }
        let mut deleted = decisions;
        for statement in [
            "DELETE FROM effects WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM reviews WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM escalation_votes WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM escalation_groups WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM escalations WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM listed_requests WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM review_comments WHERE issue_id IN \
                 (SELECT id FROM review_issues WHERE organization_id = $1 AND request_id = $2)",
            "DELETE FROM review_remarks WHERE issue_id IN \
                 (SELECT id FROM review_issues WHERE organization_id = $1 AND request_id = $2)",
            "DELETE FROM review_issues WHERE organization_id = $1 AND request_id = $2",
            "DELETE FROM requests WHERE organization_id = $1 AND request_id = $2",
        ] {
            deleted += sqlx::query(statement)
                .bind(key.organization.0)
                .bind(key.request.0)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
        }
        Ok(deleted)
    }

    async fn delete_token(
        &mut self,
        (organization, grant): (i64, i64),
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        // It may be back.
        let token = sqlx::query(
            "DELETE FROM tokens WHERE organization_id = $1 AND grant_id = $2 AND gone_at < $3",
        )
        .bind(organization)
        .bind(grant)
        .bind(before.as_millisecond())
        .execute(&mut *self.inner)
        .await?
        .rows_affected();
        if token == 0 {
            return Ok(0);
        }
        let events =
            sqlx::query("DELETE FROM token_events WHERE organization_id = $1 AND grant_id = $2")
                .bind(organization)
                .bind(grant)
                .execute(&mut *self.inner)
                .await?
                .rows_affected();
        Ok(token + events)
    }
}
