//! `patwarden tokens revoke`: a plan, its confirmation, and its end.

use clap::Args;
use jiff::SignedDuration;

use super::{minute, unreadable};
use crate::{
    cli::{
        Exit, Usage,
        access::{AccessArgs, Opened, Progress, operator},
        filter::TokenArgs,
        known, output, revocations,
    },
    domain::{agrees, many},
    engine::{BulkError, PLANS_LAPSE, Planned},
    github::MOST_AT_ONCE,
    inventory::Summary,
    store::{ItemState, RevocationRow, RevocationState},
};

/// How long a call for a hundred tokens takes, looking at them first: for the estimate.
const A_CALL: SignedDuration = SignedDuration::from_secs(2);

#[derive(Args)]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    access: AccessArgs,
    /// Of this organization; needed where the App is on several
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    #[command(flatten)]
    which: TokenArgs,
    /// Why: kept with the plan. GitHub takes no reason for a revocation
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// This plan, in place of a new one
    #[arg(long, value_name = "ID", value_parser = |text: &str| known::number(text, "revocations list"))]
    plan: Option<i64>,
    /// Revoke the tokens of --plan, once their number was typed
    #[arg(long, requires = "plan")]
    apply: bool,
    /// Go on with --plan where it was left
    #[arg(long, requires = "plan", conflicts_with = "apply")]
    resume: bool,
    /// Do not ask for the number: for scripts, with --plan and --apply
    #[arg(long, requires = "apply")]
    yes: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let filter = self.which.filter();
        match self.plan {
            None => self.make_a_plan().await,
            Some(_) if self.org.is_some() => {
                Err(Usage("--plan names the tokens already: leave out --org".to_owned()).into())
            }
            Some(_) if !filter.is_empty() => Err(Usage(format!(
                "--plan names the tokens already: leave out what says which ({filter})"
            ))
            .into()),
            Some(id) if self.apply || self.resume => self.carry_out(id).await,
            Some(id) => {
                let store = self.access.store().await?;
                revocations::show(&store, id, self.json, false).await
            }
        }
    }

    async fn make_a_plan(self) -> anyhow::Result<Exit> {
        let filter = self.which.filter();
        if filter.is_empty() {
            return Err(empty_filter());
        }
        let Opened { store, bulk } = self.access.open().await?;
        let named = known::organization(&store, self.org.as_deref()).await?;
        let heard = store.token_listing(named.organization.id).await?.is_some();
        if heard {
            known::look_at_tokens(&store, &named.organization, &filter).await?;
        }
        let installation = bulk.installation(named.organization.id).await?;
        let progress = Progress::new();
        let planned = bulk.plan(&installation, &filter, &operator(&self.reason), &progress).await;
        progress.end();
        let planned = match planned {
            Err(BulkError::Interrupted) => {
                output::note("Interrupted: nothing was planned.");
                return Ok(Exit::Unfinished);
            }
            planned => planned?,
        };
        if !heard {
            known::look_at_tokens(&store, &named.organization, &filter).await?;
        }
        if self.json {
            let parts = planned.parts.iter();
            let parts: Vec<_> = parts
                .map(|(part, alone)| serde_json::json!({ "filter": part, "tokens": alone }))
                .collect();
            output::json(&serde_json::json!({
                "plan": planned.revocation, "summary": planned.summary, "cannot_say": planned.cannot_say,
                "active": planned.listing.active, "unreadable": planned.listing.unreadable,
                "unreadable_reaching": planned.unreadable_reaching, "parts": parts,
            }))?;
            return Ok(Exit::Well);
        }
        show_plan(&planned, filter.to_string());
        Ok(Exit::Well)
    }

    async fn carry_out(self, id: i64) -> anyhow::Result<Exit> {
        let Opened { store, bulk } = self.access.open().await?;
        let of_a_policy = store.revocation(id).await?.filter(|row| row.policy.is_some());
        if let Some(row) = of_a_policy.filter(|row| !row.state.is_over()) {
            anyhow::bail!(
                "revocation {id} is a run of {}, which `patwarden serve` carries out: confirm it with `patwarden \
                 revocations confirm {id}`",
                row.policy.unwrap_or_default()
            );
        }
        if self.resume {
            let row = store.revocation(id).await?;
            if row.is_some_and(|row| row.state == RevocationState::Planned) {
                anyhow::bail!(
                    "revocation {id} was never confirmed, so there is nothing to go on with: patwarden tokens revoke \
                     --plan {id} --apply"
                );
            }
        }
        if self.apply {
            let before = store.revocation(id).await?;
            let before = before.filter(|row| {
                row.state == RevocationState::Planned || row.state == RevocationState::Waiting
            });
            if let Some(before) = before {
                let tokens = revocations::count(&store, id).await?;
                if !self.yes && !revocations::confirmed(&before, tokens).await? {
                    output::line("Nothing was revoked.");
                    return Ok(Exit::NotWell);
                }
            }
            bulk.confirm(id, &operator("")).await?;
        }
        let progress = Progress::new();
        let carried = bulk.carry_out(id, &progress).await;
        progress.end();
        match carried {
            Ok(carried) => revocations::report(&store, &carried.revocation, self.json).await,
            Err(error) => {
                let counts = store.count_revocation_items(id).await?;
                let counted = |wanted: &[ItemState]| -> i64 {
                    let of = counts.iter().filter(|(state, _)| wanted.contains(state));
                    of.map(|(_, count)| count).sum()
                };
                let planned = counted(&[ItemState::Planned]);
                let sent = counted(&[ItemState::Sent, ItemState::Acknowledged]);
                output::note(&format!(
                    "Revocation {id} is not at its end ({error}): {} not sent to GitHub yet; of {sent} that \
                     {} it is not seen yet that the access is gone.\n\
                     Go on with: patwarden tokens revoke --plan {id} --resume",
                    format_args!("{} {}", many(planned, "token"), agrees(planned, "was", "were")),
                    agrees(sent, "was", "were"),
                ));
                Ok(Exit::Unfinished)
            }
        }
    }
}

