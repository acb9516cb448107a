//! Where the App is installed and what it may do there. Tokens and their checks are in `auth`.

use std::collections::{BTreeMap, BTreeSet};

use crate::permissions::rank;
use crate::world::{Organization, Repository, Visibility};

/// Events the App is subscribed to unless told otherwise.
pub(crate) const EVENTS: [&str; 3] =
    ["membership", "organization", "personal_access_token_request"];

/// Events every App gets.
const UNASKED: [&str; 2] = ["installation", "installation_repositories"];

/// What an installation needs before an event is sent to it, besides the App's subscription.
const NEEDED: [(&str, &str, &str); 12] = [
    ("check_run", "checks", "read"),
    ("check_suite", "checks", "read"),
    ("custom_property_values", "organization_custom_properties", "read"),
    ("issue_comment", "issues", "read"),
    ("issues", "issues", "read"),
    ("membership", "members", "read"),
    ("organization", "members", "read"),
    ("personal_access_token_request", "organization_personal_access_token_requests", "read"),
    ("pull_request", "pull_requests", "read"),
    ("push", "contents", "read"),
    ("repository", "metadata", "read"),
    ("team", "members", "read"),
];

/// The permission without which an App cannot subscribe to an event; `None` for events that come unasked or that there are
/// not.
pub(crate) fn needed_for(event: &str) -> Option<&'static str> {
    NEEDED.iter().find(|(name, _, _)| *name == event).map(|(_, permission, _)| *permission)
}

/// What the App's owner set on its settings page.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) events: BTreeSet<String>,
}

impl Wishes {
    /// What patwarden asks for, and these besides.
    pub(crate) fn with(permissions: &BTreeMap<String, String>, events: &[String]) -> Self {
        let mut wanted = default_permissions();
        wanted.extend(permissions.clone());
        let known = EVENTS.iter().map(|event| (*event).to_owned());
        Self { permissions: wanted, events: known.chain(events.iter().cloned()).collect() }
    }
}

/// The App on one organization; times are Unix seconds.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) id: u64,
    pub(crate) organization: u64,
    pub(crate) permissions: BTreeMap<String, String>,
    /// The chosen repositories' ids; nothing is all.
    pub(crate) chosen: Option<BTreeSet<u64>>,
    pub(crate) suspended_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

impl Installation {
    /// Whether the App was given this repository, however public it is.
    pub(crate) fn reaches(&self, repository: u64) -> bool {
        self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&repository))
    }

    /// GitHub's `repository_selection`.
    pub(crate) fn selection(&self) -> &'static str {
        if self.chosen.is_some() { "selected" } else { "all" }
    }

    pub(crate) fn has(&self, permission: &str, level: &str) -> bool {
        self.permissions.get(permission).is_some_and(|has| rank(has) >= rank(level))
    }

    /// Whether an event is sent here: subscribed to, and allowed to be read.
    pub(crate) fn hears(&self, event: &str, wishes: &Wishes) -> bool {
        if UNASKED.contains(&event) {
            return true;
        }
        let mut needed = NEEDED.iter().filter(|(name, _, _)| *name == event);
        wishes.events.contains(event)
            && self.suspended_at.is_none()
            && needed.all(|(_, permission, level)| self.has(permission, level))
    }

    /// The repositories the App was given.
    pub(crate) fn repositories<'a>(
        &'a self,
        organization: &'a Organization,
    ) -> impl Iterator<Item = &'a Repository> {
        organization.repositories.values().filter(|repository| self.reaches(repository.id))
    }
}

/// Whether everybody can see a repository.
pub(crate) fn is_public(repository: &Repository) -> bool {
    repository.visibility == Visibility::Public
}

/// What the App asks for, and what an installation grants unless told otherwise.
pub(crate) fn default_permissions() -> BTreeMap<String, String> {
    [
        ("contents", "read"),
        ("members", "read"),
        ("metadata", "read"),
        ("organization_custom_properties", "read"),
        ("organization_personal_access_token_requests", "write"),
        ("organization_personal_access_tokens", "write"),
    ]
    .into_iter()
    .map(|(name, level)| (name.to_owned(), level.to_owned()))
    .collect()
}
