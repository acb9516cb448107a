//! What GitHub knows of the App, what it was registered with, and what each installation granted of that.

use std::collections::BTreeMap;

use super::{Finding, Level, found};
use crate::{
    github::{CallError, Granted, Registration},
    manifest::{Feature, Manifest},
};

/// Whether GitHub knows us.
#[must_use]
pub fn about_the_app(id: u64, seen: &Result<Registration, CallError>) -> Finding {
    const ABOUT: &str = "app";
    let nothing = "Without that no request is seen, and nothing is decided.";
    match seen {
        Ok(app) if app.id == id => {
            Finding::well(ABOUT, format!("GitHub knows the App {id} as {}", app.slug))
        }
        Ok(app) => found(
            Level::Error,
            ABOUT,
            format!("the key is of App {}, and the settings say {id}", app.id),
            nothing,
            "Set GITHUB_APP_ID to the App that the key was made for.",
        ),
        Err(CallError::Unauthorized { message }) => found(
            Level::Error,
            ABOUT,
            format!("GitHub does not accept the key for App {id} ({message})"),
            nothing,
            "Compare GITHUB_APP_ID and the private key with the App's settings page: the key may be another App's, or deleted \
             there. A clock that is minutes off looks the same.",
        ),
        Err(CallError::NotFound) => found(
            Level::Error,
            ABOUT,
            format!("GitHub knows no App {id}"),
            nothing,
            "Set GITHUB_APP_ID to the number on the App's settings page, and GITHUB_API_URL to where it is registered.",
        ),
        Err(error) => found(
            Level::Error,
            ABOUT,
            format!("GitHub was asked who we are: {error}"),
            nothing,
            "Look whether GITHUB_API_URL can be reached from here: a proxy, a firewall, a name that is not resolved.",
        ),
    }
}

/// What the settings and the rules need of the App beside its core, and what they do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Features of `app.yml`, with what needs each.
    pub features: BTreeMap<&'static str, String>,
    /// Whether webhooks are received.
    pub hearing: Hearing,
}

/// How requests become known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hearing {
    /// By webhooks.
    #[default]
    Webhooks,
    /// By looking alone.
    Lists,
}

impl Needed {
    /// Whether a feature is one of them; the core always is.
    fn has(&self, feature: &Feature) -> bool {
        !feature.is_optional() || self.features.contains_key(feature.id.as_str())
    }

    /// How bad it is to be without a permission of a feature.
    fn weight(&self, feature: &Feature, permission: &str) -> Level {
        match permission {
            // Nothing is approved by rules that cannot be read.
            "contents" if self.has(feature) => Level::Error,
            _ if feature.is_optional() && self.has(feature) => Level::Warning,
            _ => weight(permission),
        }
    }

    fn by(&self, feature: &Feature) -> String {
        let by = self.features.get(feature.id.as_str());
        by.map(|by| format!(" {by}")).unwrap_or_default()
    }
}

/// Whether the App was registered with what `app.yml` asks for, as far as it is needed.
#[must_use]
pub fn about_the_registration(
    manifest: &Manifest,
    app: &Registration,
    needed: &Needed,
) -> Vec<Finding> {
    const ABOUT: &str = "app";
    let mut findings = Vec::new();
    let mut unheard = Vec::new();
    for feature in &manifest.features {
        let missing = lacking(&feature.permissions, &app.permissions);
        let events: Vec<&str> =
            feature.events.difference(&app.events).map(String::as_str).collect();
        let left_out =
            missing.len() == feature.permissions.len() && events.len() == feature.events.len();
        if left_out && !needed.has(feature) {
            let asks = missing.iter().map(|(name, level)| format!("{name}: {level}"));
            let asks: Vec<String> =
                asks.chain(events.iter().map(|event| (*event).into())).collect();
            findings.push(found(
                Level::Note,
                ABOUT,
                format!("it was registered without: {}", lower(&feature.title)),
                &feature.lost,
                &format!(
                    "Nothing in the settings or the rules needs it. To have it, add on the App's settings page: {}.",
                    asks.join(", ")
                ),
            ));
            continue;
        }
        for (name, level) in missing {
            findings.push(found(
                needed.weight(feature, name),
                ABOUT,
                format!("the App does not ask for the permission {name}: {level}"),
                &format!("{}{}", lost(name), needed.by(feature)),
                "Add it on the App's settings page under Permissions & events; an owner of each organization then accepts it.",
            ));
        }
        unheard.extend(events);
    }
    if needed.hearing == Hearing::Lists {
        return findings;
    }
    if unheard.is_empty() {
        findings
            .push(Finding::well(ABOUT, "it is sent every event that belongs to its permissions"));
    } else {
        let requests = unheard.contains(&"personal_access_token_request");
        findings.push(found(
            if requests { Level::Warning } else { Level::Note },
            ABOUT,
            format!("the App is not sent: {}", unheard.join(", ")),
            "What they tell is then only found by looking, minutes or hours later.",
            "Tick them on the App's settings page under Permissions & events, or leave them out where no rule needs them.",
        ));
    }
    findings
}

