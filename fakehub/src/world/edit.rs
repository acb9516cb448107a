//! How a test fills an organization. Nothing here sends a webhook: the world is simply so.

use std::collections::BTreeMap;

use super::{Organization, PropertyDefinition, Repo, Role, Team, TeamRole, World};
use crate::ids::next;

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

    /// Adds a repository, or replaces the one of the same name, which keeps its id.
    pub fn repository(&mut self, repo: Repo) -> &mut Self {
        let key = repo.0.name.to_lowercase();
        let known = self
            .world
            .organizations
            .get(&self.id)
            .and_then(|organization| organization.repositories.get(&key))
            .map(|repository| repository.id);
        let id = known.unwrap_or_else(|| next(&mut self.world.counters.repository));
        let mut repository = repo.0;
        repository.id = id;
        self.change(|organization| {
            organization.repository_names.insert(id, key.clone());
            organization.repositories.insert(key, repository);
        })
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
                organization.repository_names.insert(repository.id, key.clone());
                organization.repositories.insert(key, repository);
            }
        })
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

    /// Writes a file to a repository's default branch; nothing happens if there is no such repository.
    pub fn file(&mut self, repository: &str, path: &str, text: &str) -> &mut Self {
        let key = repository.to_lowercase();
        self.change(|organization| {
            if let Some(repository) = organization.repositories.get_mut(&key) {
                repository.files.insert(path.to_owned(), text.to_owned());
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

/// `release-tools` as a display name: `Release tools`.
fn title(slug: &str) -> String {
    let spaced = slug.replace('-', " ");
    let mut letters = spaced.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
