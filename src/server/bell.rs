//! Telling the engine of deliveries: at once when it is quiet, and not more often than it helps when it is not.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The least time between two rings: what arrives meanwhile is read together. Every reading is a commit, and one
/// for each delivery would make the next delivery wait for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Rings soon after it was pressed.
pub(super) struct Bell {
    ring: Box<dyn Fn() + Send + Sync>,
    pressed: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Bell {
    pub(super) fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self { ring: Box::new(ring), pressed: AtomicBool::new(false), last: Mutex::new(None) }
    }

    /// Sees to it that the bell rings after this, now or when the pause is over.
    pub(super) fn press(self: &Arc<Self>) {
        if self.pressed.swap(true, Ordering::AcqRel) {
            // Somebody pressed and it has not rung yet.
            return;
        }
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let next = last.map(|last| last + PAUSE).filter(|next| *next > Instant::now());
        let Some(next) = next else { return self.ring() };
        let bell = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(next).await;
            bell.ring();
        });
    }

    fn ring(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        // Before it rings: whoever presses from here on may have come too late for this one.
        self.pressed.store(false, Ordering::Release);
        (self.ring)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn the_first_press_rings_at_once_and_many_more_ring_once_after_the_pause() {
        let rang = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&rang);
        let bell = Arc::new(Bell::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        bell.press();
        assert_eq!(rang.load(Ordering::SeqCst), 1);
        for _ in 0..100 {
            bell.press();
        }
        tokio::time::sleep(2 * PAUSE).await;
        let rings = rang.load(Ordering::SeqCst);
        assert!((2..10).contains(&rings), "{rings} rings");
        bell.press();
        tokio::time::sleep(2 * PAUSE).await;
        assert!(rang.load(Ordering::SeqCst) > rings, "a later press was forgotten");
    }
}