/// Whether an installation granted what the App asks for.
#[must_use]
pub fn about_an_installation(
    manifest: &Manifest,
    app: &Registration,
    granted: &Granted,
    needed: &Needed,
) -> Vec<Finding> {
    let login = granted.installation.organization.login.as_str();
    if granted.installation.suspended {
        return vec![found(
            Level::Error,
            login,
            "the installation is suspended",
            "GitHub refuses every call for it: its requests wait.",
            "An owner ends that on the organization's page of installed Apps.",
        )];
    }
    let mut findings = Vec::new();
    for feature in &manifest.features {
        // What the App itself does not ask for was told already, and no owner can grant it.
        let asked =
            feature.permissions.iter().filter(|(name, _)| app.permissions.contains_key(*name));
        let asked = asked.map(|(name, level)| (name.clone(), level.clone())).collect();
        for (name, level) in lacking(&asked, &granted.permissions) {
            findings.push(found(
                needed.weight(feature, name),
                login,
                format!("it has not granted {name}: {level}"),
                &format!("{}{}", lost(name), needed.by(feature)),
                "An owner accepts new permissions on the organization's page of installed Apps.",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::well(login, "it granted all that the App asks for"));
    }
    findings
}
/// What is asked for and `granted` has not, with the level that is asked for.
fn lacking<'m>(
    asked: &'m BTreeMap<String, String>,
    granted: &BTreeMap<String, String>,
) -> Vec<(&'m str, &'m str)> {
    let rank = |level: &str| match level {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => 0,
    };
    let has = |name: &str| granted.get(name).map_or(0, |level| rank(level));
    let lacks = |(name, level): &(&String, &String)| has(name) < rank(level);
    asked.iter().filter(lacks).map(|(name, level)| (name.as_str(), level.as_str())).collect()
}

/// With a small letter at the beginning.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// How bad it is to be without a permission.
fn weight(permission: &str) -> Level {
    match permission {
        "organization_personal_access_token_requests" | "organization_personal_access_tokens" => {
            Level::Error
        }
        "members" => Level::Warning,
        _ => Level::Note,
    }
}

/// What is lost without a permission.
fn lost(permission: &str) -> &'static str {
    match permission {
        "organization_personal_access_token_requests" => {
            "Without it no request is seen, and nothing is decided."
        }
        "organization_personal_access_tokens" => {
            "Without it an approval cannot be compared with what was decided, and no token is listed or revoked."
        }
        "members" => {
            "Without it rules on roles and teams are unknown, and what they would decide goes to people; nobody is known to \
             have left."
        }
        "organization_custom_properties" => "Without it rules on custom properties are unknown.",
        "contents" => {
            "Without it rules in a repository cannot be read, and nothing is approved by them."
        }
        "pull_requests" | "checks" => {
            "Without it pull requests that change the rules get no check."
        }
        "issues" => "Without it reviewers are not asked on issues.",
        _ => "A part of patwarden does not work without it.",
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]
mod tests {
    use super::*;
    use crate::{
        doctor::worst,
        domain::{Installation, InstallationId, Login, Organization, OrganizationId},
    };

    fn manifest() -> Manifest {
        Manifest::of_this_version().unwrap()
    }

    fn app() -> Registration {
        let Manifest { permissions, events, .. } = manifest();
        Registration { id: 7, slug: "warden".to_owned(), permissions, events }
    }

    #[test]
    fn an_app_as_app_yml_asks_is_well() {
        assert_eq!(about_the_app(7, &Ok(app())).level, Level::Well);
        assert_eq!(
            worst(&about_the_registration(&manifest(), &app(), &Needed::default())),
            Level::Well
        );
    }

    #[test]
    fn another_apps_key_a_refused_one_and_no_answer_are_told_apart() {
        let says = |seen| about_the_app(8, &seen);
        assert!(says(Ok(app())).what.contains("the key is of App 7"));
        let refused = says(Err(CallError::Unauthorized { message: "Bad".to_owned() }));
        assert!(refused.mend.contains("another App's"), "{refused:?}");
        assert!(says(Err(CallError::NotFound)).what.contains("no App 8"));
        let silent = says(Err(CallError::NoAnswer { why: "timed out".to_owned() }));
        assert!(silent.mend.contains("GITHUB_API_URL"), "{silent:?}");
    }

    #[test]
    fn a_permission_that_is_missing_or_less_is_named_with_what_is_lost() {
        let mut less = app();
        less.permissions
            .insert("organization_personal_access_token_requests".to_owned(), "read".to_owned());
        less.permissions.remove("members");
        let findings = about_the_registration(&manifest(), &less, &Needed::default());
        assert_eq!(worst(&findings), Level::Error);
        let text = format!("{findings:?}");
        for part in ["requests: write", "members: read", "nobody is known to have left"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    /// An App that was registered with these features and the core.
    fn registered_with(features: &[&str]) -> Registration {
        let chosen = features.iter().map(|one| (*one).to_owned()).collect();
        let Manifest { permissions, events, .. } = manifest().with_features(&chosen);
        Registration { permissions, events, ..app() }
    }

    fn needing(feature: &'static str) -> Needed {
        let features = [(feature, "The settings name it.".to_owned())].into();
        Needed { features, ..Needed::default() }
    }

    #[test]
    fn what_was_left_out_is_to_be_known_and_wrong_only_where_something_needs_it() {
        let about = |features: &[&str], needed: &Needed| {
            about_the_registration(&manifest(), &registered_with(features), needed)
        };
        let least = about(&[], &Needed::default());
        assert_eq!(worst(&least), Level::Note);
        assert_eq!(least.iter().filter(|one| one.level == Level::Note).count(), 5, "{least:#?}");
        assert!(least.iter().any(|one| one.what.contains("sent every event")), "{least:#?}");
        for (feature, level) in [
            ("policy", Level::Error),
            ("escalation", Level::Warning),
            ("properties", Level::Warning),
            ("leavers", Level::Note),
        ] {
            let without = about(&[], &needing(feature));
            assert_eq!(worst(&without), level, "{feature}: {without:#?}");
            assert_eq!(worst(&about(&[feature], &needing(feature))), Level::Note, "{feature}");
        }
        let text = format!("{:?}", about(&[], &needing("escalation")));
        assert!(text.contains("issues: write") && text.contains("The settings name it."), "{text}");
    }

    #[test]
    fn an_installation_is_asked_for_no_more_than_the_app_asks() {
        let about = |app: &Registration, permissions: &BTreeMap<String, String>, needed| {
            let installation = Installation {
                id: InstallationId(7),
                organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
                suspended: false,
            };
            let granted = Granted { installation, permissions: permissions.clone() };
            about_an_installation(&manifest(), app, &granted, &needed)
        };
        let least = registered_with(&[]);
        let well = about(&least, &least.permissions, needing("policy"));
        assert_eq!(worst(&well), Level::Well, "that the App does not ask was said of the App");
        let more = registered_with(&["policy"]);
        assert_eq!(worst(&about(&more, &least.permissions, Needed::default())), Level::Note);
        assert_eq!(worst(&about(&more, &least.permissions, needing("policy"))), Level::Error);
        assert_eq!(worst(&about(&more, &BTreeMap::new(), Needed::default())), Level::Error);
    }

    #[test]
    fn without_webhooks_events_are_no_matter() {
        let mut deaf = app();
        deaf.events.clear();
        let lists = Needed { hearing: Hearing::Lists, ..Needed::default() };
        let seen = about_the_registration(&manifest(), &deaf, &lists);
        assert!(!format!("{seen:?}").contains("not sent"), "{seen:#?}");
    }
}
