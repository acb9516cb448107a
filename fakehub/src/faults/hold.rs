//! Holds: a call stops before or after its effect until the test lets it go or cuts it.

use std::sync::Arc;

use tokio::sync::watch;

/// Where a call is to wait; once unless told. Operations are named as for [`crate::Fault`].
#[derive(Debug, Clone)]
pub struct Hold {
    pub(crate) target: String,
    pub(crate) after_effect: bool,
    pub(crate) times: u32,
    pub(crate) skip: u32,
}

impl Hold {
    /// Before anything happened.
    #[must_use]
    pub fn before(target: &str) -> Self {
        Self { target: target.to_owned(), after_effect: false, times: 1, skip: 0 }
    }

    /// When the effect is there, but the answer is not sent.
    #[must_use]
    pub fn after(target: &str) -> Self {
        Self { after_effect: true, ..Self::before(target) }
    }

    /// Holds so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }
}

/// What becomes of held calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Release,
    Cut,
}

#[derive(Debug)]
pub(crate) struct HoldState {
    arrived: watch::Sender<u32>,
    verdict: watch::Sender<Option<Verdict>>,
}

impl HoldState {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { arrived: watch::Sender::new(0), verdict: watch::Sender::new(None) })
    }

    /// The held call waits here.
    pub(crate) async fn wait(&self) -> Verdict {
        self.arrived.send_modify(|count| *count = count.saturating_add(1));
        let mut verdict = self.verdict.subscribe();
        let given = verdict.wait_for(Option::is_some).await;
        given.ok().and_then(|given| *given).unwrap_or(Verdict::Release)
    }

    pub(crate) fn decide(&self, verdict: Verdict) {
        self.verdict.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(verdict);
            }
            first
        });
    }

    pub(crate) fn arrived(&self) -> u32 {
        *self.arrived.borrow()
    }

    pub(crate) async fn reached(&self, calls: u32) {
        let mut arrived = self.arrived.subscribe();
        let _ = arrived.wait_for(|count| *count >= calls).await;
    }
}

/// A hold in force. Dropping it lets its calls go.
#[derive(Debug)]
pub struct Held {
    pub(crate) id: u64,
    pub(crate) state: Arc<HoldState>,
}

impl Held {
    /// Waits until a call has come to the hold. Set a time limit of your own around it.
    pub async fn reached(&self) {
        self.state.reached(1).await;
    }

    /// Waits until so many calls have come to the hold.
    pub async fn reached_by(&self, calls: u32) {
        self.state.reached(calls).await;
    }

    /// How many calls have come to the hold.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.state.arrived()
    }

    /// Lets the calls go on. What was decided first stays.
    pub fn release(&self) {
        self.state.decide(Verdict::Release);
    }

    /// Closes the calls' connections. Held before the effect, there is none.
    pub fn cut(&self) {
        self.state.decide(Verdict::Cut);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
