//! Who left an organization or a team, and when that was noticed; and the lists of members of teams that show it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::{Store, StoreError, Tx, get, time};
use crate::{
    domain::{OrganizationId, Owner, TeamId, TeamRef, TokenId, UserId},
    rules::held::{Departed, Left},
};

fn written(left: &Left) -> String {
    match left {
        Left::Organization => "organization".to_owned(),
        Left::Team(team) => format!("team:{team}"),
    }
}

fn read(what: &str) -> Result<Left, StoreError> {
    if what == "organization" {
        return Ok(Left::Organization);
    }
    let team = what.strip_prefix("team:").map(TeamRef::parse);
    match team {
        Some(Ok(team)) => Ok(Left::Team(team)),
        _ => Err(StoreError::Unreadable(format!("a departure from `{what}`"))),
    }
}

impl Store {
    /// What everybody left who is not back, by user.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn departures(
        &self,
        organization: OrganizationId,
    ) -> Result<HashMap<UserId, Vec<Departed>>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, what, at FROM departures WHERE organization_id = $1 ORDER BY user_id, what",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        let mut departures: HashMap<UserId, Vec<Departed>> = HashMap::new();
        for row in &rows {
            let left = read(&get::<String>(row, "what")?)?;
            let user = UserId(get(row, "user_id")?);
            departures.entry(user).or_default().push(Departed { at: time(row, "at")?, left });
        }
        Ok(departures)
    }

    /// Who left something at this moment or later, with the logins under which lists showed them.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn departed_since(
        &self,
        organization: OrganizationId,
        since: Timestamp,
    ) -> Result<Vec<UserId>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT user_id FROM departures WHERE organization_id = $1 AND at >= $2",
        )
        .bind(organization.0)
        .bind(since.as_millisecond())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok(UserId(get(row, "user_id")?))).collect()
    }

    /// Everybody who has an active token, as the tokens were listed last.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn token_owners(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<Owner>, StoreError> {
        let rows = sqlx::query(
            "SELECT owner_id, MAX(owner_login) AS owner_login FROM tokens \
              WHERE organization_id = $1 AND gone_at IS NULL GROUP BY owner_id",
        )
        .bind(organization.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let login = crate::domain::Login::new(get::<String>(row, "owner_login")?);
                Ok(Owner { id: UserId(get(row, "owner_id")?), login })
            })
            .collect()
    }

    /// A token of this user's that has access to the organization, if there is one.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn a_token_of(
        &self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<TokenId>, StoreError> {
        let row = sqlx::query(
            "SELECT MAX(token_id) AS token_id FROM tokens \
              WHERE organization_id = $1 AND owner_id = $2 AND gone_at IS NULL",
        )
        .bind(organization.0)
        .bind(user.0)
        .fetch_one(&self.readers)
        .await?;
        Ok(get::<Option<i64>>(&row, "token_id")?.map(TokenId))
    }

    /// Keeps that these are out, from this moment on unless that is known already, and that everybody who is `there`
    /// is not. Gives who is newly out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_departures(
        &self,
        organization: OrganizationId,
        left: &Left,
        out: &[UserId],
        there: &(dyn Fn(UserId) -> bool + Sync),
        at: Timestamp,
    ) -> Result<Vec<UserId>, StoreError> {
        let what = written(left);
        let mut tx = self.begin().await?;
        let new = tx.note_departures(organization, &what, out, there, at).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// Who was in a team when its list was last read, if it was this team.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn team_members(
        &self,
        organization: OrganizationId,
        team: &TeamRef,
        id: TeamId,
    ) -> Result<HashSet<UserId>, StoreError> {
        let rows = sqlx::query(
            "SELECT m.user_id FROM team_members m JOIN team_listings l \
                 ON l.organization_id = m.organization_id AND l.team = m.team \
              WHERE m.organization_id = $1 AND m.team = $2 AND l.team_id = $3",
        )
        .bind(organization.0)
        .bind(team.to_string())
        .bind(id.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok(UserId(get(row, "user_id")?))).collect()
    }

    /// Keeps who is in a team now, as its list showed it to its end, and who left it since the list before. Where the
    /// list before was of another team, nobody left. Gives who is newly out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_team_members(
        &self,
        organization: OrganizationId,
        team: &TeamRef,
        id: TeamId,
        members: &HashSet<UserId>,
        at: Timestamp,
    ) -> Result<Vec<UserId>, StoreError> {
        let name = team.to_string();
        let was_there = self.team_members(organization, team, id).await?;
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT user_id FROM team_members WHERE organization_id = $1 AND team = $2",
        )
        .bind(organization.0)
        .bind(&name)
        .fetch_all(&mut *tx.inner)
        .await?;
        let before: HashSet<UserId> = rows
            .iter()
            .map(|row| Ok(UserId(get(row, "user_id")?)))
            .collect::<Result<_, StoreError>>()?;
        for gone in before.difference(members) {
            sqlx::query(
                "DELETE FROM team_members WHERE organization_id = $1 AND team = $2 AND user_id = $3",
            )
            .bind(organization.0)
            .bind(&name)
            .bind(gone.0)
            .execute(&mut *tx.inner)
            .await?;
        }
        for new in members.difference(&before) {
            sqlx::query(
                "INSERT INTO team_members (organization_id, team, user_id) VALUES ($1, $2, $3)",
            )
            .bind(organization.0)
            .bind(&name)
            .bind(new.0)
            .execute(&mut *tx.inner)
            .await?;
        }
        sqlx::query(
            "INSERT INTO team_listings (organization_id, team, team_id, read_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (organization_id, team) DO UPDATE \
             SET team_id = excluded.team_id, read_at = excluded.read_at",
        )
        .bind(organization.0)
        .bind(&name)
        .bind(id.0)
        .bind(at.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        let out: Vec<UserId> = was_there.difference(members).copied().collect();
        let what = written(&Left::Team(team.clone()));
        let there = |user: UserId| members.contains(&user);
        let new = tx.note_departures(organization, &what, &out, &there, at).await?;
        tx.commit().await?;
        Ok(new)
    }

    /// How many tokens each user has that are active and have not expired.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn active_tokens_by_owner(
        &self,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<BTreeMap<UserId, u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT owner_id, COUNT(*) AS tokens FROM tokens \
              WHERE organization_id = $1 AND gone_at IS NULL AND expired = 0 \
                AND (expires_at IS NULL OR expires_at > $2) GROUP BY owner_id",
        )
        .bind(organization.0)
        .bind(now.as_millisecond())
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let tokens = u64::try_from(get::<i64>(row, "tokens")?).unwrap_or_default();
                Ok((UserId(get(row, "owner_id")?), tokens))
            })
            .collect()
    }
}

