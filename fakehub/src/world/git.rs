//! A repository's history: commits, branches, the files of each, and what differs. Shas are git's own. No webhooks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// One file's content.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) sha: String,
    pub(crate) bytes: Arc<[u8]>,
}

impl Blob {
    fn new(bytes: &[u8]) -> Self {
        Self { sha: object("blob", bytes), bytes: Arc::from(bytes) }
    }
}

/// Path to content: a whole tree.
pub(crate) type Files = BTreeMap<String, Blob>;

/// One commit, with everything it holds.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) parents: Vec<String>,
    /// A login.
    pub(crate) author: String,
    pub(crate) message: String,
    /// Unix seconds.
    pub(crate) at: i64,
    pub(crate) files: Files,
    /// Folder to the sha of its tree; the root is the empty path.
    pub(crate) trees: BTreeMap<String, String>,
}

impl Commit {
    pub(crate) fn tree(&self) -> &str {
        self.trees.get("").map_or("", String::as_str)
    }
}

/// What a commit does to files: written, deleted, moved. A list of `(path, Some(text) or None)` is one, too.
#[derive(Debug, Clone, Default)]
pub struct Changes(Vec<Change>);

#[derive(Debug, Clone)]
enum Change {
    Write(String, Vec<u8>),
    Delete(String),
    Rename(String, String),
}

impl Changes {
    /// Changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a file, which need not be text.
    #[must_use]
    pub fn write(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.push(Change::Write(path.to_owned(), content.into()));
        self
    }

    /// Deletes a file, if it is there.
    #[must_use]
    pub fn delete(mut self, path: &str) -> Self {
        self.0.push(Change::Delete(path.to_owned()));
        self
    }

    /// Moves a file, if it is there.
    #[must_use]
    pub fn rename(mut self, from: &str, to: &str) -> Self {
        self.0.push(Change::Rename(from.to_owned(), to.to_owned()));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn apply(&self, files: &mut Files) {
        for change in &self.0 {
            match change {
                Change::Write(path, bytes) => {
                    files.insert(path.clone(), Blob::new(bytes));
                }
                Change::Delete(path) => {
                    files.remove(path);
                }
                Change::Rename(from, to) => {
                    if let Some(blob) = files.remove(from) {
                        files.insert(to.clone(), blob);
                    }
                }
            }
        }
    }
}

impl<const N: usize> From<[(&str, Option<&str>); N]> for Changes {
    fn from(list: [(&str, Option<&str>); N]) -> Self {
        list.into_iter().fold(Self::new(), |changes, (path, text)| match text {
            Some(text) => changes.write(path, text),
            None => changes.delete(path),
        })
    }
}

impl From<Vec<(String, Option<String>)>> for Changes {
    fn from(list: Vec<(String, Option<String>)>) -> Self {
        list.into_iter().fold(Self::new(), |changes, (path, text)| match text {
            Some(text) => changes.write(&path, text),
            None => changes.delete(&path),
        })
    }
}

/// A repository's commits and branches. Without a commit it is empty, as one just made is.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    pub(crate) default_branch: String,
    pub(crate) branches: BTreeMap<String, String>,
    commits: BTreeMap<String, Arc<Commit>>,
}

impl Default for Git {
    fn default() -> Self {
        Self {
            default_branch: "main".to_owned(),
            branches: BTreeMap::new(),
            commits: BTreeMap::new(),
        }
    }
}

impl Git {
    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// Stores a commit; no branch moves.
    pub(crate) fn commit(
        &mut self,
        parents: Vec<String>,
        files: Files,
        author: &str,
        message: &str,
        at: i64,
    ) -> Arc<Commit> {
        let mut trees = BTreeMap::new();
        let all: BTreeMap<&str, &Blob> =
            files.iter().map(|(path, blob)| (path.as_str(), blob)).collect();
        let tree = write_tree("", &all, &mut trees);
        let parent_lines: String =
            parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let who = format!("{author} <{}> {at} +0000", mail(author));
        let text =
            format!("tree {tree}\n{parent_lines}author {who}\ncommitter {who}\n\n{message}\n");
        let commit = Arc::new(Commit {
            sha: object("commit", text.as_bytes()),
            parents,
            author: author.to_owned(),
            message: message.to_owned(),
            at,
            files,
            trees,
        });
        self.commits.insert(commit.sha.clone(), Arc::clone(&commit));
        commit
    }

