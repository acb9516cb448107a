//! patwarden judges requests for fine-grained personal access tokens by rules kept in a repository.
//!
//! The path of one request: [`server`] verifies and stores a delivery, [`engine`] looks the request up,
//! gathers facts and asks [`rules`], [`store`] records what was decided, [`github`] carries it out, and
//! [`audit`] says so.

/// One line of JSON for every decision and every effect.
pub mod audit;
/// The commands: one file each. Printing happens there and nowhere else.
pub mod cli;
/// What time it is.
pub mod clock;
/// Places at which a test may stop the process.
pub mod crash;
/// GitHub's nouns.
pub mod domain;
/// Claim, gather, decide, record, act, check, reconcile.
pub mod engine;
/// The only place that knows octocrab.
pub mod github;
/// PURE: what a rule file means and what it says of a request.
pub mod rules;
/// What listens.
pub mod server;
/// A whole bot, put together from settings.
pub mod service;
/// Flags, environment and file into one checked value.
pub mod settings;
/// The only place with SQL.
pub mod store;
/// The log.
pub mod telemetry;
