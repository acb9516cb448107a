//! Fine-grained tokens: how a test describes one, and what a request, a grant and their outcomes are. No behaviour; that is in `lifecycle`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::permissions::Permissions;

/// How long a token is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// For ever: `token_expires_at` is null.
    Never,
    /// From the moment of asking.
    For(Duration),
    /// Until this moment.
    Until(Timestamp),
}

/// The repositories a token is for, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryChoice {
    /// None: public ones only.
    None,
    /// All of the organization, present and future.
    All,
    /// These.
    Named(Vec<String>),
}

/// What a person asks for on the page "New fine-grained personal access token".
///
/// ```
/// use fakehub::TokenSpec;
/// let spec = TokenSpec::by("kim")
///     .named("ci-build")
///     .lasting_days(30)
///     .on(["web", "api"])
///     .repository_permission("contents", "read")
///     .because("CHG-1: nightly builds");
/// assert_eq!(spec.owner, "kim");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// The login of the person who asks.
    pub owner: String,
    /// The token's name.
    pub name: String,
    /// How long it is to live; 30 days unless told.
    pub lifetime: Lifetime,
    /// The repositories; none unless told.
    pub repositories: RepositoryChoice,
    /// The permissions; none unless told. `metadata: read` comes by itself with any repository permission.
    pub permissions: Permissions,
    /// The justification.
    pub reason: Option<String>,
    /// When the token was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it was asked for or granted; now unless told.
    pub since: Option<Timestamp>,
}

impl TokenSpec {
    /// A token of this person: named `token`, 30 days, no repositories, no permissions.
    #[must_use]
    pub fn by(login: &str) -> Self {
        Self {
            owner: login.to_owned(),
            name: "token".to_owned(),
            lifetime: Lifetime::For(Duration::from_secs(30 * 86_400)),
            repositories: RepositoryChoice::None,
            permissions: Permissions::default(),
            reason: None,
            last_used_at: None,
            since: None,
        }
    }

    /// Names the token.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Lets it live this many days.
    #[must_use]
    pub fn lasting_days(self, days: u64) -> Self {
        self.lasting(Duration::from_secs(days.saturating_mul(86_400)))
    }

    /// Lets it live this long.
    #[must_use]
    pub fn lasting(mut self, lifetime: Duration) -> Self {
        self.lifetime = Lifetime::For(lifetime);
        self
    }

    /// Lets it live until this moment, which may be past.
    #[must_use]
    pub fn until(mut self, at: Timestamp) -> Self {
        self.lifetime = Lifetime::Until(at);
        self
    }

    /// Lets it live for ever.
    #[must_use]
    pub fn never_expires(mut self) -> Self {
        self.lifetime = Lifetime::Never;
        self
    }

    /// For these repositories.
    #[must_use]
    pub fn on<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.repositories = RepositoryChoice::Named(names.into_iter().map(Into::into).collect());
        self
    }

    /// For all repositories.
    #[must_use]
    pub fn on_all(mut self) -> Self {
        self.repositories = RepositoryChoice::All;
        self
    }

    /// For no repository.
    #[must_use]
    pub fn on_none(mut self) -> Self {
        self.repositories = RepositoryChoice::None;
        self
    }

    /// With a permission on the repositories.
    #[must_use]
    pub fn repository_permission(mut self, name: &str, level: &str) -> Self {
        self.permissions.repository.insert(name.to_owned(), level.to_owned());
        self.permissions
            .repository
            .entry("metadata".to_owned())
            .or_insert_with(|| "read".to_owned());
        self
    }

    /// With a permission on the organization.
    #[must_use]
    pub fn organization_permission(mut self, name: &str, level: &str) -> Self {
        self.permissions.organization.insert(name.to_owned(), level.to_owned());
        self
    }

    /// With a permission of GitHub's third group.
    #[must_use]
    pub fn other_permission(mut self, name: &str, level: &str) -> Self {
        self.permissions.other.insert(name.to_owned(), level.to_owned());
        self
    }

    /// With exactly these permissions.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// With this justification.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    /// Asked for, or granted, at this moment: a lifetime runs from here.
    #[must_use]
    pub fn since(mut self, at: Timestamp) -> Self {
        self.since = Some(at);
        self
    }

    /// Last used at this moment.
    #[must_use]
    pub fn last_used(mut self, at: Timestamp) -> Self {
        self.last_used_at = Some(at);
        self
    }
}

