//! What somebody chose on the page: checked, every problem at once. Pure.

use std::collections::BTreeSet;

use url::Url;

use crate::{
    domain::Login,
    github::Host,
    manifest::{Manifest, Registering},
    server::WEBHOOK_PATH,
    settings::Place,
};

/// The longest name that GitHub takes for an App.
const LONGEST_NAME: usize = 34;

/// The feature that reads rules from a repository.
const POLICY: &str = "policy";

/// The feature that needs it.
const CHECKS: &str = "checks";

/// The fields of the form, as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Which GitHub: a host.
    pub host: String,
    /// Whose App it is to be: an organization's login.
    pub organization: String,
    /// Where GitHub reaches this machine; empty: nowhere, and webhooks are off.
    pub webhook: String,
    /// Where rules are: `OWNER/REPOSITORY`, or with a path.
    pub rules: String,
    /// The features that are ticked.
    pub features: BTreeSet<String>,
}

impl Given {
    /// What a new page has in it.
    #[must_use]
    pub fn at_first(host: &Host) -> Self {
        let host = host.web().trim_start_matches("https://").to_owned();
        // What the rules need that `rules new` writes, and what asks for no more than to read or for checks of our own.
        let features = [POLICY, CHECKS, "escalation", "leavers"].map(str::to_owned).into();
        Self { host, features, ..Self::default() }
    }

    /// Reads a form. What is not a field of it is left out.
    #[must_use]
    pub fn read<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let mut given = Self::default();
        for (name, value) in fields {
            let value = value.trim().to_owned();
            match name {
                "host" => given.host = value,
                "organization" => given.organization = value,
                "webhook" => given.webhook = value,
                "rules" => given.rules = value,
                "feature" => {
                    given.features.insert(value);
                }
                _ => {}
            }
        }
        given
    }
}

/// What can be registered.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Which GitHub.
    pub host: Host,
    /// Whose App it will be.
    pub organization: Login,
    /// What it asks for.
    pub manifest: Manifest,
    /// Where webhooks go; `None`: they are off.
    pub webhook: Option<String>,
    /// Where rules are, when they are in a repository.
    pub rules: Option<Place>,
}

impl Choices {
    /// Checks what was given.
    ///
    /// # Errors
    /// Every problem, each a sentence.
    pub fn of(given: &Given, manifest: &Manifest) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let host = Host::typed(&given.host);
        let host = host.map_err(|why| problems.push(format!("GitHub's host: {why}."))).ok();
        let is_login = |text: &str| {
            !text.is_empty()
                && text.len() <= 100
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !is_login(&given.organization) {
            problems.push(
                "The organization: write its login, as it stands in the address of its page."
                    .to_owned(),
            );
        }
        let webhook = match host.as_ref().map(|host| webhook(&given.webhook, host)) {
            Some(Err(why)) => {
                problems.push(why);
                None
            }
            Some(Ok(webhook)) => webhook,
            None => None,
        };
        let has = |feature: &str| given.features.contains(feature);
        if has(CHECKS) && !has(POLICY) {
            problems.push(
                "Checks on pull requests are about rules in a repository: tick that as well."
                    .to_owned(),
            );
        }
        let rules = if has(POLICY) {
            rules(&given.rules).map_err(|why| problems.push(why)).ok()
        } else {
            None
        };
        match host {
            Some(host) if problems.is_empty() => {
                let organization = Login::new(given.organization.clone());
                let mut manifest = manifest.clone().with_features(&given.features);
                // Names are taken once in all of GitHub; the page there lets people change it.
                let name = format!("{}-{}", manifest.name, given.organization.to_ascii_lowercase());
                manifest.name = name.chars().take(LONGEST_NAME).collect();
                Ok(Self { host, organization, manifest, webhook, rules })
            }
            _ => Err(problems),
        }
    }

    /// What is sent to GitHub. `redirect` is where it sends the browser back to.
    #[must_use]
    pub fn form(&self, redirect: &str) -> String {
        let webhook = self.webhook.as_deref();
        self.manifest.for_github(Registering { webhook, redirect }).to_string()
    }
}

