//! Requests and grants as the REST lists show them.

use serde_json::{Value, json};

use super::time::with_millis;
use super::{Urls, ghost, simple_user};
use crate::tokens::{GrantRow, PendingRequest, Token};
use crate::world::User;

/// The schema `organization-programmatic-access-grant-request`.
pub(crate) fn request(
    row: &PendingRequest,
    token: &Token,
    owner: Option<&User>,
    now: i64,
    urls: &Urls,
) -> Value {
    let offset = owner.map_or(0, |owner| owner.utc_offset_minutes);
    json!({
        "id": row.id,
        "reason": row.reason,
        "owner": owner.map_or_else(|| ghost(urls), |owner| simple_user(owner, urls)),
        "repository_selection": row.shape.repositories.as_str(),
        "repositories_url": format!(
            "{}/organizations/{}/personal-access-token-requests/{}/repositories",
            urls.api, token.organization, row.id
        ),
        "permissions": row.shape.permissions.to_json(),
        "created_at": with_millis(row.created_at, offset),
        "token_id": token.id,
        "token_name": token.name,
        "token_expired": token.is_expired(now),
        "token_expires_at": token.expires_at.map(|at| with_millis(at, offset)),
        "token_last_used_at": token.last_used_at.map(|at| with_millis(at, offset)),
    })
}

/// The schema `organization-programmatic-access-grant`.
pub(crate) fn grant(
    row: &GrantRow,
    token: &Token,
    owner: Option<&User>,
    now: i64,
    urls: &Urls,
) -> Value {
    let offset = owner.map_or(0, |owner| owner.utc_offset_minutes);
    json!({
        "id": row.id,
        "owner": owner.map_or_else(|| ghost(urls), |owner| simple_user(owner, urls)),
        "repository_selection": row.shape.repositories.as_str(),
        "repositories_url": format!(
            "{}/organizations/{}/personal-access-tokens/{}/repositories",
            urls.api, token.organization, row.id
        ),
        "permissions": row.shape.permissions.to_json(),
        "access_granted_at": with_millis(row.granted_at, offset),
        "token_id": token.id,
        "token_name": token.name,
        "token_expired": token.is_expired(now),
        "token_expires_at": token.expires_at.map(|at| with_millis(at, offset)),
        "token_last_used_at": token.last_used_at.map(|at| with_millis(at, offset)),
    })
}

impl Token {
    /// `now` in Unix seconds.
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
