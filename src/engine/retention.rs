//! What is old enough is deleted, a little at a time and in the background: how long what is kept, the settings say.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{Engine, or_stop};
use crate::{settings::Retention, store::StoreError};

/// How long after the start it is first looked: at a start there is other work.
const FIRST: Duration = Duration::from_secs(60);

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(3600);

/// How long everybody else has the store between two deletions.
const PAUSE: Duration = Duration::from_millis(100);

/// How lately all tokens must have been listed for the store to be believed that one has no access.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_hours(3 * 24);

impl Engine {
    pub(super) async fn keep_pruning(self: Arc<Self>, stop: CancellationToken) {
        let mut pause = FIRST;
        while or_stop(&stop, self.clock.sleep(pause)).await.is_some() {
            pause = EVERY;
            match or_stop(&stop, self.prune()).await {
                None => return,
                Some(Ok(0)) => {}
                Some(Ok(rows)) => tracing::info!(rows, "what was old enough was deleted"),
                Some(Err(error)) => {
                    tracing::warn!(%error, "what is old was not deleted; it is tried again in an hour");
                }
            }
        }
    }

    /// Deletes what may go by now; gives how many rows.
    async fn prune(&self) -> Result<u64, StoreError> {
        let Retention { deliveries, decisions, tokens } = self.options.retention;
        let now = self.clock.now();
        let before = |kept: SignedDuration| now.saturating_sub(kept).unwrap_or(Timestamp::MIN);
        let listed_since = before(LISTED_WITHIN);
        let store = &self.store;
        let mut rows = 0;
        if let Some(kept) = deliveries {
            rows += until_none(|| store.prune_deliveries(before(kept))).await?;
            rows += until_none(|| store.prune_notes_of_deliveries(before(kept))).await?;
        }
        if let Some(kept) = decisions {
            rows += until_none(|| store.prune_requests(before(kept), listed_since)).await?;
        }
        // After the requests: a token stays while one is on record.
        if let Some(kept) = tokens {
            rows += until_none(|| store.prune_tokens(before(kept))).await?;
        }
        Ok(rows)
    }
}

/// Some at a time, until there is nothing more to be deleted.
async fn until_none<F: Future<Output = Result<u64, StoreError>>>(
    mut some: impl FnMut() -> F,
) -> Result<u64, StoreError> {
    let mut rows = 0;
    loop {
        match some().await? {
            0 => return Ok(rows),
            deleted => rows += deleted,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
