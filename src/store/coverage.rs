//! What is known of tokens when rules are asked about them: the request behind each, its repositories, and what was said
//! of it before.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{
    Store, StoreError, from_json, get, json, time_if_any,
    tokens::{KNOWN_COLUMNS, KNOWN_FROM, read_known},
};
use crate::domain::{
    Approval, Coverage, Covered, Grant, GrantId, KnownToken, OrganizationId, Repository,
    TokenRequest,
};

const JUDGED: &str = "r.listed AS approved_listed, r.judged_under AS approved_under";

/// A token with all that rules may be asked about it.
#[derive(Clone, Debug)]
pub struct JudgedToken {
    /// As it is known to people.
    pub known: KnownToken,
    /// The request that gave it what it holds now, where we have it.
    pub recorded: Option<TokenRequest>,
    /// When its repositories were read, where they were for the access that it has.
    pub repositories_read_at: Option<Timestamp>,
    /// The grounds under which rules of ours approved it.
    pub approved_under: Option<String>,
    /// The grounds under which it was last judged.
    pub covered_under: Option<String>,
    /// The grounds under which a rule last covered it.
    pub covered_last_under: Option<String>,
}

fn read(row: &SqliteRow) -> Result<JudgedToken, StoreError> {
    let known = read_known(row)?;
    // Whoever gave it access without a request of ours has none on record.
    let on_record = !matches!(known.approval, Approval::Itself | Approval::Unknown);
    let listed = get::<Option<String>>(row, "approved_listed")?.filter(|_| on_record);
    let by_rule = matches!(known.approval, Approval::Rule { .. });
    Ok(JudgedToken {
        recorded: listed.and_then(|text| from_json(&text).ok()),
        repositories_read_at: match &known.repositories {
            Some(_) => time_if_any(row, "repositories_read_at")?,
            None => None,
        },
        approved_under: get::<Option<String>>(row, "approved_under")?.filter(|_| by_rule),
        covered_under: get(row, "covered_under")?,
        covered_last_under: get(row, "covered_last_under")?,
        known,
    })
}

impl Store {
    /// Active tokens of an organization after this grant, in the order of their grants: at most so many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens_to_judge(
        &self,
        organization: OrganizationId,
        after: GrantId,
        limit: i64,
    ) -> Result<Vec<JudgedToken>, StoreError> {
        let statement = format!(
            "SELECT {KNOWN_COLUMNS}, {JUDGED} {KNOWN_FROM} \
              WHERE t.organization_id = $1 AND t.grant_id > $2 AND t.gone_at IS NULL \
              ORDER BY t.grant_id LIMIT $3"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(organization.0)
            .bind(after.0)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// One of them, if it is active.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn token_to_judge(
        &self,
        organization: OrganizationId,
        grant: GrantId,
    ) -> Result<Option<JudgedToken>, StoreError> {
        let statement = format!(
            "SELECT {KNOWN_COLUMNS}, {JUDGED} {KNOWN_FROM} \
              WHERE t.organization_id = $1 AND t.grant_id = $2 AND t.gone_at IS NULL"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(organization.0)
            .bind(grant.0)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Keeps which repositories a token with a subset reaches, for the access that it has.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_repositories(
        &self,
        grant: &Grant,
        repositories: &[Repository],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE tokens SET repositories = $3, repositories_of = $4, repositories_read_at = $5 \
              WHERE organization_id = $1 AND grant_id = $2",
        )
        .bind(grant.organization.id.0)
        .bind(grant.id.0)
        .bind(json(&repositories)?)
        .bind(grant.access_granted_at.as_millisecond())
        .bind(now.as_millisecond())
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await
    }

    /// Keeps what rules say of tokens, under these grounds; `None`: not yet judged.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_coverage(
        &self,
        organization: OrganizationId,
        said: &[(GrantId, Option<Coverage>)],
        grounds: &str,
    ) -> Result<(), StoreError> {
        for some in said.chunks(super::ROWS_AT_ONCE) {
            let mut tx = self.begin().await?;
            for (grant, coverage) in some {
                let covered = coverage.as_ref().map(|coverage| coverage.covered);
                // Known to be covered: from now on it is told when it no longer is. Known not to be: that is told.
                let last = match covered {
                    Some(Covered::Yes) => "$6",
                    Some(Covered::No) => "NULL",
                    Some(Covered::Unknown) | None => "covered_last_under",
                };
                let statement = format!(
                    "UPDATE tokens SET covered = $3, covered_why = $4, covered_at = $5, covered_under = $6, \
                         covered_last_under = {last} \
                      WHERE organization_id = $1 AND grant_id = $2"
                );
                sqlx::query(sqlx::AssertSqlSafe(statement))
                    .bind(organization.0)
                    .bind(grant.0)
                    .bind(covered.map(Covered::as_str))
                    .bind(coverage.as_ref().map(|coverage| coverage.why.as_str()))
                    .bind(coverage.as_ref().map(|coverage| coverage.judged_at.as_millisecond()))
                    .bind(covered.map(|_| grounds))
                    .execute(&mut *tx.inner)
                    .await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}
