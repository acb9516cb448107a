//! `patwarden requests approve` and `deny`: an operator's word on requests, shown with what the rules say before it is sent.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Exit, Usage,
        access::{AccessArgs, OpenedDesk, Progress, RulesArgs, operator},
        filter::AskedArgs,
        known, output,
    },
    domain::{RequestId, agrees, many},
    engine::{
        Item, Shown, Stand, Which, Word,
        lifecycle::{Outcome, State, Verdict},
    },
    rules::{MAX_REASON_CHARS, render},
};

pub(super) const AFTER_APPROVE: &str = "\
  patwarden requests approve 4711 --reason \"for the migration, CHG-12\"
  patwarden requests approve --org acme --owner kim --permission contents=read --dry-run

Exit codes: 0 all of them are approved; 1 some were refused, failed, or are not seen to be done yet; 2 the arguments or \
settings cannot be used; 4 stopped in the middle: what was recorded by then goes on with `patwarden serve`, or when the \
command is given again.";

pub(super) const AFTER_DENY: &str = "\
  patwarden requests deny 4711 4712 --reason \"Pick repositories by name and ask again.\"
  patwarden requests deny --org acme --never-expires --reason \"Choose an expiry of 90 days or less.\"

Exit codes: 0 all of them are denied; 1 some failed, or are not seen to be done yet; 2 the arguments or settings cannot be \
used; 4 stopped in the middle: what was recorded by then goes on with `patwarden serve`, or when the command is given again.";

/// Which requests, and how the command behaves.
#[derive(Args)]
struct ReviewArgs {
    /// These requests, by the number that `requests list` shows
    #[arg(value_name = "ID", value_parser = |text: &str| known::number(text, "requests list"))]
    ids: Vec<i64>,
    /// Of this organization; needed with flags that say which, and where several have a request of that number
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for the number: for scripts
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// As JSON, for scripts; needs --yes or --dry-run
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    which: AskedArgs,
}

#[derive(Args)]
pub(in crate::cli) struct Approve {
    /// What GitHub mails to the requesters: at most 1,024 characters
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Approve what soft rules deny, and why: kept on record with your name. Hard rules cannot be overridden
    #[arg(long = "override", value_name = "WHY")]
    override_why: Option<String>,
    #[command(flatten)]
    review: ReviewArgs,
}

#[derive(Args)]
pub(in crate::cli) struct Deny {
    /// What GitHub mails to the requesters: at most 1,024 characters
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    review: ReviewArgs,
}

impl Approve {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let Self { review, reason, override_why } = self;
        review.run(Verdict::Approve, reason, override_why).await
    }
}

impl Deny {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        self.review.run(Verdict::Deny, self.reason, None).await
    }
}

impl ReviewArgs {
    async fn run(
        self,
        verdict: Verdict,
        reason: String,
        override_why: Option<String>,
    ) -> anyhow::Result<Exit> {
        let which = self.which(verdict)?;
        check_texts(verdict, &reason, override_why.as_deref())?;
        let name = operator("").name;
        let word = Word { verdict, reason, override_why, operator: name };
        let OpenedDesk { store, desk } = self.access.open_desk(&self.rules).await?;
        let named = match &which {
            Which::Ids(ids) => known::organization_of(&store, ids, self.org.as_deref()).await?,
            Which::Filter(filter) => {
                let named = known::organization(&store, self.org.as_deref()).await?;
                known::look_at(&store, Some(&named.organization), filter).await?;
                named
            }
        };
        let installation = desk.installation(named.organization.id).await?;
        let progress = Progress::new();
        let shown = desk.show(&installation, &which, &word, &progress).await;
        progress.end();
        let Shown { mut items, unreadable } = shown?;
        let ready = count_ready(&items);
        if !self.json {
            show(&items, unreadable, &which);
        }
        if self.dry_run || ready == 0 {
            return self.end(&items, &word, unreadable, None);
        }
        if !self.yes && !confirmed(verdict, ready).await? {
            output::line("Nothing was sent.");
            return Ok(Exit::NotWell);
        }
        let progress = Progress::new();
        let sent = desk.send(&installation, &mut items, &word, &progress).await;
        progress.end();
        let stopped = sent.err().map(|error| error.to_string());
        self.end(&items, &word, unreadable, stopped.as_deref())
    }

