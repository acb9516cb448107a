//! The control API's part for issues: what people and other Apps do on them, and what stands there.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Reply, id_of, read, text};
use crate::answer::Answer;
use crate::error::Error;
use crate::gate::Arrived;
use crate::hub::Fakehub;
use crate::world::{Author, Issue, IssueComment};

fn acme() -> String {
    "acme".to_owned()
}

/// What is done to an issue or a comment; which fields matter depends on the route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueInput {
    #[serde(default = "acme")]
    organization: String,
    repository: String,
    /// A person; nobody where an App's bot comments.
    by: Option<String>,
    /// The slug of another App.
    app: Option<String>,
    /// `comment`, `edit`, `close`, `reopen`, `lock`, `unlock`, `transfer` or `delete`.
    action: Option<String>,
    title: Option<String>,
    body: Option<String>,
    /// The repository it is moved to.
    to: Option<String>,
}

impl IssueInput {
    fn by(&self) -> Result<&str, Error> {
        self.by.as_deref().ok_or_else(|| Error::Invalid("`by` is required".to_owned()))
    }

    fn body(&self) -> Result<&str, Error> {
        self.body.as_deref().ok_or_else(|| Error::Invalid("`body` is required".to_owned()))
    }
}

pub(super) fn act(hub: &Fakehub, arrived: &Arrived, method: &str, parts: &[&str]) -> Reply {
    let done = Answer::ok(json!({}));
    match (method, parts) {
        ("POST", ["issues"]) => {
            let input: IssueInput = read(arrived)?;
            let number = hub.open_issue(
                &input.organization,
                &input.repository,
                input.by()?,
                input.title.as_deref().unwrap_or("A question"),
                input.body.as_deref().unwrap_or_default(),
            )?;
            Ok(Answer::json(201, json!({ "number": number })))
        }
        ("POST", ["issues", number]) => change(hub, id_of(number)?, &read(arrived)?),
        ("PATCH", ["comments", id]) => {
            let input: IssueInput = read(arrived)?;
            let (organization, repository) = (&input.organization, &input.repository);
            let (by, body) = (input.by()?, input.body()?);
            hub.edit_comment(organization, repository, id_of(id)?, by, body).map(|()| done)
        }
        ("DELETE", ["comments", id]) => {
            let input: IssueInput = read(arrived)?;
            let (organization, repository) = (&input.organization, &input.repository);
            hub.delete_comment(organization, repository, id_of(id)?, input.by()?).map(|()| done)
        }
        _ => Ok(*Answer::not_found()),
    }
}

fn change(hub: &Fakehub, number: u64, input: &IssueInput) -> Reply {
    let (organization, repository) = (&input.organization, &input.repository);
    let done = || Answer::ok(json!({}));
    match input.action.as_deref() {
        Some("comment") => {
            let body = input.body()?;
            let comment = match &input.app {
                Some(app) => hub.comment_through_app(
                    organization,
                    repository,
                    number,
                    app,
                    input.by.as_deref(),
                    body,
                )?,
                None => hub.comment(organization, repository, number, input.by()?, body)?,
            };
            Ok(Answer::json(201, json!({ "id": comment.id })))
        }
        Some("edit") => {
            let (title, body) = (input.title.as_deref(), input.body.as_deref());
            hub.edit_issue(organization, repository, number, input.by()?, title, body)
                .map(|()| done())
        }
        Some("close") => {
            hub.close_issue(organization, repository, number, input.by()?).map(|()| done())
        }
        Some("reopen") => {
            hub.reopen_issue(organization, repository, number, input.by()?).map(|()| done())
        }
        Some(action @ ("lock" | "unlock")) => {
            let locked = action == "lock";
            hub.lock_issue(organization, repository, number, input.by()?, locked).map(|()| done())
        }
        Some("transfer") => {
            let to = input.to.as_deref();
            let to = to.ok_or_else(|| Error::Invalid("`to` is required".to_owned()))?;
            let number = hub.transfer_issue(organization, repository, number, input.by()?, to)?;
            Ok(Answer::ok(json!({ "number": number })))
        }
        Some("delete") => {
            hub.delete_issue(organization, repository, number, input.by()?).map(|()| done())
        }
        _ => Err(Error::Invalid(
            "`action` is `comment`, `edit`, `close`, `reopen`, `lock`, `unlock`, `transfer` or `delete`"
                .to_owned(),
        )),
    }
}

/// Every issue of `?repository=`, with all comments.
pub(super) fn all(hub: &Fakehub, arrived: &Arrived, organization: &str) -> Value {
    let repository = text(arrived, "repository").unwrap_or_default();
    hub.issues(organization, &repository).iter().map(issue).collect()
}

fn issue(issue: &Issue) -> Value {
    json!({
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "author": author(&issue.author),
        "state": if issue.open { "open" } else { "closed" },
        "state_reason": issue.state_reason,
        "locked": issue.locked,
        "labels": issue.labels,
        "assignees": issue.assignees,
        "comments": issue.comments.iter().map(comment).collect::<Vec<Value>>(),
    })
}

fn comment(comment: &IssueComment) -> Value {
    json!({ "id": comment.id, "author": author(&comment.author), "body": comment.body })
}

fn author(author: &Author) -> Value {
    match author {
        Author::App => json!("app"),
        Author::OtherApp(slug) => json!(format!("app:{slug}")),
        Author::Person { login, .. } => json!(format!("person:{login}")),
    }
}
