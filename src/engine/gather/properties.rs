//! The custom properties of repositories: one list for the organization, and for all requests that are judged together.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{Gatherer, Shared};
use crate::{
    domain::Repository,
    github::{CallError, CustomProperties},
};

/// The values of some properties, of all repositories.
pub(super) struct Properties {
    read_at: Timestamp,
    names: BTreeSet<String>,
    values: Result<Arc<CustomProperties>, String>,
}

impl Gatherer<'_> {
    /// Gives each of the repositories its values for the properties of these names. Gives when they were read, or
    /// why they could not be.
    pub(super) async fn properties(
        &mut self,
        shared: &mut Shared,
        names: &BTreeSet<String>,
        repositories: &mut [Repository],
    ) -> Result<Timestamp, String> {
        let (read_at, values) = self.values(shared, names).await;
        let values = values?;
        for repository in repositories {
            // One that the list lacks is one of which nothing is known.
            repository.custom_properties = values.get(&repository.id).cloned();
        }
        Ok(read_at)
    }

    async fn values(
        &mut self,
        shared: &mut Shared,
        names: &BTreeSet<String>,
    ) -> (Timestamp, Result<Arc<CustomProperties>, String>) {
        // Other rules by now may name others.
        let serves =
            |known: &&Properties| self.is_fresh(known.read_at) && names.is_subset(&known.names);
        if let Some(known) = shared.properties.as_ref().filter(serves) {
            return (known.read_at, known.values.clone());
        }
        let (read, organization) = (self.sources.read, &self.request.organization);
        let answer = self.ask(read.custom_properties(organization, names)).await;
        let read_at = self.now();
        let values = match answer {
            Ok(values) => Ok(Arc::new(values)),
            // The same for the next request, and for half a minute.
            Err(error @ (CallError::Forbidden { .. } | CallError::NotFound)) => {
                Err(why_no_properties(&error))
            }
            Err(error) => return (read_at, Err(why_no_properties(&error))),
        };
        let names = names.clone();
        shared.properties = Some(Properties { read_at, names, values: values.clone() });
        (read_at, values)
    }
}

/// Why custom properties could not be read.
pub(in crate::engine) fn why_no_properties(error: &CallError) -> String {
    match error {
        CallError::Forbidden { message, .. } => format!(
            "GitHub refuses ({message}); the App needs the permission `organization_custom_properties: read`"
        ),
        CallError::NotFound => {
            "GitHub shows no custom properties of this organization; the App may lack the \
             permission `organization_custom_properties: read`"
                .to_owned()
        }
        error => error.to_string(),
    }
}
