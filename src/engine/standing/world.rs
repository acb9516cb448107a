//! What is known of an organization while its tokens are judged: read once for all of them, and what it says of one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::Standing;
use crate::{
    domain::{
        GrantId, Login, Membership, Repository, RepositorySelection, RequestId, Role, TeamId,
        TeamRef, UserId,
    },
    engine::{bulk::BulkError, judge},
    github::{CallError, CustomProperties},
    rules::{
        Policy,
        facts::{Fact, Facts, Needs},
        held::{Departed, HeldToken, Left},
    },
    store::{HoldRow, InstallationRow, JudgedToken, RequestKey, StoreError},
};

/// A team's members, and when they were read; or why nobody knows them.
type Team = Result<(Timestamp, HashSet<UserId>), String>;

/// An organization, and the rules in force there.
pub(super) struct World {
    pub(super) installation: InstallationRow,
    pub(super) policy: Arc<Policy>,
    /// The rules, their mode and what they protect, in one word.
    pub(super) grounds: String,
    /// Why the files of the rules cannot be used as they are now.
    pub(super) broken: Option<String>,
    /// Where the rules came from.
    pub(super) source: String,
    pub(super) holds: Vec<HoldRow>,
    /// The custom properties of repositories, once somebody asked for them.
    pub(super) properties: Option<Result<(Timestamp, CustomProperties), String>>,
    /// Lists of repositories that could not be read, and why.
    pub(super) unreadable: HashMap<GrantId, String>,
    needs: Needs,
    /// When the members were listed; or why nobody knows them.
    members: Result<Timestamp, String>,
    teams: BTreeMap<TeamRef, Team>,
    departures: HashMap<UserId, Vec<Departed>>,
    active: BTreeMap<UserId, u64>,
    pub(super) looked_at: Timestamp,
}

