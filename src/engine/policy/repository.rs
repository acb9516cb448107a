//! One repository with rules: is it still the one that is followed, where does its default branch stand, and what are the
//! files of that commit? Asks GitHub; decides nothing about when, and stores nothing.

use jiff::Timestamp;

use crate::{
    domain::{Installation, RepositoryId},
    github::{CallError, EntryKind, Fresh, Read, RemoteRepository},
    rules::{SourceFile, load::MAX_FILE},
    settings::RepositoryPlace,
    store::{Found, Pin, PinnedBy, PolicyFiles},
};

/// The most files of one place.
const MOST_FILES: usize = 100;

/// What is remembered of a repository between two looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The repository as it was seen last, and how to ask whether it changed.
    repository: Option<(RemoteRepository, Option<String>)>,
    /// The branch, the commit at which it stood when its files were read, and how to ask whether that changed.
    head: Option<(String, String, Option<String>)>,
    /// When GitHub last said that what is in force is what is there.
    pub(super) confirmed_at: Option<Timestamp>,
}

impl Memory {
    /// Whatever comes next is asked for and read anew.
    pub(super) fn forget(&mut self) {
        *self = Self { confirmed_at: self.confirmed_at, ..Self::default() };
    }

    /// The repository as it was seen last.
    pub(super) fn repository(&self) -> Option<&RemoteRepository> {
        self.repository.as_ref().map(|(repository, _)| repository)
    }
}

/// What a look came to.
pub(super) enum Look {
    /// What is there.
    There(Box<There>),
    /// There is something else than what is followed.
    Refused { why: String, found: Found },
    /// GitHub said so, and it is no policy.
    Unusable(String),
    /// It changed, and what it is now could not be read.
    Behind(CallError),
    /// Nobody was asked: where the App is installed is not known yet.
    NotYet,
    /// Nobody knows.
    NoAnswer(CallError),
}

/// The repository that is followed.
pub(super) struct There {
    pub(super) repository: RemoteRepository,
    /// The files; `None`: they are those of the last look.
    pub(super) files: Option<PolicyFiles>,
    pub(super) memory: Memory,
}

/// Who asks, where, and what for.
pub(super) struct Looker<'a> {
    pub(super) place: &'a RepositoryPlace,
    /// Under whose name somebody can accept another repository.
    pub(super) trust: &'a str,
    /// The installation on the organization that has the repository.
    pub(super) installation: &'a Installation,
    pub(super) read: &'a Read,
    /// The repository that is followed.
    pub(super) pin: Option<Pin>,
    /// The last good files.
    pub(super) good: Option<&'a PolicyFiles>,
    /// Whether the files of the last look are still known.
    pub(super) has_files: bool,
}

/// A look that came to its end early.
enum Ended {
    As(Look),
    By(CallError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::By(error)
    }
}

