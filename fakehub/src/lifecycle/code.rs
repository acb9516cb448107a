//! What happens to code: commits, branches, pull requests, check runs; and the webhooks each step sends.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::repositories::Told;
use crate::error::Error;
use crate::ids::next;
use crate::render::{self, MADE_AT, Writer};
use crate::state::State;
use crate::world::git::{Commit, Files};
use crate::world::{Changes, Head, PullRequest, Repository};

/// What stands for "no commit" in the webhook of a branch that comes or goes.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// A branch that moved.
struct Push<'a> {
    branch: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    forced: bool,
}

impl State {
    /// Commits to a branch, which is made off the default branch if there is none. Gives the sha.
    pub(crate) fn commit_to(
        &mut self,
        repository: u64,
        branch: &str,
        author: &str,
        message: &str,
        changes: &Changes,
    ) -> Result<String, Error> {
        self.world.add_user(author);
        let now = self.now();
        let known = self.writable(repository)?;
        let before = known.git.branches.get(branch).cloned();
        let parent = known.git.tip(branch).or_else(|| known.git.head()).cloned();
        let mut files = parent.as_ref().map(|tip| tip.files.clone()).unwrap_or_default();
        changes.apply(&mut files);
        let parents = parent.map(|tip| tip.sha.clone()).into_iter().collect();
        let sha = known.git.commit(parents, files, author, message, now).sha.clone();
        known.git.branches.insert(branch.to_owned(), sha.clone());
        let (before, after) = (before.as_deref(), Some(sha.as_str()));
        self.pushed(repository, author, &Push { branch, before, after, forced: false });
        Ok(sha)
    }

    /// Moves a branch to a commit, backwards if need be, or makes it there.
    pub(crate) fn set_branch(
        &mut self,
        repository: u64,
        branch: &str,
        by: &str,
        to: &str,
    ) -> Result<String, Error> {
        self.world.add_user(by);
        let known = self.writable(repository)?;
        let sha = known.commit(to).map(|commit| commit.sha.clone());
        let sha = sha.ok_or_else(|| Error::UnknownRef(to.to_owned()))?;
        let before = known.git.branches.insert(branch.to_owned(), sha.clone());
        let forced = before.as_ref().is_some_and(|before| {
            !known.git.ancestry(&sha).iter().any(|commit| commit.sha == *before)
        });
        let (before, after) = (before.as_deref(), Some(sha.as_str()));
        self.pushed(repository, by, &Push { branch, before, after, forced });
        Ok(sha)
    }

    /// Deletes a branch; its open pull requests are closed.
    pub(crate) fn delete_branch(
        &mut self,
        repository: u64,
        branch: &str,
        by: &str,
    ) -> Result<(), Error> {
        self.world.add_user(by);
        let known = self.writable(repository)?;
        if known.git.default_branch == branch {
            return Err(Error::NotAllowed("the default branch cannot be deleted".to_owned()));
        }
        let before = known.git.branches.remove(branch);
        let before = before.ok_or_else(|| Error::UnknownRef(branch.to_owned()))?;
        let push = Push { branch, before: Some(&before), after: None, forced: false };
        self.pushed(repository, by, &push);
        for number in self.pulls_from(repository, branch) {
            self.close_pull(repository, number, by)?;
        }
        Ok(())
    }

