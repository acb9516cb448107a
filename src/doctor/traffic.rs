//! Whether webhooks arrive, as GitHub tells of those it sent: what was answered to them, and whether requests are among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use super::{Finding, Level, found};
use crate::{
    domain::{InstallationId, agrees, many},
    github::{Granted, HookDelivery},
};

const ABOUT: &str = "webhook";

const REQUEST: &str = "personal_access_token_request";

/// That what came of the webhooks could not be read.
#[must_use]
pub fn about_deliveries_unread(why: &dyn Display) -> Finding {
    found(
        Level::Note,
        ABOUT,
        format!("what came of the last webhooks could not be read: {why}"),
        "Whether any arrives is not known.",
        "Try again.",
    )
}

/// What came of the webhooks that GitHub sent last. Each counts once, by its newest attempt: `deliveries` has the newest
/// first. `missing` is how many of them we would have read and do not have, as `deliveries list --failed` counts.
#[must_use]
pub fn about_deliveries(deliveries: &[HookDelivery], missing: usize) -> Finding {
    let by_listing = "Requests are then only found by listing, every few minutes.";
    let mut guids = BTreeSet::new();
    let newest: Vec<&HookDelivery> =
        deliveries.iter().filter(|one| guids.insert(one.guid.as_str())).collect();
    let Some(last) = newest.first() else {
        return found(
            Level::Note,
            ABOUT,
            "GitHub sent none in the last days",
            "Nobody asked for a token in that time, or GitHub does not send any here.",
            "Ask for a token, and run this again; or have the App's settings page send a `ping` again.",
        );
    };
    if last.arrived() {
        let failed = newest.iter().filter(|one| !one.arrived()).count();
        let earlier = match (failed, missing) {
            (0, 0) => String::new(),
            // They were sent again, or are about nothing that is read.
            (failed, 0) => format!("; {failed} before it did not, and none of those is missing"),
            (_, missing) => format!(
                "; {missing} of the {} before it did not and are missing: `patwarden deliveries list --failed`",
                newest.len().saturating_sub(1)
            ),
        };
        return Finding::well(ABOUT, format!("the newest webhook arrived{earlier}"));
    }
    let mut failures: BTreeMap<i64, usize> = BTreeMap::new();
    for one in newest.iter().take_while(|one| !one.arrived()) {
        *failures.entry(one.status_code).or_default() += 1;
    }
    let most = failures.iter().max_by_key(|(_, count)| **count);
    let (status, count) = most.map_or((0, 0), |(status, count)| (*status, *count));
    let (level, what, mend) = match status {
        401 => (
            Level::Error,
            "were refused, for a signature with another secret (401)",
            "Set GITHUB_WEBHOOK_SECRET to the secret on the App's settings page, or that one to this; several may be given, \
             separated by commas, while one is replaced.",
        ),
        404 | 405 => (
            Level::Error,
            "came where nobody listens (404 or 405)",
            "Compare the App's webhook address with the address and the path of this server, and with what the proxy passes on.",
        ),
        413 => (
            Level::Warning,
            "were too large for whatever stands before this server (413)",
            "Let the proxy pass bodies of 25 MB.",
        ),
        500..600 => (
            Level::Warning,
            "were answered with an error of this server, or of the proxy before it (500 and above)",
            "Look at the log of `serve`, and of the proxy, at the time that `patwarden deliveries list --failed` shows.",
        ),
        _ => (
            Level::Error,
            "reached nobody in time",
            "See whether `serve` runs, whether the name in the App's webhook address leads to it, whether a firewall lets GitHub \
             in, and whether the certificate is one that GitHub trusts.",
        ),
    };
    let what = what.replacen("were", agrees(count, "was", "were"), 1);
    let several = many(count, "newest webhook");
    let which = agrees(count, "newest webhook", &several);
    found(level, ABOUT, format!("the {which} of {} {what}", newest.len()), by_listing, mend)
}

