//! Repositories, their custom properties and the files in them.
//!
//! Source: <https://docs.github.com/rest/repos>.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::orgs::{base_of, organization};
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render;
use crate::state::State;
use crate::world::{Organization, Repository, Visibility};

fn repository<'a>(
    state: &'a State,
    context: &Context,
) -> Result<(&'a Organization, &'a Repository), Box<Answer>> {
    let (owner, name) = (context.param("owner"), context.param("repo"));
    if let Some(found) = state.world.repository_by_route(owner, name) {
        return Ok(found);
    }
    // A former name leads to the repository's number, which does not change.
    let id =
        state.world.organization(owner).and_then(|organization| organization.former_name(name));
    let id = id.ok_or_else(Answer::not_found)?;
    let url = format!("{}/repositories/{id}{}", context.urls.api, context.rest_of_repository());
    let body = json!({ "message": "Moved Permanently", "url": url, "documentation_url": "https://docs.github.com/rest" });
    Err(Box::new(Answer::json(301, body).header("location", url)))
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
    let all: Vec<&Repository> = organization.repositories.values().filter(lets).collect();
    let base = base_of(state, organization, "/repos");
    context.list_all(&base, &all, |repository| context.repository(repository, organization))
}

pub(crate) fn get(state: &mut State, context: &Context) -> Reply {
    let (organization, repository) = repository(state, context)?;
    Ok(Answer::ok(render::full_repository(repository, organization, &context.urls)))
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
    let (organization, repository) = repository(state, context)?;
    Ok(Answer::ok(json!(render::property_values(repository, organization))))
}

/// A file of the default branch, in base 64 or raw, or the files of a folder.
pub(crate) fn content(state: &mut State, context: &Context) -> Reply {
    let (organization, repository) = repository(state, context)?;
    let path = context.param("path");
    let entry = |path: &str, kind: &str, text: &str| {
        let full_name = format!("{}/{}", organization.login, repository.name);
        let api = format!("{}/repos/{full_name}/contents/{path}?ref=main", context.urls.api);
        let html = format!("{}/{full_name}/blob/main/{path}", context.urls.site);
        let git = format!("{}/repos/{full_name}/git/blobs/{}", context.urls.api, sha(text));
        json!({
            "type": kind,
            "size": text.len(),
            "name": path.rsplit('/').next().unwrap_or(path),
            "path": path,
            "sha": sha(text),
            "url": api,
            "git_url": git,
            "html_url": html,
            "download_url": (kind == "file").then(|| format!("{}/{full_name}/raw/main/{path}", context.urls.site)),
            "_links": { "self": api, "git": git, "html": html },
        })
    };
    if let Some(text) = repository.files.get(path) {
        if context.accept.contains("raw") {
            return Ok(Answer::raw(
                200,
                "application/vnd.github.raw+json; charset=utf-8",
                text.clone(),
            ));
        }
        let mut out = entry(path, "file", text);
        if let Some(fields) = out.as_object_mut() {
            fields.insert("encoding".to_owned(), json!("base64"));
            fields.insert("content".to_owned(), json!(in_lines(&STANDARD.encode(text))));
        }
        return Ok(Answer::ok(out));
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let mut entries: Vec<Value> = Vec::new();
    let mut folders = std::collections::BTreeSet::new();
    for (name, text) in &repository.files {
        let Some(rest) = name.strip_prefix(&folder) else {
            continue;
        };
        match rest.split_once('/') {
            None => entries.push(entry(name, "file", text)),
            Some((first, _)) => {
                if folders.insert(first.to_owned()) {
                    entries.push(entry(&format!("{folder}{first}"), "dir", ""));
                }
            }
        }
    }
    if entries.is_empty() { Err(Answer::not_found()) } else { Ok(Answer::ok(json!(entries))) }
}

/// Base 64 with a line break every 60 letters, as GitHub sends it.
fn in_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 60 + 1);
    for (position, letter) in text.chars().enumerate() {
        if position > 0 && position % 60 == 0 {
            out.push('\n');
        }
        out.push(letter);
    }
    out.push('\n');
    out
}

/// Forty hexadecimal digits that change with the text; not git's hash.
fn sha(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let first = hasher.finish();
    first.hash(&mut hasher);
    format!("{first:016x}{:016x}{:08x}", hasher.finish(), text.len())
}
