//! Who and what exists: users, organizations, members, teams, repositories. No tokens and no requests; those are in `tokens`.

mod edit;
pub(crate) mod git;
pub(crate) mod issue;
pub(crate) mod pull;
mod repository;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use edit::OrganizationEditor;
pub use git::Changes;
pub use issue::{Author, Issue, IssueComment};
pub use pull::{Annotation, CheckRun, Head, PullRequest};
pub use repository::{Access, PropertyDefinition, Repo, Repository, Visibility};

use crate::ids::{Counters, next};

/// Everything that exists on this GitHub apart from tokens, requests and installations.
#[derive(Debug, Default)]
pub struct World {
    pub(crate) users: BTreeMap<u64, User>,
    pub(crate) organizations: BTreeMap<u64, Organization>,
    user_logins: HashMap<String, u64>,
    organization_logins: HashMap<String, u64>,
    pub(crate) counters: Counters,
}

/// A user (<https://docs.github.com/rest/users/users>).
#[derive(Debug, Clone)]
pub struct User {
    /// GitHub's numeric id.
    pub id: u64,
    /// The login, in the case the user writes it.
    pub login: String,
    /// The display name.
    pub name: Option<String>,
    /// The mail address that they show to everybody: few do.
    pub email: Option<String>,
    /// Minutes east of UTC, which is the offset GitHub shows in the user's timestamps. Two hours unless told.
    pub utc_offset_minutes: i32,
}

/// What an organization's member may do (`role` of a membership).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An owner.
    Admin,
    /// Everybody else who belongs.
    Member,
}

/// What a team's member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamRole {
    /// A member.
    Member,
    /// A maintainer.
    Maintainer,
}

/// A team (<https://docs.github.com/rest/teams/teams>).
#[derive(Debug, Clone)]
pub struct Team {
    /// GitHub's numeric id.
    pub id: u64,
    /// The name in URLs.
    pub slug: String,
    /// The display name.
    pub name: String,
    /// What the team says it is.
    pub description: Option<String>,
    /// The slug of the team this one is a child of.
    pub parent: Option<String>,
    /// Direct members, by user id.
    pub members: BTreeMap<u64, TeamRole>,
}

/// An organization (<https://docs.github.com/rest/orgs/orgs>).
#[derive(Debug, Clone)]
pub struct Organization {
    /// GitHub's numeric id.
    pub id: u64,
    /// The login, in the case the organization writes it.
    pub login: String,
    /// What the organization says it is.
    pub description: Option<String>,
    /// Members and owners, by user id.
    pub members: BTreeMap<u64, Role>,
    /// Billing managers who are not members, by user id.
    pub billing_managers: BTreeSet<u64>,
    /// Invited people who have not accepted yet, by user id.
    pub invited: BTreeSet<u64>,
    /// Teams by slug.
    pub teams: BTreeMap<String, Team>,
    /// Repositories by lower-case name.
    pub repositories: BTreeMap<String, Repository>,
    /// The schema of custom properties.
    pub properties: Vec<PropertyDefinition>,
    /// What every member may do with every repository.
    pub base_access: Option<Access>,
    pub(crate) repository_names: HashMap<u64, String>,
    /// Names repositories had before, in lower case, to their ids.
    pub(crate) former_names: HashMap<String, u64>,
}

impl World {
    /// A user of this login: the existing one, or a new one who belongs to no organization.
    pub fn add_user(&mut self, login: &str) -> &mut User {
        let key = login.to_lowercase();
        let id = match self.user_logins.get(&key) {
            Some(id) => *id,
            None => {
                let id = next(&mut self.counters.user);
                self.user_logins.insert(key, id);
                id
            }
        };
        self.users.entry(id).or_insert_with(|| User {
            id,
            login: login.to_owned(),
            name: None,
            email: None,
            utc_offset_minutes: 120,
        })
    }

    /// A user takes another login, which nobody has: memberships and tokens go along, by number. Gives whether there was
    /// such a user.
    pub fn rename_user(&mut self, from: &str, to: &str) -> bool {
        let Some(id) = self.user_logins.remove(&from.to_lowercase()) else { return false };
        self.user_logins.insert(to.to_lowercase(), id);
        if let Some(user) = self.users.get_mut(&id) {
            user.login = to.to_owned();
        }
        true
    }