impl Standing<'_> {
    /// Reads what rules ask of everybody: the teams that they name, each once. `members`: whether those were listed just
    /// now. None where no rules are in force.
    pub(super) async fn look(
        &self,
        installation: &InstallationRow,
        members: Result<(), String>,
    ) -> Result<Option<World>, BulkError> {
        let organization = &installation.organization;
        let in_force = self.policies.in_force(organization);
        let Some(policy) = in_force.policy else { return Ok(None) };
        let store = &self.bulk.store;
        let needs = policy.standing_needs();
        let teams = self.teams(installation, &needs.teams).await?;
        let never = || "the members were never listed".to_owned();
        let listed_at = store.members_listed_at(organization.id).await?;
        let looked_at = self.bulk.clock.now();
        let mut holds = store.holds(Some(organization.id)).await?;
        holds.retain(|hold| hold.is_in_force(looked_at));
        Ok(Some(World {
            grounds: judge::grounds(&policy),
            policy,
            broken: in_force.broken,
            source: in_force.source,
            holds,
            properties: None,
            unreadable: HashMap::new(),
            needs,
            members: members.and_then(|()| listed_at.ok_or_else(never)),
            teams,
            departures: store.departures(organization.id).await?,
            active: store.active_tokens_by_owner(organization.id, looked_at).await?,
            looked_at,
            installation: installation.clone(),
        }))
    }

    /// Who is in each of the teams that rules name or that somebody left, and who left one since it was read before.
    async fn teams(
        &self,
        installation: &InstallationRow,
        named: &BTreeSet<TeamRef>,
    ) -> Result<BTreeMap<TeamRef, Team>, BulkError> {
        let own = &installation.organization.login;
        let mut named: BTreeSet<TeamRef> = named.iter().map(|team| kept_as(team, own)).collect();
        if !named.is_empty() {
            for departed in self.bulk.store.departures(installation.organization.id).await? {
                named.extend(departed.1.into_iter().filter_map(|departed| match departed.left {
                    Left::Team(team) => Some(team),
                    Left::Organization => None,
                }));
            }
        }
        let mut teams = BTreeMap::new();
        for team in named {
            let read = match self.team(installation, &team).await {
                Ok(read) => read,
                Err(BulkError::GitHub(CallError::NotFound)) => {
                    Err(format!("there is no team `{team}` that the App can see"))
                }
                Err(BulkError::GitHub(error)) => Err(error.to_string()),
                Err(error) => return Err(error),
            };
            teams.insert(team, read);
        }
        Ok(teams)
    }

    async fn team(
        &self,
        installation: &InstallationRow,
        team: &TeamRef,
    ) -> Result<Team, BulkError> {
        let (organization, bulk) = (&installation.organization, self.bulk);
        let read = bulk.clients.read(installation.id)?;
        let (of, slug) = (team.organization_or(&organization.login), team.slug());
        let list = || bulk.reading(installation, &read, &(), || read.team_members(of, slug));
        let read_at = bulk.clock.now();
        let mut members = list().await?;
        // After the members: a slug that changes hands in between is then found to name another team.
        let ask = || bulk.reading(installation, &read, &(), || read.team(of, slug));
        let id = ask().await?;
        let known = bulk.store.known_teams(organization.id).await?;
        match known.get(&team.to_string()) {
            Some(known) if *known != id => {
                return Ok(Err(format!(
                    "the slug `{team}` names another team than before; `patwarden policy trust` accepts it"
                )));
            }
            Some(_) => {}
            None => self.keep_team(installation, team, id).await?,
        }
        let before = bulk.store.team_members(organization.id, team, id).await?;
        if !before.is_subset(&members) {
            // A row can be lost between two pages: who is missing once more is out.
            members.extend(list().await?);
            if ask().await? != id {
                return Ok(Err(format!("the slug `{team}` names another team than a moment ago")));
            }
        }
        let left =
            bulk.store.note_team_members(organization.id, team, id, &members, read_at).await?;
        if !left.is_empty() {
            tracing::info!(organization = %organization.login, %team, left = left.len(), "left a team");
        }
        Ok(Ok((read_at, members)))
    }

    async fn keep_team(
        &self,
        installation: &InstallationRow,
        team: &TeamRef,
        id: TeamId,
    ) -> Result<(), StoreError> {
        let now = self.bulk.clock.now();
        let mut tx = self.bulk.store.begin().await?;
        tx.note_team(installation.organization.id, &team.to_string(), id, now).await?;
        tx.commit().await
    }
}

impl World {
    /// What rules may know of a token now.
    pub(super) async fn facts(
        &self,
        standing: &Standing<'_>,
        token: &JudgedToken,
    ) -> Result<Facts, StoreError> {
        let grant = &token.known.grant;
        let login = &self.installation.organization.login;
        let mut facts = Facts::nothing_read(standing.bulk.clock.now());
        facts.owner_role = match (&self.members, token.known.membership) {
            (Err(why), _) => Fact::unknown(why.clone()),
            (Ok(at), Membership::Member(role)) => Fact::known(role, members_of(login), *at),
            (Ok(at), Membership::Left { .. }) => {
                Fact::known(Role::Stranger, members_of(login), *at)
            }
            (Ok(_), Membership::Unknown) => {
                Fact::unknown("the members were not listed since it was granted")
            }
        };
        for (team, read) in &self.teams {
            let fact = match read {
                Ok((at, members)) => {
                    let (of, slug) = (team.organization_or(login), team.slug());
                    let source = format!("GET /orgs/{of}/teams/{slug}/members");
                    Fact::known(members.contains(&grant.owner.id), source, *at)
                }
                Err(why) => Fact::unknown(why.clone()),
            };
            facts.owner_teams.insert(team.clone(), fact);
        }
        if self.needs.owner_active_tokens {
            let all = self.active.get(&grant.owner.id).copied().unwrap_or_default();
            let over = grant.token.expired
                || grant.token.expires_at.is_some_and(|at| at <= self.looked_at);
            let others = if over { all } else { all.saturating_sub(1) };
            let source = format!("GET /orgs/{login}/personal-access-tokens");
            facts.owner_active_tokens = Fact::known(others, source, self.looked_at);
        }
        self.counts(standing, token, &mut facts).await?;
        if grant.repository_selection == RepositorySelection::Subset {
            self.repositories(token, &mut facts);
        }
        Ok(facts)
    }

