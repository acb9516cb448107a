//! One row for each request that we ever heard of, and where it stands.

use jiff::Timestamp;
use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments, sqlite::SqliteRow};

use super::{Store, StoreError, Tx, from_json, get, json, time, time_if_any};
use crate::{
    domain::{
        Fingerprint, Login, Organization, OrganizationId, Owner, RequestId, TokenId, TokenRequest,
        UserId,
    },
    engine::lifecycle::{State, Verdict},
};

// Asked after every delivery: none of them may read the rows that are over, of which there are ever more.
// The plus keeps SQLite from walking through the whole primary key, which has the organizations in order.
const DUE_ORGANIZATIONS: &str =
    "SELECT DISTINCT +organization_id AS organization_id FROM requests WHERE due_at <= $1";
const NEXT_DUE: &str = "SELECT MIN(due_at) AS due_at FROM requests WHERE due_at IS NOT NULL";
const DUE: &str = "SELECT * FROM requests WHERE organization_id = $1 AND due_at <= $2 \
                   ORDER BY due_at, request_id LIMIT $3";
const ANY_DUE: &str =
    "SELECT 1 AS one FROM requests WHERE organization_id = $1 AND due_at <= $2 LIMIT 1";
const OPEN: &str = "SELECT * FROM requests WHERE organization_id = $1 AND state NOT IN ('settled', 'gone') \
                    ORDER BY request_id";

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey {
    /// Of which organization.
    pub organization: OrganizationId,
    /// The request.
    pub request: RequestId,
}

/// A call that was begun, and what came of it nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What it said.
    pub verdict: Verdict,
    /// When it was begun.
    pub since: Timestamp,
}

/// A request as our record has it.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// The organization that is asked.
    pub organization: Organization,
    /// The request.
    pub id: RequestId,
    /// The token, unless an old server left it out of its webhook and no list showed it yet.
    pub token_id: Option<TokenId>,
    /// The token's name: hostile text.
    pub token_name: String,
    /// Whose token.
    pub owner: Owner,
    /// Where it stands.
    pub state: State,
    /// What was judged last, repositories included.
    pub fingerprint: Option<Fingerprint>,
    /// What was judged last, as far as a list shows it: compared with every later listing.
    pub shape: Option<Fingerprint>,
    /// The last decision.
    pub decision_id: Option<i64>,
    /// The hash of the policy under which that was, and its mode.
    pub judged_under: Option<String>,
    /// A call of ours that may have taken effect, or may still, without our hearing of it.
    pub in_doubt: Option<Doubt>,
    /// How often it was looked for and not found, in a row.
    pub looks: i64,
    /// How often something failed, in a row.
    pub failures: i64,
    /// How often GitHub refused our call although the request was still pending.
    pub refusals: i64,
    /// What is in the way, in a sentence for people; empty when nothing is.
    pub note: String,
    /// One of many that a first run or a changed policy would act on at once: until somebody confirms, it
    /// is judged and nothing is sent.
    pub unconfirmed: bool,
    /// When something is to be done; `None`: nothing, by ourselves.
    pub due_at: Option<Timestamp>,
    /// When we first heard of it.
    pub woken_at: Timestamp,
    /// Since when it stands where it stands.
    pub state_since: Timestamp,
    /// As the last listing showed it.
    pub listed: Option<TokenRequest>,
}

/// Which requests to show.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// Only those of this organization's login.
    pub organization: Option<String>,
    /// Only those that are not over.
    pub open_only: bool,
    /// At most this many, newest first.
    pub limit: i64,
}

impl RequestRow {
    /// A request that was just heard of, of which nothing is known but who asks for which token. It is due.
    #[must_use]
    pub fn new(
        organization: Organization,
        id: RequestId,
        owner: Owner,
        token_name: String,
        now: Timestamp,
    ) -> Self {
        Self {
            organization,
            id,
            token_id: None,
            token_name,
            owner,
            state: State::Waiting,
            fingerprint: None,
            shape: None,
            decision_id: None,
            judged_under: None,
            in_doubt: None,
            looks: 0,
            failures: 0,
            refusals: 0,
            note: String::new(),
            unconfirmed: false,
            due_at: Some(now),
            woken_at: now,
            state_since: now,
            listed: None,
        }
    }

