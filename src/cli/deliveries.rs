//! `patwarden deliveries`: what GitHub says of the webhooks it sent, beside what we hold, and asking for some again.

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{
    Exit, Usage,
    access::{AccessArgs, OpenedApp},
    output,
};
use crate::{
    domain::{agrees, for_people, many},
    engine::{Sent, ask_again, sent_lately},
    github::{HookDeliveryDetail, HookMessage},
    store::MissedState,
};

/// How many lines of a body are shown: payloads have up to 25 MB.
const BODY_LINES: usize = 200;

/// How many characters of a line.
const LINE: usize = 300;

/// The headers with which somebody could pass for GitHub, for as long as the secret is the same.
const SIGNATURES: [&str; 2] = ["x-hub-signature", "x-hub-signature-256"];

/// What GitHub sent, what of it arrived, and having it sent again.
#[derive(Subcommand)]
pub(super) enum Deliveries {
    /// List the webhooks that GitHub sent lately, the newest first, and what became of each here
    #[command(after_help = words())]
    List(List),
    /// Show one delivery: headers and bodies of what was sent and answered
    Show(Show),
    /// Have GitHub send webhooks again that it sent before
    ///
    /// `patwarden serve` does this by itself, three times at most for each that it would have read. This asks for any,
    /// however often that was tried. GitHub keeps deliveries for three days, a GitHub Enterprise Server for seven.
    Redeliver(Redeliver),
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    access: AccessArgs,
    /// Only those that are MISSING: needed, and not arrived
    #[arg(long)]
    failed: bool,
    /// At most so many calls, of a hundred attempts each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = pages)]
    pages: usize,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Show {
    #[command(flatten)]
    access: AccessArgs,
    /// The delivery's GUID, as `deliveries list` shows it
    guid: String,
    /// At most so many calls to find it, of a hundred attempts each
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = pages)]
    pages: usize,
    /// As JSON, for scripts: bodies as they are
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Redeliver {
    #[command(flatten)]
    access: AccessArgs,
    /// The delivery's GUID, as `deliveries list` shows it
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    guid: Option<String>,
    /// All that `deliveries list --failed` shows
    #[arg(long)]
    failed: bool,
    /// Only show which would be asked for
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for the number of deliveries: for scripts
    #[arg(long)]
    yes: bool,
    /// At most so many calls to find them, of a hundred attempts each
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = pages)]
    pages: usize,
}

fn pages(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(pages @ 1..=1_000) => Ok(pages),
        _ => Err("from 1 to 1000".to_owned()),
    }
}

impl Deliveries {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
            Self::Redeliver(redeliver) => redeliver.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<Exit> {
        let OpenedApp { store, app, .. } = self.access.open_app().await?;
        let mut sent = sent_lately(&app, &store, self.pages).await?;
        let missed = sent.iter().filter(|sent| sent.is_missed()).count();
        sent.retain(|sent| !self.failed || sent.is_missed());
        if self.json {
            output::json(&sent)?;
            return Ok(Exit::Well);
        }
        if sent.is_empty() {
            output::line(if self.failed {
                "Nothing that we read is missing."
            } else {
                "GitHub shows no deliveries."
            });
            return Ok(Exit::Well);
        }
        table(&sent);
        output::line("");
        for (word, meaning) in Here::WORDS {
            if sent.iter().any(|sent| Here::of(sent).word() == word) {
                output::line(format_args!("{word:<9} {meaning}"));
            }
        }
        output::line("");
        output::line(format_args!(
            "{}; {missed} missing. Have one sent again: patwarden deliveries redeliver GUID",
            many(sent.len(), "delivery")
        ));
        Ok(Exit::Well)
    }
}

fn table(sent: &[Sent]) {
    output::table(
        &["GUID", "SENT (UTC)", "EVENT", "GITHUB SAYS", "TRIES", "HERE"],
        sent.iter().map(|sent| {
            let attempt = &sent.attempt;
            let action = attempt.action.as_deref().map(|action| format!(".{action}"));
            vec![
                output::cell(&attempt.guid, 40),
                second(attempt.delivered_at),
                output::cell(&format!("{}{}", attempt.event, action.unwrap_or_default()), 50),
                output::cell(&format!("{} {}", attempt.status_code, attempt.status), 40),
                sent.attempts.to_string(),
                here(sent),
            ]
        }),
    );
}

fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// What became of a delivery here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Here {
    Stored,
    Answered,
    Unread,
    Missing,
}

impl Here {
    /// The words in the table, and what each means.
    const WORDS: [(&str, &str); 4] = [
        ("stored", "it arrived, and patwarden keeps it until its time is over"),
        ("answered", "it arrived; there was nothing to keep, or that is deleted by now"),
        (
            "unread",
            "about something that patwarden does not read: whether it arrived makes no difference",
        ),
        (
            "MISSING",
            "it did not arrive, and is needed: patwarden has GitHub send it again, three times at most",
        ),
    ];

    fn of(sent: &Sent) -> Self {
        match sent {
            Sent { held: true, .. } => Self::Stored,
            Sent { read: false, .. } => Self::Unread,
            Sent { taken: true, .. } => Self::Answered,
            _ => Self::Missing,
        }
    }

    fn word(self) -> &'static str {
        let [stored, answered, unread, missing] = Self::WORDS;
        match self {
            Self::Stored => stored.0,
            Self::Answered => answered.0,
            Self::Unread => unread.0,
            Self::Missing => missing.0,
        }
    }
}

fn words() -> String {
    let mut text = "What the words under HERE mean:\n".to_owned();
    for (word, meaning) in Here::WORDS {
        text.push_str(&format!("  {word:<9} {meaning}\n"));
    }
    text
}

fn here(sent: &Sent) -> String {
    let here = Here::of(sent);
    match &sent.missed {
        _ if here != Here::Missing => here.word().to_owned(),
        None => here.word().to_owned(),
        Some(missed) => {
            let state = match missed.state {
                MissedState::Waiting => "waiting",
                MissedState::Arrived => "arrived",
                MissedState::Refused => "GitHub sends it no more",
                MissedState::GivenUp => "given up",
            };
            format!("MISSING, asked for {}, {state}", many(missed.asked, "time"))
        }
    }
}

/// The delivery that is meant.
fn named(sent: Vec<Sent>, guid: &str) -> anyhow::Result<Sent> {
    let found = sent.into_iter().find(|sent| sent.attempt.guid.eq_ignore_ascii_case(guid));
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "GitHub's list shows no delivery {} (any more, or not within --pages): `patwarden deliveries list` shows \
             those there are",
            output::cell(guid, 60)
        )
    })
}

impl Show {
    async fn run(self) -> anyhow::Result<Exit> {
        let OpenedApp { store, app, .. } = self.access.open_app().await?;
        let sent = named(sent_lately(&app, &store, self.pages).await?, &self.guid)?;
        let mut detail = app.hook_delivery(sent.attempt.id).await?;
        hide_signatures(&mut detail.request);
        if self.json {
            output::json(&serde_json::json!({ "delivery": sent, "detail": detail }))?;
            return Ok(Exit::Well);
        }
        show(&sent, &detail);
        if let Some((at, body)) = store.delivery_body(&sent.attempt.guid).await? {
            output::line("");
            output::line(format_args!(
                "Stored since {} UTC, {}.",
                second(at),
                many(body.len(), "byte")
            ));
        }
        Ok(Exit::Well)
    }
}

fn show(sent: &Sent, detail: &HookDeliveryDetail) {
    let attempt = &detail.item;
    output::line(format_args!("delivery   {}", output::cell(&attempt.guid, 60)));
    output::line(format_args!(
        "attempt    {}, {} UTC, {} of {} that GitHub shows",
        attempt.id,
        second(attempt.delivered_at),
        if attempt.redelivery { "a later one" } else { "the first" },
        sent.attempts
    ));
    let url = detail.url.as_deref().unwrap_or("an address that GitHub does not say");
    output::line(format_args!("to         {}", output::cell(url, LINE)));
    output::line(format_args!(
        "outcome    {} {}{}",
        attempt.status_code,
        output::cell(&attempt.status, 100),
        attempt.duration.map(|took| format!(", after {took:.2} s")).unwrap_or_default()
    ));
    output::line(format_args!("here       {}", here(sent)));
    message("What GitHub sent", &detail.request);
    message("What was answered", &detail.response);
}