    /// Opens a pull request. A branch of the repository is pushed first, if there is something to push.
    pub(crate) fn open_pull(
        &mut self,
        repository: u64,
        author: &str,
        head: Head,
        title: &str,
        changes: &Changes,
    ) -> Result<PullRequest, Error> {
        self.world.add_user(author);
        let now = self.now();
        let known = self.writable(repository)?;
        let base = known.git.default_branch.clone();
        let base_sha = known.tip(&base).map(str::to_owned);
        let base_sha =
            base_sha.ok_or_else(|| Error::NotAllowed("the repository is empty".to_owned()))?;
        let there = known.tip(head.branch()).map(str::to_owned);
        let head_sha = match (&head, there) {
            (Head::Branch(_), Some(tip)) if changes.is_empty() => tip,
            (Head::Branch(branch), _) => {
                self.commit_to(repository, branch, author, title, changes)?
            }
            (Head::Fork(_), _) => known.commit_apart(&base_sha, author, title, changes, now),
        };
        if head_sha == base_sha {
            return Err(Error::NotAllowed("there is nothing to merge".to_owned()));
        }
        let counters = &mut self.world.counters;
        let (id, fork) = (
            next(&mut counters.pull),
            match head {
                Head::Branch(_) => 0,
                Head::Fork(_) => next(&mut counters.repository),
            },
        );
        let known = self.writable(repository)?;
        let number = known.next_number();
        let pull = PullRequest {
            id,
            number,
            title: title.to_owned(),
            author: author.to_owned(),
            head,
            head_sha,
            base,
            base_sha,
            open: true,
            merge_sha: None,
            merged_by: None,
            created_at: now,
            updated_at: now,
            closed_at: None,
            fork,
        };
        known.pulls.insert(number, pull.clone());
        self.tell_of_pull(repository, number, "opened", author, json!({}));
        Ok(pull)
    }

    /// Pushes to a pull request's branch, wherever that is. Gives the sha.
    pub(crate) fn push_to_pull(
        &mut self,
        repository: u64,
        number: u64,
        message: &str,
        changes: &Changes,
    ) -> Result<String, Error> {
        let now = self.now();
        let pull = self.pull(repository, number)?.clone();
        let branch = match &pull.head {
            Head::Branch(branch) => branch.clone(),
            Head::Fork(_) => {
                let known = self.writable(repository)?;
                let sha = known.commit_apart(&pull.head_sha, &pull.author, message, changes, now);
                // The push itself happens in the fork, where the App is not.
                self.synchronize(repository, number, &pull.author, &sha);
                return Ok(sha);
            }
        };
        self.commit_to(repository, &branch, &pull.author, message, changes)
    }

    /// Closes a pull request without merging it.
    pub(crate) fn close_pull(
        &mut self,
        repository: u64,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        let now = self.now();
        self.change_pull(repository, number, true, |pull| {
            pull.open = false;
            pull.closed_at = Some(now);
            pull.updated_at = now;
        })?;
        self.tell_of_pull(repository, number, "closed", by, json!({}));
        Ok(())
    }

    /// Opens a closed pull request again.
    pub(crate) fn reopen_pull(
        &mut self,
        repository: u64,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        let now = self.now();
        if self.pull(repository, number)?.merge_sha.is_some() {
            return Err(Error::NotAllowed("it is merged".to_owned()));
        }
        self.change_pull(repository, number, false, |pull| {
            pull.open = true;
            pull.closed_at = None;
            pull.updated_at = now;
        })?;
        self.tell_of_pull(repository, number, "reopened", by, json!({}));
        Ok(())
    }

    /// Gives an open pull request another title or base.
    pub(crate) fn edit_pull(
        &mut self,
        repository: u64,
        number: u64,
        by: &str,
        title: Option<&str>,
        base: Option<&str>,
    ) -> Result<(), Error> {
        let now = self.now();
        let before = self.pull(repository, number)?.clone();
        let base_sha = match base {
            Some(base) => {
                let tip = self.writable(repository)?.tip(base).map(str::to_owned);
                Some(tip.ok_or_else(|| Error::UnknownRef(base.to_owned()))?)
            }
            None => None,
        };
        let mut changes = serde_json::Map::new();
        if title.is_some() {
            changes.insert("title".to_owned(), json!({ "from": before.title }));
        }
        if base.is_some() {
            let from =
                json!({ "ref": { "from": before.base }, "sha": { "from": before.base_sha } });
            changes.insert("base".to_owned(), from);
        }
        self.change_pull(repository, number, true, |pull| {
            if let Some(title) = title {
                pull.title = title.to_owned();
            }
            if let (Some(base), Some(sha)) = (base, base_sha) {
                pull.base = base.to_owned();
                pull.base_sha = sha;
            }
            pull.updated_at = now;
        })?;
        self.tell_of_pull(repository, number, "edited", by, json!({ "changes": changes }));
        Ok(())
    }