    /// Which request it is.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        RequestKey { organization: self.organization.id, request: self.id }
    }

    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let text = |column| get::<Option<String>>(row, column);
        Ok(Self {
            organization: Organization {
                id: OrganizationId(get(row, "organization_id")?),
                login: Login::new(get::<String>(row, "login")?),
            },
            id: RequestId(get(row, "request_id")?),
            token_id: get::<Option<i64>>(row, "token_id")?.map(TokenId),
            token_name: get(row, "token_name")?,
            owner: Owner {
                id: UserId(get(row, "owner_id")?),
                login: Login::new(get::<String>(row, "owner_login")?),
            },
            state: State::from_stored(
                &get::<String>(row, "state")?,
                text("outcome")?.as_deref(),
                text("settled_by")?.as_deref(),
                text("actor")?.as_deref(),
            ),
            fingerprint: text("fingerprint")?.map(Fingerprint::from_stored),
            shape: text("shape")?.map(Fingerprint::from_stored),
            decision_id: get(row, "decision_id")?,
            judged_under: text("judged_under")?,
            in_doubt: text("in_doubt")?
                .as_deref()
                .and_then(Verdict::from_stored)
                .zip(time_if_any(row, "in_doubt_since")?)
                .map(|(verdict, since)| Doubt { verdict, since }),
            looks: get(row, "looks")?,
            failures: get(row, "failures")?,
            refusals: get(row, "refusals")?,
            note: get(row, "note")?,
            unconfirmed: get(row, "unconfirmed")?,
            due_at: time_if_any(row, "due_at")?,
            woken_at: time(row, "woken_at")?,
            state_since: time(row, "state_since")?,
            // Another version may have written it otherwise; the next listing writes it anew.
            listed: text("listed")?.as_deref().and_then(|listed| from_json(listed).ok()),
        })
    }
}

impl Store {
    /// The organizations that have something due by `now`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due_organizations(
        &self,
        now: Timestamp,
    ) -> Result<Vec<OrganizationId>, StoreError> {
        let rows = sqlx::query(DUE_ORGANIZATIONS)
            .bind(now.as_millisecond())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok(OrganizationId(get(row, "organization_id")?))).collect()
    }

    /// When the next thing is due, if anything is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(NEXT_DUE).fetch_one(&self.readers).await?;
        time_if_any(&row, "due_at")
    }

    /// What is due of one organization, what was due first, first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due(
        &self,
        organization: OrganizationId,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let rows = sqlx::query(DUE)
            .bind(organization.0)
            .bind(now.as_millisecond())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(RequestRow::read).collect()
    }

    /// One request.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn request(&self, key: RequestKey) -> Result<Option<RequestRow>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM requests WHERE organization_id = $1 AND request_id = $2")
                .bind(key.organization.0)
                .bind(key.request.0)
                .fetch_optional(&self.readers)
                .await?;
        row.as_ref().map(RequestRow::read).transpose()
    }

    /// The requests of this number: of one GitHub there is one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn requests_numbered(&self, id: RequestId) -> Result<Vec<RequestRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM requests WHERE request_id = $1")
            .bind(id.0)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(RequestRow::read).collect()
    }

    /// The open requests of an organization: those that a listing should show, or that wait for one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_requests(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let rows = sqlx::query(OPEN).bind(organization.0).fetch_all(&self.readers).await?;
        rows.iter().map(RequestRow::read).collect()
    }

    /// Whether anything is to be done now about a request of this organization.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn any_due(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(ANY_DUE)
            .bind(organization.0)
            .bind(now.as_millisecond())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.is_some())
    }

    /// How many requests of an organization are open.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_open(&self, organization: OrganizationId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS open FROM requests \
              WHERE organization_id = $1 AND state NOT IN ('settled', 'gone')",
        )
        .bind(organization.0)
        .fetch_one(&self.readers)
        .await?;
        get(&row, "open")
    }

    /// Requests to show, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn requests(&self, filter: &RequestFilter) -> Result<Vec<RequestRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM requests \
              WHERE ($1 IS NULL OR lower(login) = lower($1)) \
                AND ($2 = FALSE OR state NOT IN ('settled', 'gone')) \
              ORDER BY woken_at DESC, request_id DESC LIMIT $3",
        )
        .bind(filter.organization.as_deref())
        .bind(filter.open_only)
        .bind(filter.limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RequestRow::read).collect()
    }
}

