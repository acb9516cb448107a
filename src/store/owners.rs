//! What our record says of one owner: what they asked for lately, what was denied, and what we approved.

use jiff::Timestamp;

use super::{RequestKey, Store, StoreError, get};
use crate::domain::{TokenId, UserId};

// Asked for every request that rules of that kind are about, so none may read all that an owner ever asked for.
const HEARD_OF: &str = "SELECT COUNT(*) AS requests FROM requests \
     WHERE organization_id = $1 AND owner_id = $2 AND woken_at >= $3 AND request_id <> $4";
const DENIED: &str = "SELECT COUNT(*) AS requests FROM requests \
     WHERE organization_id = $1 AND owner_id = $2 AND state_since >= $3 AND request_id <> $4 \
       AND outcome = 'denied'";
const APPROVED: &str = "SELECT request_id, token_id FROM requests \
     WHERE organization_id = $1 AND owner_id = $2 AND state_since >= $3 AND request_id <> $4 \
       AND (outcome IS NULL OR outcome = 'approved') \
       AND EXISTS (SELECT 1 FROM effects WHERE effects.organization_id = requests.organization_id \
             AND effects.request_id = requests.request_id AND effect = 'approve' \
             AND effects.state IN ('applied', 'unknown') AND ended_at >= $3)";
const BEING_APPROVED: &str = "SELECT requests.request_id, token_id FROM effects CROSS JOIN requests \
     WHERE effects.organization_id = $1 AND effects.state IN ('recorded', 'sent') AND effect = 'approve' \
       AND requests.organization_id = effects.organization_id \
       AND requests.request_id = effects.request_id AND owner_id = $2 AND requests.request_id <> $3";

impl Store {
    /// How many other requests of this owner we first heard of since then.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn heard_of_others(
        &self,
        than: RequestKey,
        owner: UserId,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        self.count_others(HEARD_OF, than, owner, since).await
    }

    /// How many other requests of this owner were denied since then, by us or by somebody else.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn denied_others(
        &self,
        than: RequestKey,
        owner: UserId,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        self.count_others(DENIED, than, owner, since).await
    }

    async fn count_others(
        &self,
        statement: &'static str,
        than: RequestKey,
        owner: UserId,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let row = sqlx::query(statement)
            .bind(than.organization.0)
            .bind(owner.0)
            .bind(since.as_millisecond())
            .bind(than.request.0)
            .fetch_one(&self.readers)
            .await?;
        Ok(u64::try_from(get::<i64>(&row, "requests")?).unwrap_or_default())
    }

    /// The tokens of this owner's other requests that we approved since then, or decided to approve and have
    /// not heard the end of: one entry for each request.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn approved_others(
        &self,
        than: RequestKey,
        owner: UserId,
        since: Timestamp,
    ) -> Result<Vec<Option<TokenId>>, StoreError> {
        let approved = sqlx::query(APPROVED)
            .bind(than.organization.0)
            .bind(owner.0)
            .bind(since.as_millisecond())
            .bind(than.request.0)
            .fetch_all(&self.readers)
            .await?;
        let being_approved = sqlx::query(BEING_APPROVED)
            .bind(than.organization.0)
            .bind(owner.0)
            .bind(than.request.0)
            .fetch_all(&self.readers)
            .await?;
        let mut tokens = std::collections::BTreeMap::new();
        for row in approved.iter().chain(&being_approved) {
            let token = get::<Option<i64>>(row, "token_id")?.map(TokenId);
            tokens.insert(get::<i64>(row, "request_id")?, token);
        }
        Ok(tokens.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;

    #[tokio::test]
    async fn no_count_reads_all_that_an_owner_ever_asked_for() {
        let folder = tempfile::tempdir().expect("a directory");
        let store = Store::open(&folder.path().join("store.sqlite")).await.expect("a store");
        for (statement, indexes) in [
            (
                HEARD_OF,
                &["requests_heard_of (organization_id=? AND owner_id=? AND woken_at>?)"][..],
            ),
            (DENIED, &["requests_moved (organization_id=? AND owner_id=? AND state_since>?)"]),
            (
                APPROVED,
                &[
                    "requests_moved (organization_id=? AND owner_id=? AND state_since>?)",
                    "sqlite_autoindex_effects_1 (organization_id=? AND request_id=?)",
                ],
            ),
            (
                BEING_APPROVED,
                &["effects_unfinished (organization_id=?)", "sqlite_autoindex_requests_1"],
            ),
        ] {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                .fetch_all(&store.readers)
                .await
                .expect("a plan");
            let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let searches: Vec<_> =
                steps.iter().filter(|step| !step.starts_with("CORRELATED")).collect();
            assert_eq!(searches.len(), indexes.len(), "{statement}: {steps:?}");
            for (step, index) in searches.iter().zip(indexes) {
                assert!(step.starts_with("SEARCH") && step.contains(index), "{statement}: {step}");
            }
        }
    }
}
