//! The places of rules that the settings name: which repository is followed there, the last good files, what was refused.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, from_json, get, json, time_if_any};
use crate::{
    domain::{OrganizationId, RepositoryId},
    rules::SourceFile,
};

/// Who said that a repository is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PinnedBy {
    /// The settings name its number.
    Settings,
    /// It was there under the name when its rules were first read.
    FirstUse,
    /// Somebody who ran `patwarden policy trust`.
    Trust,
}

impl PinnedBy {
    /// For people, and for the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::FirstUse => "first use",
            Self::Trust => "trust",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        [Self::Settings, Self::FirstUse, Self::Trust]
            .into_iter()
            .find(|by| by.as_str() == text)
            .ok_or_else(|| StoreError::Unreadable(format!("a repository pinned by `{text}`")))
    }
}

/// The repository that is followed, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pin {
    /// Which.
    pub id: RepositoryId,
    /// The organization that had it; `None` until it was seen: the settings may name the repository alone.
    pub owner: Option<OrganizationId>,
    /// Who said so.
    pub by: PinnedBy,
}

impl Pin {
    fn read(row: &SqliteRow) -> Result<Option<Self>, StoreError> {
        let Some(id) = get::<Option<i64>>(row, "repository_id")? else { return Ok(None) };
        let by = get::<Option<String>>(row, "pinned_by")?.unwrap_or_default();
        let owner = get::<Option<i64>>(row, "owner_id")?.map(OrganizationId);
        Ok(Some(Self { id: RepositoryId(id), owner, by: PinnedBy::read(&by)? }))
    }
}

/// What a place that the settings name is to the one that they named before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceIs {
    /// The same, perhaps in other letters.
    TheSame,
    /// Another path in the same repository: it is followed as before, and its files are others.
    AnotherPath,
    /// Another place, or there was none.
    Another,
}

const NO_FILES: &str = "UPDATE policy_places SET files = NULL, commit_sha = NULL, url = NULL, loaded_at = NULL WHERE whose = $1";

const NO_REPOSITORY: &str = "UPDATE policy_places SET repository_id = NULL, owner_id = NULL, pinned_by = NULL, full_name = NULL, \
    default_branch = NULL, public = FALSE, refused = NULL, refused_at = NULL, found_id = NULL, found_owner_id = NULL, \
    found_name = NULL WHERE whose = $1";

/// Rule files as they were read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFiles {
    /// The files.
    pub files: Vec<SourceFile>,
    /// The commit that has them; `None`: they were on disk.
    pub commit: Option<String>,
    /// Where people can read them.
    pub url: Option<String>,
}

/// Another repository than the one that is followed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Which.
    pub id: RepositoryId,
    /// Whose.
    pub owner: OrganizationId,
    /// What it is called now.
    pub full_name: String,
}

/// What is not accepted before somebody says so.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// Why.
    pub why: String,
    /// What is there instead.
    pub found: Found,
    /// Since when.
    pub since: Timestamp,
}

/// One place of the settings, and what is known of it.
#[derive(Clone, Debug)]
pub struct PolicyPlaceRow {
    /// Whose rules: `enterprise`, `everybody`, or `organization` and a login.
    pub whose: String,
    /// The place, as the settings say it.
    pub place: String,
    /// Which organization had the login when the place was first used for it.
    pub organization: Option<OrganizationId>,
    /// The repository that is followed.
    pub pin: Option<Pin>,
    /// What it is called.
    pub full_name: Option<String>,
    /// Its default branch.
    pub default_branch: Option<String>,
    /// Whether everybody can read it.
    pub public: bool,
    /// The last files that were in force.
    pub good: Option<PolicyFiles>,
    /// Since when.
    pub loaded_at: Option<Timestamp>,
    /// What is there now, and is not accepted.
    pub refused: Option<Refused>,
}

impl PolicyPlaceRow {
    fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let good = get::<Option<String>>(row, "files")?.map(|files| {
            Ok::<_, StoreError>(PolicyFiles {
                files: from_json(&files)?,
                commit: get(row, "commit_sha")?,
                url: get(row, "url")?,
            })
        });
        let refused = (|| {
            let (Some(why), Some(since), Some(id), Some(owner)) = (
                get::<Option<String>>(row, "refused")?,
                time_if_any(row, "refused_at")?,
                get::<Option<i64>>(row, "found_id")?,
                get::<Option<i64>>(row, "found_owner_id")?,
            ) else {
                return Ok::<_, StoreError>(None);
            };
            let found = Found {
                id: RepositoryId(id),
                owner: OrganizationId(owner),
                full_name: get::<Option<String>>(row, "found_name")?.unwrap_or_default(),
            };
            Ok(Some(Refused { why, found, since }))
        })();
        Ok(Self {
            whose: get(row, "whose")?,
            place: get(row, "place")?,
            organization: get::<Option<i64>>(row, "organization_id")?.map(OrganizationId),
            pin: Pin::read(row)?,
            full_name: get(row, "full_name")?,
            default_branch: get(row, "default_branch")?,
            public: get(row, "public")?,
            good: good.transpose()?,
            loaded_at: time_if_any(row, "loaded_at")?,
            refused: refused?,
        })
    }
}

