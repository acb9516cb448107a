//! Which days' digests were made, and what a digest asks of the record: some rows of each kind, and how many there are.

use jiff::{SignedDuration, Timestamp, civil::Date};
use sqlx::sqlite::SqliteRow;

use super::{
    RequestRow, Store, StoreError, Tx, from_json, get, time,
    tokens::{KNOWN_COLUMNS, KNOWN_FROM, read_known},
};
use crate::{
    domain::{KnownToken, Login, OrganizationId, RequestId, TokenId},
    engine::lifecycle::{Outcome, SettledBy, State},
    rules::Decision,
};

/// What came of a day's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestState {
    /// It was due before anybody looked, and nothing was sent.
    Begun,
    /// Mails of it were put into the outbox.
    Sent,
    /// There was nothing to say.
    Quiet,
    /// There was, and nobody could be reached.
    Nobody,
}

/// A day's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestRow {
    /// Of which organization.
    pub organization: OrganizationId,
    /// Of which day, as the calendar in its zone has it.
    pub date: Date,
    /// When it was due.
    pub slot_at: Timestamp,
    /// When it was made: up to then everything is in it.
    pub made_at: Timestamp,
    /// What came of it.
    pub state: DigestState,
    /// How many tokens had access.
    pub active: i64,
    /// How many of those nobody used for long.
    pub stale: i64,
}

/// A token that expires soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiringToken {
    /// Whose.
    pub owner: Login,
    /// Its name: hostile text.
    pub name: String,
    /// When.
    pub expires_at: Timestamp,
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct EndedRequest {
    /// Which.
    pub id: RequestId,
    /// Whose.
    pub owner: Login,
    /// The token's name: hostile text.
    pub token_name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Who ended it.
    pub by: SettledBy,
    /// When we first heard of it.
    pub woken_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What the rules said of it; `None`: nothing, or it cannot be read.
    pub decision: Option<Decision>,
}

/// A token that a standing policy will take unless something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldToken {
    /// Which.
    pub token_id: TokenId,
    /// Whose.
    pub owner: Login,
    /// Its name: hostile text.
    pub name: String,
    /// When its owner was verifiably told.
    pub delivered_at: Timestamp,
}

/// Which tokens that a standing policy selected it still does, as far as time alone tells: what was used or has expired since is
/// taken off the list with the policy's next run only.
#[derive(Clone, Copy, Debug)]
pub struct StillMeant {
    /// They have not expired by then.
    pub now: Timestamp,
    /// They were not used after this; `None`: use keeps none.
    pub idle_since: Option<Timestamp>,
}

/// Which tokens that expire are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ExpiringSpan {
    /// They expire after this.
    pub after: Timestamp,
    /// And after the first of these, unless they were first seen after the second.
    pub unless_known_after: (Timestamp, Timestamp),
    /// And not after this.
    pub to: Timestamp,
    /// From being given to their end they have at least this long.
    pub lasted: SignedDuration,
}

impl DigestState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Sent => "sent",
            Self::Quiet => "quiet",
            Self::Nobody => "nobody",
        }
    }

    fn read(word: &str) -> Result<Self, StoreError> {
        match word {
            "begun" => Ok(Self::Begun),
            "sent" => Ok(Self::Sent),
            "quiet" => Ok(Self::Quiet),
            "nobody" => Ok(Self::Nobody),
            other => Err(StoreError::Unreadable(format!("a digest that is `{other}`"))),
        }
    }
}

impl DigestRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let date: String = get(row, "date")?;
        Ok(Self {
            organization: OrganizationId(get(row, "organization_id")?),
            date: date
                .parse()
                .map_err(|_| StoreError::Unreadable(format!("a digest of the day `{date}`")))?,
            slot_at: time(row, "slot_at")?,
            made_at: time(row, "made_at")?,
            state: DigestState::read(&get::<String>(row, "state")?)?,
            active: get(row, "active")?,
            stale: get(row, "stale")?,
        })
    }
}

impl EndedRequest {
    fn read(row: &SqliteRow) -> Result<Option<Self>, StoreError> {
        let request = RequestRow::read(row)?;
        let State::Settled(outcome, by) = request.state else { return Ok(None) };
        // Another version may have written it otherwise: then it is counted without its rules.
        let decision = get::<Option<String>>(row, "decision")?;
        Ok(Some(Self {
            id: request.id,
            owner: request.owner.login,
            token_name: request.token_name,
            outcome,
            by,
            woken_at: request.woken_at,
            ended_at: request.state_since,
            decision: decision.and_then(|text| from_json(&text).ok()),
        }))
    }
}

