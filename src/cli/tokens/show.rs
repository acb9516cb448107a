//! `patwarden tokens show`: one token's card.

use clap::Args;

use super::{approved_by, as_json, expiry, minute, repositories};
use crate::{
    cli::{Exit, StoreArgs, known, output},
    domain::{Approval, KnownToken, Membership},
    engine::lifecycle::{Outcome, SettledBy, State},
    rules::render,
    store::{RequestRow, Store, TokenEventKind, TokenEventRow},
};

#[derive(Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    store: StoreArgs,
    /// The number of its grant, as `tokens list` shows it, or the token's own
    #[arg(value_parser = |text: &str| known::number(text, "tokens list"))]
    id: i64,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let tokens = store.tokens_numbered(self.id, None).await?;
        if tokens.is_empty() {
            anyhow::bail!(not_listed(&store, self.id).await?);
        }
        let mut all = Vec::new();
        for mut token in tokens {
            known::add_repositories(&store, &mut token).await?;
            let grant = &token.grant;
            let events = store.token_events(grant.organization.id, grant.id).await?;
            let revoked = store.revocation_of(grant.organization.id, grant.id).await?;
            all.push((token, events, revoked));
        }
        if self.json {
            let cards: Vec<_> = all
                .iter()
                .map(|(token, events, revoked)| {
                    let mut card = as_json(token);
                    if let Some(card) = card.as_object_mut() {
                        card.insert("events".to_owned(), serde_json::json!(events));
                        card.insert("revoked_by".to_owned(), serde_json::json!(revoked));
                    }
                    card
                })
                .collect();
            output::json(&cards)?;
            return Ok(Exit::Well);
        }
        for (number, (token, events, revoked)) in all.iter().enumerate() {
            if number > 0 {
                output::line("");
            }
            card(token, events);
            if let Some(revoked) = revoked {
                output::line(format_args!(
                    "Revoked by revocation {}, confirmed by {}{} (patwarden revocations show {}).",
                    revoked.id,
                    output::cell(revoked.confirmed_by.as_deref().unwrap_or("nobody"), 200),
                    if revoked.reason.is_empty() {
                        String::new()
                    } else {
                        format!(": {}", output::cell(&revoked.reason, 300))
                    },
                    revoked.id
                ));
            }
        }
        Ok(Exit::Well)
    }
}

/// Why there is no card: what the requests tell of a token that no listing has shown.
async fn not_listed(store: &Store, id: i64) -> anyhow::Result<String> {
    let requests = store.requests_about(id).await?;
    let Some(row) = requests.first() else {
        return Ok(format!(
            "no token with the number {id} was ever listed: `patwarden tokens list` shows those that were"
        ));
    };
    let login = output::cell(row.organization.login.as_str(), 40);
    let what = format!(
        "{id} is {} \"{}\" of {}",
        if row.token_id.is_some_and(|token| token.0 == id) {
            "the token".to_owned()
        } else {
            format!(
                "the number of the request{} for",
                row.token_id.map(|token| format!(" (token {token})")).unwrap_or_default()
            )
        },
        output::cell(&row.token_name, 60),
        output::cell(row.owner.login.as_str(), 40)
    );
    Ok(match &row.state {
        State::Checking | State::Settled(Outcome::Approved, _) => format!(
            "{what}: {}, and no listing has shown it yet. List them now: patwarden tokens list --org {login} --refresh",
            approved(store, row).await?
        ),
        state => format!(
            "{what}, which has no access that was ever listed: its request stands at \"{state}\". patwarden requests list \
             --org {login} --all"
        ),
    })
}

