//! `patwarden revocations confirm`: somebody has looked at a run of a standing policy that waits, and lets it go.

use clap::Args;

use crate::{
    cli::{
        Exit,
        access::{AccessArgs, Opened, operator},
        known, output, revocations,
    },
    store::RevocationState,
};

#[derive(Args)]
pub(in crate::cli) struct Confirm {
    #[command(flatten)]
    access: AccessArgs,
    /// Its number, as `patwarden revocations list` shows it
    #[arg(value_parser = |text: &str| known::number(text, "revocations list"))]
    run: i64,
    /// Do not ask for the number of tokens: for scripts
    #[arg(long)]
    yes: bool,
}

impl Confirm {
    pub(in crate::cli) async fn run(self) -> anyhow::Result<Exit> {
        let Opened { store, bulk } = self.access.open().await?;
        let id = self.run;
        let Some(row) = store.revocation(id).await? else {
            anyhow::bail!(
                "there is no revocation {id}: `patwarden revocations list` shows those that there are"
            );
        };
        if row.policy.is_none() {
            anyhow::bail!(
                "revocation {id} was planned by hand: `patwarden tokens revoke --plan {id} --apply` carries it out"
            );
        }
        if row.state != RevocationState::Waiting {
            anyhow::bail!(
                "revocation {id} is {}: it does not wait for anybody",
                row.state.as_str()
            );
        }
        let counts = store.count_revocation_items(id).await?;
        revocations::head(&row, &counts);
        output::line("");
        let tokens = revocations::count(&store, id).await?;
        if !self.yes && !revocations::confirmed(&row, tokens).await? {
            output::line(
                "Nothing was confirmed: it goes on waiting, and is given up a day after it was made.",
            );
            return Ok(Exit::NotWell);
        }
        bulk.confirm(id, &operator("")).await?;
        output::line(format_args!(
            "Confirmed. `patwarden serve` carries it out within a minute, as long as the rules are those that made it. What \
             came of it: patwarden revocations show {id}"
        ));
        Ok(Exit::Well)
    }
}
