//! Plans to take tokens' access away, token by token, and how far each got. Written before each call.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, from_json, get, json, time, time_if_any};
use crate::domain::{Grant, GrantId, Login, Organization, OrganizationId, TokenId};

/// Where a revocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationState {
    /// Planned; nobody has confirmed it.
    Planned,
    /// A run of a standing policy that waits until somebody confirms it.
    Waiting,
    /// Confirmed, and not at its end.
    Running,
    /// At its end.
    Done,
    /// Given up before anything was revoked.
    Dropped,
    /// What a standing policy selects and does not revoke.
    Reported,
}

/// How far one token of a revocation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// To be revoked.
    Planned,
    /// A call for it was begun; its answer is not known.
    Sent,
    /// GitHub took the call; whether it is gone is still to be seen.
    Acknowledged,
    /// By our call: it was there before, and is not there after.
    Revoked,
    /// Not there any more when its turn came.
    AlreadyGone,
    /// Revoked as far as GitHub said, and still there.
    StillThere,
    /// Not touched: it is not what was planned any more.
    LeftOut,
    /// Selected by a standing policy that only reports.
    Reported,
}

/// A revocation about to be planned.
#[derive(Clone, Debug)]
pub struct NewRevocation {
    /// Of whose tokens.
    pub organization: Organization,
    /// The standing policy whose run it is; `None`: planned by hand.
    pub policy: Option<String>,
    /// What selected the tokens, as people write it.
    pub filter: String,
    /// Why, for the record and for the tokens' owners: GitHub takes no reason.
    pub reason: String,
    /// Who planned it.
    pub planned_by: String,
    /// When.
    pub planned_at: Timestamp,
    /// How many tokens were active.
    pub active: i64,
    /// Of how many nobody could say whether they are meant.
    pub cannot_say: i64,
    /// Where it stands from the beginning.
    pub state: RevocationState,
    /// Whether a token that was used since is left out.
    pub spares_used: bool,
    /// Under which rules a standing policy selected them.
    pub grounds: Option<String>,
    /// Who confirmed it, where it needs nobody: a standing policy by itself.
    pub confirmed_by: Option<String>,
    /// What is in the way, for people.
    pub note: String,
}

/// A token of a revocation about to be planned.
#[derive(Clone, Debug)]
pub struct NewItem {
    /// As it is listed.
    pub grant: Grant,
    /// Why a standing policy selected it, for people.
    pub selected: String,
    /// Where it stands from the beginning.
    pub state: ItemState,
    /// Why it is left out from the beginning.
    pub why: String,
}

impl From<Grant> for NewItem {
    /// To be revoked, because somebody says so.
    fn from(grant: Grant) -> Self {
        Self { grant, selected: String::new(), state: ItemState::Planned, why: String::new() }
    }
}

/// A revocation.
#[derive(Clone, Debug, Serialize)]
pub struct RevocationRow {
    /// Its number in this store.
    pub id: i64,
    /// Of whose tokens.
    pub organization: Organization,
    /// The standing policy whose run it is; `None`: planned by hand.
    pub policy: Option<String>,
    /// What selected the tokens, as people write it.
    pub filter: String,
    /// Why.
    pub reason: String,
    /// Who planned it.
    pub planned_by: String,
    /// When.
    pub planned_at: Timestamp,
    /// How many tokens were active by then.
    pub active: i64,
    /// Of how many nobody could say whether they are meant.
    pub cannot_say: i64,
    /// Where it stands.
    pub state: RevocationState,
    /// Whether a token that was used since it was planned is left out.
    pub spares_used: bool,
    /// Under which rules a standing policy selected its tokens.
    pub grounds: Option<String>,
    /// Who confirmed it.
    pub confirmed_by: Option<String>,
    /// When.
    pub confirmed_at: Option<Timestamp>,
    /// When it came to its end.
    pub ended_at: Option<Timestamp>,
    /// What is in the way, for people.
    pub note: String,
}

