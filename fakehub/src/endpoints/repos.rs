//! Repositories, their custom properties and who may do what with them.
//!
//! Source: <https://docs.github.com/rest/repos>.

use serde_json::{Value, json};

use super::orgs::{base_of, organization, user};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render::{self, Place};
use crate::state::State;
use crate::world::{Repository, Visibility};

/// The repository a path names.
pub(super) fn place<'a>(state: &'a State, context: &'a Context) -> Result<Place<'a>, Box<Answer>> {
    let (owner, name) = (context.param("owner"), context.param("repo"));
    if let Some((organization, repository)) = state.world.repository_by_route(owner, name) {
        return Ok(Place { organization, repository, urls: &context.urls });
    }
    // A former name leads to the repository's number, which does not change.
    let (_, moved) = state.world.moved(owner, name).ok_or_else(Answer::not_found)?;
    let url =
        format!("{}/repositories/{}{}", context.urls.api, moved.id, context.rest_of_repository());
    let (status, message) = match context.writes {
        true => (307, "Temporary Redirect"),
        false => (301, "Moved Permanently"),
    };
    let body = json!({ "message": message, "url": url, "documentation_url": "https://docs.github.com/rest" });
    Err(Box::new(Answer::json(status, body).header("location", url)))
}

/// The path links of a repository's lists name: by number, as github.com does, or by name.
pub(super) fn base_of_repository(state: &State, place: &Place<'_>, rest: &str) -> String {
    if state.switches.numeric_links {
        format!("/repositories/{}{rest}", place.repository.id)
    } else {
        format!("/repos/{}{rest}", place.full_name())
    }
}

pub(crate) fn list(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let wanted = context.query("type").unwrap_or("all");
    let lets = |repository: &&Repository| match wanted {
        "public" => repository.visibility == Visibility::Public,
        "private" => repository.visibility != Visibility::Public,
        "forks" => repository.fork,
        "sources" => !repository.fork,
        _ => true,
    };
    let all: Vec<&Repository> = organization
        .repositories
        .values()
        .filter(|repository| context.sees(organization, repository))
        .filter(lets)
        .collect();
    let base = base_of(state, organization, "/repos");
    context.list_all(&base, &all, |repository| context.repository(repository, organization))
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    Ok(Answer::ok(render::full_repository(&place(state, context)?)))
}

pub(crate) fn property_schema(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let all: Vec<Value> = organization
        .properties
        .iter()
        .map(|definition| render::property_schema(definition, organization, &context.urls))
        .collect();
    Ok(Answer::ok(json!(all)))
}

/// `repository_query` understands words of a name, `repo:owner/name`, `visibility:` and `props.NAME:VALUE`.
pub(crate) fn org_property_values(state: &mut State, context: &Context) -> Reply {
    let organization = organization(state, context)?;
    let query = context.query("repository_query").unwrap_or_default().to_lowercase();
    let lets = |repository: &&Repository| {
        query.split_whitespace().all(|word| match word.split_once(':') {
            Some(("repo", full)) => {
                full == format!("{}/{}", organization.login, repository.name).to_lowercase()
            }
            Some(("visibility", visibility)) => visibility == repository.visibility.as_str(),
            Some((name, value)) => name
                .strip_prefix("props.")
                .is_some_and(|name| has_property(repository, name, value)),
            None => repository.name.to_lowercase().contains(word),
        })
    };
    let all: Vec<&Repository> = organization.repositories.values().filter(lets).collect();
    let base = base_of(state, organization, "/properties/values");
    context.list_all(&base, &all, |repository| {
        json!({
            "repository_id": repository.id,
            "repository_name": repository.name,
            "repository_full_name": format!("{}/{}", organization.login, repository.name),
            "properties": render::property_values(repository, organization),
        })
    })
}

fn has_property(repository: &Repository, name: &str, value: &str) -> bool {
    let same = |text: &str| text.eq_ignore_ascii_case(value);
    repository.properties.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).any(
        |(_, has)| match has {
            Value::String(text) => same(text),
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).any(same),
            _ => false,
        },
    )
}

pub(crate) fn property_values(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    Ok(Answer::ok(json!(render::property_values(place.repository, place.organization))))
}

/// What a user may do with a repository. Whoever exists has an answer, be it `none`.
pub(crate) fn collaborator_permission(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let user = user(state, context)?;
    let access = state.world.access(place.organization, place.repository, user.id);
    Ok(Answer::ok(render::collaborator_permission(user, access, &context.urls)))
}