    /// An organization of this login, the existing one or a new empty one, ready to be filled.
    pub fn add_organization(&mut self, login: &str) -> OrganizationEditor<'_> {
        let key = login.to_lowercase();
        let id = match self.organization_logins.get(&key) {
            Some(id) => *id,
            None => {
                let id = next(&mut self.counters.organization);
                self.organization_logins.insert(key, id);
                self.organizations.insert(id, Organization::new(id, login));
                id
            }
        };
        OrganizationEditor::new(self, id)
    }

    /// The user of this login, in any case of letters.
    #[must_use]
    pub fn user(&self, login: &str) -> Option<&User> {
        self.users.get(self.user_logins.get(&login.to_lowercase())?)
    }

    /// All users, in order of their ids.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The organization of this login, in any case of letters.
    #[must_use]
    pub fn organization(&self, login: &str) -> Option<&Organization> {
        self.organizations.get(self.organization_logins.get(&login.to_lowercase())?)
    }

    /// An organization as a route names it: a login, or `#` and the numeric id.
    pub(crate) fn organization_by_route(&self, name: &str) -> Option<&Organization> {
        match name.strip_prefix('#') {
            Some(id) => self.organizations.get(&id.parse().ok()?),
            None => self.organization(name),
        }
    }

    /// A repository as a route names it: owner and name, or `#` and the numeric id.
    pub(crate) fn repository_by_route(
        &self,
        owner: &str,
        name: &str,
    ) -> Option<(&Organization, &Repository)> {
        if owner == "#" {
            let id = name.parse().ok()?;
            return self
                .organizations
                .values()
                .find_map(|known| Some((known, known.repository_by_id(id)?)));
        }
        let organization = self.organization(owner)?;
        Some((organization, organization.repository(name)?))
    }

    /// The repository that had this name before, wherever it is now.
    pub(crate) fn moved(&self, owner: &str, name: &str) -> Option<(&Organization, &Repository)> {
        let id = *self.organization(owner)?.former_names.get(&name.to_lowercase())?;
        self.repository_by_route("#", &id.to_string())
    }

    /// What a user may do with a repository; everybody may read a public one.
    pub(crate) fn access(
        &self,
        organization: &Organization,
        repository: &Repository,
        user: u64,
    ) -> Option<Access> {
        if organization.is_owner(user) {
            return Some(Access::Admin);
        }
        let public = (repository.visibility == Visibility::Public).then_some(Access::Read);
        let member = organization.members.get(&user).and(organization.base_access);
        let teams = organization.teams.values().filter_map(|team| {
            let access = repository.teams.get(&team.id)?;
            organization.team_members(&team.slug).contains_key(&user).then_some(*access)
        });
        let own = repository.collaborators.get(&user).copied();
        teams.chain(own).chain(public).chain(member).max()
    }

    pub(crate) fn login_of(&self, user: u64) -> String {
        self.users.get(&user).map_or_else(|| "ghost".to_owned(), |user| user.login.clone())
    }
}

impl Organization {
    pub(crate) fn new(id: u64, login: &str) -> Self {
        Self {
            id,
            login: login.to_owned(),
            description: None,
            members: BTreeMap::new(),
            billing_managers: BTreeSet::new(),
            invited: BTreeSet::new(),
            teams: BTreeMap::new(),
            repositories: BTreeMap::new(),
            properties: Vec::new(),
            base_access: Some(Access::Read),
            repository_names: HashMap::new(),
            former_names: HashMap::new(),
        }
    }

    /// Puts a repository under a name in lower case. The name is its own now: it no longer leads to one that had it before.
    fn put(&mut self, key: String, repository: Repository) {
        self.former_names.remove(&key);
        self.repository_names.insert(repository.id, key.clone());
        self.repositories.insert(key, repository);
    }

    /// Whether the user is an owner.
    #[must_use]
    pub fn is_owner(&self, user: u64) -> bool {
        self.members.get(&user) == Some(&Role::Admin)
    }

    /// The repository of this name, in any case of letters.
    #[must_use]
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(&name.to_lowercase())
    }

    pub(crate) fn repository_by_id(&self, id: u64) -> Option<&Repository> {
        self.repositories.get(self.repository_names.get(&id)?)
    }

    pub(crate) fn repository_by_id_mut(&mut self, id: u64) -> Option<&mut Repository> {
        self.repositories.get_mut(self.repository_names.get(&id)?)
    }

    /// The members of a team with those of its child teams, as GitHub counts them; a direct role wins.
    #[must_use]
    pub fn team_members(&self, slug: &str) -> BTreeMap<u64, TeamRole> {
        let mut out = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![slug.to_lowercase()];
        while let Some(slug) = waiting.pop() {
            if !seen.insert(slug.clone()) {
                continue;
            }
            let Some(team) = self.teams.get(&slug) else {
                continue;
            };
            let direct = seen.len() == 1;
            for (user, role) in &team.members {
                out.entry(*user).or_insert(if direct { *role } else { TeamRole::Member });
            }
            let children =
                self.teams.values().filter(|child| child.parent.as_deref() == Some(slug.as_str()));
            waiting.extend(children.map(|child| child.slug.clone()));
        }
        // Owners who are members of a team read as its maintainers.
        for (user, role) in &mut out {
            if self.is_owner(*user) {
                *role = TeamRole::Maintainer;
            }
        }
        out
    }
}
