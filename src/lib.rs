//! patwarden judges requests for fine-grained personal access tokens by rules kept in a repository.

pub mod clock;
pub mod crash;
pub mod domain;
pub mod github;
pub mod rules;
