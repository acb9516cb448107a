//! GitHub's pages on which a person registers an App from a manifest, installs it, and makes and deletes its keys. Nobody is asked to sign in: whoever
//! opens them owns every organization.
//!
//! Source: <https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>.

mod keys;
pub(crate) mod manifest;

use std::sync::Arc;

use crate::answer::Answer;
use crate::error::Error;
use crate::gate::Arrived;
use crate::hub::Fakehub;
use crate::shared::Shared;
use manifest::Manifest;

/// A page, if the path is one.
pub(crate) fn serve(shared: &Arc<Shared>, arrived: &Arrived) -> Option<Answer> {
    let hub = Fakehub::lent(shared);
    let parts: Vec<&str> = arrived.path.trim_matches('/').split('/').collect();
    let answer = match (arrived.method.as_str(), parts.as_slice()) {
        ("POST", ["settings", "apps", "new"]) => ask(arrived, None),
        ("POST", ["organizations", login, "settings", "apps", "new"]) => ask(arrived, Some(login)),
        ("POST", ["settings", "apps", "create"]) => register(&hub, arrived, None),
        ("POST", ["organizations", login, "settings", "apps", "create"]) => {
            register(&hub, arrived, Some(login))
        }
        (method, ["settings", "apps", slug, rest @ ..])
        | (method, ["organizations", _, "settings", "apps", slug, rest @ ..]) => {
            keys::serve(&hub, method, slug, rest)?
        }
        ("GET", ["apps" | "github-apps", slug, "installations", "new"]) => Ok(places(shared, slug)),
        ("GET", ["apps" | "github-apps", slug, "installations", "new", login]) => {
            Ok(choices(shared, slug, login))
        }
        ("POST", ["apps" | "github-apps", slug, "installations", "new", login]) => {
            install(&hub, arrived, slug, login)
        }
        _ => return None,
    };
    Some(answer.unwrap_or_else(|why| {
        page(422, "That cannot be done", &format!("<p class=error>{}</p>", text(&why.to_string())))
    }))
}

/// The fields of a form.
fn fields(arrived: &Arrived) -> Vec<(String, String)> {
    form_urlencoded::parse(&arrived.body).into_owned().collect()
}

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// `state` stands in the address, as in GitHub's own example.
fn state_of(arrived: &Arrived) -> Option<String> {
    form_urlencoded::parse(arrived.query.as_bytes())
        .find(|(name, _)| name == "state")
        .map(|(_, value)| value.into_owned())
}

/// Shows what a manifest asks for, with the button that makes the App.
fn ask(arrived: &Arrived, login: Option<&str>) -> Result<Answer, Error> {
    let sent = fields(arrived);
    let manifest = field(&sent, "manifest").unwrap_or_default();
    let read = match Manifest::read(&manifest) {
        Ok(read) => read,
        Err(problems) => {
            let list: String =
                problems.iter().map(|one| format!("<li>{}</li>", text(one))).collect();
            let body =
                format!("<p class=error>Invalid GitHub App configuration</p><ul>{list}</ul>");
            return Ok(page(422, "Register GitHub App", &body));
        }
    };
    let action = login.map_or_else(
        || "/settings/apps/create".to_owned(),
        |login| format!("/organizations/{}/settings/apps/create", text(login)),
    );
    let whose = login.unwrap_or("your account");
    let permissions: String = read
        .permissions
        .iter()
        .map(|(name, level)| format!("<li>{}: {}</li>", text(name), text(level)))
        .collect();
    let body = format!(
        "<form method=post action=\"{action}\"><input type=hidden name=manifest value=\"{}\">\
         <input type=hidden name=state value=\"{}\">\
         <p><label>GitHub App name <input name=name maxlength=34 value=\"{}\"></label></p>\
         <p>It will ask for:</p><ul>{permissions}</ul>\
         <button type=submit id=create>Create GitHub App for {}</button></form>",
        text(&manifest),
        text(&state_of(arrived).unwrap_or_default()),
        text(&read.name),
        text(whose),
    );
    Ok(page(200, "Register GitHub App", &body))
}

