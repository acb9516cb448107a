//! What people and other Apps do on issues: open, comment, edit, close, lock, move, delete. What stands there is read here, too.

use super::Fakehub;
use crate::error::Error;
use crate::lifecycle::issues::IssueChange;
use crate::world::{Access, Author, Issue, IssueComment};

impl Fakehub {
    /// The issues of a repository with their comments, by number; none where there is no such repository.
    #[must_use]
    pub fn issues(&self, organization: &str, repository: &str) -> Vec<Issue> {
        self.shared.with(|state| {
            let known = state.world.organization(organization);
            let known = known.and_then(|organization| organization.repository(repository));
            known.map(|known| known.issues.known.values().cloned().collect()).unwrap_or_default()
        })
    }

    /// A person opens an issue. Gives its number.
    ///
    /// # Errors
    /// When there is no such repository, or the person cannot see it.
    pub fn open_issue(
        &self,
        organization: &str,
        repository: &str,
        by: &str,
        title: &str,
        body: &str,
    ) -> Result<u64, Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = state.person(by, None);
            Ok(state.open_issue(id, author, title, Some(body.to_owned()))?.number)
        })
    }

    /// A person comments. Gives the comment.
    ///
    /// # Errors
    /// When there is no such issue, or the person may not comment on it.
    pub fn comment(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
        body: &str,
    ) -> Result<IssueComment, Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = state.person(by, None);
            state.add_comment(id, number, author, body)
        })
    }

    /// Another App comments: as its bot, or for a person who let it.
    ///
    /// # Errors
    /// When there is no such issue, or the person may not comment on it.
    pub fn comment_through_app(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        app: &str,
        person: Option<&str>,
        body: &str,
    ) -> Result<IssueComment, Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = match person {
                Some(login) => state.person(login, Some(app)),
                None => Author::OtherApp(app.to_owned()),
            };
            state.add_comment(id, number, author, body)
        })
    }

    /// A person edits a comment: their own, or anybody's for who may push.
    ///
    /// # Errors
    /// When there is no such comment, or the person may not change it.
    pub fn edit_comment(
        &self,
        organization: &str,
        repository: &str,
        comment: u64,
        by: &str,
        body: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = state.person(by, None);
            state.edit_comment(id, comment, &author, body)
        })
    }

    /// A person deletes a comment: their own, or anybody's for who may push.
    ///
    /// # Errors
    /// When there is no such comment, or the person may not delete it.
    pub fn delete_comment(
        &self,
        organization: &str,
        repository: &str,
        comment: u64,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = state.person(by, None);
            state.delete_comment(id, comment, &author)
        })
    }

    /// A person gives an issue another title or text.
    ///
    /// # Errors
    /// When there is no such issue, or the person may not sort issues.
    pub fn edit_issue(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
        title: Option<&str>,
        body: Option<&str>,
    ) -> Result<(), Error> {
        let change = IssueChange {
            title: title.map(str::to_owned),
            body: body.map(str::to_owned),
            ..IssueChange::default()
        };
        self.change(organization, repository, number, by, Access::Write, change)
    }

    /// A person closes an issue, as done.
    ///
    /// # Errors
    /// When there is no such issue, or the person may not sort issues.
    pub fn close_issue(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        let change = IssueChange { open: Some(false), ..IssueChange::default() };
        self.change(organization, repository, number, by, Access::Triage, change)
    }

    /// A person opens a closed issue again.
    ///
    /// # Errors
    /// As for [`Fakehub::close_issue`].
    pub fn reopen_issue(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        let change = IssueChange { open: Some(true), ..IssueChange::default() };
        self.change(organization, repository, number, by, Access::Triage, change)
    }

    /// Who may push locks an issue, or takes that back: then nobody else comments, and no App.
    ///
    /// # Errors
    /// When there is no such issue, or the person may not push.
    pub fn lock_issue(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
        locked: bool,
    ) -> Result<(), Error> {
        let change = IssueChange { locked: Some(locked), ..IssueChange::default() };
        self.change(organization, repository, number, by, Access::Write, change)
    }

    /// Who administers the repository deletes an issue with its comments. Asked for, it is a 410.
    ///
    /// # Errors
    /// When there is no such issue, or the person is no administrator.
    pub fn delete_issue(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = state.person(by, None);
            state.may(id, &author, Access::Admin, "delete an issue")?;
            state.delete_issue(id, number, &author)
        })
    }

    /// Who may push moves an issue to another repository of the organization. Gives its number there; asked for where it
    /// was, it is a redirect.
    ///
    /// # Errors
    /// When there is no such issue or repository, or the person may not push to both.
    pub fn transfer_issue(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
        to: &str,
    ) -> Result<u64, Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let to = state.repository_id(organization, to)?;
            let author = state.person(by, None);
            state.may(id, &author, Access::Write, "move an issue")?;
            state.may(to, &author, Access::Write, "move an issue there")?;
            state.transfer_issue(id, number, &author, to)
        })
    }

    /// Switches a repository's issues off or on.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn set_issues(&self, organization: &str, repository: &str, on: bool) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.repository_mut(id)?.issues.disabled = !on;
            Ok(())
        })
    }

    fn change(
        &self,
        organization: &str,
        repository: &str,
        number: u64,
        by: &str,
        least: Access,
        change: IssueChange,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let author = state.person(by, None);
            // What one opened oneself may be closed and edited.
            let own = match &state.issue(id, number)?.author {
                Author::Person { id, .. } => match &author {
                    Author::Person { id: by, .. } => id == by,
                    _ => false,
                },
                _ => false,
            };
            if !own || change.locked.is_some() {
                state.may(id, &author, least, "change this issue")?;
            }
            state.change_issue(id, number, &author, change)
        })
    }
}