async fn approved(store: &Store, row: &RequestRow) -> anyhow::Result<String> {
    let decision = row.decision_id;
    let ours = match &row.state {
        State::Checking => store.open_review(row.key()).await?.is_none(),
        State::Settled(_, by) => *by == SettledBy::Rule,
        _ => false,
    };
    let at = minute(row.state_since);
    Ok(match decision.filter(|_| ours) {
        Some(id) => {
            let rules = store.decision(id).await?.map(|row| render::sentence(&row.decision));
            format!(
                "patwarden approved it on {at} UTC ({}; patwarden decisions show {id})",
                rules.unwrap_or_default()
            )
        }
        None => {
            format!("it was approved on {at} UTC ({})", output::cell(&row.state.to_string(), 200))
        }
    })
}

fn card(token: &KnownToken, events: &[TokenEventRow]) {
    let grant = &token.grant;
    let member = match token.membership {
        Membership::Member(role) => role.as_str().to_owned(),
        Membership::Left { since: Some(at) } => {
            format!("not a member any more, since {} UTC at the latest", minute(at))
        }
        Membership::Left { since: None } => "not a member".to_owned(),
        Membership::Unknown => "whether they are a member was not read".to_owned(),
    };
    let lines = [
        (
            "token",
            format!(
                "{} (id {}, grant {})",
                output::cell(&grant.token.name, 100),
                grant.token.id,
                grant.id
            ),
        ),
        ("organization", output::cell(grant.organization.login.as_str(), 60)),
        ("owner", format!("{} ({member})", output::cell(grant.owner.login.as_str(), 60))),
        ("may", output::cell(&render::permissions(&grant.permissions), 1_000)),
        ("repositories", output::cell(&repositories(token), 1_000)),
        ("access since", format!("{} UTC", minute(grant.access_granted_at))),
        ("expires", expiry(grant)),
        (
            "last used",
            grant
                .token
                .last_used_at
                .map_or_else(|| "never".to_owned(), |at| format!("{} UTC", minute(at))),
        ),
        ("approved by", approval(&token.approval)),
        ("covered", covered(token)),
        ("first seen", format!("{} UTC", minute(token.first_seen_at))),
        (
            "access ended",
            token.gone_at.map_or_else(
                || "it has access".to_owned(),
                |at| format!("{} UTC at the latest", minute(at)),
            ),
        ),
    ];
    for (name, value) in lines {
        output::line(format_args!("{name:<14}{value}"));
    }
    let told: Vec<_> =
        events.iter().filter(|event| event.what != TokenEventKind::FirstSeen).collect();
    if told.is_empty() {
        output::line("Nothing changed since it was first seen.");
    } else {
        output::line("What changed:");
    }
    for event in told {
        let what = match event.what {
            TokenEventKind::FirstSeen => continue,
            TokenEventKind::Changed => "changed",
            TokenEventKind::Gone => "its access ended",
            TokenEventKind::Back => "it has access again",
        };
        output::line(format_args!("  {} UTC  {what}", minute(event.at)));
        for (field, change) in &event.detail {
            let text = |at: usize| change.get(at).map(ToString::to_string).unwrap_or_default();
            output::line(format_args!(
                "      {field}: {} -> {}",
                output::cell(&text(0), 300),
                output::cell(&text(1), 300)
            ));
        }
    }
}

fn approval(approval: &Approval) -> String {
    match approval {
        Approval::Rule { decision, source, at, .. } => format!(
            "{}, on {} UTC, under {} (patwarden decisions show {decision})",
            output::cell(&approved_by(approval), 300),
            minute(*at),
            output::cell(source, 300)
        ),
        Approval::Person { login, at, .. } | Approval::App { login, at, .. } => {
            format!("{}, heard of on {} UTC", output::cell(login, 60), minute(*at))
        }
        Approval::Itself => "itself: an owner's own token asks nobody".to_owned(),
        Approval::Unknown => {
            "nobody on record: before patwarden came, or while it was away".to_owned()
        }
    }
}

fn covered(token: &KnownToken) -> String {
    match &token.coverage {
        None => "not yet judged".to_owned(),
        Some(found) => format!(
            "{} ({}), as of {} UTC",
            found.covered.as_str(),
            output::cell(&found.why, 300),
            minute(found.judged_at)
        ),
    }
}
