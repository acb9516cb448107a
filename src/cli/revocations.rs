//! `patwarden revocations`: what was planned and revoked, token by token, for people and for auditors.

mod confirm;
mod holds;

use clap::Subcommand;
use serde::Serialize;

use super::{Exit, StoreArgs, known, output};
use crate::{
    domain::{GrantId, agrees, many},
    engine::lapsed,
    store::{ItemState, RevocationItemRow, RevocationRow, RevocationState, Store},
};

/// How many tokens are read from the store at once.
const READ_AT_ONCE: i64 = 1_000;

/// What was planned and revoked, token by token.
#[derive(Subcommand)]
pub(super) enum Revocations {
    /// List plans and what came of them, newest first
    #[command(after_help = words())]
    List(List),
    /// One plan or revocation with every token of it: the report
    #[command(after_help = words())]
    Show(Show),
    /// Let a run of a standing policy go that waits because it is about too many tokens
    Confirm(confirm::Confirm),
    /// Keep standing policies from revoking a token, or one of them from revoking any, until a day
    Hold(holds::Hold),
    /// Take a hold back before its end
    Release(holds::Release),
    /// List what is held, until when and why
    Holds(holds::Holds),
}

/// What the words in the tables mean.
fn words() -> String {
    let mut text = "A revocation is\n".to_owned();
    for state in RevocationState::ALL {
        text.push_str(&format!("  {:<14}{}\n", state.as_str(), state.meaning()));
    }
    text.push_str(
        "  lapsed        planned or waiting for more than a day: it cannot be confirmed any more\n",
    );
    text.push_str("\nA token of it is\n");
    for state in ItemState::ALL {
        text.push_str(&format!("  {:<14}{}\n", state.as_str(), state.meaning()));
    }
    text
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    store: StoreArgs,
    /// Only those of this organization
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: i64,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    store: StoreArgs,
    /// Its number
    #[arg(value_parser = |text: &str| known::number(text, "revocations list"))]
    id: i64,
    /// As JSON, for scripts
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// The tokens as CSV, for spreadsheets and auditors
    #[arg(long)]
    csv: bool,
}

impl Revocations {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show_it) => {
                let store = show_it.store.open().await?;
                show(&store, show_it.id, show_it.json, show_it.csv).await
            }
            Self::Confirm(confirm) => confirm.run().await,
            Self::Hold(hold) => hold.run().await,
            Self::Release(release) => release.run().await,
            Self::Holds(holds) => holds.run().await,
        }
    }
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    revocation: RevocationRow,
    tokens: serde_json::Map<String, serde_json::Value>,
}

fn by_state(counts: &[(ItemState, i64)]) -> serde_json::Map<String, serde_json::Value> {
    counts.iter().map(|(state, count)| (state.as_str().to_owned(), (*count).into())).collect()
}

impl List {
    async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        if let Some(org) = &self.org {
            known::is_on_record(&store, org).await?;
        }
        let mut listed = Vec::new();
        for revocation in store.revocations(self.org.as_deref(), self.limit).await? {
            let counts = store.count_revocation_items(revocation.id).await?;
            listed.push((revocation, counts));
        }
        if self.json {
            let listed: Vec<_> = listed
                .into_iter()
                .map(|(revocation, counts)| Listed { revocation, tokens: by_state(&counts) })
                .collect();
            output::json(&listed)?;
            return Ok(Exit::Well);
        }
        if listed.is_empty() {
            output::line("Nothing was ever planned: `patwarden tokens revoke --help` says how.");
            return Ok(Exit::Well);
        }
        output::table(
            &["REVOCATION", "ORGANIZATION", "STATE", "PLANNED (UTC)", "TOKENS", "WHICH", "BY"],
            listed.iter().map(|(revocation, counts)| {
                vec![
                    revocation.id.to_string(),
                    output::cell(revocation.organization.login.as_str(), 30),
                    state(revocation),
                    revocation.planned_at.strftime("%Y-%m-%d %H:%M").to_string(),
                    in_words(counts),
                    output::cell(&which(revocation), 80),
                    output::cell(
                        revocation.confirmed_by.as_ref().unwrap_or(&revocation.planned_by),
                        60,
                    ),
                ]
            }),
        );
        Ok(Exit::Well)
    }
}

