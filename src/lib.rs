//! patwarden judges requests for fine-grained personal access tokens by rules kept in a repository.

pub mod domain;
pub mod rules;