    /// Merges a pull request by a merge commit. Gives that commit's sha.
    pub(crate) fn merge_pull(
        &mut self,
        repository: u64,
        number: u64,
        by: &str,
    ) -> Result<String, Error> {
        self.world.add_user(by);
        let now = self.now();
        let pull = self.pull(repository, number)?.clone();
        if !pull.open {
            return Err(Error::NotAllowed("it is closed".to_owned()));
        }
        let known = self.writable(repository)?;
        let tip = known.git.tip(&pull.base).cloned();
        let tip = tip.ok_or_else(|| Error::UnknownRef(pull.base.clone()))?;
        let files = merged(known, &tip, &pull)?;
        let message = format!("Merge pull request #{number} from {}", pull.head.branch());
        let parents = vec![tip.sha.clone(), pull.head_sha.clone()];
        let sha = known.git.commit(parents, files, by, &message, now).sha.clone();
        known.git.branches.insert(pull.base.clone(), sha.clone());
        self.change_pull(repository, number, true, |pull| {
            pull.open = false;
            pull.base_sha.clone_from(&tip.sha);
            pull.merge_sha = Some(sha.clone());
            pull.merged_by = Some(by.to_owned());
            pull.closed_at = Some(now);
            pull.updated_at = now;
        })?;
        let (before, after) = (Some(tip.sha.as_str()), Some(sha.as_str()));
        self.pushed(repository, by, &Push { branch: &pull.base, before, after, forced: false });
        self.tell_of_pull(repository, number, "closed", by, json!({}));
        Ok(sha)
    }

    fn pull(&self, repository: u64, number: u64) -> Result<&PullRequest, Error> {
        let (_, known) = self.repository_by_id(repository)?;
        known.pulls.get(&number).ok_or(Error::UnknownId(number))
    }

    fn change_pull(
        &mut self,
        repository: u64,
        number: u64,
        open: bool,
        change: impl FnOnce(&mut PullRequest),
    ) -> Result<(), Error> {
        let known = self.writable(repository)?;
        let pull = known.pulls.get_mut(&number).ok_or(Error::UnknownId(number))?;
        if pull.open != open {
            let state = if open { "closed" } else { "open" };
            return Err(Error::NotAllowed(format!("it is {state}")));
        }
        change(pull);
        Ok(())
    }

    /// Open pull requests whose commits are on this branch of the repository.
    fn pulls_from(&self, repository: u64, branch: &str) -> Vec<u64> {
        let head = Head::from(branch);
        let pulls = self.repository_by_id(repository).map(|(_, known)| known.pulls.values());
        pulls
            .into_iter()
            .flatten()
            .filter(|pull| pull.open && pull.head == head)
            .map(|pull| pull.number)
            .collect()
    }

    /// Tells of a branch that moved, and of the pull requests that moved with it.
    fn pushed(&mut self, repository: u64, by: &str, push: &Push<'_>) {
        self.tell(repository, "push", None, by, |told| push_body(told, by, push));
        let Some(sha) = push.after else {
            return;
        };
        self.tell(repository, "check_suite", Some("requested"), by, |told| {
            told.suite(sha, push.branch)
        });
        for number in self.pulls_from(repository, push.branch) {
            self.synchronize(repository, number, by, sha);
        }
    }

    fn synchronize(&mut self, repository: u64, number: u64, by: &str, sha: &str) {
        let now = self.now();
        let mut before = String::new();
        let base = self.pull(repository, number).map(|pull| pull.base.clone()).unwrap_or_default();
        let tip = self
            .repository_by_id(repository)
            .ok()
            .and_then(|(_, known)| known.tip(&base).map(str::to_owned));
        let moved = self.change_pull(repository, number, true, |pull| {
            before = std::mem::replace(&mut pull.head_sha, sha.to_owned());
            if let Some(tip) = tip {
                pull.base_sha = tip;
            }
            pull.updated_at = now;
        });
        if moved.is_ok() && before != sha {
            let more = json!({ "before": before, "after": sha });
            self.tell_of_pull(repository, number, "synchronize", by, more);
        }
    }

