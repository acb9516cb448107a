//! GitHub's nouns as patwarden uses them: values only; no I/O, no wire quirks, no clock.

mod fingerprint;
mod ids;
mod installation;
mod permissions;
mod request;
mod text;
mod token;
mod world;

pub use fingerprint::Fingerprint;
pub use ids::{
    GrantId, InstallationId, Login, OrganizationId, RepositoryId, RequestId, TeamId, TokenId,
    UserId,
};
pub use installation::Installation;
pub use permissions::{AccessLevel, KNOWN_PERMISSIONS, PermissionGroup, Permissions, known_levels};
pub use request::{
    Grant, Organization, Owner, RepositorySelection, RequestKind, RequestedToken, TokenRequest,
};
pub use text::{agrees, cut, for_people, many, unlinked};
pub use token::{Approval, Coverage, Covered, KnownToken, Membership};
pub use world::{Repository, Role, TeamRef, Visibility};
