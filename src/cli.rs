//! The commands: one file each. Printing happens in this folder and nowhere else.

mod access;
mod completions;
mod decisions;
mod deliveries;
#[cfg(feature = "demo")]
mod demo;
mod describe;
mod digest;
mod doctor;
mod filter;
mod known;
mod man;
mod output;
mod policy;
mod replay;
mod requests;
mod revocations;
mod rules;
mod serve;
mod settings;
mod setup;
mod store;
mod tokens;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::settings::{Key, Sources};

/// What a command came to, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well: 0.
    Well,
    /// The command ran, and what it looked at is not well (a failing test, an invalid rule file, a
    /// demonstration that went wrong): 1.
    NotWell,
    /// The command ran, was asked to say by its code whether something differs, and something does: 3.
    Differs,
    /// The command was stopped in the middle, and can go on where it was left: 4.
    Unfinished,
}

/// Arguments that cannot be used together, or not like this: 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

const AFTER_HELP: &str = "\
First look:      patwarden demo
Check rules:     patwarden rules check rules/small-org.toml
Register it:     patwarden setup
Run for real:    patwarden serve --help
Forget a person: patwarden store forget LOGIN --dry-run

Exit codes: 0 well; 1 what was looked at is not well, or the command failed; 2 the arguments or settings \
cannot be used; 3 something differs, where a command was asked to say so; 4 stopped in the middle, and can go on.";

/// Judges requests for fine-grained personal access tokens by rules kept in a repository: approves, denies
/// with a reason, or leaves them to people, and explains every decision.
#[derive(Parser)]
#[command(name = "patwarden", version = env!("PATWARDEN_VERSION"), after_help = AFTER_HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive webhooks and decide, for every installation of the App
    Serve(serve::Serve),
    /// Register the GitHub App in a browser, and write its key and the settings for `serve`
    Setup(setup::Setup),
    /// See the whole job in a minute: a fake GitHub, the bot, and people who ask for tokens
    ///
    /// Everything is local: signed webhooks, App tokens and API calls go over loopback to a fake GitHub that
    /// keeps its own state. No account and no settings are needed, and the environment is not read. Ctrl-c
    /// ends it.
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Check, test, explain and compare rule files; offline, but for `check --org`
    #[command(subcommand)]
    Rules(rules::Rules),
    /// Whose rules come from where, and whether they are in force
    #[command(subcommand)]
    Policy(policy::Policy),
    /// What is pending, what was decided and why
    #[command(subcommand)]
    Requests(requests::Requests),
    /// Every token with access, who approved it, and taking it back
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// What was planned and revoked, token by token
    #[command(subcommand)]
    Revocations(revocations::Revocations),
    /// The record of decisions, with the trace of each
    #[command(subcommand)]
    Decisions(decisions::Decisions),
    /// The daily digest: as it would be now, and sending it at once
    #[command(subcommand)]
    Digest(digest::Digest),
    /// Look for what is wrong with this installation: what, why it matters, how to mend it
    Doctor(doctor::Doctor),
    /// What GitHub sent, what of it arrived, and having it sent again
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// What the settings come to, and where each was said
    #[command(subcommand)]
    Settings(settings::SettingsCommand),
    /// Sign a payload file and send it to a running server, for local work
    ///
    /// To have GitHub itself send a webhook again: `patwarden deliveries redeliver`.
    Replay(replay::Replay),
    /// The record's files: copying them while patwarden runs, seeing whether they are sound, and forgetting a person
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// What a shell completes after `patwarden`
    ///
    /// For bash, with bash-completion: `patwarden completions bash > ~/.local/share/bash-completion/completions/patwarden`.
    /// For zsh: `patwarden completions zsh > DIR/_patwarden`, in a directory of $fpath. For fish:
    /// `patwarden completions fish > ~/.config/fish/completions/patwarden.fish`.
    Completions(completions::Completions),
    /// The manual page; with --dir one of every command
    Man(man::Man),
}

