//! The pages on which the App is registered: what stands in them, and nothing that is secret.

use askama::Template;
use axum::http::StatusCode;

use crate::{
    manifest::{Feature, Manifest},
    server::WEBHOOK_PATH,
    setup::{Choices, Given, RECORD, Registered, Step},
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

/// What was said when the code was asked for.
pub(super) enum Said {
    /// Nothing yet.
    Nothing,
    /// Something else.
    Wrong,
    /// Something, once the code was taken: it counts once.
    Again,
}

/// A piece of a text: what stood between backticks is code.
struct Piece<'a> {
    text: &'a str,
    code: bool,
}

#[derive(Template)]
#[template(path = "setup/enter.html")]
struct Enter<'a> {
    nonce: &'a str,
    wrong: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "setup/choose.html")]
struct Choose<'a> {
    nonce: &'a str,
    token: &'a str,
    given: &'a Given,
    problems: Vec<Vec<Piece<'a>>>,
    features: Vec<Row<'a>>,
    path: &'a str,
}

#[derive(Template)]
#[template(path = "setup/review.html")]
struct Review<'a> {
    nonce: &'a str,
    host: &'a str,
    organization: &'a str,
    homepage: String,
    permissions: String,
    events: String,
    webhook: Option<&'a str>,
    rules: String,
    record: String,
    folder: &'a str,
    action: String,
    manifest: String,
}

#[derive(Template)]
#[template(path = "setup/done.html")]
struct Done<'a> {
    nonce: &'a str,
    notes: Vec<Vec<Piece<'a>>>,
    slug: &'a str,
    id: u64,
    settings: String,
    private_key: String,
    webhook_secret: Option<String>,
    record: &'a str,
    steps: &'a [Step],
}

#[derive(Template)]
#[template(path = "setup/message.html")]
struct Message<'a> {
    nonce: &'a str,
    title: &'a str,
    said: Vec<Piece<'a>>,
    again: bool,
}

impl Pages<'_> {
    /// Asks for the code of the terminal.
    pub(super) fn enter(&self, said: &Said) -> Page {
        let wrong = match said {
            Said::Nothing => None,
            Said::Wrong => Some("That is not the code."),
            Said::Again => Some(
                "The code was taken already. Go on in the browser that has it, or start setup again for another code.",
            ),
        };
        let status = if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
        page(status, &Enter { nonce: self.nonce, wrong })
    }

    /// Leads from the code to the first page.
    pub(super) fn inside(&self) -> Page {
        Page { status: StatusCode::SEE_OTHER, html: String::new(), sends_to: None }
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
        let problems = problems.iter().map(|problem| pieces(problem)).collect();
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
            homepage: choices.homepage(),
            permissions: asks(&choices.manifest.permissions),
            events: choices.manifest.events.iter().cloned().collect::<Vec<_>>().join(", "),
            webhook: choices.webhook.as_deref(),
            rules: match &choices.rules {
                Some(place) => place.to_string(),
                None => format!("{folder}/rules.toml"),
            },
            record: format!("{folder}/{RECORD}"),
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
            notes: registered.notes.iter().map(|note| pieces(note)).collect(),
            slug: &registered.slug,
            id: registered.id,
            settings: text(&written.settings),
            private_key: text(&written.private_key),
            webhook_secret: written.webhook_secret.as_deref().map(text),
            record: written.database.trim_start_matches("sqlite:"),
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
        page(status, &Message { nonce: self.nonce, title, said: pieces(text), again })
    }
}

fn page(status: StatusCode, template: &impl Template) -> Page {
    // It has nothing in it that can fail: fields of text, written to memory.
    Page { status, html: template.render().unwrap_or_default(), sends_to: None }
}

/// A text in pieces. A backtick without another stands for itself.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = rest.split_once('`').and_then(|(before, rest)| {
        let (code, after) = rest.split_once('`')?;
        Some((before, code, after))
    }) {
        pieces.push(Piece { text: before, code: false });
        pieces.push(Piece { text: code, code: true });
        rest = after;
    }
    pieces.push(Piece { text: rest, code: false });
    pieces
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
