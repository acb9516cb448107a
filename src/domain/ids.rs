//! Numeric ids as types of their own, and logins that compare as GitHub compares them.

use std::{cmp::Ordering, fmt, hash};

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// An organization. Logins can be renamed; this cannot.
    OrganizationId
    /// One installation of the App on one organization.
    InstallationId
    /// A pending request (`pat_request_id`). Not the grant's id, not the token's.
    RequestId
    /// An approved token's access to one organization (`pat_id`).
    GrantId
    /// The token itself (`token_id`): joins a request with the grant that it becomes.
    TokenId
    /// A user.
    UserId
    /// A repository.
    RepositoryId
    /// A team. Slugs follow its name; this stays.
    TeamId
}

/// A user's or organization's login: shown as GitHub wrote it, compared without regard to case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Login(String);

impl Login {
    /// Wraps a login as GitHub wrote it.
    pub fn new(login: impl Into<String>) -> Self {
        Self(login.into())
    }

    /// The login as GitHub wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Login {}

impl PartialOrd for Login {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Login {
    fn cmp(&self, other: &Self) -> Ordering {
        let lower = |login: &Self| login.0.to_ascii_lowercase();
        lower(self).cmp(&lower(other))
    }
}

impl hash::Hash for Login {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
