//! `patwarden rules check`.

use jiff::tz::TimeZone;

use super::{
    super::{Exit, output},
    RulesArgs, formats, print,
};
use crate::{
    clock::Clock,
    rules::{self, diagnostic::Diagnostic, load::Loaded},
};

pub(super) const EXAMPLE: &str = "\
In a workflow:   patwarden rules check --format github rules/
For an upload:   patwarden rules check --format sarif rules/ > rules.sarif

Exit codes: 0 valid, perhaps with warnings; 1 not valid.";

/// How to show what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The line, with what is meant underlined
    #[default]
    Human,
    /// One JSON object
    Json,
    /// Workflow commands, which GitHub shows beside the lines
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Check {
    #[command(flatten)]
    rules: RulesArgs,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut loaded = self.rules.load()?;
        if let Some(policy) = &loaded.policy {
            // Loading reads no clock, so that a file means the same on every day; people want to know all the same.
            let today = Clock::system().now().to_zoned(TimeZone::UTC).date();
            loaded.diagnostics.extend(rules::calendar::outdated(policy, today));
        }
        match if self.json { Format::Json } else { self.format } {
            Format::Human => self.human(&loaded),
            Format::Json => output::json(&json(&loaded))?,
            Format::Github => {
                loaded.diagnostics.iter().for_each(|d| output::line(formats::github(d)));
            }
            Format::Sarif => output::json(&formats::sarif(&loaded.diagnostics))?,
        }
        Ok(if loaded.has_errors() { Exit::NotWell } else { Exit::Well })
    }

    fn human(&self, loaded: &Loaded) {
        print(&loaded.diagnostics);
        let path = self.rules.rules.display();
        let Some(policy) = &loaded.policy else {
            let errors =
                loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
            return output::line(format_args!(
                "{path}: not valid; {}, {}",
                many(errors, "error"),
                many(loaded.diagnostics.len() - errors, "warning"),
            ));
        };
        output::line(format_args!(
            "{path}: valid; {}, mode {}{}",
            many(policy.rule_count(), "rule"),
            policy.mode().as_str(),
            match policy.mode() {
                rules::Mode::Shadow => " (nothing is sent to GitHub)",
                rules::Mode::ApproveOnly => " (nothing is denied)",
                rules::Mode::Enforce => "",
            }
        ));
        for entry in policy.not_yet_acted_on() {
            output::line(format_args!(
                "  [{}] is read and checked, and not yet acted on in this version: {}",
                entry.block, entry.what
            ));
        }
    }
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn json(loaded: &Loaded) -> serde_json::Value {
    let policy = loaded.policy.as_ref();
    let pending = policy.map(rules::Policy::not_yet_acted_on).unwrap_or_default();
    serde_json::json!({
        "valid": !loaded.has_errors(),
        "diagnostics": loaded.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        "mode": policy.map(|policy| policy.mode().as_str()),
        "rules": policy.map(rules::Policy::rule_count),
        "hash": policy.map(rules::Policy::hash),
        "not_yet_acted_on": pending,
    })
}
