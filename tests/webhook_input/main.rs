//! What arrives at the webhook's address: signed or not, whole or not, understood or not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod post;
mod strangers;
mod taken;