fn empty_filter() -> anyhow::Error {
    Usage(
        "say which tokens: an empty filter would mean all of them. For instance --unused-for 90d, --owner LOGIN, \
         --permission contents=write; `patwarden tokens revoke --help` has all"
            .to_owned(),
    )
    .into()
}

fn show_plan(planned: &Planned, filter: String) {
    let Planned { revocation, summary, listing, .. } = planned;
    let Some(revocation) = revocation else {
        output::line(format_args!(
            "No token with access is meant by {filter}; {} {} active.",
            listing.active,
            agrees(listing.active, "is", "are")
        ));
        output::parts(&planned.parts);
        say_left_alone(planned);
        return;
    };
    show_tokens(revocation, summary);
    say_left_alone(planned);
    output::line("");
    output::line("Nothing was revoked. What revoking does not do:");
    output::line("  - public data stays readable: also a token without access reads it;");
    output::line("  - SSH keys and deploy keys that were made with these tokens go on working;");
    output::line("  - the owners get GitHub's mail, without your reason: GitHub takes none.");
    let lapses = revocation.planned_at.saturating_add(PLANS_LAPSE).unwrap_or(revocation.planned_at);
    output::line("");
    output::line(format_args!("The plan lapses at {} UTC.", minute(lapses)));
    output::line(format_args!("See every token:  patwarden revocations show {}", revocation.id));
    output::line(format_args!(
        "Revoke them:      patwarden tokens revoke --plan {} --apply",
        revocation.id
    ));
}

/// What a plan comes to, in some lines.
fn show_tokens(revocation: &RevocationRow, summary: &Summary) {
    let count = summary.tokens;
    output::line(format_args!(
        "Plan {}: {count} of {} of {} ({} %), by {}",
        revocation.id,
        many(revocation.active, "active token"),
        output::cell(revocation.organization.login.as_str(), 40),
        summary.share_of(revocation.active),
        output::cell(&revocation.filter, 500),
    ));
    if i64::try_from(count) == Ok(revocation.active) {
        output::line("  EVERY active token of the organization is meant.");
    }
    let owners: Vec<_> = summary
        .busiest_owners(8)
        .into_iter()
        .map(|(login, tokens)| format!("{} {tokens}", output::cell(login, 40)))
        .collect();
    let others = summary.owners.len().saturating_sub(8);
    let others = if others > 0 { format!(" and {}", many(others, "other")) } else { String::new() };
    output::line(format_args!("  of         {}{others}", owners.join(", ")));
    output::line(format_args!(
        "  may        write to repositories: {}, to the organization: {}; reach all repositories: {}",
        summary.may_write_repositories, summary.may_write_organization, summary.all_repositories
    ));
    let used = &summary.last_used;
    output::line(format_args!(
        "  last used  within a day: {}, a week: {}, thirty days: {}, longer ago: {}, never: {}",
        used.within_a_day, used.within_a_week, used.within_thirty_days, used.longer_ago, used.never
    ));
    output::line(format_args!(
        "  expiry     never: {}, expired already: {}",
        summary.never_expire, summary.expired
    ));
    let calls = usize::try_from(count).unwrap_or(usize::MAX).div_ceil(MOST_AT_ONCE);
    let takes = A_CALL.saturating_mul(i32::try_from(calls).unwrap_or(i32::MAX));
    output::line(format_args!(
        "  takes      {}, at GitHub's pace some {}",
        many(calls, "call"),
        if takes.as_mins() > 1 {
            format!("{} minutes", takes.as_mins())
        } else {
            "seconds".to_owned()
        }
    ));
}

fn say_left_alone(planned: &Planned) {
    if planned.cannot_say > 0 {
        output::line(format_args!(
            "  left alone {} of which nobody can say whether {} meant (not yet judged, or not readable)",
            many(planned.cannot_say, "token"),
            agrees(planned.cannot_say, "it is", "they are")
        ));
    }
    let unreadable = unreadable(planned.unreadable_reaching, planned.listing.unreadable);
    unreadable.iter().for_each(|line| output::line(format_args!("  unread     {line}")));
}
