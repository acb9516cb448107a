//! `patwarden serve`: webhooks in, decisions out, until told to stop.

use clap::{ArgMatches, Args, Command, FromArgMatches, error::Error};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Given, output, setting_flags, setup};
use crate::{
    clock::Clock,
    service::Service,
    settings::{KEYS, Settings, Webhooks},
    telemetry,
};

const ABOUT: &str = "Receive webhooks and decide, for every installation of the App";

const AFTER: &str = "\
Secrets have no flags, since other users of the machine can see those:
  GITHUB_APP_PRIVATE_KEY       the key itself, as PEM (or name its file with --private-key-path)
  GITHUB_WEBHOOK_SECRET        the secret; several, separated by commas, while one is being replaced

Where nothing is said of an App, it offers the page of `patwarden setup` first, on http://127.0.0.1:8181 or a free port, with the current \
folder for what is written.

Webhooks are received at /webhooks/github; /healthz answers when the process lives. On the address of --ops-listen, \
/readyz says what is wrong and /metrics is for Prometheus. Send SIGHUP to read the \
rules again at once; they are also read again within seconds of a change. Ctrl-c lets what is under way end; a second \
one does not wait for it, and nothing is lost by that either.

A flag goes before the environment, the environment before the file, the file before the default.";

/// The flags that were given: made from the table of settings, so that there is one list of them.
pub(super) struct Serve {
    given: Given,
}

impl Args for Serve {
    fn augment_args(command: Command) -> Command {
        command.about(ABOUT).after_help(AFTER).args(setting_flags(KEYS))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Serve {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self { given: Given::of(matches, KEYS) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let mut sources = self.given.clone().sources();
        if sources.names_an_app().is_none() {
            // Whatever else is wrong with the settings is told first: nobody registers an App to hear of it then.
            let stand_ins = ["app-id", "private-key", "webhook-secret", "rules"];
            let stand_ins = stand_ins.into_iter().filter(|name| !sources.says(name));
            let stand_ins = stand_ins.map(|name| (name, "1".to_owned()));
            Settings::check(self.given.clone().sources().with_flags(stand_ins))?;
            let Some(registered) = setup::before_serving(sources).await? else {
                return Ok(Exit::NotWell);
            };
            sources = self.given.sources();
            let of_the_app = setup::settings_of(&registered);
            let unsaid = |(name, _): &(&'static str, String)| match *name {
                "rules" | "database-url" => !sources.says(name),
                _ => true,
            };
            let flags: Vec<_> = of_the_app.into_iter().filter(unsaid).collect();
            sources = sources.with_flags(flags);
        }
        let settings = Settings::check(sources)?;
        telemetry::start(settings.log_format, &settings.log_filter, true);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let hearing = match settings.app.webhooks {
            Webhooks::Off => Some(settings.reconcile_interval),
            Webhooks::Signed(_) => None,
        };
        let mut service = Service::start(settings, Clock::system()).await?;
        match hearing {
            Some(often) => output::line(format_args!(
                "patwarden lists pending requests every {} s; webhooks are off",
                often.as_secs()
            )),
            None => output::line(format_args!(
                "patwarden receives webhooks at http://{}{}",
                service.address,
                crate::server::WEBHOOK_PATH
            )),
        }
        if let Some(address) = service.ops_address {
            output::line(format_args!("patwarden can be watched at http://{address}/readyz"));
        }
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = terminate.recv() => break,
                _ = hang_up.recv() => {
                    let policies = service.engine.policies().clone();
                    policies.look_soon();
                    tokio::task::spawn_blocking(move || policies.reload()).await?;
                }
                ended = service.failed() => {
                    ended?;
                    anyhow::bail!("a part of patwarden ended by itself");
                }
            }
        }
        tracing::info!(
            "stopping: what is under way is finished first; a second Ctrl-c does not wait for it"
        );
        tokio::select! {
            stopped = service.stop() => stopped.map(|()| Exit::Well),
            _ = tokio::signal::ctrl_c() => Ok(Exit::NotWell),
            _ = terminate.recv() => Ok(Exit::NotWell),
        }
    }
}
