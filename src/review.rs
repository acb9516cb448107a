//! What reviewers are asked on an issue and what they answer there. Pure: no clock, no network, no store.

pub mod command;
pub mod issue;
pub mod markdown;
pub mod reply;
