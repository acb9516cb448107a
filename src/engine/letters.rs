//! Who owns tokens that were revoked is told why, by mail: GitHub takes no reason for a revocation, and gives none.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Engine, or_stop};
use crate::{
    domain::{GrantId, Owner, UserId},
    notify::{Because, NoticeToken, Revoked},
    settings::AddressBook,
    store::{ItemState, MailRow, RevocationRow, StoreError},
};

/// How often it is looked whether a revocation is at its end: another process may have carried it out.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How many tokens are read from the store at once.
const READ_AT_ONCE: i64 = 1_000;

/// How many tokens a mail names.
const NAMED: usize = 50;

/// What one owner lost.
struct Lost {
    owner: Owner,
    tokens: Vec<NoticeToken>,
    more: u64,
}

impl Engine {
    /// Puts mails into the outbox for every revocation that came to its end, until `stop`.
    pub(super) async fn keep_telling(self: Arc<Self>, stop: CancellationToken) {
        let Some(addresses) = self.options.addresses.clone() else {
            return stop.cancelled().await;
        };
        while !stop.is_cancelled() {
            if let Err(error) = self.tell_of_revocations(&addresses).await {
                tracing::error!(%error, "the owners of revoked tokens are not told yet; tried again");
            }
            let _ = or_stop(&stop, self.clock.sleep(LOOK_EVERY)).await;
        }
    }

    async fn tell_of_revocations(&self, addresses: &AddressBook) -> Result<(), StoreError> {
        for revocation in self.store.revocations_to_tell().await? {
            let lost = self.lost(&revocation, addresses).await?;
            let mails: Vec<MailRow> =
                lost.into_iter().filter_map(|lost| mail(&revocation, lost, addresses)).collect();
            self.store.tell_owners(revocation.id, &mails, self.clock.now()).await?;
        }
        Ok(())
    }

    /// What each owner lost who can be told.
    async fn lost(
        &self,
        revocation: &RevocationRow,
        addresses: &AddressBook,
    ) -> Result<Vec<Lost>, StoreError> {
        let mut owners: BTreeMap<UserId, Lost> = BTreeMap::new();
        let mut after = GrantId(i64::MIN);
        loop {
            let revoked = Some(ItemState::Revoked);
            let items =
                self.store.revocation_items(revocation.id, revoked, after, READ_AT_ONCE).await?;
            let Some(last) = items.last() else { return Ok(owners.into_values().collect()) };
            after = last.grant_id;
            for item in items {
                let owner = item.planned.owner;
                if !addresses.addresses.contains_key(&owner.login) {
                    continue;
                }
                let lost =
                    owners.entry(owner.id).or_insert(Lost { owner, tokens: Vec::new(), more: 0 });
                if lost.tokens.len() < NAMED {
                    let (name, why) = (item.token_name, since(item.ended_at));
                    lost.tokens.push(NoticeToken { name, why, last_used_at: None });
                } else {
                    lost.more += 1;
                }
            }
        }
    }
}

fn since(at: Option<Timestamp>) -> String {
    at.map(|at| format!("since {}", at.strftime("%Y-%m-%d %H:%M UTC"))).unwrap_or_default()
}

fn mail(revocation: &RevocationRow, lost: Lost, addresses: &AddressBook) -> Option<MailRow> {
    let address = addresses.addresses.get(&lost.owner.login)?;
    let key = format!("revoked/{}/{}/{}", revocation.organization.id, revocation.id, lost.owner.id);
    let letter = Revoked {
        organization: revocation.organization.login.clone(),
        owner: lost.owner.login,
        reason: match &revocation.policy {
            Some(policy) => Because::Rule(policy.clone()),
            None => Because::Said(revocation.reason.clone()),
        },
        tokens: lost.tokens,
        more: lost.more,
    };
    Some(MailRow {
        key,
        organization: revocation.organization.id,
        recipient: address.to_string(),
        subject: letter.subject(),
        text: letter.text(),
        html: letter.html(),
        list: String::new(),
        attempts: 0,
    })
}