    fn tell_of_pull(
        &mut self,
        repository: u64,
        number: u64,
        action: &str,
        by: &str,
        mut more: Value,
    ) {
        self.tell(repository, "pull_request", Some(action), by, |told| {
            let pull = told.place.repository.pulls.get(&number)?;
            let fields = more.as_object_mut()?;
            fields.insert("number".to_owned(), json!(number));
            let mut shown = render::pull_full(&told.place, told.world, pull);
            // Some of this event's actions have users without null.
            render::plain_gravatars(&mut shown);
            fields.insert("pull_request".to_owned(), shown);
            Some(more)
        });
    }

    /// Sends `check_run`. Nobody named means the App itself.
    pub(crate) fn announce_check_run(
        &mut self,
        action: &str,
        repository: u64,
        run: u64,
        by: Option<&str>,
    ) {
        let by = by.map_or_else(|| format!("{}[bot]", self.app.slug), str::to_owned);
        self.tell(repository, "check_run", Some(action), &by, |told| {
            let run = told.place.repository.checks.get(&run)?;
            let writer = Writer { app: told.app, wishes: told.wishes };
            let mut shown = render::check_run(&told.place, writer, run);
            let branch = branch_of(told.place.repository, &run.head_sha);
            let suite = render::check_suite_of_run(&told.place, writer, &run.head_sha, &branch)?;
            shown.as_object_mut()?.insert("check_suite".to_owned(), suite);
            Some(json!({ "check_run": shown }))
        });
    }

    /// Somebody asks for a check to be run once more.
    pub(crate) fn rerequest_run(
        &mut self,
        repository: u64,
        run: u64,
        by: &str,
    ) -> Result<(), Error> {
        self.world.add_user(by);
        let (_, known) = self.repository_by_id(repository)?;
        if !known.checks.contains_key(&run) {
            return Err(Error::UnknownId(run));
        }
        self.announce_check_run("rerequested", repository, run, Some(by));
        Ok(())
    }

    /// Somebody asks for all checks of a commit to be run once more.
    pub(crate) fn rerequest_suite(
        &mut self,
        repository: u64,
        commit: &str,
        by: &str,
    ) -> Result<(), Error> {
        self.world.add_user(by);
        let (_, known) = self.repository_by_id(repository)?;
        let sha = known.commit(commit).map(|commit| commit.sha.clone());
        let sha = sha.ok_or_else(|| Error::UnknownRef(commit.to_owned()))?;
        let branch = branch_of(known, &sha);
        self.tell(repository, "check_suite", Some("rerequested"), by, |told| {
            told.suite(&sha, &branch)
        });
        Ok(())
    }
}

impl Repository {
    /// A commit that no branch of this repository leads to: one of a fork.
    fn commit_apart(
        &mut self,
        parent: &str,
        author: &str,
        message: &str,
        changes: &Changes,
        at: i64,
    ) -> String {
        let mut files = self.git.get(parent).map(|tip| tip.files.clone()).unwrap_or_default();
        changes.apply(&mut files);
        self.git.commit(vec![parent.to_owned()], files, author, message, at).sha.clone()
    }
}

/// The branch a commit is the tip of, or nothing.
fn branch_of(repository: &Repository, sha: &str) -> String {
    let branches = &repository.git.branches;
    let found = branches.iter().find(|(_, tip)| *tip == sha);
    found.map(|(name, _)| name.clone()).unwrap_or_default()
}

