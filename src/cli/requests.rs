//! `patwarden requests`: what is pending, what was decided and why.

mod asked;
mod listed;
mod review;

use std::collections::HashMap;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use super::{Exit, StoreArgs, filter::AskedArgs, known, output};
use crate::{
    domain::{Permissions, RepositorySelection, agrees, many},
    engine::lifecycle::State,
    rules::render,
    store::{DecisionRow, PolicyInForceRow, RequestFilter, RequestRow, ReviewRow, Store},
};

/// What is pending, what was decided and why.
#[derive(Subcommand)]
pub(super) enum Requests {
    /// List requests, newest first: those that are open, or with --all every one that was ever heard of
    ///
    /// Shown is what each asks for, where it stands, and why. Flags that say which are asked of what GitHub listed last.
    /// Which repositories a token would reach is known where it was judged; what nobody can say is counted. Tables are cut
    /// to the terminal's width ($COLUMNS, else 120): --json and --csv have all of it.
    List(Box<List>),
    /// Show one request: where it stands, what was decided, who is asked and what they answered
    Show(asked::Show),
    /// Approve pending requests by hand: these, or those that flags mean
    ///
    /// Each is looked up, judged anew, and shown with what the rules say. Nothing that a hard rule denies is ever approved,
    /// nor what it may deny while a fact cannot be read, nor anything while the rules are broken. What only soft rules deny
    /// needs --override WHY, which stays on record with your name. Nothing is sent before the number of requests was typed.
    #[command(after_help = review::AFTER_APPROVE)]
    Approve(Box<review::Approve>),
    /// Deny pending requests by hand, with a reason that GitHub mails to the requesters
    ///
    /// Each is looked up, judged anew for the record, and shown. Say in the reason what would pass: it is all that the
    /// requester sees. Nothing is sent before the number of requests was typed; many go together, with one reason.
    #[command(after_help = review::AFTER_DENY)]
    Deny(Box<review::Deny>),
    /// Let patwarden act on many waiting requests at once
    ///
    /// When a first run or a changed policy would act on more waiting requests than `most-at-once`, each is
    /// judged and nothing is sent. This command shows what would be sent, and with the number typed (or with
    /// --yes) lets it go.
    Confirm(Confirm),
}

#[derive(clap::Args)]
pub(super) struct Confirm {
    #[command(flatten)]
    store: StoreArgs,
    /// Of this organization
    #[arg(long, value_name = "LOGIN")]
    org: String,
    /// Do not ask for the number: for scripts
    #[arg(long)]
    yes: bool,
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    store: StoreArgs,
    /// Only those of this organization
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// Those that are over, too
    #[arg(long)]
    all: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// As JSON, for scripts
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// As CSV, for spreadsheets
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    which: AskedArgs,
}

#[derive(Serialize)]
struct Line {
    organization: String,
    request_id: i64,
    token_id: Option<i64>,
    owner: String,
    token_name: String,
    permissions: Option<Permissions>,
    repository_selection: Option<RepositorySelection>,
    repositories: Option<Vec<String>>,
    expires_at: Option<Timestamp>,
    state: String,
    outcome: Option<&'static str>,
    settled_by: Option<&'static str>,
    actor: Option<String>,
    review: Option<ReviewRow>,
    asked: Option<asked::Asked>,
    decision: Option<i64>,
    effect: Option<&'static str>,
    rules: Vec<String>,
    why: Option<String>,
    note: String,
    first_seen_at: Timestamp,
    since: Timestamp,
    next_look_at: Option<Timestamp>,
    #[serde(skip)]
    asks_for: String,
    #[serde(skip)]
    on: String,
}

