//! Places at which a test may stop the process, to prove that nothing is lost between two commits.
//!
//! Without the feature `crash-points` (off by default, never in a release) nothing is in here.

/// Stops the process, as if it had been killed, when the test asked for `name`.
///
/// The environment variable `PATWARDEN_CRASH_POINT` holds `NAME` or `NAME:N` (the N-th time it is passed).
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var("PATWARDEN_CRASH_POINT") else { return };
    let (wanted, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if wanted == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == count.parse().unwrap_or(1) {
        std::process::abort();
    }
}

/// Nothing: this build has no crash points.
#[cfg(not(feature = "crash-points"))]
pub fn point(_name: &str) {}
