//! A confirmed revocation is carried out: exactly the tokens that were planned, as they were planned, a hundred a call.
//!
//! Each token is looked at right before its call, every call is in the store before it is sent, and what came of it is
//! what the list of tokens says afterwards: GitHub only says that it took the call.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    bulk::{Bulk, BulkError, Leased, Step, Watch},
    worker::after,
};
use crate::{
    audit,
    domain::{Grant, GrantId, TokenId},
    github::{CallError, GrantQuery, Grants, MOST_AT_ONCE, Read},
    store::{
        HoldRow, InstallationRow, ItemState, RevocationItemRow, RevocationRow, RevocationState,
    },
};

/// How long a plan may wait to be confirmed: what it says of tokens grows old.
pub const PLANS_LAPSE: SignedDuration = SignedDuration::from_hours(24);

/// How long after a call its tokens are looked for again, as long as some are still there: GitHub does what it took
/// later, and its lists lag.
const LOOKS: [SignedDuration; 4] = [
    SignedDuration::from_secs(2),
    SignedDuration::from_secs(10),
    SignedDuration::from_secs(30),
    SignedDuration::from_secs(70),
];

/// How often a call is made for a token that is still there afterwards.
const MOST_CALLS: i64 = 3;

/// How a revocation ended, or where it was left.
#[derive(Clone, Debug)]
pub struct Carried {
    /// As it stands now.
    pub revocation: RevocationRow,
    /// How many tokens stand where.
    pub counts: Vec<(ItemState, i64)>,
}

/// What a round came to.
enum Round {
    /// Something was done; perhaps there is more.
    Worked,
    /// Nothing is to be done before then.
    Wait(Timestamp),
    /// Every token is at its end.
    Over,
}

/// So long after a call, another revocation no longer leaves its tokens to whoever began it.
const CALLS_ARE_OVER_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// How often a list is read to find two readings that show the same.
const MOST_READINGS: u32 = 5;

/// After so many calls in a row that GitHub would not take, something else is wrong than a token.
const MOST_REFUSALS: u32 = 10;

/// How tokens are named in a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// A hundred at once.
    Many,
    /// One by one: GitHub would not take some of them together, without saying which.
    Single,
}

/// Why nothing more of a revocation is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// For now: it goes on later.
    Pause(String),
    /// For good: what was not sent is left out.
    End(String),
}

/// Asked before each call whether it is still to be made.
pub(super) type Still<'a> = &'a (dyn Fn() -> Result<(), Halt> + Send + Sync);

/// One revocation while it is carried out.
struct Run<'a> {
    bulk: &'a Bulk,
    revocation: &'a RevocationRow,
    installation: &'a InstallationRow,
    read: Read,
    watch: &'a dyn Watch,
    still: Still<'a>,
    of: u64,
    calls: Calls,
    /// Calls that failed in a row.
    failures: i64,
    /// Calls in a row that GitHub would not take as they were.
    refusals: u32,
    /// How many tokens are still to be named one by one.
    singles: usize,
}

impl Bulk {
    /// Carries out a confirmed revocation to its end, or goes on where it was left. Nothing else than what was planned
    /// is touched, and nothing is sent twice on a guess: what is not known is looked at first.
    ///
    /// # Errors
    /// What stopped it: calling this again goes on.
    pub async fn carry_out(&self, id: i64, watch: &dyn Watch) -> Result<Carried, BulkError> {
        self.carry_out_while(id, watch, &|| Ok(())).await
    }

