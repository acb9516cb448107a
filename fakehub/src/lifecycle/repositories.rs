//! What happens to repositories and teams: renamed, handed over, deleted, shown, hidden; and how such events are told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::app::App;
use crate::error::Error;
use crate::installations::Wishes;
use crate::render::{self, Place, Writer};
use crate::state::State;
use crate::world::{Organization, Repository, Visibility, World};

/// What the body of a repository's event is made of.
pub(super) struct Told<'a> {
    pub(super) place: Place<'a>,
    pub(super) world: &'a World,
    pub(super) app: &'a App,
    pub(super) wishes: &'a Wishes,
    pub(super) now: i64,
}

impl Told<'_> {
    /// `check_suite`, of the App's checks of a commit.
    pub(super) fn suite(&self, sha: &str, branch: &str) -> Option<Value> {
        let writer = Writer { app: self.app, wishes: self.wishes };
        render::check_suite(&self.place, writer, self.world, sha, branch)
            .map(|suite| json!({ "check_suite": suite }))
    }
}

impl State {
    pub(crate) fn repository_id(&self, organization: &str, name: &str) -> Result<u64, Error> {
        let known = self.world.organization(organization);
        let known = known.ok_or_else(|| Error::UnknownOrganization(organization.to_owned()))?;
        let repository = known.repository(name);
        repository
            .map(|repository| repository.id)
            .ok_or_else(|| Error::UnknownRepository(name.to_owned()))
    }

    pub(crate) fn repository_by_id(&self, id: u64) -> Result<(&Organization, &Repository), Error> {
        let found = self.world.repository_by_route("#", &id.to_string());
        found.ok_or(Error::UnknownId(id))
    }

    pub(crate) fn repository_mut(&mut self, id: u64) -> Result<&mut Repository, Error> {
        let found = self.world.organizations.values_mut();
        found
            .into_iter()
            .find_map(|organization| organization.repository_by_id_mut(id))
            .ok_or(Error::UnknownId(id))
    }

    /// A repository that takes commits.
    pub(super) fn writable(&mut self, id: u64) -> Result<&mut Repository, Error> {
        let known = self.repository_mut(id)?;
        if known.archived {
            return Err(Error::NotAllowed("the repository is archived".to_owned()));
        }
        Ok(known)
    }

