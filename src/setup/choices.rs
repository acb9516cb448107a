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
        let organization = organization(&given.organization, host.as_ref());
        let organization = organization.map_err(|why| problems.push(why)).ok();
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
            rules(&given.rules, host.as_ref()).map_err(|why| problems.push(why)).ok()
        } else {
            None
        };
        match host.zip(organization) {
            Some((host, organization)) if problems.is_empty() => {
                let mut manifest = manifest.clone().with_features(&given.features);
                // Names are taken once in all of GitHub; the page there lets people change it.
                let name =
                    format!("{}-{}", manifest.name, organization.as_str().to_ascii_lowercase());
                manifest.name = name.chars().take(LONGEST_NAME).collect();
                Ok(Self { host, organization, manifest, webhook, rules })
            }
            _ => Err(problems),
        }
    }

    /// What is sent to GitHub. `redirect` is where it sends the browser back to.
    #[must_use]
    pub fn form(&self, redirect: &str) -> String {
        let (homepage, webhook) = (self.homepage(), self.webhook.as_deref());
        let registering = Registering { homepage: &homepage, webhook, redirect };
        self.manifest.for_github(registering).to_string()
    }

    /// Where people read about the App: GitHub wants such a page, and the one that is surely there is that of its owner.
    #[must_use]
    pub fn homepage(&self) -> String {
        format!("{}/{}", self.host.web(), self.organization)
    }
}

/// Whose App it is to be: a login, also with the `@` before it, or the address of one of its pages.
fn organization(text: &str, host: Option<&Host>) -> Result<Login, String> {
    let how = "write its login, as it stands in the address of its page";
    let login = match pasted(text, host) {
        None => text.trim_start_matches('@').to_owned(),
        Some(Err(elsewhere)) => return Err(format!("The organization: {elsewhere}; {how}.")),
        Some(Ok(path)) => match path.as_slice() {
            [login] => login.clone(),
            [pages, login, ..] if pages == "orgs" || pages == "organizations" => login.clone(),
            _ => String::new(),
        },
    };
    let is_login = !login.is_empty()
        && login.len() <= 100
        && login.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_login { Ok(Login::new(login)) } else { Err(format!("The organization: {how}.")) }
}

/// The path of an address that somebody pasted, if it is one of this GitHub's; `None`: it is no address. What is elsewhere
/// is an error: which of the two is meant nobody but who typed it can say.
fn pasted(text: &str, host: Option<&Host>) -> Option<Result<Vec<String>, String>> {
    let first = text.split('/').next().unwrap_or_default();
    // No organization has a dot in its login, and every host but this machine's has one.
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else if text.contains('/') && first.contains(['.', ':']) {
        format!("https://{text}")
    } else {
        return None;
    };
    let url = Url::parse(&with_scheme).ok()?;
    let web = host.map(|host| (host.web(), Url::parse(host.web())));
    if let Some((web, Ok(ours))) = web {
        let name = |url: &Url| {
            let name = url.host_str().unwrap_or_default();
            (name.trim_start_matches("www.").to_owned(), url.port())
        };
        if name(&url) != name(&ours) {
            let web = web.split_once("://").map_or(web, |(_, name)| name);
            return Some(Err(format!("`{text}` is not on {web}")));
        }
    }
    let path = url.path_segments()?.filter(|segment| !segment.is_empty());
    Some(Ok(path.map(str::to_owned).collect()))
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

/// Where rules are: `OWNER/REPOSITORY` alone, or the address of its page, means the file that a repository of rules begins
/// with.
fn rules(text: &str, host: Option<&Host>) -> Result<Place, String> {
    let what = "The repository with the rules";
    let text = text.trim_start_matches("github:").trim_matches('/');
    let repository = match pasted(text, host) {
        None => None,
        Some(Err(elsewhere)) => return Err(format!("{what}: {elsewhere}.")),
        Some(Ok(path)) => match path.as_slice() {
            [owner, name] => Some(format!("{owner}/{}", name.trim_end_matches(".git"))),
            // A page of a file names a branch too, and only the default one counts.
            _ => return Err(format!("{what}: `{text}` is none; write OWNER/REPOSITORY/PATH.")),
        },
    };
    let text = repository.as_deref().unwrap_or(text);
    let whole = match text.matches('/').count() {
        1 => format!("github:{text}/rules.toml"),
        _ => format!("github:{text}"),
    };
    Place::parse(&whole).map_err(|_| match text {
        "" => format!("{what}: write OWNER/REPOSITORY."),
        text => format!("{what}: `{text}` is none; write OWNER/REPOSITORY."),
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
    fn addresses_that_were_pasted_are_understood() {
        for organization in [
            "https://github.com/Acme",
            "github.com/Acme/",
            "https://www.github.com/Acme",
            "https://github.com/orgs/Acme/people",
            "https://github.com/organizations/Acme/settings/apps",
            "@Acme",
        ] {
            let choices = of(|given| given.organization = organization.to_owned()).unwrap();
            assert_eq!(choices.organization.as_str(), "Acme", "{organization}");
            assert_eq!(choices.manifest.name, "patwarden-acme");
            assert_eq!(choices.homepage(), "https://github.com/Acme");
        }
        for rules in ["https://github.com/acme/token-policy", "github.com/acme/token-policy.git/"] {
            let choices = of(|given| given.rules = rules.to_owned()).unwrap();
            let place = "github:acme/token-policy/rules.toml";
            assert_eq!(choices.rules.unwrap().to_string(), place, "{rules}");
        }
        let server = of(|given| {
            given.host = "ghe.acme.example:8443".to_owned();
            given.organization = "https://ghe.acme.example:8443/tools".to_owned();
        });
        assert_eq!(server.unwrap().homepage(), "https://ghe.acme.example:8443/tools");
    }

    #[test]
    fn an_address_of_another_github_or_of_something_else_is_not_guessed_at() {
        let wrong = |change: fn(&mut Given)| of(change).unwrap_err();
        let elsewhere = wrong(|given| given.organization = "https://ghe.example/acme".into());
        assert!(elsewhere.contains("is not on github.com"), "{elsewhere}");
        let elsewhere = wrong(|given| given.rules = "ghe.example/acme/token-policy".into());
        assert!(elsewhere.contains("is not on github.com"), "{elsewhere}");
        for address in [
            "https://github.com/enterprises/acme",
            "https://github.com/acme/web",
            "https://github.com/",
            "https://github.com/ac%2Fme",
            "https://",
            "",
        ] {
            let problem = of(|given| given.organization = address.to_owned()).unwrap_err();
            assert!(problem.contains("its login"), "{address}: {problem}");
        }
        let file = wrong(|given| given.rules = "https://github.com/acme/a/blob/main/x.toml".into());
        assert!(file.contains("OWNER/REPOSITORY/PATH"), "{file}");
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
