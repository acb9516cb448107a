//! Under which names a repository was seen: a veto on a name also holds after the repository was renamed.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use super::{Store, StoreError, Tx, get};
use crate::domain::{OrganizationId, RepositoryId};

/// How many names of a repository are kept: the first ones. Were it the last ones, whoever may rename a repository
/// could rename it until the name that a veto is about is forgotten.
const NAMES_KEPT: i64 = 20;

/// How many repositories are asked about at once: SQLite takes some thousands of values in a statement.
const AT_ONCE: usize = 500;

impl Store {
    /// The names, in lower case, under which these repositories were seen so far, the first one first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn names_of(
        &self,
        organization: OrganizationId,
        repositories: &[RepositoryId],
    ) -> Result<HashMap<RepositoryId, Vec<String>>, StoreError> {
        let mut names: HashMap<RepositoryId, Vec<String>> = HashMap::new();
        for some in repositories.chunks(AT_ONCE) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT repository_id, name FROM repository_names WHERE organization_id = ",
            );
            query.push_bind(organization.0).push(" AND repository_id IN (");
            let mut ids = query.separated(", ");
            for id in some {
                ids.push_bind(id.0);
            }
            query.push(") ORDER BY seen_at, name");
            for row in query.build().fetch_all(&self.readers).await? {
                let id = RepositoryId(get(&row, "repository_id")?);
                names.entry(id).or_default().push(get(&row, "name")?);
            }
        }
        Ok(names)
    }
}

impl Tx {
    /// Keeps a name under which a repository was seen, unless it is kept already or there are enough.
    pub(crate) async fn note_name(
        &mut self,
        organization: OrganizationId,
        repository: RepositoryId,
        name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO repository_names (organization_id, repository_id, name, seen_at) \
             SELECT $1, $2, $3, $4 \
              WHERE (SELECT COUNT(*) FROM repository_names \
                      WHERE organization_id = $1 AND repository_id = $2) < $5 \
             ON CONFLICT DO NOTHING",
        )
        .bind(organization.0)
        .bind(repository.0)
        .bind(name.to_ascii_lowercase())
        .bind(now.as_millisecond())
        .bind(NAMES_KEPT)
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
    async fn a_repositorys_first_names_are_kept_and_no_name_twice() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.sqlite")).await.unwrap();
        let (acme, repository) = (OrganizationId(1), RepositoryId(7));
        let mut tx = store.begin().await.unwrap();
        let note = ["Release-24", "release-24"].map(str::to_owned).into_iter();
        for (number, name) in note.chain((0..30).map(|number| format!("web-{number}"))).enumerate()
        {
            let now = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
            tx.note_name(acme, repository, &name, now).await.unwrap();
        }
        tx.note_name(acme, RepositoryId(8), "api", Timestamp::UNIX_EPOCH).await.unwrap();
        tx.commit().await.unwrap();
        let many: Vec<_> = (0..1_200).map(RepositoryId).collect();
        let names = store.names_of(acme, &many).await.unwrap();
        assert_eq!(names.len(), 2);
        assert_eq!(names[&RepositoryId(8)], ["api"]);
        let names = &names[&repository];
        assert_eq!(names.len(), 20);
        assert_eq!(names[..2], ["release-24", "web-0"]);
        assert!(store.names_of(OrganizationId(2), &many).await.unwrap().is_empty());
    }
}
