//! Pull requests and the files they touch.
//!
//! Source: <https://docs.github.com/rest/pulls/pulls>.

use super::repos::{base_of_repository, place};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render::{self, Place};
use crate::state::State;
use crate::world::{Head, PullRequest};

/// How many files of a pull request are listed.
const MOST_FILES: usize = 3_000;

fn pull<'a>(place: &Place<'a>, context: &Context) -> Result<&'a PullRequest, Box<Answer>> {
    place.repository.pulls.get(&context.id("number")?).ok_or_else(Answer::not_found)
}

pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let wrong = |field: &str| Answer::invalid("PullRequest", field, "invalid", "not a known value");
    let open = match context.query("state") {
        None | Some("open") => Some(true),
        Some("closed") => Some(false),
        Some("all") => None,
        Some(_) => return Err(wrong("state")),
    };
    // GitHub ignores a head that does not name its owner.
    let head = context.query("head").and_then(|head| head.split_once(':'));
    let base = context.query("base");
    let mut all: Vec<&PullRequest> = place
        .repository
        .pulls
        .values()
        .filter(|pull| open.is_none_or(|open| open == pull.open))
        .filter(|pull| base.is_none_or(|base| base == pull.base))
        .filter(|pull| head.is_none_or(|(owner, branch)| is_head(&place, pull, owner, branch)))
        .collect();
    match context.query("sort") {
        None | Some("created") => {}
        Some("updated") => all.sort_by_key(|pull| pull.updated_at),
        // Nobody comments here.
        Some("popularity" | "long-running") => {}
        Some(_) => return Err(wrong("sort")),
    }
    // The newest first, unless sorted by something else without a direction.
    let ascending = match context.query("direction") {
        None => !matches!(context.query("sort"), None | Some("created")),
        Some("asc") => true,
        Some("desc") => false,
        Some(_) => return Err(wrong("direction")),
    };
    if !ascending {
        all.reverse();
    }
    let base = base_of_repository(state, &place, "/pulls");
    context.list_all(&base, &all, |pull| render::pull_simple(&place, &state.world, pull))
}

fn is_head(place: &Place<'_>, pull: &PullRequest, owner: &str, branch: &str) -> bool {
    let of = match &pull.head {
        Head::Branch(_) => &place.organization.login,
        Head::Fork(_) => &pull.author,
    };
    of.eq_ignore_ascii_case(owner) && pull.head.branch() == branch
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    Ok(Answer::ok(render::pull_full(&place, &state.world, pull(&place, context)?)))
}

pub(crate) fn files(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let pull = pull(&place, context)?;
    let mut all = place.repository.changed_by(pull);
    all.truncate(MOST_FILES);
    let base = base_of_repository(state, &place, &format!("/pulls/{}/files", pull.number));
    context.list_all(&base, &all, |change| render::diff_entry(&place, change, &pull.head_sha))
}
