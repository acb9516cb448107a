//! The control API's part for repositories: what people do with code, what owners set, what the App wrote.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Reply, id_of, read, text};
use crate::answer::Answer;
use crate::error::Error;
use crate::gate::Arrived;
use crate::hub::Fakehub;
use crate::world::{Access, Changes, CheckRun, Head, Visibility};

fn acme() -> String {
    "acme".to_owned()
}

/// What is done to code; which fields matter depends on the route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeInput {
    #[serde(default = "acme")]
    organization: String,
    repository: String,
    by: String,
    branch: Option<String>,
    /// Whether the branch is in the author's fork.
    #[serde(default)]
    fork: bool,
    /// `push`, `merge`, `close`, `reopen` or `edit`.
    action: Option<String>,
    message: Option<String>,
    title: Option<String>,
    base: Option<String>,
    /// Where a branch is moved to; a check suite's commit.
    commit: Option<String>,
    /// A check run.
    run: Option<u64>,
    /// Path to text; null deletes.
    #[serde(default)]
    changes: BTreeMap<String, Option<String>>,
}

impl CodeInput {
    fn changes(&self) -> Changes {
        self.changes.clone().into_iter().collect::<Vec<_>>().into()
    }

    fn message(&self) -> &str {
        self.message.as_deref().unwrap_or("Change files")
    }

    fn branch(&self) -> Result<&str, Error> {
        self.branch.as_deref().ok_or_else(|| Error::Invalid("`branch` is required".to_owned()))
    }
}

