//! A quiet stream of deliveries while everything else goes on: requests decided, reviews sent, the audit
//! log written, and 100,000 rows put into the store by somebody who has time.

use std::{
    fs,
    io::BufRead,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use fakehub::{Config, Fakehub, TokenSpec};
use patwarden::{
    clock::Clock,
    domain::{Login, Organization, OrganizationId, Owner, RequestId, TokenId, UserId},
    engine::lifecycle::State,
    service::Service,
    settings::{Settings, Sources},
    store::{RequestRow, Store},
};

use crate::{payload::About, receivers::say};

/// The organization of the fake.
pub const ORGANIZATION: &str = "acme";

/// What a member may have without asking anybody: every request of the benchmark.
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
allow.permissions.repository = { contents = "read", issues = "read" }
[reviewers.owners]
notify = ["email:owners"]
may_decide.roles = ["owner"]
"#;

/// A fake GitHub and what a bot must know of it, in files.
pub struct Stage {
    pub hub: Fakehub,
    folder: PathBuf,
    pub about: About,
}

impl Stage {
    pub async fn set(folder: &Path) -> Self {
        let hub = Fakehub::start(Config::default().rate_limit(None)).await.expect("a fake GitHub");
        hub.world(fakehub::worlds::demo);
        let installation = hub.install(ORGANIZATION).expect("an installation");
        let organization = hub
            .world(|world| world.organization(ORGANIZATION).map(|acme| acme.id))
            .expect("the organization");
        let folder = folder.to_owned();
        fs::write(folder.join("rules.toml"), RULES).expect("a file");
        fs::write(folder.join("app.pem"), &hub.app().private_key_pem).expect("a file");
        let about = About {
            organization: (organization, ORGANIZATION.to_owned()),
            installation,
            // Over before we hear of it: each is read and recorded, and GitHub is not asked about it.
            action: "cancelled",
        };
        Self { hub, folder, about }
    }

    pub fn secret(&self) -> String {
        self.hub.app().webhook_secret.clone()
    }

    /// The environment of a bot that works with this fake. `store` names its file.
    pub fn environment(&self, command: &mut Command, store: &str, listen: &str) {
        let path = |name: &str| self.folder.join(name).display().to_string();
        command.env_clear().envs([
            ("GITHUB_APP_ID", self.hub.app().id.to_string()),
            ("GITHUB_APP_PRIVATE_KEY_PATH", path("app.pem")),
            ("GITHUB_WEBHOOK_SECRET", self.secret()),
            ("GITHUB_API_URL", self.hub.api_url()),
            ("PATWARDEN_DATABASE_URL", format!("sqlite:{}", path(store))),
            ("PATWARDEN_RULES", path("rules.toml")),
            ("PATWARDEN_LISTEN", listen.to_owned()),
            ("PATWARDEN_OPS_LISTEN", "off".to_owned()),
            ("PATWARDEN_WRITE_INTERVAL", "1ms".to_owned()),
            ("PATWARDEN_AUDIT_LOG", path("audit.jsonl")),
            ("RUST_LOG", "warn".to_owned()),
        ]);
        if let Ok(path) = std::env::var("PATH") {
            command.env("PATH", path);
        }
    }

    /// Somebody asks for a token that the rules approve.
    pub fn ask(&self, number: usize) -> fakehub::RequestIds {
        let people = self.people();
        let who = &people[number % people.len()];
        let spec = TokenSpec::by(who)
            .named(&format!("export {number}"))
            .lasting_days(30)
            .on(["web"])
            .repository_permission("contents", "read");
        self.hub.request_token(ORGANIZATION, spec).expect("a request")
    }

    fn people(&self) -> Vec<String> {
        self.hub.world(|world| {
            let acme = world.organization(ORGANIZATION).expect("the organization");
            world
                .users()
                .filter(|user| acme.members.contains_key(&user.id) && !acme.is_owner(user.id))
                .map(|user| user.login.clone())
                .collect()
        })
    }
}

/// The whole bot, as `patwarden serve` runs it, in a process that also does as it is told.
pub async fn serve(folder: &Path) {
    let sources = Sources::default().with_environment(|name| std::env::var(name).ok());
    let settings = Settings::check(sources).expect("settings");
    let service = Service::start(settings, Clock::system()).await.expect("a bot");
    say(&service.address.to_string());
    let (lines, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    while let Some(line) = told.recv().await {
        if let Some(rows) = line.strip_prefix("write ") {
            let store = service.store.clone();
            let (rows, at_once) = rows.split_once(' ').expect("two numbers");
            let rows = rows.parse().expect("a number");
            let at_once = at_once.parse().expect("a number");
            tokio::spawn(async move {
                let began = Instant::now();
                write_aside(&store, rows, at_once).await;
                say(&format!("wrote {}", began.elapsed().as_millis()));
            });
        }
    }
    let _ = folder;
    std::process::exit(0);
}

/// Puts requests that are over into the store, as a reconciliation puts those that it finds.
async fn write_aside(store: &Store, rows: i64, at_once: usize) {
    let now = Clock::system().now();
    let organization = Organization { id: OrganizationId(7_000_000), login: Login::new("aside") };
    let row = |number: i64| {
        let owner = Owner { id: UserId(number), login: Login::new(format!("somebody-{number}")) };
        let name = format!("nightly export {number}");
        let new = RequestRow::new(organization.clone(), RequestId(number), owner, name, now);
        RequestRow { token_id: Some(TokenId(number)), state: State::Gone, due_at: None, ..new }
    };
    let numbers: Vec<i64> = (0..rows).collect();
    for some in numbers.chunks(at_once) {
        let mut tx = store.begin().await.expect("a turn");
        for number in some {
            tx.save_request(&row(*number)).await.expect("a row");
        }
        tx.commit().await.expect("a commit");
    }
}

/// Asks for tokens at this pace until told to stop.
pub async fn keep_asking(stage: &Stage, every: Duration, lasting: Duration) -> usize {
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < lasting {
        stage.ask(asked);
        asked += 1;
        tokio::time::sleep(every).await;
    }
    asked
}
