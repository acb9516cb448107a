//! What was read about the world for one request: each fact with its source and age, or why it is unknown.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::quantity::Span;
use crate::domain::{Repository, RequestKind, Role, TeamRef};

/// Something that was read, or that could not be.
///
/// "Could not know" is a value here and never an error: it travels into the decision, which names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// Read.
    Known {
        /// What was read.
        value: T,
        /// Where: a call in GitHub's words (`GET /orgs/acme/memberships/kim`) or `our record`.
        source: String,
        /// When.
        read_at: Timestamp,
    },
    /// Not read, and why: a sentence for people.
    Unknown {
        /// Why it is not known.
        why: String,
    },
}

impl<T> Fact<T> {
    /// A fact that was read.
    pub fn known(value: T, source: impl Into<String>, read_at: Timestamp) -> Self {
        Self::Known { value, source: source.into(), read_at }
    }

    /// A fact that could not be read.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// A fact that no rule asks for, and that therefore was not read.
    #[must_use]
    pub fn not_asked() -> Self {
        Self::unknown("not read, since no rule asks for it")
    }

    /// The value, where it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// Everything that rules may ask beyond the request itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The moment of judging: time is a value, never read from a clock in here.
    pub now: Timestamp,
    /// The token owner's role in the organization.
    pub owner_role: Fact<Role>,
    /// For each team that the policy names: whether the owner is in it. A missing entry is unknown.
    pub owner_teams: BTreeMap<TeamRef, Fact<bool>>,
    /// How many tokens of the owner's have access to the organization, with those that we approved and GitHub
    /// does not list yet.
    pub owner_active_tokens: Fact<u64>,
    /// For each span that the policy names: how many other requests of the owner's we heard of within it.
    #[serde(default)]
    pub owner_requests: BTreeMap<Span, Fact<u64>>,
    /// The same for requests that were denied.
    #[serde(default)]
    pub owner_denials: BTreeMap<Span, Fact<u64>>,
    /// The repositories behind a `subset`; not asked for `none` and `all`.
    pub repositories: Fact<Vec<Repository>>,
    /// Why the custom properties of those were not read, where rules ask for them and they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_properties_unread: Option<String>,
    /// Whether the token is new here or was approved before.
    pub kind: Fact<RequestKind>,
}

impl Facts {
    /// Facts of which nothing was read.
    #[must_use]
    pub fn nothing_read(now: Timestamp) -> Self {
        Self {
            now,
            owner_role: Fact::not_asked(),
            owner_teams: BTreeMap::new(),
            owner_active_tokens: Fact::not_asked(),
            owner_requests: BTreeMap::new(),
            owner_denials: BTreeMap::new(),
            repositories: Fact::not_asked(),
            custom_properties_unread: None,
            kind: Fact::not_asked(),
        }
    }
}

/// Which facts a policy asks for: the only ones that are read, so that a policy without teams costs no
/// call for teams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Some rule asks for the owner's role.
    pub owner_role: bool,
    /// The teams that rules name.
    pub teams: BTreeSet<TeamRef>,
    /// Some rule asks how many tokens the owner has.
    pub owner_active_tokens: bool,
    /// Within which spans rules count the owner's requests.
    pub owner_requests: BTreeSet<Span>,
    /// Within which spans rules count the owner's denials.
    pub owner_denials: BTreeSet<Span>,
    /// Some rule asks which or how many repositories.
    pub repositories: bool,
    /// The custom properties of theirs that rules name, in lower case.
    pub custom_properties: BTreeSet<String>,
    /// Some rule asks whether the request is a change.
    pub kind: bool,
}
