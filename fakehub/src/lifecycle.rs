//! What happens to tokens: asked for, edited, approved, denied, cancelled, revoked; and the webhooks each step sends. Below: code, repositories.
//!
//! Source: <https://docs.github.com/organizations/managing-programmatic-access-to-your-organization>.

mod code;
pub(crate) mod issues;
mod repositories;

use std::sync::Arc;

use serde_json::Value;

use crate::clock::timestamp;
use crate::config::{AppSender, EditedRequest};
use crate::deliveries::Event;
use crate::error::Error;
use crate::ids::next;
use crate::render::{self, PatEvent};
use crate::state::{RequestRecord, State};
use crate::tokens::{
    Actor, GrantRow, Lifetime, Outcome, PendingRequest, RepositoryChoice, RequestIds, Revocation,
    Selection, Shape, Token, TokenSpec,
};

/// A decision on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Approve,
    Deny,
}

impl State {
    pub(crate) fn organization_id(&self, login: &str) -> Result<u64, Error> {
        self.world
            .organization(login)
            .map(|organization| organization.id)
            .ok_or_else(|| Error::UnknownOrganization(login.to_owned()))
    }

    fn shape_of(&mut self, organization: u64, spec: &TokenSpec) -> Result<Shape, Error> {
        let repositories = match &spec.repositories {
            RepositoryChoice::None => Selection::None,
            RepositoryChoice::All => Selection::All,
            RepositoryChoice::Named(names) => {
                let known = self.world.organizations.get(&organization);
                let ids: Result<Vec<u64>, Error> = names
                    .iter()
                    .map(|name| {
                        known
                            .and_then(|organization| organization.repository(name))
                            .map(|repository| repository.id)
                            .ok_or_else(|| Error::UnknownRepository(name.clone()))
                    })
                    .collect();
                Selection::Subset(Arc::from(ids?))
            }
        };
        Ok(Shape { repositories, permissions: self.intern(spec.permissions.clone()) })
    }

    /// When something described began: now unless told.
    fn since(&self, spec: &TokenSpec) -> i64 {
        spec.since.map_or_else(|| self.now(), |at| at.as_second())
    }

