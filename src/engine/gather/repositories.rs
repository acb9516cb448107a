//! The repositories behind a `subset`: as GitHub lists them, with their custom properties and their former names.

use std::collections::BTreeSet;

use super::{Gatherer, Shared};
use crate::{
    domain::{Repository, RepositoryId},
    rules::facts::{Fact, Facts},
    store::StoreError,
};

impl Gatherer<'_> {
    /// Reads them into `facts`, with the custom properties of these names.
    pub(super) async fn repositories(
        &mut self,
        shared: &mut Shared,
        custom_properties: &BTreeSet<String>,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let (read, request) = (self.sources.read, self.request);
        let organization = &request.organization;
        let mut repositories =
            match self.ask(read.request_repositories(organization, request.id)).await {
                Ok(repositories) => repositories,
                Err(error) => {
                    facts.repositories = Fact::unknown(error.to_string());
                    return Ok(());
                }
            };
        let mut read_at = self.now();
        let login = &organization.login;
        let mut source =
            format!("GET /orgs/{login}/personal-access-token-requests/{}/repositories", request.id);
        if !custom_properties.is_empty() {
            match self.properties(shared, custom_properties, &mut repositories).await {
                Ok(properties_read_at) => {
                    read_at = read_at.min(properties_read_at);
                    source += &format!(", GET /orgs/{login}/properties/values");
                }
                Err(why) => facts.custom_properties_unread = Some(why),
            }
        }
        if self.former_names(&mut repositories).await? {
            source += ", and our record";
        }
        facts.repositories = Fact::known(repositories, source, read_at);
        Ok(())
    }

    /// Gives each repository the other names under which we saw it, and learns those that it has now. Gives whether
    /// there were any.
    async fn former_names(&mut self, repositories: &mut [Repository]) -> Result<bool, StoreError> {
        let ids: Vec<RepositoryId> = repositories.iter().map(|repository| repository.id).collect();
        let organization = self.request.organization.id;
        let mut known = self.sources.store.names_of(organization, &ids).await?;
        let mut any = false;
        for repository in repositories {
            let mut names = known.remove(&repository.id).unwrap_or_default();
            let before = names.len();
            names.retain(|name| !name.eq_ignore_ascii_case(&repository.name));
            if names.len() == before {
                self.learned.names.push((repository.id, repository.name.clone()));
            }
            any |= !names.is_empty();
            repository.former_names = names;
        }
        Ok(any)
    }
}
