//! What people said of requests, from the command line or as reviewers who were asked: who, what, why. Rows are only ever
//! added; what came of each stands with its effects.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::{EffectKind, RequestKey, Store, StoreError, Tx, get, time};
use crate::{domain::Fingerprint, engine::lifecycle::Verdict};

/// Whose word a review is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// An operator's, from the command line.
    Operator,
    /// That of reviewers who were asked.
    Reviewers,
    /// Nobody's: reviewers were asked and silent, and the rules say what that comes to.
    Silence,
}

impl Voice {
    fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Reviewers => "reviewers",
            Self::Silence => "silence",
        }
    }

    fn from_stored(word: &str) -> Result<Self, StoreError> {
        [Self::Operator, Self::Reviewers, Self::Silence]
            .into_iter()
            .find(|voice| voice.as_str() == word)
            .ok_or_else(|| StoreError::Unreadable(format!("a review by `{word}`")))
    }
}

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
    /// Whose word it is.
    pub(crate) voice: Voice,
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
    /// Whose word it was.
    pub voice: Voice,
    /// Who said so: of an operator an account on a machine, and no more than that; of reviewers who, and in which comments.
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
            voice: Voice::from_stored(&get::<String>(row, "voice")?)?,
            operator: get(row, "operator")?,
            decision_id: get(row, "decision_id")?,
            at: time(row, "at")?,
        })
    }
}

impl Store {
    /// What was said of a request, oldest first.
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

    /// What was said of a request and is not over: its effect is recorded or sent.
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
    /// Records what somebody says of a request, and gives its number.
    pub(crate) async fn record_review(
        &mut self,
        key: RequestKey,
        new: &NewReview,
        decision_id: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "INSERT INTO reviews (organization_id, request_id, fingerprint, verdict, reason, override_why, operator, \
                 decision_id, at, voice) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
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
        .bind(new.voice.as_str())
        .fetch_one(&mut *self.inner)
        .await?;
        get(&row, "id")
    }

    /// Whose word a review is.
    pub(crate) async fn voice_of(&mut self, review: i64) -> Result<Option<Voice>, StoreError> {
        let row = sqlx::query("SELECT voice FROM reviews WHERE id = $1")
            .bind(review)
            .fetch_optional(&mut *self.inner)
            .await?;
        row.map(|row| Voice::from_stored(&get::<String>(&row, "voice")?)).transpose()
    }

    /// Whose word the last call of this kind carried; `None`: it was a rule's, or there was no call.
    pub(crate) async fn voice_of_last(
        &mut self,
        key: RequestKey,
        kind: EffectKind,
    ) -> Result<Option<(Voice, String)>, StoreError> {
        let row = sqlx::query(
            "SELECT r.voice AS voice, r.operator AS operator FROM effects e LEFT JOIN reviews r ON r.id = e.review_id \
              WHERE e.organization_id = $1 AND e.request_id = $2 AND e.effect = $3 AND e.sent_at IS NOT NULL \
              ORDER BY e.sent_at DESC, e.recorded_at DESC LIMIT 1",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(kind.as_str())
        .fetch_optional(&mut *self.inner)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let voice = get::<Option<String>>(&row, "voice")?;
        let voice = voice.as_deref().map(Voice::from_stored).transpose()?;
        Ok(voice.zip(get(&row, "operator")?))
    }
}
