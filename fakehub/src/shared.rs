//! What the server, the sender of webhooks and the handle of a test have in common.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::config::Config;
use crate::faults::{Faults, Held};
use crate::state::State;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Arc<Clock>,
    pub(crate) state: Mutex<State>,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
    /// Becomes true once, when everything is to end.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) address: SocketAddr,
    /// Holds made over the control API, by number.
    pub(crate) holds: Mutex<HashMap<u64, Held>>,
}

impl Shared {
    /// The state, under its lock; nothing that waits may be done inside.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends when fakehub ends.
    pub(crate) async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        let _ = stop.wait_for(|stop| *stop).await;
    }
}
