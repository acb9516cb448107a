//! What webhooks missed: installations and pending requests are listed, and enter by the same door.

use std::{collections::HashMap, sync::atomic::Ordering};

use jiff::SignedDuration;

use super::{
    Engine, ROWS_AT_ONCE, judge,
    lifecycle::{Event, State},
    record,
};
use crate::{
    domain::{Fingerprint, OrganizationId, RequestId, TokenRequest},
    github::{CallError, Listing},
    store::{InstallationRow, RequestKey, RequestRow, StoreError},
};

/// How long a list may show a request as pending after it was settled.
const LISTS_LAG: SignedDuration = SignedDuration::from_secs(60);

/// What a reconciliation came to.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    /// Installations that were listed.
    pub organizations: usize,
    /// Pending requests that were listed.
    pub pending: usize,
    /// Those of them that nobody had told us about.
    pub found: usize,
    /// Organizations whose pending requests could not be listed.
    pub failed: Vec<OrganizationId>,
}

impl Engine {
    /// Lists installations and their pending requests, and wakes whatever needs a look.
    ///
    /// # Errors
    /// When the store refuses, or the installations cannot be listed.
    pub async fn reconcile(&self) -> Result<Reconciled, ReconcileError> {
        let began = self.clock.now();
        let (installations, ignored) = self.app.all_installations().await?;
        let now = self.clock.now();
        let before = self.store.installations().await?;
        let mut tx = self.store.begin().await?;
        for installation in &installations {
            tx.note_installation(installation, now).await?;
        }
        let ignored = tx.note_ignored(&ignored, now).await?;
        tx.commit().await?;
        for login in ignored {
            tracing::warn!(organization = %login, "the App is installed there, and the settings do not allow the organization: it is ignored");
        }
        let (there, gone): (Vec<_>, Vec<_>) =
            self.store.installations().await?.into_iter().partition(|known| {
                installations.iter().any(|listed| {
                    listed.id == known.id && listed.organization.id == known.organization.id
                })
            });
        let mut tx = self.store.begin().await?;
        for installation in gone {
            tx.forget_installation(installation.organization.id, began).await?;
        }
        tx.commit().await?;
        self.listed.store(true, Ordering::Release);
        if before.len() != there.len() || !there.iter().all(|row| before.contains(row)) {
            // A repository with rules may be readable now, or not any more.
            self.policies.look_soon();
        }
        self.note_policies().await?;
        self.reconcile_all_of(there).await
    }

    /// As [`Engine::reconcile`], for those that failed the last time.
    pub(super) async fn reconcile_again(
        &self,
        failed: &[OrganizationId],
    ) -> Result<Reconciled, ReconcileError> {
        let mut installations = self.store.installations().await?;
        installations.retain(|known| failed.contains(&known.organization.id));
        self.reconcile_all_of(installations).await
    }

    async fn reconcile_all_of(
        &self,
        installations: Vec<InstallationRow>,
    ) -> Result<Reconciled, ReconcileError> {
        let mut sum = Reconciled::default();
        for installation in installations.iter().filter(|row| !row.suspended) {
            match self.reconcile_one(installation).await {
                Ok((pending, found)) => {
                    sum.organizations += 1;
                    sum.pending += pending;
                    sum.found += found;
                }
                Err(ReconcileError::GitHub(error)) => {
                    if let CallError::RateLimited { until } = error {
                        // For all of us, or the next who calls goes on while limited.
                        let mut tx = self.store.begin().await?;
                        let seen = self.clients.read(installation.id)?.limits();
                        tx.note_limits(installation.id, seen, Some(until)).await?;
                        tx.commit().await?;
                    }
                    tracing::warn!(organization = %installation.organization.login, %error, "pending requests could not be listed; tried again");
                    sum.failed.push(installation.organization.id);
                }
                Err(error) => return Err(error),
            }
        }
        self.wake();
        self.stocktake.notify_one();
        Ok(sum)
    }