    /// Sends an event about a repository to the App, if it was given that repository.
    pub(super) fn tell(
        &mut self,
        repository: u64,
        event: &str,
        action: Option<&str>,
        by: &str,
        body: impl FnOnce(&Told<'_>) -> Option<Value>,
    ) {
        let told = (|| {
            let (organization, known) = self.repository_by_id(repository).ok()?;
            let installation = self.installation_of(organization.id)?;
            // A body nobody hears need not be made, and that of a push takes a while.
            if !installation.reaches(repository) || !installation.hears(event, &self.wishes) {
                return None;
            }
            let place = Place { organization, repository: known, urls: &self.urls };
            let told = Told {
                place,
                world: &self.world,
                app: &self.app,
                wishes: &self.wishes,
                now: self.now(),
            };
            let mut out = json!({
                "repository": render::repository_webhook(&place),
                "organization": render::organization_webhook(organization, &self.urls),
                "sender": self.sender(by),
                "installation": render::simple_installation(installation.id),
            });
            let fields = out.as_object_mut()?;
            if let Some(action) = action {
                fields.insert("action".to_owned(), json!(action));
            }
            if let Value::Object(more) = body(&told)? {
                fields.extend(more);
            }
            Some((organization.id, out))
        })();
        if let Some((organization, body)) = told {
            self.send(event, action, organization, body);
        }
    }

    fn sender(&self, by: &str) -> Value {
        match self.world.user(by) {
            Some(user) => render::simple_user(user, &self.urls),
            None => match by.strip_suffix("[bot]") {
                Some(slug) if slug == self.app.slug => render::bot(&self.app, &self.urls),
                Some(slug) => render::other_bot(&self.app, slug, &self.urls),
                None => render::ghost(&self.urls),
            },
        }
    }

    fn tell_of_repository(&mut self, id: u64, action: &str, by: &str, more: Value) {
        self.tell(id, "repository", Some(action), by, |_| Some(more));
    }

    /// An owner of the repository's organization, who does what is done on settings pages.
    fn owner_for(&self, repository: u64) -> String {
        let known = self.repository_by_id(repository).map(|(organization, _)| organization.id);
        self.owner_of(known.unwrap_or_default())
    }

    pub(crate) fn rename_repository(
        &mut self,
        organization: &str,
        from: &str,
        to: &str,
    ) -> Result<(), Error> {
        let id = self.repository_id(organization, from)?;
        if self.repository_id(organization, to).is_ok_and(|other| other != id) {
            return Err(Error::NotAllowed(format!("the name `{to}` is taken")));
        }
        let before = self.repository_by_id(id)?.1.name.clone();
        self.world.add_organization(organization).rename_repository(from, to);
        let by = self.owner_for(id);
        let changes = json!({ "changes": { "repository": { "name": { "from": before } } } });
        self.tell_of_repository(id, "renamed", &by, changes);
        Ok(())
    }

    /// Both the organization it leaves and the one it comes to would hear of it; GitHub tells the new one.
    pub(crate) fn transfer_repository(
        &mut self,
        organization: &str,
        name: &str,
        to: &str,
    ) -> Result<(), Error> {
        let id = self.repository_id(organization, name)?;
        self.organization_id(to)?;
        if self.repository_id(to, name).is_ok() {
            return Err(Error::NotAllowed(format!("{to} has a repository `{name}`")));
        }
        let by = self.owner_for(id);
        let from = self
            .world
            .organization(organization)
            .map(|old| render::organization_account(old, &self.urls));
        self.world.add_organization(organization).transfer_repository(name, to);
        let changes = json!({ "changes": { "owner": { "from": { "organization": from } } } });
        self.tell_of_repository(id, "transferred", &by, changes);
        Ok(())
    }

    pub(crate) fn delete_repository(
        &mut self,
        organization: &str,
        name: &str,
    ) -> Result<(), Error> {
        let id = self.repository_id(organization, name)?;
        let by = self.owner_for(id);
        // Told as it was; nothing is read of it any more when the webhook arrives.
        self.tell_of_repository(id, "deleted", &by, json!({}));
        self.world.add_organization(organization).delete_repository(name);
        Ok(())
    }

    pub(crate) fn set_visibility(&mut self, id: u64, visibility: Visibility) -> Result<(), Error> {
        let known = self.repository_mut(id)?;
        let before = std::mem::replace(&mut known.visibility, visibility);
        let public = |visibility: Visibility| visibility == Visibility::Public;
        let action = match (public(before), public(visibility)) {
            (false, true) => "publicized",
            (true, false) => "privatized",
            _ => return Ok(()),
        };
        let by = self.owner_for(id);
        self.tell_of_repository(id, action, &by, json!({}));
        Ok(())
    }

    pub(crate) fn set_archived(&mut self, id: u64, archived: bool) -> Result<(), Error> {
        let known = self.repository_mut(id)?;
        if std::mem::replace(&mut known.archived, archived) != archived {
            let by = self.owner_for(id);
            let action = if archived { "archived" } else { "unarchived" };
            self.tell_of_repository(id, action, &by, json!({}));
        }
        Ok(())
    }

    pub(crate) fn set_default_branch(&mut self, id: u64, branch: &str) -> Result<(), Error> {
        let known = self.writable(id)?;
        if known.tip(branch).is_none() {
            return Err(Error::UnknownRef(branch.to_owned()));
        }
        let before = std::mem::replace(&mut known.git.default_branch, branch.to_owned());
        if before != branch {
            let by = self.owner_for(id);
            let changes = json!({ "changes": { "default_branch": { "from": before } } });
            self.tell_of_repository(id, "edited", &by, changes);
        }
        Ok(())
    }

    pub(crate) fn set_topics(&mut self, id: u64, topics: Vec<String>) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.repository_mut(id)?.topics, topics);
        let by = self.owner_for(id);
        let changes = json!({ "changes": { "topics": { "from": before } } });
        self.tell_of_repository(id, "edited", &by, changes);
        Ok(())
    }

    pub(crate) fn set_property(
        &mut self,
        id: u64,
        name: &str,
        value: Option<Value>,
    ) -> Result<(), Error> {
        let known = self.repository_mut(id)?;
        let before = match value.clone() {
            Some(value) => known.properties.insert(name.to_owned(), value),
            None => known.properties.remove(name),
        };
        let by = self.owner_for(id);
        let values = |value: Option<Value>| json!([{ "property_name": name, "value": value }]);
        self.tell(id, "custom_property_values", Some("updated"), &by, |_| {
            Some(json!({
                "new_property_values": values(value),
                "old_property_values": values(before),
            }))
        });
        Ok(())
    }

    /// An installation reaches other repositories from now on.
    pub(crate) fn choose_repositories(
        &mut self,
        organization: &str,
        names: Option<&[&str]>,
    ) -> Result<(), Error> {
        let id = self.organization_id(organization)?;
        let chosen = match names {
            None => None,
            Some(names) => {
                let ids = names.iter().map(|name| self.repository_id(organization, name));
                Some(ids.collect::<Result<BTreeSet<u64>, Error>>()?)
            }
        };
        let unknown = || Error::UnknownOrganization(organization.to_owned());
        let installation = self.installation_of(id).ok_or_else(unknown)?.id;
        let reached = |state: &Self| -> BTreeMap<u64, Value> {
            let known = state.installations.get(&installation);
            let place = state.world.organizations.get(&id).zip(known);
            place
                .into_iter()
                .flat_map(|(organization, known)| {
                    known
                        .repositories(organization)
                        .map(|one| (one.id, render::repository_stub(one, organization)))
                })
                .collect()
        };
        let before = reached(self);
        let now = self.now();
        if let Some(known) = self.installations.get_mut(&installation) {
            known.chosen = chosen;
            known.updated_at = now;
        }
        let after = reached(self);
        let only = |one: &BTreeMap<u64, Value>, other: &BTreeMap<u64, Value>| -> Vec<Value> {
            let differ = one.iter().filter(|(id, _)| !other.contains_key(id));
            differ.map(|(_, stub)| stub.clone()).collect()
        };
        let (added, removed) = (only(&after, &before), only(&before, &after));
        let by = self.owner_of(id);
        for action in ["added", "removed"] {
            let happened = if action == "added" { !added.is_empty() } else { !removed.is_empty() };
            let body = (|| {
                let known = self.installations.get(&installation)?;
                let organization = self.world.organizations.get(&id)?;
                let (added, removed) = match action {
                    "added" => (&added[..], &[][..]),
                    _ => (&[][..], &removed[..]),
                };
                Some(json!({
                    "action": action,
                    "installation": render::installation(known, organization, &self.app, &self.wishes, &self.urls),
                    "repository_selection": known.selection(),
                    "repositories_added": added,
                    "repositories_removed": removed,
                    "requester": null,
                    "sender": self.sender(&by),
                }))
            })();
            if let (true, Some(body)) = (happened, body) {
                self.send("installation_repositories", Some(action), id, body);
            }
        }
        Ok(())
    }

    fn owner_of(&self, organization: u64) -> String {
        let known = self.world.organizations.get(&organization);
        let owner =
            known.and_then(|known| known.members.keys().find(|user| known.is_owner(**user)));
        owner.map_or_else(|| "ghost".to_owned(), |owner| self.world.login_of(*owner))
    }

    /// Sends an event about a team.
    pub(super) fn tell_of_team(
        &mut self,
        organization: &str,
        slug: &str,
        action: &str,
        more: Value,
    ) {
        let told = (|| {
            let known = self.world.organization(organization)?;
            let team = known.teams.get(&slug.to_lowercase())?;
            let by = self.owner_of(known.id);
            let mut out = json!({
                "action": action,
                "team": render::team_webhook(known, team, &self.urls),
                "organization": render::organization_webhook(known, &self.urls),
                "sender": self.sender(&by),
                "installation": render::simple_installation(self.installation_of(known.id)?.id),
            });
            if let (Some(fields), Value::Object(more)) = (out.as_object_mut(), more) {
                fields.extend(more);
            }
            Some((known.id, out))
        })();
        if let Some((id, body)) = told {
            self.send("team", Some(action), id, body);
        }
    }

    pub(crate) fn rename_team(
        &mut self,
        organization: &str,
        slug: &str,
        name: &str,
    ) -> Result<(), Error> {
        let before = self.team_name(organization, slug)?;
        let new = name.to_lowercase().replace(' ', "-");
        if self.team_name(organization, &new).is_ok() && !new.eq_ignore_ascii_case(slug) {
            return Err(Error::NotAllowed(format!("there is a team `{new}`")));
        }
        self.world.add_organization(organization).rename_team(slug, name);
        let changes = json!({ "changes": { "name": { "from": before } } });
        self.tell_of_team(organization, &new, "edited", changes);
        Ok(())
    }

    pub(crate) fn delete_team(&mut self, organization: &str, slug: &str) -> Result<(), Error> {
        self.team_name(organization, slug)?;
        self.tell_of_team(organization, slug, "deleted", json!({}));
        self.world.add_organization(organization).delete_team(slug);
        Ok(())
    }

    pub(super) fn team_name(&self, organization: &str, slug: &str) -> Result<String, Error> {
        let id = self.organization_id(organization)?;
        let known = self.world.organizations.get(&id);
        let team = known.and_then(|known| known.teams.get(&slug.to_lowercase()));
        team.map(|team| team.name.clone()).ok_or_else(|| Error::UnknownTeam(slug.to_owned()))
    }
}
