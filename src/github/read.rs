//! What patwarden reads from GitHub. Nothing in here changes anything.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Limits, OWNERS_A_LIST, TOKEN_IDS_A_LIST, call::Caller, error::CallError, wire};
use crate::domain::{
    Grant, GrantId, Login, Organization, Owner, Repository, RepositoryId, RequestId, Role, TeamId,
    TokenId, TokenRequest, UserId, cut, for_people,
};

/// The custom properties of each repository: values by name in lower case.
pub type CustomProperties = HashMap<RepositoryId, BTreeMap<String, Vec<String>>>;

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

/// Which grants are listed: GitHub's own filters. All that are set must hold.
///
/// Source: <https://docs.github.com/rest/orgs/personal-access-tokens#list-fine-grained-personal-access-tokens-with-access-to-organization-resources>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantQuery {
    /// With access to this repository.
    pub repository: Option<String>,
}

impl GrantQuery {
    fn parameters(&self) -> String {
        self.repository
            .as_deref()
            .map(|name| format!("&repository={}", segment(name)))
            .unwrap_or_default()
    }
}

/// A list of grants that is read page by page.
pub struct GrantPages {
    caller: Caller,
    organization: Organization,
    next: Option<String>,
    pages: u32,
}

/// One page of it.
#[derive(Debug, Default)]
pub struct GrantPage {
    /// The rows that were understood.
    pub grants: Vec<Grant>,
    /// The others: the grant's id, where at least that could be read, and why not the rest.
    pub unreadable: Vec<(Option<GrantId>, String)>,
}

impl GrantPages {
    /// The next page; `None` after the last. After a failure the same page is asked for again.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn next(&mut self) -> Result<Option<GrantPage>, CallError> {
        let Some(path) = &self.next else { return Ok(None) };
        if self.pages >= MOST_PAGES {
            return Err(CallError::Unreadable {
                why: format!("a list of more than {MOST_PAGES} pages"),
            });
        }
        let (rows, next): (Vec<serde_json::Value>, _) = self.caller.page(path).await?;
        self.pages += 1;
        self.next = next;
        let mut page = GrantPage::default();
        for row in rows {
            let id = row.get("id").and_then(serde_json::Value::as_i64).map(GrantId);
            match serde_json::from_value::<wire::GrantRow>(row) {
                Ok(row) => page.grants.push(row.of(&self.organization)),
                Err(error) => page.unreadable.push((id, why(&error))),
            }
        }
        Ok(Some(page))
    }

    /// Whether the last page was read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// How many pages were read.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.pages
    }
}

/// The access that some tokens have, as listed, with the rows that could not be read kept apart.
#[derive(Debug, Default)]
pub struct Grants {
    grants: Vec<Grant>,
    unreadable: Vec<UnreadableGrant>,
}

#[derive(Debug)]
struct UnreadableGrant {
    token: Option<TokenId>,
    owner: Option<UserId>,
    why: String,
}

impl Grants {
    fn add(&mut self, rows: Vec<serde_json::Value>, organization: &Organization) {
        for row in rows {
            let number = |row: Option<&serde_json::Value>| row.and_then(serde_json::Value::as_i64);
            let token = number(row.get("token_id")).map(TokenId);
            let owner = number(row.get("owner").and_then(|owner| owner.get("id"))).map(UserId);
            match serde_json::from_value::<wire::GrantRow>(row) {
                Ok(row) => self.grants.push(row.of(organization)),
                Err(error) => {
                    self.unreadable.push(UnreadableGrant { token, owner, why: why(&error) });
                }
            }
        }
    }

    /// What one of those tokens may do; `None`: it has no access.
    ///
    /// # Errors
    /// [`CallError::Unreadable`] when a row that may be this token's could not be read.
    pub fn of(&self, token: TokenId) -> Result<Option<&Grant>, CallError> {
        let found = self.grants.iter().find(|grant| grant.token.id == token);
        let unreadable =
            self.unreadable.iter().find(|row| row.token.is_none_or(|row| row == token));
        match (found, unreadable) {
            (None, Some(row)) => Err(CallError::Unreadable { why: row.why.clone() }),
            (found, _) => Ok(found),
        }
    }

