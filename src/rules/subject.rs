//! One request and its facts, prepared once for all conditions: lower-cased, counted, as bits. No rules here.

use std::cell::Cell;

use crate::domain::{
    AccessLevel, PermissionGroup, Repository, RepositorySelection, TeamRef, TokenRequest,
};

use super::{
    condition::lifetime,
    facts::{Fact, Facts},
    permission_set::Asked,
    quantity::Measure,
    truth::Truth,
};

/// What is judged.
pub(crate) struct Subject<'a> {
    pub(crate) request: &'a TokenRequest,
    pub(crate) facts: &'a Facts,
    pub(crate) organization: String,
    pub(crate) owner: String,
    pub(crate) asked: Asked,
    pub(crate) lifetime: Measure,
    pub(crate) repositories: Repositories<'a>,
    names: String,
    ends: Vec<usize>,
    answers: Vec<Cell<Option<Truth>>>,
}

/// Which repositories the token would reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repositories<'a> {
    /// None: public data only.
    None,
    /// All: more than any list.
    All,
    /// These.
    Listed(&'a [Repository]),
    /// Some that we do not know.
    Unknown(&'a str),
}

const EMPTY_LIST: &str = "GitHub's list of this token's repositories came back empty";

impl<'a> Subject<'a> {
    /// `slots`: how many answers of conditions may be remembered.
    pub(crate) fn new(request: &'a TokenRequest, facts: &'a Facts, slots: usize) -> Self {
        let repositories = match (request.repository_selection, &facts.repositories) {
            (RepositorySelection::None, _) => Repositories::None,
            (RepositorySelection::All, _) => Repositories::All,
            (RepositorySelection::Subset, Fact::Unknown { why }) => Repositories::Unknown(why),
            (RepositorySelection::Subset, Fact::Known { value, .. }) if value.is_empty() => {
                Repositories::Unknown(EMPTY_LIST)
            }
            (RepositorySelection::Subset, Fact::Known { value, .. }) => Repositories::Listed(value),
        };
        let mut names = String::new();
        let mut ends = Vec::new();
        if let Repositories::Listed(listed) = repositories {
            names.reserve(listed.iter().map(|repository| repository.name.len()).sum());
            ends.reserve(listed.len());
            for repository in listed {
                names.push_str(&repository.name);
                ends.push(names.len());
            }
            names.make_ascii_lowercase();
        }
        Self {
            request,
            facts,
            organization: request.organization.login.as_str().to_ascii_lowercase(),
            owner: request.owner.login.as_str().to_ascii_lowercase(),
            asked: Asked::of(&request.permissions),
            lifetime: lifetime(request.created_at, request.token.expires_at),
            repositories,
            names,
            ends,
            answers: vec![Cell::new(None); slots],
        }
    }

    /// The answer remembered in this slot, or the one that `ask` gives now.
    pub(crate) fn remember(&self, slot: u32, ask: impl FnOnce() -> Truth) -> Truth {
        let Some(answer) = self.answers.get(slot as usize) else { return ask() };
        answer.get().unwrap_or_else(|| {
            let asked = ask();
            answer.set(Some(asked));
            asked
        })
    }

    /// The listed repositories' names in lower case.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let name = self.names.get(start..*end).unwrap_or_default();
            start = *end;
            name
        })
    }

    /// The listed repositories with their names in lower case.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&Repository, &str)> {
        let listed = match self.repositories {
            Repositories::Listed(listed) => listed,
            _ => &[],
        };
        listed.iter().zip(self.names())
    }

    /// How many repositories.
    pub(crate) fn count(&self) -> Option<Measure> {
        match self.repositories {
            Repositories::None => Some(Measure::Finite(0)),
            Repositories::All => Some(Measure::Infinite),
            Repositories::Listed(listed) => {
                Some(Measure::Finite(i64::try_from(listed.len()).unwrap_or(i64::MAX)))
            }
            Repositories::Unknown(_) => None,
        }
    }

    /// Whether the owner is in `team`. A bare slug and one with the request's organization mean the same
    /// team, so either entry answers for it.
    pub(crate) fn in_team(&self, team: &TeamRef) -> Truth {
        match self.team_fact(team) {
            Some(Fact::Known { value, .. }) => Truth::of(*value),
            Some(Fact::Unknown { .. }) | None => Truth::Unknown,
        }
    }

    /// What was read about `team`.
    pub(crate) fn team_fact(&self, team: &TeamRef) -> Option<&Fact<bool>> {
        self.facts.owner_teams.get(team).or_else(|| {
            let other_form = match team.organization() {
                None => format!("{}/{}", self.organization, team.slug()),
                Some(organization) if organization == self.organization => team.slug().to_owned(),
                Some(_) => return None,
            };
            self.facts.owner_teams.get(&TeamRef::parse(&other_form).ok()?)
        })
    }

    /// Whether the token could change anything in a repository.
    pub(crate) fn writes(&self) -> bool {
        self.asked.anything(PermissionGroup::Repository, &AccessLevel::Write)
    }
}
