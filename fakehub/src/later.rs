//! Effects that come a while after their answer. The waiting itself is done by the server.

use tokio::sync::mpsc::UnboundedSender;

use crate::state::State;

/// A change of the state to be made later.
pub(crate) struct Later(Box<dyn FnOnce(&mut State) + Send>);

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Later")
    }
}

impl Later {
    pub(crate) fn new(change: impl FnOnce(&mut State) + Send + 'static) -> Self {
        Self(Box::new(change))
    }

    pub(crate) fn run(self, state: &mut State) {
        (self.0)(state);
    }
}

/// Where endpoints put what is to happen later.
pub(crate) type Laters = UnboundedSender<Later>;

impl State {
    pub(crate) fn later(&self, later: Later) {
        let _ = self.laters.send(later);
    }
}