/// One token of a revocation.
#[derive(Clone, Debug, Serialize)]
pub struct RevocationItemRow {
    /// The grant: what is revoked.
    pub grant_id: GrantId,
    /// The token.
    pub token_id: TokenId,
    /// Whose, by login.
    pub owner: Login,
    /// The token's name: hostile text.
    pub token_name: String,
    /// As it was listed when the revocation was planned.
    pub planned: Grant,
    /// Why a standing policy selected it.
    pub selected: String,
    /// How far it got.
    pub state: ItemState,
    /// Why it was left out, or is still there.
    pub why: String,
    /// How often a call for it was begun.
    pub attempts: i64,
    /// When the last of them was.
    pub sent_at: Option<Timestamp>,
    /// When it was known what came of it.
    pub ended_at: Option<Timestamp>,
}

impl RevocationState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Waiting, Self::Running, Self::Done, Self::Dropped, Self::Reported];

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Planned => "made by hand, and nothing is revoked before somebody confirms it",
            Self::Waiting => {
                "a standing policy's, about too many tokens to go without somebody's word"
            }
            Self::Running => "confirmed, and not every token of it is at its end yet",
            Self::Done => "at its end: what came of each token is known",
            Self::Dropped => "given up before anything was revoked; its note says why",
            Self::Reported => {
                "what a standing policy selects and does not revoke; its note says why"
            }
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dropped => "dropped",
            Self::Reported => "reported",
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Dropped | Self::Reported)
    }

    fn read(word: &str) -> Result<Self, StoreError> {
        match word {
            "planned" => Ok(Self::Planned),
            "waiting" => Ok(Self::Waiting),
            "running" => Ok(Self::Running),
            "done" => Ok(Self::Done),
            "dropped" => Ok(Self::Dropped),
            "reported" => Ok(Self::Reported),
            other => Err(StoreError::Unreadable(format!("a revocation that is `{other}`"))),
        }
    }
}

impl ItemState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Planned,
        Self::Sent,
        Self::Acknowledged,
        Self::Revoked,
        Self::AlreadyGone,
        Self::StillThere,
        Self::LeftOut,
        Self::Reported,
    ];

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Planned => "to be revoked; no call was made for it",
            Self::Sent => {
                "a call for it was begun, and its answer is not known: it is looked at before another"
            }
            Self::Acknowledged => {
                "GitHub took the call; that its access is gone is still to be seen"
            }
            Self::Revoked => "its access is gone, by our call",
            Self::AlreadyGone => "it had no access any more when its turn came",
            Self::StillThere => {
                "GitHub was told to revoke it, and still lists it: look at it in the settings"
            }
            Self::LeftOut => {
                "not touched: it is not what was planned any more, was used since, or is held"
            }
            Self::Reported => "selected by a standing policy that only reports",
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Revoked => "revoked",
            Self::AlreadyGone => "already-gone",
            Self::StillThere => "still-there",
            Self::LeftOut => "left-out",
            Self::Reported => "reported",
        }
    }

    /// Whether something is still to be done about it.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Acknowledged)
    }

    fn read(word: &str) -> Result<Self, StoreError> {
        match word {
            "planned" => Ok(Self::Planned),
            "sent" => Ok(Self::Sent),
            "acknowledged" => Ok(Self::Acknowledged),
            "revoked" => Ok(Self::Revoked),
            "already-gone" => Ok(Self::AlreadyGone),
            "still-there" => Ok(Self::StillThere),
            "left-out" => Ok(Self::LeftOut),
            "reported" => Ok(Self::Reported),
            other => Err(StoreError::Unreadable(format!("a token that is `{other}`"))),
        }
    }
}

impl RevocationRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: get(row, "id")?,
            organization: Organization {
                id: OrganizationId(get(row, "organization_id")?),
                login: Login::new(get::<String>(row, "login")?),
            },
            policy: get(row, "policy")?,
            filter: get(row, "filter")?,
            reason: get(row, "reason")?,
            planned_by: get(row, "planned_by")?,
            planned_at: time(row, "planned_at")?,
            active: get(row, "active")?,
            cannot_say: get(row, "cannot_say")?,
            state: RevocationState::read(&get::<String>(row, "state")?)?,
            spares_used: get(row, "spares_used")?,
            grounds: get(row, "grounds")?,
            confirmed_by: get(row, "confirmed_by")?,
            confirmed_at: time_if_any(row, "confirmed_at")?,
            ended_at: time_if_any(row, "ended_at")?,
            note: get(row, "note")?,
        })
    }
}

