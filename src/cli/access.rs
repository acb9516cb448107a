//! Commands that call GitHub by themselves: the App's key from the settings, the store, a bar that shows how far they
//! are, and Ctrl-c that ends them between two calls.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{DATABASE_HELP, output, sources};
use crate::{
    audit::Audit,
    clock::Clock,
    engine::{Bulk, Desk, Engine, EngineOptions, Operator, Policies, Step, Watch},
    github::{App, AppCredentials, ClientOptions},
    settings::{Access, RulesSettings},
    store::Store,
};

/// What a command logs beside its answer: what goes wrong with it. What there is to be said of the rules in general, `serve`
/// and `rules check` say; that they cannot be used is an error, and shown.
const LOGGED: &str = "warn,octocrab=off,patwarden::engine::policy=error";

/// Who the App is, and where the record is. The key itself comes from the environment or a file.
#[derive(Args)]
pub(super) struct AccessArgs {
    #[arg(long, value_name = "URL", help = DATABASE_HELP)]
    database_url: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with settings, in TOML [env: PATWARDEN_CONFIG]"
    )]
    config: Option<PathBuf>,
    #[arg(long, value_name = "ID", help = "The App's numeric id [env: GITHUB_APP_ID]")]
    app_id: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "The file with the App's private key [env: GITHUB_APP_PRIVATE_KEY_PATH]"
    )]
    private_key_path: Option<String>,
    #[arg(
        long,
        value_name = "URL",
        help = "GitHub's REST API [env: GITHUB_API_URL] [default: https://api.github.com]"
    )]
    api_url: Option<String>,
}

/// Where the rules are: for commands that judge. Those that `serve` was given.
#[derive(Args)]
#[command(next_help_heading = "Rules")]
pub(super) struct RulesArgs {
    #[arg(
        long,
        value_name = "PLACE",
        help = "The rules, as `patwarden serve` was given them [env: PATWARDEN_RULES]"
    )]
    rules: Option<String>,
    #[arg(
        long,
        value_name = "PLACE",
        help = "The enterprise's rules, likewise [env: PATWARDEN_ENTERPRISE_RULES]"
    )]
    enterprise_rules: Option<String>,
}

/// GitHub, the store, and where operators review.
pub(super) struct OpenedDesk {
    pub(super) store: Store,
    pub(super) desk: Desk,
}

/// GitHub as the App itself, and the store: for what is about no single installation.
pub(super) struct OpenedApp {
    pub(super) store: Store,
    pub(super) app: Arc<App>,
    pub(super) clock: Clock,
    /// The least time between two calls that change something.
    pub(super) write_interval: Duration,
}

/// GitHub, the store, and what works on many tokens.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) bulk: Bulk,
}

