//! What operators said of requests from the command line: who, what, why. Rows are only ever added; what came of each
//! stands with its effects.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::{EffectKind, RequestKey, Store, StoreError, Tx, get, time};
use crate::{domain::Fingerprint, engine::lifecycle::Verdict};

/// A review about to be recorded.
#[derive(Clone, Debug)]
pub(crate) struct NewReview {
    /// Of what exactly.
    pub(crate) fingerprint: Fingerprint,
    /// What is said.
    pub(crate) verdict: Verdict,
    /// What is sent along.
    pub(crate) reason: String,
    /// Why soft rules are overridden, where they are.
    pub(crate) override_why: Option<String>,
    /// Who says so, as far as that can be known.
    pub(crate) operator: String,
}

/// A review by hand.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewRow {
    /// Its number in this store.
    pub id: i64,
    /// Of what exactly: a request that was changed since is not meant.
    pub fingerprint: Fingerprint,
    /// What was said.
    #[serde(serialize_with = "word")]
    pub verdict: Verdict,
    /// What is sent along.
    pub reason: String,
    /// Why soft rules were overridden, where they were.
    pub override_why: Option<String>,
    /// Who said so: an account on a machine, and no more than that.
    pub operator: String,
    /// What the rules said; `None`: no rules were in force.
    pub decision_id: Option<i64>,
    /// When.
    pub at: Timestamp,
}

fn word<S: serde::Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}

impl ReviewRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let verdict: String = get(row, "verdict")?;
        Ok(Self {
            id: get(row, "id")?,
            fingerprint: Fingerprint::from_stored(get(row, "fingerprint")?),
            verdict: Verdict::from_stored(&verdict)
                .ok_or_else(|| StoreError::Unreadable(format!("a review `{verdict}`")))?,
            reason: get(row, "reason")?,
            override_why: get(row, "override_why")?,
            operator: get(row, "operator")?,
            decision_id: get(row, "decision_id")?,
            at: time(row, "at")?,
        })
    }
}

impl Store {
    /// What operators said of a request, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn reviews(&self, key: RequestKey) -> Result<Vec<ReviewRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM reviews WHERE organization_id = $1 AND request_id = $2 ORDER BY id",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(ReviewRow::read).collect()
    }

    /// What an operator said of a request and is not over: its effect is recorded or sent.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_review(&self, key: RequestKey) -> Result<Option<ReviewRow>, StoreError> {
        let row = sqlx::query(
            "SELECT r.* FROM reviews r JOIN effects e ON e.review_id = r.id \
              WHERE e.organization_id = $1 AND e.request_id = $2 AND e.state IN ('recorded', 'sent') \
              ORDER BY r.id DESC LIMIT 1",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(ReviewRow::read).transpose()
    }
}

impl Tx {
    /// Records what an operator says of a request, and gives its number.
    pub(crate) async fn record_review(
        &mut self,
        key: RequestKey,
        new: &NewReview,
        decision_id: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO reviews (organization_id, request_id, fingerprint, verdict, reason, override_why, operator, \
                 decision_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(new.fingerprint.as_str())
        .bind(new.verdict.as_str())
        .bind(&new.reason)
        .bind(new.override_why.as_deref())
        .bind(&new.operator)
        .bind(decision_id)
        .bind(now.as_millisecond())
        .fetch_one(&mut *self.inner)
        .await?;
        get(&row, "id")
    }

    /// The operator whose word the last call of this kind carried; `None`: it was a rule's, or there was no call.
    pub(crate) async fn operator_of_last(
        &mut self,
        key: RequestKey,
        kind: EffectKind,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT r.operator AS operator FROM effects e LEFT JOIN reviews r ON r.id = e.review_id \
              WHERE e.organization_id = $1 AND e.request_id = $2 AND e.effect = $3 AND e.sent_at IS NOT NULL \
              ORDER BY e.sent_at DESC, e.recorded_at DESC LIMIT 1",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(kind.as_str())
        .fetch_optional(&mut *self.inner)
        .await?;
        row.as_ref().map(|row| get(row, "operator")).transpose().map(Option::flatten)
    }
}
