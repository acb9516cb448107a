//! Facts for one request: only those that the policy asks for, each read at most once in half a minute.

mod properties;
mod record;
mod repositories;
mod teams;
mod tokens;

pub(super) use properties::why_no_properties;

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::look::Seen;
use crate::{
    clock::Clock,
    domain::{
        OrganizationId, RepositoryId, RepositorySelection, Role, TeamId, TokenRequest, UserId,
    },
    github::{CallError, Read},
    rules::facts::{Fact, Facts, Needs},
    store::{RequestKey, Store, StoreError, Tx},
};

/// How old a shared fact may be. Facts behind an approval must be younger than a minute when the call is
/// sent; half of that is left for the way there.
const SHARED_FOR: SignedDuration = SignedDuration::from_secs(30);

/// What was read of one organization and may serve several requests.
#[derive(Default)]
struct Shared {
    teams: teams::Teams,
    roles: HashMap<UserId, (Timestamp, Role)>,
    tokens: HashMap<UserId, tokens::OwnersTokens>,
    properties: Option<properties::Properties>,
}

/// What was read, by organization.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<OrganizationId, Arc<Mutex<Shared>>>>);

impl Cache {
    async fn of(&self, organization: OrganizationId) -> Arc<Mutex<Shared>> {
        Arc::clone(self.0.lock().await.entry(organization).or_default())
    }

    /// Forgets what was read: after a failure the next try reads anew.
    pub(super) async fn forget(&self, organization: OrganizationId) {
        self.0.lock().await.remove(&organization);
    }
}

/// Where facts come from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) read: &'a Read,
    pub(super) store: &'a Store,
    pub(super) cache: &'a Cache,
    pub(super) clock: &'a Clock,
    /// The requests that are judged one after the other now: one call may serve several of them.
    pub(super) together: &'a [Seen],
    /// When GitHub's list showed them.
    pub(super) looked_at: Timestamp,
}

/// Facts, and the limit that GitHub set while they were read: then nothing more is asked of it.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    pub(super) limited_until: Option<Timestamp>,
    pub(super) learned: Learned,
}

/// What was seen for the first time, and is kept with the decision that rests on it.
#[derive(Default)]
pub(super) struct Learned {
    teams: Vec<(String, TeamId)>,
    names: Vec<(RepositoryId, String)>,
}

impl Learned {
    /// Keeps it.
    pub(super) async fn note(
        &self,
        tx: &mut Tx,
        organization: OrganizationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (team, id) in &self.teams {
            tx.note_team(organization, team, *id, now).await?;
        }
        for (repository, name) in &self.names {
            tx.note_name(organization, *repository, name, now).await?;
        }
        Ok(())
    }
}

/// Reads what `needs` names about `request`. A look-up at GitHub that fails is a fact that is unknown, not an error.
pub(super) async fn gather(
    sources: Sources<'_>,
    request: &TokenRequest,
    needs: &Needs,
) -> Result<Gathered, StoreError> {
    let mut facts = Facts::nothing_read(sources.clock.now());
    let shared = sources.cache.of(request.organization.id).await;
    let mut shared = shared.lock().await;
    let mut gatherer =
        Gatherer { sources, request, limited_until: None, learned: Learned::default() };
    if needs.owner_role {
        facts.owner_role = gatherer.role(&mut shared).await;
    }
    if !needs.teams.is_empty() {
        facts.owner_teams = gatherer.teams(&mut shared, &needs.teams).await?;
    }
    if needs.repositories && request.repository_selection == RepositorySelection::Subset {
        gatherer.repositories(&mut shared, &needs.custom_properties, &mut facts).await?;
    }
    if needs.owner_active_tokens {
        facts.owner_active_tokens = gatherer.active_tokens(&mut shared).await?;
    }
    if needs.kind {
        facts.kind = gatherer.kind(&mut shared, needs.owner_active_tokens).await;
    }
    gatherer.counts(needs, &mut facts).await?;
    facts.now = sources.clock.now();
    let Gatherer { limited_until, learned, .. } = gatherer;
    Ok(Gathered { facts, limited_until, learned })
}

/// Reads the facts for one request, one after the other.
struct Gatherer<'a> {
    sources: Sources<'a>,
    request: &'a TokenRequest,
    limited_until: Option<Timestamp>,
    learned: Learned,
}

impl Gatherer<'_> {
    /// What a call comes to, unless GitHub asked us to wait: then it is not made.
    async fn ask<T>(
        &mut self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        if let Some(until) = self.limited_until {
            return Err(CallError::RateLimited { until });
        }
        let answer = call.await;
        if let Err(CallError::RateLimited { until }) = &answer {
            self.limited_until = Some(*until);
        }
        answer
    }

    fn now(&self) -> Timestamp {
        self.sources.clock.now()
    }

    fn is_fresh(&self, read_at: Timestamp) -> bool {
        let age = self.now().duration_since(read_at);
        age < SHARED_FOR && age > -SHARED_FOR
    }

    fn key(&self) -> RequestKey {
        RequestKey { organization: self.request.organization.id, request: self.request.id }
    }

    async fn role(&mut self, shared: &mut Shared) -> Fact<Role> {
        let (organization, owner) = (&self.request.organization, &self.request.owner);
        let source = format!("GET /orgs/{}/memberships/{}", organization.login, owner.login);
        if let Some((read_at, role)) =
            shared.roles.get(&owner.id).filter(|(at, _)| self.is_fresh(*at))
        {
            return Fact::known(*role, source, *read_at);
        }
        let read = self.sources.read;
        match self.ask(read.role(organization, owner)).await {
            Ok(role) => {
                let now = self.now();
                shared.roles.retain(|_, (at, _)| self.is_fresh(*at));
                shared.roles.insert(owner.id, (now, role));
                Fact::known(role, source, now)
            }
            Err(error) => Fact::unknown(error.to_string()),
        }
    }
}

/// When the oldest of the facts that are known was read.
pub(super) fn oldest(facts: &Facts) -> Option<Timestamp> {
    fn read_at<T>(fact: &Fact<T>) -> Option<Timestamp> {
        match fact {
            Fact::Known { read_at, .. } => Some(*read_at),
            Fact::Unknown { .. } => None,
        }
    }
    // Named one by one: a fact that comes to be read must be counted here, too.
    let Facts {
        now: _,
        owner_role,
        owner_teams,
        owner_active_tokens,
        owner_requests,
        owner_denials,
        repositories,
        custom_properties_unread: _,
        kind,
    } = facts;
    let counts = owner_requests.values().chain(owner_denials.values()).filter_map(read_at);
    owner_teams
        .values()
        .filter_map(read_at)
        .chain(counts)
        .chain(read_at(owner_role))
        .chain(read_at(owner_active_tokens))
        .chain(read_at(repositories))
        .chain(read_at(kind))
        .min()
}
