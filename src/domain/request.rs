//! A token request, the grant it becomes, and who asks whom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GrantId, Login, OrganizationId, Permissions, RequestId, TokenId, UserId};

/// An organization: keyed by id, shown by login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// The id, which outlives renames.
    pub id: OrganizationId,
    /// The login at the time of reading.
    pub login: Login,
}

/// The user to whom a token belongs (GitHub's word; not an owner of the organization).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The id, which outlives renames.
    pub id: UserId,
    /// The login at the time of reading.
    pub login: Login,
}

/// Which repositories a token asks for. GitHub says `none`, `all` or `subset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepositorySelection {
    /// None: the token reads public data only.
    None,
    /// All of them, also those that do not exist yet.
    All,
    /// Those that were picked; which they are is a fact to be read.
    Subset,
}

impl RepositorySelection {
    /// The word that GitHub and rule files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
            Self::Subset => "subset",
        }
    }
}

/// Whether a request is for a token that has no access yet or for more than it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// The token has no access to the organization yet.
    New,
    /// The token was approved before and its owner edited it.
    Change,
}

impl RequestKind {
    /// The word that rule files use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Change => "change",
        }
    }
}

/// The token that a request or a grant is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedToken {
    /// The token's own id.
    pub id: TokenId,
    /// The name its owner gave it: hostile text until escaped.
    pub name: String,
    /// Whether it has expired.
    pub expired: bool,
    /// When it expires; `None` means never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used; `None` means never.
    pub last_used_at: Option<Timestamp>,
}

/// A request as GitHub's list of pending requests shows it.
///
/// Source: <https://docs.github.com/rest/orgs/personal-access-tokens#list-requests-to-access-organization-resources-with-fine-grained-personal-access-tokens>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The request's id.
    pub id: RequestId,
    /// The organization that is asked.
    pub organization: Organization,
    /// Who asks.
    pub owner: Owner,
    /// For which token.
    pub token: RequestedToken,
    /// Why, in the requester's words: hostile text until escaped. `None` is the empty string.
    pub reason: Option<String>,
    /// Which repositories.
    pub repository_selection: RepositorySelection,
    /// To do what: the whole of what the token would have afterwards.
    pub permissions: Permissions,
    /// When the request was made.
    pub created_at: Timestamp,
}

/// An approved token's access to an organization.
///
/// Source: <https://docs.github.com/rest/orgs/personal-access-tokens#list-fine-grained-personal-access-tokens-with-access-to-organization-resources>.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The grant's id.
    pub id: GrantId,
    /// The organization that the token may use.
    pub organization: Organization,
    /// Whose token it is.
    pub owner: Owner,
    /// The token.
    pub token: RequestedToken,
    /// Which repositories.
    pub repository_selection: RepositorySelection,
    /// To do what.
    pub permissions: Permissions,
    /// When access was granted.
    pub access_granted_at: Timestamp,
}