const DATABASE_HELP: &str =
    "The record: sqlite:PATH [env: PATWARDEN_DATABASE_URL] [default: sqlite:patwarden.sqlite]";

/// Where the record is: for commands that look into it. They never make one.
#[derive(Args)]
struct StoreArgs {
    #[arg(long, value_name = "URL", help = DATABASE_HELP)]
    database_url: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with settings, in TOML [env: PATWARDEN_CONFIG]"
    )]
    config: Option<PathBuf>,
}

impl StoreArgs {
    fn path(&self) -> anyhow::Result<PathBuf> {
        let flags = self.database_url.iter().map(|url| ("database-url", url.clone()));
        Ok(crate::settings::database(sources(self.config.as_ref()).with_flags(flags))?)
    }

    async fn open(&self) -> anyhow::Result<crate::store::Store> {
        Ok(crate::store::Store::open_existing(&self.path()?).await?)
    }
}

/// The process's environment and the settings file.
fn sources(config: Option<&PathBuf>) -> Sources {
    let environment =
        |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let sources = Sources::default().with_environment(environment);
    match config.cloned().or_else(|| std::env::var_os("PATWARDEN_CONFIG").map(PathBuf::from)) {
        Some(path) => sources.with_file(&path),
        None => sources,
    }
}

/// Flags for settings, made from the one table of them, and one for the settings file.
fn setting_flags<'k>(keys: impl IntoIterator<Item = &'k Key>) -> Vec<clap::Arg> {
    let flags = keys.into_iter().filter(|key| !key.secret).map(|key| {
        let mut help = format!("{} [env: {}]", capitalized(key.help), key.env);
        if let Some(default) = key.default {
            help.push_str(&format!(" [default: {default}]"));
        }
        clap::Arg::new(key.name).long(key.name).value_name("VALUE").help(help)
    });
    let config = clap::Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(
            "A file with settings, in TOML, under the names of the flags [env: PATWARDEN_CONFIG]",
        );
    flags.chain([config]).collect()
}

/// The settings that were given as flags, and the settings file.
#[derive(Clone, Default)]
struct Given {
    flags: Vec<(&'static str, String)>,
    config: Option<PathBuf>,
}

impl Given {
    fn of(matches: &clap::ArgMatches, keys: impl IntoIterator<Item = &'static Key>) -> Self {
        let flags = keys
            .into_iter()
            .filter(|key| !key.secret)
            .filter_map(|key| Some((key.name, matches.get_one::<String>(key.name)?.clone())))
            .collect();
        Self { flags, config: matches.get_one::<PathBuf>("config").cloned() }
    }

    /// These before the environment, and that before the file.
    fn sources(self) -> Sources {
        sources(self.config.as_ref()).with_flags(self.flags)
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// The command line as a whole, for completion and for the documentation's tests.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => error.exit(),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&anyhow::Error::new(error).context("the runtime cannot be started"));
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match ended {
        Ok(Exit::Well) => ExitCode::SUCCESS,
        Ok(Exit::NotWell) => ExitCode::FAILURE,
        Ok(Exit::Differs) => ExitCode::from(3),
        Ok(Exit::Unfinished) => ExitCode::from(4),
        Err(error) => {
            output::error(&error);
            if error.is::<crate::settings::Problems>() || error.is::<Usage>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Serve(command) => command.run().await,
        Command::Setup(command) => command.run().await,
        #[cfg(feature = "demo")]
        Command::Demo(command) => command.run().await,
        Command::Rules(command) => command.run().await,
        Command::Policy(command) => command.run().await,
        Command::Requests(command) => command.run().await,
        Command::Tokens(command) => command.run().await,
        Command::Revocations(command) => command.run().await,
        Command::Decisions(command) => command.run().await,
        Command::Digest(command) => command.run().await,
        Command::Doctor(command) => command.run().await,
        Command::Deliveries(command) => command.run().await,
        Command::Settings(command) => command.run(),
        Command::Replay(command) => command.run().await,
        Command::Store(command) => command.run().await,
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}
