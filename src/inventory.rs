//! PURE: which tokens a filter means, and what a set of them comes to. No I/O, no clock.

mod filter;
mod summary;

pub use filter::{AskedFilter, TokenFilter, View};
pub use summary::Summary;