impl RevocationItemRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            grant_id: GrantId(get(row, "grant_id")?),
            token_id: TokenId(get(row, "token_id")?),
            owner: Login::new(get::<String>(row, "owner_login")?),
            token_name: get(row, "token_name")?,
            planned: from_json(&get::<String>(row, "planned")?)?,
            selected: get(row, "selected")?,
            state: ItemState::read(&get::<String>(row, "state")?)?,
            why: get(row, "why")?,
            attempts: get(row, "attempts")?,
            sent_at: time_if_any(row, "sent_at")?,
            ended_at: time_if_any(row, "ended_at")?,
        })
    }
}

impl Store {
    /// Plans a revocation of these tokens, and gives its number. Nothing is revoked by that.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn plan_revocation(
        &self,
        new: &NewRevocation,
        grants: &[Grant],
    ) -> Result<i64, StoreError> {
        // One transaction for all of it: half a plan must never be found. It is the one that may be large.
        let mut tx = self.begin().await?;
        let items: Vec<NewItem> = grants.iter().cloned().map(NewItem::from).collect();
        let id = tx.add_revocation(new, &items).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// One revocation.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revocation(&self, id: i64) -> Result<Option<RevocationRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM revocations WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(RevocationRow::read).transpose()
    }

    /// Revocations, newest first: at most so many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revocations(
        &self,
        organization: Option<&str>,
        limit: i64,
    ) -> Result<Vec<RevocationRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM revocations WHERE ($1 IS NULL OR lower(login) = lower($1)) \
              ORDER BY id DESC LIMIT $2",
        )
        .bind(organization)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RevocationRow::read).collect()
    }

    /// The revocation that took this token's access away, the last one if there were several.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revocation_of(
        &self,
        organization: OrganizationId,
        grant: GrantId,
    ) -> Result<Option<RevocationRow>, StoreError> {
        let row = sqlx::query(
            "SELECT r.* FROM revocations r JOIN revocation_items i ON i.revocation_id = r.id \
              WHERE r.organization_id = $1 AND i.grant_id = $2 AND i.state = 'revoked' \
              ORDER BY r.id DESC LIMIT 1",
        )
        .bind(organization.0)
        .bind(grant.0)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(RevocationRow::read).transpose()
    }

    /// Tokens of a revocation after this grant, in the order of their grants: at most so many, of one state where one is
    /// named.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revocation_items(
        &self,
        id: i64,
        state: Option<ItemState>,
        after: GrantId,
        limit: i64,
    ) -> Result<Vec<RevocationItemRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM revocation_items WHERE revocation_id = $1 AND grant_id > $2 \
                AND ($3 IS NULL OR state = $3) ORDER BY grant_id LIMIT $4",
        )
        .bind(id)
        .bind(after.0)
        .bind(state.map(ItemState::as_str))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RevocationItemRow::read).collect()
    }

    /// How many tokens of a revocation stand where.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_revocation_items(
        &self,
        id: i64,
    ) -> Result<Vec<(ItemState, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT state, COUNT(*) AS tokens FROM revocation_items WHERE revocation_id = $1 GROUP BY state",
        )
        .bind(id)
        .fetch_all(&self.readers)
        .await?;
        let mut counts = rows
            .iter()
            .map(|row| {
                Ok((ItemState::read(&get::<String>(row, "state")?)?, get::<i64>(row, "tokens")?))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        counts.sort();
        Ok(counts)
    }

    /// Which of these tokens of an organization another revocation has called for since then, without knowing yet what
    /// came of it. One that was called for longer ago was left in the middle, and nobody may ever come back to it.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn being_revoked(
        &self,
        (id, organization): (i64, OrganizationId),
        items: &[RevocationItemRow],
        since: Timestamp,
    ) -> Result<HashMap<GrantId, i64>, StoreError> {
        let mut found = HashMap::new();
        for item in items {
            let row = sqlx::query(
                "SELECT revocation_id FROM revocation_items i JOIN revocations r ON r.id = i.revocation_id \
                  WHERE i.grant_id = $1 AND i.revocation_id <> $2 AND i.state IN ('sent', 'acknowledged') \
                    AND r.organization_id = $3 AND i.sent_at >= $4 LIMIT 1",
            )
            .bind(item.grant_id.0)
            .bind(id)
            .bind(organization.0)
            .bind(since.as_millisecond())
            .fetch_optional(&self.readers)
            .await?;
            if let Some(row) = row {
                found.insert(item.grant_id, get(&row, "revocation_id")?);
            }
        }
        Ok(found)
    }

    /// Somebody confirms a revocation that is planned or waits: it may be carried out from now on. Gives whether it
    /// was still to be confirmed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn confirm_revocation(
        &self,
        id: i64,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let confirmed = sqlx::query(
            "UPDATE revocations SET state = 'running', confirmed_by = $2, confirmed_at = $3, note = '' \
              WHERE id = $1 AND state IN ('planned', 'waiting')",
        )
        .bind(id)
        .bind(by)
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(confirmed == 1)
    }
}

