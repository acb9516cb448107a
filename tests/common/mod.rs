//! A scene: a fake GitHub, the bot, people who ask, a clock to push, and patience that ends. No assertions about rules.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each file of tests uses a part of this"
)]

mod looks;
pub mod shell;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fakehub::{Actor, Config, Fakehub, Hold, Outcome, Repo, RequestIds, TokenSpec};
use patwarden::{
    audit,
    clock::Clock,
    engine::{Bulk, Desk, Engine, EngineOptions, Policies, lifecycle::State},
    github::{App, AppCredentials, ClientOptions},
    server::WEBHOOK_PATH,
    service::Service,
    settings::{KEYS, Settings, Sources},
    store::{InstallationRow, Store},
};
use tokio_util::sync::CancellationToken;

/// How long anything may take. A scene that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a wait looks.
const GLANCE: Duration = Duration::from_millis(5);

pub const LIST: &str = "orgs/list-pat-grant-requests";
pub const REVIEW: &str = "orgs/review-pat-grant-request";
pub const GRANTS: &str = "orgs/list-pat-grants";
pub const REVOKE: &str = "orgs/update-pat-access";
pub const REVOKE_MANY: &str = "orgs/update-pat-accesses";
pub const REVIEW_MANY: &str = "orgs/review-pat-grant-requests-in-bulk";
pub const MEMBERS: &str = "orgs/list-members";
pub const REPOSITORIES: &str = "orgs/list-pat-grant-request-repositories";
pub const GRANT_REPOSITORIES: &str = "orgs/list-pat-grant-repositories";
pub const MEMBERSHIP: &str = "orgs/get-membership-for-user";
pub const TEAM: &str = "teams/list-members-in-org";
pub const TEAM_BY_SLUG: &str = "teams/get-by-name";
pub const TEAMS_OF: &str = "teams/list";
pub const PROPERTIES: &str = "orgs/custom-properties-for-repos-get-organization-values";
pub const INSTALLATIONS: &str = "apps/list-installations";
pub const OPEN_ISSUE: &str = "issues/create";
pub const COMMENT: &str = "issues/create-comment";
pub const COMMENTS: &str = "issues/list-comments";
pub const ACCESS_TOKEN: &str = "apps/create-installation-access-token";

/// Members read; nobody administers; everything else is for people.
pub const RULES: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.read]
when.owner.role = ["member"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.max_repositories = 10
allow.permissions.repository = { contents = "read", issues = "read" }
[deny.administration]
when.permissions.any_at_least.repository = { administration = "write" }
reason = "Tokens may not administer repositories."
"#;

/// How a scene is set.
#[derive(Clone)]
pub struct Set {
    pub rules: String,
    pub hub: Config,
    pub flags: Vec<(&'static str, String)>,
    pub environment: Vec<(&'static str, String)>,
    /// The bot's settings file; with one, the rules are where it says, and nowhere else. `{dir}` is the scene's directory.
    pub file: Option<String>,
    /// What must be true of the end of every scene, unless the scene is about the contrary.
    pub everything_over: bool,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            rules: RULES.to_owned(),
            hub: Config::default(),
            flags: Vec::new(),
            environment: Vec::new(),
            file: None,
            everything_over: true,
        }
    }
}

impl Set {
    pub fn rules(mut self, rules: &str) -> Self {
        rules.clone_into(&mut self.rules);
        self
    }

    pub fn hub(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.hub);
        self
    }

    /// A setting of the bot, by its flag's name.
    pub fn flag(mut self, name: &'static str, value: &str) -> Self {
        self.flags.push((name, value.to_owned()));
        self
    }

    /// A variable of the bot's environment.
    pub fn environment(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// What stands in the bot's settings file.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Starts the GitHub and the bot, and waits until the bot has looked around for the first time.
    pub async fn open(self) -> Scene {
        let mut scene = self.without_bot().await;
        scene.start().await;
        scene.looked_around().await;
        scene.hub.reset_calls();
        scene
    }

    /// Starts the GitHub alone.
    pub async fn without_bot(self) -> Scene {
        let hub = Fakehub::start(self.hub.clone()).await.unwrap();
        hub.world(|world| {
            let mut acme = world.add_organization("acme");
            acme.owner("olga")
                .owner("martin")
                .team("platform", ["kim", "lee"])
                .members(["ada", "ben", "chiara"])
                .billing_manager("bill")
                .repositories([
                    Repo::private("web"),
                    Repo::private("api"),
                    Repo::public("docs"),
                    Repo::private("billing"),
                ]);
        });
        hub.install("acme").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.toml"), &self.rules).unwrap();
        std::fs::write(folder.path().join("app.pem"), &hub.app().private_key_pem).unwrap();
        Scene {
            hub,
            bot: None,
            clock: Clock::system(),
            told: Arc::default(),
            folder,
            set: self,
            over: false,
        }
    }
}

/// A GitHub, a bot, and what was told.
pub struct Scene {
    pub hub: Fakehub,
    bot: Option<Service>,
    pub clock: Clock,
    told: Arc<Mutex<Vec<audit::Entry>>>,
    folder: tempfile::TempDir,
    set: Set,
    over: bool,
}

/// Kim's token: read one repository for thirty days. The rules approve it.
pub fn harmless(login: &str) -> TokenSpec {
    TokenSpec::by(login)
        .named(&format!("{login}-reads"))
        .on(["web"])
        .repository_permission("contents", "read")
        .because("nightly build of the pages")
}

/// A token that the rules deny.
pub fn administrating(login: &str) -> TokenSpec {
    harmless(login)
        .named(&format!("{login}-rules"))
        .repository_permission("administration", "write")
}

/// A token that the rules leave to people.
pub fn writing(login: &str) -> TokenSpec {
    harmless(login).named(&format!("{login}-writes")).repository_permission("contents", "write")
}

/// Waits until `look` gives something; fails the test when it takes longer than [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl FnMut() -> F) -> T {
    until_within(PATIENCE, what, look).await
}