/// Where webhooks go: what was typed with our path at its end.
fn webhook(text: &str, host: &Host) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |why: &str| format!("The address for webhooks: `{text}` {why}.");
    let url = Url::parse(text).map_err(|_| wrong("is not an address; write https://HOST"))?;
    let local = matches!(url.host_str(), Some("localhost"))
        || matches!(url.host(), Some(url::Host::Ipv4(ip)) if ip.is_loopback())
        || matches!(url.host(), Some(url::Host::Ipv6(ip)) if ip.is_loopback());
    if local && !host.is_on_this_machine() {
        return Err(wrong("is this machine's own name for itself: GitHub cannot reach it"));
    }
    if url.scheme() != "https" && !local {
        return Err(wrong("is not encrypted; write https://HOST"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong("is more than an address of a host"));
    }
    let url = url.as_str().trim_end_matches('/');
    Ok(Some(match url.strip_suffix(WEBHOOK_PATH) {
        Some(_) => url.to_owned(),
        None => format!("{url}{WEBHOOK_PATH}"),
    }))
}

/// Where rules are: `OWNER/REPOSITORY` alone means the file that a repository of rules begins with.
fn rules(text: &str) -> Result<Place, String> {
    let text = text.trim_start_matches("github:").trim_matches('/');
    let whole = match text.matches('/').count() {
        1 => format!("github:{text}/rules.toml"),
        _ => format!("github:{text}"),
    };
    Place::parse(&whole).map_err(|_| {
        format!("The repository with the rules: `{text}` is none; write OWNER/REPOSITORY.")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    fn given() -> Given {
        Given {
            host: "github.com".to_owned(),
            organization: "Acme".to_owned(),
            webhook: "https://warden.acme.example".to_owned(),
            rules: "acme/token-policy".to_owned(),
            features: ["policy", "checks"].map(str::to_owned).into(),
        }
    }

    fn of(change: impl FnOnce(&mut Given)) -> Result<Choices, String> {
        let mut given = given();
        change(&mut given);
        Choices::of(&given, &Manifest::of_this_version().unwrap())
            .map_err(|problems| problems.join("\n"))
    }

    #[test]
    fn what_was_typed_becomes_what_github_is_asked_for() {
        let choices = of(|_| {}).unwrap();
        let hook = "https://warden.acme.example/webhooks/github";
        assert_eq!(choices.webhook.as_deref(), Some(hook));
        assert_eq!(choices.rules.unwrap().to_string(), "github:acme/token-policy/rules.toml");
        assert_eq!(choices.manifest.name, "patwarden-acme");
        assert!(!choices.manifest.permissions.contains_key("issues"));
        let same = of(|given| given.webhook = hook.to_owned()).unwrap();
        assert_eq!(same.webhook.as_deref(), Some(hook));
        let deeper = of(|given| given.rules = "acme/security/tokens/acme.toml".to_owned()).unwrap();
        assert_eq!(deeper.rules.unwrap().to_string(), "github:acme/security/tokens/acme.toml");
        let none = of(|given| given.webhook.clear()).unwrap();
        assert!(none.webhook.is_none());
        let long = of(|given| given.organization = "a".repeat(60)).unwrap();
        assert_eq!(long.manifest.name.len(), 34);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let problems = of(|given| {
            given.host = "http://ghe.example".to_owned();
            given.organization = "acme/../evil?x".to_owned();
            given.rules.clear();
        });
        let problems = problems.unwrap_err();
        for part in ["in the clear", "its login", "OWNER/REPOSITORY"] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
        let wrong = |change: fn(&mut Given)| of(change).unwrap_err();
        assert!(
            wrong(|given| given.webhook = "http://warden.example".into()).contains("encrypted")
        );
        assert!(
            wrong(|given| given.webhook = "https://127.0.0.1:3000".into()).contains("reach it")
        );
        assert!(wrong(|given| given.features = ["checks".into()].into()).contains("as well"));
    }
}
