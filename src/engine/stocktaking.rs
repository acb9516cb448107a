//! When the inventory is taken: at start where it is old, then by interval, organization by organization.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    bulk::{Bulk, BulkError},
};
use crate::store::{InstallationRow, StoreError};

/// How often it is looked whether an inventory is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long an organization is left alone whose tokens could not be listed.
const TRY_AGAIN: SignedDuration = SignedDuration::from_mins(5);

impl Engine {
    /// What works on many tokens, in this process. It ends at the next step once `stop` is.
    pub(super) fn bulk(&self, stop: CancellationToken) -> Bulk {
        Bulk::beside(
            self.store.clone(),
            Arc::clone(&self.clients),
            self.clock.clone(),
            self.audit.clone(),
            self.turns.clone(),
            self.options.client,
            stop,
        )
    }

    /// Lists tokens and members, wherever that was not done for so long.
    pub(super) async fn keep_inventory(self: Arc<Self>, stop: CancellationToken) {
        let Some(every) = self.options.inventory_every else {
            return stop.cancelled().await;
        };
        let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
        let bulk = self.bulk(stop.clone());
        let mut left_alone = std::collections::HashMap::new();
        while !stop.is_cancelled() {
            match self.due_for_inventory(every).await {
                Ok(due) => {
                    for installation in due {
                        let now = self.clock.now();
                        let id = installation.organization.id;
                        if left_alone.get(&id).is_some_and(|until| *until > now) {
                            continue;
                        }
                        match take(&bulk, &installation).await {
                            Ok(()) => drop(left_alone.remove(&id)),
                            Err(BulkError::Interrupted) => return,
                            Err(error) => {
                                let login = &installation.organization.login;
                                tracing::warn!(organization = %login, %error, "the tokens with access could not be listed; tried again");
                                left_alone.insert(id, now.saturating_add(TRY_AGAIN).unwrap_or(now));
                            }
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the store was not asked whose inventory is due");
                }
            }
            tokio::select! {
                () = self.clock.sleep(LOOK_EVERY) => {}
                () = self.stocktake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn due_for_inventory(
        &self,
        every: SignedDuration,
    ) -> Result<Vec<InstallationRow>, StoreError> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for installation in self.store.installations().await? {
            // Its requests first, which people wait for.
            if installation.suspended || installation.looked_at.is_none() {
                continue;
            }
            let last = self.store.token_listing(installation.organization.id).await?;
            let members = self.store.members_listed_at(installation.organization.id).await?;
            let last = last.and_then(|last| members.map(|members| members.min(last.ended_at)));
            let old = |at: Timestamp| now.duration_since(at).abs() >= every;
            if last.is_none_or(old) {
                due.push(installation);
            }
        }
        Ok(due)
    }
}

async fn take(bulk: &Bulk, installation: &InstallationRow) -> Result<(), BulkError> {
    let listing = bulk.list_tokens(installation, &()).await?;
    let members = bulk.list_members(installation, &()).await?;
    tracing::info!(
        organization = %installation.organization.login,
        active = listing.active,
        calls = listing.calls,
        unreadable = listing.unreadable,
        left = members.left.len(),
        "listed the tokens with access, and the members"
    );
    Ok(())
}