impl Tx {
    pub(super) async fn add_revocation(
        &mut self,
        new: &NewRevocation,
        items: &[NewItem],
    ) -> Result<i64, StoreError> {
        let planned_at = new.planned_at.as_millisecond();
        let row = sqlx::query(
            "INSERT INTO revocations (organization_id, login, policy, filter, reason, planned_by, planned_at, \
                 active, cannot_say, state, spares_used, grounds, confirmed_by, confirmed_at, ended_at, note) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING id",
        )
        .bind(new.organization.id.0)
        .bind(new.organization.login.as_str())
        .bind(new.policy.as_deref())
        .bind(&new.filter)
        .bind(&new.reason)
        .bind(&new.planned_by)
        .bind(planned_at)
        .bind(new.active)
        .bind(new.cannot_say)
        .bind(new.state.as_str())
        .bind(new.spares_used)
        .bind(new.grounds.as_deref())
        .bind(new.confirmed_by.as_deref())
        .bind(new.confirmed_by.as_ref().map(|_| planned_at))
        .bind(new.state.is_over().then_some(planned_at))
        .bind(&new.note)
        .fetch_one(&mut *self.inner)
        .await?;
        let id: i64 = get(&row, "id")?;
        for item in items {
            let grant = &item.grant;
            sqlx::query(
                "INSERT INTO revocation_items (revocation_id, grant_id, token_id, owner_login, token_name, \
                     planned, selected, state, why, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(id)
            .bind(grant.id.0)
            .bind(grant.token.id.0)
            .bind(grant.owner.login.as_str())
            .bind(&grant.token.name)
            .bind(json(grant)?)
            .bind(&item.selected)
            .bind(item.state.as_str())
            .bind(&item.why)
            .bind((!item.state.is_open()).then_some(planned_at))
            .execute(&mut *self.inner)
            .await?;
        }
        Ok(id)
    }

    /// The revocation moves on, or comes to its end.
    pub(crate) async fn note_revocation(
        &mut self,
        id: i64,
        state: RevocationState,
        note: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ended = state.is_over().then_some(now);
        sqlx::query("UPDATE revocations SET state = $2, note = $3, ended_at = $4 WHERE id = $1")
            .bind(id)
            .bind(state.as_str())
            .bind(note)
            .bind(ended.map(Timestamp::as_millisecond))
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// One token of a revocation stands there now, unless it is at its end: what is known of it stays.
    pub(crate) async fn note_item(
        &mut self,
        id: i64,
        grant: GrantId,
        state: ItemState,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sent = i64::from(state == ItemState::Sent);
        let moment = now.as_millisecond();
        sqlx::query(
            "UPDATE revocation_items SET state = $3, why = $4, attempts = attempts + $5, \
                 sent_at = CASE WHEN $5 = 1 THEN $6 ELSE sent_at END, \
                 ended_at = CASE WHEN $7 THEN $6 ELSE NULL END \
              WHERE revocation_id = $1 AND grant_id = $2 AND state IN ('planned', 'sent', 'acknowledged')",
        )
        .bind(id)
        .bind(grant.0)
        .bind(state.as_str())
        .bind(why)
        .bind(sent)
        .bind(moment)
        .bind(!state.is_open())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// A call that was begun for one token says nothing of it: it does not count as one.
    pub(crate) async fn item_not_called(
        &mut self,
        id: i64,
        grant: GrantId,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE revocation_items SET attempts = MAX(attempts - 1, 0) \
              WHERE revocation_id = $1 AND grant_id = $2",
        )
        .bind(id)
        .bind(grant.0)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
