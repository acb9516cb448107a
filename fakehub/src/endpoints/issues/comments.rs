//! Comments of issues.
//!
//! Source: <https://docs.github.com/rest/issues/comments>.

use super::{LONGEST_BODY, issue, refused, since, text, writable, writer};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::endpoints::repos::{base_of_repository, place};
use crate::render;
use crate::state::State;
use crate::world::{Author, IssueComment};

fn body(context: &Context) -> Result<String, Box<Answer>> {
    let body = text(context, "IssueComment", "body", LONGEST_BODY)?;
    let body = body.ok_or_else(|| Answer::malformed("\"body\" wasn't supplied."))?;
    match body.trim().is_empty() {
        true => {
            Err(Answer::invalid("IssueComment", "body", "missing_field", "body can't be blank"))
        }
        false => Ok(body),
    }
}

fn shown(state: &State, context: &Context, status: u16, id: u64) -> Reply {
    let place = place(state, context)?;
    let issues = &place.repository.issues;
    let (number, at) = issues.of_comment(id).ok_or_else(Answer::not_found)?;
    let comment = issues.known.get(&number).and_then(|issue| issue.comments.get(at));
    let comment = comment.ok_or_else(Answer::not_found)?;
    let body = render::issue_comment(&place, &state.world, writer(state), number, comment);
    Ok(Answer::json(status, body))
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    shown(state, context, 200, context.id("id")?)
}

pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let issue = issue(&place, context)?;
    let since = since(context)?;
    let all: Vec<&IssueComment> = issue
        .comments
        .iter()
        .filter(|comment| since.is_none_or(|since| comment.updated_at >= since))
        .collect();
    let base = base_of_repository(state, &place, &format!("/issues/{}/comments", issue.number));
    let writer = writer(state);
    context.list_all(&base, &all, |comment| {
        render::issue_comment(&place, &state.world, writer, issue.number, comment)
    })
}

pub(crate) fn create(state: &mut State, context: &Context) -> Reply {
    let place = writable(state, context)?;
    let issue = issue(&place, context)?;
    if issue.locked {
        let why = "Unable to create comment because issue is locked.";
        return Err(Box::new(Answer::error(403, why)));
    }
    let (repository, number) = (place.repository.id, issue.number);
    let id =
        state.add_comment(repository, number, Author::App, &body(context)?).map_err(refused)?.id;
    shown(state, context, 201, id)
}

pub(crate) fn update(state: &mut State, context: &Context) -> Reply {
    let repository = writable(state, context)?.repository.id;
    let id = context.id("id")?;
    state.edit_comment(repository, id, &Author::App, &body(context)?).map_err(refused)?;
    shown(state, context, 200, id)
}

pub(crate) fn delete(state: &mut State, context: &Context) -> Reply {
    let repository = writable(state, context)?.repository.id;
    state.delete_comment(repository, context.id("id")?, &Author::App).map_err(refused)?;
    Ok(Answer::empty(204))
}