/// The three ids of a request. They are never equal to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestIds {
    /// `id` of the request, which is `pat_request_id` in paths.
    pub request_id: u64,
    /// `token_id`, which joins request and grant.
    pub token_id: u64,
    /// `id` of the grant (`pat_id`), where an owner's own token was approved at once.
    pub grant_id: Option<u64>,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The App, over the API.
    App,
    /// A person, in the browser; the login.
    Person(String),
    /// GitHub itself: an owner's own token needs nobody.
    GitHub,
}

/// What a person does with a request on the organization's settings page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// Approves it.
    Approve,
    /// Denies it, with a reason that goes to the requester; an empty one is none.
    Deny(String),
}

impl Review {
    /// A denial with this reason.
    #[must_use]
    pub fn deny(reason: &str) -> Self {
        Self::Deny(reason.to_owned())
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It waits.
    Pending,
    /// It became a grant.
    Approved {
        /// Who approved it.
        by: Actor,
        /// The reason given.
        reason: Option<String>,
        /// When.
        at: Timestamp,
        /// The grant it became, or whose shape it replaced.
        grant_id: u64,
    },
    /// It was refused.
    Denied {
        /// Who denied it.
        by: Actor,
        /// The reason given.
        reason: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// The requester took it back, deleted the token or left.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// No request has this id.
    NeverAsked,
}

impl Outcome {
    /// Whether it waits.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending)
    }

    /// Whether it was approved.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        matches!(self, Self::Approved { .. })
    }

    /// Whether it was denied.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// The reason of an approval or a denial.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Approved { reason, .. } | Self::Denied { reason, .. } => reason.as_deref(),
            _ => None,
        }
    }

    /// Who approved or denied it.
    #[must_use]
    pub fn by(&self) -> Option<&Actor> {
        match self {
            Self::Approved { by, .. } | Self::Denied { by, .. } => Some(by),
            _ => None,
        }
    }
}

/// One review that reached the endpoint, single or as part of a bulk call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewCall {
    /// The request's id.
    pub request_id: u64,
    /// `approve` or `deny`, as sent.
    pub action: String,
    /// The reason sent.
    pub reason: Option<String>,
    /// Whether it was part of a bulk call.
    pub bulk: bool,
    /// The installation whose token was used.
    pub installation: u64,
    /// When it took effect, or was found to have none.
    pub at: Timestamp,
    /// What it did.
    pub effect: Effect,
}

/// What a review call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request was settled by this call.
    Applied,
    /// The request had been settled before.
    AlreadySettled,
    /// The organization has no such request.
    Unknown,
}

/// A grant that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The grant's id (`pat_id`).
    pub grant_id: u64,
    /// The token's id.
    pub token_id: u64,
    /// The token's owner.
    pub owner: String,
    /// Who took it back.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// A grant as a test sees it: an approved token of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `id`, which is `pat_id` in paths.
    pub id: u64,
    /// The token's id.
    pub token_id: u64,
    /// The token's name.
    pub token_name: String,
    /// The owner's login.
    pub owner: String,
    /// The repositories.
    pub repositories: RepositoryChoice,
    /// The permissions.
    pub permissions: Permissions,
    /// When access was granted.
    pub granted_at: Timestamp,
    /// When the token expires.
    pub expires_at: Option<Timestamp>,
}

/// What access a token has or asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) repositories: Selection,
    pub(crate) permissions: Arc<Permissions>,
}

/// GitHub's `repository_selection`, with repository ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    None,
    All,
    Subset(Arc<[u64]>),
}

impl Selection {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
            Self::Subset(_) => "subset",
        }
    }
}

/// A token itself; times are Unix seconds.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) owner: u64,
    pub(crate) organization: u64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) last_used_at: Option<i64>,
}

/// A request waiting for review.
#[derive(Debug, Clone)]
pub(crate) struct PendingRequest {
    pub(crate) id: u64,
    pub(crate) token: u64,
    pub(crate) owner: u64,
    pub(crate) shape: Shape,
    /// What the token had been granted when this was asked: the difference is what the webhook shows.
    pub(crate) before: Option<Shape>,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: i64,
}

/// Access an organization has granted.
#[derive(Debug, Clone)]
pub(crate) struct GrantRow {
    pub(crate) id: u64,
    pub(crate) token: u64,
    pub(crate) owner: u64,
    pub(crate) shape: Shape,
    pub(crate) granted_at: i64,
}
