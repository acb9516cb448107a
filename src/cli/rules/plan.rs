//! `patwarden rules plan`.

use std::path::PathBuf;

use super::{
    super::{Exit, StoreArgs, known, output},
    as_followed, read, valid,
};
use crate::{clock::Clock, engine::on_record, rules::plan::plan};

pub(super) const EXAMPLE: &str = "\
OLD and NEW are rule files, or directories of them. What is on record is judged under both: the requests of the last 90 \
days, those that are pending, and the tokens that are active. Only what differs is shown; what the record cannot tell is \
shown apart. Nothing is changed.

For example:     git worktree add /tmp/before main
                 patwarden rules plan /tmp/before/rules rules --database-url sqlite:patwarden.sqlite

Exit codes: 0 done; with --exit-code 3 when something differs; 1 when a version is not valid or the record cannot be read.";

#[derive(clap::Args)]
pub(in crate::cli) struct Plan {
    /// The rules as they are
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The rules as they would be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The enterprise's rules above both
    #[arg(long, value_name = "RULES")]
    enterprise: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// Only what this organization was asked
    #[arg(long, value_name = "LOGIN")]
    org: Option<String>,
    /// End with 3 when something differs
    #[arg(long)]
    exit_code: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let enterprise = self.enterprise.as_deref();
        let old = valid(&self.old, read(&self.old, enterprise)?)?;
        let new = valid(&self.new, read(&self.new, enterprise)?)?;
        let store = self.store.open().await?;
        if let Some(org) = &self.org {
            known::is_on_record(&store, org).await?;
        }
        let (old, new) = (as_followed(old, &store).await?, as_followed(new, &store).await?);
        let (recorded, unreadable) = on_record(&store, self.org, Clock::system().now()).await?;
        let plan = plan(&old, &new, recorded);
        if self.json {
            output::json(&plan)?;
        } else {
            output::line(plan.render().trim_end());
            if unreadable > 0 {
                output::line(format_args!(
                    "\nOf {unreadable} more the record cannot be read: another version wrote it."
                ));
            }
        }
        let differs = self.exit_code && !plan.changes_nothing();
        Ok(if differs { Exit::Differs } else { Exit::Well })
    }
}