fn state(revocation: &RevocationRow) -> String {
    match lapsed(revocation, crate::clock::Clock::system().now()) {
        Some(_) => "lapsed".to_owned(),
        None => revocation.state.as_str().to_owned(),
    }
}

fn which(revocation: &RevocationRow) -> String {
    match &revocation.policy {
        Some(policy) => format!("{policy}: {}", revocation.filter),
        None => revocation.filter.clone(),
    }
}

fn in_words(counts: &[(ItemState, i64)]) -> String {
    let words: Vec<_> =
        counts.iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
    words.join(", ")
}

/// How many tokens a revocation has.
pub(super) async fn count(store: &Store, id: i64) -> anyhow::Result<i64> {
    Ok(store.count_revocation_items(id).await?.iter().map(|(_, count)| count).sum())
}

/// Shows one, as its report.
pub(super) async fn show(store: &Store, id: i64, json: bool, csv: bool) -> anyhow::Result<Exit> {
    let revocation = store.revocation(id).await?.ok_or_else(|| {
        anyhow::anyhow!(
            "there is no revocation {id}: `patwarden revocations list` shows those that there are"
        )
    })?;
    let counts = store.count_revocation_items(id).await?;
    if csv {
        let mut writer = output::csv();
        writer.write_record([
            "revocation",
            "organization",
            "grant_id",
            "token_id",
            "owner",
            "token_name",
            "outcome",
            "why",
            "selected",
            "permissions",
            "last_used_at",
            "sent_at",
            "ended_at",
            "confirmed_by",
            "reason",
        ])?;
        each(store, id, |item| {
            let moment =
                |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
            let cells = [
                id.to_string(),
                revocation.organization.login.to_string(),
                item.grant_id.to_string(),
                item.token_id.to_string(),
                item.owner.to_string(),
                item.token_name.clone(),
                item.state.as_str().to_owned(),
                item.why.clone(),
                item.selected.clone(),
                crate::rules::render::permissions(&item.planned.permissions),
                moment(item.planned.token.last_used_at),
                moment(item.sent_at),
                moment(item.ended_at),
                revocation.confirmed_by.clone().unwrap_or_default(),
                revocation.reason.clone(),
            ];
            Ok(writer.write_record(cells.iter().map(|cell| output::csv_cell(cell)))?)
        })
        .await?;
        writer.flush()?;
        return Ok(Exit::Well);
    }
    if json {
        let mut items = Vec::new();
        each(store, id, |item| {
            items.push(item);
            Ok(())
        })
        .await?;
        output::json(&serde_json::json!({
            "revocation": revocation, "counts": by_state(&counts), "tokens": items,
        }))?;
        return Ok(Exit::Well);
    }
    head(&revocation, &counts);
    output::line("");
    let mut rows = Vec::new();
    each(store, id, |item| {
        rows.push(vec![
            item.grant_id.to_string(),
            output::cell(item.owner.as_str(), 24),
            output::cell(&item.token_name, 30),
            output::cell(&crate::rules::render::permissions(&item.planned.permissions), 60),
            item.planned
                .token
                .last_used_at
                .map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d").to_string()),
            item.state.as_str().to_owned(),
            // What became of it says more than why it was selected, where there is something to be said.
            output::cell(if item.why.is_empty() { &item.selected } else { &item.why }, 120),
        ]);
        Ok(())
    })
    .await?;
    output::table(&["GRANT", "OWNER", "TOKEN", "MAY", "LAST USED", "OUTCOME", "WHY"], rows);
    if let Some(next) = next_step(&revocation) {
        output::line("");
        output::line(next);
    }
    Ok(Exit::Well)
}

/// What somebody can do about one that is not over.
fn next_step(revocation: &RevocationRow) -> Option<String> {
    let id = revocation.id;
    if let Some(why) = lapsed(revocation, crate::clock::Clock::system().now()) {
        return Some(format!("Nothing was revoked: {why}."));
    }
    Some(match (revocation.state, &revocation.policy) {
        (RevocationState::Planned, _) => {
            format!(
                "Nothing was revoked. Revoke them:  patwarden tokens revoke --plan {id} --apply"
            )
        }
        (RevocationState::Waiting, _) => format!(
            "Nothing was revoked. Let it go:  patwarden revocations confirm {id}\n\
             Keep a token from it:  patwarden revocations hold --help"
        ),
        (RevocationState::Running, None) => {
            format!("It is not at its end. Go on:  patwarden tokens revoke --plan {id} --resume")
        }
        (RevocationState::Running, Some(_)) => {
            "It is not at its end: `patwarden serve` carries it out.".to_owned()
        }
        (RevocationState::Done | RevocationState::Dropped | RevocationState::Reported, _) => {
            return None;
        }
    })
}

