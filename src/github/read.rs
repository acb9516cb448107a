//! What patwarden reads from GitHub. Nothing in here changes anything.

use std::collections::HashSet;

use super::{Limits, TOKEN_IDS_A_LIST, call::Caller, error::CallError, wire};
use crate::domain::{
    Grant, GrantId, Login, Organization, Repository, RequestId, Role, TokenId, TokenRequest,
    UserId, cut, for_people,
};

/// Pending requests as listed, with the rows that could not be read kept apart: one row that we do not
/// understand must neither hide the others nor count as absent.
#[derive(Debug, Default)]
pub struct Listing {
    /// The rows that were understood.
    pub requests: Vec<TokenRequest>,
    /// The others: the request's id, where at least that could be read, and why not the rest.
    pub unreadable: Vec<(Option<RequestId>, String)>,
}

impl Listing {
    fn add(&mut self, rows: Vec<serde_json::Value>, organization: &Organization) {
        for row in rows {
            let id = row.get("id").and_then(serde_json::Value::as_i64).map(RequestId);
            match serde_json::from_value::<wire::Request>(row) {
                Ok(row) => self.requests.push(row.of(organization)),
                Err(error) => self.unreadable.push((id, why(&error))),
            }
        }
    }
}

/// The access that some tokens have, as listed, with the rows that could not be read kept apart.
#[derive(Debug, Default)]
pub struct Grants {
    grants: Vec<Grant>,
    unreadable: Vec<(Option<TokenId>, String)>,
}

impl Grants {
    fn add(&mut self, rows: Vec<serde_json::Value>, organization: &Organization) {
        for row in rows {
            let token = row.get("token_id").and_then(serde_json::Value::as_i64).map(TokenId);
            match serde_json::from_value::<wire::GrantRow>(row) {
                Ok(row) => self.grants.push(row.of(organization)),
                Err(error) => self.unreadable.push((token, why(&error))),
            }
        }
    }

    /// What one of those tokens may do; `None`: it has no access.
    ///
    /// # Errors
    /// [`CallError::Unreadable`] when a row that may be this token's could not be read.
    pub fn of(&self, token: TokenId) -> Result<Option<&Grant>, CallError> {
        let found = self.grants.iter().find(|grant| grant.token.id == token);
        let unreadable = self.unreadable.iter().find(|(id, _)| id.is_none_or(|id| id == token));
        match (found, unreadable) {
            (None, Some((_, why))) => Err(CallError::Unreadable { why: why.clone() }),
            (found, _) => Ok(found),
        }
    }
}

fn why(error: &serde_json::Error) -> String {
    cut(&for_people(&error.to_string()), 200)
}

/// A reader for one installation.
#[derive(Clone)]
pub struct Read {
    caller: Caller,
}

impl Read {
    pub(super) fn new(caller: Caller) -> Self {
        Self { caller }
    }

