//! What people do with code: commit, open pull requests, merge, ask for checks again. What the App wrote is read here, too.

use super::Fakehub;
use crate::error::Error;
use crate::world::{Changes, CheckRun, Head, PullRequest};

impl Fakehub {
    /// Commits to a branch and pushes; a branch that is not there begins at the default branch, in an empty repository
    /// with nothing. Gives the commit's sha. Sends `push`, and `pull_request.synchronize` for pull requests of that branch.
    ///
    /// # Errors
    /// When there is no such repository, or it is archived.
    pub fn commit(
        &self,
        organization: &str,
        repository: &str,
        branch: &str,
        author: &str,
        message: &str,
        changes: impl Into<Changes>,
    ) -> Result<String, Error> {
        let changes = changes.into();
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.commit_to(id, branch, author, message, &changes)
        })
    }

    /// Moves a branch to any commit, also backwards (a forced push), or makes it there. Gives the commit's sha.
    ///
    /// # Errors
    /// When there is no such repository or commit.
    pub fn set_branch(
        &self,
        organization: &str,
        repository: &str,
        branch: &str,
        by: &str,
        to: &str,
    ) -> Result<String, Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.set_branch(id, branch, by, to)
        })
    }

    /// Deletes a branch other than the default branch; its pull requests are closed.
    ///
    /// # Errors
    /// When there is no such repository or branch.
    pub fn delete_branch(
        &self,
        organization: &str,
        repository: &str,
        branch: &str,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.delete_branch(id, branch, by)
        })
    }

    /// The sha a branch, a ref or `pull/N/head` stands for.
    #[must_use]
    pub fn sha(&self, organization: &str, repository: &str, name: &str) -> Option<String> {
        self.shared.with(|state| {
            let known = state.world.organization(organization)?.repository(repository)?;
            known.commit(name).map(|commit| commit.sha.clone())
        })
    }

    /// Opens a pull request against the default branch, from a branch of the repository (a plain name) or from a branch
    /// of the author's fork ([`Head::Fork`]). The changes are committed first; without any the branch must be there.
    ///
    /// # Errors
    /// When there is no such repository, or nothing to merge.
    pub fn open_pull_request(
        &self,
        organization: &str,
        repository: &str,
        author: &str,
        head: impl Into<Head>,
        title: &str,
        changes: impl Into<Changes>,
    ) -> Result<PullRequest, Error> {
        let (head, changes) = (head.into(), changes.into());
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.open_pull(id, author, head, title, &changes)
        })
    }

    /// The author pushes to a pull request's branch, wherever that is. Gives the commit's sha.
    ///
    /// # Errors
    /// When there is no such pull request.
    pub fn push_to_pull_request(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        message: &str,
        changes: impl Into<Changes>,
    ) -> Result<String, Error> {
        let changes = changes.into();
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.push_to_pull(id, number, message, &changes)
        })
    }

    /// Gives an open pull request another title or another base.
    ///
    /// # Errors
    /// When there is no such open pull request, or no such branch.
    pub fn edit_pull_request(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
        title: Option<&str>,
        base: Option<&str>,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.edit_pull(id, number, by, title, base)
        })
    }

    /// Closes a pull request without merging it.
    ///
    /// # Errors
    /// When there is no such open pull request.
    pub fn close_pull_request(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.close_pull(id, number, by)
        })
    }

    /// Opens a closed pull request again.
    ///
    /// # Errors
    /// When there is no such closed pull request, or it is merged.
    pub fn reopen_pull_request(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.reopen_pull(id, number, by)
        })
    }

    /// Merges a pull request by a merge commit, whose sha is given; sends `push` and `pull_request.closed`.
    ///
    /// # Errors
    /// When there is no such open pull request, or a file was changed on both sides.
    pub fn merge_pull_request(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
    ) -> Result<String, Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.merge_pull(id, number, by)
        })
    }

    /// A pull request as it is now.
    #[must_use]
    pub fn pull_request(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
    ) -> Option<PullRequest> {
        self.shared.with(|state| {
            let known = state.world.organization(organization)?.repository(repository)?;
            known.pulls.get(&number).cloned()
        })
    }

    /// Every check run the App wrote to a repository, oldest first; none where there is no such repository.
    #[must_use]
    pub fn check_runs(&self, organization: &str, repository: &str) -> Vec<CheckRun> {
        self.shared.with(|state| {
            let known = state.world.organization(organization);
            let known = known.and_then(|known| known.repository(repository));
            known.map(|known| known.checks.values().cloned().collect()).unwrap_or_default()
        })
    }

    /// Somebody presses "Re-run" on a check run; `check_run.rerequested` is sent.
    ///
    /// # Errors
    /// When there is no such repository or check run.
    pub fn rerequest_check(
        &self,
        organization: &str,
        repository: &str,
        run: u64,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.rerequest_run(id, run, by)
        })
    }

    /// Somebody presses "Re-run all checks" of a commit; `check_suite.rerequested` is sent.
    ///
    /// # Errors
    /// When there is no such repository or commit.
    pub fn rerequest_suite(
        &self,
        organization: &str,
        repository: &str,
        commit: &str,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.rerequest_suite(id, commit, by)
        })
    }
}
