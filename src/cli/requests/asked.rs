//! `patwarden requests show`, and who is asked about a request: groups, answers, what silence comes to.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cli::{Exit, StoreArgs, known, output},
    domain::RequestId,
    engine::lifecycle::Verdict,
    rules::{cautions, render},
    store::{IssueRow, IssueState, RequestRow, Store, StoreError},
};

/// Show one request.
#[derive(clap::Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    store: StoreArgs,
    /// The request's number, from `patwarden requests list`
    #[arg(value_name = "NUMBER", value_parser = |text: &str| known::number(text, "requests list"))]
    id: i64,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Who is asked about a request.
#[derive(Serialize)]
pub(super) struct Asked {
    since: Timestamp,
    /// When that was over.
    ended_at: Option<Timestamp>,
    groups: Vec<Group>,
    answers: Vec<Answer>,
    issues: Vec<String>,
    denies_at: Option<Timestamp>,
    asks_next_at: Option<Timestamp>,
    note: String,
}

#[derive(Serialize)]
struct Group {
    name: String,
    instead_of: Option<String>,
    approvals: usize,
    quorum: u32,
    reached_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Answer {
    login: String,
    user_id: i64,
    verdict: &'static str,
    comment: String,
    url: String,
    at: Timestamp,
    /// Why it does not count, where it does not.
    void: Option<String>,
}

impl Asked {
    /// Who is asked about it, if people are.
    pub(super) async fn of(store: &Store, row: &RequestRow) -> Result<Option<Self>, StoreError> {
        Ok(Self::ever(store, row).await?.filter(|asked| asked.ended_at.is_none()))
    }

    /// Who is or was asked about it.
    pub(super) async fn ever(store: &Store, row: &RequestRow) -> Result<Option<Self>, StoreError> {
        let key = row.key();
        let Some(escalation) = store.escalation(key).await? else { return Ok(None) };
        let votes = store.votes(key).await?;
        let counts = |name: &str| {
            let mut users: Vec<_> = votes
                .iter()
                .filter(|row| row.void.is_none() && row.vote.fingerprint == escalation.fingerprint)
                .filter(|row| {
                    row.vote.verdict == Verdict::Approve && row.vote.counts_in.contains(name)
                })
                .map(|row| row.vote.user)
                .collect();
            users.sort();
            users.dedup();
            users.len()
        };
        let groups = store.escalation_groups(key).await?;
        let groups = groups
            .into_iter()
            .map(|row| Group {
                approvals: counts(&row.name),
                name: row.name,
                instead_of: row.instead_of,
                quorum: row.quorum,
                reached_at: row.reached_at,
            })
            .collect();
        let issues = store.review_issues(key).await?.into_iter();
        let there = |issue: &IssueRow| matches!(issue.state, IssueState::Open | IssueState::Closed);
        let issues = issues.filter(there).map(|issue| issue.url);
        let answers = votes.into_iter().map(|row| {
            let another = (row.vote.fingerprint != escalation.fingerprint)
                .then(|| "the request was changed since".to_owned());
            Answer {
                login: row.vote.login.to_string(),
                user_id: row.vote.user.0,
                verdict: row.vote.verdict.as_str(),
                comment: row.vote.comment,
                url: row.url,
                at: row.at,
                void: row.void.or(another),
            }
        });
        Ok(Some(Self {
            since: escalation.asked_at,
            ended_at: escalation.ended_at,
            groups,
            answers: answers.collect(),
            issues: issues.collect(),
            denies_at: escalation.denies_at,
            asks_next_at: escalation.asks_next_at,
            note: escalation.note,
        }))
    }
}

impl Asked {
    /// Whether somebody was reached, or answered: until then why it is left to people says more.
    pub(super) fn is_heard(&self) -> bool {
        let reached = self.groups.iter().any(|group| group.reached_at.is_some());
        reached || !self.issues.is_empty() || !self.answers.is_empty()
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| format!("{} {} of {}", group.name, group.approvals, group.quorum))
            .collect();
        write!(f, "asked: {}", groups.join(", "))?;
        if let Some(at) = self.denies_at {
            write!(f, "; denied {} unless decided", at.strftime("%Y-%m-%d %H:%M"))?;
        }
        if !self.note.is_empty() {
            write!(f, "; {}", self.note)?;
        }
        Ok(())
    }
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let Some(row) = store.requests_numbered(RequestId(self.id)).await?.pop() else {
            anyhow::bail!(
                "there is no request {}; `patwarden requests list --all` shows those there are",
                self.id
            );
        };
        let decisions = super::decisions_of(&store, std::slice::from_ref(&row)).await?;
        let decision = row.decision_id.and_then(|id| decisions.get(&id));
        let review = store.reviews(row.key()).await?.pop();
        let asked = Asked::ever(&store, &row).await?;
        let line = super::Line { asked, ..super::line(&row, decision, review) };
        if self.json {
            output::json(&serde_json::json!({ "request": line }))?;
            return Ok(Exit::Well);
        }
        output::line(format_args!(
            "Request {} of {} to {}: \"{}\" is {}, since {} UTC.",
            line.request_id,
            output::cell(&line.owner, 40),
            output::cell(&line.organization, 40),
            output::cell(&line.token_name, 100),
            output::cell(&line.state, 300),
            line.since.strftime("%Y-%m-%d %H:%M")
        ));
        let request = row.listed.as_ref().or(decision.map(|decision| &decision.request));
        if let Some(request) = request {
            let repositories = super::listed::repositories(request, decision);
            // Of one that never expires it is said with what is asked for.
            let until = request.token.expires_at.map(|at| format!(", until {} UTC", minute(at)));
            output::line(format_args!(
                "It asks for {}{}.",
                output::cell(&render::asked(request, repositories), 1_000),
                until.unwrap_or_default()
            ));
            let says = request.reason.as_deref().map(|says| output::cell(says, 1_024));
            output::line(match says.filter(|says| !says.is_empty()) {
                Some(says) => format!("It says \"{says}\"."),
                None => "It gives no reason.".to_owned(),
            });
        }
        if let Some(decision) = decision {
            // Which repositories those are is in the rules, which are not asked here.
            for caution in cautions(&decision.decision, &decision.trace, Vec::new()) {
                let words = caution.in_words(|name| output::cell(name, 100));
                output::line(format_args!("Careful: {words}."));
            }
            let why = output::cell(&render::sentence(&decision.decision), 1_000);
            output::line(format_args!("Decision {}: {why}", decision.id));
        }
        if let Some(by_hand) = line.by_hand() {
            output::line(output::cell(&by_hand, 1_000));
        }
        if !line.note.is_empty() {
            output::line(output::cell(&line.note, 1_000));
        }
        if let Some(asked) = &line.asked {
            print(asked);
        }
        Ok(Exit::Well)
    }
}

