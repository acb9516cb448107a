//! What GitHub shows of the requests that are due: one listing for all of them, and a second look for those
//! that it does not show.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{
    ROWS_AT_ONCE,
    lifecycle::{Event, State, Verdict},
    record::{self, Happened},
    worker::{Stop, Worker, after, next_look},
};
use crate::{
    domain::{Fingerprint, RequestId, TokenId, TokenRequest},
    github::{Grants, Listing, Read},
    store::{InstallationRow, RequestKey, RequestRow, StoreError, Tx},
};

/// Up to so many open requests one plain page shows them all; beyond, the list is asked by token.
const ONE_PAGE: i64 = 100;

/// A request as the store has it, and as GitHub shows it now.
pub(super) type Seen = (RequestRow, TokenRequest);

/// A listing, by request.
struct Rows {
    requests: HashMap<RequestId, TokenRequest>,
    unreadable: Vec<(Option<RequestId>, String)>,
}

impl Rows {
    fn of(listing: Listing) -> Self {
        let Listing { requests, unreadable } = listing;
        let requests = requests.into_iter().map(|request| (request.id, request)).collect();
        Self { requests, unreadable }
    }

    /// Why a row could not be read that may be this request's.
    fn may_hide(&self, id: RequestId) -> Option<&str> {
        let row = self.unreadable.iter().find(|(row, _)| row.is_none_or(|row| row == id));
        row.map(|(_, why)| why.as_str())
    }
}

