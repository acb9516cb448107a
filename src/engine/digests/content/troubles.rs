//! What is broken or degraded in an organization, as the record has it, and what to do about it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Content;
use crate::{
    digest::{Few, Trouble, Waiting},
    domain::{Login, agrees, many},
    engine::escalate::NO_WAY,
    rules::Policy,
    store::StoreError,
};

/// How old a list of tokens or members may be before that is a trouble. They are read every six hours, unless told.
const LISTS_GROW_OLD: SignedDuration = SignedDuration::from_hours(72);

/// How long a mail, or an owner who is to be told something, may wait before that is a trouble.
const WAITS_TOO_LONG: SignedDuration = SignedDuration::from_hours(24);

impl Content<'_> {
    pub(super) async fn troubles(
        &self,
        since: Timestamp,
        waiting: &Few<Waiting>,
    ) -> Result<Vec<Trouble>, StoreError> {
        let (store, organization) = (self.store, self.organization);
        let mut troubles = Vec::new();
        let mut add = |what: String, detail: String, remedy: &str| {
            troubles.push(Trouble { what, detail, remedy: remedy.to_owned() });
        };
        if let Some(why) = &self.in_force.broken {
            let what = match &self.in_force.policy {
                Some(_) => "the rules that are there now cannot be used: nothing is approved",
                None => "no rules are in force: nothing is approved",
            };
            add(
                what.to_owned(),
                why.clone(),
                "patwarden policy list shows what is wrong with them",
            );
        }
        if self.policy().is_some_and(Policy::approvals_were_disabled) {
            let what = "an upper layer made approve rules of this organization impossible";
            add(what.to_owned(), String::new(), "patwarden policy list shows which");
        }
        if let Some(parked) = store
            .parked(self.now)
            .await?
            .into_iter()
            .find(|parked| Login::new(parked.organization.clone()) == organization.login)
        {
            let what = "GitHub asks for a pause: requests wait until it is over".to_owned();
            add(what, format!("until {}", parked.until.strftime("%Y-%m-%d %H:%M UTC")), "");
        }
        let unread = store.count_unread_deliveries(since).await?;
        if unread > 0 {
            let what = format!(
                "{} from GitHub {} not understood",
                many(unread, "delivery"),
                agrees(unread, "was", "were")
            );
            add(what, String::new(), "patwarden requests list shows them");
        }
        let old = |at: Option<Timestamp>| {
            at.is_some_and(|at| self.now.duration_since(at) > LISTS_GROW_OLD)
        };
        let listing = store.token_listing(organization.id).await?;
        if old(listing.as_ref().map(|listing| listing.ended_at)) {
            let what = "the tokens with access were not listed for days";
            add(what.to_owned(), String::new(), "patwarden's log says why");
        }
        if let Some(listing) = listing.filter(|listing| listing.unreadable > 0) {
            let what = format!(
                "{} {} listed in a form that cannot be read",
                many(listing.unreadable, "token"),
                agrees(listing.unreadable, "is", "are")
            );
            add(what, String::new(), "patwarden's log names them; nothing is done with them");
        }
        if old(store.members_listed_at(organization.id).await?) {
            let what = "the members were not listed for days: who leaves is not noticed";
            add(what.to_owned(), String::new(), "patwarden's log says why");
        }
        let mut unread: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for unknown in waiting.shown.iter().filter_map(|one| one.decision.as_ref()) {
            for fact in unknown.unknown.iter().filter(|fact| fact.retry) {
                unread.entry(&fact.fact).or_insert((0, &fact.why)).0 += 1;
            }
        }
        for (fact, (number, why)) in unread {
            let what = format!("{fact} could not be read for {number} of the requests that wait");
            add(what, why.to_owned(), "it is read again until it can be");
        }
        if let Some((hindered, why)) = store.hindered_escalations(organization.id, NO_WAY).await? {
            let what = format!(
                "people could not be asked about {}, or could not answer",
                many(hindered, "request")
            );
            add(
                what,
                why,
                "no time counts against them meanwhile; patwarden requests show says more",
            );
        }
        let late = self.now.saturating_sub(WAITS_TOO_LONG).unwrap_or(Timestamp::MIN);
        let (refused, delayed) = store.undelivered_mails(organization.id, since, late).await?;
        if refused > 0 {
            let what = format!(
                "{} {} refused by the mail server",
                many(refused, "mail"),
                agrees(refused, "was", "were")
            );
            add(what, String::new(), "patwarden's log says which and why");
        }
        if delayed > 0 {
            let what = format!(
                "{} {} for more than a day to be sent",
                many(delayed, "mail"),
                agrees(delayed, "waits", "wait")
            );
            add(what, String::new(), "patwarden's log says why; they are tried again");
        }
        if let Some(policy) = self.acting() {
            for (id, revocation) in policy.revocations() {
                let name = format!("revoke.{id}");
                let still = self.still_meant(revocation);
                let (_, _, untold) =
                    store.told_tokens(organization.id, &name, still, late, 1).await?;
                if untold > 0 && revocation.grace.seconds() > 0 {
                    let what = format!(
                        "a standing policy selects {} whose owner was not told for more than a day",
                        many(untold, "token")
                    );
                    add(
                        what,
                        name,
                        "they are not taken: add the owners to [addresses], or tell them yourself",
                    );
                }
            }
        }
        Ok(troubles)
    }
}
