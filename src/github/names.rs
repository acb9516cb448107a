//! What an organization has, by name: its teams, repositories, custom properties and members, each as one list to its last
//! page. For somebody who asks whether names are right; nothing is decided on these.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    app::App,
    error::CallError,
    read::{Read, segment},
    wire,
};
use crate::domain::{Installation, Login, TeamId};

/// The App's installation on one organization, and how much of it the App was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The installation.
    pub installation: Installation,
    /// Whether it sees every repository, and not a selection.
    pub every_repository: bool,
}

#[derive(Deserialize)]
struct WireInstalled {
    #[serde(flatten)]
    installation: wire::Installation,
    #[serde(default)]
    repository_selection: Option<String>,
}

#[derive(Deserialize)]
struct WireName {
    name: String,
}

#[derive(Deserialize)]
struct WireLogin {
    login: String,
}

#[derive(Deserialize)]
struct WireProperty {
    property_name: String,
}

impl App {
    /// The installation on an organization.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::NotFound`] where there is none, or no such organization.
    pub async fn installation_on(&self, organization: &Login) -> Result<Installed, CallError> {
        let path = format!("/orgs/{}/installation", segment(organization.as_str()));
        let wire: WireInstalled = self.caller().get(&path).await?;
        let every_repository = wire.repository_selection.as_deref() == Some("all");
        let installation = wire.installation.on_an_organization().ok_or(CallError::NotFound)?;
        Ok(Installed { installation, every_repository })
    }
}

impl Read {
    /// All teams that we may see: ids by slug, in lower case.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn teams(&self, organization: &Login) -> Result<BTreeMap<String, TeamId>, CallError> {
        let teams: Vec<wire::Team> = self.list(organization, "teams").await?;
        Ok(teams
            .into_iter()
            .map(|team| (team.slug.to_ascii_lowercase(), TeamId(team.id)))
            .collect())
    }

    /// The names of all repositories that we may see, in lower case.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn repository_names(
        &self,
        organization: &Login,
    ) -> Result<BTreeSet<String>, CallError> {
        let repositories: Vec<WireName> = self.list(organization, "repos").await?;
        Ok(repositories.into_iter().map(|one| one.name.to_ascii_lowercase()).collect())
    }

    /// The logins of all members, owners included. Who only sees the bills is in no such list.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn member_logins(&self, organization: &Login) -> Result<BTreeSet<Login>, CallError> {
        let members: Vec<WireLogin> = self.list(organization, "members").await?;
        Ok(members.into_iter().map(|member| Login::new(member.login)).collect())
    }

    /// The names of the custom properties that an organization defines, in lower case.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn property_names(
        &self,
        organization: &Login,
    ) -> Result<BTreeSet<String>, CallError> {
        let path = format!("/orgs/{}/properties/schema", segment(organization.as_str()));
        let properties: Vec<WireProperty> = self.caller().get(&path).await?;
        let names = properties.into_iter().map(|one| one.property_name.to_ascii_lowercase());
        Ok(names.collect())
    }

    async fn list<T: serde::de::DeserializeOwned>(
        &self,
        organization: &Login,
        of: &str,
    ) -> Result<Vec<T>, CallError> {
        let organization = segment(organization.as_str());
        self.caller().pages(&format!("/orgs/{organization}/{of}?per_page=100")).await
    }
}
