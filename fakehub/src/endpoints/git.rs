//! Refs, branches, commits, trees and blobs.
//!
//! Source: <https://docs.github.com/rest/git>, <https://docs.github.com/rest/commits/commits>.

use super::contents::{MOST, too_large};
use super::repos::place;
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render::{self, Place};
use crate::state::State;
use crate::world::git::Commit;

fn not_empty(place: &Place<'_>) -> Result<(), Box<Answer>> {
    match place.repository.git.is_empty() {
        true => Err(Box::new(Answer::error(409, "Git Repository is empty."))),
        false => Ok(()),
    }
}

/// The commit a path names by branch or sha. What names none is 422 here, not 404.
pub(super) fn named<'a>(place: &Place<'a>, name: &str) -> Result<&'a Commit, Box<Answer>> {
    not_empty(place)?;
    place.repository.commit(name).ok_or_else(|| no_commit(name))
}

pub(super) fn no_commit(name: &str) -> Box<Answer> {
    Box::new(Answer::error(422, &format!("No commit found for SHA: {name}")))
}

/// One ref, by its whole name without `refs/`.
pub(crate) fn reference(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    not_empty(&place)?;
    let name = context.param("ref");
    let known = name.starts_with("heads/") || name.starts_with("pull/");
    let commit = place.repository.commit(&format!("refs/{name}")).filter(|_| known);
    let commit = commit.ok_or_else(Answer::not_found)?;
    Ok(Answer::ok(render::git_ref(&place, name, &commit.sha)))
}

pub(crate) fn branch(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let name = context.param("branch");
    let tip = place.repository.git.tip(name);
    let tip = tip.ok_or_else(|| Box::new(Answer::error(404, "Branch not found")))?;
    Ok(Answer::ok(render::branch(&place, &state.world, name, tip)))
}

/// The rules of a branch, whether it is there or not.
///
/// Source: <https://docs.github.com/rest/repos/rules#get-rules-for-a-branch>.
pub(crate) fn branch_rules(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let is_default = context.param("branch") == place.repository.default_branch();
    let needed = place.repository.approvals.filter(|_| is_default);
    let rules: Vec<_> =
        needed.map(|needed| render::review_rule(&place, needed)).into_iter().collect();
    Ok(Answer::ok(rules.into()))
}

pub(crate) fn commit(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let commit = named(&place, context.param("ref"))?;
    if context.accept.contains("sha") {
        let text = commit.sha.clone();
        return Ok(Answer::raw(200, "application/vnd.github.sha; charset=utf-8", text));
    }
    Ok(Answer::ok(render::commit_with_files(&place, &state.world, commit)))
}

/// A tree by its sha, or by anything that names a commit. Any `recursive` goes all the way down, even `0`.
pub(crate) fn tree(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    not_empty(&place)?;
    let name = context.param("tree");
    let git = &place.repository.git;
    let (commit, folder) = match place.repository.commit(name) {
        Some(commit) => (commit, ""),
        None => git
            .tree(name)
            .map(|(commit, folder)| (commit.as_ref(), folder))
            .ok_or_else(Answer::not_found)?,
    };
    let recursive = context.query("recursive").is_some();
    Ok(Answer::ok(render::tree(&place, commit, folder, recursive)))
}

pub(crate) fn blob(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    not_empty(&place)?;
    let blob = place.repository.git.blob(context.param("sha")).ok_or_else(Answer::not_found)?;
    if blob.bytes.len() > MOST {
        return Err(too_large());
    }
    if context.accept.contains("raw") {
        return Ok(Answer::raw(
            200,
            "application/vnd.github.raw+json; charset=utf-8",
            blob.bytes.to_vec(),
        ));
    }
    Ok(Answer::ok(render::blob(&place, blob)))
}
