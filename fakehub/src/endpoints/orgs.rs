//! Organizations, their members and memberships.
//!
//! Source: <https://docs.github.com/rest/orgs/members>.

use serde_json::json;

use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render;
use crate::state::State;
use crate::world::{Organization, Role, User};

/// The organization a path names.
pub(crate) fn organization<'a>(
    state: &'a State,
    context: &Context,
) -> Result<&'a Organization, Box<Answer>> {
    state.world.organization_by_route(context.param("org")).ok_or_else(Answer::not_found)
}

/// The user a path names.
pub(crate) fn user<'a>(state: &'a State, context: &Context) -> Result<&'a User, Box<Answer>> {
    state.world.user(context.param("user")).ok_or_else(Answer::not_found)
}

/// The path links of a list name: by the organization's number, as github.com does, or by its login.
pub(crate) fn base_of(state: &State, organization: &Organization, rest: &str) -> String {
    if state.switches.numeric_links {
        format!("/organizations/{}{rest}", organization.id)
    } else {
        format!("/orgs/{}{rest}", organization.login)
    }
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    Ok(Answer::ok(render::organization_full(organization(state, context)?, &context.urls)))
}

pub(crate) fn members(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let role = match context.query("role") {
        None | Some("all") => None,
        Some("admin") => Some(Role::Admin),
        Some("member") => Some(Role::Member),
        Some(_) => return Err(Answer::malformed("`role` takes all, admin or member.")),
    };
    match context.query("filter") {
        None | Some("all") => {}
        // Nobody here is without two-factor authentication.
        Some("2fa_disabled" | "2fa_insecure") => return Ok(Answer::ok(json!([]))),
        Some(_) => {
            return Err(Answer::malformed("`filter` takes 2fa_disabled, 2fa_insecure or all."));
        }
    }
    let mut users: Vec<&User> = organization
        .members
        .iter()
        .filter(|(_, has)| role.is_none_or(|role| role == **has))
        .filter_map(|(id, _)| state.world.users.get(id))
        .collect();
    users.sort_by_key(|user| user.id);
    let base = base_of(state, organization, "/members");
    context.list_all(&base, &users, |user| render::simple_user(user, &context.urls))
}

pub(crate) fn is_member(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let user = user(state, context)?;
    if organization.members.contains_key(&user.id) {
        Ok(Answer::empty(204))
    } else {
        Err(Answer::not_found())
    }
}

pub(crate) fn membership(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let user = user(state, context)?;
    let (role, state) = match organization.members.get(&user.id) {
        Some(Role::Admin) => ("admin", "active"),
        Some(Role::Member) => ("member", "active"),
        None if organization.invited.contains(&user.id) => ("member", "pending"),
        None if organization.billing_managers.contains(&user.id) => ("billing_manager", "active"),
        None => return Err(Answer::not_found()),
    };
    Ok(Answer::ok(render::membership(organization, user, role, state, &context.urls)))
}
