//! Which team a slug named when a rule first asked for it: a slug can be given up, and taken by another team.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Store, StoreError, Tx, get};
use crate::domain::{OrganizationId, TeamId};

impl Store {
    /// The teams that rules for this organization asked for so far: `slug` for its own, `organization/slug` for
    /// another's.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn known_teams(
        &self,
        organization: OrganizationId,
    ) -> Result<HashMap<String, TeamId>, StoreError> {
        let rows = sqlx::query("SELECT team, team_id FROM teams WHERE organization_id = $1")
            .bind(organization.0)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok((get(row, "team")?, TeamId(get(row, "team_id")?)))).collect()
    }

    /// Somebody says that the slugs in the rules for this organization name the right teams now: whatever they
    /// name next is kept. Gives how many were forgotten.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_teams(&self, organization: OrganizationId) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let forgotten = sqlx::query("DELETE FROM teams WHERE organization_id = $1")
            .bind(organization.0)
            .execute(&mut *tx.inner)
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(forgotten)
    }
}

impl Tx {
    /// Keeps which team a slug names, unless that is kept already: the first one stays.
    pub(crate) async fn note_team(
        &mut self,
        organization: OrganizationId,
        team: &str,
        id: TeamId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO teams (organization_id, team, team_id, seen_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(organization.0)
        .bind(team)
        .bind(id.0)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_team_behind_a_slug_stays_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.sqlite")).await.unwrap();
        let (acme, other) = (OrganizationId(1), OrganizationId(2));
        let note = async |organization, team, id| {
            let mut tx = store.begin().await.unwrap();
            tx.note_team(organization, team, TeamId(id), Timestamp::UNIX_EPOCH).await.unwrap();
            tx.commit().await.unwrap();
        };
        note(acme, "platform", 7).await;
        note(acme, "platform", 8).await;
        note(acme, "tools/sre", 9).await;
        note(other, "platform", 10).await;
        let known = store.known_teams(acme).await.unwrap();
        assert_eq!(known.get("platform"), Some(&TeamId(7)));
        assert_eq!(known.get("tools/sre"), Some(&TeamId(9)));
        assert_eq!(store.forget_teams(acme).await.unwrap(), 2);
        assert!(store.known_teams(acme).await.unwrap().is_empty());
        assert_eq!(store.known_teams(other).await.unwrap().len(), 1, "another's are its own");
        note(acme, "platform", 8).await;
        assert_eq!(store.known_teams(acme).await.unwrap().get("platform"), Some(&TeamId(8)));
    }
}
