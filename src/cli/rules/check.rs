//! `patwarden rules check`.

use std::path::Path;

use jiff::tz::TimeZone;

use super::{
    super::{Exit, output},
    RulesArgs, formats,
    names::{LookUp, Names},
    print,
};
use crate::{
    clock::Clock,
    domain::many,
    engine::NotAsked,
    rules::{self, diagnostic::Diagnostic, load::Loaded},
};

pub(super) const EXAMPLE: &str = "\
In a workflow:   patwarden rules check --format github rules/
For an upload:   patwarden rules check --format sarif rules/ > rules.sarif
With names:      patwarden rules check --org acme rules/ (as the App, with the settings of `patwarden serve`)

Exit codes: 0 valid, perhaps with warnings; 1 not valid, or something could not be asked of GitHub; 2 arguments or settings \
that cannot be used.";

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
    #[command(flatten)]
    names: LookUp,
}

/// What is to be shown.
struct Checked {
    loaded: Loaded,
    /// What became of asking GitHub, if that was wanted, and how many warnings came of it.
    names: Option<(Names, usize)>,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let mut loaded = self.rules.load()?;
        if let Some(policy) = &loaded.policy {
            // Loading reads no clock, so that a file means the same on every day; people want to know all the same.
            let today = Clock::system().now().to_zoned(TimeZone::UTC).date();
            loaded.diagnostics.extend(rules::calendar::outdated(policy, today));
        }
        let names = self.names.run(&loaded).await?.map(|(names, warnings)| {
            let many = warnings.len();
            loaded.diagnostics.extend(warnings);
            (names, many)
        });
        let checked = Checked { loaded, names };
        match if self.json { Format::Json } else { self.format } {
            Format::Human => checked.human(&self.rules.rules),
            Format::Json => output::json(&checked.json())?,
            Format::Github => {
                let not_asked = checked.not_asked().iter().map(formats::github_not_asked);
                let diagnostics = checked.loaded.diagnostics.iter().map(formats::github);
                diagnostics.chain(not_asked).for_each(output::line);
            }
            Format::Sarif => {
                output::json(&formats::sarif(&checked.loaded.diagnostics, checked.not_asked()))?
            }
        }
        let well = !checked.loaded.has_errors() && checked.not_asked().is_empty();
        Ok(if well { Exit::Well } else { Exit::NotWell })
    }
}

impl Checked {
    /// What could not be asked of GitHub.
    fn not_asked(&self) -> &[NotAsked] {
        self.names.as_ref().map(|(names, _)| names.not_asked.as_slice()).unwrap_or_default()
    }

    fn human(&self, path: &Path) {
        self.policy(path);
        if let Some((names, warnings)) = &self.names {
            names.print(*warnings);
        }
    }

    fn policy(&self, path: &Path) {
        let loaded = &self.loaded;
        print(&loaded.diagnostics);
        let path = path.display();
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
    }

    fn json(&self) -> serde_json::Value {
        let loaded = &self.loaded;
        let policy = loaded.policy.as_ref();
        serde_json::json!({
            "valid": !loaded.has_errors(),
            "diagnostics": loaded.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
            "mode": policy.map(|policy| policy.mode().as_str()),
            "rules": policy.map(rules::Policy::rule_count),
            "hash": policy.map(rules::Policy::hash),
            "names": self.names.as_ref().map(|(names, _)| names),
        })
    }
}
