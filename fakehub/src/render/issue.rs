//! Issues and their comments.

use serde_json::{Value, json};

use super::time::zulu;
use super::user::{bot, ghost, plain_gravatars, simple_user};
use super::{Place, Urls, Writer, integration_simple};
use crate::app::App;
use crate::ids::node_id;
use crate::world::{Author, Issue, IssueComment, Role, World};

/// The user and the App that stand for an author: `user` and `performed_via_github_app`.
fn writer_of(
    place: &Place<'_>,
    world: &World,
    writer: Writer<'_>,
    author: &Author,
) -> (Value, Value) {
    let urls = place.urls;
    match author {
        Author::App => (bot(writer.app, urls), integration_simple(writer.app, writer.wishes, urls)),
        Author::OtherApp(slug) => {
            let app = other(writer.app, slug);
            (bot(&app, urls), integration_simple(&app, writer.wishes, urls))
        }
        Author::Person { id, through, .. } => {
            let user =
                world.users.get(id).map_or_else(|| ghost(urls), |user| simple_user(user, urls));
            let via = through.as_ref().map_or(Value::Null, |slug| {
                let app = if *slug == writer.app.slug {
                    writer.app.clone()
                } else {
                    other(writer.app, slug)
                };
                integration_simple(&app, writer.wishes, urls)
            });
            (user, via)
        }
    }
}

/// The bot of another App than ours.
pub(crate) fn other_bot(app: &App, slug: &str, urls: &Urls) -> Value {
    bot(&other(app, slug), urls)
}

/// An App of which nothing is known but its slug; its id is made of that.
fn other(app: &App, slug: &str) -> App {
    let id = slug.bytes().fold(900_000_u64, |id, byte| {
        id.wrapping_mul(31).wrapping_add(u64::from(byte)) % 9_000_000
    });
    App {
        id: id.saturating_add(1_000_000),
        client_id: format!("Iv23{slug}"),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        ..app.clone()
    }
}

/// The schema `issue`.
pub(crate) fn issue(place: &Place<'_>, world: &World, writer: Writer<'_>, issue: &Issue) -> Value {
    let kind = if issue.pull { "pull" } else { "issues" };
    let api = format!("{}/issues/{}", place.api(), issue.number);
    let html = format!("{}/{kind}/{}", place.site(), issue.number);
    let (user, via) = writer_of(place, world, writer, &issue.author);
    let users = issue.assignees.iter().filter_map(|login| world.user(login));
    let assignees: Vec<Value> = users.map(|user| simple_user(user, place.urls)).collect();
    let closed_by = issue.closed_by.as_ref().map(|by| writer_of(place, world, writer, by).0);
    let mut out = json!({
        "id": issue.id,
        "node_id": node_id("Issue", issue.id),
        "url": api,
        "repository_url": place.api(),
        "labels_url": format!("{api}/labels{{/name}}"),
        "comments_url": format!("{api}/comments"),
        "events_url": format!("{api}/events"),
        "timeline_url": format!("{api}/timeline"),
        "html_url": html,
        "number": issue.number,
        "state": if issue.open { "open" } else { "closed" },
        "state_reason": issue.state_reason,
        "title": issue.title,
        "body": issue.body,
        "user": user,
        "labels": issue.labels.iter().map(|name| label(place, name)).collect::<Vec<Value>>(),
        "assignee": assignees.first(),
        "assignees": assignees,
        "milestone": null,
        "locked": issue.locked,
        "active_lock_reason": null,
        "comments": issue.comments.len(),
        "closed_at": issue.closed_at.map(zulu),
        "closed_by": closed_by,
        "created_at": zulu(issue.created_at),
        "updated_at": zulu(issue.updated_at),
        "author_association": association(place, &issue.author),
        "performed_via_github_app": via,
        "reactions": reactions(&api),
    });
    if issue.pull
        && let Some(fields) = out.as_object_mut()
    {
        let links = json!({
            "url": format!("{}/pulls/{}", place.api(), issue.number),
            "html_url": html,
            "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"),
        });
        fields.insert("pull_request".to_owned(), links);
    }
    out
}

/// An issue as events show it: without who closed it, and with users without null.
pub(crate) fn issue_webhook(
    place: &Place<'_>,
    world: &World,
    writer: Writer<'_>,
    one: &Issue,
) -> Value {
    let mut out = issue(place, world, writer, one);
    plain_gravatars(&mut out);
    if let Some(fields) = out.as_object_mut() {
        fields.remove("closed_by");
        if let Some(app) = fields.get_mut("performed_via_github_app").and_then(Value::as_object_mut)
        {
            app.remove("client_id");
        }
    }
    out
}

/// The schema `issue-comment`.
pub(crate) fn issue_comment(
    place: &Place<'_>,
    world: &World,
    writer: Writer<'_>,
    number: u64,
    comment: &IssueComment,
) -> Value {
    let id = comment.id;
    let api = format!("{}/issues/comments/{id}", place.api());
    let (user, via) = writer_of(place, world, writer, &comment.author);
    json!({
        "id": id,
        "node_id": node_id("IssueComment", id),
        "url": api,
        "html_url": format!("{}/issues/{number}#issuecomment-{id}", place.site()),
        "issue_url": format!("{}/issues/{number}", place.api()),
        "body": comment.body,
        "user": user,
        "created_at": zulu(comment.created_at),
        "updated_at": zulu(comment.updated_at),
        "author_association": association(place, &comment.author),
        "performed_via_github_app": via,
        "reactions": reactions(&api),
    })
}

fn label(place: &Place<'_>, name: &str) -> Value {
    let id = name
        .bytes()
        .fold(7_u64, |id, byte| id.wrapping_mul(31).wrapping_add(u64::from(byte)) % 1_000_000_000);
    json!({
        "id": id,
        "node_id": node_id("Label", id),
        "url": format!("{}/labels/{}", place.api(), name.replace(' ', "%20")),
        "name": name,
        "color": "ededed",
        "default": false,
        "description": null,
    })
}

fn reactions(api: &str) -> Value {
    json!({
        "url": format!("{api}/reactions"),
        "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    })
}

fn association(place: &Place<'_>, author: &Author) -> &'static str {
    let Author::Person { id, .. } = author else {
        return "NONE";
    };
    match place.organization.members.get(id) {
        Some(Role::Admin | Role::Member) => "MEMBER",
        None if place.repository.collaborators.contains_key(id) => "COLLABORATOR",
        None => "NONE",
    }
}
