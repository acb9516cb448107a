//! What people do on GitHub's pages: install the App, ask, edit, cancel, review, leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Fakehub;
use crate::deliveries::Event;
use crate::error::Error;
use crate::ids::next;
use crate::installations::Installation;
use crate::lifecycle::Decision;
use crate::render;
use crate::state::State;
use crate::tokens::{Actor, RequestIds, Review, TokenSpec};

impl Fakehub {
    /// Installs the App on an organization with all permissions patwarden wants; gives the installation's id.
    ///
    /// # Errors
    /// When there is no such organization.
    pub fn install(&self, organization: &str) -> Result<u64, Error> {
        let permissions = self.shared.with(|state| state.wishes.permissions.clone());
        self.install_with(organization, permissions)
    }

    /// Installs the App with exactly these permissions, or changes those of an existing installation.
    ///
    /// # Errors
    /// When there is no such organization.
    pub fn install_with<N: Into<String>, L: Into<String>>(
        &self,
        organization: &str,
        permissions: impl IntoIterator<Item = (N, L)>,
    ) -> Result<u64, Error> {
        let permissions: BTreeMap<String, String> =
            permissions.into_iter().map(|(name, level)| (name.into(), level.into())).collect();
        self.shared.with(|state| {
            let organization = state.organization_id(organization)?;
            let now = state.now();
            let known = state.installation_of(organization).map(|installation| installation.id);
            let id = known.unwrap_or_else(|| next(&mut state.world.counters.installation));
            let created_at = known
                .and_then(|id| state.installations.get(&id))
                .map_or(now, |known| known.created_at);
            let chosen = known
                .and_then(|id| state.installations.get(&id))
                .and_then(|known| known.chosen.clone());
            let suspended_at = None;
            let installation = Installation {
                id,
                organization,
                permissions,
                chosen,
                suspended_at,
                created_at,
                updated_at: now,
            };
            state.installations.insert(id, installation);
            let action = if known.is_some() { "new_permissions_accepted" } else { "created" };
            announce_installation(state, id, action);
            Ok(id)
        })
    }

    /// Suspends the installation: its tokens stop working and no webhook is sent. Or takes that back.
    ///
    /// # Errors
    /// When there is no such installation.
    pub fn suspend(&self, organization: &str, suspended: bool) -> Result<(), Error> {
        self.shared.with(|state| {
            let organization_id = state.organization_id(organization)?;
            let id = state
                .installation_of(organization_id)
                .map(|installation| installation.id)
                .ok_or_else(|| Error::UnknownOrganization(organization.to_owned()))?;
            let now = state.now();
            if let Some(installation) = state.installations.get_mut(&id) {
                installation.suspended_at = suspended.then_some(now);
                installation.updated_at = now;
            }
            announce_installation(state, id, if suspended { "suspend" } else { "unsuspend" });
            Ok(())
        })
    }

    /// Takes the App off an organization.
    ///
    /// # Errors
    /// When there is no such installation.
    pub fn uninstall(&self, organization: &str) -> Result<(), Error> {
        self.shared.with(|state| {
            let organization_id = state.organization_id(organization)?;
            let id = state
                .installation_of(organization_id)
                .map(|installation| installation.id)
                .ok_or_else(|| Error::UnknownOrganization(organization.to_owned()))?;
            announce_installation(state, id, "deleted");
            state.installations.remove(&id);
            state.access_tokens.retain(|_, token| token.installation != id);
            Ok(())
        })
    }

    /// Sends `ping`, as GitHub does when a webhook is set up.
    pub fn ping(&self) {
        self.shared.with(|state| {
            let body = json!({
                "zen": "A fake that bites is worth two that nod.",
                "hook_id": state.hook.id,
                "hook": {
                    "type": "App",
                    "id": state.hook.id,
                    "name": "web",
                    "active": true,
                    "events": state.wishes.events,
                    "config": {
                        "content_type": state.hook.content_type.as_str(),
                        "insecure_ssl": "0",
                        "secret": "********",
                        "url": state.hook.url.clone().unwrap_or_default(),
                    },
                    "updated_at": render::time::zulu(state.now()),
                    "created_at": render::time::zulu(state.now()),
                    "app_id": state.app.id,
                    "deliveries_url": format!("{}/app/hook/deliveries", state.urls.api),
                },
            });
            let event = Event {
                name: "ping".to_owned(),
                action: None,
                installation: None,
                organization: None,
                body: Arc::new(body),
            };
            state.events.send(event);
        });
    }

    /// A person makes a token for the organization's resources. An owner's own is approved at once.
    ///
    /// # Errors
    /// When the organization or a repository does not exist.
    pub fn request_token(&self, organization: &str, spec: TokenSpec) -> Result<RequestIds, Error> {
        self.shared.with(|state| state.ask(organization, &spec))
    }

    /// Puts a token in place that was approved before the story begins; no webhook. The `request_id` is 0.
    ///
    /// # Errors
    /// When the organization or a repository does not exist.
    pub fn grant_token(&self, organization: &str, spec: TokenSpec) -> Result<RequestIds, Error> {
        self.shared.with(|state| state.grant_outright(organization, &spec))
    }