    async fn reconcile_one(
        &self,
        installation: &InstallationRow,
    ) -> Result<(usize, usize), ReconcileError> {
        let began = self.clock.now();
        if let Some(until) =
            self.store.parked_until(installation.id).await?.filter(|until| *until > began)
        {
            return Err(CallError::RateLimited { until }.into());
        }
        let read = self.clients.read(installation.id)?;
        let Listing { requests, unreadable } =
            read.pending_requests(&installation.organization).await?;
        for (id, why) in &unreadable {
            tracing::error!(?id, why, "a pending request is listed in a form that we cannot read");
        }
        let policy = self.policies.in_force(&installation.organization).policy;
        let grounds = policy.as_deref().map(judge::grounds);
        let unconfirmed =
            self.too_many_at_once(installation, &requests, grounds.as_deref()).await?;
        let mut found = 0;
        for some in requests.chunks(ROWS_AT_ONCE) {
            let now = self.clock.now();
            let mut entries = Vec::new();
            let mut tx = self.store.begin().await?;
            for request in some {
                let key = RequestKey { organization: request.organization.id, request: request.id };
                let Some(row) = tx.request(key).await? else {
                    tx.save_request(&newly_found(request, unconfirmed, now)).await?;
                    found += 1;
                    continue;
                };
                if matches!(row.state, State::Sent(_) | State::Checking | State::Revoking) {
                    // A call is under way, or its end is looked at, by whoever holds the lease: this list
                    // may be older.
                    continue;
                }
                let shape = Fingerprint::of(request, None);
                let event = Event::Pending {
                    changed: row.shape.as_ref().is_some_and(|judged| *judged != shape),
                    long_settled: began.duration_since(row.state_since) > LISTS_LAG,
                };
                let happened = record::happen(&mut tx, key, &event, now, |row| {
                    // What a webhook said of it may have been wrong.
                    row.token_id = Some(request.token.id);
                    row.listed = Some(request.clone());
                    let left_to_people = matches!(row.state, State::Escalated | State::Held);
                    if left_to_people && is_outdated(row, grounds.as_deref()) {
                        // Another policy by now: it may say something else.
                        row.due_at = row.due_at.or(Some(now));
                        row.unconfirmed |= unconfirmed;
                    }
                })
                .await?;
                entries.extend(happened.map(|happened| happened.entries).unwrap_or_default());
            }
            tx.commit().await?;
            for entry in entries {
                self.audit.write(entry);
            }
        }
        let mut tx = self.store.begin().await?;
        tx.looked_at(installation.id, began).await?;
        tx.commit().await?;
        if unreadable.is_empty() {
            self.look_for_the_missing(installation.organization.id, &requests, began).await?;
        }
        self.look_for_answers(installation.organization.id).await?;
        Ok((requests.len(), found))
    }

    /// Whether a first look at this organization, or another policy, would make us act on more waiting
    /// requests than anybody expects. Then each is judged, nothing is sent, and somebody must confirm.
    async fn too_many_at_once(
        &self,
        installation: &InstallationRow,
        requests: &[TokenRequest],
        grounds: Option<&str>,
    ) -> Result<bool, StoreError> {
        let limit = self.options.most_at_once;
        if requests.len() <= limit {
            return Ok(false);
        }
        let open = self.store.open_requests(installation.organization.id).await?;
        let by_id: HashMap<RequestId, &RequestRow> = open.iter().map(|row| (row.id, row)).collect();
        let first_look = installation.looked_at.is_none();
        let count = requests
            .iter()
            .filter(|request| match by_id.get(&request.id) {
                None => first_look,
                Some(row) => {
                    matches!(row.state, State::Escalated | State::Held) && is_outdated(row, grounds)
                }
            })
            .count();
        if count > limit {
            tracing::error!(
                organization = %installation.organization.login, count,
                "more waiting requests at once than anybody may expect: nothing is sent before somebody confirms; \
                 see `patwarden requests list`, then `patwarden requests confirm`"
            );
        }
        Ok(count > limit)
    }

    /// What we hold as open and the list does not show: the worker looks, and confirms.
    async fn look_for_the_missing(
        &self,
        organization: OrganizationId,
        listed: &[TokenRequest],
        began: jiff::Timestamp,
    ) -> Result<(), StoreError> {
        let open = self.store.open_requests(organization).await?;
        let missing: Vec<RequestRow> = open
            .into_iter()
            .filter(|row| row.due_at.is_none() && row.woken_at < began)
            .filter(|row| !listed.iter().any(|request| request.id == row.id))
            .collect();
        for some in missing.chunks(ROWS_AT_ONCE) {
            let now = self.clock.now();
            let mut tx = self.store.begin().await?;
            for row in some {
                record::happen(&mut tx, row.key(), &Event::Woken, now, |row| {
                    if matches!(row.state, State::Escalated | State::Held) {
                        row.due_at = Some(now);
                    }
                })
                .await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Whether a request was judged on other grounds than those in force. Without a valid policy there are none
/// to judge it on again.
fn is_outdated(row: &RequestRow, grounds: Option<&str>) -> bool {
    grounds.is_some() && row.judged_under.as_deref() != grounds
}

/// Why a reconciliation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// GitHub.
    #[error(transparent)]
    GitHub(#[from] CallError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReconcileError {
    /// Until when GitHub asked us to wait, if it did.
    #[must_use]
    pub fn wait_until(&self) -> Option<jiff::Timestamp> {
        match self {
            Self::GitHub(CallError::RateLimited { until }) => Some(*until),
            _ => None,
        }
    }
}

pub(super) fn newly_found(
    request: &TokenRequest,
    unconfirmed: bool,
    now: jiff::Timestamp,
) -> RequestRow {
    let (organization, owner) = (request.organization.clone(), request.owner.clone());
    let row = RequestRow::new(organization, request.id, owner, request.token.name.clone(), now);
    RequestRow {
        token_id: Some(request.token.id),
        listed: Some(request.clone()),
        unconfirmed,
        ..row
    }
}