/// The same with another patience.
pub async fn until_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < patience, "waited {patience:?} in vain: {what}");
        tokio::time::sleep(GLANCE).await;
    }
}

impl Scene {
    /// The settings of one bot on this scene's store.
    pub fn settings(&self) -> Settings {
        let mut flags = vec![
            ("app-id", self.hub.app().id.to_string()),
            ("private-key-path", self.path("app.pem").display().to_string()),
            ("api-url", self.hub.api_url()),
            ("database-url", format!("sqlite:{}", self.store_path().display())),
            ("rules", self.path("rules.toml").display().to_string()),
            ("listen", "127.0.0.1:0".to_owned()),
            ("ops-listen", "off".to_owned()),
            ("reconcile-interval", "24h".to_owned()),
            ("write-interval", "1ms".to_owned()),
            // Scenes count calls; those that are about tokens list them.
            ("inventory-interval", "off".to_owned()),
            ("deliveries-interval", "off".to_owned()),
        ];
        if KEYS.iter().any(|key| key.name == "most-at-once") {
            flags.push(("most-at-once", "100000".to_owned()));
        }
        flags.retain(|(name, _)| !self.set.flags.iter().any(|(other, _)| other == name));
        flags.retain(|(name, _)| *name != "rules" || self.set.file.is_none());
        flags.extend(self.set.flags.iter().cloned());
        let environment = &self.set.environment;
        let mut sources = Sources::default();
        if let Some(text) = &self.set.file {
            let text = text.replace("{dir}", &self.path("").display().to_string());
            std::fs::write(self.path("patwarden.toml"), text).unwrap();
            sources = sources.with_file(&self.path("patwarden.toml"));
        }
        let sources = sources.with_flags(flags).with_environment(|name| {
            let own = environment.iter().find(|(known, _)| *known == name);
            own.map(|(_, value)| value.clone()).or_else(|| {
                (name == "GITHUB_WEBHOOK_SECRET").then(|| self.hub.app().webhook_secret.clone())
            })
        });
        Settings::check(sources).unwrap()
    }

    /// Starts a bot that is not the scene's own: a second process on the same store.
    pub async fn another_bot(&self) -> Service {
        Service::start(self.settings(), self.clock.clone()).await.unwrap()
    }

    /// What an operator's command works with: the App's key and the bot's store, in a process of its own.
    pub async fn bulk(&self) -> Bulk {
        self.bulk_until(CancellationToken::new()).await
    }

