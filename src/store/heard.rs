//! What the record has heard of: organizations, people, repositories, rules. For commands that are given a name of which it
//! has not.

use std::collections::BTreeSet;

use super::{RequestRow, Store, StoreError, from_json, get};
use crate::{
    domain::{OrganizationId, Permissions, Repository, RequestId, TokenId, TokenRequest},
    rules::{Decision, Effect, facts::Facts},
};

/// Names in decisions are looked for in this many of the newest: older ones are in tokens and requests too.
const NEWEST: i64 = 2_000;

const ORGANIZATIONS: &str = "SELECT login AS name FROM installations UNION SELECT login FROM requests \
      UNION SELECT login FROM revocations";

const OWNERS: &str = "SELECT owner_login AS name FROM tokens WHERE $1 IS NULL OR organization_id = $1 \
      UNION SELECT owner_login FROM requests WHERE $1 IS NULL OR organization_id = $1 \
      UNION SELECT login FROM members WHERE $1 IS NULL OR organization_id = $1";

/// Each row is a name, or a list of repositories.
const REPOSITORIES: &str = "SELECT name, NULL AS list FROM repository_names \
      WHERE $1 IS NULL OR organization_id = $1 \
      UNION SELECT NULL, repositories FROM tokens \
      WHERE repositories IS NOT NULL AND ($1 IS NULL OR organization_id = $1)";

const JUDGED: &str = "SELECT facts, decision FROM decisions WHERE $1 IS NULL OR organization_id = $1 \
      ORDER BY id DESC LIMIT $2";

const ACTORS: &str = "SELECT DISTINCT actor AS name FROM requests \
      WHERE actor IS NOT NULL AND outcome = 'approved' AND ($1 IS NULL OR organization_id = $1)";

const PERMISSIONS: &str = "SELECT permissions, NULL AS listed FROM tokens \
      WHERE $1 IS NULL OR organization_id = $1 \
      UNION SELECT NULL, listed FROM requests \
      WHERE listed IS NOT NULL AND ($1 IS NULL OR organization_id = $1)";

/// What kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Members, and who ever had or asked for a token.
    Owner,
    /// Repositories that tokens or requests reach, where they were read.
    Repository,
    /// Rules, people and Apps that approved something.
    Approver,
    /// Permissions that a token has or a request asks for, whether GitHub documents them or not.
    Permission,
}

impl Store {
    /// The logins of all organizations that anything is on record of.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn organizations_heard_of(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query(ORGANIZATIONS).fetch_all(&self.readers).await?;
        rows.iter().map(|row| get(row, "name")).collect()
    }

    /// The names of a kind that the record has heard of, in one organization or in any.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn heard_of(
        &self,
        named: Named,
        organization: Option<OrganizationId>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let of = organization.map(|organization| organization.0);
        let rows = |statement: &'static str| {
            sqlx::query(statement).bind(of).bind(NEWEST).fetch_all(&self.readers)
        };
        let mut names = BTreeSet::new();
        match named {
            Named::Owner => {
                for row in rows(OWNERS).await? {
                    names.insert(get(&row, "name")?);
                }
            }
            Named::Repository => {
                for row in rows(REPOSITORIES).await? {
                    names.extend(get::<Option<String>>(&row, "name")?);
                    if let Some(list) = get::<Option<String>>(&row, "list")? {
                        let list = from_json::<Vec<Repository>>(&list)?;
                        names.extend(list.into_iter().map(|repository| repository.name));
                    }
                }
                for row in rows(JUDGED).await? {
                    let facts = from_json::<Facts>(&get::<String>(&row, "facts")?)?;
                    let known = facts.repositories.value().into_iter().flatten();
                    names.extend(known.map(|repository| repository.name.clone()));
                }
            }
            Named::Approver => {
                for row in rows(ACTORS).await? {
                    names.insert(get(&row, "name")?);
                }
                for row in rows(JUDGED).await? {
                    let decision = from_json::<Decision>(&get::<String>(&row, "decision")?)?;
                    if decision.effect == Effect::Approve {
                        names.extend(decision.by.iter().map(ToString::to_string));
                    }
                }
            }
            Named::Permission => {
                for row in rows(PERMISSIONS).await? {
                    let permissions = match get::<Option<String>>(&row, "permissions")? {
                        Some(text) => from_json::<Permissions>(&text)?,
                        None => {
                            from_json::<TokenRequest>(&get::<String>(&row, "listed")?)?.permissions
                        }
                    };
                    names.extend(permissions.iter().map(|(_, name, _)| name.to_owned()));
                }
            }
        }
        Ok(names)
    }

    /// Whether a token of this number ever had access or was asked for, in one organization or in any.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn has_heard_of_token(
        &self,
        token: TokenId,
        organization: Option<OrganizationId>,
    ) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT 1 AS one FROM tokens WHERE token_id = $1 AND ($2 IS NULL OR organization_id = $2) \
             UNION SELECT 1 FROM requests WHERE token_id = $1 AND ($2 IS NULL OR organization_id = $2) LIMIT 1",
        )
        .bind(token.0)
        .bind(organization.map(|organization| organization.0))
        .fetch_optional(&self.readers)
        .await?;
        Ok(found.is_some())
    }

    /// The requests of this number, and those for the token of this number: of any organization, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn requests_about(&self, id: i64) -> Result<Vec<RequestRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM requests WHERE request_id = $1 OR token_id = $1 ORDER BY woken_at DESC LIMIT 20",
        )
        .bind(id)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(RequestRow::read).collect()
    }

    /// The repositories of a request as they were when what is on record of it now was judged; `None`: they were not read.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn repositories_judged(
        &self,
        organization: OrganizationId,
        request: RequestId,
    ) -> Result<Option<Vec<Repository>>, StoreError> {
        let row = sqlx::query(
            "SELECT d.facts FROM requests r JOIN decisions d ON d.id = r.decision_id AND d.fingerprint = r.fingerprint \
              WHERE r.organization_id = $1 AND r.request_id = $2",
        )
        .bind(organization.0)
        .bind(request.0)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let facts = from_json::<Facts>(&get::<String>(&row, "facts")?)?;
        Ok(facts.repositories.value().cloned())
    }
}
