//! Where the App's webhook goes, as GitHub has it.

use super::{Finding, Level, found};
use crate::{
    github::{CallError, HookConfig},
    manifest,
};

/// What is to be known of the webhook where none is received. Whether it is active cannot be read; the one that was made
/// inactive leads to an address that is nobody's.
#[must_use]
pub fn about_no_webhook(seen: &Result<HookConfig, CallError>) -> Vec<Finding> {
    const ABOUT: &str = "webhook";
    let mut findings = vec![Finding::well(
        ABOUT,
        "webhooks are off: nobody is listened to, and pending requests are listed every while",
    )];
    let url = seen.as_ref().ok().and_then(|hook| hook.url.as_deref()).unwrap_or_default();
    if !url.is_empty() && !manifest::leads_nowhere(url) {
        findings.push(found(
            Level::Note,
            ABOUT,
            format!("the App has the webhook address {url}"),
            "If its webhook is active, GitHub sends there who asks for which token, and nobody of ours listens.",
            "Untick Active under Webhook on the App's settings page, or set webhook to on.",
        ));
    }
    findings
}

/// Where webhooks go. `path` is where we receive them.
#[must_use]
pub fn about_the_webhook(path: &str, seen: &Result<HookConfig, CallError>) -> Vec<Finding> {
    const ABOUT: &str = "webhook";
    let by_listing = "Requests are then only found by listing, every few minutes.";
    let hook = match seen {
        Ok(hook) => hook,
        Err(error) => {
            return vec![found(
                Level::Warning,
                ABOUT,
                format!("where webhooks go could not be read: {error}"),
                by_listing,
                "Try again; the App's settings page shows it as well.",
            )];
        }
    };
    let Some(url) = hook.url.as_deref().filter(|url| !url.is_empty()) else {
        return vec![found(
            Level::Note,
            ABOUT,
            "the App has no webhook address",
            by_listing,
            "Set it on the App's settings page, unless this machine can have no public address.",
        )];
    };
    let mut findings = Vec::new();
    if manifest::leads_nowhere(url) {
        findings.push(found(
            Level::Warning,
            ABOUT,
            format!("webhooks go to {url}, which is nobody's: the App was registered without webhooks"),
            by_listing,
            &format!(
                "Set the App's webhook address to the one of this server, with {path} at its end, and tick Active; or set webhook to off."
            ),
        ));
    } else if url.trim_end_matches('/').ends_with(path) {
        findings.push(Finding::well(ABOUT, format!("webhooks go to {url}")));
    } else {
        findings.push(found(
            Level::Warning,
            ABOUT,
            format!("webhooks go to {url}, which does not end with {path}"),
            by_listing,
            &format!(
                "Set the App's webhook address to the one of this server, with {path} at its end."
            ),
        ));
    }
    if url.starts_with("http://") {
        findings.push(found(
            Level::Warning,
            ABOUT,
            "webhooks are not encrypted on their way",
            "Who asks for which token can be read on the way; it cannot be changed, since it is signed.",
            "Put a proxy with TLS before this server, and https:// into the address.",
        ));
    }
    if hook.secret.as_deref().unwrap_or_default().is_empty() {
        findings.push(found(
            Level::Error,
            ABOUT,
            "the App's webhook has no secret",
            "What is not signed is not believed: every webhook is refused.",
            "Set the secret on the App's settings page to that in GITHUB_WEBHOOK_SECRET.",
        ));
    }
    if hook.content_type.as_deref() == Some("form") {
        findings.push(found(
            Level::Note,
            ABOUT,
            "webhooks are sent as forms",
            "They are understood, and a third larger.",
            "Choose application/json on the App's settings page.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::worst;

    #[test]
    fn where_nobody_listens_an_address_that_is_nobodys_is_well() {
        let about = |url: Option<&str>| {
            let hook = HookConfig { url: url.map(str::to_owned), ..HookConfig::default() };
            worst(&about_no_webhook(&Ok(hook)))
        };
        assert_eq!(about(None), Level::Well);
        assert_eq!(about(Some("https://webhooks-are-off.invalid/webhooks/github")), Level::Well);
        assert_eq!(about(Some("https://old.acme.example/hooks")), Level::Note);
    }

    #[test]
    fn a_webhook_that_goes_elsewhere_or_is_not_signed_is_named() {
        let about = |url: &str, secret: Option<&str>| {
            let hook = HookConfig {
                url: Some(url.to_owned()),
                content_type: Some("json".to_owned()),
                secret: secret.map(str::to_owned),
            };
            about_the_webhook("/webhooks/github", &Ok(hook))
        };
        let well = about("https://warden.example/webhooks/github", Some("********"));
        assert_eq!(worst(&well), Level::Well);
        assert_eq!(worst(&about("https://warden.example/", Some("********"))), Level::Warning);
        let nobodys = about("https://webhooks-are-off.invalid/webhooks/github", Some("********"));
        assert_eq!(worst(&nobodys), Level::Warning);
        let plain = about("http://warden.example/webhooks/github", Some("********"));
        assert_eq!(worst(&plain), Level::Warning);
        assert_eq!(worst(&about("https://warden.example/webhooks/github", None)), Level::Error);
        assert_eq!(worst(&about_the_webhook("/x", &Ok(HookConfig::default()))), Level::Note);
    }
}
