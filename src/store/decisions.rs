//! What was decided, on what grounds, under which policy. Rows are only ever added.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{RequestKey, Store, StoreError, Tx, from_json, get, json, time};
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
                 policy_hash, request, facts, decision, trace, decided_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(new.fingerprint.as_str())
        .bind(effect)
        .bind(new.mode)
        .bind(new.acts)
        .bind(new.policy_hash)
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
