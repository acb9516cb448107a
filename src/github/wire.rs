//! What GitHub sends, as far as we read it: unknown fields are ignored, nothing here leaves this folder
//! but as one of our own nouns.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{
    self, AccessLevel, Grant, GrantId, InstallationId, Login, Organization, OrganizationId, Owner,
    Permissions, Repository, RepositoryId, RepositorySelection, RequestId, RequestedToken, Role,
    TokenId, TokenRequest, UserId, Visibility,
};

#[derive(Deserialize)]
pub(super) struct Installation {
    id: i64,
    account: Option<Account>,
    #[serde(default)]
    target_type: Option<String>,
    #[serde(default)]
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    #[serde(default)]
    login: Option<String>,
}

impl Installation {
    pub(super) fn on_an_organization(self) -> Option<domain::Installation> {
        if self.target_type.as_deref() != Some("Organization") {
            return None;
        }
        let account = self.account?;
        Some(domain::Installation {
            id: InstallationId(self.id),
            organization: Organization {
                id: OrganizationId(account.id),
                login: Login::new(account.login?),
            },
            suspended: self.suspended_at.is_some(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    login: String,
}

impl From<User> for Owner {
    fn from(user: User) -> Self {
        Self { id: UserId(user.id), login: Login::new(user.login) }
    }
}

/// A user as everybody may see them.
#[derive(Deserialize)]
pub(super) struct Profile {
    id: i64,
    email: Option<String>,
}

impl Profile {
    pub(super) fn address_of(self, user: UserId) -> Option<String> {
        self.email.filter(|_| self.id == user.0)
    }
}

#[derive(Default, Deserialize)]
struct PermissionMaps {
    #[serde(default)]
    repository: Option<BTreeMap<String, AccessLevel>>,
    #[serde(default)]
    organization: Option<BTreeMap<String, AccessLevel>>,
    #[serde(default)]
    other: Option<BTreeMap<String, AccessLevel>>,
    // A group we do not know must not vanish: what it asks for counts as `other`, which nothing allows.
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

impl From<PermissionMaps> for Permissions {
    fn from(maps: PermissionMaps) -> Self {
        let mut other = maps.other.unwrap_or_default();
        for (group, value) in maps.unknown {
            let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
            if !empty {
                other.insert(
                    group,
                    AccessLevel::Unrecognized(crate::domain::cut(&value.to_string(), 200)),
                );
            }
        }
        Self {
            repository: maps.repository.unwrap_or_default(),
            organization: maps.organization.unwrap_or_default(),
            other,
        }
    }
}

/// What requests and grants say of the token itself.
#[derive(Deserialize)]
struct Token {
    token_id: i64,
    token_name: String,
    #[serde(default)]
    token_expired: bool,
    #[serde(deserialize_with = "required")]
    token_expires_at: Option<Timestamp>,
    #[serde(default)]
    token_last_used_at: Option<Timestamp>,
}

/// `null` means "never expires"; a field that is not there means we do not understand the answer. Reading
/// the second as the first, or the first as anything harmless, is how a predecessor approved such tokens.
fn required<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    Option::deserialize(deserializer)
}

impl From<Token> for RequestedToken {
    fn from(token: Token) -> Self {
        Self {
            id: TokenId(token.token_id),
            name: token.token_name,
            expired: token.token_expired,
            expires_at: token.token_expires_at,
            last_used_at: token.token_last_used_at,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Request {
    id: i64,
    #[serde(default)]
    reason: Option<String>,
    owner: User,
    repository_selection: RepositorySelection,
    // Not there is not the same as nothing asked, which is inside every ceiling.
    permissions: PermissionMaps,
    created_at: Timestamp,
    #[serde(flatten)]
    token: Token,
}

impl Request {
    pub(super) fn of(self, organization: &Organization) -> TokenRequest {
        TokenRequest {
            id: RequestId(self.id),
            organization: organization.clone(),
            owner: self.owner.into(),
            token: self.token.into(),
            reason: self.reason,
            repository_selection: self.repository_selection,
            permissions: self.permissions.into(),
            created_at: self.created_at,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct GrantRow {
    id: i64,
    owner: User,
    repository_selection: RepositorySelection,
    // Not there is not the same as nothing asked, which is inside every ceiling.
    permissions: PermissionMaps,
    access_granted_at: Timestamp,
    #[serde(flatten)]
    token: Token,
}

impl GrantRow {
    pub(super) fn of(self, organization: &Organization) -> Grant {
        Grant {
            id: GrantId(self.id),
            organization: organization.clone(),
            owner: self.owner.into(),
            token: self.token.into(),
            repository_selection: self.repository_selection,
            permissions: self.permissions.into(),
            access_granted_at: self.access_granted_at,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct MinimalRepository {
    id: i64,
    name: String,
    #[serde(default)]
    visibility: Option<String>,
    #[serde(default)]
    archived: Option<bool>,
    #[serde(default)]
    topics: Option<Vec<String>>,
}

impl From<MinimalRepository> for Repository {
    fn from(repository: MinimalRepository) -> Self {
        Self {
            visibility: match repository.visibility.as_deref() {
                Some("public") => Some(Visibility::Public),
                Some("private") => Some(Visibility::Private),
                Some("internal") => Some(Visibility::Internal),
                _ => None,
            },
            archived: repository.archived,
            topics: repository.topics,
            ..Self::new(RepositoryId(repository.id), repository.name)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Membership {
    state: String,
    role: String,
    #[serde(default)]
    user: Option<IdOnly>,
}

impl Membership {
    /// Whether it is this user's, as far as the answer says whose it is.
    pub(super) fn is_of(&self, user: UserId) -> bool {
        self.user.as_ref().is_none_or(|found| found.id == user.0)
    }

    /// Whose it is, as far as the answer says.
    pub(super) fn whose(&self) -> Option<UserId> {
        self.user.as_ref().map(|user| UserId(user.id))
    }

    /// The role, or `None` for a word that we do not know.
    pub(super) fn role(&self) -> Option<Role> {
        // An invitation that was not accepted gives no role yet.
        if self.state != "active" {
            return Some(Role::Stranger);
        }
        match self.role.as_str() {
            "admin" => Some(Role::Owner),
            "member" => Some(Role::Member),
            "billing_manager" => Some(Role::BillingManager),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Team {
    pub(super) id: i64,
    pub(super) slug: String,
}

/// The custom properties of one repository.
#[derive(Deserialize)]
pub(super) struct PropertyValues {
    pub(super) repository_id: i64,
    properties: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct PropertyValue {
    property_name: String,
    value: serde_json::Value,
}

impl PropertyValues {
    /// The values by name in lower case, of the properties that are `wanted`: an empty list where one has no
    /// value. One that we cannot read is left out, and so not known.
    pub(super) fn of(self, wanted: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
        let read = |row| {
            let PropertyValue { property_name, value } = serde_json::from_value(row).ok()?;
            let name = property_name.to_ascii_lowercase();
            let values = match value {
                serde_json::Value::Null => Some(Vec::new()),
                serde_json::Value::String(text) => Some(vec![text]),
                list => serde_json::from_value(list).ok(),
            };
            wanted.contains(&name).then_some(name).zip(values)
        };
        self.properties.into_iter().filter_map(read).collect()
    }
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The login.
    pub login: String,
    /// Whether GitHub says that it is an App's bot and not a person.
    pub is_bot: bool,
}

/// What a `personal_access_token_request` event says happened.
///
/// Source: <https://docs.github.com/webhooks/webhook-events-and-payloads#personal_access_token_request>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEventAction {
    /// Somebody asks.
    Created,
    /// An owner or an App said yes.
    Approved,
    /// An owner or an App said no.
    Denied,
    /// The requester took it back.
    Cancelled,
}

/// A `personal_access_token_request` event, as far as we use it. It wakes; the list decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestEvent {
    /// What happened.
    pub action: RequestEventAction,
    /// To which request.
    pub id: RequestId,
    /// Of which organization.
    pub organization: Organization,
    /// Under which installation; GitHub may leave it out of `created`.
    pub installation: Option<InstallationId>,
    /// For which token; older servers leave it out.
    pub token_id: Option<TokenId>,
    /// The token's name; older servers leave it out.
    pub token_name: Option<String>,
    /// Whose token.
    pub owner: Owner,
    /// Who caused the event.
    pub sender: Option<Sender>,
}

#[derive(Deserialize)]
struct RequestPayload {
    action: String,
    personal_access_token_request: RequestInPayload,
    organization: OrganizationInPayload,
    #[serde(default)]
    installation: Option<IdOnly>,
    #[serde(default)]
    sender: Option<SenderInPayload>,
}

#[derive(Deserialize)]
struct RequestInPayload {
    id: i64,
    owner: User,
    #[serde(default)]
    token_id: Option<i64>,
    #[serde(default)]
    token_name: Option<String>,
}

#[derive(Deserialize)]
struct OrganizationInPayload {
    id: i64,
    login: String,
}

#[derive(Deserialize)]
struct IdOnly {
    id: i64,
}

#[derive(Deserialize)]
struct SenderInPayload {
    login: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// GitHub's own limit is 39; enterprises add a short code, and bots `[bot]`.
const LONGEST_LOGIN: usize = 200;

/// What is kept of a token's name until a list shows it: GitHub's own limit is 40.
const LONGEST_TOKEN_NAME: usize = 1_000;

/// The organization of which an `organization` or a `membership` event says that somebody left it, or a team of it.
#[must_use]
pub fn parse_departure_event(body: &[u8]) -> Option<OrganizationId> {
    #[derive(Deserialize)]
    struct Payload {
        action: String,
        organization: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        id: i64,
    }
    let payload: Payload = serde_json::from_slice(body).ok()?;
    let left = matches!(payload.action.as_str(), "member_removed" | "removed");
    left.then_some(OrganizationId(payload.organization.id))
}

/// Reads the payload of a `personal_access_token_request` event.
///
/// # Errors
/// Says what is missing or unknown; such a delivery is kept and shown, never dropped.
pub fn parse_request_event(body: &[u8]) -> Result<RequestEvent, String> {
    let payload: RequestPayload =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let action = match payload.action.as_str() {
        "created" => RequestEventAction::Created,
        "approved" => RequestEventAction::Approved,
        "denied" => RequestEventAction::Denied,
        "cancelled" => RequestEventAction::Cancelled,
        other => {
            let other = crate::domain::cut(&crate::domain::for_people(other), 60);
            return Err(format!("the action `{other}` is not one we know"));
        }
    };
    let request = payload.personal_access_token_request;
    // Kept with the request, and read with every other that is due: only as long as GitHub's may be.
    let logins = [
        Some(&payload.organization.login),
        Some(&request.owner.login),
        payload.sender.as_ref().map(|sender| &sender.login),
    ];
    if logins.into_iter().flatten().any(|login| login.len() > LONGEST_LOGIN) {
        return Err(format!("a login is longer than {LONGEST_LOGIN} bytes"));
    }
    Ok(RequestEvent {
        action,
        id: RequestId(request.id),
        organization: Organization {
            id: OrganizationId(payload.organization.id),
            login: Login::new(payload.organization.login),
        },
        installation: payload.installation.map(|installation| InstallationId(installation.id)),
        token_id: request.token_id.map(TokenId),
        token_name: request.token_name.map(|name| crate::domain::cut(&name, LONGEST_TOKEN_NAME)),
        owner: request.owner.into(),
        sender: payload.sender.map(|sender| Sender {
            is_bot: sender.kind.as_deref() == Some("Bot") || sender.login.ends_with("[bot]"),
            login: sender.login,
        }),
    })
}