impl Store {
    /// The organizations that have a request that is not over, each by its login at the time.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn organizations_with_open_requests(&self) -> Result<Vec<Organization>, StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, MAX(login) AS login FROM requests \
              WHERE state NOT IN ('settled', 'gone') GROUP BY organization_id",
        )
        .fetch_all(&self.readers)
        .await?;
        let organization = |row: &SqliteRow| {
            let login = Login::new(get::<String>(row, "login")?);
            Ok(Organization { id: OrganizationId(get(row, "organization_id")?), login })
        };
        rows.iter().map(organization).collect()
    }

    /// How many requests of each organization wait for a confirmation, by login.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unconfirmed(&self) -> Result<Vec<(OrganizationId, String, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT organization_id, MAX(login) AS login, COUNT(*) AS waiting FROM requests \
              WHERE unconfirmed AND state NOT IN ('settled', 'gone') GROUP BY organization_id ORDER BY login",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    OrganizationId(get(row, "organization_id")?),
                    get(row, "login")?,
                    get(row, "waiting")?,
                ))
            })
            .collect()
    }

    /// Somebody confirmed: what waits for it in this organization is judged again, and acted on.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn confirm(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let confirmed = sqlx::query(
            "UPDATE requests SET unconfirmed = FALSE, due_at = $2 \
              WHERE organization_id = $1 AND unconfirmed AND state NOT IN ('settled', 'gone')",
        )
        .bind(organization.0)
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(confirmed)
    }
}

