//! The command line of fakehub: starts one, says how to use it, ends on ctrl-c. Everything else is in the library.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use fakehub::{Config, Fakehub, worlds};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  fakehub --listen 127.0.0.1:4000 --webhook-url http://127.0.0.1:8080/webhooks/github
  fakehub --world empty --json > fakehub.json

While it runs, everything is done over HTTP; every route is in fakehub/README.md:
  curl -s localhost:4000/_fakehub/requests -d '{\"by\":\"kim\",\"repositories\":[\"web\"],
       \"permissions\":{\"repository\":{\"contents\":\"read\"}},\"days\":30,\"reason\":\"CHG-1\"}'
  curl -s localhost:4000/_fakehub/requests            what became of all requests
  curl -s localhost:4000/_fakehub/faults -d '{\"on\":\"orgs/review-pat-grant-request\",\"what\":\"status\",\"status\":502,\"times\":1}'

Keep it on the loopback interface: whoever reaches it needs no password to drive it.";

/// A GitHub of your own: organizations, token requests, an installed App and signed webhooks, all in memory.
///
/// It answers GitHub's REST API from its state, at / and at /api/v3/, and sends webhooks as people ask for tokens.
/// Nothing is written to disk but the App's private key.
#[derive(Debug, Parser)]
#[command(name = "fakehub", version, after_help = EXAMPLES)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where webhooks are sent; without it none are
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Secret that signs webhooks; random without it
    #[arg(long, alias = "secret", value_name = "TEXT", env = "FAKEHUB_WEBHOOK_SECRET")]
    webhook_secret: Option<String>,
    /// Where to write the App's private key (mode 0600); a new folder for temporary files without it
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// What exists at the start
    #[arg(long, value_enum, default_value_t = WorldName::Demo)]
    world: WorldName,
    /// How long every API call takes at least, such as 0ms, 250ms or 2s
    #[arg(long, default_value = "0ms", value_parser = duration, value_name = "TIME")]
    latency: Duration,
    /// Calls an hour and installation; 0 is no limit
    #[arg(long, default_value_t = 5_000, value_name = "CALLS")]
    rate_limit: u32,
    /// Print one line of JSON instead of explanations
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WorldName {
    /// `acme` and `examplejs`, with the App installed on both and some tokens approved long ago
    Demo,
    /// `acme` with four people and four repositories, and the App installed
    Small,
    /// Nothing; fill it over /_fakehub/world
    Empty,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 =
        number.parse().map_err(|_| "a number and ms or s, such as 250ms".to_owned())?;
    match unit {
        "ms" | "" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err("a number and ms or s, such as 250ms".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "fakehub: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default()
        .listen(arguments.listen)
        .rate_limit((arguments.rate_limit > 0).then_some(arguments.rate_limit));
    config.latency = arguments.latency;
    config.webhook_url.clone_from(&arguments.webhook_url);
    config.webhook_secret.clone_from(&arguments.webhook_secret);
    let hub = Fakehub::start(config).await?;
    let installations = fill(&hub, arguments.world)?;
    let key = write_key(arguments.key_file.as_deref(), &hub.app().private_key_pem)?;
    let key = std::path::absolute(key)?;
    let text = if arguments.json {
        in_json(&hub, &key, &installations)
    } else {
        in_words(&hub, &key, &installations, &arguments)
    };
    {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    tokio::select! {
        ended = terminated() => ended?,
        () = hub.ended() => {}
    }
    hub.shutdown().await;
    if arguments.key_file.is_none() {
        // The folder was made for this run alone, with what the bot was told to put there.
        let _ = key.parent().map(std::fs::remove_dir_all);
    }
    Ok(())
}

/// Ctrl-c, or the signal a supervisor sends.
async fn terminated() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn fill(hub: &Fakehub, world: WorldName) -> Result<Vec<(String, u64)>, fakehub::Error> {
    let organizations: &[&str] = match world {
        WorldName::Demo => {
            hub.world(worlds::demo);
            worlds::demo_tokens(hub)?;
            &["acme", "examplejs"]
        }
        WorldName::Small => {
            hub.world(worlds::small);
            &["acme"]
        }
        WorldName::Empty => &[],
    };
    organizations.iter().map(|login| Ok(((*login).to_owned(), hub.install(login)?))).collect()
}

/// Writes the key where only its owner may read it.
fn write_key(path: Option<&Path>, pem: &str) -> std::io::Result<PathBuf> {
    let path = match path {
        Some(path) => {
            // Whoever named the file wants it replaced, and with the right mode.
            let _ = std::fs::remove_file(path);
            path.to_owned()
        }
        None => {
            let mut random = [0_u8; 8];
            getrandom::fill(&mut random).map_err(|why| std::io::Error::other(why.to_string()))?;
            let folder = std::env::temp_dir().join(format!("fakehub-{}", hex::encode(random)));
            std::fs::create_dir(&folder)?;
            folder.join("app.pem")
        }
    };
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(pem.as_bytes())?;
    Ok(path)
}

fn in_json(hub: &Fakehub, key: &Path, installations: &[(String, u64)]) -> String {
    let installations: serde_json::Map<String, serde_json::Value> =
        installations.iter().map(|(login, id)| (login.clone(), json!(id))).collect();
    let out = json!({
        "api_url": hub.api_url(),
        "ghes_url": hub.ghes_url(),
        "control_url": format!("{}/_fakehub", hub.api_url()),
        "app_id": hub.app().id,
        "client_id": hub.app().client_id,
        "app_slug": hub.app().slug,
        "private_key_path": key,
        "webhook_secret": hub.app().webhook_secret,
        "installations": installations,
    });
    format!("{out}\n")
}

fn in_words(
    hub: &Fakehub,
    key: &Path,
    installations: &[(String, u64)],
    arguments: &Arguments,
) -> String {
    let app = hub.app();
    let url = hub.api_url();
    let mut out = format!(
        "fakehub listens on {url} (and as GitHub Enterprise Server on {})\n\n\
         App             {} (id {}, client id {})\n\
         private key     {}\n\
         webhook secret  {}\n",
        hub.ghes_url(),
        app.slug,
        app.id,
        app.client_id,
        key.display(),
        app.webhook_secret,
    );
    for (login, id) in installations {
        out.push_str(&format!("installation    {id} on {login}\n"));
    }
    out.push_str(&format!(
        "\nAsk for a token as kim, see what became of it, and answer as the owner olga:\n\
         \x20 curl -s {url}/_fakehub/requests -d '{{\"by\":\"kim\",\"name\":\"ci-build\",\"repositories\":[\"web\"],\
         \"permissions\":{{\"repository\":{{\"contents\":\"read\"}}}},\"days\":30,\"reason\":\"CHG-1\"}}'\n\
         \x20 curl -s {url}/_fakehub/requests\n\
         \x20 curl -s {url}/_fakehub/requests/ID/review -d '{{\"by\":\"olga\",\"action\":\"deny\",\"reason\":\"no\"}}'\n",
    ));
    out.push_str(&the_bot(hub, key, arguments.webhook_url.is_some()));
    out.push_str(match arguments.key_file {
        None => "\nCtrl-c ends it, and removes the folder of the key with all that is in it.\n",
        Some(_) => "\nCtrl-c ends it.\n",
    });
    out
}

/// How the bot is started against it. In shadow, as the rules are written, nobody would see a token approved.
fn the_bot(hub: &Fakehub, key: &Path, sends: bool) -> String {
    let folder = key.parent().unwrap_or(Path::new(".")).display();
    let heard = if sends {
        format!("export GITHUB_WEBHOOK_SECRET={}", hub.app().webhook_secret)
    } else {
        "export PATWARDEN_WEBHOOK=off   # no --webhook-url was given: it asks every 30 seconds"
            .to_owned()
    };
    format!(
        "\nStart the bot against it, in a clone of patwarden. The rules are a copy that acts: the file itself says \"shadow\",\n\
         and then everything is decided and nothing is sent.\n\
         \x20 sed 's/^mode = \"shadow\"/mode = \"enforce\"/' rules/small-org.toml > {folder}/rules.toml\n\
         \x20 export GITHUB_API_URL={}\n\
         \x20 export GITHUB_APP_ID={}\n\
         \x20 export GITHUB_APP_PRIVATE_KEY_PATH={}\n\
         \x20 {heard}\n\
         \x20 export PATWARDEN_RULES={folder}/rules.toml\n\
         \x20 export PATWARDEN_DATABASE_URL=sqlite:{folder}/patwarden.sqlite\n\
         \x20 patwarden serve\n",
        hub.api_url(),
        hub.app().id,
        key.display(),
    )
}