    /// The same, until it is told to stop.
    pub async fn bulk_until(&self, stop: CancellationToken) -> Bulk {
        let settings = self.settings();
        let client = ClientOptions {
            timeout: settings.github_timeout,
            write_interval: settings.write_interval,
        };
        let credentials =
            AppCredentials { app_id: settings.app.id, private_key: settings.app.private_key };
        let app = App::new(&credentials, &settings.app.api_url, client, self.clock.clone());
        let app = Arc::new(app.unwrap());
        let store = Store::open(&self.store_path()).await.unwrap();
        let audit = audit::Audit::new(None).unwrap();
        let bulk = Bulk::new(store, Arc::clone(&app), self.clock.clone(), audit, client, stop);
        bulk.look_around(&app).await.unwrap();
        bulk
    }

    /// Where an operator reviews: the App's key, the bot's store and its rules, in a process of its own.
    pub async fn desk(&self) -> Desk {
        self.desk_with(self.settings()).await
    }

    /// The same with other settings.
    pub async fn desk_with(&self, settings: Settings) -> Desk {
        let client = ClientOptions {
            timeout: settings.github_timeout,
            write_interval: settings.write_interval,
        };
        let credentials =
            AppCredentials { app_id: settings.app.id, private_key: settings.app.private_key };
        let app = App::new(&credentials, &settings.app.api_url, client, self.clock.clone());
        let store = Store::open(&self.store_path()).await.unwrap();
        let policies = Policies::look_into(settings.rules, &store).await.unwrap();
        let audit = audit::Audit::new(None).unwrap();
        self.hear(&audit);
        let options = EngineOptions { client, ..EngineOptions::default() };
        let app = Arc::new(app.unwrap());
        let engine = Engine::new(store, app, policies, self.clock.clone(), audit, options);
        let desk = Desk::new(engine, CancellationToken::new());
        desk.look_around().await.unwrap();
        desk
    }

