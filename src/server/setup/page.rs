//! The pages on which the App is registered: what stands in them, and nothing that is secret.

use askama::Template;
use axum::http::StatusCode;

use crate::{
    manifest::{Feature, Manifest},
    server::WEBHOOK_PATH,
    setup::{Choices, Given, Registered, Step},
};

/// A page before it is sent.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) html: String,
    /// The only place beside ourselves to which a form in it may be sent.
    pub(super) sends_to: Option<String>,
}

/// What every page has in it. The nonce is what lets the style in it count.
pub(super) struct Pages<'a> {
    pub(super) nonce: &'a str,
}

struct Row<'a> {
    id: &'a str,
    title: &'a str,
    lost: &'a str,
    asks: String,
    ticked: bool,
    optional: bool,
}

#[derive(Template)]
#[template(path = "setup/enter.html")]
struct Enter<'a> {
    nonce: &'a str,
    wrong: bool,
}

#[derive(Template)]
#[template(path = "setup/choose.html")]
struct Choose<'a> {
    nonce: &'a str,
    token: &'a str,
    given: &'a Given,
    problems: &'a [String],
    features: Vec<Row<'a>>,
    path: &'a str,
}

#[derive(Template)]
#[template(path = "setup/review.html")]
struct Review<'a> {
    nonce: &'a str,
    host: &'a str,
    organization: &'a str,
    permissions: String,
    events: String,
    webhook: Option<&'a str>,
    rules: String,
    folder: &'a str,
    action: String,
    manifest: String,
}

#[derive(Template)]
#[template(path = "setup/done.html")]
struct Done<'a> {
    nonce: &'a str,
    notes: &'a [String],
    slug: &'a str,
    id: u64,
    settings: String,
    private_key: String,
    webhook_secret: Option<String>,
    steps: &'a [Step],
}

#[derive(Template)]
#[template(path = "setup/message.html")]
struct Message<'a> {
    nonce: &'a str,
    title: &'a str,
    text: &'a str,
    again: bool,
}

impl Pages<'_> {
    /// Asks for the code of the terminal.
    pub(super) fn enter(&self, wrong: bool) -> Page {
        let status = if wrong { StatusCode::FORBIDDEN } else { StatusCode::OK };
        page(status, &Enter { nonce: self.nonce, wrong })
    }

    /// Asks what the App is to do.
    pub(super) fn choose(
        &self,
        manifest: &Manifest,
        given: &Given,
        problems: &[String],
        token: &str,
    ) -> Page {
        let features = manifest.features.iter().map(|feature| row(feature, given)).collect();
        let status =
            if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let (nonce, path) = (self.nonce, WEBHOOK_PATH);
        page(status, &Choose { nonce, token, given, problems, features, path })
    }

    /// Shows what will be asked for, with the button that goes to GitHub.
    pub(super) fn review(
        &self,
        choices: &Choices,
        folder: &str,
        redirect: &str,
        state: &str,
    ) -> Page {
        let host = choices.host.web();
        let view = Review {
            nonce: self.nonce,
            host: host.split_once("://").map_or(host, |(_, host)| host),
            organization: choices.organization.as_str(),
            permissions: asks(&choices.manifest.permissions),
            events: choices.manifest.events.iter().cloned().collect::<Vec<_>>().join(", "),
            webhook: choices.webhook.as_deref(),
            rules: match &choices.rules {
                Some(place) => place.to_string(),
                None => format!("{folder}/rules.toml"),
            },
            folder,
            action: format!(
                "{}?state={state}",
                choices.host.registration_page(&choices.organization)
            ),
            manifest: choices.form(redirect),
        };
        Page { sends_to: Some(host.to_owned()), ..page(StatusCode::OK, &view) }
    }

    /// Says that it is done, and what is next.
    pub(super) fn done(&self, registered: &Registered) -> Page {
        let text = |path: &std::path::Path| path.display().to_string();
        let written = &registered.written;
        let view = Done {
            nonce: self.nonce,
            notes: &registered.notes,
            slug: &registered.slug,
            id: registered.id,
            settings: text(&written.settings),
            private_key: text(&written.private_key),
            webhook_secret: written.webhook_secret.as_deref().map(text),
            steps: &registered.steps,
        };
        page(StatusCode::OK, &view)
    }

    /// A few words.
    pub(super) fn message(&self, status: StatusCode, title: &str, text: &str) -> Page {
        let again = matches!(
            status,
            StatusCode::FORBIDDEN | StatusCode::BAD_GATEWAY | StatusCode::BAD_REQUEST
        );
        page(status, &Message { nonce: self.nonce, title, text, again })
    }
}

fn page(status: StatusCode, template: &impl Template) -> Page {
    // It has nothing in it that can fail: fields of text, written to memory.
    Page { status, html: template.render().unwrap_or_default(), sends_to: None }
}

fn row<'a>(feature: &'a Feature, given: &Given) -> Row<'a> {
    let mut asks = asks(&feature.permissions);
    let events: Vec<&str> = feature.events.iter().map(String::as_str).collect();
    if !events.is_empty() {
        let hears = format!("to hear of {}", events.join(", "));
        asks = if asks.is_empty() { hears } else { format!("{asks}; {hears}") };
    }
    Row {
        id: &feature.id,
        title: &feature.title,
        lost: &feature.lost,
        asks,
        ticked: !feature.is_optional() || given.features.contains(&feature.id),
        optional: feature.is_optional(),
    }
}

/// Permissions, as people read them.
fn asks(permissions: &std::collections::BTreeMap<String, String>) -> String {
    let one = |(name, level): (&String, &String)| format!("{name}: {level}");
    permissions.iter().map(one).collect::<Vec<_>>().join(", ")
}
