//! GitHub's endpoints, one file a family. Each reads a [`crate::context::Context`] and changes the state; none knows of connections.

pub(crate) mod apps;
pub(crate) mod checks;
pub(crate) mod contents;
pub(crate) mod git;
pub(crate) mod hooks;
pub(crate) mod issues;
pub(crate) mod listing;
pub(crate) mod meta;
pub(crate) mod orgs;
pub(crate) mod pats;
pub(crate) mod pulls;
pub(crate) mod repos;
pub(crate) mod requests;
pub(crate) mod teams;