    fn which(&self, verdict: Verdict) -> Result<Which, Usage> {
        let filter = self.which.filter();
        let verb = verdict.as_str();
        if self.json && !self.yes && !self.dry_run {
            return Err(Usage(
                "--json is for scripts, which type no number: add --yes or --dry-run".to_owned(),
            ));
        }
        match (self.ids.as_slice(), filter.is_empty()) {
            ([], true) => Err(Usage(format!(
                "say which requests: their numbers, or flags such as --owner LOGIN or --permission contents=read with --org; \
                 an empty filter would mean all of them. `patwarden requests {verb} --help` has all"
            ))),
            ([], false) if self.org.is_none() => Err(Usage(format!(
                "say with --org of which organization the requests are that {filter} means"
            ))),
            ([], false) => Ok(Which::Filter(Box::new(filter))),
            (ids, true) => Ok(Which::Ids(ids.iter().copied().map(RequestId).collect())),
            (_, false) => Err(Usage(format!(
                "the numbers say already which requests: leave out what else says which ({filter})"
            ))),
        }
    }

    /// Shows what came of it, and gives the exit code.
    fn end(
        &self,
        items: &[Item],
        word: &Word,
        unreadable: usize,
        stopped: Option<&str>,
    ) -> anyhow::Result<Exit> {
        let well = items.iter().all(|item| match &item.stand {
            Stand::Ready => self.dry_run,
            stand => is_well(stand, word.verdict),
        });
        let sent =
            !self.dry_run && items.iter().any(|item| !matches!(item.stand, Stand::Refused(_)));
        if self.json {
            output::json(&as_json(items, word, unreadable, stopped))?;
        } else if self.dry_run {
            output::line("");
            output::line(format_args!(
                "Nothing was sent. {} of {} would be.",
                count_ready(items),
                items.len()
            ));
        } else if sent {
            show_outcomes(items);
        } else if !items.is_empty() {
            output::line("");
            output::line("Nothing was sent.");
        }
        if let Some(why) = stopped {
            output::note(&format!(
                "Stopped in the middle: {why}\nWhat was recorded goes on with `patwarden serve`, or when this command is given \
                 again; it sends nothing twice."
            ));
            return Ok(Exit::Unfinished);
        }
        Ok(if well { Exit::Well } else { Exit::NotWell })
    }
}

fn check_texts(verdict: Verdict, reason: &str, over: Option<&str>) -> Result<(), Usage> {
    let length = reason.chars().count();
    if length > MAX_REASON_CHARS {
        return Err(Usage(format!(
            "--reason has {length} characters, and GitHub takes {MAX_REASON_CHARS}: it is not cut, so write a shorter one"
        )));
    }
    if verdict == Verdict::Deny && reason.trim().is_empty() {
        return Err(Usage(
            "--reason is empty: it is all that the requester sees, so say what would pass"
                .to_owned(),
        ));
    }
    if over.is_some_and(|why| why.trim().is_empty()) {
        return Err(Usage("--override is empty: say why soft rules are not to count".to_owned()));
    }
    Ok(())
}

fn count_ready(items: &[Item]) -> usize {
    items.iter().filter(|item| item.stand == Stand::Ready).count()
}

async fn confirmed(verdict: Verdict, ready: usize) -> anyhow::Result<bool> {
    let verb = verdict.as_str();
    output::line("");
    let them = agrees(ready, "it", "them");
    output::line(format_args!("Type {ready} to {verb} {them}, anything else to leave {them}:"));
    let typed = output::typed().await?;
    Ok(typed.trim() == ready.to_string())
}

/// Whether it came out as the operator said.
fn is_well(stand: &Stand, verdict: Verdict) -> bool {
    match stand {
        Stand::Done(State::Checking) => verdict == Verdict::Approve,
        Stand::Done(State::Settled(Outcome::Approved, _)) => verdict == Verdict::Approve,
        Stand::Done(State::Settled(Outcome::Denied, _)) => verdict == Verdict::Deny,
        _ => false,
    }
}

/// Where a request stands: a word, and what there is to say of it.
fn outcome(stand: &Stand) -> (&'static str, String) {
    match stand {
        Stand::Ready => ("not-sent", String::new()),
        Stand::Refused(refusal) => ("refused", refusal.to_string()),
        Stand::NotPending(what) => ("not-pending", what.clone()),
        Stand::UnderWay(what) => ("under-way", what.clone()),
        Stand::Changed => {
            ("changed", "it is not what was shown any more: look at it again".to_owned())
        }
        Stand::Failed(why) => ("failed", why.clone()),
        Stand::Sent(why) => ("sent", format!("not seen to be done yet: {why}")),
        Stand::Done(State::Checking) => {
            ("approved", "its access is not listed yet; `patwarden serve` compares it".to_owned())
        }
        Stand::Done(State::Settled(outcome, by)) => (outcome.as_str(), format!("by {by}")),
        Stand::Done(state) => (state.as_str(), String::new()),
    }
}

