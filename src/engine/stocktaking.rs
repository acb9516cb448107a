//! When the inventory is taken: at start where it is old, then by interval, organization by organization. What standing
//! policies make of it follows, and so does what they revoke.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Engine,
    bulk::{Bulk, BulkError},
    standing::{Moment, Standing},
};
use crate::{
    domain::OrganizationId,
    store::{InstallationRow, StoreError},
};

/// How often it is looked whether an inventory is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long an organization is left alone whose tokens could not be listed.
const TRY_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// How many organizations' inventories are taken at once: few enough that a large enterprise's are flat in memory.
const SIDE_BY_SIDE: usize = 4;

/// What is to be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    TokensAndMembers,
    /// The tokens were listed not long ago.
    Members,
}

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
        Standing {
            bulk,
            policies: &self.policies,
            addresses: self.options.addresses.as_deref(),
            api_url: &self.options.api_url,
        }
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
            if self.take_inventories(every, &mut left_alone, &stop).await {
                return;
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

    /// Takes every inventory that is due, some organizations at a time: each has calls of its own. Gives whether it was
    /// told to stop.
    async fn take_inventories(
        self: &Arc<Self>,
        every: SignedDuration,
        left_alone: &mut HashMap<OrganizationId, Timestamp>,
        stop: &CancellationToken,
    ) -> bool {
        let now = self.clock.now();
        let mut due = self.due_for_inventory(every).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the store was not asked whose inventory is due");
            Vec::new()
        });
        due.retain(|(installation, _)| {
            left_alone.get(&installation.organization.id).is_none_or(|until| *until <= now)
        });
        let mut under_way = JoinSet::new();
        let mut due = due.into_iter();
        loop {
            while under_way.len() < SIDE_BY_SIDE
                && !stop.is_cancelled()
                && let Some((installation, what)) = due.next()
            {
                let engine = Arc::clone(self);
                let bulk = self.bulk(stop.clone());
                under_way.spawn(async move {
                    let taken = engine.take_inventory(&bulk, &installation, what).await;
                    (installation.organization, taken)
                });
            }
            match under_way.join_next().await {
                None => return stop.is_cancelled(),
                Some(Ok((organization, Ok(())))) => drop(left_alone.remove(&organization.id)),
                Some(Ok((_, Err(BulkError::Interrupted)))) => {}
                Some(Ok((organization, Err(error)))) => {
                    tracing::warn!(organization = %organization.login, %error, "the tokens with access could not be listed and judged to the end; tried again");
                    let now = self.clock.now();
                    left_alone
                        .insert(organization.id, now.saturating_add(TRY_AGAIN).unwrap_or(now));
                }
                Some(Err(error)) => tracing::error!(%error, "an inventory broke off"),
            }
        }
    }

    async fn take_inventory(
        &self,
        bulk: &Bulk,
        installation: &InstallationRow,
        what: What,
    ) -> Result<(), BulkError> {
        let login = &installation.organization.login;
        if what == What::TokensAndMembers {
            let listing = bulk.list_tokens(installation, &()).await?;
            let (active, calls, unreadable) = (listing.active, listing.calls, listing.unreadable);
            tracing::info!(organization = %login, active, calls, unreadable, "listed the tokens with access");
        }
        let members = match bulk.list_members(installation, &()).await {
            Ok(members) => Ok(members),
            Err(BulkError::GitHub(error)) => Err(error),
            Err(error) => return Err(error),
        };
        if let Ok(members) = &members {
            tracing::info!(organization = %login, left = members.left.len(), "listed the members");
        } else if what == What::Members {
            // Nothing is known that was not known when the tokens were listed.
            return Ok(members.map(|_| ())?);
        }
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
            match self.compare_members_of(&standing, organization, heard_at).await {
                Ok(departed) => self.departures.compared(organization, departed, self.clock.now()),
                Err(error @ BulkError::Interrupted) => return Err(error),
                Err(error) => {
                    self.departures.compared(organization, false, self.clock.now());
                    tracing::warn!(%organization, %error, "who left was not seen; the next inventory makes up for it");
                }
            }
        }
        Ok(())
    }

    /// The same for one organization. Gives whether somebody was seen to have left.
    async fn compare_members_of(
        &self,
        standing: &Standing<'_>,
        organization: OrganizationId,
        heard_at: Timestamp,
    ) -> Result<bool, BulkError> {
        let Some(installation) = self.store.installation(organization).await? else {
            return Ok(true);
        };
        // Nothing is known before the first inventory, which sees who left as well.
        let listed = self.store.members_listed_at(organization).await?;
        if installation.suspended
            || listed.is_none()
            || !standing.heeds_departures(&installation.organization)
        {
            return Ok(true);
        }
        let (departed, any) =
            standing.compare(&installation, heard_at.min(self.clock.now())).await?;
        if any {
            self.revoke.notify_one();
        }
        Ok(departed)
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
    ) -> Result<Vec<(InstallationRow, What)>, StoreError> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for installation in self.store.installations().await? {
            // Its requests first, which people wait for.
            if installation.suspended || installation.looked_at.is_none() {
                continue;
            }
            let id = installation.organization.id;
            let old = |at: Timestamp| now.duration_since(at).abs() >= every;
            let tokens = self.store.token_listing(id).await?.map(|listing| listing.ended_at);
            if tokens.is_none_or(old) {
                due.push((installation, What::TokensAndMembers));
            } else if self.store.members_listed_at(id).await?.is_none_or(old) {
                // Without the permission to see members, tokens are not listed anew each time that is tried.
                due.push((installation, What::Members));
            }
        }
        Ok(due)
    }
}
