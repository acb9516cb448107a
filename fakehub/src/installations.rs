//! Where the App is installed and what it may do there. Tokens and their checks are in `auth`.

use std::collections::BTreeMap;

/// Events the App is subscribed to.
pub(crate) const EVENTS: [&str; 3] =
    ["membership", "organization", "personal_access_token_request"];

/// The App on one organization; times are Unix seconds.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) id: u64,
    pub(crate) organization: u64,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) suspended_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
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
