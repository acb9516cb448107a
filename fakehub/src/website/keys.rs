//! The private keys on the App's own page: listed by their fingerprints, made, deleted.
//!
//! Source: <https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/managing-private-keys-for-github-apps>.

use super::{known, no_page, page, text};
use crate::answer::Answer;
use crate::error::Error;
use crate::hub::Fakehub;

/// A page below `…/settings/apps/SLUG`, if the path is one.
pub(super) fn serve(
    hub: &Fakehub,
    method: &str,
    slug: &str,
    rest: &[&str],
) -> Option<Result<Answer, Error>> {
    let answer = match (method, rest) {
        ("GET", []) => Ok(list(hub, slug)),
        ("POST", ["keys"]) => generate(hub, slug),
        ("POST", ["keys", id, "delete"]) => delete(hub, slug, id),
        _ => return None,
    };
    Some(answer)
}

fn list(hub: &Fakehub, slug: &str) -> Answer {
    let Some(slug) = known(&hub.shared, slug) else { return no_page() };
    let keys: String = hub
        .app_keys()
        .iter()
        .map(|key| {
            format!(
                "<li>SHA256:{} <form method=post action=\"/settings/apps/{slug}/keys/{}/delete\">\
                 <button type=submit>Delete</button></form></li>",
                text(&key.fingerprint),
                key.id
            )
        })
        .collect();
    let body = format!(
        "<h2>Private keys</h2><ul>{keys}</ul><form method=post action=\"/settings/apps/{slug}/keys\">\
         <button type=submit id=generate>Generate a private key</button></form>"
    );
    page(200, &slug, &body)
}

/// The file that the browser keeps.
fn generate(hub: &Fakehub, slug: &str) -> Result<Answer, Error> {
    let Some(slug) = known(&hub.shared, slug) else { return Ok(no_page()) };
    let file = format!("attachment; filename=\"{slug}.private-key.pem\"");
    let answer = Answer::raw(200, "application/x-pem-file", hub.generate_app_key()?);
    Ok(answer.header("content-disposition", file))
}

fn delete(hub: &Fakehub, slug: &str, id: &str) -> Result<Answer, Error> {
    let Some(slug) = known(&hub.shared, slug) else { return Ok(no_page()) };
    let Ok(id) = id.parse() else { return Ok(no_page()) };
    hub.delete_app_key(id)?;
    Ok(Answer::empty(302).header("location", format!("/settings/apps/{slug}")))
}