impl Looker<'_> {
    /// Looks. `elsewhere` gives the repository of a number as the App's other installations see it.
    pub(super) async fn look<F: Future<Output = Option<RemoteRepository>>>(
        &self,
        memory: &Memory,
        elsewhere: impl Fn(RepositoryId) -> F,
    ) -> Look {
        match self.identify(memory).await {
            Ok(repository) => self.read_from(memory, repository).await,
            Err(Ended::As(look)) => look,
            Err(Ended::By(CallError::NotFound)) => {
                let moved = match self.pin {
                    Some(pin) => elsewhere(pin.id).await,
                    None => None,
                };
                match moved {
                    Some(repository) => self.handed_over(&repository),
                    None => Look::Unusable(format!(
                        "the rules at {}: GitHub shows the App no such repository; it was deleted, or the App may not see it",
                        self.shown()
                    )),
                }
            }
            Err(Ended::By(error)) => self.failed(error),
        }
    }

    fn shown(&self) -> String {
        crate::settings::Place::Repository(self.place.clone()).to_string()
    }

    fn failed(&self, error: CallError) -> Look {
        if is_an_answer(&error) {
            Look::Unusable(format!("the rules at {}: {error}", self.shown()))
        } else {
            Look::NoAnswer(error)
        }
    }

    /// The repository that is followed, under whatever name. First by the name that the settings say: another
    /// repository there is told, not passed over.
    async fn identify(&self, memory: &Memory) -> Result<(RemoteRepository, Option<String>), Ended> {
        let owner = &self.installation.organization.login;
        let known = memory.repository.as_ref();
        let etag = known.and_then(|(_, etag)| etag.as_deref());
        let named = match self.read.repository(owner, &self.place.name, etag).await {
            Ok(Fresh::Now(repository, etag)) => (repository, etag),
            Ok(Fresh::Unchanged) => known.cloned().ok_or(CallError::NotFound)?,
            Err(CallError::NotFound) => {
                let pin = self.pin.ok_or(CallError::NotFound)?;
                (self.read.repository_by_id(pin.id).await?, None)
            }
            Err(error) => return Err(error.into()),
        };
        let (repository, _) = &named;
        if let Some(pin) = self.pin.filter(|pin| pin.id != repository.id) {
            return Err(Ended::As(self.another(repository, pin)));
        }
        let owner = self.pin.and_then(|pin| pin.owner).unwrap_or(self.installation.organization.id);
        if repository.owner.id != owner {
            return Err(Ended::As(self.handed_over(repository)));
        }
        Ok(named)
    }

    fn another(&self, repository: &RemoteRepository, pin: Pin) -> Look {
        let (name, trust) = (repository.full_name(), self.trust);
        let remedy = match pin.by {
            PinnedBy::Settings => {
                "`repository_id` in the settings says which one is meant".to_owned()
            }
            PinnedBy::FirstUse | PinnedBy::Trust => {
                format!("`patwarden policy trust {trust}` accepts it")
            }
        };
        let why = format!(
            "{name} is another repository (number {}) than the one with the rules (number {}); {remedy}",
            repository.id, pin.id
        );
        Look::Refused { why, found: found(repository) }
    }

    fn handed_over(&self, repository: &RemoteRepository) -> Look {
        let why = format!(
            "the repository with the rules at {} belongs to {} now; `patwarden policy trust {}` accepts that",
            self.shown(),
            repository.owner.login,
            self.trust
        );
        Look::Refused { why, found: found(repository) }
    }

    async fn read_from(
        &self,
        memory: &Memory,
        (repository, etag): (RemoteRepository, Option<String>),
    ) -> Look {
        let branch = &repository.default_branch;
        let head = memory.head.as_ref().filter(|(known, ..)| known == branch && self.has_files);
        let tag = head.and_then(|(_, _, tag)| tag.as_deref());
        let (commit, tag) = match self.read.branch_head(repository.id, branch, tag).await {
            Ok(Fresh::Now(commit, tag)) => (commit, tag),
            Ok(Fresh::Unchanged) => match head {
                Some((_, commit, tag)) => (commit.clone(), tag.clone()),
                None => return Look::NoAnswer(CallError::NotFound),
            },
            Err(CallError::NotFound) => {
                return Look::Unusable(format!(
                    "{} has no branch {branch}",
                    repository.full_name()
                ));
            }
            Err(error) => return self.failed(error),
        };
        let files = if head.is_some_and(|(_, known, _)| *known == commit) {
            None
        } else if let Some(good) = self.good.filter(|good| good.commit.as_ref() == Some(&commit)) {
            Some(good.clone())
        } else {
            match rules_at(self.read, repository.id, &self.place.path, &commit).await {
                Ok(files) => {
                    let url = self.url(&repository, &commit);
                    Some(PolicyFiles { files, commit: Some(commit.clone()), url: Some(url) })
                }
                Err(NoRules::Call(error)) if !is_an_answer(&error) => return Look::Behind(error),
                Err(trouble) => {
                    let name = repository.full_name();
                    return Look::Unusable(format!("{name}@{commit}: {trouble}"));
                }
            }
        };
        let memory = Memory {
            repository: Some((repository.clone(), etag)),
            head: Some((branch.clone(), commit, tag)),
            confirmed_at: memory.confirmed_at,
        };
        Look::There(Box::new(There { repository, files, memory }))
    }

    fn url(&self, repository: &RemoteRepository, commit: &str) -> String {
        let view = if is_file(&self.place.path) { "blob" } else { "tree" };
        format!("{}/{view}/{commit}/{}", repository.url, self.place.path)
    }
}

