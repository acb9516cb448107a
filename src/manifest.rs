//! The App's manifest, `app.yml`: which permissions and events the App asks for, and for which feature. Pure.
//!
//! The file has a shape of its own, which is a small part of YAML: keys at the margin with a word, a map or a list. What is not
//! of that shape is an error, and the file comes with the program, so that a test sees it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The file, as it comes with the program.
const FILE: &str = include_str!("../app.yml");

/// The feature that is never left out.
pub const CORE: &str = "core";

/// The webhook address of an App that hears nothing: GitHub wants one, and no host ever has this name (RFC 6761).
const NOWHERE: &str = "https://webhooks-are-off.invalid";

/// What the App asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The name that is proposed; whoever registers the App may take another.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Permissions, by GitHub's names in manifests, with `read` or `write`.
    pub permissions: BTreeMap<String, String>,
    /// Events that are sent to it. Those of installations come unasked.
    pub events: BTreeSet<String>,
    /// What the permissions and events are for, in the order of the file.
    pub features: Vec<Feature>,
}

/// Permissions and events that belong together, and may be left out together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    /// A word for it.
    pub id: String,
    /// What it is.
    pub title: String,
    /// What is lost without it: a sentence.
    pub lost: String,
    /// Its permissions, as in [`Manifest::permissions`].
    pub permissions: BTreeMap<String, String>,
    /// Its events.
    pub events: BTreeSet<String>,
}

impl Feature {
    /// Whether it may be left out.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.id != CORE
    }
}

/// What differs from one registration to the next.
#[derive(Clone, Copy, Debug)]
pub struct Registering<'a> {
    /// Where people read about the App.
    pub homepage: &'a str,
    /// Where webhooks go; `None`: the webhook is made, since GitHub wants one, and is not active.
    pub webhook: Option<&'a str>,
    /// Where GitHub sends the browser back to.
    pub redirect: &'a str,
}

impl Manifest {
    /// That of this version.
    ///
    /// # Errors
    /// A sentence, when the file that came with the program is not of its shape.
    pub fn of_this_version() -> Result<Self, String> {
        Self::read(FILE)
    }

    /// The same with these features alone, and the one that is never left out.
    #[must_use]
    pub fn with_features(mut self, chosen: &BTreeSet<String>) -> Self {
        self.features.retain(|feature| !feature.is_optional() || chosen.contains(&feature.id));
        let features = || self.features.iter();
        self.permissions = features().flat_map(|one| one.permissions.clone()).collect();
        self.events = features().flat_map(|one| one.events.clone()).collect();
        self
    }

