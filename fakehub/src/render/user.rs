//! Users, bots and the ghost.

use serde_json::{Value, json};

use super::time::zulu;
use super::{MADE_AT, Urls};
use crate::app::App;
use crate::ids::node_id;
use crate::world::User;

/// The schema `simple-user`.
pub(crate) fn simple_user(user: &User, urls: &Urls) -> Value {
    object(&user.login, user.id, "User", urls)
}

/// The App's own user, sender of what the App does.
pub(crate) fn bot(app: &App, urls: &Urls) -> Value {
    let login = format!("{}[bot]", app.slug);
    object(&login, app.id.saturating_add(100_000_000), "Bot", urls)
}

/// GitHub's stand-in for users who are gone.
pub(crate) fn ghost(urls: &Urls) -> Value {
    object("ghost", 10_137, "User", urls)
}

/// The form of a user some webhooks use, whose `gravatar_id` may not be null.
pub(crate) fn webhook_user(user: &User, urls: &Urls) -> Value {
    let mut out = simple_user(user, urls);
    if let Some(fields) = out.as_object_mut() {
        fields.insert("gravatar_id".to_owned(), json!(""));
    }
    out
}

/// Makes every user inside a body one of those whose `gravatar_id` is not null.
pub(crate) fn plain_gravatars(body: &mut Value) {
    match body {
        Value::Array(items) => items.iter_mut().for_each(plain_gravatars),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "gravatar_id" {
                    *value = json!("");
                } else {
                    plain_gravatars(value);
                }
            }
        }
        _ => {}
    }
}

/// The schema `public-user`.
pub(crate) fn public_user(user: &User, urls: &Urls) -> Value {
    let mut out = simple_user(user, urls);
    if let (Some(fields), Value::Object(more)) = (
        out.as_object_mut(),
        json!({
            "name": user.name, "company": null, "blog": "", "location": null, "email": user.email, "hireable": null,
            "bio": null, "twitter_username": null, "public_repos": 0, "public_gists": 0, "followers": 0,
            "following": 0, "created_at": zulu(MADE_AT), "updated_at": zulu(MADE_AT),
        }),
    ) {
        fields.extend(more);
    }
    out
}

pub(super) fn object(login: &str, id: u64, kind: &str, urls: &Urls) -> Value {
    // Brackets of a bot's login are not allowed in a URI.
    let path = login.replace('[', "%5B").replace(']', "%5D");
    let api = format!("{}/users/{path}", urls.api);
    // Live bodies carry both forms of "no gravatar"; a client must take either.
    let gravatar = if id.is_multiple_of(2) { Value::Null } else { json!("") };
    json!({
        "login": login,
        "id": id,
        "node_id": node_id(kind, id),
        "avatar_url": format!("{}/avatars/u/{id}?v=4", urls.site),
        "gravatar_id": gravatar,
        "url": api,
        "html_url": format!("{}/{path}", urls.site),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"),
        "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events{{/privacy}}"),
        "received_events_url": format!("{api}/received_events"),
        "type": kind,
        "site_admin": false,
    })
}
