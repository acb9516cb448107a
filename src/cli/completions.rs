//! `patwarden completions`: scripts by which shells complete commands and flags.

use clap_complete::Shell;

use super::{Exit, output};

/// For which shell.
#[derive(clap::Args)]
pub(super) struct Completions {
    /// Whose
    shell: Shell,
}

impl Completions {
    #[allow(clippy::unnecessary_wraps, reason = "every command ends the same way")]
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "patwarden", &mut script);
        output::part(String::from_utf8(script)?);
        Ok(Exit::Well)
    }
}
