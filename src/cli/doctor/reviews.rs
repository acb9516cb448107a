//! What `doctor` reads of people: who may change the rules alone, and whether reviewers can be asked where the rules say.

use std::collections::BTreeMap;

use super::Report;
use crate::{
    doctor,
    domain::{InstallationId, Login},
    engine::Policies,
    github::{CallError, Fresh, Granted, InstallationClients, Read, RemoteRepository},
    rules::policy::Notify,
    store::Store,
};

/// Where the App is installed, by lower-case login.
pub(super) struct Installed<'a> {
    clients: &'a InstallationClients,
    on: BTreeMap<String, InstallationId>,
}

impl<'a> Installed<'a> {
    pub(super) fn new(clients: &'a InstallationClients, granted: &[Granted]) -> Self {
        let serving = granted.iter().map(|one| &one.installation).filter(|one| !one.suspended);
        let on = serving
            .map(|one| (one.organization.login.as_str().to_ascii_lowercase(), one.id))
            .collect();
        Self { clients, on }
    }

    /// What reads in the name of that organization. Where the App is not installed, a repository is as good as not there.
    fn read(&self, login: &str) -> Result<Read, CallError> {
        let id = self.on.get(&login.to_ascii_lowercase()).ok_or(CallError::NotFound)?;
        self.clients.read(*id)
    }

    async fn repository(&self, owner: &str, name: &str) -> Result<RemoteRepository, CallError> {
        match self.read(owner)?.repository(&Login::new(owner), name, None).await? {
            Fresh::Now(repository, _) => Ok(repository),
            Fresh::Unchanged => {
                Err(CallError::Unreadable { why: "nothing was said of it".to_owned() })
            }
        }
    }
}

/// Who may change rules that live in repositories.
pub(super) async fn of_rules(
    report: &mut Report,
    installed: &Installed<'_>,
    policies: &Policies,
    store: &Store,
) {
    let followed = policies.repositories();
    let Ok(places) = store.policy_places().await else { return };
    let mut looked_at = Vec::new();
    for row in places {
        let (Some(pin), Some(name), Some(branch)) = (row.pin, row.full_name, row.default_branch)
        else {
            continue;
        };
        if !followed.contains(&pin.id) || looked_at.contains(&pin.id) {
            continue;
        }
        looked_at.push(pin.id);
        let owner = name.split('/').next().unwrap_or_default();
        let seen = match installed.read(owner) {
            Ok(read) => read.branch_rules(pin.id, &branch).await,
            Err(error) => Err(error),
        };
        report.add([doctor::about_the_branch(&format!("{name} ({branch})"), &seen)]);
    }
}

/// Where an organization's reviewers are to be asked.
pub(super) async fn of_requests(
    report: &mut Report,
    installed: &Installed<'_>,
    policies: &Policies,
    one: &Granted,
) {
    let organization = &one.installation.organization;
    let Some(policy) = policies.in_force(organization).policy else { return };
    let mut looked_at = Vec::new();
    for notify in policy.reviewers().values().flat_map(|group| &group.notify) {
        let Notify::Issue { organization: owner, repository } = notify else { continue };
        let name = format!("{owner}/{repository}");
        if looked_at.contains(&name) {
            continue;
        }
        let seen = installed.repository(owner, repository).await;
        let login = organization.login.as_str();
        report.add([doctor::about_a_place_for_reviews(login, &name, &seen)]);
        looked_at.push(name);
    }
}
