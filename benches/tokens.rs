//! Many tokens: listed and revoked by the real binary on a fake GitHub. How many calls, how long, how much memory; and how
//! long a request waits meanwhile. Run with `cargo bench --bench tokens`; it ends with an error when a count is wrong.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement fails by panicking, and prints"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fakehub::{Config, Fakehub, TokenSpec};
use patwarden::{
    clock::Clock,
    service::Service,
    settings::{Settings, Sources},
};

const LIST: &str = "orgs/list-pat-grants";
const REPOSITORIES: &str = "orgs/list-pat-grant-repositories";
const REVOKE_MANY: &str = "orgs/update-pat-accesses";

const RULES: &str = r#"
schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.read-only]
when.owner.role = ["member"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.max_repositories = 10
allow.permissions.repository = { contents = "read" }
"#;

/// A fake GitHub with so many tokens, and a place for a store.
struct Stage {
    hub: Fakehub,
    folder: tempfile::TempDir,
}

/// What a command came to.
struct Ended {
    seconds: f64,
    /// The most memory it ever had, in MiB.
    most_resident: f64,
}

impl Stage {
    async fn with(tokens: usize, latency: Duration) -> Self {
        let mut config = Config::default().rate_limit(None).bulk_delay(Duration::from_millis(300));
        config.latency = latency;
        config.call_log = 1_000_000;
        let hub = Fakehub::start(config).await.unwrap();
        hub.world(fakehub::worlds::demo);
        hub.install("acme").unwrap();
        let since = "2025-01-01T00:00:00Z".parse().unwrap();
        for number in 0..tokens {
            let spec = TokenSpec::by("kim")
                .named(&format!("nightly export {number}"))
                .on(["web"])
                .repository_permission("contents", "write")
                .never_expires()
                .since(since);
            hub.grant_token("acme", spec).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("app.pem"), &hub.app().private_key_pem).unwrap();
        fs::write(folder.path().join("rules.toml"), RULES).unwrap();
        Self { hub, folder }
    }

    fn environment(&self, write_interval: &str) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("GITHUB_APP_ID", self.hub.app().id.to_string()),
            ("GITHUB_APP_PRIVATE_KEY_PATH", path("app.pem")),
            ("GITHUB_WEBHOOK_SECRET", self.hub.app().webhook_secret.clone()),
            ("GITHUB_API_URL", self.hub.api_url()),
            ("PATWARDEN_DATABASE_URL", format!("sqlite:{}", path("patwarden.sqlite"))),
            ("PATWARDEN_RULES", path("rules.toml")),
            ("PATWARDEN_LISTEN", "127.0.0.1:0".to_owned()),
            ("PATWARDEN_OPS_LISTEN", "off".to_owned()),
            ("PATWARDEN_WRITE_INTERVAL", write_interval.to_owned()),
            ("PATWARDEN_INVENTORY_INTERVAL", "off".to_owned()),
            ("RUST_LOG", "error".to_owned()),
        ]
    }

    /// Runs the binary to its end, and looks at its memory meanwhile.
    async fn run(&self, arguments: &[&str], write_interval: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment(write_interval))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut most_resident: f64 = 0.0;
        let status = loop {
            most_resident = most_resident.max(resident(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(status.success(), "{arguments:?}: {status}");
        Ended { seconds: began.elapsed().as_secs_f64(), most_resident }
    }

    fn calls(&self, operation: &str) -> usize {
        self.hub.calls_of(operation).len()
    }

    /// Somebody asks for a token that the rules approve. How long until GitHub has the approval.
    async fn asked_and_approved(&self, number: usize) -> Duration {
        let spec = TokenSpec::by("kim")
            .named(&format!("asked {number}"))
            .lasting_days(30)
            .on(["web"])
            .repository_permission("contents", "read");
        let began = Instant::now();
        let asked = self.hub.request_token("acme", spec).unwrap();
        while !self.hub.outcome(asked.request_id).is_approved() {
            assert!(began.elapsed() < Duration::from_secs(60), "not approved within a minute");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        began.elapsed()
    }
}

/// The most that was ever resident of a process, in MiB.
fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// The middle and the last of what was measured, in milliseconds.
fn middle_and_worst(mut all: Vec<Duration>) -> (f64, f64) {
    all.sort();
    let ms = |at: usize| all.get(at).map_or(0.0, |one| one.as_secs_f64() * 1000.0);
    (ms(all.len() / 2), ms(all.len().saturating_sub(1)))
}

const LISTS: [&str; 6] = ["tokens", "list", "--refresh", "--org", "acme", "--json"];

async fn listing() {
    println!("Listing, no latency, unpaced:");
    let mut before = None;
    for tokens in [1_000, 10_000, 100_000] {
        let stage = Stage::with(tokens, Duration::ZERO).await;
        stage.hub.reset_calls();
        let first = stage.run(&LISTS, "0s").await;
        let calls = stage.calls(LIST);
        assert_eq!(calls, tokens.div_ceil(100), "a call for each hundred");
        assert_eq!(stage.calls(REPOSITORIES), 0, "and none for each token");
        let again = stage.run(&LISTS, "0s").await;
        println!(
            "  {tokens:>7} tokens: {calls:>5} calls, {:6.2} s the first time, {:6.2} s again; {:5.1} MiB, {:5.1} MiB again",
            first.seconds, again.seconds, first.most_resident, again.most_resident
        );
        let grows = before.map_or(1.0, |before: f64| first.most_resident / before);
        println!("          memory against ten times fewer: {grows:.2}");
        before = Some(first.most_resident);
    }
}

async fn listing_with_latency() {
    let tokens = 100_000;
    let stage = Stage::with(tokens, Duration::from_millis(50)).await;
    for (pace, interval) in
        [("one after the other, unpaced", "0s"), ("ten a second, as it does by default", "1s")]
    {
        stage.hub.reset_calls();
        let ended = stage.run(&LISTS, interval).await;
        assert_eq!(stage.calls(LIST), tokens / 100);
        println!("Listing {tokens} with 50 ms for each call, {pace}: {:.1} s", ended.seconds);
    }
}

async fn revoking_beside_requests() {
    let tokens = 100_000;
    let stage = Stage::with(tokens, Duration::ZERO).await;
    let environment = stage.environment("1ms");
    let sources = Sources::default().with_environment(|name| {
        environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    });
    let service = Service::start(Settings::check(sources).unwrap(), Clock::system()).await.unwrap();
    stage.hub.set_webhook_url(&format!("http://{}/webhooks/github", service.address));
    let mut quiet = Vec::new();
    for number in 0..30 {
        quiet.push(stage.asked_and_approved(number).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.run(&["tokens", "revoke", "--org", "acme", "--unused-for", "90d"], "1ms").await;
    stage.hub.reset_calls();
    let apply = ["tokens", "revoke", "--plan", "1", "--apply", "--yes"];
    let run = stage.run(&apply, "1ms");
    tokio::pin!(run);
    let mut beside = Vec::new();
    let ended = loop {
        tokio::select! {
            ended = &mut run => break ended,
            waited = async {
                tokio::time::sleep(Duration::from_millis(400)).await;
                stage.asked_and_approved(1_000 + beside.len()).await
            } => beside.push(waited),
        }
    };
    let (calls, lists) = (stage.calls(REVOKE_MANY), stage.calls(LIST));
    assert_eq!(calls, tokens / 100, "a call for each hundred");
    assert_eq!(stage.hub.revocations("acme").len(), tokens, "each once");
    println!(
        "Revoking {tokens}, unpaced: {calls} calls that revoke, {lists} that look, {:.1} s, {:.1} MiB",
        ended.seconds, ended.most_resident
    );
    let (many, (middle, worst)) = (beside.len(), middle_and_worst(beside));
    let (quiet_middle, quiet_worst) = middle_and_worst(quiet);
    println!(
        "A request meanwhile (of {many}) waits {middle:.0} ms, at most {worst:.0} ms; when nothing else is done {quiet_middle:.0} ms, \
         at most {quiet_worst:.0} ms: {:.1} times",
        middle / quiet_middle
    );
    service.stop().await.unwrap();
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs this, too; there is nothing to be tested in it.
    if std::env::args().any(|argument| argument == "--test")
        || !std::env::args().any(|argument| argument == "--bench")
    {
        return;
    }
    assert!(Path::new("/proc/self/status").exists(), "memory is read from /proc");
    let only = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("list") {
        listing().await;
    }
    if wanted("latency") {
        listing_with_latency().await;
    }
    if wanted("revoke") {
        revoking_beside_requests().await;
    }
}
