//! `patwarden setup`: a page on which the App is registered, and what is next.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Exit, Usage, output, sources};
use crate::{
    clock::Clock,
    github::Host,
    server::setup::{Open, Options},
    settings::{self, Sources},
    setup::Registered,
};

const AFTER: &str = "\
It shows an address for your browser; there you say what the App is to do, and confirm it on GitHub with one click. The \
App's key and webhook secret are then fetched and written to files that only you can read, beside a settings file for \
`patwarden serve --config`. Nothing is ever written over.

`serve` puts its record, patwarden.sqlite, into the same folder, since the settings file says so: change database-url in it \
before the first start where the record belongs on another disk. As a systemd service, deploy/patwarden.service does that.

The address has a code in it, which is taken once: whoever else reaches the page does not come in.
On a machine without a browser, let ssh bring the page to yours:
  ssh -L 8181:127.0.0.1:8181 HOST patwarden setup --out /etc/patwarden
On any other address than the machine's own the code is shown here, to be typed there.

The page is gone once the App is registered, and is not offered where credentials are set.";

/// Where the page is, and where files go.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(super) struct Setup {
    /// Where the page is served; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT)]
    listen: SocketAddr,
    /// The address under which browsers reach the page, where that is not the one above: behind a proxy
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// The folder for the App's key, its webhook secret, the settings file and, later, the record; made where it is not there
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    #[arg(long, value_name = "URL", help = API_HELP)]
    api_url: Option<String>,
}

const API_HELP: &str =
    "GitHub's REST API, when it is not github.com's: https://HOST/api/v3 [env: GITHUB_API_URL]";

/// Where the page is served unless somebody says otherwise.
const DEFAULT: &str = "127.0.0.1:8181";

impl Setup {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let flags = self.api_url.into_iter().map(|url| ("api-url", url));
        let sources = sources(None).with_flags(flags);
        if let Some(place) = sources.names_an_app() {
            let what = format!(
                "{place} is set: an App is registered already, and `patwarden doctor` looks at it. To register another, unset it"
            );
            return Err(Usage(what).into());
        }
        if let Some(url) = &self.url
            && (!matches!(url.scheme(), "https" | "http") || !matches!(url.path(), "" | "/"))
        {
            return Err(Usage(format!("`{url}` is no address of a page of its own")).into());
        }
        let offered = Offered { listen: self.listen, url: self.url, out: self.out };
        Ok(match register(offered, sources).await? {
            Some(_) => Exit::Well,
            None => Exit::NotWell,
        })
    }
}

/// Where the page is to be.
pub(super) struct Offered {
    listen: SocketAddr,
    url: Option<Url>,
    out: PathBuf,
}

/// What `serve` does where nothing is said of an App.
pub(super) async fn before_serving(sources: Sources) -> anyhow::Result<Option<Registered>> {
    let written = Path::new(crate::setup::SETTINGS);
    if written.exists() {
        let what = "nothing is said of an App, and patwarden.toml is there: start with --config patwarden.toml";
        return Err(Usage(what.to_owned()).into());
    }
    // A record is of an App that there is: whoever opens the page first could put one of theirs in its place.
    let record = settings::database(sources.clone())?;
    if record.exists() {
        let what = format!(
            "nothing is said of an App, and there is a record at {}: say the App's settings again (GITHUB_APP_ID, \
             GITHUB_APP_PRIVATE_KEY_PATH), or run `patwarden setup` where another App is meant",
            record.display()
        );
        return Err(Usage(what).into());
    }
    output::line(
        "Nothing is said of an App (GITHUB_APP_ID and the rest are not set), so it is registered first.",
    );
    let listen: SocketAddr = DEFAULT.parse()?;
    // Something else may have the port; the address is shown anyway.
    let taken = std::net::TcpListener::bind(listen).is_err();
    let listen = if taken { SocketAddr::new(listen.ip(), 0) } else { listen };
    register(Offered { listen, url: None, out: PathBuf::from(".") }, sources).await
}

/// What stands in the settings file that was written.
pub(super) fn settings_of(registered: &Registered) -> Vec<(&'static str, String)> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let written = &registered.written;
    let mut settings = vec![
        ("app-id", registered.id.to_string()),
        ("private-key-path", text(&written.private_key)),
        ("api-url", registered.api_url.clone()),
        ("rules", written.rules.clone()),
        ("database-url", written.database.clone()),
    ];
    settings.push(match &written.webhook_secret {
        Some(path) => ("webhook-secret-path", text(path)),
        None => ("webhook", "off".to_owned()),
    });
    settings
}

/// Offers the page until the App is registered; `None`: somebody stopped it before.
pub(super) async fn register(
    offered: Offered,
    sources: Sources,
) -> anyhow::Result<Option<Registered>> {
    let (api_url, timeout) = settings::github(sources)?;
    let host = Host::of_api(&api_url).map_err(anyhow::Error::msg)?;
    let Offered { listen, url, out } = offered;
    let open = Open::bind(Options { listen, url, out, host, timeout }, Clock::system())?;
    output::line(format_args!("Open {} in a browser, to register the App.", open.url));
    if open.code.is_none() {
        output::line("The address lets one browser in, once.");
    }
    if let Some(code) = &open.code {
        output::line(format_args!("It listens on {}.", open.address));
        output::line(format_args!("It asks for this code: {code}"));
        if !open.url.starts_with("https://") {
            output::note(
                "Warning: nothing is encrypted on the way there. Whoever can read along can take the App's key. Let ssh bring the \
                 page to your browser instead: `patwarden setup --help`.",
            );
        }
    }
    output::line("Ctrl-c ends it.");
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let stopping = stop.clone();
    let stopper = tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        stopping.cancel();
    });
    let registered = open.serve(stop).await?;
    stopper.abort();
    if let Some(registered) = &registered {
        say(registered);
    }
    Ok(registered)
}

fn say(registered: &Registered) {
    output::line("");
    output::line(format_args!(
        "The App {} is registered, number {}. Written:",
        registered.slug, registered.id
    ));
    let written = &registered.written;
    let secret = written.webhook_secret.iter();
    for path in [&written.settings, &written.private_key].into_iter().chain(secret) {
        output::line(format_args!("  {}", path.display()));
    }
    let record = written.database.trim_start_matches("sqlite:");
    output::line(format_args!("The settings have `serve` keep its record at {record}."));
    for note in &registered.notes {
        output::note(note);
    }
    for (number, step) in registered.steps.iter().enumerate() {
        output::line(format_args!("\n{}. {}", number + 1, step.text));
        for line in step.link.iter().chain(&step.command).flat_map(|text| text.lines()) {
            output::line(format_args!("     {line}"));
        }
    }
}
