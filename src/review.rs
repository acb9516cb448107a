//! What reviewers are asked on an issue, what they answer there, and what follows from it. Pure: no clock, no network, no store.

pub mod command;
pub mod escalation;
pub mod issue;
pub mod letter;
pub mod markdown;
pub mod reply;
