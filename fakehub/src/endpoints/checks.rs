//! Check runs: written, changed, read. What a call must bring is in `input`.
//!
//! Source: <https://docs.github.com/rest/checks/runs>.

mod input;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::git::{named, no_commit};
use super::repos::{base_of_repository, place};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::ids::next;
use crate::render::{self, Place, Writer};
use crate::state::State;
use crate::world::CheckRun;
use input::Input;

/// Archived repositories take nothing in.
fn writable<'a>(state: &'a State, context: &'a Context) -> Result<Place<'a>, Box<Answer>> {
    let place = place(state, context)?;
    match place.repository.archived {
        true => Err(Box::new(Answer::error(403, "Repository was archived so is read-only."))),
        false => Ok(place),
    }
}

fn run<'a>(place: &Place<'a>, context: &Context) -> Result<&'a CheckRun, Box<Answer>> {
    place.repository.checks.get(&context.id("id")?).ok_or_else(Answer::not_found)
}

fn rendered(state: &State, place: &Place<'_>, run: &CheckRun) -> Value {
    render::check_run(place, Writer { app: &state.app, wishes: &state.wishes }, run)
}

/// Keeps a run, tells who listens, and answers with it.
fn put(state: &mut State, context: &Context, status: u16, run: CheckRun, before: &str) -> Reply {
    let (organization, repository) = {
        let place = place(state, context)?;
        (place.organization.id, place.repository.id)
    };
    let (id, sha, suite) = (run.id, run.head_sha.clone(), run.suite);
    let done = run.status == "completed" && before != "completed";
    let known = state.world.organizations.get_mut(&organization);
    if let Some(known) = known.and_then(|known| known.repository_by_id_mut(repository)) {
        known.suites.insert(sha, suite);
        known.checks.insert(id, run);
    }
    if status == 201 {
        state.announce_check_run("created", repository, id, None);
    }
    if done {
        state.announce_check_run("completed", repository, id, None);
    }
    let place = place(state, context)?;
    let run = place.repository.checks.get(&id).ok_or_else(Answer::not_found)?;
    Ok(Answer::json(status, rendered(state, &place, run)))
}

pub(crate) fn create(state: &mut State, context: &Context) -> Reply {
    let now = state.clock.now();
    let place = writable(state, context)?;
    let input = Input::read(context, true)?;
    let sha = input.head_sha.clone().unwrap_or_default();
    let sha = place.repository.git.get(&sha).map(|commit| commit.sha.clone());
    let sha = sha.ok_or_else(|| no_commit(input.head_sha.as_deref().unwrap_or_default()))?;
    let suite = place.repository.suites.get(&sha).copied();
    let suite = suite.unwrap_or_else(|| next(&mut state.world.counters.check_suite));
    let mut run = CheckRun {
        id: next(&mut state.world.counters.check_run),
        name: String::new(),
        head_sha: sha,
        status: "queued".to_owned(),
        conclusion: None,
        external_id: None,
        details_url: None,
        title: None,
        summary: None,
        text: None,
        annotations: Vec::new(),
        actions: Vec::new(),
        started_at: Some(now),
        completed_at: None,
        suite,
    };
    input.put_in(&mut run, now);
    put(state, context, 201, run, "")
}

pub(crate) fn update(state: &mut State, context: &Context) -> Reply {
    let now = state.clock.now();
    let place = writable(state, context)?;
    let mut run = run(&place, context)?.clone();
    let before = run.status.clone();
    Input::read(context, false)?.put_in(&mut run, now);
    put(state, context, 200, run, &before)
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    Ok(Answer::ok(rendered(state, &place, run(&place, context)?)))
}

pub(crate) fn annotations(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let run = run(&place, context)?;
    let base = base_of_repository(state, &place, &format!("/check-runs/{}/annotations", run.id));
    context.list_all(&base, &run.annotations, |one| render::annotation(&place, run, one))
}

/// The runs of a commit, the newest first; of several with one name only the newest, unless `filter=all`.
pub(crate) fn list_for_ref(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let commit = named(&place, context.param("ref"))?;
    let of_app = |id: &str| id == state.app.id.to_string();
    if !context.query("app_id").is_none_or(of_app) {
        return Ok(Answer::ok(json!({ "total_count": 0, "check_runs": [] })));
    }
    let mut newest = BTreeMap::new();
    for run in place.repository.checks.values().filter(|run| run.head_sha == commit.sha) {
        newest.insert(run.name.as_str(), run.id);
    }
    let all = match context.query("filter") {
        None | Some("latest") => false,
        Some("all") => true,
        Some(_) => return Err(Answer::malformed("`filter` takes latest or all.")),
    };
    let runs: Vec<&CheckRun> = place
        .repository
        .checks
        .values()
        .rev()
        .filter(|run| run.head_sha == commit.sha)
        .filter(|run| all || newest.get(run.name.as_str()) == Some(&run.id))
        .filter(|run| context.query("check_name").is_none_or(|name| name == run.name))
        .filter(|run| context.query("status").is_none_or(|status| status == run.status))
        .collect();
    let page = context.page();
    let rows: Vec<Value> = runs
        .iter()
        .skip(page.skip)
        .take(page.size)
        .map(|run| rendered(state, &place, run))
        .collect();
    let base =
        base_of_repository(state, &place, &format!("/commits/{}/check-runs", context.param("ref")));
    let answer = Answer::ok(json!({ "total_count": runs.len(), "check_runs": rows }));
    Ok(context.with_link(&base, runs.len(), answer))
}
