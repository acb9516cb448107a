//! What owners do with repositories and teams on GitHub's pages. Each step sends its webhook, if the App hears it.

use serde_json::Value;

use super::Fakehub;
use crate::error::Error;
use crate::world::{Access, Visibility};

impl Fakehub {
    /// Renames a repository: its id stays, calls for the old name are redirected; sends `repository.renamed`.
    ///
    /// # Errors
    /// When there is no such repository, or the name is taken.
    pub fn rename_repository(&self, organization: &str, from: &str, to: &str) -> Result<(), Error> {
        self.shared.with(|state| state.rename_repository(organization, from, to))
    }

    /// Hands a repository to another organization: its id stays, its owner changes, calls for the old name are redirected
    /// for those who still see it. The organization it comes to hears `repository.transferred`.
    ///
    /// # Errors
    /// When there is no such repository or organization, or the name is taken there.
    pub fn transfer_repository(
        &self,
        organization: &str,
        repository: &str,
        to: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| state.transfer_repository(organization, repository, to))
    }

    /// Deletes a repository; sends `repository.deleted`. One made later under the same name has another id.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn delete_repository(&self, organization: &str, repository: &str) -> Result<(), Error> {
        self.shared.with(|state| state.delete_repository(organization, repository))
    }

    /// Shows a repository to others, or hides it; sends `repository.publicized` or `.privatized`.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn set_visibility(
        &self,
        organization: &str,
        repository: &str,
        visibility: Visibility,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.set_visibility(id, visibility)
        })
    }

    /// Archives a repository, or takes that back; sends `repository.archived` or `.unarchived`.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn archive(
        &self,
        organization: &str,
        repository: &str,
        archived: bool,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.set_archived(id, archived)
        })
    }

    /// Makes another branch, which must be there, the default; sends `repository.edited`.
    ///
    /// # Errors
    /// When there is no such repository or branch.
    pub fn set_default_branch(
        &self,
        organization: &str,
        repository: &str,
        branch: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.set_default_branch(id, branch)
        })
    }

    /// Gives a repository other topics; sends `repository.edited`.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn set_topics<S: Into<String>>(
        &self,
        organization: &str,
        repository: &str,
        topics: impl IntoIterator<Item = S>,
    ) -> Result<(), Error> {
        let topics = topics.into_iter().map(Into::into).collect();
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.set_topics(id, topics)
        })
    }

    /// Gives a custom property of a repository another value, or none; sends `custom_property_values.updated`.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn set_property(
        &self,
        organization: &str,
        repository: &str,
        name: &str,
        value: Option<Value>,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            state.set_property(id, name, value)
        })
    }

    /// Gives somebody a role on a repository, or takes it away. Owners have all roles whatever is said here.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn set_collaborator(
        &self,
        organization: &str,
        repository: &str,
        login: &str,
        access: Option<Access>,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let id = state.repository_id(organization, repository)?;
            let user = state.world.add_user(login).id;
            let known = state.repository_mut(id)?;
            match access {
                Some(access) => known.collaborators.insert(user, access),
                None => known.collaborators.remove(&user),
            };
            Ok(())
        })
    }

    /// An owner gives the App these repositories only, or all of them; sends `installation_repositories`.
    ///
    /// # Errors
    /// When the App is not installed there, or a repository does not exist.
    pub fn choose_repositories(
        &self,
        organization: &str,
        names: Option<&[&str]>,
    ) -> Result<(), Error> {
        self.shared.with(|state| state.choose_repositories(organization, names))
    }

    /// Gives a team another name and the slug that follows from it; sends `team.edited`.
    ///
    /// # Errors
    /// When there is no such team, or the slug is taken.
    pub fn rename_team(&self, organization: &str, slug: &str, name: &str) -> Result<(), Error> {
        self.shared.with(|state| state.rename_team(organization, slug, name))
    }

    /// Deletes a team; sends `team.deleted`. One made later under the same slug has another id.
    ///
    /// # Errors
    /// When there is no such team.
    pub fn delete_team(&self, organization: &str, slug: &str) -> Result<(), Error> {
        self.shared.with(|state| state.delete_team(organization, slug))
    }
}