    /// The same, as long as `still` allows it.
    pub(super) async fn carry_out_while(
        &self,
        id: i64,
        watch: &dyn Watch,
        still: Still<'_>,
    ) -> Result<Carried, BulkError> {
        let revocation = self.store.revocation(id).await?;
        let revocation =
            revocation.ok_or_else(|| BulkError::Refused(format!("there is no revocation {id}")))?;
        match revocation.state {
            RevocationState::Running => {}
            RevocationState::Done => return self.carried(id).await,
            RevocationState::Reported => {
                return Err(BulkError::Refused(format!(
                    "revocation {id} is a report of a standing policy: there is nothing to carry out"
                )));
            }
            RevocationState::Planned | RevocationState::Waiting | RevocationState::Dropped => {
                return Err(BulkError::Refused(format!(
                    "revocation {id} is {}: nobody has confirmed it",
                    revocation.state.as_str()
                )));
            }
        }
        let installation = self.installation(revocation.organization.id).await?;
        let mut run = Run {
            bulk: self,
            read: self.clients.read(installation.id)?,
            revocation: &revocation,
            installation: &installation,
            watch,
            still,
            of: 0,
            calls: Calls::Many,
            failures: 0,
            refusals: 0,
            singles: 0,
        };
        run.of = run.counted().await?.1;
        loop {
            match run.round().await? {
                Round::Worked => {}
                Round::Wait(until) => {
                    watch.step(&Step::Waiting {
                        until,
                        why: "GitHub does what it took a while later",
                    });
                    self.sleep_until(until).await?;
                }
                Round::Over if run.is_over().await? => break,
                // Another process on the same revocation has put something back.
                Round::Over => {}
            }
        }
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        tx.note_revocation(id, RevocationState::Done, "", now).await?;
        tx.commit().await?;
        self.carried(id).await
    }

    async fn carried(&self, id: i64) -> Result<Carried, BulkError> {
        let revocation = self.store.revocation(id).await?;
        let revocation =
            revocation.ok_or_else(|| BulkError::Refused(format!("there is no revocation {id}")))?;
        Ok(Carried { counts: self.store.count_revocation_items(id).await?, revocation })
    }
}