impl Tx {
    pub(crate) async fn request(
        &mut self,
        key: RequestKey,
    ) -> Result<Option<RequestRow>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM requests WHERE organization_id = $1 AND request_id = $2")
                .bind(key.organization.0)
                .bind(key.request.0)
                .fetch_optional(&mut *self.inner)
                .await?;
        row.as_ref().map(RequestRow::read).transpose()
    }

    /// Writes a request's row, new or changed.
    pub async fn save_request(&mut self, row: &RequestRow) -> Result<(), StoreError> {
        let (outcome, by) = match &row.state {
            State::Settled(outcome, by) => (Some(*outcome), Some(by)),
            _ => (None, None),
        };
        let query: Query<'_, Sqlite, SqliteArguments> = sqlx::query(
            "INSERT INTO requests (organization_id, request_id, login, token_id, token_name, owner_id, \
                 owner_login, state, outcome, settled_by, actor, fingerprint, shape, decision_id, \
                 judged_under, in_doubt, in_doubt_since, looks, failures, refusals, note, unconfirmed, \
                 due_at, woken_at, state_since, listed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
                 $20, $21, $22, $23, $24, $25, $26) \
             ON CONFLICT (organization_id, request_id) DO UPDATE SET login = excluded.login, \
                 token_id = excluded.token_id, token_name = excluded.token_name, \
                 owner_id = excluded.owner_id, owner_login = excluded.owner_login, state = excluded.state, \
                 outcome = excluded.outcome, settled_by = excluded.settled_by, actor = excluded.actor, \
                 fingerprint = excluded.fingerprint, shape = excluded.shape, \
                 decision_id = excluded.decision_id, judged_under = excluded.judged_under, \
                 in_doubt = excluded.in_doubt, in_doubt_since = excluded.in_doubt_since, \
                 looks = excluded.looks, failures = excluded.failures, refusals = excluded.refusals, \
                 note = excluded.note, \
                 unconfirmed = excluded.unconfirmed, due_at = excluded.due_at, state_since = excluded.state_since, listed = excluded.listed",
        );
        query
            .bind(row.organization.id.0)
            .bind(row.id.0)
            .bind(row.organization.login.as_str())
            .bind(row.token_id.map(|id| id.0))
            .bind(&row.token_name)
            .bind(row.owner.id.0)
            .bind(row.owner.login.as_str())
            .bind(row.state.as_str())
            .bind(outcome.map(|outcome| outcome.as_str()))
            .bind(by.map(|by| by.as_str()))
            .bind(by.and_then(|by| by.actor()))
            .bind(row.fingerprint.as_ref().map(Fingerprint::as_str))
            .bind(row.shape.as_ref().map(Fingerprint::as_str))
            .bind(row.decision_id)
            .bind(row.judged_under.as_deref())
            .bind(row.in_doubt.map(|doubt| doubt.verdict.as_str()))
            .bind(row.in_doubt.map(|doubt| doubt.since.as_millisecond()))
            .bind(row.looks)
            .bind(row.failures)
            .bind(row.refusals)
            .bind(&row.note)
            .bind(row.unconfirmed)
            .bind(row.due_at.map(Timestamp::as_millisecond))
            .bind(row.woken_at.as_millisecond())
            .bind(row.state_since.as_millisecond())
            .bind(row.listed.as_ref().map(json).transpose()?)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// Whatever waits for its time in this organization is due now.
    pub(super) async fn hasten_all_of(
        &mut self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE requests SET due_at = $1 WHERE organization_id = $2 AND due_at > $1")
            .bind(now.as_millisecond())
            .bind(organization.0)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// Where more than `most` requests of an organization wait that were judged on other `grounds`, or on none,
    /// all of them wait for a confirmation.
    pub(crate) async fn hold_what_is_outdated(
        &mut self,
        organization: OrganizationId,
        grounds: &str,
        most: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE requests SET unconfirmed = TRUE \
              WHERE organization_id = $1 AND state IN ('waiting', 'escalated', 'held') \
                AND (judged_under IS NULL OR judged_under <> $2) \
                AND (SELECT COUNT(*) FROM requests \
                      WHERE organization_id = $1 AND state IN ('waiting', 'escalated', 'held') \
                        AND (judged_under IS NULL OR judged_under <> $2)) > $3",
        )
        .bind(organization.0)
        .bind(grounds)
        .bind(most)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Whatever of an organization waits to be judged, for the first time or again, is due now.
    pub(crate) async fn hasten_unjudged(
        &mut self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE requests SET due_at = $1 \
              WHERE organization_id = $2 AND due_at > $1 AND state IN ('waiting', 'escalated', 'held')",
        )
        .bind(now.as_millisecond())
        .bind(organization.0)
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
    async fn what_is_asked_after_every_delivery_never_reads_the_rows_that_are_over() {
        let folder = tempfile::tempdir().expect("a directory");
        let store = Store::open(&folder.path().join("store.sqlite")).await.expect("a store");
        for (statement, index) in [
            (DUE_ORGANIZATIONS, "requests_due "),
            (NEXT_DUE, "requests_due "),
            (DUE, "requests_due_of "),
            (ANY_DUE, "requests_due_of "),
            (OPEN, "requests_open "),
        ] {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                .fetch_all(&store.readers)
                .await
                .expect("a plan");
            let step: String = plan.first().expect("a step").get("detail");
            assert!(step.starts_with("SEARCH") && step.contains(index), "{statement}: {step}");
        }
    }
}
