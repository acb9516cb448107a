//! Whose turn it is: one task of this process works on an organization at a time, and only with its lease.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    clock::Clock,
    domain::OrganizationId,
    store::{Lease, Store, StoreError},
};

/// How often the lease is renewed while a call is under way.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// The organizations on which this process works now.
#[derive(Clone, Default)]
pub(super) struct Turns {
    busy: Arc<Mutex<HashSet<OrganizationId>>>,
    freed: Arc<Notify>,
}

/// Somebody works on this organization, in this process, until it is dropped: also by a panic, or nobody would
/// ever work on it again.
pub(super) struct Turn {
    turns: Turns,
    organization: OrganizationId,
}

impl Turns {
    /// Turns whose ends are told to whoever waits for `freed`.
    pub(super) fn waking(freed: Arc<Notify>) -> Self {
        Self { busy: Arc::default(), freed }
    }

    /// A turn on this organization, unless somebody in this process has it.
    pub(super) fn take(&self, organization: OrganizationId) -> Option<Turn> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(organization).then(|| Turn { turns: self.clone(), organization })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut busy = self.turns.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.organization);
        drop(busy);
        self.turns.freed.notify_one();
    }
}

/// Renews a lease until it is dropped.
pub(super) struct Renewal(tokio::task::JoinHandle<()>);

impl Renewal {
    pub(super) fn of(store: &Store, clock: &Clock, lease: &Lease) -> Self {
        let (store, clock, lease) = (store.clone(), clock.clone(), lease.clone());
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                let renewed = match store.begin_under(&lease, clock.now()).await {
                    Ok(tx) => tx.commit().await,
                    Err(error) => Err(error),
                };
                if let Err(StoreError::LeaseLost) = renewed {
                    return;
                }
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}
