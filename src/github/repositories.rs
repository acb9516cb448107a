//! Reading a repository: what it is, where its default branch stands, the files of a commit.

use http::StatusCode;
use serde::Deserialize;

use super::{
    call::{Accept, Asked},
    error::CallError,
    read::{Read, segment},
};
use crate::domain::{Login, Organization, OrganizationId, RepositoryId};

/// The most entries of a directory that GitHub lists.
///
/// Source: <https://docs.github.com/rest/repos/contents#get-repository-content>.
const MOST_ENTRIES: usize = 1_000;

/// A repository, as far as somebody must know it to trust what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRepository {
    /// Its number, which outlives renames and transfers.
    pub id: RepositoryId,
    /// Who has it.
    pub owner: Organization,
    /// Its name, without the owner's.
    pub name: String,
    /// The branch that counts.
    pub default_branch: String,
    /// Whether everybody can read it.
    pub public: bool,
    /// Whether only those can read it who were given access: not a whole enterprise.
    pub private: bool,
    /// Whether nothing in it can be changed, and nothing be said there.
    pub archived: bool,
    /// Where people see it.
    pub url: String,
}

impl RemoteRepository {
    /// `owner/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner.login, self.name)
    }
}

/// An answer that GitHub may leave out when it is the one that we have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fresh<T> {
    /// As it was: this cost nothing of the hourly limit.
    Unchanged,
    /// What it is now, and how to ask whether it changed since.
    Now(T, Option<String>),
}

/// What stands in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file with a content of its own.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a submodule, or something that GitHub will name one day.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// How many bytes a file has.
    pub size: u64,
}

#[derive(Deserialize)]
struct WireRepository {
    id: i64,
    name: String,
    owner: WireOwner,
    default_branch: String,
    private: bool,
    #[serde(default)]
    visibility: Option<String>,
    #[serde(default)]
    archived: bool,
    html_url: String,
}

#[derive(Deserialize)]
struct WireOwner {
    id: i64,
    login: String,
}

impl From<WireRepository> for RemoteRepository {
    fn from(wire: WireRepository) -> Self {
        Self {
            id: RepositoryId(wire.id),
            owner: Organization {
                id: OrganizationId(wire.owner.id),
                login: Login::new(wire.owner.login),
            },
            name: wire.name,
            default_branch: wire.default_branch,
            private: wire.private && wire.visibility.as_deref().is_none_or(|one| one == "private"),
            public: !wire.private && wire.visibility.as_deref().is_none_or(|one| one == "public"),
            archived: wire.archived,
            url: wire.html_url,
        }
    }
}

/// What rules ask of a change of a branch, as far as an App may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchRules {
    /// How many approvals a pull request needs, where a ruleset requires one at all.
    pub approvals: Option<u32>,
    /// Whether the branch is protected in either of GitHub's ways; what the older one asks for is shown to administrators
    /// only.
    pub protected: bool,
}

/// <https://docs.github.com/rest/repos/rules#get-rules-for-a-branch>
#[derive(Deserialize)]
struct WireRule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: Option<WireRuleParameters>,
}

#[derive(Default, Deserialize)]
struct WireRuleParameters {
    #[serde(default)]
    required_approving_review_count: u32,
}

/// <https://docs.github.com/rest/branches/branches#get-a-branch>
#[derive(Deserialize)]
struct WireBranch {
    protected: bool,
}

#[derive(Deserialize)]
struct WireRef {
    object: WireObject,
}

#[derive(Deserialize)]
struct WireObject {
    sha: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct WireEntry {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    size: u64,
    // Where a file's content is; a submodule, which older versions of the API call a file, has none.
    #[serde(default)]
    download_url: Option<String>,
}

impl From<WireEntry> for Entry {
    fn from(wire: WireEntry) -> Self {
        let kind = match wire.kind.as_str() {
            "file" if wire.download_url.is_some() => EntryKind::File,
            "dir" => EntryKind::Directory,
            _ => EntryKind::Other,
        };
        Self { name: wire.name, kind, size: wire.size }
    }
}

impl Read {
    /// The repository that has this name now, or had it and has another since.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::NotFound`] also when we may not see it.
    pub async fn repository(
        &self,
        owner: &Login,
        name: &str,
        etag: Option<&str>,
    ) -> Result<Fresh<RemoteRepository>, CallError> {
        let path = format!("/repos/{}/{}", segment(owner.as_str()), segment(name));
        self.conditional::<WireRepository, _>(&path, etag).await
    }

    /// The repository of this number, whatever it is called and wherever it is.
    ///
    /// # Errors
    /// As [`Read::repository`].
    pub async fn repository_by_id(&self, id: RepositoryId) -> Result<RemoteRepository, CallError> {
        let wire: WireRepository = self.caller().get(&format!("/repositories/{id}")).await?;
        Ok(wire.into())
    }

    /// The commit at which a branch stands. By number: between two calls a name may come to mean another repository.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::Unprocessable`] for a repository without commits.
    pub async fn branch_head(
        &self,
        id: RepositoryId,
        branch: &str,
        etag: Option<&str>,
    ) -> Result<Fresh<String>, CallError> {
        let path = format!("/repositories/{id}/git/ref/heads/{}", segments(branch));
        let head = self.conditional::<WireRef, WireRef>(&path, etag).await?;
        match head {
            Fresh::Unchanged => Ok(Fresh::Unchanged),
            Fresh::Now(head, etag) if head.object.kind == "commit" && is_sha(&head.object.sha) => {
                Ok(Fresh::Now(head.object.sha, etag))
            }
            Fresh::Now(..) => {
                Err(CallError::Unreadable { why: "the branch stands at no commit".to_owned() })
            }
        }
    }

