//! An App's manifest as GitHub reads it, and what it refuses. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::installations::needed_for;

/// What a manifest may ask for. Source: the schema `app-permissions` of GitHub's REST description.
const PERMISSIONS: [&str; 44] = [
    "actions",
    "actions_variables",
    "administration",
    "artifact_metadata",
    "attestations",
    "checks",
    "codespaces",
    "contents",
    "custom_properties_for_organizations",
    "dependabot_secrets",
    "deployments",
    "discussions",
    "environments",
    "issues",
    "members",
    "merge_queues",
    "metadata",
    "organization_administration",
    "organization_announcement_banners",
    "organization_copilot_seat_management",
    "organization_custom_org_roles",
    "organization_custom_properties",
    "organization_custom_roles",
    "organization_events",
    "organization_hooks",
    "organization_packages",
    "organization_personal_access_token_requests",
    "organization_personal_access_tokens",
    "organization_plan",
    "organization_projects",
    "organization_secrets",
    "organization_self_hosted_runners",
    "organization_user_blocking",
    "packages",
    "pages",
    "pull_requests",
    "repository_custom_properties",
    "repository_hooks",
    "repository_projects",
    "secrets",
    "security_events",
    "single_file",
    "statuses",
    "workflows",
];

/// What is registered.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) events: BTreeSet<String>,
    pub(crate) hook_url: String,
    pub(crate) hook_active: bool,
    pub(crate) redirect_url: String,
}

#[derive(Deserialize)]
struct Wire {
    name: Option<String>,
    url: Option<String>,
    hook_attributes: Option<Hook>,
    redirect_url: Option<String>,
    #[serde(default)]
    default_events: Vec<String>,
    #[serde(default)]
    default_permissions: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Hook {
    url: Option<String>,
    active: Option<bool>,
}

impl Manifest {
    /// Everything that is wrong with it, or the manifest.
    pub(crate) fn read(text: &str) -> Result<Self, Vec<String>> {
        let wire: Wire = serde_json::from_str(text)
            .map_err(|why| vec![format!("Problems parsing JSON: {why}")])?;
        let mut problems = Vec::new();
        let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if wire.url.filter(is_url).is_none() {
            problems.push("Error: \"url\" wasn't supplied.".to_owned());
        }
        let redirect_url = wire.redirect_url.filter(is_url).unwrap_or_else(|| {
            problems.push("Redirect url must be a valid URL.".to_owned());
            String::new()
        });
        let hook = wire.hook_attributes.unwrap_or(Hook { url: None, active: None });
        let hook_url = hook.url.filter(is_url).unwrap_or_else(|| {
            problems.push("Hook url cannot be blank.".to_owned());
            String::new()
        });
        let mut permissions = BTreeMap::new();
        for (name, level) in &wire.default_permissions {
            let known = PERMISSIONS.contains(&name.as_str());
            match level.as_str().filter(|level| ["read", "write", "admin"].contains(level)) {
                Some(level) if known => {
                    permissions.insert(name.clone(), level.to_owned());
                }
                _ if known => {
                    problems.push(format!("Default permission {name} has no such level."))
                }
                _ => problems.push(format!(
                    "Default permission records resource is not included in the list: {name}."
                )),
            }
        }
        // Reading metadata comes with every App.
        permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
        let mut events = BTreeSet::new();
        for event in wire.default_events {
            match needed_for(&event) {
                Some(permission) if permissions.contains_key(permission) => {
                    events.insert(event);
                }
                Some(_) => problems
                    .push(format!("Default events are not supported by permissions: {event}.")),
                None => problems.push(format!("Default events unsupported: {event}.")),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let name = wire.name.unwrap_or_default();
        let hook_active = hook.active.unwrap_or(true);
        Ok(Self { name, permissions, events, hook_url, hook_active, redirect_url })
    }
}
