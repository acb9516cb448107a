//! What came of the calls: GitHub only says that it took one for many, and an answer may be lost. The lists tell, and what they
//! do not tell stays as it is, for `serve` or the next command.

use super::{Call, Desk, Item, Stand, send::looks, stopped, tokens};
use crate::{
    domain::TokenId,
    engine::{
        bulk::{BulkError, Leased, Step, Watch},
        lifecycle::{Event, State, Verdict},
        record::{self, Happened},
        worker::Worker,
    },
    github::{Grants, Listing, Read},
    store::{InstallationRow, RequestKey, RequestRow, StoreError},
};

impl Desk {
    /// Looks after what was sent, three times within ten seconds, as long as something is open.
    pub(super) async fn see_through(
        &self,
        installation: &InstallationRow,
        read: &Read,
        items: &mut [Item],
        watch: &dyn Watch,
    ) -> Result<(), BulkError> {
        for look in looks(self.engine.clock.now()) {
            if !items.iter().any(is_open) {
                return Ok(());
            }
            // What was approved by a call of its own is compared at once.
            if items.iter().any(|item| matches!(item.stand, Stand::Sent(_))) {
                watch.step(&Step::Waiting {
                    until: look,
                    why: "GitHub does what it took a while later",
                });
                self.bulk.sleep_until(look).await?;
            }
            let leased = self.bulk.lease(installation.organization.id).await?;
            let seen = self.see(&leased, installation, read, items).await;
            leased.release().await;
            seen?;
            if items.iter().any(|item| item.stand == Stand::Ready) {
                return Ok(());
            }
            if items.iter().any(is_open) {
                self.bulk.sleep_until(look).await?;
            }
        }
        Ok(())
    }

    async fn see(
        &self,
        leased: &Leased,
        installation: &InstallationRow,
        read: &Read,
        items: &mut [Item],
    ) -> Result<(), BulkError> {
        let open: Vec<&mut Item> = items.iter_mut().filter(|item| is_open(item)).collect();
        let listing = read
            .pending_requests_of(
                &installation.organization,
                &tokens(open.iter().map(|item| &**item)),
            )
            .await?;
        let mut rows = self.rows(installation, &open).await?;
        // Approvals of which it is to be seen whether they took effect.
        let approved: Vec<TokenId> = rows
            .iter()
            .filter(|row| row.state == State::Sent(Verdict::Approve))
            .filter_map(|row| row.token_id)
            .collect();
        let grants = read.grants_of(&installation.organization, &approved).await?;
        let worker = self.worker(leased);
        let mut told = Vec::new();
        for row in &rows {
            let call =
                open.iter().find(|item| item.id == row.id).map_or(Call::None, |item| item.call);
            told.extend(self.note_seen(&worker, row, call, (&listing, &grants)).await?);
        }
        worker.tell(told);
        rows = self.rows(installation, &open).await?;
        let now = self.engine.clock.now();
        let to_check = rows.iter().filter(|row| {
            let comparing = matches!(row.state, State::Checking | State::Revoking);
            comparing && row.due_at.is_none_or(|due| due <= now)
        });
        let to_check: Vec<RequestRow> = to_check.cloned().collect();
        if let Err(stop) = worker.check(installation, read, to_check).await {
            return Err(stopped(self, installation, stop).await);
        }
        rows = self.rows(installation, &open).await?;
        for item in open {
            let Some(row) = rows.iter().find(|row| row.id == item.id) else { continue };
            item.stand = match &row.state {
                State::Sent(_) => Stand::Sent(row.note.clone()),
                State::Decided(_) => Stand::Ready,
                State::Settled(..) | State::Checking | State::Revoking => Stand::Done(row.state.clone()),
                State::Gone => Stand::Sent(
                    "no longer pending, and no answer to our call: GitHub's webhook, or its audit log, says who it was".to_owned(),
                ),
                State::Waiting | State::Escalated | State::Held => Stand::Changed,
            };
        }
        Ok(())
    }

    async fn rows(
        &self,
        installation: &InstallationRow,
        items: &[&mut Item],
    ) -> Result<Vec<RequestRow>, StoreError> {
        let mut rows = Vec::new();
        for item in items {
            let key = RequestKey { organization: installation.organization.id, request: item.id };
            rows.extend(self.engine.store.request(key).await?);
        }
        Ok(rows)
    }

    /// What the lists say of a request whose call was begun.
    async fn note_seen(
        &self,
        worker: &Worker<'_>,
        row: &RequestRow,
        call: Call,
        (listing, grants): (&Listing, &Grants),
    ) -> Result<Option<Happened>, StoreError> {
        let State::Sent(verdict) = row.state else { return Ok(None) };
        let listed = listing.requests.iter().find(|request| request.id == row.id);
        let hidden = listing.unreadable.iter().any(|(id, _)| id.is_none_or(|id| id == row.id));
        let now = self.engine.clock.now();
        let event = match (listed, verdict) {
            // An answer to a call of its own was lost: still pending means that it did not happen.
            (Some(request), _) if call == Call::Own => {
                let mut tx = worker.begin().await?;
                worker.note_pending(&mut tx, row.key(), request, now).await?;
                tx.commit().await?;
                return Ok(None);
            }
            (Some(_), _) => return Ok(None),
            (None, _) if hidden => return Ok(None),
            (None, Verdict::Deny) if call == Call::Taken => Event::Acknowledged(Verdict::Deny),
            (None, Verdict::Deny) => Event::Absent { in_doubt: None, granted: false },
            (None, Verdict::Approve) => {
                let asked_at = row.listed.as_ref().map(|request| request.created_at);
                let grant = row.token_id.and_then(|token| grants.of(token).ok().flatten());
                // An edited token keeps its old access while the request waits.
                let granted = grant.is_some_and(|grant| {
                    asked_at.is_none_or(|asked_at| grant.access_granted_at >= asked_at)
                });
                if !granted {
                    // One list shows that it is over; the other may not yet show that it was we who approved it.
                    return Ok(None);
                }
                Event::Absent { in_doubt: Some(Verdict::Approve), granted }
            }
        };
        let mut tx = worker.begin().await?;
        let happened = record::happen(&mut tx, row.key(), &event, now, |_| {}).await?;
        tx.commit().await?;
        Ok(happened)
    }
}

fn is_open(item: &Item) -> bool {
    matches!(item.stand, Stand::Sent(_) | Stand::Done(State::Checking | State::Revoking))
}
