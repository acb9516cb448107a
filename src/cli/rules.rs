//! `patwarden rules`: what can be known of rule files, without GitHub but where somebody asks for it.

mod check;
mod explain;
mod formats;
mod names;
mod new;
mod plan;
mod schema;
mod test;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Exit, output};
use crate::{
    engine::read_sources,
    rules::{
        Policy, Sources, Standing,
        diagnostic::Diagnostic,
        load::{Loaded, load_layers},
    },
    store::Store,
};

/// Check, test, explain and compare rule files; offline, but for `check --org`.
#[derive(Subcommand)]
pub(super) enum Rules {
    /// Find everything that is wrong with rule files, each with its place and the nearest right word
    #[command(after_help = check::EXAMPLE)]
    Check(check::Check),
    /// Run the tests in rule files: each shows the whole trace when it fails
    Test(test::Test),
    /// Say what the rules make of a request, and why
    #[command(after_help = explain::EXAMPLE)]
    Explain(Box<explain::Explain>),
    /// Say what a change of the rules would do: which recorded decisions would come out otherwise
    #[command(after_help = plan::EXAMPLE)]
    Plan(plan::Plan),
    /// Print the JSON Schema of rule files, so that editors complete and check them
    #[command(after_help = schema::EXAMPLE)]
    Schema(schema::Schema),
    /// Ask five questions and write a policy to begin with, tests included
    #[command(after_help = new::EXAMPLE)]
    New(new::New),
}

/// Which rules.
#[derive(clap::Args)]
struct RulesArgs {
    /// A rule file, or a directory of them
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// The enterprise's rules above them: a file, or a directory. Without this, a file in the directory that says
    /// `layer = "enterprise"` is taken for it
    #[arg(long, value_name = "RULES")]
    enterprise: Option<PathBuf>,
}

impl Rules {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Check(check) => check.run().await,
            Self::Test(test) => test.run(),
            Self::Explain(explain) => explain.run().await,
            Self::Plan(plan) => plan.run().await,
            Self::Schema(schema) => schema.run(),
            Self::New(new) => new.run(),
        }
    }
}

impl RulesArgs {
    fn load(&self) -> anyhow::Result<Loaded> {
        read(&self.rules, self.enterprise.as_deref())
    }
}

fn read(rules: &Path, enterprise: Option<&Path>) -> anyhow::Result<Loaded> {
    let read = |path: &Path| read_sources(path).map_err(anyhow::Error::msg);
    let sources = match enterprise {
        None => Sources::by_head(read(rules)?),
        Some(enterprise) => Sources {
            enterprise: read(enterprise)?,
            organization: read(rules)?,
            standing: Standing::New,
        },
    };
    Ok(load_layers(&sources))
}

/// The policy, or everything that is wrong with it printed.
fn valid(rules: &Path, loaded: Loaded) -> anyhow::Result<Policy> {
    loaded.policy.ok_or_else(|| {
        print(&loaded.diagnostics);
        anyhow::anyhow!("{} is not valid, so it decides nothing", rules.display())
    })
}

/// The policy with the repositories protected that the server of this record follows, as the server has them.
async fn as_followed(policy: Policy, store: &Store) -> anyhow::Result<Policy> {
    let places = store.policy_places().await?;
    let names = places.iter().filter_map(|place| place.full_name.as_deref()?.split_once('/'));
    Ok(names.fold(policy, |policy, (owner, name)| policy.with_protected(owner, name)))
}

fn print(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        output::line(diagnostic.render_human(output::colours()));
        output::line("");
    }
}