impl Tx {
    async fn note_departures(
        &mut self,
        organization: OrganizationId,
        what: &str,
        out: &[UserId],
        there: &(dyn Fn(UserId) -> bool + Sync),
        at: Timestamp,
    ) -> Result<Vec<UserId>, StoreError> {
        let rows =
            sqlx::query("SELECT user_id FROM departures WHERE organization_id = $1 AND what = $2")
                .bind(organization.0)
                .bind(what)
                .fetch_all(&mut *self.inner)
                .await?;
        for row in &rows {
            let user = UserId(get(row, "user_id")?);
            if !there(user) {
                continue;
            }
            sqlx::query(
                "DELETE FROM departures WHERE organization_id = $1 AND user_id = $2 AND what = $3",
            )
            .bind(organization.0)
            .bind(user.0)
            .bind(what)
            .execute(&mut *self.inner)
            .await?;
        }
        let mut new = Vec::new();
        for user in out {
            let noted = sqlx::query(
                "INSERT INTO departures (organization_id, user_id, what, at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(organization.0)
            .bind(user.0)
            .bind(what)
            .bind(at.as_millisecond())
            .execute(&mut *self.inner)
            .await?;
            if noted.rows_affected() == 1 {
                new.push(*user);
            }
        }
        Ok(new)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_left_a_team_is_noted_once_and_who_is_back_is_not_departed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.sqlite")).await.unwrap();
        let (acme, team) = (OrganizationId(1), TeamRef::parse("platform").unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        let listed_of = async |id, users: &[i64], second| {
            let members = users.iter().copied().map(UserId).collect();
            store.note_team_members(acme, &team, TeamId(id), &members, at(second)).await.unwrap()
        };
        let listed = async |users: &[i64], second| listed_of(7, users, second).await;
        assert!(listed(&[1, 2], 1).await.is_empty(), "nobody left before the first list");
        assert_eq!(listed(&[1], 2).await, [UserId(2)]);
        assert!(listed(&[1], 3).await.is_empty());
        let departed = Departed { at: at(2), left: Left::Team(team.clone()) };
        assert_eq!(store.departures(acme).await.unwrap().get(&UserId(2)), Some(&vec![departed]));
        assert_eq!(store.departed_since(acme, at(2)).await.unwrap(), [UserId(2)]);
        assert!(store.departed_since(acme, at(3)).await.unwrap().is_empty());
        listed(&[1, 2], 4).await;
        assert!(store.departures(acme).await.unwrap().is_empty());
        // And out again counts from the second time.
        assert_eq!(listed(&[1], 5).await, [UserId(2)]);
        assert_eq!(store.departed_since(acme, at(5)).await.unwrap(), [UserId(2)]);
        // Somebody accepted that the slug is another team's: nobody left that one.
        assert!(listed_of(8, &[3], 6).await.is_empty());
        assert_eq!(listed_of(8, &[], 7).await, [UserId(3)]);
    }
}
