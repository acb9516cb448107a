//! The four endpoints of granted tokens.
//!
//! Source: <https://docs.github.com/rest/orgs/personal-access-tokens>.

use serde_json::{Value, json};

use super::listing::{self, Filter};
use super::orgs::{base_of, organization};
use crate::answer::{Answer, Reply};
use crate::config::StaleBulk;
use crate::context::Context;
use crate::later::Later;
use crate::render;
use crate::state::State;
use crate::tokens::Actor;

pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let organization_id = organization(state, context)?.id;
    state.book(organization_id);
    let state = &*state;
    let organization = organization(state, context)?;
    let book = state.books.get(&organization.id).ok_or_else(Answer::not_found)?;
    let filter = Filter::read(state, organization, context)?;
    let base = base_of(state, organization, "/personal-access-tokens");
    let now = state.now();
    listing::page_of(
        state,
        context,
        &book.grants,
        |token| book.grant_of.get(&token).copied(),
        &filter,
        &base,
        |row, token| {
            render::grant(row, token, state.world.users.get(&row.owner), now, &context.urls)
        },
    )
}

pub(crate) fn repositories(state: &mut State, context: &Context) -> Reply {
    let id = context.id("id")?;
    let organization = organization(state, context)?;
    let row = state.books.get(&organization.id).and_then(|book| book.grants.get(id));
    let row = row.ok_or_else(Answer::not_found)?;
    let base = base_of(state, organization, &format!("/personal-access-tokens/{id}/repositories"));
    listing::repositories(context, organization, &row.shape, &base)
}

fn is_revoke(context: &Context) -> Result<(), Box<Answer>> {
    match context.field("action").and_then(Value::as_str) {
        Some("revoke") => Ok(()),
        _ => Err(Answer::malformed("`action` is required and must be `revoke`.")),
    }
}

pub(crate) fn revoke(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?.id;
    let id = context.id("id")?;
    is_revoke(context)?;
    state.revoke(organization, id, Actor::App).map_err(|_| Answer::not_found())?;
    Ok(Answer::empty(204))
}

/// Answers at once, and revokes a while later.
pub(crate) fn revoke_many(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?.id;
    is_revoke(context)?;
    let ids = listing::ids(context, "pat_ids")?;
    let book = state.book(organization);
    let stale = ids.iter().any(|id| book.grants.get(*id).is_none());
    if stale && state.switches.stale_bulk == StaleBulk::FailsWhole {
        return Err(Answer::invalid(
            "PersonalAccessToken",
            "pat_ids",
            "invalid",
            "an id names no grant",
        ));
    }
    let taken = state.switches.bulk_takes_at_most.unwrap_or(ids.len());
    state.later(Later::new(move |state| {
        for id in ids.into_iter().take(taken) {
            // An id that went away in the meantime is nobody's error any more.
            let _ = state.revoke(organization, id, Actor::App);
        }
    }));
    Ok(Answer::json(202, json!({})))
}
