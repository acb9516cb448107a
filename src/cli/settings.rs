//! `patwarden settings`: what counts, and where it was said.

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, error::Error};

use super::{Exit, Given, output, setting_flags};
use crate::{
    domain::many,
    settings::{KEYS, Settings},
};

/// What the settings come to.
#[derive(Subcommand)]
pub(super) enum SettingsCommand {
    /// Show every setting with its value and where that was said; secrets are hidden
    ///
    /// It reads what `patwarden serve` would read with the same flags, environment and file, and says what is wrong with
    /// it. Nothing is opened, and GitHub is not asked.
    Show(Show),
}

/// The flags that were given: those of `serve`.
pub(super) struct Show {
    given: Given,
    json: bool,
}

impl Args for Show {
    fn augment_args(command: Command) -> Command {
        let json = clap::Arg::new("json")
            .long("json")
            .action(clap::ArgAction::SetTrue)
            .help("As JSON, for scripts");
        command.args(setting_flags(KEYS)).arg(json)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Show {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self { given: Given::of(matches, KEYS), json: matches.get_flag("json") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl SettingsCommand {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Show(show) => show.run(),
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<Exit> {
        let sources = self.given.sources();
        let (shown, tables) = (sources.shown(), sources.tables());
        let notes = sources.notes().to_vec();
        let problems = Settings::check(sources).err();
        if self.json {
            output::json(&serde_json::json!({
                "settings": shown,
                "tables": tables.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "notes": notes,
                "problems": problems.as_ref().map(|problems| problems.0.clone()).unwrap_or_default(),
            }))?;
        } else {
            output::table(
                &["SETTING", "VALUE", "FROM"],
                shown.iter().map(|one| {
                    let value = match (&one.value, &one.problem) {
                        (Some(value), _) => output::cell(value, 100),
                        (None, Some(_)) => "UNUSABLE".to_owned(),
                        (None, None) => "not set".to_owned(),
                    };
                    let from = one.from.as_deref().unwrap_or("-");
                    vec![one.name.to_owned(), value, output::cell(from, 100)]
                }),
            );
            for (name, entries) in &tables {
                output::line("");
                output::line(format_args!("[{name}] has {}.", many(*entries, "entry")));
            }
            for note in &notes {
                output::line("");
                output::line(note);
            }
        }
        problems.map_or(Ok(Exit::Well), |problems| Err(problems.into()))
    }
}
