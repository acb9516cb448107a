//! patwarden judges requests for fine-grained personal access tokens by rules kept in a repository.
//!
//! The path of one request: [`server`] verifies and stores a delivery, [`engine`] looks the request up,
//! gathers facts and asks [`rules`] (and, where those leave it to people, says so in the words of [`review`]), [`store`] records what was decided, [`github`] carries it out, and
//! [`audit`] says so. How all of it goes can be seen by [`watch`].

pub mod audit;
pub mod cli;
pub mod clock;
pub mod crash;
pub mod digest;
pub mod doctor;
pub mod domain;
pub mod engine;
pub mod github;
pub mod inventory;
pub mod manifest;
pub mod notify;
pub mod review;
pub mod rules;
pub mod server;
pub mod service;
pub mod settings;
pub mod setup;
pub mod store;
pub mod telemetry;
pub mod watch;
