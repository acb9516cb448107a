//! fakehub's clock: the system's time plus an offset a test may push. No timers here; those run on real time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// The clock every answer, limit and expiry reads. It only ever moves forward.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: AtomicI64,
    /// So much of it passed for Apps as well, which sign by the machine's time.
    shared_ms: AtomicI64,
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        Timestamp::now().as_millisecond().saturating_add(self.offset_ms.load(Ordering::SeqCst))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms()).unwrap_or(Timestamp::MAX)
    }

    /// Whole seconds since the Unix epoch by which a JWT is judged.
    pub(crate) fn signing_seconds(&self) -> i64 {
        self.now_ms().saturating_sub(self.shared_ms.load(Ordering::SeqCst)).div_euclid(1_000)
    }

    pub(crate) fn advance_for_all(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.shared_ms.fetch_add(ms, Ordering::SeqCst);
        self.advance(by);
    }

    pub(crate) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.offset_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A whole-second Unix time as a timestamp; out of range times are clamped to the epoch.
pub(crate) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or_default()
}