    fn expiry(&self, spec: &TokenSpec) -> Option<i64> {
        match spec.lifetime {
            Lifetime::Never => None,
            Lifetime::For(time) => {
                let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 4);
                Some(self.since(spec).saturating_add(seconds))
            }
            Lifetime::Until(at) => Some(at.as_second()),
        }
    }

    fn new_token(&mut self, organization: u64, spec: &TokenSpec) -> (u64, u64) {
        let owner = self.world.add_user(&spec.owner).id;
        let id = next(&mut self.world.counters.token);
        let token = Token {
            id,
            name: spec.name.clone(),
            owner,
            organization,
            expires_at: self.expiry(spec),
            last_used_at: spec.last_used_at.map(|at| at.as_second()),
        };
        self.tokens.insert(id, token);
        (id, owner)
    }

    /// A person makes a token for the organization's resources.
    pub(crate) fn ask(&mut self, login: &str, spec: &TokenSpec) -> Result<RequestIds, Error> {
        let organization = self.organization_id(login)?;
        let shape = self.shape_of(organization, spec)?;
        let (token, _) = self.new_token(organization, spec);
        self.ask_for(organization, token, shape, None, spec)
    }

    /// Asks for access of an existing token. An owner needs nobody's approval.
    fn ask_for(
        &mut self,
        organization: u64,
        token: u64,
        shape: Shape,
        before: Option<Shape>,
        spec: &TokenSpec,
    ) -> Result<RequestIds, Error> {
        let owner =
            self.tokens.get(&token).map(|token| token.owner).ok_or(Error::UnknownId(token))?;
        let id = next(&mut self.world.counters.request);
        let (reason, created_at) = (spec.reason.clone(), self.since(spec));
        let request = PendingRequest { id, token, owner, shape, before, reason, created_at };
        let record =
            RequestRecord { organization, request: request.clone(), outcome: Outcome::Pending };
        self.requests.insert(id, record);
        let (now_ms, created) = (self.clock.now_ms(), request.created_at);
        let book = self.book(organization);
        book.requests.put(id, created, request, now_ms);
        book.request_of.insert(token, id);
        let is_owner =
            self.world.organizations.get(&organization).is_some_and(|known| known.is_owner(owner));
        if is_owner {
            let grant_id =
                self.settle(organization, id, Decision::Approve, &Actor::GitHub, None)?;
            return Ok(RequestIds { request_id: id, token_id: token, grant_id });
        }
        self.announce("created", organization, id, &Actor::GitHub);
        Ok(RequestIds { request_id: id, token_id: token, grant_id: None })
    }

    /// Settles a waiting request; gives the grant it became.
    pub(crate) fn settle(
        &mut self,
        organization: u64,
        id: u64,
        decision: Decision,
        by: &Actor,
        reason: Option<String>,
    ) -> Result<Option<u64>, Error> {
        let record = self.requests.get(&id).filter(|record| record.organization == organization);
        let record = record.ok_or(Error::UnknownId(id))?;
        if !record.outcome.is_pending() {
            return Err(Error::AlreadySettled(id));
        }
        let request = record.request.clone();
        self.leave_the_list(organization, &request);
        let at = timestamp(self.now());
        let (outcome, grant, action) = match decision {
            Decision::Approve => {
                let grant_id = self.put_grant(organization, &request, self.now());
                (
                    Outcome::Approved { by: by.clone(), reason, at, grant_id },
                    Some(grant_id),
                    "approved",
                )
            }
            Decision::Deny => (Outcome::Denied { by: by.clone(), reason, at }, None, "denied"),
        };
        if let Some(record) = self.requests.get_mut(&id) {
            record.outcome = outcome;
        }
        if *by != Actor::GitHub || self.switches.owner_token_sends_approved {
            self.announce(action, organization, id, by);
        }
        Ok(grant)
    }

    fn leave_the_list(&mut self, organization: u64, request: &PendingRequest) {
        let now_ms = self.clock.now_ms();
        let book = self.book(organization);
        book.requests.remove(request.id, now_ms);
        book.request_of.remove(&request.token);
    }

    /// Gives a token its access; one that has a grant keeps its id and changes its shape.
    fn put_grant(&mut self, organization: u64, request: &PendingRequest, granted_at: i64) -> u64 {
        let known = self
            .books
            .get(&organization)
            .and_then(|book| book.grant_of.get(&request.token))
            .copied();
        let id = known.unwrap_or_else(|| next(&mut self.world.counters.grant));
        let now_ms = self.clock.now_ms();
        let row = GrantRow {
            id,
            token: request.token,
            owner: request.owner,
            shape: request.shape.clone(),
            granted_at,
        };
        let book = self.book(organization);
        book.grants.put(id, granted_at, row, now_ms);
        book.grant_of.insert(request.token, id);
        id
    }

    /// A grant that simply exists, approved before the story begins; no webhook.
    pub(crate) fn grant_outright(
        &mut self,
        login: &str,
        spec: &TokenSpec,
    ) -> Result<RequestIds, Error> {
        let organization = self.organization_id(login)?;
        let shape = self.shape_of(organization, spec)?;
        let (token, owner) = self.new_token(organization, spec);
        let created_at = self.since(spec);
        let request =
            PendingRequest { id: 0, token, owner, shape, before: None, reason: None, created_at };
        let grant_id = self.put_grant(organization, &request, created_at);
        Ok(RequestIds { request_id: 0, token_id: token, grant_id: Some(grant_id) })
    }

    /// The requester takes a waiting request back.
    pub(crate) fn cancel(&mut self, id: u64) -> Result<(), Error> {
        let record = self.requests.get(&id).ok_or(Error::UnknownId(id))?;
        if !record.outcome.is_pending() {
            return Err(Error::AlreadySettled(id));
        }
        let (organization, request) = (record.organization, record.request.clone());
        self.leave_the_list(organization, &request);
        let at = timestamp(self.now());
        if let Some(record) = self.requests.get_mut(&id) {
            record.outcome = Outcome::Cancelled { at };
        }
        self.announce("cancelled", organization, id, &Actor::GitHub);
        Ok(())
    }

    /// How a token's owner would fill in the form again.
    pub(crate) fn spec_of(
        &self,
        token: u64,
        shape: &Shape,
        reason: Option<String>,
    ) -> Result<TokenSpec, Error> {
        let token = self.tokens.get(&token).ok_or(Error::UnknownId(token))?;
        let organization = self.world.organizations.get(&token.organization);
        let repositories = organization.map_or(RepositoryChoice::None, |organization| {
            self.choice(organization, &shape.repositories)
        });
        Ok(TokenSpec {
            owner: self.world.login_of(token.owner),
            name: token.name.clone(),
            lifetime: token.expires_at.map_or(Lifetime::Never, |at| Lifetime::Until(timestamp(at))),
            repositories,
            permissions: shape.permissions.as_ref().clone(),
            reason,
            last_used_at: token.last_used_at.map(timestamp),
            since: None,
        })
    }

    fn rewrite_token(&mut self, token: u64, spec: &TokenSpec) {
        let expires_at = self.expiry(spec);
        if let Some(token) = self.tokens.get_mut(&token) {
            token.name.clone_from(&spec.name);
            token.expires_at = expires_at;
            token.last_used_at = spec.last_used_at.map(|at| at.as_second());
        }
    }

    /// The requester edits a request that still waits; what that sends is a switch.
    pub(crate) fn edit_request(
        &mut self,
        id: u64,
        change: impl FnOnce(TokenSpec) -> TokenSpec,
    ) -> Result<RequestIds, Error> {
        let record = self.requests.get(&id).cloned().ok_or(Error::UnknownId(id))?;
        if !record.outcome.is_pending() {
            return Err(Error::AlreadySettled(id));
        }
        let (organization, mut request) = (record.organization, record.request);
        let spec = change(self.spec_of(request.token, &request.shape, request.reason.clone())?);
        let shape = self.shape_of(organization, &spec)?;
        let token_id = request.token;
        if self.switches.edited_request == EditedRequest::CancelledThenCreated {
            self.cancel(id)?;
            self.rewrite_token(token_id, &spec);
            return self.ask_for(organization, token_id, shape, request.before, &spec);
        }
        self.rewrite_token(token_id, &spec);
        request.shape = shape;
        request.reason = spec.reason;
        if let Some(record) = self.requests.get_mut(&id) {
            record.request = request.clone();
        }
        let now_ms = self.clock.now_ms();
        self.book(organization).requests.put(id, request.created_at, request, now_ms);
        if self.switches.edited_request == EditedRequest::SameIdCreatedAgain {
            self.announce("created", organization, id, &Actor::GitHub);
        }
        Ok(RequestIds { request_id: id, token_id, grant_id: None })
    }

    /// The owner edits an approved token: a new request waits, and the old grant stays as it was.
    pub(crate) fn edit_token(
        &mut self,
        token_id: u64,
        change: impl FnOnce(TokenSpec) -> TokenSpec,
    ) -> Result<RequestIds, Error> {
        let organization = self
            .tokens
            .get(&token_id)
            .map(|token| token.organization)
            .ok_or(Error::UnknownId(token_id))?;
        let book = self.book(organization);
        if let Some(waiting) = book.request_of.get(&token_id).copied() {
            return self.edit_request(waiting, change);
        }
        let grant = book.grant_of.get(&token_id).and_then(|id| book.grants.get(*id));
        let before = grant.map(|grant| grant.shape.clone()).ok_or(Error::UnknownId(token_id))?;
        let spec = change(self.spec_of(token_id, &before, None)?);
        let shape = self.shape_of(organization, &spec)?;
        self.rewrite_token(token_id, &spec);
        self.ask_for(organization, token_id, shape, Some(before), &spec)
    }

    /// The owner deletes a token: a waiting request is cancelled, a grant goes without a word.
    pub(crate) fn delete_token(&mut self, token_id: u64) -> Result<(), Error> {
        let organization = self
            .tokens
            .get(&token_id)
            .map(|token| token.organization)
            .ok_or(Error::UnknownId(token_id))?;
        if let Some(waiting) = self.book(organization).request_of.get(&token_id).copied() {
            self.cancel(waiting)?;
        }
        self.drop_grant(organization, token_id);
        Ok(())
    }

    fn drop_grant(&mut self, organization: u64, token: u64) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        let book = self.book(organization);
        let id = book.grant_of.remove(&token)?;
        book.grants.remove(id, now_ms);
        Some(id)
    }

    /// Takes a grant back. GitHub tells nobody by webhook.
    pub(crate) fn revoke(
        &mut self,
        organization: u64,
        grant_id: u64,
        by: Actor,
    ) -> Result<(), Error> {
        let row = self
            .book(organization)
            .grants
            .get(grant_id)
            .cloned()
            .ok_or(Error::UnknownId(grant_id))?;
        self.drop_grant(organization, row.token);
        let revocation = Revocation {
            grant_id,
            token_id: row.token,
            owner: self.world.login_of(row.owner),
            by,
            at: timestamp(self.now()),
        };
        self.revocations.push((organization, revocation));
        Ok(())
    }

    /// A member leaves or is removed: their tokens lose the organization, unless a switch says otherwise, and
    /// `organization.member_removed` is sent.
    pub(crate) fn remove_member(&mut self, login: &str, user: &str) -> Result<(), Error> {
        let organization = self.organization_id(login)?;
        let id = self
            .world
            .user(user)
            .map(|user| user.id)
            .ok_or_else(|| Error::UnknownUser(user.to_owned()))?;
        let stay = self.switches.leavers_tokens_stay;
        let theirs: Vec<u64> = self
            .tokens
            .values()
            .filter(|token| token.organization == organization && token.owner == id && !stay)
            .map(|token| token.id)
            .collect();
        for token in theirs {
            self.delete_token(token)?;
        }
        let body = self.member_body("member_removed", organization, id);
        self.world.add_organization(login).without(user);
        if let Some(body) = body {
            self.send("organization", Some("member_removed"), organization, body);
        }
        Ok(())
    }

    /// A person leaves a team; `membership.removed` is sent.
    pub(crate) fn remove_team_member(
        &mut self,
        login: &str,
        slug: &str,
        user: &str,
    ) -> Result<(), Error> {
        let organization = self.organization_id(login)?;
        let id = self
            .world
            .user(user)
            .map(|user| user.id)
            .ok_or_else(|| Error::UnknownUser(user.to_owned()))?;
        self.world.add_organization(login).without_team_member(slug, user);
        self.tell_of_membership("removed", organization, slug, id);
        Ok(())
    }

    /// A person joins a team; `membership.added` is sent.
    pub(crate) fn add_team_member(
        &mut self,
        login: &str,
        slug: &str,
        user: &str,
    ) -> Result<(), Error> {
        let organization = self.organization_id(login)?;
        self.team_name(login, slug)?;
        let id = self.world.add_user(user).id;
        self.world.add_organization(login).team(slug, [user]);
        self.tell_of_membership("added", organization, slug, id);
        Ok(())
    }

    /// A person joins the organization; `organization.member_added` is sent.
    pub(crate) fn add_member(&mut self, login: &str, user: &str) -> Result<(), Error> {
        let organization = self.organization_id(login)?;
        let id = self.world.add_user(user).id;
        let known = self.world.organizations.get(&organization);
        if known.is_some_and(|known| known.members.contains_key(&id)) {
            return Err(Error::NotAllowed(format!("{user} is a member already")));
        }
        self.world.add_organization(login).member(user);
        if let Some(body) = self.member_body("member_added", organization, id) {
            self.send("organization", Some("member_added"), organization, body);
        }
        Ok(())
    }

    fn tell_of_membership(&mut self, action: &str, organization: u64, slug: &str, user: u64) {
        let body = self.world.organizations.get(&organization).and_then(|known| {
            let team = known.teams.get(&slug.to_lowercase())?;
            let member = self.world.users.get(&user)?;
            Some(serde_json::json!({
                "action": action,
                "scope": "team",
                "member": render::webhook_user(member, &self.urls),
                "sender": render::webhook_user(member, &self.urls),
                "team": render::team_webhook(known, team, &self.urls),
                "organization": render::organization_webhook(known, &self.urls),
                "installation": render::simple_installation(self.installation_of(organization)?.id),
            }))
        });
        if let Some(body) = body {
            self.send("membership", Some(action), organization, body);
        }
    }

    fn member_body(&self, action: &str, organization: u64, user: u64) -> Option<Value> {
        let known = self.world.organizations.get(&organization)?;
        let member = self.world.users.get(&user)?;
        Some(serde_json::json!({
            "action": action,
            "membership": render::member_webhook_membership(
                known,
                member,
                action == "member_added",
                &self.urls,
            ),
            "organization": render::organization_webhook(known, &self.urls),
            "sender": render::simple_user(member, &self.urls),
            "installation": render::simple_installation(self.installation_of(organization)?.id),
        }))
    }

    /// Sends `personal_access_token_request`, if the App is installed there.
    fn announce(&mut self, action: &str, organization: u64, request_id: u64, by: &Actor) {
        let body = (|| {
            let record = self.requests.get(&request_id)?;
            let known = self.world.organizations.get(&organization)?;
            let token = self.tokens.get(&record.request.token)?;
            let owner = self.world.users.get(&record.request.owner)?;
            let sender = match by {
                Actor::App => match self.switches.app_sender {
                    AppSender::Bot => render::bot(&self.app, &self.urls),
                    AppSender::Ghost => render::ghost(&self.urls),
                },
                Actor::Person(login) => self.world.user(login).map_or_else(
                    || render::ghost(&self.urls),
                    |user| render::simple_user(user, &self.urls),
                ),
                Actor::GitHub => render::simple_user(owner, &self.urls),
            };
            let event = PatEvent {
                action,
                request: &record.request,
                token,
                owner,
                organization: known,
                sender,
                installation: self.installation_of(organization)?.id,
                now: self.now(),
                switches: &self.switches,
            };
            Some(render::pat_request_event(&event, &self.urls))
        })();
        if let Some(body) = body {
            self.send("personal_access_token_request", Some(action), organization, body);
        }
    }

    /// Hands an event of an organization to the sender of webhooks; nothing is sent where the App is not, or is suspended.
    pub(crate) fn send(
        &mut self,
        name: &str,
        action: Option<&str>,
        organization: u64,
        body: Value,
    ) {
        let Some(installation) = self.installation_of(organization) else {
            return;
        };
        if !installation.hears(name, &self.wishes) {
            return;
        }
        // What happens before a webhook is set up is never sent.
        if self.hook.url.is_none() {
            return;
        }
        let event = Event {
            name: name.to_owned(),
            action: action.map(str::to_owned),
            installation: Some(installation.id),
            organization: Some(organization),
            body: Arc::new(body),
        };
        self.events.send(event);
    }
}
