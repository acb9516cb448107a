//! When the inventory is taken: at start where it is old, then by interval, organization by organization. What standing
//! policies make of it follows, and so does what they revoke.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    bulk::{Bulk, BulkError},
    standing::{Moment, Standing},
};
use crate::store::{InstallationRow, StoreError};

/// How often it is looked whether an inventory is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long an organization is left alone whose tokens could not be listed.
const TRY_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// How long a run of a standing policy is left alone that could not go on.
const GO_ON: SignedDuration = SignedDuration::from_mins(1);

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

    fn standing<'a>(&'a self, bulk: &'a Bulk) -> Standing<'a> {
        Standing { bulk, policies: &self.policies, addresses: self.options.addresses.as_deref() }
    }

    /// Lists tokens and members, wherever that was not done for so long, and asks standing policies what follows.
    pub(super) async fn keep_inventory(self: Arc<Self>, stop: CancellationToken) {
        let Some(every) = self.options.inventory_every else {
            return stop.cancelled().await;
        };
        let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
        let bulk = self.bulk(stop.clone());
        let mut left_alone = HashMap::new();
        while !stop.is_cancelled() {
            match self.due_for_inventory(every).await {
                Ok(due) => {
                    for installation in due {
                        let now = self.clock.now();
                        let id = installation.organization.id;
                        if left_alone.get(&id).is_some_and(|until| *until > now) {
                            continue;
                        }
                        match self.take_inventory(&bulk, &installation).await {
                            Ok(()) => drop(left_alone.remove(&id)),
                            Err(BulkError::Interrupted) => return,
                            Err(error) => {
                                let login = &installation.organization.login;
                                tracing::warn!(organization = %login, %error, "the tokens with access could not be listed and judged to the end; tried again");
                                left_alone.insert(id, now.saturating_add(TRY_AGAIN).unwrap_or(now));
                            }
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the store was not asked whose inventory is due");
                }
            }
            if let Some(BulkError::Interrupted) = self.compare_members(&bulk).await.err() {
                return;
            }
            let next = self.departures.next();
            tokio::select! {
                () = self.clock.sleep(LOOK_EVERY) => {}
                () = async { self.clock.sleep_until(next.unwrap_or(Timestamp::MAX)).await } => {}
                () = self.stocktake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn take_inventory(
        &self,
        bulk: &Bulk,
        installation: &InstallationRow,
    ) -> Result<(), BulkError> {
        let listing = bulk.list_tokens(installation, &()).await?;
        let members = match bulk.list_members(installation, &()).await {
            Ok(members) => Ok(members),
            Err(BulkError::GitHub(error)) => Err(error),
            Err(error) => return Err(error),
        };
        tracing::info!(
            organization = %installation.organization.login,
            active = listing.active,
            calls = listing.calls,
            unreadable = listing.unreadable,
            left = members.as_ref().map_or(0, |members| members.left.len()),
            members_listed = members.is_ok(),
            "listed the tokens with access, and the members"
        );
        let standing = self.standing(bulk);
        let known = members.as_ref().map(|_| ()).map_err(ToString::to_string);
        if standing.round(installation, known, Moment::Inventory).await? {
            self.revoke.notify_one();
        }
        Ok(members.map(|_| ())?)
    }

    /// Sees who left, where an event said that somebody did.
    async fn compare_members(&self, bulk: &Bulk) -> Result<(), BulkError> {
        let standing = self.standing(bulk);
        for (organization, heard_at) in self.departures.due(self.clock.now()) {
            let Some(installation) = self.store.installation(organization).await? else { continue };
            // Nothing is known before the first inventory, which sees who left as well.
            let listed = self.store.members_listed_at(organization).await?;
            if installation.suspended
                || listed.is_none()
                || !standing.heeds_departures(&installation.organization)
            {
                continue;
            }
            let began_at = self.clock.now();
            let compared = standing.compare(&installation, heard_at.min(began_at)).await;
            let now = self.clock.now();
            match compared {
                Ok((departed, any)) => {
                    self.departures.compared(organization, departed, now);
                    if any {
                        self.revoke.notify_one();
                    }
                }
                Err(error @ BulkError::Interrupted) => return Err(error),
                Err(error) => {
                    self.departures.compared(organization, false, now);
                    let login = &installation.organization.login;
                    tracing::warn!(organization = %login, %error, "who left was not seen; the next inventory makes up for it");
                }
            }
        }
        Ok(())
    }

    /// Carries out the confirmed runs of standing policies, also those that were left in the middle.
    pub(super) async fn keep_revoking(self: Arc<Self>, stop: CancellationToken) {
        if self.options.inventory_every.is_none() {
            return stop.cancelled().await;
        }
        let bulk = self.bulk(stop.clone());
        let mut left_alone: HashMap<i64, Timestamp> = HashMap::new();
        while !stop.is_cancelled() {
            let running = self.store.running_standing_runs().await.unwrap_or_else(|error| {
                tracing::error!(%error, "the store was not asked what is to be revoked");
                Vec::new()
            });
            for run in running {
                let now = self.clock.now();
                if left_alone.get(&run.id).is_some_and(|until| *until > now) {
                    continue;
                }
                let standing = self.standing(&bulk);
                match standing.carry(&run).await {
                    Ok(carried) => {
                        let counts = carried.map(|carried| carried.counts).unwrap_or_default();
                        tracing::info!(
                            revocation = run.id,
                            ?counts,
                            "a standing policy's run is over"
                        );
                        left_alone.remove(&run.id);
                    }
                    Err(BulkError::Interrupted) => return,
                    Err(error) => {
                        tracing::warn!(revocation = run.id, %error, "a standing policy's run is not at its end; it goes on later");
                        left_alone.insert(run.id, now.saturating_add(GO_ON).unwrap_or(now));
                    }
                }
            }
            tokio::select! {
                () = self.clock.sleep(LOOK_EVERY) => {}
                () = self.revoke.notified() => {}
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
