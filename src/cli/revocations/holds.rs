//! `patwarden revocations hold`, `release` and `holds`: what standing policies leave alone, until when and why.

use clap::Args;
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};

use crate::{
    cli::{Exit, StoreArgs, access, known, output},
    clock::Clock,
    domain::{Organization, TokenId},
    store::{Held, HoldRow, Store},
};

/// The longest hold: who wants it longer says so again.
const LONGEST: SignedDuration = SignedDuration::from_hours(180 * 24);

/// What is held: one of them.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// This token: its own number or its grant's, as `patwarden tokens list` shows them
    #[arg(long, value_name = "ID", value_parser = |text: &str| known::number(text, "tokens list"))]
    token: Option<i64>,
    /// All that this standing policy selects: the ID of `[revoke.ID]`
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
}

#[derive(Args)]
pub(in crate::cli) struct Hold {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    what: What,
    /// In this organization; needed where several have such a token, or for a policy where the App is on several
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// The last day, such as 2027-01-31, in UTC; at most 180 days from now
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Date,
    /// Why, for whoever reads the record
    #[arg(long, value_name = "TEXT")]
    why: String,
}

#[derive(Args)]
pub(in crate::cli) struct Release {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    what: What,
    /// In this organization; needed where several have such a token, or for a policy where the App is on several
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
}

#[derive(Args)]
pub(in crate::cli) struct Holds {
    #[command(flatten)]
    store: StoreArgs,
    /// Only those of this organization
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// Those that are over, too
    #[arg(long)]
    all: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl What {
    /// What is named, and in which organization.
    async fn find(&self, store: &Store, org: Option<&str>) -> anyhow::Result<(Organization, Held)> {
        if let Some(policy) = &self.policy {
            let organization = known::organization(store, org).await?.organization;
            let id = policy.strip_prefix("revoke.").unwrap_or(policy);
            return Ok((organization, Held::Policy(format!("revoke.{id}"))));
        }
        let id = self.token.unwrap_or_default();
        let mut found = store.tokens_numbered(id, None).await?;
        let organization = match org {
            Some(_) => known::organization(store, org).await?,
            None => {
                let of = found.iter().map(|token| token.grant.organization.id).collect();
                known::only_one(store, &of).await?
            }
        };
        let organization = organization.organization;
        found.retain(|token| token.grant.organization.id == organization.id);
        // The same number may be one token's and another's grant: a hold must not be of the wrong one.
        let mut tokens: Vec<TokenId> = found.iter().map(|token| token.grant.token.id).collect();
        tokens.sort_unstable();
        tokens.dedup();
        match tokens.as_slice() {
            [token] => Ok((organization, Held::Token(*token))),
            [] => anyhow::bail!(
                "no token of {} has the number {id}, as far as we know: `patwarden tokens list` shows those that there are",
                organization.login
            ),
            _ => anyhow::bail!(
                "{id} is one token's number and another's grant: name the token by its other number"
            ),
        }
    }
}

/// A day as it is written in rules: no word such as `tomorrow`, which depends on who reads it where.
fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| {
        let in_a_month = Clock::system().now() + SignedDuration::from_hours(30 * 24);
        format!(
            "a day is written as year, month and day, such as {}",
            in_a_month.strftime("%Y-%m-%d")
        )
    })
}

/// How it is called for people.
fn named(held: &Held) -> String {
    match held {
        Held::Token(token) => format!("token {token}"),
        Held::Policy(policy) => output::cell(policy, 100),
    }
}

/// The end of that day, within what may be asked for.
fn end_of(day: Date, now: Timestamp) -> anyhow::Result<Timestamp> {
    let end = day.checked_add(1.day())?.to_zoned(TimeZone::UTC)?.timestamp();
    if end <= now {
        anyhow::bail!("{day} is over");
    }
    if end.duration_since(now) > LONGEST + SignedDuration::from_hours(24) {
        anyhow::bail!(
            "{day} is more than 180 days away: hold it for a shorter time, and again if need be"
        );
    }
    Ok(end)
}

impl Hold {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        if self.why.trim().is_empty() {
            anyhow::bail!("--why is empty: say why, for whoever reads the record");
        }
        let now = Clock::system().now();
        let until = end_of(self.until, now)?;
        let (organization, held) = self.what.find(&store, self.org.as_deref()).await?;
        if let Held::Policy(policy) = &held {
            known::look_at_policy(&store, &organization, policy).await?;
        }
        let by = access::operator("").name;
        store.hold(organization.id, &held, until, &self.why, &by, now).await?;
        output::line(format_args!(
            "No standing policy revokes {} of {} until the end of {} (UTC).",
            match &held {
                Held::Token(_) => named(&held),
                Held::Policy(_) => format!("anything by {}", named(&held)),
            },
            output::cell(organization.login.as_str(), 40),
            self.until
        ));
        output::line("`patwarden tokens revoke`, by hand, is not kept from it.");
        Ok(Exit::Well)
    }
}

impl Release {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let (organization, held) = self.what.find(&store, self.org.as_deref()).await?;
        let by = access::operator("").name;
        let released =
            store.release_holds(organization.id, &held, &by, Clock::system().now()).await?;
        if released == 0 {
            anyhow::bail!(
                "{} is not held: `patwarden revocations holds` shows what is",
                named(&held)
            );
        }
        output::line(format_args!(
            "{} is no longer held; standing policies are asked again with their next run.",
            named(&held)
        ));
        Ok(Exit::Well)
    }
}

impl Holds {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let now = Clock::system().now();
        let of = match &self.org {
            Some(_) => {
                Some(known::organization(&store, self.org.as_deref()).await?.organization.id)
            }
            None => None,
        };
        let mut holds = store.holds(of).await?;
        holds.retain(|hold| self.all || hold.is_in_force(now));
        if self.json {
            output::json(&holds)?;
            return Ok(Exit::Well);
        }
        if holds.is_empty() {
            output::line("Nothing is held: `patwarden revocations hold --help` says how.");
            return Ok(Exit::Well);
        }
        output::table(
            &["ORGANIZATION", "WHAT", "UNTIL (UTC)", "BY", "WHY", "RELEASED (UTC)"],
            holds.iter().map(row),
        );
        Ok(Exit::Well)
    }
}

fn row(hold: &HoldRow) -> Vec<String> {
    let minute = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
    vec![
        output::cell(hold.organization.login.as_str(), 30),
        named(&hold.held),
        minute(hold.until),
        output::cell(&hold.by, 60),
        output::cell(&hold.why, 120),
        hold.released
            .as_ref()
            .map(|(at, by)| format!("{} by {}", minute(*at), output::cell(by, 60)))
            .unwrap_or_default(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_hold_lasts_to_the_end_of_its_day_and_never_longer_than_180_days() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let end = |day: &str| end_of(day.parse().unwrap(), now);
        assert_eq!(end("2026-11-21").unwrap().to_string(), "2026-11-22T00:00:00Z");
        assert!(end("2026-11-20").unwrap_err().to_string().contains("is over"));
        assert!(end("2027-05-20").is_ok());
        assert!(end("2027-05-22").unwrap_err().to_string().contains("180 days"));
    }
}