    /// What the answers so far said about the rate limit.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.caller.limits.newest()
    }

    /// All pending requests of an organization, oldest first, to the last page.
    ///
    /// Rows that arrive or leave while pages are read can be missed: absence from this list alone proves
    /// nothing, see [`Read::pending_requests_of`].
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn pending_requests(
        &self,
        organization: &Organization,
    ) -> Result<Listing, CallError> {
        let path = format!(
            "/orgs/{}/personal-access-token-requests?per_page=100&sort=created_at&direction=asc",
            segment(organization.login.as_str())
        );
        let mut listing = Listing::default();
        listing.add(self.caller.pages(&path).await?, organization);
        Ok(listing)
    }

    /// The pending requests for these tokens, however many others wait: at most
    /// fifty ids a call.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn pending_requests_of(
        &self,
        organization: &Organization,
        tokens: &[TokenId],
    ) -> Result<Listing, CallError> {
        let mut listing = Listing::default();
        for tokens in tokens.chunks(TOKEN_IDS_A_LIST) {
            let path = format!(
                "/orgs/{}/personal-access-token-requests?per_page=100{}",
                segment(organization.login.as_str()),
                token_ids(tokens)
            );
            listing.add(self.caller.pages(&path).await?, organization);
        }
        Ok(listing)
    }

    /// The access that these tokens have now: at most fifty ids a call.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn grants_of(
        &self,
        organization: &Organization,
        tokens: &[TokenId],
    ) -> Result<Grants, CallError> {
        let mut found = Grants::default();
        for tokens in tokens.chunks(TOKEN_IDS_A_LIST) {
            let path = format!(
                "/orgs/{}/personal-access-tokens?per_page=100{}",
                segment(organization.login.as_str()),
                token_ids(tokens)
            );
            found.add(self.caller.pages(&path).await?, organization);
        }
        Ok(found)
    }

    /// The repositories that a pending request with a `subset` asks for.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn request_repositories(
        &self,
        organization: &Organization,
        request: RequestId,
    ) -> Result<Vec<Repository>, CallError> {
        self.repositories(&format!(
            "/orgs/{}/personal-access-token-requests/{request}/repositories?per_page=100",
            segment(organization.login.as_str())
        ))
        .await
    }

    /// The repositories that an approved token with a `subset` reaches.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn grant_repositories(
        &self,
        organization: &Organization,
        grant: GrantId,
    ) -> Result<Vec<Repository>, CallError> {
        self.repositories(&format!(
            "/orgs/{}/personal-access-tokens/{grant}/repositories?per_page=100",
            segment(organization.login.as_str())
        ))
        .await
    }

    async fn repositories(&self, path: &str) -> Result<Vec<Repository>, CallError> {
        let rows: Vec<wire::MinimalRepository> = self.caller.pages(path).await?;
        Ok(rows.into_iter().map(Repository::from).collect())
    }

    /// A user's role in an organization; [`Role::Stranger`] while an invitation is not accepted.
    ///
    /// # Errors
    /// Whatever the call came to, and for a role whose word we do not know. [`CallError::NotFound`] too: only
    /// members can ask for a token, so GitHub's 404 says that we may not see it, and not what it is.
    pub async fn role(
        &self,
        organization: &Organization,
        login: &Login,
    ) -> Result<Role, CallError> {
        let path = format!(
            "/orgs/{}/memberships/{}",
            segment(organization.login.as_str()),
            segment(login.as_str())
        );
        let membership: wire::Membership = self.caller.get(&path).await?;
        membership.role().ok_or_else(|| CallError::Unreadable {
            why: "the membership has a role that we do not know".to_owned(),
        })
    }

    /// The ids of a team's members, those of its child teams included.
    ///
    /// # Errors
    /// Whatever the calls came to; [`CallError::NotFound`] when there is no such team, which is not the
    /// same as a team without members.
    pub async fn team_members(
        &self,
        organization: &str,
        slug: &str,
    ) -> Result<HashSet<UserId>, CallError> {
        let path =
            format!("/orgs/{}/teams/{}/members?per_page=100", segment(organization), segment(slug));
        let rows: Vec<wire::User> = self.caller.pages(&path).await?;
        Ok(rows.into_iter().map(|user| UserId(user.id)).collect())
    }
}

/// One segment of a path. Logins and slugs come from rule files and from GitHub; neither may add a
/// segment or a query.
pub(super) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                escaped.push(char::from(byte))
            }
            b'.' if !text.trim_matches('.').is_empty() => escaped.push('.'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn token_ids(tokens: &[TokenId]) -> String {
    tokens.iter().map(|token| format!("&token_id%5B%5D={token}")).collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{Login, Organization, OrganizationId, TokenId};

    use super::{Grants, Listing, segment};

    /// Read as "asks for nothing", it would be inside every ceiling; and the grant would fit.
    #[test]
    fn a_row_that_does_not_say_its_permissions_is_not_understood() {
        let organization = Organization { id: OrganizationId(1), login: Login::new("acme") };
        let mut row = serde_json::json!({
            "id": 7, "reason": null, "owner": {"id": 2, "login": "kim"},
            "repository_selection": "none", "created_at": "2026-06-01T12:00:00Z",
            "access_granted_at": "2026-06-01T12:00:00Z", "token_id": 3, "token_name": "x",
            "token_expired": false, "token_expires_at": null, "token_last_used_at": null,
        });
        let (mut listing, mut grants) = (Listing::default(), Grants::default());
        listing.add(vec![row.clone()], &organization);
        grants.add(vec![row.clone()], &organization);
        assert_eq!((listing.requests.len(), listing.unreadable.len()), (0, 1));
        assert!(grants.of(TokenId(3)).is_err());
        row["permissions"] = serde_json::json!({});
        listing.add(vec![row], &organization);
        assert_eq!(listing.requests.len(), 1);
    }

    #[test]
    fn a_name_cannot_climb_out_of_its_place_in_a_path() {
        assert_eq!(segment("acme"), "acme");
        assert_eq!(segment("a/b?c#d"), "a%2Fb%3Fc%23d");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("v1.2"), "v1.2");
        assert_eq!(segment("é"), "%C3%A9");
    }
}