/// Whether an organization asks owners at all, as far as webhooks tell: where approval is not required, tokens are
/// reported as approved, and none as requested. `None`: nothing hints at that.
#[must_use]
pub fn about_approval(one: &Granted, deliveries: &[HookDelivery]) -> Option<Finding> {
    let of = |id: InstallationId, action: &str| {
        let told = deliveries.iter().filter(|delivery| {
            delivery.installation_id == Some(id)
                && delivery.event == REQUEST
                && delivery.action.as_deref() == Some(action)
        });
        told.map(|delivery| delivery.guid.as_str()).collect::<BTreeSet<_>>().len()
    };
    let approved = of(one.installation.id, "approved");
    if approved == 0 || of(one.installation.id, "created") > 0 {
        return None;
    }
    Some(found(
        Level::Warning,
        one.installation.organization.login.as_str(),
        format!(
            "GitHub told of {} that {} approved, and of none that was asked for",
            many(approved, "token"),
            agrees(approved, "was", "were")
        ),
        "That is so where the organization does not require approval: then nothing is ever judged. It is also so where only owners \
         made tokens, who need no approval.",
        "An owner sees it in the organization's settings, under Personal access tokens: administrator approval must be required.",
    ))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]
mod tests {
    use super::*;
    use crate::domain::{Installation, Login, Organization, OrganizationId};

    fn delivery(guid: &str, status_code: i64, action: &str) -> HookDelivery {
        HookDelivery {
            id: 1,
            guid: guid.to_owned(),
            delivered_at: "2026-03-02T08:00:00Z".parse().unwrap(),
            redelivery: false,
            duration: None,
            status: String::new(),
            status_code,
            event: REQUEST.to_owned(),
            action: Some(action.to_owned()),
            installation_id: Some(InstallationId(5)),
            repository_id: None,
        }
    }

    fn says(statuses: &[i64]) -> Finding {
        let numbered = statuses.iter().enumerate();
        let all = numbered.map(|(n, status)| delivery(&n.to_string(), *status, "created"));
        about_deliveries(&all.collect::<Vec<_>>(), 0)
    }

    #[test]
    fn why_webhooks_do_not_arrive_is_told_by_what_was_answered() {
        assert_eq!(says(&[]).level, Level::Note);
        assert_eq!(says(&[202, 202]).what, "the newest webhook arrived");
        let since = says(&[202, 401, 401]);
        let none = "2 before it did not, and none of those is missing";
        assert!(since.level == Level::Well && since.what.contains(none), "{since:?}");
        let secret = says(&[401, 401, 202]);
        assert_eq!(secret.level, Level::Error);
        assert!(secret.what.contains("2 newest webhooks of 3"), "{secret:?}");
        assert!(secret.mend.contains("GITHUB_WEBHOOK_SECRET"), "{secret:?}");
        assert!(says(&[404]).mend.contains("path"));
        assert!(says(&[503]).what.contains("500"));
        assert!(says(&[0]).what.contains("reached nobody"));
    }

    #[test]
    fn of_a_webhook_that_was_sent_again_the_last_attempt_counts() {
        let again = vec![delivery("a", 202, "created"), delivery("a", 401, "created")];
        assert_eq!(about_deliveries(&again, 0).what, "the newest webhook arrived");
    }

    #[test]
    fn as_many_are_missing_as_the_list_of_failed_ones_shows() {
        let sent: Vec<HookDelivery> = [("a", 202), ("b", 0), ("c", 0), ("d", 0)]
            .map(|(guid, status)| delivery(guid, status, "created"))
            .into();
        let what = about_deliveries(&sent, 2).what;
        assert!(what.contains("2 of the 3 before it did not and are missing"), "{what}");
    }

    #[test]
    fn approvals_without_requests_hint_at_approval_that_is_not_required() {
        let one = Granted {
            installation: Installation {
                id: InstallationId(5),
                organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
                suspended: false,
            },
            permissions: BTreeMap::new(),
        };
        let approved = delivery("a", 202, "approved");
        let hint = about_approval(&one, std::slice::from_ref(&approved)).unwrap();
        assert!(hint.what.contains("of 1 token that was") && hint.about == "acme", "{hint:?}");
        let asked = [approved.clone(), delivery("b", 202, "created")];
        assert_eq!(about_approval(&one, &asked), None);
        let elsewhere = HookDelivery { installation_id: Some(InstallationId(6)), ..approved };
        assert_eq!(about_approval(&one, &[elsewhere]), None);
    }
}
