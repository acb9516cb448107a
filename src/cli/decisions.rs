//! `patwarden decisions`: the record, with the trace of each decision.

use clap::Subcommand;

use super::{Exit, StoreArgs, known, output};
use crate::{
    domain::RequestId,
    rules::render,
    store::{DecisionFilter, DecisionRow, EffectRow, RequestKey, ReviewRow},
};

/// The record of decisions, with the trace of each.
#[derive(Subcommand)]
pub(super) enum Decisions {
    /// List decisions, newest first
    List(List),
    /// Show one decision: the request, the facts with source and age, every rule's answer, what was sent
    Show(Show),
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    store: StoreArgs,
    /// Only those on this request
    #[arg(long, value_name = "ID")]
    request: Option<i64>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    store: StoreArgs,
    /// The decision's number, as `decisions list` shows it
    #[arg(value_name = "NUMBER", value_parser = |text: &str| known::number(text, "decisions list"))]
    id: i64,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Decisions {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let filter = DecisionFilter { request: self.request, limit: self.limit };
        let rows = store.decisions(&filter).await?;
        if self.json {
            let brief: Vec<_> = rows.iter().map(brief).collect();
            output::json(&brief)?;
        } else if rows.is_empty() {
            output::line("Nothing was decided yet.");
        } else {
            output::table(
                &["NUMBER", "WHEN (UTC)", "REQUEST", "OWNER", "TOKEN", "EFFECT", "MODE", "WHY"],
                rows.iter().map(|row| {
                    vec![
                        row.id.to_string(),
                        row.decided_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                        row.request_id.to_string(),
                        output::cell(row.request.owner.login.as_str(), 24),
                        output::cell(&row.request.token.name, 30),
                        row.decision.effect.as_str().to_owned(),
                        row.mode.clone(),
                        output::cell(&render::sentence(&row.decision), 110),
                    ]
                }),
            );
        }
        Ok(Exit::Well)
    }
}

fn brief(row: &DecisionRow) -> serde_json::Value {
    serde_json::json!({
        "number": row.id,
        "decided_at": row.decided_at,
        "organization": row.request.organization.login,
        "request_id": row.request_id,
        "owner": row.request.owner.login,
        "token_name": row.request.token.name,
        "effect": row.decision.effect,
        "rules": row.decision.by,
        "mode": row.mode,
        "acts": row.acts,
        "policy": row.policy_hash,
        "policy_source": row.policy_source,
        "why": render::sentence(&row.decision),
    })
}

impl Show {
    async fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open().await?;
        let Some(row) = store.decision(self.id).await? else {
            anyhow::bail!(
                "there is no decision {}; `patwarden decisions list` shows those there are",
                self.id
            );
        };
        let key = RequestKey { organization: row.organization_id, request: row.request_id };
        let effects = store.effects(key).await?;
        let effects: Vec<&EffectRow> =
            effects.iter().filter(|effect| effect.decision_id == Some(row.id)).collect();
        let reviews = store.reviews(key).await?;
        let reviews: Vec<&ReviewRow> =
            reviews.iter().filter(|review| review.decision_id == Some(row.id)).collect();
        if self.json {
            output::json(&serde_json::json!({
                "decision": row,
                "reviews_by_hand": reviews,
                "effects": effects.iter().map(|effect| effect_json(effect)).collect::<Vec<_>>(),
                "policy_files": store.policy(&row.policy_hash).await?,
            }))?;
            return Ok(Exit::Well);
        }
        print(&row, &effects, &reviews);
        Ok(Exit::Well)
    }
}

fn effect_json(effect: &EffectRow) -> serde_json::Value {
    serde_json::json!({
        "effect": effect.kind.as_str(),
        "state": effect.state.as_str(),
        "attempts": effect.attempts,
        "reason": effect.reason,
        "detail": effect.detail,
        "recorded_at": effect.recorded_at,
        "sent_at": effect.sent_at,
        "ended_at": effect.ended_at,
    })
}

fn print(row: &DecisionRow, effects: &[&EffectRow], reviews: &[&ReviewRow]) {
    let request = &row.request;
    let RequestId(request_id) = row.request_id;
    output::line(format_args!(
        "Decision {} on request {request_id} of {}, {}",
        row.id,
        request.organization.login,
        row.decided_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    ));
    output::line(format_args!("  {}", render::sentence(&row.decision)));
    output::line("");
    output::line("The request");
    for line in super::describe::lines(request, row.facts.repositories.value().map(Vec::as_slice)) {
        output::line(format_args!("  {line}"));
    }
    output::line("");
    output::line(format_args!("The rules (mode {}, policy {:.12})", row.mode, row.policy_hash));
    output::line(format_args!("  from {}", output::cell(&row.policy_source, 400)));
    for line in render::tree(&row.trace).lines() {
        output::line(format_args!("  {line}"));
    }
    output::line("");
    for review in reviews {
        output::line(format_args!(
            "Reviewed by hand: {}, by {}, {}",
            review.verdict.as_str(),
            output::cell(&review.operator, 200),
            review.at.strftime("%Y-%m-%d %H:%M:%S UTC")
        ));
        if let Some(why) = &review.override_why {
            output::line(format_args!("  soft rules overridden: {}", output::cell(why, 1_100)));
        }
        output::line("");
    }
    if effects.is_empty() {
        output::line(if row.acts {
            "Sent to GitHub: nothing yet"
        } else {
            "Sent to GitHub: nothing, by this decision"
        });
        return;
    }
    output::line("Sent to GitHub");
    for effect in effects {
        let times = if effect.attempts == 1 {
            "once".to_owned()
        } else {
            format!("{} times", effect.attempts)
        };
        output::line(format_args!(
            "  {}: {} (sent {times})",
            effect.kind.as_str(),
            effect.state.as_str()
        ));
        if !effect.reason.is_empty() {
            output::line(format_args!("    with: {}", output::cell(&effect.reason, 1_100)));
        }
        if !effect.detail.is_empty() {
            output::line(format_args!("    {}", output::cell(&effect.detail, 300)));
        }
    }
}