/// The rule files of a place in a repository at a commit: the file and the cases beside it, or every `.toml` of the
/// directory and of none below it.
///
/// # Errors
/// Why there are none, or why nobody knows.
pub async fn rules_at(
    read: &Read,
    id: RepositoryId,
    path: &str,
    commit: &str,
) -> Result<Vec<SourceFile>, NoRules> {
    let (folder, file) = match path.rsplit_once('/') {
        _ if !is_file(path) => (path, None),
        Some((folder, file)) => (folder, Some(file)),
        None => ("", Some(path)),
    };
    // Always by the directory: asked for a file, GitHub follows a symbolic link and does not say so.
    let entries = read.directory(id, folder, commit).await.map_err(|error| match error {
        CallError::NotFound => NoRules::Missing(path.to_owned()),
        error => NoRules::Call(error),
    })?;
    let tests = file.map(|file| file.trim_end_matches(".toml").to_owned() + ".tests.toml");
    let is_meant = |name: &str| match file {
        Some(file) => name == file || tests.as_deref() == Some(name),
        None => name.ends_with(".toml") && !name.starts_with('.'),
    };
    let mut meant: Vec<_> = entries.into_iter().filter(|it| is_meant(&it.name)).collect();
    meant.sort_by(|a, b| a.name.cmp(&b.name));
    if meant.is_empty() || file.is_some_and(|file| meant.iter().all(|it| it.name != file)) {
        return Err(NoRules::Missing(path.to_owned()));
    }
    if meant.len() > MOST_FILES {
        return Err(NoRules::TooMany(meant.len()));
    }
    let mut files = Vec::new();
    for entry in meant {
        let name = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
        if entry.kind != EntryKind::File {
            return Err(NoRules::NoFile(name));
        }
        if entry.size > MAX_FILE as u64 {
            return Err(NoRules::TooLarge(name));
        }
        let bytes = read.file(id, &name, commit).await?;
        if bytes.len() as u64 != entry.size {
            let why = format!("{name} came with {} of {} bytes", bytes.len(), entry.size);
            return Err(CallError::Unreadable { why }.into());
        }
        let text = String::from_utf8(bytes).map_err(|_| NoRules::NoText(name.clone()))?;
        files.push(SourceFile { name, text });
    }
    Ok(files)
}

/// Whether a place in a repository is one file.
fn is_file(path: &str) -> bool {
    path.ends_with(".toml")
}

/// Why the files of a commit are no rules.
#[derive(Debug, thiserror::Error)]
pub enum NoRules {
    /// Nothing is there.
    #[error("there is no {0}, or no .toml file in it")]
    Missing(String),
    /// More files than anybody reads.
    #[error("there are {0} files; the limit is {MOST_FILES}")]
    TooMany(usize),
    /// Something that has the name of a file.
    #[error("{0} is no file, but a link, a submodule or a directory: it is not read")]
    NoFile(String),
    /// More than a rule file may have.
    #[error("{0} is larger than {MAX_FILE} bytes")]
    TooLarge(String),
    /// Bytes that are no text.
    #[error("{0} is not text in UTF-8: save it as such")]
    NoText(String),
    /// GitHub did not give them.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Whether GitHub answered, and the answer will be the same until somebody changes something.
pub(in crate::engine) fn is_an_answer(error: &CallError) -> bool {
    match error {
        CallError::Forbidden { .. }
        | CallError::Unauthorized { .. }
        | CallError::NotFound
        | CallError::Unprocessable { .. } => true,
        CallError::RateLimited { .. }
        | CallError::NoAnswer { .. }
        | CallError::Unreadable { .. } => false,
    }
}

fn found(repository: &RemoteRepository) -> Found {
    Found { id: repository.id, owner: repository.owner.id, full_name: repository.full_name() }
}
