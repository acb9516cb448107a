//! `patwarden man`: manual pages, made of what `--help` says.

use std::path::PathBuf;

use anyhow::Context;

use super::{Exit, output};

/// Which pages, and where to.
#[derive(clap::Args)]
pub(super) struct Man {
    /// Write a page of every command into this directory: /usr/local/share/man/man1 is where `man` looks
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let command = super::command();
        match self.dir {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page)?;
                output::part(String::from_utf8(page)?);
            }
            Some(folder) => {
                let shown = folder.display();
                std::fs::create_dir_all(&folder)
                    .and_then(|()| clap_mangen::generate_to(command, &folder))
                    .with_context(|| format!("no pages can be written into {shown}"))?;
                output::line(format_args!("The pages are in {shown}: `man patwarden`."));
            }
        }
        Ok(Exit::Well)
    }
}