    /// The requester edits a request that still waits.
    ///
    /// # Errors
    /// When it does not wait.
    pub fn edit_request(
        &self,
        request_id: u64,
        change: impl FnOnce(TokenSpec) -> TokenSpec,
    ) -> Result<RequestIds, Error> {
        self.shared.with(|state| state.edit_request(request_id, change))
    }

    /// The owner edits an approved token: a new request waits, the old grant stays.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn edit_token(
        &self,
        token_id: u64,
        change: impl FnOnce(TokenSpec) -> TokenSpec,
    ) -> Result<RequestIds, Error> {
        self.shared.with(|state| state.edit_token(token_id, change))
    }

    /// The requester takes a request back.
    ///
    /// # Errors
    /// When it does not wait.
    pub fn cancel_request(&self, request_id: u64) -> Result<(), Error> {
        self.shared.with(|state| state.cancel(request_id))
    }

    /// The owner deletes a token: its request is cancelled, its grant goes without a word.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn delete_token(&self, token_id: u64) -> Result<(), Error> {
        self.shared.with(|state| state.delete_token(token_id))
    }

    /// A token is used now.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn use_token(&self, token_id: u64) -> Result<(), Error> {
        self.shared.with(|state| {
            let now = state.now();
            let token = state.tokens.get_mut(&token_id).ok_or(Error::UnknownId(token_id))?;
            token.last_used_at = Some(now);
            Ok(())
        })
    }

    /// An owner of the organization reviews a request in the browser.
    ///
    /// # Errors
    /// When it does not wait, or the person is not an owner.
    pub fn review_as(&self, login: &str, request_id: u64, review: Review) -> Result<(), Error> {
        self.shared.with(|state| {
            let organization = state
                .requests
                .get(&request_id)
                .map(|record| record.organization)
                .ok_or(Error::UnknownId(request_id))?;
            let by = owner_of(state, login, organization)?;
            let (decision, reason) = match review {
                Review::Approve => (Decision::Approve, None),
                Review::Deny(reason) => (Decision::Deny, (!reason.is_empty()).then_some(reason)),
            };
            state.settle(organization, request_id, decision, &by, reason).map(|_| ())
        })
    }

    /// An owner of the organization takes a grant back in the browser.
    ///
    /// # Errors
    /// When there is no such grant, or the person is not an owner.
    pub fn revoke_as(&self, login: &str, organization: &str, grant_id: u64) -> Result<(), Error> {
        self.shared.with(|state| {
            let organization = state.organization_id(organization)?;
            let by = owner_of(state, login, organization)?;
            state.revoke(organization, grant_id, by)
        })
    }

    /// A member leaves: tokens lose the organization, requests are cancelled, `organization.member_removed` is sent.
    ///
    /// # Errors
    /// When there is no such organization or user.
    pub fn remove_member(&self, organization: &str, login: &str) -> Result<(), Error> {
        self.shared.with(|state| state.remove_member(organization, login))
    }

    /// A person joins as a member; `organization.member_added` is sent.
    ///
    /// # Errors
    /// When there is no such organization.
    pub fn add_member(&self, organization: &str, login: &str) -> Result<(), Error> {
        self.shared.with(|state| state.add_member(organization, login))
    }

    /// A person joins a team, and the organization with it; `membership.added` is sent.
    ///
    /// # Errors
    /// When there is no such organization or team.
    pub fn add_team_member(
        &self,
        organization: &str,
        team: &str,
        login: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| state.add_team_member(organization, team, login))
    }

    /// A person leaves a team; `membership.removed` is sent.
    ///
    /// # Errors
    /// When there is no such organization or user.
    pub fn remove_team_member(
        &self,
        organization: &str,
        team: &str,
        login: &str,
    ) -> Result<(), Error> {
        self.shared.with(|state| state.remove_team_member(organization, team, login))
    }
}

fn owner_of(state: &State, login: &str, organization: u64) -> Result<Actor, Error> {
    let user = state.world.user(login).ok_or_else(|| Error::UnknownUser(login.to_owned()))?;
    let is_owner =
        state.world.organizations.get(&organization).is_some_and(|known| known.is_owner(user.id));
    if is_owner {
        Ok(Actor::Person(user.login.clone()))
    } else {
        Err(Error::NotAllowed(format!("{login} is not an owner of the organization")))
    }
}

/// Sends `installation`.
fn announce_installation(state: &mut State, id: u64, action: &str) {
    let body: Option<Value> = (|| {
        let installation = state.installations.get(&id)?;
        let organization = state.world.organizations.get(&installation.organization)?;
        let owner = organization.members.keys().find(|user| organization.is_owner(**user));
        let sender = owner.and_then(|owner| state.world.users.get(owner));
        let sender = sender.map_or_else(
            || render::ghost(&state.urls),
            |owner| render::simple_user(owner, &state.urls),
        );
        let repositories: Vec<Value> = installation
            .repositories(organization)
            .map(|repository| render::repository_stub(repository, organization))
            .collect();
        Some(json!({
            "action": action,
            "installation": render::installation(installation, organization, &state.app, &state.wishes, &state.urls),
            "repositories": repositories,
            "sender": sender,
        }))
    })();
    if let (Some(body), Some(installation)) = (body, state.installations.get(&id)) {
        state.send("installation", Some(action), installation.organization, body);
    }
}
