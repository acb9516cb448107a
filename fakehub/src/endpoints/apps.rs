//! The App, its installations and their tokens.
//!
//! Source: <https://docs.github.com/rest/apps/apps>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::orgs::organization;
use crate::answer::{Answer, Reply};
use crate::auth::AccessToken;
use crate::context::Context;
use crate::ids;
use crate::installations::Installation;
use crate::permissions::rank;
use crate::render::{self, time::zulu};
use crate::state::State;
use crate::world::Repository;

pub(crate) fn app(state: &mut State, context: &Context) -> Reply {
    Ok(Answer::ok(render::integration(
        &state.app,
        &state.wishes,
        state.installations.len(),
        &context.urls,
    )))
}

/// Once for each code, and within an hour of the click.
pub(crate) fn create_from_manifest(state: &mut State, context: &Context) -> Reply {
    if !state.converted(context.param("code")) {
        return Err(Answer::not_found());
    }
    let app = &state.app;
    let mut body = render::integration(app, &state.wishes, 0, &context.urls);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("client_secret".to_owned(), json!(hex::encode(ids::random::<20>())));
        fields.insert("webhook_secret".to_owned(), json!(app.webhook_secret));
        fields.insert("pem".to_owned(), json!(app.private_key_pem));
    }
    Ok(Answer::json(201, body))
}

fn rendered(state: &State, context: &Context, installation: &Installation) -> Option<Value> {
    let organization = state.world.organizations.get(&installation.organization)?;
    Some(render::installation(installation, organization, &state.app, &state.wishes, &context.urls))
}

/// `since` is honoured; `outdated` is accepted and changes nothing.
pub(crate) fn installations(state: &mut State, context: &Context) -> Reply {
    let since = match context.query("since") {
        None => None,
        Some(text) => Some(
            text.parse::<Timestamp>()
                .map_err(|_| Answer::malformed("`since` must be an ISO 8601 time."))?
                .as_second(),
        ),
    };
    let all: Vec<Value> = state
        .installations
        .values()
        .filter(|installation| since.is_none_or(|since| installation.updated_at >= since))
        .filter_map(|installation| rendered(state, context, installation))
        .collect();
    context.list_all("/app/installations", &all, Value::clone)
}

pub(crate) fn installation(state: &mut State, context: &Context) -> Reply {
    let known = state.installations.get(&context.id("id")?).ok_or_else(Answer::not_found)?;
    rendered(state, context, known).map(Answer::ok).ok_or_else(Answer::not_found)
}

pub(crate) fn org_installation(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?.id;
    let known = state.installation_of(organization).ok_or_else(Answer::not_found)?;
    rendered(state, context, known).map(Answer::ok).ok_or_else(Answer::not_found)
}

pub(crate) fn access_token(state: &mut State, context: &Context) -> Reply {
    let known =
        state.installations.get(&context.id("id")?).cloned().ok_or_else(Answer::not_found)?;
    if known.suspended_at.is_some() {
        return Err(Box::new(Answer::error(403, "This installation has been suspended")));
    }
    let permissions = match context.field("permissions") {
        None | Some(Value::Null) => known.permissions.clone(),
        Some(asked) => fewer(&known, asked)?,
    };
    let repositories = chosen(state, context, &known)?;
    let token = ids::installation_token(state.app.id);
    let expires_at = state.now().saturating_add(3_600);
    state
        .access_tokens
        .retain(|_, known| known.expires_at.saturating_add(3_600) > expires_at - 3_600);
    let entry = AccessToken {
        installation: known.id,
        expires_at,
        permissions: permissions.clone(),
        repositories: repositories.clone(),
    };
    state.access_tokens.insert(token.clone(), entry);
    let mut body = json!({
        "token": token,
        "expires_at": zulu(expires_at),
        "permissions": permissions,
        "repository_selection": if repositories.is_some() { "selected" } else { known.selection() },
    });
    if let (Some(ids), Some(organization), Some(fields)) =
        (repositories, state.world.organizations.get(&known.organization), body.as_object_mut())
    {
        let shown: Vec<Value> = ids
            .iter()
            .filter_map(|id| organization.repository_by_id(*id))
            .map(|repository| render::minimal_repository(repository, organization, &context.urls))
            .collect();
        fields.insert("repositories".to_owned(), json!(shown));
    }
    Ok(Answer::json(201, body))
}

/// A subset of what the installation has; asking for more is refused.
fn fewer(known: &Installation, asked: &Value) -> Result<BTreeMap<String, String>, Box<Answer>> {
    let asked =
        asked.as_object().ok_or_else(|| Answer::malformed("`permissions` must be an object."))?;
    let mut out = BTreeMap::new();
    for (name, level) in asked {
        let level = level
            .as_str()
            .ok_or_else(|| Answer::malformed("a permission's level must be a string."))?;
        let has = known.permissions.get(name).is_some_and(|has| rank(has) >= rank(level));
        if !has {
            return Err(Box::new(Answer::error(
                422,
                "The permissions requested are not granted to this installation.",
            )));
        }
        out.insert(name.clone(), level.to_owned());
    }
    // Reading metadata comes with every token.
    out.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    Ok(out)
}

fn chosen(
    state: &State,
    context: &Context,
    known: &Installation,
) -> Result<Option<Vec<u64>>, Box<Answer>> {
    let organization =
        state.world.organizations.get(&known.organization).ok_or_else(Answer::not_found)?;
    let refuse = || {
        Box::new(Answer::error(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        ))
    };
    let reached = |repository: Option<&Repository>| {
        let id = repository.map(|repository| repository.id).filter(|id| known.reaches(*id));
        id.ok_or_else(refuse)
    };
    let by_id = context.field("repository_ids").and_then(Value::as_array);
    let by_name = context.field("repositories").and_then(Value::as_array);
    let mut out = Vec::new();
    for id in by_id.into_iter().flatten() {
        let repository = id.as_u64().and_then(|id| organization.repository_by_id(id));
        out.push(reached(repository)?);
    }
    for name in by_name.into_iter().flatten() {
        let repository = name.as_str().and_then(|name| organization.repository(name));
        out.push(reached(repository)?);
    }
    if out.len() > 500 {
        return Err(Answer::malformed("at most 500 repositories."));
    }
    Ok((by_id.is_some() || by_name.is_some()).then_some(out))
}

/// What the installation was given; public repositories of the organization besides those do not count.
pub(crate) fn installation_repositories(state: &mut State, context: &Context) -> Reply {
    let caller = context.installation().ok_or_else(Answer::requires_authentication)?;
    let known = state.installations.get(&caller.id).ok_or_else(Answer::not_found)?;
    let organization =
        state.world.organizations.get(&known.organization).ok_or_else(Answer::not_found)?;
    let all: Vec<&Repository> =
        known.repositories(organization).filter(|one| caller.reaches(one.id)).collect();
    let page = context.page();
    let rows: Vec<Value> = all
        .iter()
        .skip(page.skip)
        .take(page.size)
        .map(|one| context.repository(one, organization))
        .collect();
    let body = json!({ "total_count": all.len(), "repository_selection": known.selection(), "repositories": rows });
    Ok(context.with_link("/installation/repositories", all.len(), Answer::ok(body)))
}
