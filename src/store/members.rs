//! Who is a member of an organization, and who was.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Store, StoreError, Tx, get, time_if_any};
use crate::domain::{Login, OrganizationId, Owner, Role, UserId};

/// What another reading of the lists of members changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberChanges {
    /// Who is not a member any more.
    pub left: Vec<Owner>,
    /// Whether there was a list to compare with.
    pub compared: bool,
}

impl Store {
    /// When the members of an organization were last listed to the end.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn members_listed_at(
        &self,
        organization: OrganizationId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT ended_at FROM member_listings WHERE organization_id = $1")
            .bind(organization.0)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.as_ref().map(|row| time_if_any(row, "ended_at")).transpose()?.flatten())
    }

    /// Who was a member when the members were last listed.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn members(&self, organization: OrganizationId) -> Result<Vec<Owner>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, login FROM members WHERE organization_id = $1 AND gone_at IS NULL",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let login = Login::new(get::<String>(row, "login")?);
                Ok(Owner { id: UserId(get(row, "user_id")?), login })
            })
            .collect()
    }

    /// Keeps who the members are, as both lists showed them to their ends. `began` is when the first was asked for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_members(
        &self,
        organization: OrganizationId,
        listed: &BTreeMap<UserId, (Login, Role)>,
        began: Timestamp,
    ) -> Result<MemberChanges, StoreError> {
        let compared = self.members_listed_at(organization).await?.is_some();
        let rows = sqlx::query(
            "SELECT user_id, login, role, gone_at FROM members WHERE organization_id = $1",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        let mut known = BTreeMap::new();
        for row in &rows {
            let login = Login::new(get::<String>(row, "login")?);
            let role: String = get(row, "role")?;
            let gone = time_if_any(row, "gone_at")?.is_some();
            known.insert(UserId(get(row, "user_id")?), (login, role, gone));
        }
        let left: Vec<Owner> = known
            .iter()
            .filter(|(id, (_, _, gone))| !gone && !listed.contains_key(id))
            .map(|(id, (login, ..))| Owner { id: *id, login: login.clone() })
            .collect();
        let changed: Vec<_> = listed
            .iter()
            .filter(|(id, (login, role))| {
                known.get(id).is_none_or(|(known, was, gone)| {
                    *gone || known.as_str() != login.as_str() || was != role.as_str()
                })
            })
            .collect();
        for some in changed.chunks(super::ROWS_AT_ONCE) {
            let mut tx = self.begin().await?;
            for (id, (login, role)) in some {
                tx.note_member(organization, **id, login, *role, began).await?;
            }
            tx.commit().await?;
        }
        let mut tx = self.begin().await?;
        for owner in &left {
            tx.note_departure(organization, owner.id, began).await?;
        }
        sqlx::query(
            "INSERT INTO member_listings (organization_id, ended_at) VALUES ($1, $2) \
             ON CONFLICT (organization_id) DO UPDATE SET ended_at = excluded.ended_at",
        )
        .bind(organization.0)
        .bind(began.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await?;
        Ok(MemberChanges { left, compared })
    }
}

impl Tx {
    async fn note_member(
        &mut self,
        organization: OrganizationId,
        user: UserId,
        login: &Login,
        role: Role,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO members (organization_id, user_id, login, role, seen_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (organization_id, user_id) DO UPDATE \
             SET login = excluded.login, role = excluded.role, seen_at = excluded.seen_at, gone_at = NULL",
        )
        .bind(organization.0)
        .bind(user.0)
        .bind(login.as_str())
        .bind(role.as_str())
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    async fn note_departure(
        &mut self,
        organization: OrganizationId,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE members SET gone_at = $3 WHERE organization_id = $1 AND user_id = $2")
            .bind(organization.0)
            .bind(user.0)
            .bind(now.as_millisecond())
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }
}
