//! The outbox and its journal: what is to be sent to GitHub, what was sent, and what came of it.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{RequestKey, Store, StoreError, Tx, get, time, time_if_any};
use crate::domain::Fingerprint;

/// What is done to GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// A review with `approve`.
    Approve,
    /// A review with `deny`.
    Deny,
    /// A revocation of what an approval turned out to allow.
    Revoke,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectState {
    /// To be sent.
    Recorded,
    /// Begun; the answer is not known.
    Sent,
    /// GitHub said that it is done, or what we read shows that it is.
    Applied,
    /// The request changed or ended before it was sent: it never will be.
    Void,
    /// It may have been sent, and what we read does not tell whether it was this or somebody else.
    Unknown,
}

/// An effect about to be put into the outbox.
pub(crate) struct NewEffect<'a> {
    /// For which fingerprint.
    pub(crate) fingerprint: &'a Fingerprint,
    /// What.
    pub(crate) kind: EffectKind,
    /// For which decision; `None`: an operator's word where no rules were in force.
    pub(crate) decision_id: Option<i64>,
    /// For which review by hand; `None`: a rule's.
    pub(crate) review_id: Option<i64>,
    /// The grant for a revocation, else the request.
    pub(crate) target_id: i64,
    /// What is sent along.
    pub(crate) reason: &'a str,
}

/// One effect.
#[derive(Clone, Debug)]
pub struct EffectRow {
    /// On which request.
    pub key: RequestKey,
    /// For which fingerprint.
    pub fingerprint: Fingerprint,
    /// What.
    pub kind: EffectKind,
    /// The how-manieth of its kind.
    pub ordinal: i64,
    /// For which decision; `None`: an operator's word where no rules were in force.
    pub decision_id: Option<i64>,
    /// For which review by hand; `None`: a rule's.
    pub review_id: Option<i64>,
    /// The grant for a revocation, else the request.
    pub target_id: i64,
    /// The reason that is sent along.
    pub reason: String,
    /// How far it got.
    pub state: EffectState,
    /// How often it was sent.
    pub attempts: i64,
    /// What came of it, for people.
    pub detail: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it was sent last.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl EffectKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Revoke => "revoke",
        }
    }
}

impl EffectState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Sent => "sent",
            Self::Applied => "applied",
            Self::Void => "void",
            Self::Unknown => "unknown",
        }
    }

    fn from_stored(word: &str) -> Self {
        match word {
            "recorded" => Self::Recorded,
            "sent" => Self::Sent,
            "applied" => Self::Applied,
            "void" => Self::Void,
            _ => Self::Unknown,
        }
    }
}

impl EffectRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let kind: String = get(row, "effect")?;
        Ok(Self {
            key: RequestKey {
                organization: crate::domain::OrganizationId(get(row, "organization_id")?),
                request: crate::domain::RequestId(get(row, "request_id")?),
            },
            fingerprint: Fingerprint::from_stored(get(row, "fingerprint")?),
            kind: match kind.as_str() {
                "approve" => EffectKind::Approve,
                "deny" => EffectKind::Deny,
                "revoke" => EffectKind::Revoke,
                other => return Err(StoreError::Unreadable(format!("an effect `{other}`"))),
            },
            ordinal: get(row, "ordinal")?,
            decision_id: get(row, "decision_id")?,
            review_id: get(row, "review_id")?,
            target_id: get(row, "target_id")?,
            reason: get(row, "reason")?,
            state: EffectState::from_stored(&get::<String>(row, "state")?),
            attempts: get(row, "attempts")?,
            detail: get(row, "detail")?,
            recorded_at: time(row, "recorded_at")?,
            sent_at: time_if_any(row, "sent_at")?,
            ended_at: time_if_any(row, "ended_at")?,
        })
    }
}

impl Store {
    /// The effects of a request, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn effects(&self, key: RequestKey) -> Result<Vec<EffectRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM effects WHERE organization_id = $1 AND request_id = $2 \
              ORDER BY recorded_at, decision_id, ordinal",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(EffectRow::read).collect()
    }

    /// How many effects are recorded or sent and not ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unfinished_effects(&self) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS unfinished FROM effects WHERE state IN ('recorded', 'sent')",
        )
        .fetch_one(&self.readers)
        .await?;
        get(&row, "unfinished")
    }
}

impl Tx {
    /// Puts an effect into the outbox, unless the same is in it: one kind for one fingerprint of one
    /// request is sent for one decision only.
    pub(crate) async fn record_effect(
        &mut self,
        key: RequestKey,
        new: &NewEffect<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO effects (organization_id, request_id, fingerprint, effect, ordinal, decision_id, \
                 target_id, reason, state, recorded_at, review_id) \
             SELECT $1, $2, $3, $4, \
                    (SELECT COUNT(*) FROM effects WHERE organization_id = $1 AND request_id = $2 \
                        AND fingerprint = $3 AND effect = $4), \
                    $5, $6, $7, 'recorded', $8, $9 \
              WHERE NOT EXISTS (SELECT 1 FROM effects WHERE organization_id = $1 AND request_id = $2 \
                        AND fingerprint = $3 AND effect = $4 AND state IN ('recorded', 'sent'))",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(new.fingerprint.as_str())
        .bind(new.kind.as_str())
        .bind(new.decision_id)
        .bind(new.target_id)
        .bind(new.reason)
        .bind(now.as_millisecond())
        .bind(new.review_id)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// The effect of a request that is recorded or sent and not ended.
    pub(crate) async fn unfinished_effect(
        &mut self,
        key: RequestKey,
    ) -> Result<Option<EffectRow>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM effects WHERE organization_id = $1 AND request_id = $2 \
                AND state IN ('recorded', 'sent') ORDER BY recorded_at DESC LIMIT 1",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .fetch_optional(&mut *self.inner)
        .await?;
        row.as_ref().map(EffectRow::read).transpose()
    }

    /// The unfinished effect of a request is being sent now.
    pub(crate) async fn effect_sent(
        &mut self,
        key: RequestKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE effects SET state = 'sent', attempts = attempts + 1, sent_at = $3 \
              WHERE organization_id = $1 AND request_id = $2 AND state IN ('recorded', 'sent')",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// The unfinished effects of a request did certainly not happen: they are to be sent again.
    pub(crate) async fn effect_not_sent(
        &mut self,
        key: RequestKey,
        detail: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE effects SET state = 'recorded', detail = $3 \
              WHERE organization_id = $1 AND request_id = $2 AND state = 'sent'",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(detail)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// The unfinished effects of a request ended, in this way.
    pub(crate) async fn end_effects(
        &mut self,
        key: RequestKey,
        state: EffectState,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE effects SET state = $3, detail = $4, ended_at = $5 \
              WHERE organization_id = $1 AND request_id = $2 AND state IN ('recorded', 'sent')",
        )
        .bind(key.organization.0)
        .bind(key.request.0)
        .bind(state.as_str())
        .bind(detail)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
