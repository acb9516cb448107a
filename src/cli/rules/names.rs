//! The part of `patwarden rules check` that asks GitHub: as which App, in which organization, and what it says of the answers.

use std::sync::Arc;

use clap::{ArgMatches, Args, Command, FromArgMatches, error::Error};
use serde::Serialize;

use super::super::{Given, output, setting_flags};
use crate::{
    clock::Clock,
    domain::{Login, agrees, many},
    engine::{LookedUp, NotAsked, look_up},
    github::{App, AppCredentials, ClientOptions},
    rules::{diagnostic::Diagnostic, load::Loaded, names},
    settings::{Access, KEYS, Key},
    store::{Store, StoreError},
};

/// In which organization names are looked up, if in any, and the settings with which GitHub is asked.
#[derive(Default)]
pub(super) struct LookUp {
    org: Option<Login>,
    given: Given,
}

/// What came of it.
#[derive(Serialize)]
pub(super) struct Names {
    /// The organization.
    pub(super) organization: String,
    /// How many names the files have.
    pub(super) named: usize,
    /// What could not be asked: nothing is known of these names.
    pub(super) not_asked: Vec<NotAsked>,
}

/// The settings with which GitHub is asked.
const SETTINGS: &[&str] =
    &["app-id", "private-key-path", "api-url", "database-url", "github-timeout"];

fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| SETTINGS.contains(&key.name))
}

impl Args for LookUp {
    fn augment_args(command: Command) -> Command {
        let org = clap::Arg::new("org").long("org").value_name("LOGIN").help(
            "Ask GitHub, as the App, for the teams, repositories, custom properties and people that the files name, as for \
             requests to this organization",
        );
        let flags = setting_flags(keys()).into_iter().map(|flag| flag.requires("org"));
        command.arg(org).next_help_heading("Settings for --org").args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LookUp {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let org = matches.get_one::<String>("org").map(|login| Login::new(login.as_str()));
        Ok(Self { org, given: Given::of(matches, keys()) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl LookUp {
    /// Looks the names up, if that is wanted: a warning for each that is not there, and what became of the asking.
    pub(super) async fn run(
        self,
        loaded: &Loaded,
    ) -> anyhow::Result<Option<(Names, Vec<Diagnostic>)>> {
        let Some(org) = self.org else { return Ok(None) };
        let settings = Access::check(self.given.sources())?;
        let credentials =
            AppCredentials { app_id: settings.app.id, private_key: settings.app.private_key };
        let options =
            ClientOptions { timeout: settings.github_timeout, ..ClientOptions::default() };
        let app = App::new(&credentials, &settings.app.api_url, options, Clock::system())?;
        let (store, no_store) = match there(&settings.database).await {
            Ok(store) => (store, None),
            Err(error) => (None, Some(error)),
        };
        let LookedUp { known, mut not_asked } =
            look_up(Arc::new(app), options, store.as_ref(), &org, loaded).await;
        if let Some(error) = no_store {
            let what = "which teams the slugs meant so far".to_owned();
            not_asked.push(NotAsked { what, why: error.to_string() });
        }
        let warnings = names::unknown(loaded, &org, &known);
        let names = Names { organization: org.to_string(), named: loaded.named().len(), not_asked };
        Ok(Some((names, warnings)))
    }
}

/// The record, where there is one.
async fn there(path: &std::path::Path) -> Result<Option<Store>, StoreError> {
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => Store::open_existing(path).await.map(Some),
    }
}

impl Names {
    /// For people, below everything else.
    pub(super) fn print(&self, warnings: usize) {
        let organization = output::cell(&self.organization, 40);
        let found = match (self.named, warnings) {
            (0, _) => "the files name nothing that could be looked up".to_owned(),
            (named, 0) if self.not_asked.is_empty() => {
                let there = agrees(named, "it is", "all of them are");
                format!("{} looked up, and {there} there", many(named, "name"))
            }
            (named, warnings) => {
                format!("{} in the files, {warnings} to look at", many(named, "name"))
            }
        };
        output::line(format_args!("{organization}: {found}"));
        for NotAsked { what, why } in &self.not_asked {
            output::line(format_args!("  NOT ASKED: {what}: {why}"));
        }
        if !self.not_asked.is_empty() {
            output::line("  Nothing is said of those: whether they are there is not known.");
        }
    }
}