/// Makes the App, and sends the browser back with a code.
fn register(hub: &Fakehub, arrived: &Arrived, login: Option<&str>) -> Result<Answer, Error> {
    let sent = fields(arrived);
    let manifest = field(&sent, "manifest").unwrap_or_default();
    let mut read =
        Manifest::read(&manifest).map_err(|problems| Error::Invalid(problems.join(" ")))?;
    if let Some(name) = field(&sent, "name").filter(|name| !name.is_empty()) {
        read.name = name;
    }
    let back = read.redirect_url.clone();
    let code = hub.register_app(login, read)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", &code);
    if let Some(state) = field(&sent, "state").filter(|state| !state.is_empty()) {
        query.append_pair("state", &state);
    }
    let joint = if back.contains('?') { '&' } else { '?' };
    Ok(Answer::empty(302).header("location", format!("{back}{joint}{}", query.finish())))
}

/// The organizations on which the App may be installed.
fn places(shared: &Shared, slug: &str) -> Answer {
    let Some(known) = known(shared, slug) else { return no_page() };
    let links: String = shared.with(|state| {
        let logins = state.world.organizations.values().map(|one| text(&one.login));
        logins
            .map(|login| {
                format!("<li><a href=\"/apps/{known}/installations/new/{login}\">{login}</a></li>")
            })
            .collect()
    });
    page(200, &format!("Install {known}"), &format!("<p>Where?</p><ul>{links}</ul>"))
}

/// What it asks for, and which repositories it is given.
fn choices(shared: &Shared, slug: &str, login: &str) -> Answer {
    let Some(known) = known(shared, slug) else { return no_page() };
    let found = shared.with(|state| {
        let organization = state.world.organization(login)?;
        let asks: String = state
            .wishes
            .permissions
            .iter()
            .map(|(name, level)| format!("<li>{}: {}</li>", text(name), text(level)))
            .collect();
        let repositories: String = organization
            .repositories
            .values()
            .map(|one| {
                let name = text(&one.name);
                format!(
                    "<br><label><input type=checkbox name=repository value=\"{name}\"> {name}</label>"
                )
            })
            .collect();
        Some((text(&organization.login), asks, repositories))
    });
    let Some((login, asks, repositories)) = found else { return no_page() };
    let body = format!(
        "<form method=post action=\"/apps/{known}/installations/new/{login}\">\
         <p><label><input type=radio name=selection value=all checked> All repositories</label></p>\
         <p><label><input type=radio name=selection value=selected> Only select repositories</label>{repositories}</p>\
         <p>with these permissions:</p><ul>{asks}</ul><button type=submit id=install>Install</button></form>"
    );
    page(200, &format!("Install {known} on {login}"), &body)
}

fn install(hub: &Fakehub, arrived: &Arrived, slug: &str, login: &str) -> Result<Answer, Error> {
    if known(&hub.shared, slug).is_none() {
        return Ok(no_page());
    }
    let sent = fields(arrived);
    let chosen: Vec<&str> = sent
        .iter()
        .filter(|(name, _)| name == "repository")
        .map(|(_, value)| value.as_str())
        .collect();
    let selected = field(&sent, "selection").as_deref() == Some("selected");
    if selected && chosen.is_empty() {
        return Err(Error::Invalid("You must select at least one repository".to_owned()));
    }
    let id = hub.install(login)?;
    if selected {
        hub.choose_repositories(login, Some(&chosen))?;
    }
    let body = format!("<p id=installed>Installation {id} on {}.</p>", text(login));
    Ok(page(200, "Okay, it was installed", &body))
}

/// The App's slug, if it is the one there is.
fn known(shared: &Shared, slug: &str) -> Option<String> {
    shared.with(|state| (state.app.slug == slug).then(|| text(slug)))
}

fn no_page() -> Answer {
    page(404, "Not found", "<p>This is not the page you are looking for.</p>")
}

fn page(status: u16, title: &str, body: &str) -> Answer {
    let title = text(title);
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}}\
         .error{{color:#a40000}}</style><h1>{title}</h1>{body}</html>"
    );
    Answer::raw(status, "text/html; charset=utf-8", html)
}

/// What stands between tags or in an attribute.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