    /// What our record counts of the owner's requests.
    async fn counts(
        &self,
        standing: &Standing<'_>,
        token: &JudgedToken,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let (store, owner, now) = (&standing.bulk.store, token.known.grant.owner.id, facts.now);
        let request = token.recorded.as_ref().map_or(RequestId(0), |request| request.id);
        let key = RequestKey { organization: self.installation.organization.id, request };
        let since = |seconds: i64| {
            now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
        };
        for span in &self.needs.owner_requests {
            let count = store.heard_of_others(key, owner, since(span.seconds())).await?;
            facts.owner_requests.insert(*span, Fact::known(count, "our record", now));
        }
        for span in &self.needs.owner_denials {
            let count = store.denied_others(key, owner, since(span.seconds())).await?;
            facts.owner_denials.insert(*span, Fact::known(count, "our record", now));
        }
        Ok(())
    }

    fn repositories(&self, token: &JudgedToken, facts: &mut Facts) {
        let known = &token.known;
        let (Some(list), Some(read_at)) = (&known.repositories, token.repositories_read_at) else {
            let why = self.unreadable.get(&known.grant.id).map_or(NOT_READ, String::as_str);
            facts.repositories = Fact::unknown(why);
            return;
        };
        let mut list: Vec<Repository> = list.clone();
        match &self.properties {
            Some(Ok((_, values))) => {
                for repository in &mut list {
                    // One that the list lacks is one of which nothing is known.
                    repository.custom_properties = values.get(&repository.id).cloned();
                }
            }
            Some(Err(why)) => facts.custom_properties_unread = Some(why.clone()),
            None => {}
        }
        let login = &self.installation.organization.login;
        let id = known.grant.id;
        let source = format!("GET /orgs/{login}/personal-access-tokens/{id}/repositories");
        facts.repositories = Fact::known(list, source, read_at);
    }

    /// The token as rules are asked of it.
    pub(super) fn held<'a>(&'a self, token: &'a JudgedToken, facts: &'a Facts) -> HeldToken<'a> {
        let grant = &token.known.grant;
        HeldToken {
            grant,
            recorded: token.recorded.as_ref(),
            approval: &token.known.approval,
            facts,
            left: self.departures.get(&grant.owner.id).map(Vec::as_slice).unwrap_or_default(),
        }
    }

    /// The hold that keeps a policy from revoking a token, where there is one.
    pub(super) fn hold(&self, policy: &str, token: &JudgedToken) -> Option<&HoldRow> {
        self.holds.iter().find(|hold| hold.is_of(policy, token.known.grant.token.id))
    }

    /// Whether nobody knows who the members are.
    pub(super) fn lacks_members(&self) -> bool {
        self.members.is_err()
    }

    /// The names of the custom properties that rules ask for.
    pub(super) fn property_names(&self) -> &BTreeSet<String> {
        &self.needs.custom_properties
    }
}

/// Why a list of repositories is not known that nobody tried to read yet.
const NOT_READ: &str = "its repositories were not read yet";

fn members_of(login: &Login) -> String {
    format!("GET /orgs/{login}/members")
}

/// As the store names it: without the organization where it is our own, whose login may change.
fn kept_as(team: &TeamRef, own: &Login) -> TeamRef {
    match team.organization() {
        Some(organization) if own.as_str().eq_ignore_ascii_case(organization) => {
            TeamRef::parse(team.slug()).unwrap_or_else(|_| team.clone())
        }
        _ => team.clone(),
    }
}
