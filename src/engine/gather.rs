//! Facts for one request: only those that the policy asks for, each read at most once in half a minute.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    domain::{
        OrganizationId, RepositorySelection, RequestKind, Role, TeamRef, TokenRequest, UserId,
    },
    github::{CallError, Read},
    rules::facts::{Fact, Facts, Needs},
};

/// How old a shared fact may be. Facts behind an approval must be younger than a minute when the call is
/// sent; half of that is left for the way there.
const SHARED_FOR: SignedDuration = SignedDuration::from_secs(30);

type Members = Result<Arc<HashSet<UserId>>, String>;

/// What was read of one organization and may serve several requests.
#[derive(Default)]
pub(super) struct Shared {
    teams: HashMap<(String, String), (Timestamp, Members)>,
    roles: HashMap<UserId, (Timestamp, Role)>,
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

/// Facts, and the limit that GitHub set while they were read: then nothing more is asked of it.
pub(super) struct Gathered {
    pub(super) facts: Facts,
    pub(super) limited_until: Option<Timestamp>,
}

/// Reads what `needs` names about `request`. A look-up that fails is a fact that is unknown, not an error.
pub(super) async fn gather(
    read: &Read,
    cache: &Cache,
    clock: &Clock,
    request: &TokenRequest,
    needs: &Needs,
) -> Gathered {
    let mut facts = Facts::nothing_read(clock.now());
    let mut limited_until = None;
    let mut unknown = |error: &CallError| {
        if let CallError::RateLimited { until } = error {
            limited_until = Some(*until);
        }
        error.to_string()
    };
    let shared = cache.of(request.organization.id).await;
    let mut shared = shared.lock().await;
    if needs.owner_role {
        facts.owner_role = role(read, &mut shared, clock, request)
            .await
            .unwrap_or_else(|error| Fact::unknown(unknown(&error)));
    }
    for team in &needs.teams {
        let fact = match member(read, &mut shared, clock, request, team).await {
            Ok(fact) => fact,
            Err(error) => Fact::unknown(unknown(&error)),
        };
        facts.owner_teams.insert(team.clone(), fact);
    }
    drop(shared);
    if needs.repositories && request.repository_selection == RepositorySelection::Subset {
        facts.repositories =
            match read.request_repositories(&request.organization, request.id).await {
                Ok(repositories) => Fact::known(
                    repositories,
                    format!(
                        "GET /orgs/{}/personal-access-token-requests/{}/repositories",
                        request.organization.login, request.id
                    ),
                    clock.now(),
                ),
                Err(error) => Fact::unknown(unknown(&error)),
            };
    }
    if needs.kind {
        // The list does not say; a token that has access already is one that was edited.
        let grants = read.grants_of(&request.organization, &[request.token.id]).await;
        let grant = grants.and_then(|grants| Ok(grants.of(request.token.id)?.is_some()));
        facts.kind = match grant {
            Ok(has_access) => Fact::known(
                if has_access { RequestKind::Change } else { RequestKind::New },
                format!("GET /orgs/{}/personal-access-tokens", request.organization.login),
                clock.now(),
            ),
            Err(error) => Fact::unknown(unknown(&error)),
        };
    }
    facts.now = clock.now();
    Gathered { facts, limited_until }
}

async fn role(
    read: &Read,
    shared: &mut Shared,
    clock: &Clock,
    request: &TokenRequest,
) -> Result<Fact<Role>, CallError> {
    let source =
        format!("GET /orgs/{}/memberships/{}", request.organization.login, request.owner.login);
    if let Some((read_at, role)) =
        shared.roles.get(&request.owner.id).filter(|(at, _)| fresh(*at, clock))
    {
        return Ok(Fact::known(*role, source, *read_at));
    }
    let role = read.role(&request.organization, &request.owner.login).await?;
    let now = clock.now();
    shared.roles.retain(|_, (at, _)| fresh(*at, clock));
    shared.roles.insert(request.owner.id, (now, role));
    Ok(Fact::known(role, source, now))
}

async fn member(
    read: &Read,
    shared: &mut Shared,
    clock: &Clock,
    request: &TokenRequest,
    team: &TeamRef,
) -> Result<Fact<bool>, CallError> {
    let organization = team.organization_or(&request.organization.login).to_owned();
    let source = format!("GET /orgs/{organization}/teams/{}/members", team.slug());
    let key = (organization, team.slug().to_owned());
    let cached = shared.teams.get(&key).filter(|(at, _)| fresh(*at, clock)).cloned();
    let (read_at, members) = match cached {
        Some(cached) => cached,
        None => {
            let members: Members = match read.team_members(&key.0, &key.1).await {
                Ok(members) => Ok(Arc::new(members)),
                // No such team, or one that we may not see: who is in it is not known.
                Err(CallError::NotFound) => {
                    Err(format!("there is no team `{team}` that the App can see"))
                }
                Err(error) => return Err(error),
            };
            let entry = (clock.now(), members);
            shared.teams.insert(key, entry.clone());
            entry
        }
    };
    Ok(match members {
        Ok(members) => Fact::known(members.contains(&request.owner.id), source, read_at),
        Err(why) => Fact::unknown(why),
    })
}

/// When the oldest of the facts that are known was read.
pub(super) fn oldest(facts: &Facts) -> Option<Timestamp> {
    fn read_at<T>(fact: &Fact<T>) -> Option<Timestamp> {
        match fact {
            Fact::Known { read_at, .. } => Some(*read_at),
            Fact::Unknown { .. } => None,
        }
    }
    facts
        .owner_teams
        .values()
        .filter_map(read_at)
        .chain(read_at(&facts.owner_role))
        .chain(read_at(&facts.repositories))
        .chain(read_at(&facts.kind))
        .min()
}

fn fresh(read_at: Timestamp, clock: &Clock) -> bool {
    let age = clock.now().duration_since(read_at);
    age < SHARED_FOR && age > -SHARED_FOR
}
