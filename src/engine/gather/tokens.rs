//! The owner's tokens: how many have access, and whether the one that is judged is among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Gatherer, Shared};
use crate::{
    domain::{Login, RequestKind, TokenId, TokenRequest, UserId},
    github::CallError,
    rules::facts::Fact,
    store::StoreError,
};

/// How long an approval of ours counts although GitHub does not list its token: lists lag, and never so long.
const LISTED_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// The tokens of one owner that are listed with access.
#[derive(Clone)]
pub(super) struct OwnersTokens {
    asked_at: Timestamp,
    read_at: Timestamp,
    /// Each with the end of its life; or why they cannot be told.
    tokens: Result<Arc<BTreeMap<TokenId, Life>>, String>,
}

#[derive(Clone, Copy)]
struct Life {
    expired: bool,
    expires_at: Option<Timestamp>,
}

impl Life {
    fn is_over(self, now: Timestamp) -> bool {
        self.expired || self.expires_at.is_some_and(|at| at <= now)
    }
}

impl Gatherer<'_> {
    /// How many other tokens of the owner's have access, with those that we approved, or are about to, and
    /// GitHub does not list yet: several requests that are judged together count each other.
    pub(super) async fn active_tokens(
        &mut self,
        shared: &mut Shared,
    ) -> Result<Fact<u64>, StoreError> {
        let listed = match self.owners_tokens(shared).await {
            Ok(listed) => listed,
            Err(error) => return Ok(Fact::unknown(error.to_string())),
        };
        let tokens = match listed.tokens {
            Ok(tokens) => tokens,
            Err(why) => return Ok(Fact::unknown(why)),
        };
        let (now, judged) = (self.now(), self.request.token.id);
        let since = now.saturating_sub(LISTED_WITHIN).unwrap_or(Timestamp::MIN);
        let ours =
            self.sources.store.approved_others(self.key(), self.request.owner.id, since).await?;
        let nameless = ours.iter().filter(|token| token.is_none()).count();
        let unlisted: BTreeSet<TokenId> = ours
            .into_iter()
            .flatten()
            .filter(|token| *token != judged && !tokens.contains_key(token))
            .collect();
        // One that has expired is listed for a while, and opens nothing.
        let active = tokens.iter().filter(|(id, life)| **id != judged && !life.is_over(now));
        let count = active.count() + unlisted.len() + nameless;
        let source = format!(
            "GET /orgs/{}/personal-access-tokens, and our record",
            self.request.organization.login
        );
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(Fact::known(count, source, listed.read_at))
    }

    /// Whether the token has access already: the list of requests does not say. `listed`: all tokens of the
    /// owner's are read anyway.
    pub(super) async fn kind(&mut self, shared: &mut Shared, listed: bool) -> Fact<RequestKind> {
        let (read, request) = (self.sources.read, self.request);
        let found = if listed {
            self.owners_tokens(shared).await.map(|listed| {
                let has_access =
                    |tokens: Arc<BTreeMap<_, _>>| tokens.contains_key(&request.token.id);
                (listed.tokens.map(has_access), listed.read_at)
            })
        } else {
            let grants = self.ask(read.grants_of(&request.organization, &[request.token.id])).await;
            grants
                .and_then(|grants| Ok(grants.of(request.token.id)?.is_some()))
                .map(|has_access| (Ok(has_access), self.now()))
        };
        let (has_access, read_at) = match found {
            Ok((Ok(has_access), read_at)) => (has_access, read_at),
            Ok((Err(why), _)) => return Fact::unknown(why),
            Err(error) => return Fact::unknown(error.to_string()),
        };
        Fact::known(
            if has_access { RequestKind::Change } else { RequestKind::New },
            format!("GET /orgs/{}/personal-access-tokens", request.organization.login),
            read_at,
        )
    }

    /// The tokens of the owner that GitHub lists with access. Those of the others who wait with them are read with
    /// the same call.
    async fn owners_tokens(&mut self, shared: &mut Shared) -> Result<OwnersTokens, CallError> {
        let (read, request) = (self.sources.read, self.request);
        // Read before the request was seen, a list may lack the approval that makes it a change.
        let serves = |request: &TokenRequest, shared: &Shared| {
            let known = shared.tokens.get(&request.owner.id)?;
            let serves = self.is_fresh(known.read_at) && known.asked_at >= self.sources.looked_at;
            serves.then(|| known.clone())
        };
        if let Some(known) = serves(request, shared) {
            return Ok(known);
        }
        let waiting = self.sources.together.iter().map(|(_, request)| request);
        let owners: BTreeMap<UserId, &Login> = waiting
            .chain([request])
            .filter(|request| serves(request, shared).is_none())
            .map(|request| (request.owner.id, &request.owner.login))
            .collect();
        let logins: Vec<Login> = owners.values().map(|login| (*login).clone()).collect();
        let asked_at = self.now();
        let grants = self.ask(read.grants_of_owners(&request.organization, &logins)).await?;
        let read_at = self.now();
        shared.tokens.retain(|_, known| self.is_fresh(known.read_at));
        for owner in owners.into_keys() {
            let tokens = grants.of_owner(owner).map(|grants| {
                let token = |token: &crate::domain::RequestedToken| {
                    (token.id, Life { expired: token.expired, expires_at: token.expires_at })
                };
                Arc::new(grants.into_iter().map(|grant| token(&grant.token)).collect())
            });
            let tokens = tokens.map_err(|error| error.to_string());
            shared.tokens.insert(owner, OwnersTokens { asked_at, read_at, tokens });
        }
        let nothing = || CallError::Unreadable { why: "nothing of this owner's".to_owned() };
        shared.tokens.get(&request.owner.id).cloned().ok_or_else(nothing)
    }
}
