//! The only place that knows octocrab: App authentication, wire types, reading, writing, pages, limits, errors.

mod app;
mod call;
mod changes;
mod conversion;
mod deliveries;
mod error;
mod host;
mod issues;
mod limits;
mod link;
mod names;
mod read;
mod registration;
mod repositories;
mod wire;
mod write;

pub use app::{App, AppCredentials, ClientOptions, InstallationClients};
pub use changes::{
    ChangeEvent, Changed, CheckAnnotation, CheckOutput, CheckRun, Conclusion, PullRequest,
    parse_change_event,
};
pub use conversion::{Conversion, ConversionError, NewApp};
pub use deliveries::{HookDelivery, HookDeliveryDetail, HookDeliveryPage, HookMessage};
pub use error::{CALL_OUTCOMES, CallError, SetupError};
pub use host::Host;
pub use issues::{
    Author, BODY_LIMIT, Closed, Comment, Identity, Issue, IssueEdit, IssueEvent, IssueRef, Meddled,
    TITLE_LIMIT, parse_issue_event,
};
pub use limits::Limits;
pub use names::Installed;
pub use read::{CustomProperties, GrantPage, GrantPages, GrantQuery, Grants, Listing, Read};
pub use registration::{Granted, HookConfig, Registration};
pub use repositories::{
    BranchRules, Entry, EntryKind, Fresh, RemoteRepository, RepositoryEvent, parse_repository_event,
};
pub use wire::{
    RequestEvent, RequestEventAction, Sender, parse_departure_event, parse_request_event,
};
pub use write::{MOST_AT_ONCE, Review, Write};

/// The most characters of a review's reason that GitHub takes.
///
/// Source: <https://docs.github.com/rest/orgs/personal-access-tokens#review-a-request-to-access-organization-resources-with-a-fine-grained-personal-access-token>.
pub(crate) const REASON_LIMIT: usize = 1024;

/// The most token ids that one filtered list takes.
pub(crate) const TOKEN_IDS_A_LIST: usize = 50;

/// The most logins that one filtered list takes.
pub(crate) const OWNERS_A_LIST: usize = 10;