/// The base's files with what the pull request does to them. What both changed in different ways is a conflict.
fn merged(known: &Repository, tip: &Commit, pull: &PullRequest) -> Result<Files, Error> {
    let unknown = || Error::UnknownRef(pull.head_sha.clone());
    let head = known.git.get(&pull.head_sha).ok_or_else(unknown)?;
    let nothing = BTreeMap::new();
    let origin =
        known.git.merge_base(&tip.sha, &pull.head_sha).map_or(&nothing, |base| &base.files);
    let mut files = tip.files.clone();
    let paths = origin.keys().chain(head.files.keys());
    for path in paths {
        let sha = |files: &Files| files.get(path).map(|blob| blob.sha.clone());
        let (was, theirs, ours) = (sha(origin), sha(&head.files), sha(&tip.files));
        if was == theirs || theirs == ours {
            continue;
        }
        if ours != was {
            return Err(Error::NotAllowed(format!("{path} has a conflict")));
        }
        match head.files.get(path) {
            Some(blob) => files.insert(path.clone(), blob.clone()),
            None => files.remove(path),
        };
    }
    Ok(files)
}

fn push_body(told: &Told<'_>, by: &str, push: &Push<'_>) -> Option<Value> {
    let git = &told.place.repository.git;
    let new = match push.after {
        Some(after) => git.between(push.before.unwrap_or_default(), after),
        None => Vec::new(),
    };
    // A new branch brings only what its origin has not.
    let known = match (push.before, push.after) {
        (None, Some(_)) if push.branch != git.default_branch => {
            git.head().map(|head| git.ancestry(&head.sha)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let shown = |commit: &Commit| commit_body(told, commit);
    let commits: Vec<Value> = new
        .into_iter()
        .filter(|commit| !known.iter().any(|known| known.sha == commit.sha))
        .map(|commit| shown(commit))
        .collect();
    let before = push.before.unwrap_or(NOTHING);
    let after = push.after.unwrap_or(NOTHING);
    let short = |sha: &str| sha.chars().take(12).collect::<String>();
    let mut repository = render::repository_webhook(&told.place);
    let fields = repository.as_object_mut()?;
    // In this event alone two times are numbers, and the organization is named once more.
    fields.insert("created_at".to_owned(), json!(MADE_AT));
    fields.insert("pushed_at".to_owned(), json!(told.now));
    fields.insert("master_branch".to_owned(), json!(git.default_branch));
    fields.insert("stargazers".to_owned(), json!(0));
    fields.insert("organization".to_owned(), json!(told.place.organization.login));
    Some(json!({
        "ref": format!("refs/heads/{}", push.branch),
        "before": before,
        "after": after,
        "base_ref": null,
        "created": push.before.is_none(),
        "deleted": push.after.is_none(),
        "forced": push.forced,
        "compare": format!("{}/compare/{}...{}", told.place.site(), short(before), short(after)),
        "commits": commits,
        "head_commit": push.after.and_then(|after| git.get(after)).map(|commit| shown(commit)),
        "pusher": { "name": by, "email": crate::world::git::mail(by) },
        "repository": repository,
    }))
}

fn commit_body(told: &Told<'_>, commit: &Commit) -> Value {
    let name = told.world.user(&commit.author).and_then(|user| user.name.clone());
    let person = json!({
        "name": name.unwrap_or_else(|| commit.author.clone()),
        "email": crate::world::git::mail(&commit.author),
        "username": commit.author,
    });
    let changes = told.place.repository.git.done_by(commit);
    let paths = |status: &str| -> Vec<&str> {
        let of = changes.iter().filter(|change| change.status == status);
        of.map(|change| change.path.as_str()).collect()
    };
    // Here a renamed file is one that goes and one that comes.
    let renamed: Vec<_> = changes.iter().filter(|change| change.status == "renamed").collect();
    let mut added = paths("added");
    added.extend(renamed.iter().map(|change| change.path.as_str()));
    let mut removed = paths("removed");
    removed.extend(renamed.iter().filter_map(|change| change.previous.as_deref()));
    json!({
        "id": commit.sha,
        "tree_id": commit.tree(),
        "distinct": true,
        "message": commit.message,
        "timestamp": render::time::with_offset(commit.at, 0),
        "url": format!("{}/commit/{}", told.place.site(), commit.sha),
        "author": person,
        "committer": person,
        "added": added,
        "removed": removed,
        "modified": paths("modified"),
    })
}