/// What an owner sets on a repository; absent fields stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsInput {
    name: Option<String>,
    /// The organization it is handed to.
    owner: Option<String>,
    visibility: Option<String>,
    archived: Option<bool>,
    default_branch: Option<String>,
    topics: Option<Vec<String>>,
    /// Property to value; null takes it away.
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    /// Login to role; null takes it away.
    #[serde(default)]
    collaborators: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TeamInput {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppInput {
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<String>,
}

pub(super) fn act(hub: &Fakehub, arrived: &Arrived, method: &str, parts: &[&str]) -> Reply {
    let done = Answer::ok(json!({}));
    match (method, parts) {
        ("POST", ["commits"]) => {
            let input: CodeInput = read(arrived)?;
            let branch = match &input.branch {
                Some(branch) => branch.clone(),
                None => default_branch(hub, &input.organization, &input.repository)?,
            };
            let sha = hub.commit(
                &input.organization,
                &input.repository,
                &branch,
                &input.by,
                input.message(),
                input.changes(),
            )?;
            Ok(Answer::json(201, json!({ "sha": sha })))
        }
        ("POST", ["branches"]) => {
            let input: CodeInput = read(arrived)?;
            let (organization, repository) = (&input.organization, &input.repository);
            let branch = input.branch()?;
            match &input.commit {
                Some(commit) => {
                    let sha =
                        hub.set_branch(organization, repository, branch, &input.by, commit)?;
                    Ok(Answer::ok(json!({ "sha": sha })))
                }
                None => {
                    hub.delete_branch(organization, repository, branch, &input.by).map(|()| done)
                }
            }
        }
        ("POST", ["pulls"]) => {
            let input: CodeInput = read(arrived)?;
            let branch = input.branch()?.to_owned();
            let head = if input.fork { Head::Fork(branch) } else { Head::Branch(branch) };
            let pull = hub.open_pull_request(
                &input.organization,
                &input.repository,
                &input.by,
                head,
                input.title.as_deref().unwrap_or("Change files"),
                input.changes(),
            )?;
            Ok(Answer::json(201, json!({ "number": pull.number, "head_sha": pull.head_sha })))
        }
        ("POST", ["pulls", number]) => pull(hub, id_of(number)?, &read(arrived)?),
        ("POST", ["rerequest"]) => {
            let input: CodeInput = read(arrived)?;
            let (organization, repository) = (&input.organization, &input.repository);
            match (input.run, &input.commit) {
                (Some(run), None) => {
                    hub.rerequest_check(organization, repository, run, &input.by)?
                }
                (None, Some(commit)) => {
                    hub.rerequest_suite(organization, repository, commit, &input.by)?
                }
                _ => return Err(Error::Invalid("`run` or `commit`".to_owned())),
            }
            Ok(done)
        }
        ("PATCH", ["repositories", organization, name]) => {
            set(hub, organization, name, read(arrived)?).map(|()| done)
        }
        ("DELETE", ["repositories", organization, name]) => {
            hub.delete_repository(organization, name).map(|()| done)
        }
        ("PATCH", ["teams", organization, slug]) => {
            let input: TeamInput = read(arrived)?;
            hub.rename_team(organization, slug, &input.name).map(|()| done)
        }
        ("DELETE", ["teams", organization, slug]) => {
            hub.delete_team(organization, slug).map(|()| done)
        }
        ("PATCH", ["app"]) => {
            let input: AppInput = read(arrived)?;
            hub.change_app(input.permissions, input.events);
            Ok(done)
        }
        _ => Ok(*Answer::not_found()),
    }
}

fn pull(hub: &Fakehub, number: u64, input: &CodeInput) -> Reply {
    let (organization, repository) = (&input.organization, &input.repository);
    let by = &input.by;
    let sha = match input.action.as_deref() {
        Some("push") => Some(hub.push_to_pull_request(
            organization,
            repository,
            number,
            input.message(),
            input.changes(),
        )?),
        Some("merge") => Some(hub.merge_pull_request(organization, repository, number, by)?),
        Some("close") => {
            hub.close_pull_request(organization, repository, number, by)?;
            None
        }
        Some("reopen") => {
            hub.reopen_pull_request(organization, repository, number, by)?;
            None
        }
        Some("edit") => {
            let (title, base) = (input.title.as_deref(), input.base.as_deref());
            hub.edit_pull_request(organization, repository, number, by, title, base)?;
            None
        }
        _ => {
            return Err(Error::Invalid(
                "`action` is `push`, `merge`, `close`, `reopen` or `edit`".to_owned(),
            ));
        }
    };
    Ok(Answer::ok(json!({ "sha": sha })))
}

/// Sets the name and the owner last, so that the path stays true until then.
fn set(hub: &Fakehub, organization: &str, name: &str, input: SettingsInput) -> Result<(), Error> {
    if let Some(visibility) = &input.visibility {
        hub.set_visibility(organization, name, visibility_of(visibility)?)?;
    }
    if let Some(branch) = &input.default_branch {
        hub.set_default_branch(organization, name, branch)?;
    }
    if let Some(topics) = input.topics {
        hub.set_topics(organization, name, topics)?;
    }
    for (property, value) in input.properties {
        hub.set_property(organization, name, &property, (!value.is_null()).then_some(value))?;
    }
    for (login, role) in &input.collaborators {
        let access = role.as_deref().map(access_of).transpose()?;
        hub.set_collaborator(organization, name, login, access)?;
    }
    if let Some(archived) = input.archived {
        hub.archive(organization, name, archived)?;
    }
    if let Some(new) = &input.name {
        hub.rename_repository(organization, name, new)?;
    }
    if let Some(owner) = &input.owner {
        let name = input.name.as_deref().unwrap_or(name);
        hub.transfer_repository(organization, name, owner)?;
    }
    Ok(())
}

pub(super) fn visibility_of(word: &str) -> Result<Visibility, Error> {
    match word {
        "public" => Ok(Visibility::Public),
        "private" => Ok(Visibility::Private),
        "internal" => Ok(Visibility::Internal),
        _ => Err(Error::Invalid("`visibility` is `public`, `private` or `internal`".to_owned())),
    }
}

fn access_of(word: &str) -> Result<Access, Error> {
    let all = [Access::Read, Access::Triage, Access::Write, Access::Maintain, Access::Admin];
    let found = all.into_iter().find(|access| access.role_name() == word);
    found.ok_or_else(|| {
        Error::Invalid("a role is `read`, `triage`, `write`, `maintain` or `admin`".to_owned())
    })
}

fn default_branch(hub: &Fakehub, organization: &str, repository: &str) -> Result<String, Error> {
    hub.shared.with(|state| {
        let id = state.repository_id(organization, repository)?;
        Ok(state.repository_by_id(id)?.1.default_branch().to_owned())
    })
}

/// Every check run of `?repository=`, with all annotations.
pub(super) fn check_runs(hub: &Fakehub, arrived: &Arrived, organization: &str) -> Value {
    let repository = text(arrived, "repository").unwrap_or_default();
    hub.check_runs(organization, &repository).iter().map(check_run).collect()
}

fn check_run(run: &CheckRun) -> Value {
    let annotations: Vec<Value> = run
        .annotations
        .iter()
        .map(|one| {
            json!({
                "path": one.path,
                "start_line": one.start_line,
                "end_line": one.end_line,
                "start_column": one.start_column,
                "end_column": one.end_column,
                "annotation_level": one.level,
                "message": one.message,
                "title": one.title,
                "raw_details": one.raw_details,
            })
        })
        .collect();
    json!({
        "id": run.id,
        "name": run.name,
        "head_sha": run.head_sha,
        "status": run.status,
        "conclusion": run.conclusion,
        "external_id": run.external_id,
        "details_url": run.details_url,
        "title": run.title,
        "summary": run.summary,
        "text": run.text,
        "annotations": annotations,
        "actions": run.actions,
        "started_at": run.started_at.map(|at| at.to_string()),
        "completed_at": run.completed_at.map(|at| at.to_string()),
    })
}
