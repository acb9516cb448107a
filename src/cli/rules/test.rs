//! `patwarden rules test`.

use super::{
    super::{Exit, output},
    RulesArgs, print,
};
use crate::rules::cases;

#[derive(clap::Args)]
pub(in crate::cli) struct Test {
    #[command(flatten)]
    rules: RulesArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let loaded = self.rules.load()?;
        let report = cases::run(&loaded);
        let well = report.passed();
        let exit = if well { Exit::Well } else { Exit::NotWell };
        if self.json {
            output::json(&report)?;
            return Ok(exit);
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
        Ok(exit)
    }
}