fn print(asked: &Asked) {
    output::line("");
    output::line(match asked.ended_at {
        None => format!("People are asked since {} UTC:", minute(asked.since)),
        Some(at) => {
            format!("People were asked from {} to {} UTC:", minute(asked.since), minute(at))
        }
    });
    for group in &asked.groups {
        let instead = group.instead_of.as_ref();
        let instead =
            instead.map(|of| format!(", because {of} did not answer")).unwrap_or_default();
        let reached = match (group.reached_at, asked.ended_at) {
            (Some(at), _) => format!("; reached {}", minute(at)),
            (None, Some(_)) => "; not reached".to_owned(),
            (None, None) => "; not reached yet, so no time counts".to_owned(),
        };
        output::line(format_args!(
            "  {}: {} of {} approved{}{reached}",
            output::cell(&group.name, 60),
            group.approvals,
            group.quorum,
            output::cell(&instead, 120)
        ));
    }
    for url in &asked.issues {
        output::line(format_args!("  on {}", output::cell(url, 300)));
    }
    for answer in &asked.answers {
        let void = answer.void.as_ref().map(|why| format!(" (does not count: {why})"));
        output::line(format_args!(
            "  {} @{} ({}): {}{}",
            minute(answer.at),
            output::cell(&answer.login, 60),
            answer.user_id,
            answer.verdict,
            output::cell(&void.unwrap_or_default(), 300)
        ));
    }
    if asked.ended_at.is_some() {
        return;
    }
    if let Some(at) = asked.asks_next_at {
        output::line(format_args!(
            "Without an answer another group is asked at {} UTC.",
            minute(at)
        ));
    }
    if let Some(at) = asked.denies_at {
        output::line(format_args!("Without an answer it is denied at {} UTC.", minute(at)));
    }
    if !asked.note.is_empty() {
        output::line(output::cell(&asked.note, 1_000));
    }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}