    /// The text that GitHub takes in the form of a registration.
    ///
    /// <https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>
    #[must_use]
    pub fn for_github(&self, registering: Registering<'_>) -> Value {
        // An address is wanted also where nothing is to be sent: one that leads nowhere.
        let nowhere = format!("{NOWHERE}{}", crate::server::WEBHOOK_PATH);
        json!({
            "name": self.name,
            "url": registering.homepage,
            "description": self.description,
            "public": false,
            "hook_attributes": {
                "url": registering.webhook.unwrap_or(&nowhere),
                "active": registering.webhook.is_some(),
            },
            "redirect_url": registering.redirect,
            "default_permissions": self.permissions,
            "default_events": self.events,
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut manifest = Self::default();
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            let mut parts = line.splitn(2, " # ");
            let content = parts.next().unwrap_or_default().trim_end();
            let tag = parts.next().unwrap_or_default().trim();
            let inner = content.trim_start();
            if inner.is_empty() || inner.starts_with('#') {
                continue;
            }
            let wrong = || format!("app.yml, line {}: `{line}`", number + 1);
            if content == inner {
                let (name, value) = inner.split_once(':').ok_or_else(wrong)?;
                section = name;
                let value = value.trim().to_owned();
                match name {
                    "name" => manifest.name = value,
                    "description" => manifest.description = value,
                    _ => {}
                }
                continue;
            }
            let tagged = |features: &mut Vec<Feature>| {
                features.iter().position(|known| known.id == tag).ok_or_else(wrong)
            };
            match section {
                "x-features" => {
                    let (id, rest) = inner.split_once(": ").ok_or_else(wrong)?;
                    let (title, lost) = rest.split_once(". ").ok_or_else(wrong)?;
                    manifest.features.push(Feature {
                        id: id.to_owned(),
                        title: title.to_owned(),
                        lost: lost.to_owned(),
                        ..Feature::default()
                    });
                }
                "default_permissions" => {
                    let (name, level) = inner.split_once(": ").ok_or_else(wrong)?;
                    let (name, level) = (name.to_owned(), level.trim().to_owned());
                    let place = tagged(&mut manifest.features)?;
                    let feature = manifest.features.get_mut(place).ok_or_else(wrong)?;
                    feature.permissions.insert(name.clone(), level.clone());
                    manifest.permissions.insert(name, level);
                }
                "default_events" => {
                    let event = inner.strip_prefix("- ").ok_or_else(wrong)?.trim().to_owned();
                    let place = tagged(&mut manifest.features)?;
                    let feature = manifest.features.get_mut(place).ok_or_else(wrong)?;
                    feature.events.insert(event.clone());
                    manifest.events.insert(event);
                }
                _ => {}
            }
        }
        if manifest.permissions.is_empty() || manifest.events.is_empty() {
            return Err("app.yml names no permissions or no events".to_owned());
        }
        Ok(manifest)
    }
}

/// Whether a webhook address is one that was written because GitHub wants one: a name that nobody can have.
#[must_use]
pub fn leads_nowhere(address: &str) -> bool {
    let url = url::Url::parse(address).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    host.ends_with(".invalid")
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what went wrong by panicking"
)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_comes_with_the_program_is_read() {
        let manifest = Manifest::of_this_version().unwrap();
        let of = |name: &str| manifest.permissions.get(name).map(String::as_str);
        assert_eq!(of("organization_personal_access_token_requests"), Some("write"));
        assert_eq!(of("members"), Some("read"));
        assert!(manifest.events.contains("personal_access_token_request"));
        assert!(!manifest.permissions.contains_key("url"), "what stands elsewhere is none");
        let ids: Vec<&str> = manifest.features.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["core", "policy", "checks", "escalation", "properties", "leavers"]);
    }

    #[test]
    fn what_is_not_of_its_shape_is_an_error() {
        let read = |text: &str| Manifest::read(text).unwrap_err();
        assert!(read("default_events:\n  push\n").contains("line 2"));
        assert!(read("name: x\n").contains("no permissions"));
        assert!(read("default_events:\n  - push\n").contains("line 2"), "of which feature?");
        assert!(read("default_events:\n  - push # polcy\n").contains("line 2"));
    }

    /// Which permission GitHub wants before it takes an event into a manifest.
    ///
    /// <https://docs.github.com/webhooks/webhook-events-and-payloads>
    const NEEDED: [(&str, &str); 10] = [
        ("personal_access_token_request", "organization_personal_access_token_requests"),
        ("push", "contents"),
        ("repository", "metadata"),
        ("pull_request", "pull_requests"),
        ("check_run", "checks"),
        ("check_suite", "checks"),
        ("issue_comment", "issues"),
        ("issues", "issues"),
        ("organization", "members"),
        ("membership", "members"),
    ];

    #[test]
    fn each_feature_alone_is_a_manifest_that_github_takes() {
        let whole = Manifest::of_this_version().unwrap();
        for feature in &whole.features {
            let alone = whole.clone().with_features(&[feature.id.clone()].into());
            for event in &alone.events {
                assert!(!event.starts_with("installation"), "{event} comes unasked");
                let needed = NEEDED.iter().find(|(name, _)| name == event);
                let (_, permission) = needed.unwrap_or_else(|| panic!("what does {event} need?"));
                assert!(
                    alone.permissions.contains_key(*permission),
                    "{event} of {} needs {permission}",
                    feature.id
                );
            }
        }
    }

    #[test]
    fn what_is_left_out_is_not_asked_for_and_the_core_never_is_left_out() {
        let whole = Manifest::of_this_version().unwrap();
        let least = whole.clone().with_features(&BTreeSet::new());
        assert_eq!(least.events, ["personal_access_token_request".to_owned()].into());
        assert_eq!(least.permissions.len(), 4, "{:?}", least.permissions);
        let all = whole.features.iter().map(|one| one.id.clone()).collect();
        assert_eq!(whole.clone().with_features(&all), whole);
    }

    #[test]
    fn without_webhooks_the_hook_is_there_and_not_active() {
        let manifest = Manifest::of_this_version().unwrap();
        let text = |webhook| {
            let (homepage, redirect) = ("https://github.com/acme", "http://127.0.0.1:8181/back");
            manifest.for_github(Registering { homepage, webhook, redirect })
        };
        let on = text(Some("https://warden.example/webhooks/github"));
        assert_eq!(on["hook_attributes"]["active"], true);
        assert_eq!(on["hook_attributes"]["url"], "https://warden.example/webhooks/github");
        assert_eq!(on["redirect_url"], "http://127.0.0.1:8181/back");
        assert_eq!(on["url"], "https://github.com/acme");
        let off = text(None);
        assert_eq!(off["hook_attributes"]["active"], false);
        let nowhere = off["hook_attributes"]["url"].as_str().unwrap();
        assert!(leads_nowhere(nowhere), "{nowhere}");
        assert!(!leads_nowhere("https://warden.example/webhooks/github"));
        assert_eq!(off["public"], false);
    }
}