fn message(title: &str, message: &HookMessage) {
    output::line("");
    output::line(title);
    for (name, value) in message.headers.iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output::line(format_args!("  {}: {}", output::cell(name, 100), output::cell(&value, LINE)));
    }
    let text = match &message.payload {
        serde_json::Value::Null => return,
        serde_json::Value::String(text) => text.clone(),
        json => serde_json::to_string_pretty(json).unwrap_or_default(),
    };
    if text.trim().is_empty() {
        return;
    }
    output::line("");
    for line in text.lines().take(BODY_LINES) {
        output::line(format_args!("  {}", harmless(line)));
    }
    let more = text.lines().count().saturating_sub(BODY_LINES);
    if more > 0 {
        output::line(format_args!("  … {}: --json has them", many(more, "more line")));
    }
}

/// A line that strangers wrote, with its indentation: nothing in it steers, and it is not long.
fn harmless(line: &str) -> String {
    let indentation = line.len() - line.trim_start_matches(' ').len();
    let blanks = " ".repeat(indentation.min(40));
    format!("{blanks}{}", output::cell(&for_people(line), LINE))
}

fn hide_signatures(message: &mut HookMessage) {
    for (name, value) in message.headers.iter_mut().flatten() {
        if SIGNATURES.iter().any(|signature| name.eq_ignore_ascii_case(signature)) {
            *value = "(hidden)".into();
        }
    }
}

impl Redeliver {
    async fn run(self) -> anyhow::Result<Exit> {
        let OpenedApp { store, app, clock, write_interval } = self.access.open_app().await?;
        let sent = sent_lately(&app, &store, self.pages).await?;
        let wanted = match &self.guid {
            Some(guid) => vec![named(sent, guid)?],
            None => sent.into_iter().filter(Sent::is_missed).collect(),
        };
        if wanted.is_empty() {
            output::line("Nothing that we read is missing.");
            return Ok(Exit::Well);
        }
        table(&wanted);
        output::line("");
        if self.dry_run {
            output::line("Nothing was asked for: that was a dry run.");
            return Ok(Exit::Well);
        }
        if wanted.len() > 1 && !self.yes && !confirmed(wanted.len()).await? {
            output::line("Nothing was asked for.");
            return Ok(Exit::NotWell);
        }
        let mut failed = 0;
        for (number, sent) in wanted.iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(write_interval.max(Duration::from_millis(1))).await;
            }
            let guid = output::cell(&sent.attempt.guid, 60);
            match ask_again(&app, &store, sent, clock.now()).await {
                Ok(()) => output::line(format_args!("{guid}  GitHub sends it again")),
                Err(error) if error.wait_until().is_some() => {
                    return Err(anyhow::Error::new(error).context(format!(
                        "{} of {} {} asked for",
                        number - failed,
                        wanted.len(),
                        agrees(number - failed, "was", "were")
                    )));
                }
                Err(error) => {
                    failed += 1;
                    output::line(format_args!("{guid}  {error}"));
                }
            }
        }
        Ok(if failed == 0 { Exit::Well } else { Exit::NotWell })
    }
}

/// Whether somebody types how many it is about.
async fn confirmed(number: usize) -> anyhow::Result<bool> {
    output::prompt(format_args!("Type {number} to have GitHub send these {number} again: "));
    let typed = output::typed().await?;
    match typed.trim().parse::<usize>() {
        Ok(typed) => Ok(typed == number),
        Err(_) if typed.trim().is_empty() => Ok(false),
        Err(_) => Err(Usage(format!("that is not {number}; nothing was asked for")).into()),
    }
}