impl Requests {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let list = match self {
            Self::List(list) => list,
            Self::Show(show) => return show.run().await,
            Self::Approve(approve) => return approve.run().await,
            Self::Deny(deny) => return deny.run().await,
            Self::Confirm(confirm) => return confirm.run().await,
        };
        let store = list.store.open().await?;
        let asked = list.which.filter();
        let limit = if asked.is_empty() { list.limit } else { i64::MAX };
        if let Some(org) = &list.org {
            known::is_on_record(&store, org).await?;
        }
        let filter = RequestFilter { organization: list.org, open_only: !list.all, limit };
        let rows = store.requests(&filter).await?;
        let organization = filter.organization.as_ref().and(rows.first());
        known::look_at(&store, organization.map(|row| &row.organization), &asked).await?;
        let decisions = decisions_of(&store, &rows).await?;
        let now = crate::clock::Clock::system().now();
        let listed::Selected { mut rows, cannot_say, parts } =
            listed::select(rows, &decisions, &asked, now);
        rows.truncate(usize::try_from(list.limit).unwrap_or(usize::MAX));
        let mut lines = Vec::new();
        for row in &rows {
            let review = store.reviews(row.key()).await?.pop();
            let decision = row.decision_id.and_then(|id| decisions.get(&id));
            let asked = asked::Asked::of(&store, row).await?;
            lines.push(Line { asked, ..line(row, decision, review) });
        }
        if list.csv {
            listed::csv(&rows, &lines)?;
            if cannot_say > 0 {
                output::note(&listed::unsaid(cannot_say));
            }
            return Ok(Exit::Well);
        }
        let unconfirmed = store.unconfirmed().await?;
        let backlog = store.backlog().await?;
        let unread = store.unread_deliveries(5).await?;
        let parked = store.parked(crate::clock::Clock::system().now()).await?;
        let policies = store.policies_in_force().await?;
        if list.json {
            output::json(&serde_json::json!({
                "requests": lines, "deliveries": backlog, "unread_deliveries": unread,
                "rate_limits": parked, "policies": policies, "cannot_say": cannot_say,
            }))?;
            return Ok(Exit::Well);
        }
        if lines.is_empty() {
            output::line(match (asked.is_empty(), list.all) {
                (false, true) => format!("No request is meant by {asked}."),
                (false, false) => {
                    format!(
                        "No open request is meant by {asked} (--all: those that are over, too)."
                    )
                }
                (true, true) => "No request was ever heard of.".to_owned(),
                (true, false) => "Nothing is open.".to_owned(),
            });
            output::parts(&parts);
        } else {
            listed::table(&lines, now);
        }
        if cannot_say > 0 {
            output::line("");
            output::line(listed::unsaid(cannot_say));
        }
        for policy in &policies {
            if let Some(line) = not_acted_on(policy) {
                output::line("");
                output::line(line);
            }
        }
        for (_, login, count) in &unconfirmed {
            output::line("");
            output::line(format_args!(
                "{} of {} {} for a confirmation: patwarden requests confirm --org {}",
                many(*count, "request"),
                output::cell(login, 40),
                agrees(*count, "waits", "wait"),
                output::cell(login, 40)
            ));
        }
        for limit in &parked {
            let left = match (limit.remaining, limit.call_limit) {
                (Some(left), Some(all)) => {
                    format!(", with {left} of {} left this hour", many(all, "call"))
                }
                _ => String::new(),
            };
            output::line("");
            output::line(format_args!(
                "GitHub limits calls for {}{left}; its requests wait until {} UTC.",
                output::cell(&limit.organization, 40),
                limit.until.strftime("%Y-%m-%d %H:%M:%S")
            ));
        }
        if backlog.unread > 0 {
            output::line("");
            output::line(format_args!(
                "{} not understood, and kept; the newest:",
                format_args!(
                    "{} {}",
                    many(backlog.unread, "signed delivery"),
                    agrees(backlog.unread, "was", "were")
                )
            ));
            for delivery in unread {
                output::line(format_args!(
                    "  {} {}: {}",
                    delivery.at.strftime("%Y-%m-%d %H:%M"),
                    delivery.event,
                    output::cell(&delivery.why, 120)
                ));
            }
        }
        Ok(Exit::Well)
    }
}

