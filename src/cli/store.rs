//! `patwarden store`: the record's two files. What is done to them stands in `store::backup`.

mod forget;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, StoreArgs, output};
use crate::{
    domain::many,
    store::{Looked, Store},
};

/// What is done with the files.
#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Copy both files into a new directory, while patwarden runs or not, and read the copies through
    ///
    /// Each copy is the file as it was at one moment, and the two belong together: the record is copied first, so
    /// nothing that it has read is missing in the deliveries. They have the names of the originals; to restore, stop patwarden and put them
    /// in the originals' place, and delete what lies there with `-wal` and `-shm` at its end.
    Backup(Backup),
    /// Read both files through: whether they are sound, and belong together
    Check(Check),
    /// Forget a person: what was decided stays under a pseudonym, what names them goes
    ///
    /// It says what that comes to, and asks for the number before it does it. Refused while requests of theirs are open or tokens of
    /// theirs have access, or may have it. Of what others wrote or did, no more is changed than their login. What it does not reach: the audit log, the log, mailboxes, issues and comments at GitHub, rules that name them,
    /// and copies of the store.
    Forget(forget::Forget),
}

#[derive(clap::Args)]
struct Where {
    #[command(flatten)]
    store: StoreArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Where to, and of which store.
#[derive(clap::Args)]
pub(super) struct Backup {
    /// A directory that does not exist yet, or is empty. It holds what the record holds: keep it as private
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    of: Where,
}

/// Which store.
#[derive(clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    of: Where,
}

impl StoreCommand {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Backup(backup) => backup.run().await,
            Self::Check(check) => check.run().await,
            Self::Forget(forget) => forget.run().await,
        }
    }
}

impl Where {
    fn say(&self, looked: &Looked) -> anyhow::Result<()> {
        if self.json {
            return output::json(looked);
        }
        for file in &looked.files {
            output::line(format_args!(
                "  {}  {} kB",
                file.path.display(),
                file.bytes.div_ceil(1_000)
            ));
        }
        if !looked.this_version && looked.faults.is_empty() {
            output::line("Another version of patwarden wrote it.");
        }
        if looked.faults.is_empty() {
            let last = looked
                .last_decision_at
                .map(|at| format!(", the last of {} UTC", at.strftime("%Y-%m-%d %H:%M")));
            output::line(format_args!(
                "Sound: {}, {}{}; {}, {} of them not read yet.",
                many(looked.requests, "request"),
                many(looked.decisions, "decision"),
                last.unwrap_or_default(),
                many(looked.deliveries, "delivery"),
                looked.unread
            ));
        }
        for fault in &looked.faults {
            output::line(format_args!("WRONG  {}", output::cell(fault, 500)));
        }
        Ok(())
    }
}

impl Backup {
    async fn run(self) -> anyhow::Result<Exit> {
        // Not opened, so that a store of another version can be copied as well.
        let looked = Store::back_up(&self.of.store.path()?, &self.folder).await?;
        if !self.of.json {
            output::line("Copied, and the copies were read through:");
        }
        self.of.say(&looked)?;
        Ok(Exit::Well)
    }
}

impl Check {
    async fn run(self) -> anyhow::Result<Exit> {
        let looked = Store::look_through(&self.of.store.path()?).await?;
        self.of.say(&looked)?;
        Ok(if looked.faults.is_empty() { Exit::Well } else { Exit::NotWell })
    }
}
