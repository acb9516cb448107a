//! What was decided, on what grounds, under which policy. Rows are only ever added.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{RequestKey, RequestRow, Store, StoreError, Tx, from_json, get, json, time};
use crate::{
    domain::{Fingerprint, OrganizationId, RequestId, TokenRequest},
    rules::{Decision, Effect, Trace, facts::Facts},
};

/// A decision about to be recorded.
#[derive(Debug)]
pub struct NewDecision<'a> {
    /// What was judged.
    pub fingerprint: &'a Fingerprint,
    /// The request as it was listed.
    pub request: &'a TokenRequest,
    /// What was read about the world.
    pub facts: &'a Facts,
    /// What came out.
    pub decision: &'a Decision,
    /// How.
    pub trace: &'a Trace,
    /// The mode of the policy at that moment.
    pub mode: &'a str,
    /// Whether patwarden acts on it (and does not leave it to people, or only show it).
    pub acts: bool,
    /// The policy.
    pub policy_hash: &'a str,
    /// Where its files came from.
    pub policy_source: &'a str,
    /// When.
    pub decided_at: Timestamp,
}

/// A recorded decision.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DecisionRow {
    /// Its number in this store.
    pub id: i64,
    /// Of which organization.
    pub organization_id: OrganizationId,
    /// On which request.
    pub request_id: RequestId,
    /// Of what exactly.
    pub fingerprint: Fingerprint,
    /// The mode of the policy at that moment.
    pub mode: String,
    /// Whether patwarden acted on it.
    pub acts: bool,
    /// The policy.
    pub policy_hash: String,
    /// Where its files came from: a path, or a repository and its commit.
    pub policy_source: String,
    /// The request as it was listed.
    pub request: TokenRequest,
    /// What was read about the world.
    pub facts: Facts,
    /// What came out.
    pub decision: Decision,
    /// How.
    pub trace: Trace,
    /// When.
    pub decided_at: Timestamp,
}

/// Which decisions to show.
#[derive(Clone, Debug, Default)]
pub struct DecisionFilter {
    /// Only those on this request.
    pub request: Option<i64>,
    /// At most this many, newest first.
    pub limit: i64,
}

impl DecisionRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: get(row, "id")?,
            organization_id: OrganizationId(get(row, "organization_id")?),
            request_id: RequestId(get(row, "request_id")?),
            fingerprint: Fingerprint::from_stored(get(row, "fingerprint")?),
            mode: get(row, "mode")?,
            acts: get(row, "acts")?,
            policy_hash: get(row, "policy_hash")?,
            policy_source: get(row, "policy_source")?,
            request: from_json(&get::<String>(row, "request")?)?,
            facts: from_json(&get::<String>(row, "facts")?)?,
            decision: from_json(&get::<String>(row, "decision")?)?,
            trace: from_json(&get::<String>(row, "trace")?)?,
            decided_at: time(row, "decided_at")?,
        })
    }
}

impl Store {
    /// One decision.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn decision(&self, id: i64) -> Result<Option<DecisionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM decisions WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(DecisionRow::read).transpose()
    }

    /// Decisions, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn decisions(&self, filter: &DecisionFilter) -> Result<Vec<DecisionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM decisions WHERE ($1 IS NULL OR request_id = $1) ORDER BY id DESC LIMIT $2",
        )
        .bind(filter.request)
        .bind(filter.limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(DecisionRow::read).collect()
    }
}

/// Which requests are to be judged again under other rules.
#[derive(Clone, Debug)]
pub struct ReplayFilter {
    /// Only those of this organization's login.
    pub organization: Option<String>,
    /// Those judged since; and, whenever they were judged, those that are pending or were approved.
    pub since: Timestamp,
    /// At most this many, newest first.
    pub limit: i64,
}

impl Store {
    /// The last decision on each request that matters for `filter`, with the request; those that cannot be read are
    /// counted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn last_decisions(
        &self,
        filter: &ReplayFilter,
    ) -> Result<(Vec<(RequestRow, DecisionRow)>, usize), StoreError> {
        let requests = sqlx::query(
            "SELECT r.* FROM requests r JOIN decisions d ON d.id = r.decision_id \
              WHERE ($1 IS NULL OR lower(r.login) = lower($1)) \
                AND (d.decided_at >= $2 OR r.state NOT IN ('settled', 'gone') OR r.outcome = 'approved') \
              ORDER BY d.id DESC LIMIT $3",
        )
        .bind(filter.organization.as_deref())
        .bind(filter.since.as_millisecond())
        .bind(filter.limit)
        .fetch_all(&self.readers)
        .await?;
        let (mut found, mut unreadable) = (Vec::new(), 0);
        for row in &requests {
            let request = RequestRow::read(row)?;
            let Some(id) = request.decision_id else { continue };
            match self.decision(id).await {
                Ok(Some(decision)) => found.push((request, decision)),
                Ok(None) | Err(StoreError::Unreadable(_)) => unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok((found, unreadable))
    }
}

impl Tx {
    /// Records a decision and gives its number.
    pub(crate) async fn record_decision(
        &mut self,
        key: RequestKey,
        new: &NewDecision<'_>,
    ) -> Result<i64, StoreError> {
        let effect = match new.decision.effect {
            Effect::Approve => "approve",
            Effect::Deny => "deny",
            Effect::Escalate => "escalate",
        };
        let row = sqlx::query(
            "INSERT INTO decisions (organization_id, request_id, fingerprint, effect, mode, acts, \
                 policy_hash, policy_source, request, facts, decision, trace, decided_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(new.fingerprint.as_str())
        .bind(effect)
        .bind(new.mode)
        .bind(new.acts)
        .bind(new.policy_hash)
        .bind(new.policy_source)
        .bind(json(new.request)?)
        .bind(json(new.facts)?)
        .bind(json(new.decision)?)
        .bind(json(new.trace)?)
        .bind(new.decided_at.as_millisecond())
        .fetch_one(&mut *self.inner)
        .await?;
        get(&row, "id")
    }
}