    /// All of them that could be read.
    #[must_use]
    pub fn into_readable(self) -> Vec<Grant> {
        self.grants
    }

    /// What the tokens of one of those owners may do.
    ///
    /// # Errors
    /// [`CallError::Unreadable`] when a row that may be this owner's could not be read: nobody knows how many
    /// there are.
    pub fn of_owner(&self, owner: UserId) -> Result<Vec<&Grant>, CallError> {
        match self.unreadable.iter().find(|row| row.owner.is_none_or(|row| row == owner)) {
            Some(row) => Err(CallError::Unreadable { why: row.why.clone() }),
            // By id: who has this login may have changed since.
            None => Ok(self.grants.iter().filter(|grant| grant.owner.id == owner).collect()),
        }
    }
}

fn why(error: &serde_json::Error) -> String {
    cut(&for_people(&error.to_string()), 200)
}

/// The most pages of one list of grants: half a million tokens.
const MOST_PAGES: u32 = 5_000;

/// A reader for one installation.
#[derive(Clone)]
pub struct Read {
    caller: Caller,
}

impl Read {
    pub(super) fn new(caller: Caller) -> Self {
        Self { caller }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
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

    /// The pending requests for tokens that would reach a repository, as GitHub's own filter has them.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn pending_requests_reaching(
        &self,
        organization: &Organization,
        repository: &str,
    ) -> Result<Listing, CallError> {
        let path = format!(
            "/orgs/{}/personal-access-token-requests?per_page=100&repository={}",
            segment(organization.login.as_str()),
            segment(repository)
        );
        let mut listing = Listing::default();
        listing.add(self.caller.pages(&path).await?, organization);
        Ok(listing)
    }

    /// All grants of an organization that pass `query`, page by page, oldest first: never more than one page at once.
    #[must_use]
    pub fn grant_pages(&self, organization: &Organization, query: &GrantQuery) -> GrantPages {
        let path = format!(
            "/orgs/{}/personal-access-tokens?per_page=100&sort=created_at&direction=asc{}",
            segment(organization.login.as_str()),
            query.parameters()
        );
        GrantPages {
            caller: self.caller.clone(),
            organization: organization.clone(),
            next: Some(path),
            pages: 0,
        }
    }