impl Run<'_> {
    async fn items(&self, state: ItemState) -> Result<Vec<RevocationItemRow>, BulkError> {
        let most = i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX);
        let first = GrantId(i64::MIN);
        Ok(self.bulk.store.revocation_items(self.revocation.id, Some(state), first, most).await?)
    }

    /// Whether nothing is left to be done about any token.
    async fn is_over(&self) -> Result<bool, BulkError> {
        let counts = self.bulk.store.count_revocation_items(self.revocation.id).await?;
        Ok(counts.iter().all(|(state, _)| !state.is_open()))
    }

    /// How many tokens are at their end or acknowledged, and how many there are.
    async fn counted(&self) -> Result<(u64, u64), BulkError> {
        let counts = self.bulk.store.count_revocation_items(self.revocation.id).await?;
        let number = |count: i64| u64::try_from(count).unwrap_or_default();
        let open = |state: ItemState| matches!(state, ItemState::Planned | ItemState::Sent);
        let done =
            counts.iter().filter(|(state, _)| !open(*state)).map(|(_, count)| number(*count));
        Ok((done.sum(), counts.iter().map(|(_, count)| number(*count)).sum()))
    }

    /// What is in doubt first, then what is to be sent, then what is to be seen to be gone.
    async fn round(&mut self) -> Result<Round, BulkError> {
        self.bulk.check_stop()?;
        let sent = self.items(ItemState::Sent).await?;
        if !sent.is_empty() {
            return self.look_after(sent).await;
        }
        let planned = self.items(ItemState::Planned).await?;
        if !planned.is_empty() {
            match (self.still)() {
                Ok(()) => {}
                Err(Halt::Pause(why)) => return Err(BulkError::Paused(why)),
                Err(Halt::End(why)) => {
                    let (store, now) = (&self.bulk.store, self.bulk.clock.now());
                    store.leave_out_what_is_planned(self.revocation.id, &why, now).await?;
                    return Ok(Round::Worked);
                }
            }
            self.send_some(planned).await?;
            let (done, of) = self.counted().await?;
            self.watch.step(&Step::Revoking { done, of });
            return Ok(Round::Worked);
        }
        self.verify().await
    }

    /// The access that these tokens have now.
    async fn look(&self, items: &[RevocationItemRow]) -> Result<Grants, BulkError> {
        let tokens: Vec<TokenId> = items.iter().map(|item| item.token_id).collect();
        let organization = &self.installation.organization;
        let read = &self.read;
        let call = || read.grants_of(organization, &tokens);
        self.bulk.reading(self.installation, read, self.watch, call).await
    }

    /// Calls whose answers never came: what is gone was revoked; what is still there is looked at again, and sent again
    /// once no call can be on its way any more.
    async fn look_after(&self, items: Vec<RevocationItemRow>) -> Result<Round, BulkError> {
        if let Some(until) = self.next_look(&items) {
            return Ok(Round::Wait(until));
        }
        let grants = self.look(&items).await?;
        self.note_seen(&items, &|token| grants.of(token).map(Option::<&Grant>::cloned)).await?;
        let still = self.items(ItemState::Sent).await?;
        Ok(if still.is_empty() { Round::Worked } else { Round::Wait(self.later(&still)) })
    }

    /// When the first of these is to be looked at, unless it is now.
    fn next_look(&self, items: &[RevocationItemRow]) -> Option<Timestamp> {
        let now = self.bulk.clock.now();
        let [first, ..] = LOOKS;
        let due = |item: &RevocationItemRow| {
            // In the future: the clock was set back since, and must not make it wait for that.
            let sent = item.sent_at.filter(|sent| *sent <= now)?;
            sent.saturating_add(first).ok()
        };
        let due: Option<Vec<Timestamp>> = items.iter().map(due).collect();
        due.and_then(|due| due.into_iter().min()).filter(|due| *due > now)
    }

    /// What a look after a call says of each of these tokens.
    async fn note_seen(
        &self,
        items: &[RevocationItemRow],
        found: &(dyn Fn(TokenId) -> Result<Option<Grant>, CallError> + Sync),
    ) -> Result<(), BulkError> {
        let now = self.bulk.clock.now();
        let [.., last_look] = LOOKS;
        let mut told = Vec::new();
        let mut tx = self.bulk.store.begin().await?;
        for item in items {
            let sent_at = item.sent_at.unwrap_or(now);
            let (state, why) = match found(item.token_id) {
                Ok(None) => (ItemState::Revoked, String::new()),
                Ok(Some(grant)) if grant.id != item.grant_id => {
                    (ItemState::Revoked, "it has been given access anew since".to_owned())
                }
                // By GitHub's clock against GitHub's: it was the one that was planned when it was sent.
                Ok(Some(grant)) if grant.access_granted_at != item.planned.access_granted_at => {
                    (ItemState::Revoked, "it has been given access again since".to_owned())
                }
                Ok(Some(_)) if now.duration_since(sent_at).abs() < last_look => continue,
                Ok(Some(_)) if item.attempts < MOST_CALLS => {
                    (ItemState::Planned, "still there after a call".to_owned())
                }
                Ok(Some(_)) => (
                    ItemState::StillThere,
                    format!("still there after {MOST_CALLS} calls: revoke it in GitHub's settings"),
                ),
                Err(error) => {
                    (ItemState::StillThere, format!("GitHub's list was not understood: {error}"))
                }
            };
            tx.note_item(self.revocation.id, item.grant_id, state, &why, now).await?;
            if state == ItemState::Revoked {
                tx.token_gone(self.installation.organization.id, item.grant_id, now).await?;
            }
            told.extend((!state.is_open()).then(|| self.told(item, state, now)));
        }
        tx.commit().await?;
        self.tell(told);
        Ok(())
    }

    /// Looks at these tokens, leaves out what is not as it was planned, and sends one call for the others.
    async fn send_some(&mut self, items: Vec<RevocationItemRow>) -> Result<(), BulkError> {
        self.bulk.may_call(self.installation, &self.read, self.watch).await?;
        let items = match self.calls {
            Calls::Many => items,
            Calls::Single => items.into_iter().take(1).collect(),
        };
        let many = items.len();
        let write = self.bulk.clients.write(self.installation.id)?;
        write.my_turn().await;
        // Looked at while nobody else may write for this organization, and sent at once.
        let leased = self.bulk.lease(self.installation.organization.id).await?;
        let sent = self.look_and_send(&leased, &write, items).await;
        leased.release().await;
        let sent = sent?;
        if self.calls == Calls::Single {
            self.singles = self.singles.saturating_sub(1);
            if self.singles == 0 {
                self.calls = Calls::Many;
            }
        }
        let Some(error) = sent else { return Ok(()) };
        self.failures += 1;
        match error {
            error @ (CallError::Unprocessable { .. } | CallError::NotFound) => {
                // Some of them, or all, are not to be revoked as GitHub sees it: the next look shows which, or one by
                // one it comes out.
                self.refusals += 1;
                if self.refusals > 1 && self.calls == Calls::Many {
                    // All of these, and not only up to the first that GitHub takes.
                    (self.calls, self.singles) = (Calls::Single, many);
                }
                if self.refusals > MOST_REFUSALS { Err(error.into()) } else { Ok(()) }
            }
            error => {
                let (id, read) = (self.installation.id, &self.read);
                self.bulk.after_failure(id, read, error, self.failures, self.watch).await
            }
        }
    }

    async fn look_and_send(
        &mut self,
        leased: &Leased,
        write: &crate::github::Write,
        items: Vec<RevocationItemRow>,
    ) -> Result<Option<CallError>, BulkError> {
        let organization = &self.installation.organization;
        let id = self.revocation.id;
        if (self.still)().is_err() {
            // What made it may have been withdrawn while it waited for its turn: the next round says so.
            return Ok(None);
        }
        // Somebody else may have sent some of them before the lease was ours.
        let now_planned = self.items(ItemState::Planned).await?;
        let still = |item: &RevocationItemRow| {
            now_planned.iter().any(|planned| planned.grant_id == item.grant_id)
        };
        let items: Vec<_> = items.into_iter().filter(still).collect();
        if items.is_empty() {
            return Ok(None);
        }
        let tokens: Vec<TokenId> = items.iter().map(|item| item.token_id).collect();
        let grants = match self.read.grants_of(organization, &tokens).await {
            Ok(grants) => grants,
            Err(error @ (CallError::NoAnswer { .. } | CallError::RateLimited { .. })) => {
                return Ok(Some(error));
            }
            Err(error) => return Err(error.into()),
        };
        let now = self.bulk.clock.now();
        let since = now.saturating_sub(CALLS_ARE_OVER_AFTER).unwrap_or(Timestamp::MIN);
        let elsewhere = self.bulk.store.being_revoked((id, organization.id), &items, since).await?;
        let holds = self.holds().await?;
        let mut to_send = Vec::new();
        let mut told = Vec::new();
        let now = self.bulk.clock.now();
        let mut tx = self.bulk.store.begin_under(&leased.lease, now).await?;
        for item in &items {
            let (state, why) = match grants.of(item.token_id) {
                Ok(None) => (ItemState::AlreadyGone, String::new()),
                Ok(Some(_)) if elsewhere.contains_key(&item.grant_id) => {
                    let other = elsewhere.get(&item.grant_id).copied().unwrap_or_default();
                    (ItemState::LeftOut, format!("revocation {other} is revoking it"))
                }
                Ok(Some(grant)) => match self.in_the_way(&holds, item, grant) {
                    None => {
                        to_send.push(item);
                        continue;
                    }
                    Some(why) => (ItemState::LeftOut, why),
                },
                Err(error) => {
                    (ItemState::LeftOut, format!("GitHub's list was not understood: {error}"))
                }
            };
            tx.note_item(id, item.grant_id, state, &why, now).await?;
            if state == ItemState::AlreadyGone {
                tx.token_gone(organization.id, item.grant_id, now).await?;
            }
            told.push(self.told(item, state, now));
        }
        let given_up: Vec<_> = to_send.iter().filter(|item| item.attempts >= MOST_CALLS).collect();
        for item in &given_up {
            let why =
                format!("GitHub refused {MOST_CALLS} calls for it: revoke it in GitHub's settings");
            tx.note_item(id, item.grant_id, ItemState::StillThere, &why, now).await?;
            told.push(self.told(item, ItemState::StillThere, now));
        }
        to_send.retain(|item| item.attempts < MOST_CALLS);
        for item in &to_send {
            tx.note_item(id, item.grant_id, ItemState::Sent, "", now).await?;
        }
        tx.commit().await?;
        crate::crash::point("revocation-journalled");
        self.tell(told);
        if to_send.is_empty() {
            return Ok(None);
        }
        let grants: Vec<GrantId> = to_send.iter().map(|item| item.grant_id).collect();
        let event = audit::Event::RevocationSending { revocation: id, tokens: grants.len() };
        self.bulk.audit.write(audit::Entry::about(organization, event, now));
        let answer = match (self.calls, grants.as_slice()) {
            (Calls::Single, [grant]) => write.revoke(organization, *grant).await,
            _ => write.revoke_many(organization, &grants).await,
        };
        crate::crash::point("revocation-answered");
        let error = answer.err();
        if error.as_ref().is_some_and(CallError::may_have_taken_effect) {
            // They stay as sent: the next round looks.
            tracing::warn!(revocation = id, error = ?error, "no answer to a revocation: what came of it is looked at");
            return Ok(None);
        }
        let (state, why) = match &error {
            None => (ItemState::Acknowledged, String::new()),
            Some(error) => (ItemState::Planned, error.to_string()),
        };
        let now = self.bulk.clock.now();
        let mut tx = self.bulk.store.begin_under(&leased.lease, now).await?;
        let alone = self.calls == Calls::Single;
        let refused = matches!(error, Some(CallError::Unprocessable { .. } | CallError::NotFound));
        for grant in &grants {
            tx.note_item(id, *grant, state, &why, now).await?;
            if error.is_some() && !(alone && refused) {
                // It says nothing of this token: the call was turned away, or another token was in the way.
                tx.item_not_called(id, *grant).await?;
            }
        }
        tx.commit().await?;
        if error.is_none() {
            (self.failures, self.refusals) = (0, 0);
        }
        Ok(error)
    }

    /// The holds that are in force: they bind standing policies, not whoever revokes by hand.
    async fn holds(&self) -> Result<Vec<HoldRow>, BulkError> {
        if self.revocation.policy.is_none() {
            return Ok(Vec::new());
        }
        let holds = self.bulk.store.holds(Some(self.installation.organization.id)).await?;
        let now = self.bulk.clock.now();
        Ok(holds.into_iter().filter(|hold| hold.is_in_force(now)).collect())
    }

    /// Why a token is not to be revoked after all, as people read it.
    fn in_the_way(
        &self,
        holds: &[HoldRow],
        item: &RevocationItemRow,
        now: &Grant,
    ) -> Option<String> {
        let policy = self.revocation.policy.as_deref().unwrap_or_default();
        let held = holds.iter().find(|hold| hold.is_of(policy, item.token_id));
        held.map(HoldRow::to_string)
            .or_else(|| changed(&item.planned, now, self.revocation.spares_used))
    }

    /// Sees whether what GitHub took is gone. By the tokens' ids, fifty a call, or by the whole list where what remains
    /// in it is the shorter way.
    async fn verify(&self) -> Result<Round, BulkError> {
        let items = self.items(ItemState::Acknowledged).await?;
        if items.is_empty() {
            return Ok(Round::Over);
        }
        if let Some(until) = self.next_look(&items) {
            return Ok(Round::Wait(until));
        }
        let open = self.bulk.store.count_revocation_items(self.revocation.id).await?;
        let open = open.iter().find(|(state, _)| *state == ItemState::Acknowledged);
        let open = open.map_or(0, |(_, count)| *count);
        let active = self.bulk.store.count_tokens(self.installation.organization.id).await?;
        let before = self.counted().await?;
        if open / 50 > (active - open).max(0) / 100 + 1 {
            self.verify_by_the_list().await?;
        } else {
            let grants = self.look(&items).await?;
            self.note_seen(&items, &|token| grants.of(token).map(Option::<&Grant>::cloned)).await?;
        }
        let still = self.items(ItemState::Acknowledged).await?;
        let (_, of) = before;
        let done = of.saturating_sub(u64::try_from(open).unwrap_or_default());
        self.watch.step(&Step::Verifying { done, of });
        let first = items.first().map(|item| item.grant_id);
        if still.first().map(|item| item.grant_id) == first && first.is_some() {
            // Not yet: later again.
            return Ok(Round::Wait(self.later(&still)));
        }
        Ok(Round::Worked)
    }

    /// When to look again at tokens that were there a moment ago.
    fn later(&self, items: &[RevocationItemRow]) -> Timestamp {
        let now = self.bulk.clock.now();
        let next = |item: &RevocationItemRow| {
            let sent = item.sent_at.unwrap_or(now);
            LOOKS.iter().filter_map(|look| sent.saturating_add(*look).ok()).find(|look| *look > now)
        };
        let [.., last_look] = LOOKS;
        let most = now.saturating_add(last_look).unwrap_or(now);
        items.iter().filter_map(next).min().unwrap_or_else(|| after(now, 10)).min(most)
    }

    /// By the whole list, read twice: while GitHub takes rows out of it, others move over the end of a page, and one may be
    /// on none. Where both readings show the same, it is believed.
    async fn verify_by_the_list(&self) -> Result<(), BulkError> {
        let mut there = self.everything().await?;
        for _ in 0..MOST_READINGS {
            let again = self.everything().await?;
            let same = again.len() == there.len() && again.keys().all(|id| there.contains_key(id));
            there = again;
            if same {
                return self.note_all_seen(&there).await;
            }
        }
        // It changes all the time: later again.
        Ok(())
    }

    async fn everything(&self) -> Result<HashMap<TokenId, Grant>, BulkError> {
        let organization = &self.installation.organization;
        let mut there: HashMap<TokenId, Grant> = HashMap::new();
        let pages =
            tokio::sync::Mutex::new(self.read.grant_pages(organization, &GrantQuery::default()));
        while let Some(page) =
            self.bulk.next_page(self.installation, &self.read, &pages, self.watch).await?
        {
            if let Some((_, why)) = page.unreadable.first() {
                return Err(CallError::Unreadable { why: why.clone() }.into());
            }
            there.extend(page.grants.into_iter().map(|grant| (grant.token.id, grant)));
        }
        Ok(there)
    }

    async fn note_all_seen(&self, there: &HashMap<TokenId, Grant>) -> Result<(), BulkError> {
        let mut after = GrantId(i64::MIN);
        loop {
            let most = i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX);
            let acknowledged = Some(ItemState::Acknowledged);
            let store = &self.bulk.store;
            let items =
                store.revocation_items(self.revocation.id, acknowledged, after, most).await?;
            let Some(last) = items.last() else { return Ok(()) };
            after = last.grant_id;
            self.note_seen(&items, &|token| Ok(there.get(&token).cloned())).await?;
        }
    }

    fn told(&self, item: &RevocationItemRow, state: ItemState, now: Timestamp) -> audit::Entry {
        let event = audit::Event::TokenRevoked {
            revocation: self.revocation.id,
            grant_id: item.grant_id,
            token_id: item.token_id,
            outcome: state.as_str(),
        };
        audit::Entry {
            owner: Some(item.owner.clone()),
            token: Some(item.token_name.clone()),
            ..audit::Entry::about(&self.installation.organization, event, now)
        }
    }

    fn tell(&self, entries: Vec<audit::Entry>) {
        for entry in entries {
            self.bulk.audit.write(entry);
        }
    }
}

/// What of a token is not as it was planned, as people read it. `spares_used`: having been used since counts.
fn changed(planned: &Grant, now: &Grant, spares_used: bool) -> Option<String> {
    let shown = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    if now.id != planned.id || now.access_granted_at != planned.access_granted_at {
        return Some(format!("it was given access again, on {}", shown(now.access_granted_at)));
    }
    if spares_used && now.token.last_used_at != planned.token.last_used_at {
        return Some(match now.token.last_used_at {
            Some(at) => format!("it was used since it was planned, on {}", shown(at)),
            None => "GitHub does not say any more when it was used".to_owned(),
        });
    }
    let same = now.permissions == planned.permissions
        && now.repository_selection == planned.repository_selection
        && now.token.expires_at == planned.token.expires_at
        && now.owner.id == planned.owner.id;
    (!same).then(|| "what it may do changed since it was planned".to_owned())
}