impl Worker<'_> {
    /// Gives those of `rows` that GitHub shows as pending: they are to be judged or sent now.
    pub(super) async fn look(
        &self,
        installation: &InstallationRow,
        read: &Read,
        rows: Vec<RequestRow>,
    ) -> Result<Vec<Seen>, Stop> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let organization = &installation.organization;
        let tokens: Option<Vec<TokenId>> = rows.iter().map(|row| row.token_id).collect();
        let one_page = self.engine.store.count_open(organization.id).await? <= ONE_PAGE;
        let listed = match tokens {
            Some(tokens) if !one_page => read.pending_requests_of(organization, &tokens).await,
            _ => read.pending_requests(organization).await,
        };
        let listing = match listed {
            Ok(listing) => listing,
            Err(error) => {
                self.failed(installation.id, &rows, &error).await?;
                return Ok(Vec::new());
            }
        };
        let listing = Rows::of(listing);
        let (mut seen, mut to_confirm) = (Vec::new(), Vec::new());
        for some in rows.chunks(ROWS_AT_ONCE) {
            let now = self.engine.clock.now();
            let mut tx = self.begin().await?;
            let (listed, absent) = self.note_listed(&mut tx, some, &listing, now).await?;
            to_confirm.extend(self.look_again_later(&mut tx, absent, now).await?);
            tx.commit().await?;
            seen.extend(listed);
        }
        if !to_confirm.is_empty() {
            seen.extend(self.confirm_absent(installation, read, to_confirm).await?);
        }
        Ok(seen)
    }

    /// Notes what a listing shows of `rows`. Gives those that are pending, and those that are not in it.
    async fn note_listed(
        &self,
        tx: &mut Tx,
        rows: &[RequestRow],
        listing: &Rows,
        now: Timestamp,
    ) -> Result<(Vec<Seen>, Vec<RequestRow>), StoreError> {
        let (mut seen, mut absent) = (Vec::new(), Vec::new());
        for row in rows {
            if let Some(request) = listing.requests.get(&row.id) {
                if let Some(row) = self.note_pending(tx, row.key(), request, now).await? {
                    seen.push((row, request.clone()));
                }
            } else if let Some(why) = listing.may_hide(row.id) {
                let note = format!("GitHub's list shows it in a form that we cannot read: {why}");
                self.postpone(tx, row.key(), &note, now).await?;
            } else {
                absent.push(row.clone());
            }
        }
        Ok((seen, absent))
    }

    pub(super) async fn note_pending(
        &self,
        tx: &mut Tx,
        key: RequestKey,
        request: &TokenRequest,
        now: Timestamp,
    ) -> Result<Option<RequestRow>, StoreError> {
        let shape = Fingerprint::of(request, None);
        let Some(row) = tx.request(key).await? else { return Ok(None) };
        let changed = row.shape.as_ref().is_some_and(|judged| *judged != shape);
        let event = Event::Pending { changed, long_settled: false };
        let happened = record::happen(tx, key, &event, now, |row| {
            row.organization.login = request.organization.login.clone();
            row.token_id = Some(request.token.id);
            row.token_name.clone_from(&request.token.name);
            row.owner = request.owner.clone();
            row.listed = Some(request.clone());
            row.looks = 0;
        })
        .await?;
        Ok(happened.map(|happened| happened.row))
    }

    /// A webhook can be ahead of the list: what no list ever showed is looked for again, later each time.
    /// Gives the others.
    async fn look_again_later(
        &self,
        tx: &mut Tx,
        absent: Vec<RequestRow>,
        now: Timestamp,
    ) -> Result<Vec<RequestRow>, StoreError> {
        let mut to_confirm = Vec::new();
        for row in absent {
            let Some(wait) = next_look(&row).filter(|_| row.listed.is_none()) else {
                to_confirm.push(row);
                continue;
            };
            let again = row.woken_at.saturating_add(wait).unwrap_or(now).max(after(now, 1));
            record::happen(tx, row.key(), &Event::Woken, now, |row| {
                row.looks += 1;
                row.due_at = Some(again);
                row.note = "announced by a webhook, and not in GitHub's list yet".to_owned();
            })
            .await?;
        }
        Ok(to_confirm)
    }

    /// Not in the list. A list may lag or lose a row: only then is it gone when asking for the token by name
    /// finds nothing either.
    async fn confirm_absent(
        &self,
        installation: &InstallationRow,
        read: &Read,
        rows: Vec<RequestRow>,
    ) -> Result<Vec<Seen>, Stop> {
        let tokens: Vec<TokenId> = rows.iter().filter_map(|row| row.token_id).collect();
        let listing = match read.pending_requests_of(&installation.organization, &tokens).await {
            Ok(listing) => listing,
            Err(error) => {
                self.failed(installation.id, &rows, &error).await?;
                return Ok(Vec::new());
            }
        };
        // Only a call of ours whose answer was lost can have approved it: that is worth another look.
        let in_doubt: Vec<TokenId> = rows
            .iter()
            .filter(|row| approved_since(row).is_some())
            .filter_map(|row| row.token_id)
            .collect();
        let grants = match read.grants_of(&installation.organization, &in_doubt).await {
            Ok(grants) => grants,
            Err(error) => {
                self.failed(installation.id, &rows, &error).await?;
                return Ok(Vec::new());
            }
        };
        let listing = Rows::of(listing);
        let mut seen = Vec::new();
        for some in rows.chunks(ROWS_AT_ONCE) {
            let now = self.engine.clock.now();
            let mut tx = self.begin().await?;
            let (listed, absent) = self.note_listed(&mut tx, some, &listing, now).await?;
            let mut happened = Vec::new();
            for row in absent {
                happened.extend(self.note_absent(&mut tx, &row, &grants, now).await?);
            }
            tx.commit().await?;
            self.tell(happened);
            seen.extend(listed);
        }
        Ok(seen)
    }

    async fn note_absent(
        &self,
        tx: &mut Tx,
        row: &RequestRow,
        grants: &Grants,
        now: Timestamp,
    ) -> Result<Option<Happened>, StoreError> {
        let approved_since = approved_since(row);
        let grant = match row.token_id.filter(|_| approved_since.is_some()) {
            Some(token) => match grants.of(token) {
                Ok(grant) => grant,
                Err(error) => {
                    self.postpone(tx, row.key(), &error.to_string(), now).await?;
                    return Ok(None);
                }
            },
            None => None,
        };
        // An edited token keeps its old access while the request waits: only access granted since then
        // came from this request.
        let asked_at = row.listed.as_ref().map(|request| request.created_at);
        let granted = grant.is_some_and(|grant| {
            asked_at.is_none_or(|asked_at| grant.access_granted_at >= asked_at)
        });
        let lists_lag =
            approved_since.is_some_and(|since| now.duration_since(since) <= record::LANDS_WITHIN);
        if !granted && lists_lag {
            // One list shows that it is over; the other may not yet show that it was we who approved it.
            let note = "no longer pending; whether our approval did that is not to be seen yet";
            self.postpone(tx, row.key(), note, now).await?;
            return Ok(None);
        }
        let event = Event::Absent { in_doubt: row.in_doubt.map(|doubt| doubt.verdict), granted };
        record::happen(tx, row.key(), &event, now, |_| {}).await
    }
}

/// When a call that approves was begun, if what came of it is not known.
fn approved_since(row: &RequestRow) -> Option<Timestamp> {
    match row.state {
        State::Sent(Verdict::Approve) => Some(row.state_since),
        _ => {
            row.in_doubt.filter(|doubt| doubt.verdict == Verdict::Approve).map(|doubt| doubt.since)
        }
    }
}
