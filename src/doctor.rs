//! What is wrong with an installation, why it matters, and what mends it. Pure: what was seen comes in, findings come out.

mod app;
mod mail;
mod review;
mod traffic;
mod webhook;

use jiff::SignedDuration;
use serde::Serialize;

pub use app::{Hearing, Needed, about_an_installation, about_the_app, about_the_registration};
pub use mail::{Unsent, about_no_mail};
pub use review::{about_a_place_for_reviews, about_the_branch};
pub use traffic::{about_approval, about_deliveries, about_deliveries_unread};
pub use webhook::{about_no_webhook, about_the_webhook};

use crate::{domain::many, github::CallError};

/// How far two clocks may be apart: GitHub refuses a signature that is minutes off, and nothing time-driven happens then.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Well,
    /// Something that is worth to be known, and may be meant so.
    Note,
    /// Something does not work that is asked for.
    Warning,
    /// Nothing works, or not what patwarden is for.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: `app`, `webhook`, an organization's login.
    pub about: String,
    /// How bad.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// Why that matters; empty where all is well.
    pub why: String,
    /// What mends it; empty where all is well.
    pub mend: String,
}

impl Finding {
    /// All is well with this.
    #[must_use]
    pub fn well(about: &str, what: impl Into<String>) -> Self {
        let (why, mend) = (String::new(), String::new());
        Self { about: about.to_owned(), level: Level::Well, what: what.into(), why, mend }
    }

    /// Something is not.
    #[must_use]
    pub fn new(level: Level, about: &str, [what, why, mend]: [String; 3]) -> Self {
        Self { about: about.to_owned(), level, what, why, mend }
    }
}

/// A finding with these words.
fn found(level: Level, about: &str, what: impl Into<String>, why: &str, mend: &str) -> Finding {
    Finding::new(level, about, [what.into(), why.to_owned(), mend.to_owned()])
}

/// Whether our clock goes with GitHub's.
#[must_use]
pub fn about_the_clock(ahead: Option<SignedDuration>) -> Option<Finding> {
    let ahead = ahead?;
    if ahead.abs() <= CLOCKS_APART {
        return Some(Finding::well("clock", "this machine's clock goes with GitHub's"));
    }
    let minutes = ahead.abs().as_mins();
    let how = if ahead.is_negative() { "behind" } else { "ahead of" };
    Some(found(
        Level::Error,
        "clock",
        format!("this machine's clock is {} {how} GitHub's", many(minutes, "minute")),
        "GitHub refuses signatures from another time, and nothing that hangs on time is done: no denial for silence, no \
         standing revocation.",
        "Let the clock be set by NTP: `timedatectl set-ntp true`.",
    ))
}

/// Whether a GitHub Enterprise Server is new enough. Its endpoints for tokens are there since 3.10.
#[must_use]
pub fn about_the_server(version: &Result<Option<String>, CallError>) -> Option<Finding> {
    let version = version.as_ref().ok()?.as_deref()?;
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let is_new = (numbers.next(), numbers.next()) >= (Some(3), Some(10));
    let what = format!("GitHub Enterprise Server {version}");
    if is_new {
        return Some(Finding::well("server", what));
    }
    Some(found(
        Level::Error,
        "server",
        what,
        "Apps can see and review requests for tokens since version 3.10.",
        "Upgrade the server.",
    ))
}

/// The worst of them.
#[cfg(test)]
fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Well)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_servers() {
        assert_eq!(about_the_clock(None), None);
        let minutes = |minutes| about_the_clock(Some(SignedDuration::from_mins(minutes))).unwrap();
        assert_eq!(minutes(4).level, Level::Well);
        assert!(minutes(-9).what.contains("9 minutes behind"));
        let server = |version: &str| about_the_server(&Ok(Some(version.to_owned()))).unwrap().level;
        assert_eq!(
            (server("3.9.4"), server("3.10.0"), server("4.0")),
            (Level::Error, Level::Well, Level::Well)
        );
        assert_eq!(about_the_server(&Ok(None)), None);
    }
}
