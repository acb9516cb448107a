//! The flags that say which tokens, or which requests: GitHub's own filters, and those that its page lacks.

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    domain::{AccessLevel, Covered, Login, RepositorySelection, TokenId},
    inventory::{AskedFilter, TokenFilter},
};

/// Which tokens or requests. All that is given must hold; of a flag that is repeated, one.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Which")]
pub(super) struct AskedArgs {
    /// Of this user (may be repeated)
    #[arg(long, value_name = "LOGIN")]
    owner: Vec<String>,
    /// Reaching this repository: picked by name, or all of them
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// With this permission, at least at this level: `contents=write`; read where no level is given (may be repeated: all of them)
    #[arg(long, value_name = "NAME[=LEVEL]", value_parser = permission)]
    permission: Vec<(String, AccessLevel)>,
    /// This token, by its own number (may be repeated)
    #[arg(long, value_name = "ID")]
    token_id: Vec<i64>,
    /// Last used before this day or moment (never used is not: see --unused-for)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    used_before: Option<Timestamp>,
    /// Last used after this day or moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    used_after: Option<Timestamp>,
    /// Not used for so many days, nor given access or asked for within them
    #[arg(long, value_name = "DAYS", value_parser = days)]
    unused_for: Option<i64>,
    /// Never used
    #[arg(long)]
    never_used: bool,
    /// Expiring before this day or moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    expires_before: Option<Timestamp>,
    /// Never expiring
    #[arg(long)]
    never_expires: bool,
    /// Living for more than so many whole days; never expiring is more than any
    #[arg(long, value_name = "DAYS", value_parser = days)]
    lifetime_over: Option<i64>,
    /// For such a selection of repositories (may be repeated)
    #[arg(long, value_name = "none|all|subset", value_parser = selection)]
    selection: Vec<RepositorySelection>,
}

/// Which tokens with access.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Which")]
pub(super) struct TokenArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// Given access before this day or moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    granted_before: Option<Timestamp>,
    /// Given access after this day or moment
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    granted_after: Option<Timestamp>,
    /// Approved by this rule (`approve.ID`, or `rule` for any), this person or App (a login), `itself` (an owner's own) or `unknown` (may be repeated)
    #[arg(long, value_name = "WHO")]
    approved_by: Vec<String>,
    /// Whether a rule would approve it today: `yes`, `no`, or `unknown`
    #[arg(long, value_name = "yes|no|unknown", value_parser = covered)]
    covered: Option<Covered>,
    /// Of somebody who is not a member of the organization any more
    #[arg(long)]
    not_a_member: bool,
}

impl AskedArgs {
    /// The filter.
    pub(super) fn filter(&self) -> AskedFilter {
        AskedFilter {
            owners: self.owner.iter().map(Login::new).collect(),
            repository: self.repository.clone(),
            permissions: self.permission.clone(),
            tokens: self.token_id.iter().copied().map(TokenId).collect(),
            used_before: self.used_before,
            used_after: self.used_after,
            unused_for: self.unused_for,
            never_used: self.never_used,
            expires_before: self.expires_before,
            never_expires: self.never_expires,
            lifetime_over: self.lifetime_over,
            selections: self.selection.clone(),
        }
    }
}

impl TokenArgs {
    /// The filter.
    pub(super) fn filter(&self) -> TokenFilter {
        TokenFilter {
            asked: self.asked.filter(),
            granted_before: self.granted_before,
            granted_after: self.granted_after,
            approved_by: self.approved_by.clone(),
            covered: self.covered,
            not_a_member: self.not_a_member,
        }
    }
}

fn permission(text: &str) -> Result<(String, AccessLevel), String> {
    let (name, level) = text.split_once('=').unwrap_or((text, "read"));
    if name.is_empty() {
        return Err("write a permission's name, such as `contents=write`".to_owned());
    }
    match AccessLevel::from(level.to_owned()) {
        AccessLevel::Unrecognized(_) => {
            Err(format!("`{level}` is no level: write read, write or admin"))
        }
        level => Ok((name.to_ascii_lowercase(), level)),
    }
}

/// A day (its beginning, UTC) or a moment.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let day: Date = text.parse().map_err(|_| {
        "write a day, `2026-11-21` (its beginning, UTC), or a moment, `2026-11-21T08:00:00Z`"
            .to_owned()
    })?;
    let day = day.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(day.timestamp())
}

fn days(text: &str) -> Result<i64, String> {
    crate::rules::days(text)
}

fn covered(text: &str) -> Result<Covered, String> {
    [Covered::Yes, Covered::No, Covered::Unknown]
        .into_iter()
        .find(|covered| covered.as_str() == text)
        .ok_or_else(|| "write yes, no or unknown".to_owned())
}

fn selection(text: &str) -> Result<RepositorySelection, String> {
    [RepositorySelection::None, RepositorySelection::All, RepositorySelection::Subset]
        .into_iter()
        .find(|selection| selection.as_str() == text)
        .ok_or_else(|| "write none, all or subset".to_owned())
}
