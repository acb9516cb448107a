//! What the control API reads about the world itself: organizations, installations, answers to open questions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::code::visibility_of;
use crate::answer::Answer;
use crate::config::{AppSender, EditedRequest, SettledReview, StaleBulk};
use crate::error::Error;
use crate::hub::Fakehub;
use crate::world::{Repo, World};

/// What happens to the App's installation on an organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstallationInput {
    organization: String,
    /// `install` (unless told), `choose`, `suspend`, `unsuspend` or `uninstall`.
    action: Option<String>,
    /// For `install`: exactly these, instead of all that patwarden wants.
    permissions: Option<BTreeMap<String, String>>,
    /// For `choose`: these only; absent is all.
    repositories: Option<Vec<String>>,
}

impl InstallationInput {
    pub(super) fn apply(self, hub: &Fakehub) -> Result<Answer, Error> {
        match self.action.as_deref() {
            None | Some("install") => {
                let id = match self.permissions {
                    Some(permissions) => hub.install_with(&self.organization, permissions)?,
                    None => hub.install(&self.organization)?,
                };
                Ok(Answer::json(201, json!({ "installation_id": id })))
            }
            Some("choose") => {
                let names: Option<Vec<&str>> = self
                    .repositories
                    .as_ref()
                    .map(|names| names.iter().map(String::as_str).collect());
                hub.choose_repositories(&self.organization, names.as_deref())
                    .map(|()| Answer::ok(json!({})))
            }
            Some("suspend") => {
                hub.suspend(&self.organization, true).map(|()| Answer::ok(json!({})))
            }
            Some("unsuspend") => {
                hub.suspend(&self.organization, false).map(|()| Answer::ok(json!({})))
            }
            Some("uninstall") => hub.uninstall(&self.organization).map(|()| Answer::ok(json!({}))),
            Some(other) => Err(Error::Invalid(format!("no action is called `{other}`"))),
        }
    }
}

/// Answers to open questions, under the names of the fields of [`crate::Switches`]; absent ones stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchInput {
    /// `bot` or `ghost`.
    app_sender: Option<String>,
    /// 404 or 422.
    settled_review: Option<u16>,
    /// `fails_whole` or `partial`.
    stale_bulk: Option<String>,
    /// 0 is never.
    webhook_repositories_cut: Option<usize>,
    never_used_matches_last_used_before: Option<bool>,
    webhook_token_fields: Option<bool>,
    owner_token_sends_approved: Option<bool>,
    leavers_tokens_stay: Option<bool>,
    /// `same_id_silently`, `same_id_created_again` or `cancelled_then_created`.
    edited_request: Option<String>,
    no_answer_status_code: Option<u16>,
    numeric_links: Option<bool>,
}

impl SwitchInput {
    pub(super) fn apply(self, hub: &Fakehub) -> Result<(), Error> {
        let unknown =
            |what: &str| Error::Invalid(format!("`{what}` is no answer to this question"));
        let app_sender = match self.app_sender.as_deref() {
            None => None,
            Some("bot") => Some(AppSender::Bot),
            Some("ghost") => Some(AppSender::Ghost),
            Some(other) => return Err(unknown(other)),
        };
        let settled_review = match self.settled_review {
            None => None,
            Some(404) => Some(SettledReview::NotFound),
            Some(422) => Some(SettledReview::Unprocessable),
            Some(other) => return Err(unknown(&other.to_string())),
        };
        let stale_bulk = match self.stale_bulk.as_deref() {
            None => None,
            Some("fails_whole") => Some(StaleBulk::FailsWhole),
            Some("partial") => Some(StaleBulk::Partial),
            Some(other) => return Err(unknown(other)),
        };
        let edited_request = match self.edited_request.as_deref() {
            None => None,
            Some("same_id_silently") => Some(EditedRequest::SameIdSilently),
            Some("same_id_created_again") => Some(EditedRequest::SameIdCreatedAgain),
            Some("cancelled_then_created") => Some(EditedRequest::CancelledThenCreated),
            Some(other) => return Err(unknown(other)),
        };
        hub.switches(|switches| {
            set(&mut switches.app_sender, app_sender);
            set(&mut switches.settled_review, settled_review);
            set(&mut switches.stale_bulk, stale_bulk);
            set(&mut switches.edited_request, edited_request);
            let cut = self.webhook_repositories_cut.map(|cut| (cut > 0).then_some(cut));
            set(&mut switches.webhook_repositories_cut, cut);
            set(
                &mut switches.never_used_matches_last_used_before,
                self.never_used_matches_last_used_before,
            );
            set(&mut switches.webhook_token_fields, self.webhook_token_fields);
            set(&mut switches.owner_token_sends_approved, self.owner_token_sends_approved);
            set(&mut switches.leavers_tokens_stay, self.leavers_tokens_stay);
            set(&mut switches.no_answer_status_code, self.no_answer_status_code);
            set(&mut switches.numeric_links, self.numeric_links);
        });
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// What is added to an organization, which is made if there is none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorldInput {
    pub(super) organization: String,
    #[serde(default)]
    pub(super) install: bool,
    #[serde(default)]
    owners: Vec<String>,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    teams: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    repositories: Vec<RepositoryInput>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepositoryInput {
    name: String,
    /// `public`, `private` (unless told) or `internal`; left alone in a repository that exists.
    visibility: Option<String>,
    #[serde(default)]
    topics: Vec<String>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    /// How many approvals a ruleset asks for; left alone in a repository that exists.
    approvals: Option<u32>,
    /// Path to text, added to the files there are.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl WorldInput {
    pub(super) fn put_in(self, world: &mut World) -> Result<(), Error> {
        let known: Vec<String> = world
            .organization(&self.organization)
            .map(|organization| organization.repositories.keys().cloned().collect())
            .unwrap_or_default();
        let mut organization = world.add_organization(&self.organization);
        organization.members(&self.members).owners(&self.owners);
        for (slug, members) in &self.teams {
            organization.team(slug, members);
        }
        for repository in self.repositories {
            if !known.contains(&repository.name.to_lowercase()) {
                let visibility = repository.visibility.as_deref().unwrap_or("private");
                let mut repo = Repo::new(&repository.name, visibility_of(visibility)?);
                repo = repo.topics(repository.topics);
                for (name, value) in repository.properties {
                    repo = repo.property(&name, value);
                }
                if let Some(needed) = repository.approvals {
                    repo = repo.approvals(needed);
                }
                organization.repository(repo);
            }
            for (path, text) in &repository.files {
                organization.file(&repository.name, path, text);
            }
        }
        Ok(())
    }
}