impl Confirm {
    async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let all = store.unconfirmed().await?;
        let Some((organization, login, count)) =
            all.iter().find(|(_, login, _)| login.eq_ignore_ascii_case(&self.org))
        else {
            known::is_on_record(&store, &self.org).await?;
            output::line(format_args!("Nothing of {} waits for a confirmation.", self.org));
            return Ok(Exit::Well);
        };
        let filter =
            RequestFilter { organization: Some(login.clone()), open_only: true, limit: i64::MAX };
        let rows = store.requests(&filter).await?;
        let rows: Vec<RequestRow> = rows.into_iter().filter(|row| row.unconfirmed).collect();
        let decisions = decisions_of(&store, &rows).await?;
        let effects = |effect: &str| {
            let of = |row: &&RequestRow| {
                row.decision_id
                    .and_then(|id| decisions.get(&id))
                    .is_some_and(|row| row.decision.effect.as_str() == effect)
            };
            rows.iter().filter(of).count()
        };
        output::line(format_args!(
            "{login}: {}; as judged so far, {} would be approved, {} denied, {} left to people.",
            many(*count, "waiting request"),
            effects("approve"),
            effects("deny"),
            effects("escalate"),
        ));
        output::line("Each is judged again on fresh facts before anything is sent.");
        if !self.yes {
            let them = agrees(*count, "it", "them");
            output::line(format_args!(
                "Type {count} to let {them} go, anything else to leave {them}:"
            ));
            let typed = output::typed().await?;
            if typed.trim() != count.to_string() {
                output::line("Left as they are.");
                return Ok(Exit::NotWell);
            }
        }
        let confirmed = store.confirm(*organization, crate::clock::Clock::system().now()).await?;
        output::line(format_args!(
            "{} {} free; `patwarden serve` takes {} up.",
            many(confirmed, "request"),
            agrees(confirmed, "is", "are"),
            agrees(confirmed, "it", "them")
        ));
        Ok(Exit::Well)
    }
}

/// Why nothing happens in an organization, where that is on purpose or needs somebody.
fn not_acted_on(policy: &PolicyInForceRow) -> Option<String> {
    let login = output::cell(policy.organization.login.as_str(), 40);
    if let Some(why) = &policy.broken {
        return Some(format!("{login}: nothing is approved: {}", output::cell(why, 300)));
    }
    let shadow = policy.mode.as_deref() == Some("shadow");
    shadow.then(|| {
        format!("{login} is in SHADOW: everything is decided and recorded, and nothing is sent.")
    })
}

async fn decisions_of(
    store: &Store,
    rows: &[RequestRow],
) -> anyhow::Result<HashMap<i64, DecisionRow>> {
    let mut decisions = HashMap::new();
    for id in rows.iter().filter_map(|row| row.decision_id) {
        if let Some(decision) = store.decision(id).await? {
            decisions.insert(id, decision);
        }
    }
    Ok(decisions)
}

impl Line {
    /// What an operator said, where that is what ended it or is to end it.
    fn by_hand(&self) -> Option<String> {
        let review = self.review.as_ref()?;
        let counts = matches!(self.settled_by, Some("operator" | "reviewers" | "silence") | None);
        let over = review.override_why.as_ref();
        let over = over.map(|why| format!("; soft rules overridden: {why}")).unwrap_or_default();
        let who = if self.settled_by.is_none() {
            format!(", {}", review.operator)
        } else {
            String::new()
        };
        counts.then(|| format!("by hand{who}: {}{over}", review.reason))
    }
}

fn line(row: &RequestRow, decision: Option<&DecisionRow>, review: Option<ReviewRow>) -> Line {
    let (outcome, by) = match &row.state {
        State::Settled(outcome, by) => (Some(outcome.as_str()), Some(by)),
        _ => (None, None),
    };
    let request = row.listed.as_ref().or(decision.map(|row| &row.request));
    let repositories = request.and_then(|request| listed::repositories(request, decision));
    Line {
        organization: row.organization.login.to_string(),
        request_id: row.id.0,
        token_id: row.token_id.map(|id| id.0),
        owner: row.owner.login.to_string(),
        token_name: row.token_name.clone(),
        permissions: request.map(|request| request.permissions.clone()),
        repository_selection: request.map(|request| request.repository_selection),
        repositories: repositories
            .map(|all| all.iter().map(|repository| repository.name.clone()).collect()),
        expires_at: request.and_then(|request| request.token.expires_at),
        asks_for: request.map_or_else(
            || "not listed yet".to_owned(),
            |request| render::permissions(&request.permissions),
        ),
        on: request
            .map(|request| {
                let on = render::where_to(request.repository_selection, repositories);
                format!("{on} {}", render::how_long(request))
            })
            .unwrap_or_default(),
        state: row.state.to_string(),
        outcome,
        settled_by: by.map(|by| by.as_str()),
        actor: by.and_then(|by| by.actor()).map(str::to_owned),
        review,
        asked: None,
        decision: row.decision_id,
        effect: decision.map(|row| row.decision.effect.as_str()),
        rules: decision
            .map(|row| row.decision.by.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        why: decision.map(|row| render::sentence(&row.decision)),
        note: row.note.clone(),
        first_seen_at: row.woken_at,
        since: row.state_since,
        next_look_at: row.due_at,
    }
}