impl Store {
    /// The newest digest of an organization; with `sent`, the newest of which mails went out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn last_digest(
        &self,
        organization: OrganizationId,
        sent: Option<DigestState>,
    ) -> Result<Option<DigestRow>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM digests WHERE organization_id = $1 AND ($2 IS NULL OR state = $2) \
              ORDER BY slot_at DESC LIMIT 1",
        )
        .bind(organization.0)
        .bind(sent.map(DigestState::as_str))
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(DigestRow::read).transpose()
    }

    /// The requests of an organization that wait for people, as GitHub numbered them and so the oldest first: at most so
    /// many, and how many there are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn waiting_for_people(
        &self,
        organization: OrganizationId,
        limit: i64,
    ) -> Result<(Vec<RequestRow>, i64), StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM requests WHERE organization_id = $1 \
                AND state NOT IN ('settled', 'gone') AND state IN ('escalated', 'held') \
              ORDER BY request_id LIMIT $2",
        )
        .bind(organization.0)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let all = sqlx::query(
            "SELECT COUNT(*) AS number FROM requests WHERE organization_id = $1 \
                AND state NOT IN ('settled', 'gone') AND state IN ('escalated', 'held')",
        )
        .bind(organization.0)
        .fetch_one(&self.readers)
        .await?;
        let rows = rows.iter().map(RequestRow::read).collect::<Result<_, _>>()?;
        Ok((rows, get(&all, "number")?))
    }

    /// How many of them a first run or a changed policy would act on once somebody confirms.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unconfirmed_of(&self, organization: OrganizationId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS number FROM requests \
              WHERE organization_id = $1 AND unconfirmed AND state NOT IN ('settled', 'gone')",
        )
        .bind(organization.0)
        .fetch_one(&self.readers)
        .await?;
        get(&row, "number")
    }

    /// The tokens that a standing policy selects still and whose owners were told, the longest told first: at most so many, how
    /// many there are, and how many it selected before `then` whose owners were not.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn told_tokens(
        &self,
        organization: OrganizationId,
        policy: &str,
        still: StillMeant,
        then: Timestamp,
        limit: i64,
    ) -> Result<(Vec<ToldToken>, i64, i64), StoreError> {
        const FROM: &str = "FROM notices n JOIN tokens t \
               ON t.organization_id = n.organization_id AND t.grant_id = n.grant_id \
              AND t.access_granted_at = n.access_granted_at AND t.gone_at IS NULL \
            WHERE n.organization_id = $1 AND n.policy = $2 \
              AND NOT t.expired AND (t.expires_at IS NULL OR t.expires_at > $3) \
              AND MAX(COALESCE(t.last_used_at, t.access_granted_at), t.access_granted_at) <= $4";
        let idle_since = still.idle_since.unwrap_or(Timestamp::MAX).as_millisecond();
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT t.token_id, t.owner_login, t.token_name, n.delivered_at {FROM} AND n.delivered_at IS NOT NULL \
              ORDER BY n.delivered_at, n.grant_id LIMIT $5"
        )))
        .bind(organization.0)
        .bind(policy)
        .bind(still.now.as_millisecond())
        .bind(idle_since)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let counts = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT COUNT(n.delivered_at) AS told, \
                    COUNT(CASE WHEN n.delivered_at IS NULL AND n.selected_at < $5 THEN 1 END) AS untold {FROM}"
        )))
        .bind(organization.0)
        .bind(policy)
        .bind(still.now.as_millisecond())
        .bind(idle_since)
        .bind(then.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        let told = rows.iter().map(|row| {
            let owner = Login::new(get::<String>(row, "owner_login")?);
            let token_id = TokenId(get(row, "token_id")?);
            let name = get(row, "token_name")?;
            Ok(ToldToken { token_id, owner, name, delivered_at: time(row, "delivered_at")? })
        });
        let told = told.collect::<Result<_, StoreError>>()?;
        Ok((told, get(&counts, "told")?, get(&counts, "untold")?))
    }

    /// The active tokens that expire within a span, the soonest first: at most so many, and how many there are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn expiring_tokens(
        &self,
        organization: OrganizationId,
        span: &ExpiringSpan,
        limit: i64,
    ) -> Result<(Vec<ExpiringToken>, i64), StoreError> {
        const FROM: &str = "FROM tokens WHERE organization_id = $1 AND gone_at IS NULL \
            AND expires_at > $2 AND expires_at <= $3 AND (expires_at > $4 OR first_seen_at > $5) \
            AND expires_at - access_granted_at >= $6";
        let (from, known_after) = span.unless_known_after;
        let asked = |select: &str, then: &str| {
            sqlx::query(sqlx::AssertSqlSafe(format!("{select} {FROM} {then}")))
                .bind(organization.0)
                .bind(span.after.as_millisecond())
                .bind(span.to.as_millisecond())
                .bind(from.as_millisecond())
                .bind(known_after.as_millisecond())
                .bind(i64::try_from(span.lasted.as_millis()).unwrap_or(i64::MAX))
        };
        let rows = asked(
            "SELECT owner_login, token_name, expires_at",
            "ORDER BY expires_at, grant_id LIMIT $7",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let all = asked("SELECT COUNT(*) AS number", "").fetch_one(&self.readers).await?;
        let tokens = rows.iter().map(|row| {
            Ok(ExpiringToken {
                owner: Login::new(get::<String>(row, "owner_login")?),
                name: get(row, "token_name")?,
                expires_at: time(row, "expires_at")?,
            })
        });
        Ok((tokens.collect::<Result<_, StoreError>>()?, get(&all, "number")?))
    }

    /// The active tokens that were given access after `since` without a request of which our record knows: at most so many,
    /// and how many there are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens_of_no_request(
        &self,
        organization: OrganizationId,
        since: Timestamp,
        limit: i64,
    ) -> Result<(Vec<KnownToken>, i64), StoreError> {
        const WHICH: &str = "WHERE t.organization_id = $1 AND t.gone_at IS NULL AND t.access_granted_at > $2 \
               AND NOT EXISTS (SELECT 1 FROM requests q WHERE q.organization_id = t.organization_id \
                     AND q.token_id = t.token_id AND (q.outcome = 'approved' OR q.state = 'checking'))";
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {KNOWN_COLUMNS} {KNOWN_FROM} {WHICH} ORDER BY t.access_granted_at LIMIT $3"
        )))
        .bind(organization.0)
        .bind(since.as_millisecond())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let all = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT COUNT(*) AS number FROM tokens t {WHICH}"
        )))
        .bind(organization.0)
        .bind(since.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        let rows = rows.iter().map(read_known).collect::<Result<_, _>>()?;
        Ok((rows, get(&all, "number")?))
    }

    /// The requests of an organization that ended after that moment and request and not after `until`, in this order, each
    /// with what the rules said of it: at most so many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn ended_requests(
        &self,
        organization: OrganizationId,
        after: (Timestamp, RequestId),
        until: Timestamp,
        limit: i64,
    ) -> Result<Vec<EndedRequest>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.*, d.decision AS decision FROM requests r LEFT JOIN decisions d ON d.id = r.decision_id \
              WHERE r.organization_id = $1 AND r.state = 'settled' AND r.state_since >= $2 AND r.state_since <= $4 \
                AND (r.state_since > $2 OR r.request_id > $3) \
              ORDER BY r.state_since, r.request_id LIMIT $5",
        )
        .bind(organization.0)
        .bind(after.0.as_millisecond())
        .bind(after.1.0)
        .bind(until.as_millisecond())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().filter_map(|row| EndedRequest::read(row).transpose()).collect()
    }

    /// How many tokens have access and are not expired at `now`, and how many of those were last used, or given access and never
    /// used, before `then`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_stale_tokens(
        &self,
        organization: OrganizationId,
        then: Timestamp,
        now: Timestamp,
    ) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS active, \
                    COUNT(CASE WHEN MAX(COALESCE(last_used_at, access_granted_at), access_granted_at) <= $2 THEN 1 END) AS stale \
               FROM tokens WHERE organization_id = $1 AND gone_at IS NULL \
                AND NOT expired AND (expires_at IS NULL OR expires_at > $3)",
        )
        .bind(organization.0)
        .bind(then.as_millisecond())
        .bind(now.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        Ok((get(&row, "active")?, get(&row, "stale")?))
    }

    /// How many mails of an organization that were made after `since` a mail server will not take, and how many wait for
    /// longer than since `then`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn undelivered_mails(
        &self,
        organization: OrganizationId,
        since: Timestamp,
        then: Timestamp,
    ) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN state = 'refused' AND created_at > $2 THEN 1 END) AS refused, \
                    COUNT(CASE WHEN state = 'waiting' AND created_at < $3 THEN 1 END) AS waiting \
               FROM mails WHERE organization_id = $1",
        )
        .bind(organization.0)
        .bind(since.as_millisecond())
        .bind(then.as_millisecond())
        .fetch_one(&self.readers)
        .await?;
        Ok((get(&row, "refused")?, get(&row, "waiting")?))
    }

    /// How many deliveries that came after `since` were not understood, of whatever organization.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_unread_deliveries(&self, since: Timestamp) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) AS number FROM unread_deliveries WHERE at > $1")
            .bind(since.as_millisecond())
            .fetch_one(&self.readers)
            .await?;
        get(&row, "number")
    }
}

impl Tx {
    /// Keeps what came of a day's digest, unless somebody did that already. Gives whether it was kept: who is second sends
    /// nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn record_digest(&mut self, digest: &DigestRow) -> Result<bool, StoreError> {
        let kept = sqlx::query(
            "INSERT INTO digests (organization_id, date, slot_at, made_at, state, active, stale) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (organization_id, date) DO NOTHING",
        )
        .bind(digest.organization.0)
        .bind(digest.date.to_string())
        .bind(digest.slot_at.as_millisecond())
        .bind(digest.made_at.as_millisecond())
        .bind(digest.state.as_str())
        .bind(digest.active)
        .bind(digest.stale)
        .execute(&mut *self.inner)
        .await?;
        Ok(kept.rows_affected() == 1)
    }
}