    /// Keeps what is told there.
    fn hear(&self, audit: &audit::Audit) {
        let mut watch = audit.watch();
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            while let Ok(entry) = watch.recv().await {
                told.lock().unwrap().push(entry);
            }
        });
    }

    /// The installation on `acme`, as the store has it.
    pub async fn installation(&self) -> InstallationRow {
        let store = Store::open(&self.store_path()).await.unwrap();
        let installed = store.installations().await.unwrap();
        installed.into_iter().find(|row| row.organization.login.as_str() == "acme").unwrap()
    }

    /// Starts the bot, as after a restart when it ran before.
    pub async fn start(&mut self) {
        assert!(self.bot.is_none(), "the bot runs already");
        let bot = Service::start(self.settings(), self.clock.clone()).await.unwrap();
        self.hear(&bot.audit);
        self.hub.set_webhook_url(&format!("http://{}{WEBHOOK_PATH}", bot.address));
        self.bot = Some(bot);
    }

    /// Changes what the bot is started with next time.
    pub fn change(&mut self, change: impl FnOnce(&mut Set)) {
        change(&mut self.set);
    }

    /// Stops the bot, in good order.
    pub async fn stop(&mut self) {
        if let Some(bot) = self.bot.take() {
            tokio::time::timeout(PATIENCE, bot.stop()).await.expect("the bot stops").unwrap();
        }
    }

    pub fn bot(&self) -> &Service {
        self.bot.as_ref().expect("the bot runs")
    }

    pub fn store(&self) -> &Store {
        &self.bot().store
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn store_path(&self) -> PathBuf {
        self.path("patwarden.sqlite")
    }

    /// The other file of the store.
    pub fn deliveries_path(&self) -> PathBuf {
        self.path("patwarden.sqlite.deliveries")
    }

    /// Waits until the bot has listed installations and, of each, what is pending.
    pub async fn looked_around(&self) {
        until("the first look around", || async {
            // As the record says it: until then the clock that the scene moves may still count for this look.
            let installed = self.store().installations().await.unwrap();
            let listed = installed.iter().all(|row| row.looked_at.is_some());
            (listed && !installed.is_empty()).then_some(())
        })
        .await;
    }

    /// Writes other rules and has the bot read them, as it does by itself every few seconds.
    pub fn new_rules(&self, text: &str) {
        std::fs::write(self.path("rules.toml"), text).unwrap();
        self.bot().engine.policies().reload();
    }

    /// Somebody asks `acme`.
    pub fn ask(&self, spec: TokenSpec) -> RequestIds {
        self.hub.request_token("acme", spec).unwrap()
    }

    /// So many people's requests, all of them there before the bot looks.
    pub async fn ask_together(
        &self,
        many: usize,
        spec: impl Fn(usize) -> TokenSpec,
    ) -> Vec<RequestIds> {
        let held = self.hub.hold(Hold::before(LIST));
        let first = self.ask(spec(0));
        soon("the bot looks for the first", held.reached()).await;
        let mut asked = vec![first];
        asked.extend((1..many).map(|number| self.ask(spec(number))));
        soon("all webhooks arrive", self.hub.webhooks_sent()).await;
        self.until_read().await;
        held.release();
        asked
    }

    /// The end of every scene: nothing is left over, and nothing took effect twice.
    pub async fn end(mut self) {
        let what = "at the end of a scene the outbox and the queue are empty";
        let began = Instant::now();
        loop {
            let unfinished = self.store().unfinished_effects().await.unwrap();
            let backlog = self.store().backlog().await.unwrap();
            let rows = self.rows().await;
            let due: Vec<String> = rows
                .iter()
                .filter(|row| row.due_at.is_some())
                .map(|row| format!("{} is {} ({})", row.id, row.state, row.note))
                .collect();
            let unwritten = self.store().unwritten_comments().await.unwrap();
            let asking = self.store().next_due_escalation().await.unwrap();
            let asking = asking.is_some_and(|next| next <= self.clock.now());
            let over = !self.set.everything_over
                || (unfinished == 0
                    && backlog.unprocessed == 0
                    && due.is_empty()
                    && unwritten == 0
                    && !asking);
            if over && self.hub.webhooks_waiting() == 0 {
                for row in rows.iter().filter(|_| self.set.everything_over) {
                    let at_rest = matches!(
                        row.state,
                        State::Escalated | State::Held | State::Settled(..) | State::Gone
                    );
                    assert!(at_rest, "{} is {} and nothing will ever be done", row.id, row.state);
                }
                break;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{what}: {unfinished} effects, {} deliveries, {} webhooks under way, {unwritten} comments, due: {due:?}, asking: {asking}",
                backlog.unprocessed,
                self.hub.webhooks_waiting()
            );
            tokio::time::sleep(GLANCE).await;
        }
        for (request, _) in self.hub.outcomes() {
            let (applied, _) = self.reviews(request);
            assert!(applied <= 1, "request {request} was settled {applied} times by us");
        }
        self.over = true;
        self.stop().await;
        self.hub.shutdown().await;
    }

    /// The end of a scene whose bot is another process, which looked at the end itself.
    pub async fn leave(mut self) {
        self.over = true;
        self.hub.shutdown().await;
    }

    /// For scenes at whose end something is left to be done, on purpose.
    pub async fn end_with_work_left(mut self) {
        self.set.everything_over = false;
        self.end().await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        assert!(self.over || std::thread::panicking(), "every scene is ended by `end`");
    }
}

/// What GitHub's state says became of a request, in a word.
pub fn on_github(hub: &Fakehub, request: u64) -> String {
    match hub.outcome(request) {
        Outcome::Approved { by: Actor::App, grant_id, .. } => {
            let revoked = hub.revocations("acme").iter().any(|one| one.grant_id == grant_id);
            if revoked { "revoked".to_owned() } else { "approved".to_owned() }
        }
        Outcome::Approved { by: Actor::Person(login), .. } => format!("approved by {login}"),
        Outcome::Approved { by: Actor::GitHub, .. } => "approved by itself".to_owned(),
        Outcome::Denied { by: Actor::App, .. } => "denied".to_owned(),
        Outcome::Denied { by, .. } => format!("denied by {by:?}"),
        Outcome::Cancelled { .. } => "cancelled".to_owned(),
        Outcome::Pending => "pending".to_owned(),
        Outcome::NeverAsked => "never asked".to_owned(),
    }
}

/// Puts a time limit around a wait that has none of its own.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
