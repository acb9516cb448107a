//! Teams and who is in them; members of child teams count.
//!
//! Source: <https://docs.github.com/rest/teams>.

use super::orgs::{base_of, organization, user};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render;
use crate::state::State;
use crate::world::{Organization, Team, TeamRole, User};

fn team<'a>(organization: &'a Organization, context: &Context) -> Result<&'a Team, Box<Answer>> {
    organization.teams.get(&context.param("team").to_lowercase()).ok_or_else(Answer::not_found)
}

pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let teams: Vec<&Team> = organization.teams.values().collect();
    let base = base_of(state, organization, "/teams");
    context.list_all(&base, &teams, |team| render::team(organization, team, &context.urls))
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    Ok(Answer::ok(render::team_full(organization, team(organization, context)?, &context.urls)))
}

pub(crate) fn members(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let team = team(organization, context)?;
    let role = match context.query("role") {
        None | Some("all") => None,
        Some("member") => Some(TeamRole::Member),
        Some("maintainer") => Some(TeamRole::Maintainer),
        Some(_) => return Err(Answer::malformed("`role` takes member, maintainer or all.")),
    };
    let users: Vec<&User> = organization
        .team_members(&team.slug)
        .iter()
        .filter(|(_, has)| role.is_none_or(|role| role == **has))
        .filter_map(|(id, _)| state.world.users.get(id))
        .collect();
    let base = base_of(state, organization, &format!("/teams/{}/members", team.slug));
    context.list_all(&base, &users, |user| render::simple_user(user, &context.urls))
}

pub(crate) fn membership(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let team = team(organization, context)?;
    let user = user(state, context)?;
    let role = organization
        .team_members(&team.slug)
        .get(&user.id)
        .copied()
        .ok_or_else(Answer::not_found)?;
    Ok(Answer::ok(render::team_membership(organization, team, user, role, &context.urls)))
}