    /// The members of an organization with one role, to the last page. GitHub's list has owners and ordinary members.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn members(
        &self,
        organization: &Organization,
        role: Role,
    ) -> Result<Vec<Owner>, CallError> {
        let role = if role == Role::Owner { "admin" } else { "member" };
        let path = format!(
            "/orgs/{}/members?per_page=100&role={role}",
            segment(organization.login.as_str())
        );
        let rows: Vec<wire::User> = self.caller.pages(&path).await?;
        Ok(rows.into_iter().map(Owner::from).collect())
    }

    /// How far our clock is ahead of GitHub's, by the `Date` of the last answer; `None`: no answer had one.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<jiff::SignedDuration> {
        self.caller.limits.clock_ahead()
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

    /// The access that the tokens of these users have now: at most ten users a call, and a call for each page.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn grants_of_owners(
        &self,
        organization: &Organization,
        owners: &[Login],
    ) -> Result<Grants, CallError> {
        let mut found = Grants::default();
        for owners in owners.chunks(OWNERS_A_LIST) {
            let owners: String = owners
                .iter()
                .map(|owner| format!("&owner%5B%5D={}", segment(owner.as_str())))
                .collect();
            let path = format!(
                "/orgs/{}/personal-access-tokens?per_page=100{owners}",
                segment(organization.login.as_str())
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
    /// members can ask for a token, so GitHub's 404 says that we may not see it, and not what it is; and when the login
    /// is another user's by now, for it can be given up and taken.
    pub async fn role(&self, organization: &Organization, user: &Owner) -> Result<Role, CallError> {
        let membership = self.membership(organization, &user.login).await?;
        if !membership.is_of(user.id) {
            return Err(CallError::NotFound);
        }
        known_role(&membership)
    }

    /// The role of whoever has this login now.
    ///
    /// # Errors
    /// As for [`Read::role`].
    pub async fn role_of_login(
        &self,
        organization: &Organization,
        login: &Login,
    ) -> Result<Role, CallError> {
        known_role(&self.membership(organization, login).await?)
    }

    /// The number of the member who has this login now.
    ///
    /// # Errors
    /// As for [`Read::role`].
    pub async fn user_of(
        &self,
        organization: &Organization,
        login: &Login,
    ) -> Result<UserId, CallError> {
        let membership = self.membership(organization, login).await?;
        let user = membership.whose();
        user.filter(|_| membership.role() != Some(Role::Stranger)).ok_or(CallError::NotFound)
    }

    async fn membership(
        &self,
        organization: &Organization,
        login: &Login,
    ) -> Result<wire::Membership, CallError> {
        let path = format!(
            "/orgs/{}/memberships/{}",
            segment(organization.login.as_str()),
            segment(login.as_str())
        );
        self.caller.get(&path).await
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
        let people = self.people_of_team(organization, slug).await?;
        Ok(people.into_iter().map(|person| person.id).collect())
    }

    /// The same with their logins.
    ///
    /// # Errors
    /// As for [`Read::team_members`].
    pub async fn people_of_team(
        &self,
        organization: &str,
        slug: &str,
    ) -> Result<Vec<Owner>, CallError> {
        let path =
            format!("/orgs/{}/teams/{}/members?per_page=100", segment(organization), segment(slug));
        let rows: Vec<wire::User> = self.caller.pages(&path).await?;
        Ok(rows.into_iter().map(Owner::from).collect())
    }

    /// The mail address that somebody shows to everybody; `None`: they show none, or the login is another user's by now.
    /// Whatever they wrote there: it may be no address.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn public_address(&self, user: &Owner) -> Result<Option<String>, CallError> {
        let path = format!("/users/{}", segment(user.login.as_str()));
        match self.caller.get::<wire::Profile>(&path).await {
            Ok(profile) => Ok(profile.address_of(user.id)),
            Err(CallError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A team's id, by its slug.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::NotFound`] when no team that we may see has this slug.
    pub async fn team(&self, organization: &str, slug: &str) -> Result<TeamId, CallError> {
        let path = format!("/orgs/{}/teams/{}", segment(organization), segment(slug));
        let team: wire::Team = self.caller.get(&path).await?;
        Ok(TeamId(team.id))
    }

    /// A hundred of an organization's teams, which in most is all of them: ids by slug in lower case.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn some_teams(
        &self,
        organization: &str,
    ) -> Result<HashMap<String, TeamId>, CallError> {
        let path = format!("/orgs/{}/teams?per_page=100", segment(organization));
        let (teams, _): (Vec<wire::Team>, _) = self.caller.page(&path).await?;
        Ok(teams.into_iter().map(|team| (team.slug.to_lowercase(), TeamId(team.id))).collect())
    }

    /// The values that the repositories of an organization have for the custom properties of these names, which
    /// are in lower case. A repository of which GitHub says nothing that we can read is not in it.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn custom_properties(
        &self,
        organization: &Organization,
        names: &BTreeSet<String>,
    ) -> Result<CustomProperties, CallError> {
        let path = format!(
            "/orgs/{}/properties/values?per_page=100",
            segment(organization.login.as_str())
        );
        let rows: Vec<serde_json::Value> = self.caller.pages(&path).await?;
        let rows = rows.into_iter().filter_map(|row| serde_json::from_value(row).ok());
        Ok(rows
            .map(|row: wire::PropertyValues| (RepositoryId(row.repository_id), row.of(names)))
            .collect())
    }
}

fn known_role(membership: &wire::Membership) -> Result<Role, CallError> {
    membership.role().ok_or_else(|| CallError::Unreadable {
        why: "the membership has a role that we do not know".to_owned(),
    })
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
    use crate::domain::{Login, Organization, OrganizationId, TokenId, UserId};

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
        assert!(grants.of_owner(UserId(2)).is_err(), "nobody knows how many they are");
        assert_eq!(grants.of_owner(UserId(1)), Ok(Vec::new()));
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
