//! The permissions a token asks for, as GitHub puts them on the wire, and how two sets differ.
//!
//! Source: the `permissions` object of <https://docs.github.com/rest/orgs/personal-access-tokens>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Names to levels (`read`, `write`, `admin`) in GitHub's three groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// Permissions on the organization itself, such as `members`.
    pub organization: BTreeMap<String, String>,
    /// Permissions on the selected repositories, such as `contents`.
    pub repository: BTreeMap<String, String>,
    /// GitHub's third group, for names that belong to neither.
    pub other: BTreeMap<String, String>,
}

impl Permissions {
    /// GitHub's JSON: a group nobody asked for is absent, so nothing asked for is `{}`.
    pub(crate) fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (name, group) in self.groups() {
            if !group.is_empty() {
                out.insert(name.to_owned(), json!(group));
            }
        }
        Value::Object(out)
    }

    fn groups(&self) -> [(&'static str, &BTreeMap<String, String>); 3] {
        [
            ("organization", &self.organization),
            ("repository", &self.repository),
            ("other", &self.other),
        ]
    }

    /// What `self` has that `before` had not at all.
    pub(crate) fn added_to(&self, before: &Self) -> Self {
        self.filtered(before, |_, old| old.is_none())
    }

    /// What `self` has at a level above `before`'s.
    pub(crate) fn upgraded_from(&self, before: &Self) -> Self {
        self.filtered(before, |level, old| old.is_some_and(|old| rank(level) > rank(old)))
    }

    fn filtered(&self, before: &Self, keep: impl Fn(&str, Option<&str>) -> bool) -> Self {
        let pick = |new: &BTreeMap<String, String>, old: &BTreeMap<String, String>| {
            new.iter()
                .filter(|(name, level)| keep(level, old.get(*name).map(String::as_str)))
                .map(|(name, level)| (name.clone(), level.clone()))
                .collect()
        };
        Self {
            organization: pick(&self.organization, &before.organization),
            repository: pick(&self.repository, &before.repository),
            other: pick(&self.other, &before.other),
        }
    }

    /// The list filter `permission=issues_read`: the name and the level, joined by the last underscore.
    pub(crate) fn matches_filter(&self, filter: &str) -> bool {
        let Some((name, level)) = filter.rsplit_once('_') else {
            return false;
        };
        self.groups().iter().any(|(_, group)| group.get(name).is_some_and(|has| has == level))
    }
}

/// The order of levels; a level nobody knows is above all.
pub(crate) fn rank(level: &str) -> u8 {
    match level {
        "none" => 0,
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => 4,
    }
}