impl Store {
    /// Every place that was ever used.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn policy_places(&self) -> Result<Vec<PolicyPlaceRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM policy_places ORDER BY whose")
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(PolicyPlaceRow::read).collect()
    }

    /// One place, by whose it is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn policy_place(&self, whose: &str) -> Result<Option<PolicyPlaceRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM policy_places WHERE whose = $1")
            .bind(whose)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(PolicyPlaceRow::read).transpose()
    }

    /// Which repository is followed for a place.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn policy_pin(&self, whose: &str) -> Result<Option<Pin>, StoreError> {
        let row = sqlx::query(
            "SELECT repository_id, owner_id, pinned_by FROM policy_places WHERE whose = $1",
        )
        .bind(whose)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(Pin::read).transpose().map(Option::flatten)
    }

    /// Which organizations have the logins that the settings name, as they were first seen.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn policy_logins(&self) -> Result<Vec<(String, Option<OrganizationId>)>, StoreError> {
        let rows = sqlx::query("SELECT whose, organization_id FROM policy_places")
            .fetch_all(&self.readers)
            .await?;
        let login = |row: &SqliteRow| {
            let id = get::<Option<i64>>(row, "organization_id")?.map(OrganizationId);
            Ok((get(row, "whose")?, id))
        };
        rows.iter().map(login).collect()
    }

    /// Somebody accepts `found` as the repository of this place. Gives whether it is still what was refused.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn trust_repository(&self, whose: &str, found: &Found) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE policy_places SET repository_id = $2, owner_id = $3, pinned_by = $4, full_name = $5, \
                    refused = NULL, refused_at = NULL, found_id = NULL, found_owner_id = NULL, found_name = NULL \
              WHERE whose = $1 AND found_id = $2 AND found_owner_id = $3",
        )
        .bind(whose)
        .bind(found.id.0)
        .bind(found.owner.0)
        .bind(PinnedBy::Trust.as_str())
        .bind(&found.full_name)
        .execute(&mut *tx.inner)
        .await?;
        tx.commit().await?;
        Ok(changed.rows_affected() > 0)
    }

    /// Somebody accepts that another organization has the login now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn trust_login(
        &self,
        whose: &str,
        organization: OrganizationId,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE policy_places SET organization_id = $2 WHERE whose = $1")
            .bind(whose)
            .bind(organization.0)
            .execute(&mut *tx.inner)
            .await?;
        tx.commit().await
    }
}

impl Tx {
    /// Notes that the settings name this place. Of what was known, `is` says what still counts; which organization had the
    /// login does, wherever its rules are.
    pub(crate) async fn use_policy_place(
        &mut self,
        whose: &str,
        place: &str,
        is: PlaceIs,
    ) -> Result<(), StoreError> {
        let forgets: &[&str] = match is {
            PlaceIs::TheSame => &[],
            PlaceIs::AnotherPath => &[NO_FILES],
            PlaceIs::Another => &[NO_FILES, NO_REPOSITORY],
        };
        sqlx::query(
            "INSERT INTO policy_places (whose, place) VALUES ($1, $2) \
             ON CONFLICT (whose) DO UPDATE SET place = excluded.place",
        )
        .bind(whose)
        .bind(place)
        .execute(&mut *self.inner)
        .await?;
        for forget in forgets {
            sqlx::query(*forget).bind(whose).execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    /// Notes which organization has the login, the first time that it is known.
    pub(crate) async fn bind_policy_place(
        &mut self,
        whose: &str,
        organization: OrganizationId,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE policy_places SET organization_id = $2 WHERE whose = $1 AND organization_id IS NULL",
        )
        .bind(whose)
        .bind(organization.0)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Notes the repository that is followed: what is pinned already stays, unless the settings themselves say otherwise.
    pub(crate) async fn pin_policy_place(
        &mut self,
        whose: &str,
        pin: &Pin,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE policy_places SET repository_id = $2, owner_id = $3, pinned_by = $4 \
              WHERE whose = $1 AND (repository_id IS NULL OR owner_id IS NULL \
                                    OR ($4 = 'settings' AND repository_id <> $2))",
        )
        .bind(whose)
        .bind(pin.id.0)
        .bind(pin.owner.map(|owner| owner.0))
        .bind(pin.by.as_str())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Notes what the repository is called now and who can see it. Whatever was refused is over.
    pub(crate) async fn note_policy_repository(
        &mut self,
        whose: &str,
        full_name: &str,
        default_branch: &str,
        public: bool,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE policy_places SET full_name = $2, default_branch = $3, public = $4, refused = NULL, \
                    refused_at = NULL, found_id = NULL, found_owner_id = NULL, found_name = NULL WHERE whose = $1",
        )
        .bind(whose)
        .bind(full_name)
        .bind(default_branch)
        .bind(public)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Keeps the files that are in force now.
    pub(crate) async fn keep_policy_files(
        &mut self,
        whose: &str,
        files: &PolicyFiles,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE policy_places SET files = $2, commit_sha = $3, url = $4, loaded_at = $5 WHERE whose = $1",
        )
        .bind(whose)
        .bind(json(&files.files)?)
        .bind(&files.commit)
        .bind(&files.url)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Notes what is there now and is not accepted; since when stays as it is while it is the same.
    pub(crate) async fn refuse_policy_place(
        &mut self,
        whose: &str,
        why: &str,
        found: &Found,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE policy_places SET refused = $2, found_id = $3, found_owner_id = $4, found_name = $5, \
                    refused_at = CASE WHEN found_id = $3 AND found_owner_id = $4 THEN refused_at ELSE $6 END \
              WHERE whose = $1",
        )
        .bind(whose)
        .bind(why)
        .bind(found.id.0)
        .bind(found.owner.0)
        .bind(&found.full_name)
        .bind(now.as_millisecond())
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }
}
