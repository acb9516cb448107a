//! Scenes on a fake GitHub: nothing is lost, nothing happens twice, nothing opens on failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod allowed;
mod asking;
mod by_hand;
mod calls;
mod changes;
mod deliveries;
mod deliveries_by_hand;
mod digest;
mod edits;
mod escalation;
mod escalation_abused;
mod escalation_time;
mod facts;
mod failures;
mod forgetting;
mod inventory;
mod lists;
mod names;
mod notices;
mod order;
mod policies;
mod policy_repositories;
mod processes;
mod recipients;
mod retention;
mod revocations;
mod rule_files;
mod standing;
mod stores;
mod traps;
mod webhooks_off;
