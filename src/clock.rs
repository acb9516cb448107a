//! What time it is, as a value that a demonstration or a test can push; nothing else reads the system clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// The longest single wait, so that a clock set by somebody else is noticed soon.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// The time of day: the system's, plus an offset that only [`Clock::push`] changes.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
    pushed: watch::Sender<()>,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self { offset_ms: Arc::default(), pushed: watch::Sender::new(()) }
    }

    /// Now, to the millisecond: what the store can keep.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.offset_ms.load(Ordering::Relaxed));
        let now = Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Moves this clock, and every copy of it, forward; whoever sleeps on it looks again.
    pub fn push(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by, Ordering::Relaxed);
        self.pushed.send_replace(());
    }

    /// Sleeps until `then` by this clock.
    pub async fn sleep_until(&self, then: Timestamp) {
        let mut pushed = self.pushed.subscribe();
        loop {
            let left = then.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LONGEST_NAP)) => {}
                _ = pushed.changed() => {}
            }
        }
    }

    /// Sleeps for `span` by this clock.
    pub async fn sleep(&self, span: Duration) {
        let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        self.sleep_until(self.now().saturating_add(span).unwrap_or(Timestamp::MAX)).await;
    }
}
