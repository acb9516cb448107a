//! How a test fills an organization. Nothing here sends a webhook: the world is simply so.

use std::collections::BTreeMap;

use super::git::Changes;
use super::{
    Access, Organization, PropertyDefinition, Repo, Repository, Role, Team, TeamRole, World,
};
use crate::ids::next;
use crate::render::MADE_AT;

/// The message of a repository's first commit.
const FIRST: &str = "Initial commit";

/// Fills one organization; unknown people are created as they are named. Every method can be chained.
#[derive(Debug)]
pub struct OrganizationEditor<'a> {
    world: &'a mut World,
    id: u64,
}

impl<'a> OrganizationEditor<'a> {
    pub(super) fn new(world: &'a mut World, id: u64) -> Self {
        Self { world, id }
    }

    /// The organization's numeric id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    fn change(&mut self, what: impl FnOnce(&mut Organization)) -> &mut Self {
        if let Some(organization) = self.world.organizations.get_mut(&self.id) {
            what(organization);
        }
        self
    }

    fn role(&mut self, login: &str, role: Role) -> &mut Self {
        let user = self.world.add_user(login).id;
        self.change(|organization| {
            organization.billing_managers.remove(&user);
            organization.invited.remove(&user);
            organization.members.insert(user, role);
        })
    }

    /// Makes the user an owner.
    pub fn owner(&mut self, login: &str) -> &mut Self {
        self.role(login, Role::Admin)
    }

    /// Makes the users owners.
    pub fn owners<S: AsRef<str>>(&mut self, logins: impl IntoIterator<Item = S>) -> &mut Self {
        for login in logins {
            self.owner(login.as_ref());
        }
        self
    }

    /// Makes the user a member, and no longer an owner.
    pub fn member(&mut self, login: &str) -> &mut Self {
        self.role(login, Role::Member)
    }

    /// Makes the users members.
    pub fn members<S: AsRef<str>>(&mut self, logins: impl IntoIterator<Item = S>) -> &mut Self {
        for login in logins {
            self.member(login.as_ref());
        }
        self
    }

    /// Makes the user a billing manager who is not a member.
    pub fn billing_manager(&mut self, login: &str) -> &mut Self {
        let user = self.world.add_user(login).id;
        self.change(|organization| {
            organization.members.remove(&user);
            organization.billing_managers.insert(user);
        })
    }

    /// Invites the user, whose membership stays `pending`.
    pub fn invited(&mut self, login: &str) -> &mut Self {
        let user = self.world.add_user(login).id;
        self.change(|organization| {
            organization.members.remove(&user);
            organization.invited.insert(user);
        })
    }

    /// Takes the user out of the organization and its teams, without a word to anybody.
    pub fn without(&mut self, login: &str) -> &mut Self {
        let user = self.world.add_user(login).id;
        self.change(|organization| {
            organization.members.remove(&user);
            organization.billing_managers.remove(&user);
            organization.invited.remove(&user);
            for team in organization.teams.values_mut() {
                team.members.remove(&user);
            }
        })
    }

    /// What the organization says it is.
    pub fn described(&mut self, text: &str) -> &mut Self {
        self.change(|organization| organization.description = Some(text.to_owned()))
    }

    /// A team of these people, who become members of the organization if they are not. Named again, it is added to.
    pub fn team<S: AsRef<str>>(
        &mut self,
        slug: &str,
        logins: impl IntoIterator<Item = S>,
    ) -> &mut Self {
        self.put_team(slug, None, logins)
    }

    /// A team under another team.
    pub fn child_team<S: AsRef<str>>(
        &mut self,
        parent: &str,
        slug: &str,
        logins: impl IntoIterator<Item = S>,
    ) -> &mut Self {
        self.put_team(slug, Some(parent.to_lowercase()), logins)
    }

    fn put_team<S: AsRef<str>>(
        &mut self,
        slug: &str,
        parent: Option<String>,
        logins: impl IntoIterator<Item = S>,
    ) -> &mut Self {
        let slug = slug.to_lowercase();
        let known = self
            .world
            .organizations
            .get(&self.id)
            .is_some_and(|organization| organization.teams.contains_key(&slug));
        if !known {
            let id = next(&mut self.world.counters.team);
            let team = Team {
                id,
                name: title(&slug),
                slug: slug.clone(),
                description: None,
                parent,
                members: BTreeMap::new(),
            };
            self.change(|organization| {
                organization.teams.insert(team.slug.clone(), team);
            });
        }
        for login in logins {
            let user = self.world.add_user(login.as_ref()).id;
            self.change(|organization| {
                organization.members.entry(user).or_insert(Role::Member);
                if let Some(team) = organization.teams.get_mut(&slug) {
                    team.members.entry(user).or_insert(TeamRole::Member);
                }
            });
        }
        self
    }

    /// Makes the user a maintainer of the team.
    pub fn maintainer(&mut self, slug: &str, login: &str) -> &mut Self {
        self.team(slug, [login]);
        let user = self.world.add_user(login).id;
        let slug = slug.to_lowercase();
        self.change(|organization| {
            if let Some(team) = organization.teams.get_mut(&slug) {
                team.members.insert(user, TeamRole::Maintainer);
            }
        })
    }

    /// Takes the user out of the team, without a webhook.
    pub fn without_team_member(&mut self, slug: &str, login: &str) -> &mut Self {
        let user = self.world.add_user(login).id;
        let slug = slug.to_lowercase();
        self.change(|organization| {
            if let Some(team) = organization.teams.get_mut(&slug) {
                team.members.remove(&user);
            }
        })
    }

    /// Adds a repository, or replaces the one of the same name, which keeps its id, and its history unless files are given.
    pub fn repository(&mut self, repo: Repo) -> &mut Self {
        let Repo(mut repository, files) = repo;
        let key = repository.name.to_lowercase();
        let known = self
            .world
            .organizations
            .get(&self.id)
            .and_then(|organization| organization.repositories.get(&key));
        match known {
            Some(known) => {
                repository.id = known.id;
                if files.is_empty() {
                    repository.git = known.git.clone();
                    repository.pulls = known.pulls.clone();
                    repository.checks = known.checks.clone();
                    repository.suites = known.suites.clone();
                }
            }
            None => repository.id = next(&mut self.world.counters.repository),
        }
        write(&mut repository, &files, FIRST);
        self.change(|organization| organization.put(key, repository))
    }

    /// Adds repositories.
    pub fn repositories(&mut self, repos: impl IntoIterator<Item = Repo>) -> &mut Self {
        for repo in repos {
            self.repository(repo);
        }
        self
    }

    /// Renames a repository; its id stays, and calls for the old name are redirected.
    pub fn rename_repository(&mut self, from: &str, to: &str) -> &mut Self {
        let (from, key) = (from.to_lowercase(), to.to_lowercase());
        self.change(|organization| {
            if let Some(mut repository) = organization.repositories.remove(&from) {
                repository.name = to.to_owned();
                organization.former_names.insert(from, repository.id);
                organization.put(key, repository);
            }
        })
    }

    /// Hands a repository to another organization, which is made if there is none. Its id stays, calls for the old name
    /// are redirected; teams of the old organization lose it.
    pub fn transfer_repository(&mut self, name: &str, to: &str) -> &mut Self {
        let key = name.to_lowercase();
        let mut moved = None;
        self.change(|organization| {
            moved = organization.repositories.remove(&key);
            if let Some(repository) = &moved {
                organization.repository_names.remove(&repository.id);
                organization.former_names.insert(key.clone(), repository.id);
            }
        });
        if let Some(mut repository) = moved {
            repository.teams.clear();
            self.world
                .add_organization(to)
                .change(|organization| organization.put(key, repository));
        }
        self
    }

    /// Deletes a repository.
    pub fn delete_repository(&mut self, name: &str) -> &mut Self {
        let key = name.to_lowercase();
        self.change(|organization| {
            if let Some(repository) = organization.repositories.remove(&key) {
                organization.repository_names.remove(&repository.id);
            }
        })
    }

    /// Changes a repository's facts (topics, properties, visibility, whether it is archived) without a word to anybody.
    pub fn change_repository(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Repository),
    ) -> &mut Self {
        let key = name.to_lowercase();
        self.change(|organization| {
            if let Some(repository) = organization.repositories.get_mut(&key) {
                change(repository);
            }
        })
    }

    /// Writes a file in a new commit on a repository's default branch; nothing happens if there is no such repository.
    pub fn file(&mut self, repository: &str, path: &str, text: &str) -> &mut Self {
        let changes = Changes::new().write(path, text);
        self.change_repository(repository, |repository| {
            let message = if repository.git.is_empty() { FIRST } else { "Write a file" };
            write(repository, &changes, message);
        })
    }

    /// Gives somebody a role on a repository.
    pub fn collaborator(&mut self, repository: &str, login: &str, access: Access) -> &mut Self {
        let user = self.world.add_user(login).id;
        self.change_repository(repository, |repository| {
            repository.collaborators.insert(user, access);
        })
    }

    /// Gives a team a role on a repository.
    pub fn team_access(&mut self, repository: &str, slug: &str, access: Access) -> &mut Self {
        let team = self
            .world
            .organizations
            .get(&self.id)
            .and_then(|organization| organization.teams.get(&slug.to_lowercase()))
            .map(|team| team.id);
        self.change_repository(repository, |repository| {
            if let Some(team) = team {
                repository.teams.insert(team, access);
            }
        })
    }

    /// What every member may do with every repository; read unless told.
    pub fn base_access(&mut self, access: Option<Access>) -> &mut Self {
        self.change(|organization| organization.base_access = access)
    }

    /// Gives a team another name, and the slug that follows from it; its id stays.
    pub fn rename_team(&mut self, slug: &str, name: &str) -> &mut Self {
        let (old, new) = (slug.to_lowercase(), name.to_lowercase().replace(' ', "-"));
        self.change(|organization| {
            if let Some(mut team) = organization.teams.remove(&old) {
                team.name = name.to_owned();
                team.slug.clone_from(&new);
                for child in organization.teams.values_mut() {
                    if child.parent.as_deref() == Some(old.as_str()) {
                        child.parent = Some(new.clone());
                    }
                }
                organization.teams.insert(new, team);
            }
        })
    }

    /// Deletes a team with its child teams. A team made later under the same slug has another id.
    pub fn delete_team(&mut self, slug: &str) -> &mut Self {
        let mut waiting = vec![slug.to_lowercase()];
        self.change(|organization| {
            while let Some(slug) = waiting.pop() {
                if let Some(team) = organization.teams.remove(&slug) {
                    for repository in organization.repositories.values_mut() {
                        repository.teams.remove(&team.id);
                    }
                }
                let children = organization
                    .teams
                    .values()
                    .filter(|team| team.parent.as_deref() == Some(slug.as_str()));
                waiting.extend(children.map(|team| team.slug.clone()));
            }
        })
    }

    /// Defines a custom property.
    pub fn property_definition(&mut self, definition: PropertyDefinition) -> &mut Self {
        self.change(|organization| {
            organization.properties.retain(|known| known.name != definition.name);
            organization.properties.push(definition);
        })
    }
}

/// Puts changes into a commit on the default branch; what was so before the story began has its time, too.
fn write(repository: &mut Repository, changes: &Changes, message: &str) {
    if changes.is_empty() {
        return;
    }
    let git = &mut repository.git;
    let tip = git.head().cloned();
    let mut files = tip.as_ref().map(|tip| tip.files.clone()).unwrap_or_default();
    changes.apply(&mut files);
    let parents = tip.map(|tip| tip.sha.clone()).into_iter().collect();
    let sha = git.commit(parents, files, "ghost", message, MADE_AT).sha.clone();
    git.branches.insert(git.default_branch.clone(), sha);
}

/// `release-tools` as a display name: `Release tools`.
fn title(slug: &str) -> String {
    let spaced = slug.replace('-', " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