fn head(revocation: &RevocationRow, counts: &[(ItemState, i64)]) {
    let at = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    output::line(format_args!(
        "Revocation {} of {}: {}",
        revocation.id,
        output::cell(revocation.organization.login.as_str(), 40),
        state(revocation)
    ));
    output::line(format_args!("  which      {}", output::cell(&which(revocation), 500)));
    if !revocation.reason.is_empty() {
        output::line(format_args!("  reason     {}", output::cell(&revocation.reason, 1_000)));
    }
    output::line(format_args!(
        "  planned    {} by {}; {} {} active",
        at(revocation.planned_at),
        output::cell(&revocation.planned_by, 200),
        many(revocation.active, "token"),
        agrees(revocation.active, "was", "were")
    ));
    if let (Some(by), Some(when)) = (&revocation.confirmed_by, revocation.confirmed_at) {
        output::line(format_args!("  confirmed  {} by {}", at(when), output::cell(by, 200)));
    }
    if let Some(when) = revocation.ended_at {
        output::line(format_args!("  ended      {}", at(when)));
    }
    if !revocation.note.is_empty() {
        output::line(format_args!("  note       {}", output::cell(&revocation.note, 500)));
    }
    output::line(format_args!("  tokens     {}", in_words(counts)));
}

/// What came of a revocation that is at its end.
pub(super) async fn report(
    store: &Store,
    revocation: &RevocationRow,
    json: bool,
) -> anyhow::Result<Exit> {
    let counts = store.count_revocation_items(revocation.id).await?;
    let not_all =
        counts.iter().any(|(state, _)| matches!(state, ItemState::StillThere | ItemState::LeftOut));
    if json {
        show(store, revocation.id, true, false).await?;
    } else {
        head(revocation, &counts);
        let aside = |state: ItemState| matches!(state, ItemState::LeftOut | ItemState::StillThere);
        let mut rows = Vec::new();
        each(store, revocation.id, |item| {
            if aside(item.state) && rows.len() < 20 {
                let owner = output::cell(item.owner.as_str(), 24);
                let name = output::cell(&item.token_name, 30);
                rows.push(vec![
                    item.grant_id.to_string(),
                    owner,
                    name,
                    item.state.as_str().to_owned(),
                    item.why,
                ]);
            }
            Ok(())
        })
        .await?;
        if !rows.is_empty() {
            output::line("");
            output::table(&["GRANT", "OWNER", "TOKEN", "OUTCOME", "WHY"], rows);
        }
        output::line("");
        output::line(format_args!(
            "The report is kept: patwarden revocations show {} (--json, --csv)",
            revocation.id
        ));
    }
    // Who counts on all of them being gone must see that they are not.
    Ok(if not_all { Exit::NotWell } else { Exit::Well })
}

/// Asks for the number of tokens.
pub(super) async fn confirmed(revocation: &RevocationRow, tokens: i64) -> anyhow::Result<bool> {
    output::line(format_args!(
        "Revocation {} takes the access of {} of {} away: {}",
        revocation.id,
        many(tokens, "token"),
        output::cell(revocation.organization.login.as_str(), 40),
        output::cell(&which(revocation), 500)
    ));
    if tokens == revocation.active {
        output::line("EVERY active token of the organization is meant.");
    }
    output::line("It cannot be undone: access would have to be asked for again.");
    let them = agrees(tokens, "it", "them");
    output::line(format_args!("Type {tokens} to revoke {them}, anything else to leave {them}:"));
    let typed = output::typed().await?;
    Ok(typed.trim() == tokens.to_string())
}

async fn each(
    store: &Store,
    id: i64,
    mut see: impl FnMut(RevocationItemRow) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = GrantId(i64::MIN);
    loop {
        let items = store.revocation_items(id, None, after, READ_AT_ONCE).await?;
        let Some(last) = items.last() else { return Ok(()) };
        after = last.grant_id;
        items.into_iter().try_for_each(&mut see)?;
    }
}
