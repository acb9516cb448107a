//! Permissions of fine-grained tokens: groups, names, levels, and which of them GitHub documents.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The three maps of permissions that GitHub sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermissionGroup {
    /// On repositories of the organization.
    Repository,
    /// On the organization itself.
    Organization,
    /// Whatever is neither; never part of an ordinary request to an organization.
    Other,
}

impl PermissionGroup {
    /// All groups, in the order in which people read them.
    pub const ALL: [Self; 3] = [Self::Repository, Self::Organization, Self::Other];

    /// The group's name on the wire and in rule files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Organization => "organization",
            Self::Other => "other",
        }
    }
}

/// How much a permission allows. `read < write < admin`, and a level nobody knows is above all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AccessLevel {
    /// Look.
    Read,
    /// Change (and look).
    Write,
    /// Administer (and change, and look).
    Admin,
    /// A word GitHub sent that we do not know: counts as the strongest, is inside no ceiling.
    Unrecognized(String),
}

impl AccessLevel {
    fn rank(&self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Admin => 2,
            Self::Unrecognized(_) => 3,
        }
    }

    /// The level's word on the wire and in rule files.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Unrecognized(word) => word,
        }
    }
}

impl Ord for AccessLevel {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.as_str().cmp(other.as_str()))
    }
}

impl PartialOrd for AccessLevel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<String> for AccessLevel {
    fn from(word: String) -> Self {
        match word.as_str() {
            "read" => Self::Read,
            "write" => Self::Write,
            "admin" => Self::Admin,
            _ => Self::Unrecognized(word),
        }
    }
}

impl From<AccessLevel> for String {
    fn from(level: AccessLevel) -> Self {
        level.as_str().to_owned()
    }
}

impl fmt::Display for AccessLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything a token may do, by group and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Permissions {
    /// On repositories.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repository: BTreeMap<String, AccessLevel>,
    /// On the organization.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub organization: BTreeMap<String, AccessLevel>,
    /// Whatever is neither.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, AccessLevel>,
}

impl Permissions {
    /// One group's map.
    #[must_use]
    pub fn group(&self, group: PermissionGroup) -> &BTreeMap<String, AccessLevel> {
        match group {
            PermissionGroup::Repository => &self.repository,
            PermissionGroup::Organization => &self.organization,
            PermissionGroup::Other => &self.other,
        }
    }

    /// Every permission with its group.
    pub fn iter(&self) -> impl Iterator<Item = (PermissionGroup, &str, &AccessLevel)> {
        PermissionGroup::ALL.into_iter().flat_map(move |group| {
            self.group(group).iter().map(move |(name, level)| (group, name.as_str(), level))
        })
    }

    /// What is in both, at the lower of both levels.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = |group: PermissionGroup| {
            let listed = self.group(group).iter().filter_map(|(name, level)| {
                Some((name.clone(), level.min(other.group(group).get(name)?).clone()))
            });
            listed.collect()
        };
        Self {
            repository: both(PermissionGroup::Repository),
            organization: both(PermissionGroup::Organization),
            other: both(PermissionGroup::Other),
        }
    }

    /// Whether everything in `self` is also in `other`, at the same level or a higher one.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.iter().all(|(group, name, level)| {
            other.group(group).get(name).is_some_and(|allowed| level <= allowed)
        })
    }
}

/// The levels that GitHub documents for a permission of fine-grained tokens, or `None` for a name
/// that it does not document: such a name counts as the strongest and is inside no ceiling.
#[must_use]
pub fn known_levels(group: PermissionGroup, name: &str) -> Option<&'static [AccessLevel]> {
    KNOWN_PERMISSIONS
        .iter()
        .find(|(known_group, known_name, _)| *known_group == group && *known_name == name)
        .map(|(_, _, levels)| *levels)
}

const R: &[AccessLevel] = &[AccessLevel::Read];
const W: &[AccessLevel] = &[AccessLevel::Write];
const RW: &[AccessLevel] = &[AccessLevel::Read, AccessLevel::Write];
const RWA: &[AccessLevel] = &[AccessLevel::Read, AccessLevel::Write, AccessLevel::Admin];

/// Names and levels of the permissions a fine-grained token can ask an organization for.
///
/// Source: <https://docs.github.com/authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens>
/// and <https://docs.github.com/rest/authentication/permissions-required-for-fine-grained-personal-access-tokens>.
/// The set grows every few months; an unlisted name is never fatal, only never automatic.
pub const KNOWN_PERMISSIONS: &[(PermissionGroup, &str, &[AccessLevel])] = {
    use PermissionGroup::{Organization as O, Repository as P};
    &[
        (P, "actions", RW),
        (P, "actions_variables", RW),
        (P, "administration", RW),
        (P, "artifact_metadata", RW),
        (P, "attestations", RW),
        (P, "codespaces", RW),
        (P, "codespaces_lifecycle_admin", RW),
        (P, "codespaces_metadata", R),
        (P, "codespaces_secrets", W),
        (P, "contents", RW),
        (P, "dependabot_secrets", RW),
        (P, "deployments", RW),
        (P, "discussions", RW),
        (P, "environments", RW),
        (P, "issue_fields", RW),
        (P, "issues", RW),
        (P, "merge_queues", RW),
        (P, "metadata", R),
        (P, "pages", RW),
        (P, "pull_requests", RW),
        (P, "repository_advisories", RW),
        (P, "repository_custom_properties", RW),
        (P, "repository_hooks", RW),
        (P, "secret_scanning_alerts", RW),
        (P, "secrets", RW),
        (P, "security_events", RW),
        (P, "statuses", RW),
        (P, "vulnerability_alerts", RW),
        (P, "workflows", W),
        (O, "issue_fields", RW),
        (O, "issue_types", RW),
        (O, "members", RW),
        (O, "org_copilot_content_exclusion", RW),
        (O, "organization_actions_variables", RW),
        (O, "organization_administration", RW),
        (O, "organization_agent_variables", RW),
        (O, "organization_announcement_banners", RW),
        (O, "organization_api_insights", R),
        (O, "organization_campaigns", RW),
        (O, "organization_code_scanning_dismissal_requests", RW),
        (O, "organization_codespaces", RW),
        (O, "organization_codespaces_secrets", RW),
        (O, "organization_codespaces_settings", RW),
        (O, "organization_copilot_agent_settings", RW),
        (O, "organization_copilot_seat_management", RW),
        (O, "organization_copilot_spaces", RW),
        (O, "organization_custom_org_roles", RW),
        (O, "organization_custom_properties", RWA),
        (O, "organization_custom_roles", RW),
        (O, "organization_dependabot_secrets", RW),
        (O, "organization_events", R),
        (O, "organization_hooks", RW),
        (O, "organization_knowledge_bases", RW),
        (O, "organization_models", R),
        (O, "organization_network_configurations", RW),
        (O, "organization_plan", R),
        (O, "organization_private_registries", RW),
        (O, "organization_projects", RWA),
        (O, "organization_runner_custom_images", RW),
        (O, "organization_secrets", RW),
        (O, "organization_self_hosted_runners", RW),
        (O, "organization_user_blocking", RW),
        (O, "team_discussions", RW),
    ]
};
