//! The four endpoints of pending requests.
//!
//! Source: <https://docs.github.com/rest/orgs/personal-access-tokens>.

use serde_json::{Value, json};

use super::listing::{self, Filter};
use super::orgs::{base_of, organization};
use crate::answer::{Answer, Reply};
use crate::clock::timestamp;
use crate::config::{SettledReview, StaleBulk};
use crate::context::Context;
use crate::error::Error;
use crate::later::Later;
use crate::lifecycle::Decision;
use crate::render;
use crate::state::State;
use crate::tokens::{Actor, Effect, ReviewCall};

pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let organization_id = organization(state, context)?.id;
    state.book(organization_id);
    let state = &*state;
    let organization = organization(state, context)?;
    let book = state.books.get(&organization.id).ok_or_else(Answer::not_found)?;
    let filter = Filter::read(state, organization, context)?;
    let base = base_of(state, organization, "/personal-access-token-requests");
    let now = state.now();
    listing::page_of(
        state,
        context,
        &book.requests,
        |token| book.request_of.get(&token).copied(),
        &filter,
        &base,
        |row, token| {
            render::request(row, token, state.world.users.get(&row.owner), now, &context.urls)
        },
    )
}

pub(crate) fn repositories(state: &mut State, context: &Context) -> Reply {
    let id = context.id("id")?;
    let organization = organization(state, context)?;
    let row = state.books.get(&organization.id).and_then(|book| book.requests.get(id));
    let row = row.ok_or_else(Answer::not_found)?;
    let base =
        base_of(state, organization, &format!("/personal-access-token-requests/{id}/repositories"));
    listing::repositories(context, organization, &row.shape, &base)
}

/// `action` and `reason` of both reviews.
fn decision(context: &Context) -> Result<(Decision, String, Option<String>), Box<Answer>> {
    let action = context.field("action").and_then(Value::as_str);
    let decision = match action {
        Some("approve") => Decision::Approve,
        Some("deny") => Decision::Deny,
        _ => {
            return Err(Answer::malformed("`action` is required and must be `approve` or `deny`."));
        }
    };
    let reason = match context.field("reason") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.chars().count() <= 1_024 => Some(text.clone()),
        Some(Value::String(_)) => {
            return Err(Answer::malformed(
                "`reason` is too long (the maximum is 1024 characters).",
            ));
        }
        Some(_) => return Err(Answer::malformed("`reason` must be a string or null.")),
    };
    Ok((decision, action.unwrap_or_default().to_owned(), reason))
}

pub(crate) fn review(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?.id;
    let id = context.id("id")?;
    let (decision, action, reason) = decision(context)?;
    let installation = context.installation().map_or(0, |caller| caller.id);
    let effect = settle(state, organization, id, decision, reason.clone());
    state.reviews.push(ReviewCall {
        request_id: id,
        action,
        reason,
        bulk: false,
        installation,
        at: timestamp(state.now()),
        effect,
    });
    match (effect, state.switches.settled_review) {
        (Effect::Applied, _) => Ok(Answer::empty(204)),
        (_, SettledReview::NotFound) => Err(Answer::not_found()),
        (_, SettledReview::Unprocessable) => Err(Answer::invalid(
            "PersonalAccessTokenRequest",
            "pat_request_id",
            "invalid",
            "the request is not pending",
        )),
    }
}

fn settle(
    state: &mut State,
    organization: u64,
    id: u64,
    decision: Decision,
    reason: Option<String>,
) -> Effect {
    match state.settle(organization, id, decision, &Actor::App, reason) {
        Ok(_) => Effect::Applied,
        Err(Error::AlreadySettled(_)) => Effect::AlreadySettled,
        Err(_) => Effect::Unknown,
    }
}

/// Answers at once, and settles a while later.
pub(crate) fn review_many(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?.id;
    let (decision, action, reason) = decision(context)?;
    let ids = listing::ids(context, "pat_request_ids")?;
    let installation = context.installation().map_or(0, |caller| caller.id);
    let book = state.book(organization);
    let stale = ids.iter().any(|id| book.requests.get(*id).is_none());
    if stale && state.switches.stale_bulk == StaleBulk::FailsWhole {
        return Err(Answer::invalid(
            "PersonalAccessTokenRequest",
            "pat_request_ids",
            "invalid",
            "an id names no pending request",
        ));
    }
    let taken = state.switches.bulk_takes_at_most.unwrap_or(ids.len());
    state.later(Later::new(move |state| {
        for id in ids.into_iter().take(taken) {
            let effect = settle(state, organization, id, decision, reason.clone());
            let call = ReviewCall {
                request_id: id,
                action: action.clone(),
                reason: reason.clone(),
                bulk: true,
                installation,
                at: timestamp(state.now()),
                effect,
            };
            state.reviews.push(call);
        }
    }));
    Ok(Answer::json(202, json!({})))
}
