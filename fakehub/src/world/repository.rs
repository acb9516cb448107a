//! Repositories and their custom properties. How they look on the wire is in `render`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::git::{Changes, Commit, FileChange, Files, Git, difference};
use super::issue::{Author, Issue, Issues};
use super::pull::{CheckRun, PullRequest};

/// Who can see a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Those with access.
    Private,
    /// The enterprise's members.
    Internal,
}

impl Visibility {
    /// GitHub's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Internal => "internal",
        }
    }
}

/// A repository of an organization (<https://docs.github.com/rest/repos/repos>).
#[derive(Debug, Clone)]
pub struct Repository {
    /// GitHub's numeric id.
    pub id: u64,
    /// The name without the organization.
    pub name: String,
    /// What the repository says it is.
    pub description: Option<String>,
    /// Who can see it.
    pub visibility: Visibility,
    /// Whether it is read-only.
    pub archived: bool,
    /// Whether it is a fork.
    pub fork: bool,
    /// Its topics.
    pub topics: Vec<String>,
    /// Values of custom properties: a string or an array of strings.
    pub properties: BTreeMap<String, Value>,
    /// What people were given by name, by user id.
    pub collaborators: BTreeMap<u64, Access>,
    /// What teams were given, by team id.
    pub teams: BTreeMap<u64, Access>,
    /// How many approvals a ruleset of the repository asks for before its default branch is changed.
    pub approvals: Option<u32>,
    pub(crate) git: Git,
    pub(crate) pulls: BTreeMap<u64, PullRequest>,
    pub(crate) issues: Issues,
    pub(crate) checks: BTreeMap<u64, CheckRun>,
    /// The App's check suite of a commit.
    pub(crate) suites: BTreeMap<String, u64>,
}

impl Repository {
    /// The branch that counts.
    #[must_use]
    pub fn default_branch(&self) -> &str {
        &self.git.default_branch
    }

    /// The newest commit of a branch.
    #[must_use]
    pub fn tip(&self, branch: &str) -> Option<&str> {
        self.git.branches.get(branch).map(String::as_str)
    }

    /// A file of the default branch.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<String> {
        let blob = self.git.head()?.files.get(path)?;
        Some(String::from_utf8_lossy(&blob.bytes).into_owned())
    }

    /// Somebody's fork, as far as it is ever shown.
    pub(crate) fn forked(&self, id: u64) -> Self {
        let Repo(fork, _) = Repo::new(&self.name, self.visibility);
        Self { id, fork: true, ..fork }
    }

    /// What a pull request does to files, since its history parted from its base.
    pub(crate) fn changed_by(&self, pull: &PullRequest) -> Vec<FileChange> {
        let base = self.git.tip(&pull.base).map_or(pull.base_sha.as_str(), |tip| tip.sha.as_str());
        // Merged, it is in its base already: what counts is the base before.
        let base = if pull.open { base } else { pull.base_sha.as_str() };
        let nothing = Files::new();
        let old = self.git.merge_base(base, &pull.head_sha).map_or(&nothing, |base| &base.files);
        self.git.get(&pull.head_sha).map(|head| difference(old, &head.files)).unwrap_or_default()
    }

    /// The next number: issues and pull requests share them.
    pub(crate) fn next_number(&self) -> u64 {
        let pull = self.pulls.keys().next_back().copied().unwrap_or_default();
        pull.max(self.issues.last()).saturating_add(1)
    }

    /// A pull request as the list of issues shows it.
    pub(crate) fn as_issue(pull: &PullRequest, author: Author) -> Issue {
        Issue {
            id: pull.id,
            number: pull.number,
            title: pull.title.clone(),
            body: None,
            author,
            open: pull.open,
            state_reason: None,
            locked: false,
            labels: Vec::new(),
            assignees: Vec::new(),
            comments: Vec::new(),
            created_at: pull.created_at,
            updated_at: pull.updated_at,
            closed_at: pull.closed_at,
            closed_by: None,
            pull: true,
        }
    }

    /// A commit by any name git has for it; pull requests have names as well.
    pub(crate) fn commit(&self, name: &str) -> Option<&Commit> {
        let bare = name.strip_prefix("refs/").unwrap_or(name);
        let pull = bare.strip_prefix("pull/").and_then(|rest| rest.strip_suffix("/head"));
        let known = match pull.and_then(|number| self.pulls.get(&number.parse().ok()?)) {
            Some(pull) => self.git.get(&pull.head_sha),
            None => self.git.resolve(name),
        };
        known.map(AsRef::as_ref)
    }
}

