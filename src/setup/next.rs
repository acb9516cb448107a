//! What came of a registration, and what is to be done next. Pure.

use super::{Choices, Written};
use crate::github::NewApp;

/// An App that is registered, with its credentials in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Where everything was written.
    pub written: Written,
    /// GitHub's API.
    pub api_url: String,
    /// What did not go as it should, though the App is there.
    pub notes: Vec<String>,
    /// What is next.
    pub steps: Vec<Step>,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A word for it.
    pub id: &'static str,
    /// What and why.
    pub text: String,
    /// A page for it.
    pub link: Option<String>,
    /// A command for it.
    pub command: Option<String>,
}

impl Registered {
    /// What was made of these choices.
    #[must_use]
    pub fn new(app: &NewApp, choices: &Choices, written: Written, notes: Vec<String>) -> Self {
        Self {
            id: app.id,
            slug: app.slug.clone(),
            steps: steps(app, choices, &written),
            api_url: choices.host.api().to_owned(),
            written,
            notes,
        }
    }
}

fn steps(app: &NewApp, choices: &Choices, written: &Written) -> Vec<Step> {
    let config = quoted(&written.settings.to_string_lossy());
    let mut steps = vec![Step {
        id: "install",
        text: "Install it on the organization. Choose “Only select repositories”: the one with the rules, and those in whose \
               issues reviewers are asked. Requests for tokens concern the organization and are seen anyway."
            .to_owned(),
        link: Some(format!("{}/installations/new", app.page)),
        command: None,
    }];
    steps.push(match &choices.rules {
        Some(place) => Step {
            id: "rules",
            text: format!(
                "Write rules, and commit them as {place}. Begin with mode = \"shadow\": then everything is decided and recorded, and \
                 nothing is sent."
            ),
            link: None,
            command: Some("patwarden rules new rules.toml".to_owned()),
        },
        None => Step {
            id: "rules",
            text: "Write rules. Begin with mode = \"shadow\": then everything is decided and recorded, and nothing is sent."
                .to_owned(),
            link: None,
            command: Some(format!("patwarden rules new {}", quoted(&written.rules))),
        },
    });
    if let Some(webhook) = &choices.webhook {
        steps.push(Step {
            id: "proxy",
            text: format!("Let your TLS proxy pass {webhook} on to 127.0.0.1:3000."),
            link: None,
            command: None,
        });
    }
    steps.push(Step {
        id: "doctor",
        text: "See whether all is as it should be, and start.".to_owned(),
        link: None,
        command: Some(format!(
            "patwarden doctor --config {config}\npatwarden serve --config {config}"
        )),
    });
    steps
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@".contains(c);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
