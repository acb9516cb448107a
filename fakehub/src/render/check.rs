//! Check runs, their annotations and check suites.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pull::pull_minimal;
use super::time::zulu;
use super::{Place, integration_simple};
use crate::app::App;
use crate::ids::node_id;
use crate::installations::Wishes;
use crate::world::git::mail;
use crate::world::{Annotation, CheckRun, Head, World};

/// The App that wrote a check.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) app: &'a App,
    pub(crate) wishes: &'a Wishes,
}

/// The schema `check-run`.
pub(crate) fn check_run(place: &Place<'_>, writer: Writer<'_>, run: &CheckRun) -> Value {
    let api = format!("{}/check-runs/{}", place.api(), run.id);
    let html = format!("{}/runs/{}", place.site(), run.id);
    let time = |at: Option<Timestamp>| at.map(|at| zulu(at.as_second()));
    json!({
        "id": run.id,
        "name": run.name,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id.clone().unwrap_or_default(),
        "url": api,
        "html_url": html,
        "details_url": run.details_url.clone().unwrap_or_else(|| format!("{}/external", place.urls.site)),
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": time(run.started_at),
        "completed_at": time(run.completed_at),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": run.annotations.len(),
            "annotations_url": format!("{api}/annotations"),
        },
        "check_suite": { "id": run.suite },
        "app": integration_simple(writer.app, writer.wishes, place.urls),
        "pull_requests": pulls_of(place, &run.head_sha),
    })
}

/// Open pull requests of a commit. GitHub shows none that come from a fork.
fn pulls_of(place: &Place<'_>, sha: &str) -> Vec<Value> {
    place
        .repository
        .pulls
        .values()
        .filter(|pull| pull.open && pull.head_sha == sha && matches!(pull.head, Head::Branch(_)))
        .map(|pull| pull_minimal(place, pull))
        .collect()
}

/// The schema `check-annotation`.
pub(crate) fn annotation(place: &Place<'_>, run: &CheckRun, one: &Annotation) -> Value {
    json!({
        "path": one.path,
        "start_line": one.start_line,
        "end_line": one.end_line,
        "start_column": one.start_column,
        "end_column": one.end_column,
        "annotation_level": one.level,
        "title": one.title,
        "message": one.message,
        "raw_details": one.raw_details,
        "blob_href": format!("{}/blob/{}/{}", place.site(), run.head_sha, one.path),
    })
}

/// `check_suite` of its own event: the App's checks of a commit. The branch is empty where the commit is of a fork.
pub(crate) fn check_suite(
    place: &Place<'_>,
    writer: Writer<'_>,
    world: &World,
    sha: &str,
    branch: &str,
) -> Option<Value> {
    let commit = place.repository.git.get(sha)?;
    let name = world.user(&commit.author).and_then(|user| user.name.clone());
    let person = json!({
        "name": name.unwrap_or_else(|| commit.author.clone()),
        "email": mail(&commit.author),
    });
    let count = place.repository.checks.values().filter(|run| run.head_sha == sha).count();
    let mut out = check_suite_of_run(place, writer, sha, branch)?;
    let fields = out.as_object_mut()?;
    let runs = format!("{}/check-runs", fields.get("url")?.as_str()?);
    if let Value::Object(more) = json!({
        "rerequestable": true,
        "runs_rerequestable": true,
        "latest_check_runs_count": count,
        "check_runs_url": runs,
        "head_commit": {
            "id": sha,
            "tree_id": commit.tree(),
            "message": commit.message,
            "timestamp": zulu(commit.at),
            "author": person,
            "committer": person,
        },
    }) {
        fields.extend(more);
    }
    Some(out)
}

/// The shorter form of a check suite, which the event of a run holds.
pub(crate) fn check_suite_of_run(
    place: &Place<'_>,
    writer: Writer<'_>,
    sha: &str,
    branch: &str,
) -> Option<Value> {
    let commit = place.repository.git.get(sha)?;
    let id = place.repository.suites.get(sha).copied().unwrap_or(1);
    let api = format!("{}/check-suites/{id}", place.api());
    let last = place.repository.checks.values().rev().find(|run| run.head_sha == sha);
    Some(json!({
        "id": id,
        "node_id": node_id("CheckSuite", id),
        "head_branch": (!branch.is_empty()).then_some(branch),
        "head_sha": sha,
        "status": last.map_or("queued", |run| run.status.as_str()),
        "conclusion": last.and_then(|run| run.conclusion.as_deref()),
        "url": api,
        "before": commit.parents.first(),
        "after": sha,
        "pull_requests": pulls_of(place, sha),
        "app": integration_simple(writer.app, writer.wishes, place.urls),
        "created_at": zulu(commit.at),
        "updated_at": zulu(commit.at),
    }))
}