    pub(crate) fn get(&self, sha: &str) -> Option<&Arc<Commit>> {
        self.commits.get(sha)
    }

    /// The tip of a branch.
    pub(crate) fn tip(&self, branch: &str) -> Option<&Arc<Commit>> {
        self.commits.get(self.branches.get(branch)?)
    }

    /// The tip of the default branch.
    pub(crate) fn head(&self) -> Option<&Arc<Commit>> {
        self.tip(&self.default_branch)
    }

    /// What a name of git means: a branch, with or without `refs/heads/`, or a sha, which may be cut to seven digits.
    pub(crate) fn resolve(&self, name: &str) -> Option<&Arc<Commit>> {
        let branch = name.strip_prefix("refs/").unwrap_or(name);
        let branch = branch.strip_prefix("heads/").unwrap_or(branch);
        if let Some(tip) = self.tip(branch) {
            return Some(tip);
        }
        if name.len() < 7 || !name.chars().all(|letter| letter.is_ascii_hexdigit()) {
            return None;
        }
        let name = name.to_lowercase();
        let mut found = self.commits.range(name.clone()..);
        let (_, commit) = found.next().filter(|(sha, _)| sha.starts_with(&name))?;
        let unique = found.next().is_none_or(|(sha, _)| !sha.starts_with(&name));
        unique.then_some(commit)
    }

    pub(crate) fn blob(&self, sha: &str) -> Option<&Blob> {
        self.commits.values().find_map(|commit| commit.files.values().find(|blob| blob.sha == sha))
    }

    /// A commit that has this tree, and the folder it is of.
    pub(crate) fn tree(&self, sha: &str) -> Option<(&Arc<Commit>, &str)> {
        self.commits.values().find_map(|commit| {
            let (folder, _) = commit.trees.iter().find(|(_, tree)| *tree == sha)?;
            Some((commit, folder.as_str()))
        })
    }

    /// A commit and all before it, the nearest first.
    pub(crate) fn ancestry(&self, sha: &str) -> Vec<&Arc<Commit>> {
        let mut seen = BTreeSet::new();
        let mut waiting = VecDeque::from([sha.to_owned()]);
        let mut out = Vec::new();
        while let Some(sha) = waiting.pop_front() {
            if let Some(commit) = self.commits.get(&sha)
                && seen.insert(sha)
            {
                waiting.extend(commit.parents.iter().cloned());
                out.push(commit);
            }
        }
        out
    }

    /// What `to` has that `from` has not, oldest first.
    pub(crate) fn between(&self, from: &str, to: &str) -> Vec<&Arc<Commit>> {
        let known: BTreeSet<&str> =
            self.ancestry(from).iter().map(|commit| commit.sha.as_str()).collect();
        let mut new: Vec<_> = self
            .ancestry(to)
            .into_iter()
            .filter(|commit| !known.contains(commit.sha.as_str()))
            .collect();
        new.reverse();
        new
    }

    /// Where two histories part.
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> Option<&Arc<Commit>> {
        let known: BTreeSet<&str> =
            self.ancestry(one).iter().map(|commit| commit.sha.as_str()).collect();
        self.ancestry(other).into_iter().find(|commit| known.contains(commit.sha.as_str()))
    }

    /// What a commit did to its first parent.
    pub(crate) fn done_by(&self, commit: &Commit) -> Vec<FileChange> {
        let parent = commit.parents.first().and_then(|parent| self.get(parent));
        difference(parent.map_or(&Files::new(), |parent| &parent.files), &commit.files)
    }
}

/// The address GitHub gives people who show none.
pub(crate) fn mail(login: &str) -> String {
    format!("{login}@users.noreply.github.com")
}

/// Git's name of an object: SHA-1 over its kind, its length and itself.
fn object(kind: &str, bytes: &[u8]) -> String {
    let mut all = format!("{kind} {}\0", bytes.len()).into_bytes();
    all.extend_from_slice(bytes);
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &all))
}