/// What somebody may do with a repository, in GitHub's five roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// See it.
    Read,
    /// See it and sort its issues.
    Triage,
    /// Push to it.
    Write,
    /// Push to it and manage it without what is dangerous.
    Maintain,
    /// Everything.
    Admin,
}

impl Access {
    /// GitHub's `role_name`.
    #[must_use]
    pub fn role_name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// GitHub's `permission`, which knows three roles only.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Self::Read | Self::Triage => "read",
            Self::Write | Self::Maintain => "write",
            Self::Admin => "admin",
        }
    }
}

/// How to make a [`Repository`]; the id is given when it is added.
#[derive(Debug, Clone)]
pub struct Repo(pub(super) Repository, pub(super) Changes);

impl Repo {
    /// A repository everybody can see.
    #[must_use]
    pub fn public(name: &str) -> Self {
        Self::new(name, Visibility::Public)
    }

    /// A repository only those with access can see.
    #[must_use]
    pub fn private(name: &str) -> Self {
        Self::new(name, Visibility::Private)
    }

    /// A repository the enterprise can see.
    #[must_use]
    pub fn internal(name: &str) -> Self {
        Self::new(name, Visibility::Internal)
    }

    pub(crate) fn new(name: &str, visibility: Visibility) -> Self {
        let repository = Repository {
            id: 0,
            name: name.to_owned(),
            description: None,
            visibility,
            archived: false,
            fork: false,
            topics: Vec::new(),
            properties: BTreeMap::new(),
            collaborators: BTreeMap::new(),
            teams: BTreeMap::new(),
            approvals: None,
            git: Git::default(),
            pulls: BTreeMap::new(),
            issues: Issues::default(),
            checks: BTreeMap::new(),
            suites: BTreeMap::new(),
        };
        Self(repository, Changes::new())
    }

    /// With these topics.
    #[must_use]
    pub fn topics<S: Into<String>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.0.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// With a ruleset by which the default branch takes pull requests only, with so many approvals.
    #[must_use]
    pub fn approvals(mut self, needed: u32) -> Self {
        self.0.approvals = Some(needed);
        self
    }

    /// With this value of a custom property: a string, or an array of strings.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.properties.insert(name.to_owned(), value.into());
        self
    }

    /// With this description.
    #[must_use]
    pub fn described(mut self, text: &str) -> Self {
        self.0.description = Some(text.to_owned());
        self
    }

    /// With this file in its first commit. A repository without files has no commit: it is empty.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.1 = self.1.write(path, text);
        self
    }

    /// With a default branch of another name than `main`.
    #[must_use]
    pub fn default_branch(mut self, name: &str) -> Self {
        self.0.git.default_branch = name.to_owned();
        self
    }

    /// Archived.
    #[must_use]
    pub fn archived(mut self) -> Self {
        self.0.archived = true;
        self
    }
}

/// One custom property an organization defines (<https://docs.github.com/rest/orgs/custom-properties>).
#[derive(Debug, Clone)]
pub struct PropertyDefinition {
    /// The property's name.
    pub name: String,
    /// `string`, `single_select`, `multi_select`, `true_false` or `url`.
    pub value_type: String,
    /// Whether every repository must have a value.
    pub required: bool,
    /// The value of a repository that says nothing.
    pub default_value: Option<String>,
    /// The values of the two kinds of select.
    pub allowed_values: Vec<String>,
}
