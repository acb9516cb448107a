//! `patwarden rules schema`.

use super::super::{Exit, output};
use crate::rules::schema;

pub(super) const EXAMPLE: &str = "\
Write it to a file and name that in the first line of your rules; editors with a TOML language server then complete keys and \
underline wrong ones:

    #:schema ./patwarden.schema.json
    schema = 1";

/// Print the JSON Schema (draft-07) of rule files.
#[derive(clap::Args)]
pub(in crate::cli) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        output::json(&schema::schema())?;
        Ok(Exit::Well)
    }
}