/// Names a folder's tree, and those below it. Git sorts folders as if their names ended in a slash.
fn write_tree(
    folder: &str,
    files: &BTreeMap<&str, &Blob>,
    out: &mut BTreeMap<String, String>,
) -> String {
    let mut entries: BTreeMap<String, (&str, &str, String)> = BTreeMap::new();
    let mut folders: BTreeMap<&str, BTreeMap<&str, &Blob>> = BTreeMap::new();
    for (path, blob) in files {
        match path.split_once('/') {
            None => {
                entries.insert((*path).to_owned(), ("100644", path, blob.sha.clone()));
            }
            Some((first, rest)) => {
                folders.entry(first).or_default().insert(rest, blob);
            }
        }
    }
    for (name, inside) in &folders {
        let below = if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") };
        let sha = write_tree(&below, inside, out);
        entries.insert(format!("{name}/"), ("40000", name, sha));
    }
    let mut text = Vec::new();
    for (mode, name, sha) in entries.values() {
        text.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        text.extend(hex::decode(sha).unwrap_or_default());
    }
    let sha = object("tree", &text);
    out.insert(folder.to_owned(), sha.clone());
    sha
}

/// One file that differs between two trees.
#[derive(Debug, Clone)]
pub(crate) struct FileChange {
    pub(crate) path: String,
    pub(crate) previous: Option<String>,
    /// `added`, `modified`, `removed` or `renamed`.
    pub(crate) status: &'static str,
    pub(crate) sha: String,
    pub(crate) additions: usize,
    pub(crate) deletions: usize,
}

/// What lies between two trees, by path. A file that is half the same under a new name counts as renamed.
pub(crate) fn difference(old: &Files, new: &Files) -> Vec<FileChange> {
    let mut out = Vec::new();
    let mut gone: BTreeMap<&String, &Blob> =
        old.iter().filter(|(path, _)| !new.contains_key(*path)).collect();
    for (path, blob) in new {
        let change = match old.get(path) {
            Some(before) if before.sha == blob.sha => continue,
            Some(before) => between(path, None, "modified", Some(before), Some(blob)),
            None => {
                let twin = gone.iter().find(|(_, before)| are_alike(before, blob));
                match twin.map(|(from, before)| ((*from).clone(), *before)) {
                    Some((from, before)) => {
                        gone.remove(&from);
                        between(path, Some(from), "renamed", Some(before), Some(blob))
                    }
                    None => between(path, None, "added", None, Some(blob)),
                }
            }
        };
        out.push(change);
    }
    out.extend(
        gone.into_iter().map(|(path, blob)| between(path, None, "removed", Some(blob), None)),
    );
    out.sort_by(|one, other| one.path.cmp(&other.path));
    out
}

fn between(
    path: &str,
    previous: Option<String>,
    status: &'static str,
    old: Option<&Blob>,
    new: Option<&Blob>,
) -> FileChange {
    let (before, after) = (lines(old), lines(new));
    let total = |lines: &BTreeMap<&[u8], usize>| lines.values().sum::<usize>();
    let common = common(&before, &after);
    FileChange {
        path: path.to_owned(),
        previous,
        status,
        sha: new.or(old).map(|blob| blob.sha.clone()).unwrap_or_default(),
        additions: total(&after).saturating_sub(common),
        deletions: total(&before).saturating_sub(common),
    }
}

/// Lines and how often each is there; their order is not looked at.
fn lines(blob: Option<&Blob>) -> BTreeMap<&[u8], usize> {
    let mut out = BTreeMap::new();
    for line in blob.map_or(&[][..], |blob| &blob.bytes).split_inclusive(|byte| *byte == b'\n') {
        *out.entry(line).or_insert(0) += 1;
    }
    out
}

fn common(one: &BTreeMap<&[u8], usize>, other: &BTreeMap<&[u8], usize>) -> usize {
    one.iter().map(|(line, times)| other.get(line).map_or(0, |more| *times.min(more))).sum()
}

fn are_alike(one: &Blob, other: &Blob) -> bool {
    if one.sha == other.sha {
        return true;
    }
    let (before, after) = (lines(Some(one)), lines(Some(other)));
    let most = before.values().sum::<usize>().max(after.values().sum());
    common(&before, &after).saturating_mul(2) > most
}
