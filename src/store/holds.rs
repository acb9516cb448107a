//! Holds: tokens and standing policies that are left alone until a moment, because somebody said so.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, get, time, time_if_any};
use crate::domain::{Login, Organization, OrganizationId, TokenId, cut, for_people};

/// So much of a reason is shown in one line.
const WHY: usize = 200;

/// What is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// One token, whatever access it is given.
    Token(TokenId),
    /// All that a standing policy selects: `revoke.ID`.
    Policy(String),
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoldRow {
    /// Its number in this store.
    pub id: i64,
    /// In which organization.
    pub organization: Organization,
    /// What is left alone.
    pub held: Held,
    /// Until when.
    pub until: Timestamp,
    /// Why, as somebody wrote it.
    pub why: String,
    /// Who said so, as far as that can be known.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it was taken back, and by whom.
    pub released: Option<(Timestamp, String)>,
}

impl HoldRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let held =
            match (get::<Option<i64>>(row, "token_id")?, get::<Option<String>>(row, "policy")?) {
                (Some(token), _) => Held::Token(TokenId(token)),
                (None, Some(policy)) => Held::Policy(policy),
                (None, None) => return Err(StoreError::Unreadable("a hold of nothing".to_owned())),
            };
        let by = get::<Option<String>>(row, "released_by")?.unwrap_or_default();
        Ok(Self {
            id: get(row, "id")?,
            organization: Organization {
                id: OrganizationId(get(row, "organization_id")?),
                login: Login::new(get::<Option<String>>(row, "login")?.unwrap_or_default()),
            },
            held,
            until: time(row, "until")?,
            why: get(row, "why")?,
            by: get(row, "held_by")?,
            at: time(row, "held_at")?,
            released: time_if_any(row, "released_at")?.map(|at| (at, by)),
        })
    }

    /// Whether it keeps this policy from revoking this token.
    #[must_use]
    pub fn is_of(&self, policy: &str, token: TokenId) -> bool {
        match &self.held {
            Held::Token(held) => *held == token,
            Held::Policy(held) => held.eq_ignore_ascii_case(policy),
        }
    }

    /// Whether it still keeps something from being revoked.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.released.is_none() && self.until > now
    }
}

impl fmt::Display for HoldRow {
    /// Until when, by whom and why: one line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.until.strftime("%Y-%m-%d %H:%M UTC");
        let (by, why) = (for_people(&self.by), cut(&for_people(&self.why), WHY));
        write!(f, "held until {until} by {by}: {why}")
    }
}

impl Store {
    /// Holds, newest first; of one organization where one is named.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn holds(
        &self,
        organization: Option<OrganizationId>,
    ) -> Result<Vec<HoldRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT h.*, i.login AS login FROM holds h \
               LEFT JOIN installations i ON i.organization_id = h.organization_id \
              WHERE ($1 IS NULL OR h.organization_id = $1) ORDER BY h.id DESC",
        )
        .bind(organization.map(|organization| organization.0))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(HoldRow::read).collect()
    }

    /// Holds a token or a policy until a moment, and gives the hold's number.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn hold(
        &self,
        organization: OrganizationId,
        held: &Held,
        until: Timestamp,
        why: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let (token, policy) = match held {
            Held::Token(token) => (Some(token.0), None),
            Held::Policy(policy) => (None, Some(policy.as_str())),
        };
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO holds (organization_id, token_id, policy, until, why, held_by, held_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
        )
        .bind(organization.0)
        .bind(token)
        .bind(policy)
        .bind(until.as_millisecond())
        .bind(why)
        .bind(by)
        .bind(now.as_millisecond())
        .fetch_one(&mut *tx.inner)
        .await?;
        let id = get(&row, "id")?;
        tx.commit().await?;
        Ok(id)
    }

    /// Takes the holds of a token or a policy back. Gives how many were in force.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release_holds(
        &self,
        organization: OrganizationId,
        held: &Held,
        by: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (token, policy) = match held {
            Held::Token(token) => (Some(token.0), None),
            Held::Policy(policy) => (None, Some(policy.as_str())),
        };
        let mut tx = self.begin().await?;
        let released = sqlx::query(
            "UPDATE holds SET released_by = $4, released_at = $5 \
              WHERE organization_id = $1 AND (token_id = $2 OR lower(policy) = lower($3)) \
                AND released_at IS NULL AND until > $5",
        )
        .bind(organization.0)
        .bind(token)
        .bind(policy)
        .bind(by)
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(released)
    }
}
