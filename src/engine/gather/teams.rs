//! Who is in a team, and whether it is still the team that the rules mean.
//!
//! A slug can be given up and taken by another team, so the id behind it is kept at first sight. A slug that names
//! another id, or none, leaves membership unknown: it must never read as "not a member".

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Gatherer, Shared};
use crate::{
    domain::{Login, TeamId, TeamRef, UserId},
    github::CallError,
    rules::facts::Fact,
    store::StoreError,
};

/// By organization and slug, both in lower case: when it was read, and the team or why there is none.
pub(super) type Teams = HashMap<Slug, (Timestamp, Result<Team, String>)>;

type Slug = (String, String);

type Members = (Slug, Timestamp, Arc<HashSet<UserId>>);

#[derive(Clone)]
pub(super) struct Team {
    id: TeamId,
    members: Arc<HashSet<UserId>>,
}

impl Gatherer<'_> {
    /// For each of the teams, whether the owner is in it.
    pub(super) async fn teams(
        &mut self,
        shared: &mut Shared,
        named: &BTreeSet<TeamRef>,
    ) -> Result<BTreeMap<TeamRef, Fact<bool>>, StoreError> {
        let own = &self.request.organization;
        let failures = self.read_teams(&mut shared.teams, named).await;
        let known = self.sources.store.known_teams(own.id).await?;
        let mut facts = BTreeMap::new();
        for named in named {
            let slug = slug(named, &own.login);
            let fact = match shared.teams.get(&slug).filter(|(at, _)| self.is_fresh(*at)) {
                None => {
                    Fact::unknown(failures.get(&slug).map_or("it was not read", String::as_str))
                }
                Some((_, Err(why))) => Fact::unknown(why),
                Some((read_at, Ok(team))) => {
                    let kept_as = named.kept_as(&own.login);
                    match known.get(&kept_as) {
                        Some(id) if *id != team.id => Fact::unknown(format!(
                            "the slug `{kept_as}` names another team than before; `patwarden policy trust {} --teams` accepts it",
                            own.login
                        )),
                        known => {
                            if known.is_none() {
                                self.learned.teams.push((kept_as, team.id));
                            }
                            let (organization, slug) = &slug;
                            let source = format!("GET /orgs/{organization}/teams/{slug}/members");
                            let member = team.members.contains(&self.request.owner.id);
                            Fact::known(member, source, *read_at)
                        }
                    }
                }
            };
            facts.insert(named.clone(), fact);
        }
        Ok(facts)
    }

    /// Reads those of the teams that were not read lately. Gives why that failed, where it did.
    async fn read_teams(
        &mut self,
        teams: &mut Teams,
        named: &BTreeSet<TeamRef>,
    ) -> HashMap<Slug, String> {
        let own = &self.request.organization.login;
        let mut missing: BTreeSet<Slug> = named.iter().map(|team| slug(team, own)).collect();
        missing.retain(|slug| !teams.get(slug).is_some_and(|(at, _)| self.is_fresh(*at)));
        let read = self.sources.read;
        let (mut members, mut failures) = (Vec::<Members>::new(), HashMap::new());
        for slug in missing {
            match self.ask(read.team_members(&slug.0, &slug.1)).await {
                Ok(found) => members.push((slug, self.now(), Arc::new(found))),
                Err(error) => self.no_team(teams, slug, &error, &mut failures),
            }
        }
        // After the members: a slug that changes hands in between is then found to name another team. The other
        // way round, the members of the new one would pass for those of the old one.
        let mut ids = self.several_ids(&members).await;
        for (slug, read_at, members) in members {
            let id = match ids.remove(&slug) {
                Some(id) => Ok(id),
                None => self.ask(read.team(&slug.0, &slug.1)).await,
            };
            match id {
                Ok(id) => drop(teams.insert(slug, (read_at, Ok(Team { id, members })))),
                Err(error) => self.no_team(teams, slug, &error, &mut failures),
            }
        }
        failures
    }

    /// A page of an organization's teams shows the ids of several at once. Which it does not show is asked for by
    /// slug.
    async fn several_ids(&mut self, read: &[Members]) -> HashMap<Slug, TeamId> {
        let mut by_organization: BTreeMap<&str, Vec<&Slug>> = BTreeMap::new();
        for (slug, ..) in read {
            by_organization.entry(&slug.0).or_default().push(slug);
        }
        let read = self.sources.read;
        let mut ids = HashMap::new();
        for (organization, slugs) in by_organization {
            if slugs.len() < 2 {
                continue;
            }
            // What cannot be listed is asked for by slug, and fails there if it must.
            let Ok(listed) = self.ask(read.some_teams(organization)).await else { continue };
            for slug in slugs {
                ids.extend(listed.get(&slug.1).map(|id| (slug.clone(), *id)));
            }
        }
        ids
    }

    fn no_team(
        &self,
        teams: &mut Teams,
        slug: Slug,
        error: &CallError,
        failures: &mut HashMap<Slug, String>,
    ) {
        if *error == CallError::NotFound {
            // No such team, or one that we may not see: who is in it is not known.
            let team = TeamRef::of(&slug.0, &slug.1).kept_as(&self.request.organization.login);
            let why = format!("there is no team `{team}` that the App can see");
            teams.insert(slug, (self.now(), Err(why)));
        } else {
            failures.insert(slug, error.to_string());
        }
    }
}

fn slug(team: &TeamRef, own: &Login) -> Slug {
    (team.organization_or(own).to_ascii_lowercase(), team.slug().to_owned())
}