impl RulesArgs {
    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        [("rules", &self.rules), ("enterprise-rules", &self.enterprise_rules)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

impl AccessArgs {
    fn flags(&self) -> Vec<(&'static str, String)> {
        [
            ("database-url", &self.database_url),
            ("app-id", &self.app_id),
            ("private-key-path", &self.private_key_path),
            ("api-url", &self.api_url),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect()
    }

    /// Opens the store alone: it must be there.
    pub(super) async fn store(&self) -> anyhow::Result<Store> {
        let sources = sources(self.config.as_ref()).with_flags(self.flags());
        let path = crate::settings::database(sources)?;
        Ok(Store::open_existing(&path).await?)
    }

    /// Opens the store, which is made where there is none, for calls of the App itself.
    pub(super) async fn open_app(&self) -> anyhow::Result<OpenedApp> {
        let access = Access::check(sources(self.config.as_ref()).with_flags(self.flags()))?;
        let Parts { store, app, clock, client, .. } = Parts::of(access).await?;
        Ok(OpenedApp { store, app, clock, write_interval: client.write_interval })
    }

    /// Opens the store, which is made where there is none, and asks GitHub where the App is installed.
    pub(super) async fn open(&self) -> anyhow::Result<Opened> {
        use anyhow::Context;
        let access = Access::check(sources(self.config.as_ref()).with_flags(self.flags()))?;
        let Parts { store, app, clock, audit, client, stop } = Parts::of(access).await?;
        let bulk = Bulk::new(store.clone(), Arc::clone(&app), clock, audit, client, stop);
        bulk.look_around(&app).await.context("GitHub was asked where the App is installed")?;
        Ok(Opened { store, bulk })
    }

    /// The same to judge and to review: GitHub is asked for the rules as well, where a repository has them.
    pub(super) async fn open_desk(&self, rules: &RulesArgs) -> anyhow::Result<OpenedDesk> {
        let sources = sources(self.config.as_ref()).with_flags(self.flags());
        let (access, rules) = Access::check_with_rules(sources.with_flags(rules.flags()))?;
        Self::desk(access, rules, EngineOptions::default()).await
    }

    /// The same to write to people.
    pub(super) async fn open_desk_with_mail(
        &self,
        rules: &RulesArgs,
    ) -> anyhow::Result<OpenedDesk> {
        let sources = sources(self.config.as_ref()).with_flags(self.flags());
        let (access, rules, mail) = Access::check_with_mail(sources.with_flags(rules.flags()))?;
        let options = EngineOptions {
            addresses: mail.addresses.map(Arc::new),
            digest: mail.digest.map(Arc::new),
            api_url: access.app.api_url.clone(),
            ..EngineOptions::default()
        };
        Self::desk(access, rules, options).await
    }

    async fn desk(
        access: Access,
        rules: RulesSettings,
        options: EngineOptions,
    ) -> anyhow::Result<OpenedDesk> {
        use anyhow::Context;
        let Parts { store, app, clock, audit, client, stop } = Parts::of(access).await?;
        let policies = Policies::look_into(rules, &store).await?;
        let options = EngineOptions { client, ..options };
        let engine = Engine::new(store.clone(), app, policies, clock, audit, options);
        let desk = Desk::new(engine, stop);
        desk.look_around().await.context("GitHub was asked where the App is installed")?;
        Ok(OpenedDesk { store, desk })
    }
}

/// What every command that calls GitHub is made of.
struct Parts {
    store: Store,
    app: Arc<App>,
    clock: Clock,
    audit: Audit,
    client: ClientOptions,
    stop: CancellationToken,
}

impl Parts {
    async fn of(access: Access) -> anyhow::Result<Self> {
        use anyhow::Context;
        crate::telemetry::start(crate::telemetry::LogFormat::Text, LOGGED, true);
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client =
            ClientOptions { timeout: access.github_timeout, write_interval: access.write_interval };
        let credentials =
            AppCredentials { app_id: access.app.id, private_key: access.app.private_key };
        let clock = Clock::system();
        let app = App::new(&credentials, &access.app.api_url, client, clock.clone())?;
        let app = Arc::new(app.only(access.allowed_organizations));
        let audit = Audit::new(access.audit_log.as_deref())
            .context("the audit log cannot be opened: name a file that can be appended to")?;
        let store = Store::open(&access.database).await?;
        let stop = CancellationToken::new();
        tokio::spawn(ends_with_ctrl_c(stop.clone()));
        Ok(Self { store, app, clock, audit, client, stop })
    }
}

/// The first Ctrl-c lets the call that is under way end; the second does not wait.
async fn ends_with_ctrl_c(stop: CancellationToken) {
    let _ = tokio::signal::ctrl_c().await;
    output::note(
        "stopping: a call that is under way ends first; Ctrl-c once more does not wait for it",
    );
    stop.cancel();
    let _ = tokio::signal::ctrl_c().await;
    // Whatever is under way stands in the store as begun: nothing is lost by this.
    std::process::exit(130);
}

/// Who types: an account on a machine, and no more than that.
pub(super) fn operator(reason: &str) -> Operator {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let user = named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.map(|host| host.trim().to_owned()).or_else(|| named("HOSTNAME"));
    let host = host.unwrap_or_else(|| "some machine".to_owned());
    Operator {
        name: format!(
            "operator {}@{} (local, unverified)",
            output::cell(&user, 60),
            output::cell(&host, 100)
        ),
        reason: reason.to_owned(),
    }
}

/// A bar on standard error, where somebody watches; elsewhere only what it waits for.
pub(super) struct Progress {
    bar: ProgressBar,
    said: Mutex<Option<String>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Self { bar, said: Mutex::default() }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn counted(&self, what: &'static str, done: u64, of: u64) {
        if self.bar.length() != Some(of) {
            let template = "{msg} {wide_bar} {pos} of {len} · {elapsed} so far, about {eta} to go";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_length(of);
        }
        self.bar.set_message(what);
        self.bar.set_position(done);
    }
}

impl Watch for Progress {
    fn step(&self, step: &Step) {
        match step {
            Step::Listing { tokens } => {
                self.bar.set_message(format!("listing tokens: {tokens} so far"));
                self.bar.tick();
            }
            Step::Revoking { done, of } => self.counted("revoking", *done, *of),
            Step::Verifying { done, of } => {
                self.counted("looking whether they are gone", *done, *of)
            }
            Step::Judging { done, of } => self.counted("judging", *done, *of),
            Step::Reviewing { done, of } => self.counted("reviewing", *done, *of),
            Step::Waiting { until, why } => {
                let text = format!("{why}: until {} UTC", until.strftime("%Y-%m-%d %H:%M:%S"));
                self.bar.set_message(text.clone());
                self.bar.tick();
                let Ok(mut said) = self.said.lock() else { return };
                if self.bar.is_hidden() && said.as_ref() != Some(&text) {
                    output::note(&text);
                }
                *said = Some(text);
            }
        }
    }
}
