//! Users, rate limits and what the API says of itself.

use serde_json::{Map, Value, json};

use super::orgs::user;
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::limits::{Standing, bucket_of};
use crate::render;
use crate::state::State;

pub(crate) fn user_by_login(state: &mut State, context: &Context) -> Reply {
    Ok(Answer::ok(render::public_user(user(state, context)?, &context.urls)))
}

/// Free of the limit it shows. The newer API version has no `rate`.
pub(crate) fn rate_limit(state: &mut State, context: &Context) -> Reply {
    let now = state.now();
    let bucket = bucket_of(&context.caller);
    let core = state
        .limits
        .standing(bucket, now)
        .ok_or_else(|| Box::new(Answer::error(404, "Rate limiting is not enabled.")))?;
    let search = Standing { limit: 30, used: 0, reset: now.saturating_add(60) };
    let mut body = json!({ "resources": { "core": core.to_json(), "search": search.to_json() } });
    if context.version == "2022-11-28"
        && let Some(fields) = body.as_object_mut()
    {
        fields.insert("rate".to_owned(), core.to_json());
    }
    Ok(Answer::ok(body))
}

pub(crate) fn meta(_: &mut State, context: &Context) -> Reply {
    Ok(Answer::ok(json!({
        "verifiable_password_authentication": false,
        "hooks": ["127.0.0.0/8"],
        "api": ["127.0.0.0/8"],
        "web": ["127.0.0.0/8"],
        "domains": { "website": [context.urls.site] },
    })))
}

/// The fields GitHub's root lists, each with a path of the same name.
pub(crate) fn root(_: &mut State, context: &Context) -> Reply {
    const FIELDS: [(&str, &str); 31] = [
        ("current_user_url", "/user"),
        ("current_user_authorizations_html_url", "/settings/connections/applications{/client_id}"),
        ("authorizations_url", "/authorizations"),
        ("code_search_url", "/search/code?q={query}{&page,per_page,sort,order}"),
        ("commit_search_url", "/search/commits?q={query}{&page,per_page,sort,order}"),
        ("emails_url", "/user/emails"),
        ("emojis_url", "/emojis"),
        ("events_url", "/events"),
        ("feeds_url", "/feeds"),
        ("followers_url", "/user/followers"),
        ("following_url", "/user/following{/target}"),
        ("gists_url", "/gists{/gist_id}"),
        ("issue_search_url", "/search/issues?q={query}{&page,per_page,sort,order}"),
        ("issues_url", "/issues"),
        ("keys_url", "/user/keys"),
        (
            "label_search_url",
            "/search/labels?q={query}&repository_id={repository_id}{&page,per_page}",
        ),
        ("notifications_url", "/notifications"),
        ("organization_url", "/orgs/{org}"),
        ("organization_repositories_url", "/orgs/{org}/repos{?type,page,per_page,sort}"),
        ("organization_teams_url", "/orgs/{org}/teams"),
        ("public_gists_url", "/gists/public"),
        ("rate_limit_url", "/rate_limit"),
        ("repository_url", "/repos/{owner}/{repo}"),
        ("repository_search_url", "/search/repositories?q={query}{&page,per_page,sort,order}"),
        ("current_user_repositories_url", "/user/repos{?type,page,per_page,sort}"),
        ("starred_url", "/user/starred{/owner}{/repo}"),
        ("starred_gists_url", "/gists/starred"),
        ("user_url", "/users/{user}"),
        ("user_organizations_url", "/user/orgs"),
        ("user_repositories_url", "/users/{user}/repos{?type,page,per_page,sort}"),
        ("user_search_url", "/search/users?q={query}{&page,per_page,sort,order}"),
    ];
    let fields: Map<String, Value> = FIELDS
        .iter()
        .map(|(name, path)| ((*name).to_owned(), json!(format!("{}{path}", context.urls.api))))
        .collect();
    Ok(Answer::ok(Value::Object(fields)))
}