    /// What rules ask of a change of a branch.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn branch_rules(
        &self,
        id: RepositoryId,
        branch: &str,
    ) -> Result<BranchRules, CallError> {
        let path = format!("/repositories/{id}/rules/branches/{}?per_page=100", segments(branch));
        let rules: Vec<WireRule> = self.caller().pages(&path).await?;
        let pulls = rules.into_iter().filter(|rule| rule.kind == "pull_request");
        let counts =
            pulls.map(|rule| rule.parameters.unwrap_or_default().required_approving_review_count);
        let approvals = counts.max();
        let path = format!("/repositories/{id}/branches/{}", segments(branch));
        let WireBranch { protected } = self.caller().get(&path).await?;
        Ok(BranchRules { approvals, protected })
    }

    /// What stands in a directory at a commit; the empty path is the repository's root.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::Unprocessable`] when it is no directory, or has more entries than
    /// GitHub lists.
    pub async fn directory(
        &self,
        id: RepositoryId,
        path: &str,
        commit: &str,
    ) -> Result<Vec<Entry>, CallError> {
        let listed: serde_json::Value = self.caller().get(&contents(id, path, commit)).await?;
        if !listed.is_array() {
            return Err(CallError::Unprocessable { message: "it is no directory".to_owned() });
        }
        let entries: Vec<WireEntry> = serde_json::from_value(listed)
            .map_err(|error| CallError::Unreadable { why: error.to_string() })?;
        if entries.len() >= MOST_ENTRIES {
            let message = format!(
                "GitHub lists {MOST_ENTRIES} entries of a directory, and this one has more"
            );
            return Err(CallError::Unprocessable { message });
        }
        Ok(entries.into_iter().map(Entry::from).collect())
    }

    /// The bytes of a file at a commit.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn file(
        &self,
        id: RepositoryId,
        path: &str,
        commit: &str,
    ) -> Result<Vec<u8>, CallError> {
        let path = contents(id, path, commit);
        Ok(self.caller().ask(&path, Asked { accept: Accept::Raw, etag: None }).await?.into_body())
    }

    async fn conditional<W, T>(&self, path: &str, etag: Option<&str>) -> Result<Fresh<T>, CallError>
    where
        W: serde::de::DeserializeOwned + Into<T>,
    {
        let answer = self.caller().ask(path, Asked { accept: Accept::Json, etag }).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Fresh::Unchanged);
        }
        let etag = answer.etag();
        Ok(Fresh::Now(answer.json::<W>()?.into(), etag))
    }
}

fn contents(id: RepositoryId, path: &str, commit: &str) -> String {
    let slash = if path.is_empty() { "" } else { "/" };
    format!("/repositories/{id}/contents{slash}{}?ref={}", segments(path), segment(commit))
}

/// A path whose slashes stay what they are.
fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a `push` or a `repository` event says of the repository that it is about. It wakes; what is there decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryEvent {
    /// Which repository.
    pub id: RepositoryId,
    /// What it is called.
    pub full_name: String,
    /// What was pushed to, for a push: `refs/heads/main`.
    pub pushed: Option<String>,
}

/// Reads as much of a `push` or `repository` event as we use.
#[must_use]
pub fn parse_repository_event(body: &[u8]) -> Option<RepositoryEvent> {
    #[derive(Deserialize)]
    struct Payload {
        repository: Named,
        #[serde(default, rename = "ref")]
        pushed: Option<String>,
    }
    #[derive(Deserialize)]
    struct Named {
        id: i64,
        full_name: String,
    }
    let payload: Payload = serde_json::from_slice(body).ok()?;
    let Payload { repository: Named { id, full_name }, pushed } = payload;
    Some(RepositoryEvent { id: RepositoryId(id), full_name, pushed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_a_content_of_its_own_is_a_file() {
        let entry = |kind: &str, url: Option<&str>| {
            let wire =
                serde_json::json!({"name": "a.toml", "type": kind, "size": 3, "download_url": url});
            Entry::from(serde_json::from_value::<WireEntry>(wire).expect("an entry")).kind
        };
        assert_eq!(entry("file", Some("https://x")), EntryKind::File);
        // A submodule, as 2022-11-28 shows it.
        assert_eq!(entry("file", None), EntryKind::Other);
        assert_eq!(entry("symlink", Some("https://x")), EntryKind::Other);
        assert_eq!(entry("submodule", None), EntryKind::Other);
        assert_eq!(entry("dir", None), EntryKind::Directory);
    }

    #[test]
    fn a_path_keeps_its_slashes_and_nothing_else() {
        let path = contents(RepositoryId(7), "a b/c?.toml", "abc");
        assert_eq!(path, "/repositories/7/contents/a%20b/c%3F.toml?ref=abc");
        assert_eq!(contents(RepositoryId(7), "", "abc"), "/repositories/7/contents?ref=abc");
    }

    #[test]
    fn an_event_is_about_one_repository_or_about_none() {
        let push =
            br#"{"ref": "refs/heads/main", "repository": {"id": 3, "full_name": "a/b"}, "x": [1]}"#;
        let event = parse_repository_event(push).expect("an event");
        assert_eq!((event.id, event.pushed.as_deref()), (RepositoryId(3), Some("refs/heads/main")));
        assert!(parse_repository_event(b"{}").is_none());
        assert!(parse_repository_event(b"[").is_none());
    }
}