fn show(items: &[Item], unreadable: usize, which: &Which) {
    if items.is_empty() {
        if let Which::Filter(filter) = which {
            output::line(format_args!("No pending request is meant by {filter}."));
        }
    } else {
        for item in items {
            card(item);
        }
    }
    if unreadable > 0 {
        output::line("");
        output::line(format_args!(
            "{} {} listed by GitHub in a form that this version cannot read: look in the settings.",
            many(unreadable, "pending request"),
            agrees(unreadable, "is", "are")
        ));
    }
}

/// One request in some lines: nothing that is about to be approved is cut.
fn card(item: &Item) {
    let [id, owner, token] = who(item);
    output::line(format_args!("{id}  {owner}  \"{token}\""));
    let say = |what: &str, said: &str| output::line(format_args!("  {what:<10}{said}"));
    if item.request.is_some() {
        say("asks for", &output::cell(&asks_for(item), 2_500));
    }
    let says = item.request.as_ref().and_then(|request| request.reason.as_deref());
    if let Some(says) = says.filter(|says| !says.trim().is_empty()) {
        say("saying", &format!("\"{}\"", output::cell(says, 1_100)));
    }
    if let Some(rules) = the_rules(item) {
        say("the rules", &output::cell(&rules, 1_000));
    }
    match &item.stand {
        Stand::Ready if item.vetoes.is_empty() => {}
        Stand::Ready => say("against it", &output::cell(&item.vetoes.join("; "), 1_500)),
        Stand::Refused(refusal) => say("refused", &output::cell(&refusal.to_string(), 1_500)),
        stand => {
            let (word, why) = outcome(stand);
            say("left out", &output::cell(&format!("{word}: {why}"), 500));
        }
    }
}

fn show_outcomes(items: &[Item]) {
    output::line("");
    output::table(
        &["REQUEST", "OWNER", "TOKEN", "OUTCOME", "WHY"],
        items.iter().map(|item| {
            let mut cells = who(item).to_vec();
            let (word, why) = outcome(&item.stand);
            cells.push(word.to_owned());
            cells.push(output::cell(&why, 300));
            cells
        }),
    );
}

fn who(item: &Item) -> [String; 3] {
    let request = item.request.as_ref();
    let of = |text: Option<&str>, limit: usize| output::cell(text.unwrap_or("-"), limit);
    [
        item.id.to_string(),
        of(request.map(|request| request.owner.login.as_str()), 24),
        of(request.map(|request| request.token.name.as_str()), 30),
    ]
}

fn asks_for(item: &Item) -> String {
    let Some(request) = &item.request else { return "-".to_owned() };
    let repositories = item.facts.as_ref().and_then(|facts| facts.repositories.value());
    format!(
        "{}; {}; {}",
        render::permissions(&request.permissions),
        render::where_to(request.repository_selection, repositories.map(Vec::as_slice)),
        render::how_long(request)
    )
}

/// What the rules say; `None`: they were not asked.
fn the_rules(item: &Item) -> Option<String> {
    match (&item.decision, &item.facts) {
        (Some((id, decision)), _) => {
            Some(format!("{} (decision {id})", render::sentence(decision)))
        }
        (None, Some(_)) => Some("say nothing: none are in force".to_owned()),
        (None, None) => None,
    }
}

fn as_json(
    items: &[Item],
    word: &Word,
    unreadable: usize,
    stopped: Option<&str>,
) -> serde_json::Value {
    let requests: Vec<_> = items
        .iter()
        .map(|item| {
            let (outcome, why) = outcome(&item.stand);
            let decision = item.decision.as_ref();
            json!({
                "request_id": item.id,
                "request": item.request,
                "repositories": item.facts.as_ref().and_then(|facts| facts.repositories.value()),
                "decision": decision.map(|(id, _)| id),
                "effect": decision.map(|(_, decision)| decision.effect),
                "rules": decision.map(|(_, decision)| &decision.by),
                "the_rules_say": decision.map(|(_, decision)| render::sentence(decision)),
                "vetoes": item.vetoes,
                "outcome": outcome,
                "why": why,
            })
        })
        .collect();
    json!({
        "verdict": word.verdict.as_str(),
        "reason": word.reason,
        "override_why": word.override_why,
        "operator": word.operator,
        "requests": requests,
        "unreadable": unreadable,
        "stopped": stopped,
    })
}
