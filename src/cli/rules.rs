//! `patwarden rules`: check, test and explain rule files, offline.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Exit, output};
use crate::{
    engine::read_sources,
    rules::{
        self, cases,
        diagnostic::Diagnostic,
        load::{Loaded, load},
        render,
    },
};

const EXAMPLE: &str = "\
The file has the tables of a test: `wants` is the request, `world` the rest, and `now`. For example:

    wants.lifetime = \"60d\"
    wants.repositories = [\"web\"]
    wants.permissions.repository = { contents = \"read\" }
    world.owner = { login = \"kim\", teams = [\"developers\"] }";

/// Check, test and explain rule files; offline.
#[derive(Subcommand)]
pub(super) enum Rules {
    /// Find everything that is wrong with rule files, each with its place and the nearest right word
    Check(Check),
    /// Run the tests in rule files: each shows the whole trace when it fails
    Test(Test),
    /// Say what the rules make of a request that a file describes, and why
    #[command(after_help = EXAMPLE)]
    Explain(Explain),
}

#[derive(clap::Args)]
pub(super) struct Check {
    /// A rule file, or a directory of them
    #[arg(value_name = "RULES")]
    file: PathBuf,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Test {
    /// A rule file, or a directory of them
    #[arg(value_name = "RULES")]
    file: PathBuf,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Explain {
    /// A rule file, or a directory of them
    #[arg(value_name = "RULES")]
    file: PathBuf,
    /// The file that describes the request, in TOML, as below
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Rules {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Check(check) => check.run(),
            Self::Test(test) => test.run(),
            Self::Explain(explain) => explain.run(),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Loaded> {
    Ok(load(&read_sources(path).map_err(anyhow::Error::msg)?))
}

fn print(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        output::line(diagnostic.render_human(output::colours()));
        output::line("");
    }
}

fn exit(loaded: &Loaded) -> Exit {
    if loaded.has_errors() { Exit::NotWell } else { Exit::Well }
}

impl Check {
    fn run(self) -> anyhow::Result<Exit> {
        let loaded = read(&self.file)?;
        let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        let doubts = loaded.diagnostics.len() - errors;
        let pending =
            loaded.policy.as_ref().map(rules::Policy::not_yet_acted_on).unwrap_or_default();
        if self.json {
            output::json(&serde_json::json!({
                "valid": errors == 0,
                "diagnostics": loaded.diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
                "mode": loaded.policy.as_ref().map(|policy| policy.mode().as_str()),
                "rules": loaded.policy.as_ref().map(rules::Policy::rule_count),
                "hash": loaded.policy.as_ref().map(rules::Policy::hash),
                "not_yet_acted_on": pending.iter().map(|entry| serde_json::json!({
                    "block": entry.block, "what": entry.what,
                })).collect::<Vec<_>>(),
            }))?;
            return Ok(exit(&loaded));
        }
        print(&loaded.diagnostics);
        match &loaded.policy {
            Some(policy) => {
                output::line(format_args!(
                    "{}: valid; {} rules, mode {}{}",
                    self.file.display(),
                    policy.rule_count(),
                    policy.mode().as_str(),
                    match policy.mode() {
                        rules::Mode::Shadow => " (nothing is sent to GitHub)",
                        rules::Mode::ApproveOnly => " (nothing is denied)",
                        rules::Mode::Enforce => "",
                    }
                ));
                for entry in pending {
                    output::line(format_args!(
                        "  [{}] is read and checked, and not yet acted on in this version: {}",
                        entry.block, entry.what
                    ));
                }
            }
            None => output::line(format_args!(
                "{}: not valid; {errors} error{}, {doubts} warning{}",
                self.file.display(),
                if errors == 1 { "" } else { "s" },
                if doubts == 1 { "" } else { "s" },
            )),
        }
        Ok(exit(&loaded))
    }
}

impl Test {
    fn run(self) -> anyhow::Result<Exit> {
        let loaded = read(&self.file)?;
        let report = cases::run(&loaded);
        let well = report.passed();
        if self.json {
            output::json(&report)?;
            return Ok(if well { Exit::Well } else { Exit::NotWell });
        }
        if !well {
            let other: Vec<_> = loaded
                .diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.is_error() && !diagnostic.is_failing_test())
                .cloned()
                .collect();
            print(&other);
        }
        output::line(report.render().trim_end());
        Ok(if well { Exit::Well } else { Exit::NotWell })
    }
}

impl Explain {
    fn run(self) -> anyhow::Result<Exit> {
        let loaded = read(&self.file)?;
        let Some(policy) = &loaded.policy else {
            print(&loaded.diagnostics);
            anyhow::bail!("{} is not valid, so it decides nothing", self.file.display());
        };
        let text = std::fs::read_to_string(&self.request).map_err(|error| {
            anyhow::anyhow!("{} cannot be read: {error}", self.request.display())
        })?;
        let name = self.request.display().to_string();
        let (request, facts) = match cases::parse_situation(&name, &text, policy.needs()) {
            Ok(situation) => situation,
            Err(diagnostics) => {
                print(&diagnostics);
                anyhow::bail!("{name} does not describe a request");
            }
        };
        let (decision, trace) = rules::decide_with_trace(policy, &request, &facts);
        if self.json {
            output::json(&serde_json::json!({ "decision": decision, "trace": trace }))?;
            return Ok(Exit::Well);
        }
        output::line(render::sentence(&decision));
        if let Some(reason) = &decision.reason {
            output::line(format_args!("with the reason: {}", output::cell(reason, 1_100)));
        }
        output::line("");
        output::line(render::tree(&trace).trim_end());
        Ok(Exit::Well)
    }
}
