//! `patwarden demo`: a fake GitHub, the bot, and people who ask for tokens. The only file that names fakehub.
//!
//! The bot half is what `serve` runs; it gets an address, an App id, a key file and a secret, and nothing
//! else: no environment, no shortcut. Outcomes are compared in the fake's state, not in the bot's record.

mod later;
mod script;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use fakehub::{Author, Config, Fakehub, Fault, Hold, Issue, Outcome, Repo, Review, TokenSpec};
use tokio::sync::broadcast;

use self::script::{Asks, GitHub, Repositories, Step, Webhook};
use super::{Exit, output};
use crate::{
    audit::{Entry, Event},
    clock::Clock,
    domain::many,
    rules::render,
    service::Service,
    settings::{Settings, Sources},
    store::{DecisionFilter, DecisionRow},
    telemetry::{self, LogFormat},
};

const POLICY: &str = include_str!("../../rules/small-org.toml");
const ORGANIZATION: &str = "acme";

/// Where the rules have people asked.
const REVIEWS: &str = "token-reviews";

/// Where people are reached: GitHub seldom shows that.
const ADDRESSES: &str = "[addresses]\nolga = \"olga@acme.example\"\nmartin = \"martin@acme.example\"\n\
    yara = \"yara@acme.example\"\njonas = \"jonas@acme.example\"\n";

/// How long a step may take before it counts as gone wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long people wait before the next of them asks: the bot leaves a second between two reviews, as GitHub
/// wants it, and what is shown is the decision and not that pause.
const BREATH: Duration = Duration::from_millis(1_100);

/// The same once the script is over.
const LONG_BREATH: Duration = Duration::from_secs(3);

/// What the demonstration is told. Its help is at the list of commands.
#[derive(clap::Args)]
pub(super) struct Demo {
    /// Play the script once, compare every outcome with what must be GitHub's state, and exit 0 or 1
    #[arg(long)]
    once: bool,
    /// Keep the bot's record, rules and key in this new directory, to look at them afterwards
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Reach the fake GitHub as a GitHub Enterprise Server: below this path, and by another name of its host
    #[arg(long, value_name = "PATH", hide = true)]
    api_path: Option<String>,
}

/// Where the demonstration's files are.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

struct Stage {
    hub: Fakehub,
    service: Service,
    clock: Clock,
    watch: broadcast::Receiver<Entry>,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        telemetry::start(LogFormat::Text, "off", false);
        let folder = match self.keep {
            Some(path) => {
                std::fs::create_dir(&path).with_context(|| {
                    format!(
                        "{} cannot be made: name a directory that does not exist yet",
                        path.display()
                    )
                })?;
                Folder::Kept(path)
            }
            None => {
                Folder::Temporary(tempfile::Builder::new().prefix("patwarden-demo-").tempdir()?)
            }
        };
        let folder_path = folder.path().to_owned();
        let mut stage = set_up(&folder_path, self.api_path.as_deref()).await?;
        let played = tokio::select! {
            played = play(&mut stage, self.once, &folder_path) => played,
            _ = tokio::signal::ctrl_c() => {
                output::line("");
                output::line("Stopped.");
                // Asked to play it once, to its end, and it was not.
                Ok(if self.once { Exit::NotWell } else { Exit::Well })
            }
        };
        let Stage { hub, service, .. } = stage;
        let stopped = service.stop().await;
        hub.shutdown().await;
        if let Folder::Kept(path) = &folder {
            output::line("");
            output::line(format_args!("The record is kept. Look at it:"));
            hints(path);
        }
        stopped?;
        played
    }
}

async fn set_up(folder: &Path, api_path: Option<&str>) -> anyhow::Result<Stage> {
    let mut config = Config::default().asks_by_issue();
    if api_path.is_some() {
        // A server counts no calls, unless its administrator has it do so.
        config.rate_limit = None;
    }
    let hub = Fakehub::start(config).await.context("the fake GitHub cannot be started")?;
    let api_url = match api_path {
        Some(path) => format!("{}{path}", hub.api_url().replace("127.0.0.1", "localhost")),
        None => hub.api_url(),
    };
    hub.world(fakehub::worlds::demo);
    hub.world(|world| {
        world.add_organization(ORGANIZATION).repository(Repo::private(REVIEWS));
    });
    fakehub::worlds::demo_tokens(&hub)?;
    hub.install(ORGANIZATION)?;
    let (people, repositories) = hub.world(|world| {
        world
            .organization(ORGANIZATION)
            .map_or((0, 0), |acme| (acme.members.len(), acme.repositories.len()))
    });
    output::line(format_args!(
        "A fake GitHub at {} with the organization {ORGANIZATION}: {people} people, {repositories} repositories.",
        api_url
    ));
    let policy = POLICY.replace("mode = \"shadow\"", "mode = \"enforce\"");
    let rules = folder.join("small-org.toml");
    std::fs::write(&rules, policy)?;
    output::line(
        "The rules are a copy of rules/small-org.toml with mode = \"enforce\" (the file itself says \"shadow\").",
    );
    let key = folder.join("app.pem");
    write_private(&key, &hub.app().private_key_pem)?;
    let book = folder.join("patwarden.toml");
    std::fs::write(&book, ADDRESSES)?;
    let settings = Settings::check(
        Sources::default()
            .with_file(&book)
            .with_flags([
                ("app-id", hub.app().id.to_string()),
                ("private-key-path", key.display().to_string()),
                ("api-url", api_url),
                ("database-url", format!("sqlite:{}", folder.join("demo.sqlite").display())),
                ("rules", rules.display().to_string()),
                ("listen", "127.0.0.1:0".to_owned()),
                ("ops-listen", "off".to_owned()),
                ("reconcile-interval", "4s".to_owned()),
                ("mail", format!("folder:{}", folder.join("mail").display())),
                ("mail-from", "patwarden <patwarden@acme.example>".to_owned()),
            ])
            // Not the process's environment: the secret has no flag.
            .with_environment(|name| {
                (name == "GITHUB_WEBHOOK_SECRET").then(|| hub.app().webhook_secret.clone())
            }),
    )?;
    let clock = Clock::system();
    let service = Service::start(settings, clock.clone()).await?;
    hub.set_webhook_url(&format!("http://{}{}", service.address, crate::server::WEBHOOK_PATH));
    output::line(format_args!(
        "The bot at http://{}, with nothing but an address, an App id, a key and a secret.",
        service.address
    ));
    output::line("");
    let watch = service.audit.watch();
    Ok(Stage { hub, service, clock, watch })
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn hints(folder: &Path) {
    let store = folder.join("demo.sqlite");
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("patwarden"));
    for command in ["requests list --all", "decisions list", "decisions show 1"] {
        output::line(format_args!(
            "  {} {command} --database-url sqlite:{}",
            program.display(),
            store.display()
        ));
    }
}

async fn play(stage: &mut Stage, once: bool, folder: &Path) -> anyhow::Result<Exit> {
    let steps = script::steps()?;
    let mut wrong = Vec::new();
    let began = Instant::now();
    for step in &steps {
        if let Err(error) = stage.play(step).await {
            output::line(format_args!("   WRONG: {error:#}"));
            wrong.push(format!("{} \"{}\": {error:#}", step.who, output::cell(&step.token, 40)));
        }
        output::line("");
        tokio::time::sleep(BREATH).await;
    }
    if let Err(error) = stage.nothing_left_over().await {
        wrong.push(format!("{error:#}"));
    }
    summary(stage, steps.len(), began.elapsed()).await?;
    match later::play(stage, folder).await {
        Ok(problems) => wrong.extend(problems),
        Err(error) => wrong.push(format!("{error:#}")),
    }
    for problem in &wrong {
        output::line(format_args!("WRONG  {problem}"));
    }
    if once {
        if wrong.is_empty() {
            output::line(format_args!(
                "All {} outcomes are in GitHub's state as the script says.",
                steps.len() + later::OUTCOMES
            ));
            return Ok(Exit::Well);
        }
        return Ok(Exit::NotWell);
    }
    output::line("While this runs, in another terminal:");
    hints(folder);
    output::line("People go on asking. Ctrl-c ends it.");
    output::line("");
    let calm: Vec<&Step> = steps
        .iter()
        .filter(|step| {
            step.github == GitHub::Well && step.webhook == Webhook::Sent && step.then.is_none()
        })
        .collect();
    for step in calm.iter().cycle() {
        tokio::time::sleep(LONG_BREATH).await;
        if let Err(error) = stage.play(step).await {
            output::line(format_args!("   WRONG: {error:#}"));
        }
        output::line("");
    }
    Ok(Exit::Well)
}

async fn summary(stage: &Stage, steps: usize, took: Duration) -> anyhow::Result<()> {
    let outcomes = stage.hub.outcomes();
    let count = |wanted: fn(&Outcome) -> bool| {
        outcomes.iter().filter(|(_, outcome)| wanted(outcome)).count()
    };
    output::line(format_args!(
        "{} in {:.0} s: {} approved ({} of them found wider than decided, and revoked), {} denied, \
         {} waiting for people, {} taken back by the requester.",
        many(steps, "request"),
        took.as_secs_f64(),
        count(|outcome| matches!(outcome, Outcome::Approved { .. })),
        stage.hub.revocations(ORGANIZATION).len(),
        count(|outcome| matches!(outcome, Outcome::Denied { .. })),
        count(|outcome| matches!(outcome, Outcome::Pending)),
        count(|outcome| matches!(outcome, Outcome::Cancelled { .. })),
    ));
    let filter = crate::store::RequestFilter { organization: None, open_only: true, limit: 50 };
    let waiting = stage.service.store.requests(&filter).await?;
    if !waiting.is_empty() {
        output::line("Waiting for people:");
        for row in waiting {
            let why = match row.decision_id {
                Some(id) => stage
                    .service
                    .store
                    .decision(id)
                    .await?
                    .map(|row| render::sentence(&row.decision)),
                None => None,
            };
            output::line(format_args!(
                "  {}  \"{}\"  {}",
                row.owner.login,
                output::cell(&row.token_name, 40),
                output::cell(&why.unwrap_or_default(), 120)
            ));
        }
    }
    output::line("");
    Ok(())
}

impl Stage {
    async fn play(&mut self, step: &Step) -> anyhow::Result<()> {
        output::line(format_args!("{}  \"{}\"", step.who, output::cell(&step.token, 60)));
        if let Some(story) = &step.story {
            output::line(format_args!("   ({story})"));
        }
        while self.watch.try_recv().is_ok() {}
        let held = self.prepare(step);
        let began = Instant::now();
        let asked = self.hub.request_token(ORGANIZATION, spec(step))?;
        if let Some(held) = held {
            tokio::time::timeout(PATIENCE, held.reached()).await.context("no review came")?;
            self.hub.edit_request(asked.request_id, |spec| {
                spec.repository_permission("contents", "write")
            })?;
            output::line("   … edited to contents:write while the review was on its way");
            held.release();
        }
        let request_id = i64::try_from(asked.request_id)?;
        let ended = self
            .wait_for(
                request_id,
                |event| matches!(event, Event::Settled { .. } | Event::Decided { acts: false, .. }),
                step.github == GitHub::MembersDown,
            )
            .await;
        self.hub.drop_webhooks(false);
        self.hub.clear_faults();
        ended.context("nothing was decided")?;
        let took = began.elapsed();
        let decision = self.last_decision(request_id).await?;
        self.print(step, &decision, took);
        self.compare(&step.expect, asked.request_id)?;
        if let Some(rule) = &step.rule {
            anyhow::ensure!(
                decision.decision.by.iter().any(|by| by.as_str() == rule),
                "{rule} was to decide it, and {} did",
                render::sentence(&decision.decision)
            );
        }
        let issue = match step.expect.as_str() {
            "pending" => Some(self.asked_about(asked.request_id).await?),
            _ => None,
        };
        if let Some(then) = &step.then {
            if let (Some(owner), Some(review)) = (&then.owner, &then.review) {
                let review = if review == "approve" { Review::Approve } else { Review::deny("no") };
                self.hub.review_as(owner, asked.request_id, review)?;
                output::line(format_args!("   … and {owner}, an owner, approves it in GitHub"));
            }
            if let (Some(owner), Some(comment), Some(issue)) = (&then.owner, &then.comment, &issue)
            {
                self.hub.comment(ORGANIZATION, REVIEWS, issue.number, owner, comment)?;
                output::line(format_args!("   … {owner}, an owner, answers there: {comment}"));
            }
            if then.cancel {
                self.hub.cancel_request(asked.request_id)?;
                output::line(format_args!("   … and {} takes it back", step.who));
            }
            self.wait_for(request_id, |event| matches!(event, Event::Settled { .. }), false)
                .await
                .context("patwarden did not hear of it")?;
            self.compare(&then.expect, asked.request_id)?;
        }
        Ok(())
    }

    /// Shows on which issue people are asked about a request.
    async fn asked_about(&self, request_id: u64) -> anyhow::Result<Issue> {
        let issue = self.issue_about(request_id).await?;
        output::line(format_args!(
            "   … asked on {ORGANIZATION}/{REVIEWS}#{}: {}",
            issue.number,
            output::cell(&issue.title, 120)
        ));
        Ok(issue)
    }

    /// The issue on which people are asked about a request.
    async fn issue_about(&self, request_id: u64) -> anyhow::Result<Issue> {
        let mark = format!(":{request_id}:");
        let began = Instant::now();
        loop {
            let issues = self.hub.issues(ORGANIZATION, REVIEWS);
            let about = |issue: &Issue| {
                let first = issue.body.as_deref().and_then(|body| body.lines().next());
                issue.author == Author::App && first.is_some_and(|first| first.contains(&mark))
            };
            // Also in the bot's record: an answer counts from then on.
            if let Some(issue) = issues.into_iter().find(about)
                && self.service.store.backlog().await?.unprocessed == 0
            {
                return Ok(issue);
            }
            anyhow::ensure!(began.elapsed() < PATIENCE, "nobody was asked about it");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sets up what goes wrong in this step.
    fn prepare(&self, step: &Step) -> Option<fakehub::Held> {
        const REVIEW: &str = "orgs/review-pat-grant-request";
        self.hub.drop_webhooks(step.webhook == Webhook::Lost);
        match step.github {
            GitHub::Well => None,
            GitHub::AnswerLost => {
                self.hub.fault(Fault::on(REVIEW).cut().after_effect().times(1));
                None
            }
            GitHub::MembersDown => {
                self.hub.fault(Fault::on("orgs/get-membership-for-user").status(502).times(2));
                None
            }
            GitHub::EditedInBetween => Some(self.hub.hold(Hold::before(REVIEW))),
        }
    }

    async fn wait_for(
        &mut self,
        request_id: i64,
        wanted: impl Fn(&Event) -> bool,
        to_its_end: bool,
    ) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                match self.watch.recv().await {
                    Ok(entry) if entry.request_id.is_some_and(|id| id.0 == request_id) => {
                        let provisional =
                            to_its_end && matches!(entry.event, Event::Decided { .. });
                        if let Event::Decided { effect: "escalate", why, .. } = &entry.event
                            && provisional
                        {
                            output::line(format_args!("   … {}", output::cell(why, 140)));
                        }
                        if wanted(&entry.event) && !provisional {
                            return Ok(());
                        }
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(error @ broadcast::error::RecvError::Closed) => return Err(error.into()),
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.context("no word of it in 30 s")?
    }

    async fn last_decision(&self, request_id: i64) -> anyhow::Result<DecisionRow> {
        let filter = DecisionFilter { request: Some(request_id), limit: 1 };
        let decisions = self.service.store.decisions(&filter).await?;
        decisions.into_iter().next().context("there is no decision in the record")
    }

    fn print(&self, step: &Step, row: &DecisionRow, took: Duration) {
        let repositories = row.facts.repositories.value().map(Vec::as_slice);
        output::line(format_args!(
            "   asks     {}, saying \"{}\"",
            crate::rules::render::asked(&row.request, repositories),
            output::cell(&step.says, 80)
        ));
        let verdict = match (row.decision.effect.as_str(), step.expect.as_str()) {
            ("approve", "revoked") => "APPROVED, AND TAKEN BACK",
            ("approve", _) => "APPROVED",
            ("deny", _) => "DENIED",
            _ => "LEFT TO PEOPLE",
        };
        output::line(format_args!("   {verdict}  in {} ms", took.as_millis()));
        output::line(format_args!(
            "   because  {}",
            output::cell(&render::sentence(&row.decision), 160)
        ));
        if let Some(reason) = &row.decision.reason {
            output::line(format_args!("   told     {}", output::cell(reason, 200)));
        }
    }

    /// Compares with GitHub's state: the fake's, never our own record.
    fn compare(&self, expect: &str, request_id: u64) -> anyhow::Result<()> {
        use fakehub::{Actor, Effect};
        let outcome = self.hub.outcome(request_id);
        let revoked = |grant: u64| {
            self.hub.revocations(ORGANIZATION).iter().any(|revocation| revocation.grant_id == grant)
        };
        let found = match &outcome {
            Outcome::Approved { by: Actor::App, grant_id, .. } if revoked(*grant_id) => {
                "revoked".to_owned()
            }
            Outcome::Approved { by: Actor::App, .. } => "approved".to_owned(),
            Outcome::Approved { by: Actor::Person(login), .. } => format!("approved-by-{login}"),
            Outcome::Denied { by: Actor::App, .. } => "denied".to_owned(),
            Outcome::Cancelled { .. } => "cancelled".to_owned(),
            Outcome::Pending => "pending".to_owned(),
            other => format!("{other:?}"),
        };
        anyhow::ensure!(found == expect, "GitHub's state was to be {expect} and is {found}");
        if let Outcome::Denied { reason, .. } = &outcome {
            anyhow::ensure!(
                reason.as_ref().is_some_and(|reason| !reason.is_empty()),
                "denied without a reason"
            );
        }
        let reviews = self.hub.reviews(request_id);
        let applied = reviews.iter().filter(|review| review.effect == Effect::Applied).count();
        let others = reviews.len() - applied;
        anyhow::ensure!(
            applied <= 1 && others == 0,
            "{} reviews were sent where one was due",
            reviews.len()
        );
        Ok(())
    }

    async fn nothing_left_over(&self) -> anyhow::Result<()> {
        let store = &self.service.store;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let unfinished = store.unfinished_effects().await?;
            let backlog = store.backlog().await?;
            if unfinished == 0 && backlog.unprocessed == 0 {
                anyhow::ensure!(
                    backlog.unread == 0,
                    "{} deliveries were not understood",
                    backlog.unread
                );
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{unfinished} effects and {} deliveries are left over",
                backlog.unprocessed
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn spec(step: &Step) -> TokenSpec {
    let Asks { days, repositories, repository, organization } = &step.asks;
    let mut spec = TokenSpec::by(&step.who).named(&step.token).because(&step.says);
    spec = match days {
        Some(days) => spec.lasting_days(*days),
        None => spec.never_expires(),
    };
    spec = match repositories {
        Repositories::Named(names) => spec.on(names.iter().cloned()),
        Repositories::Word(word) if word == "all" => spec.on_all(),
        Repositories::Word(_) => spec.on_none(),
    };
    for (name, level) in repository {
        spec = spec.repository_permission(name, level);
    }
    for (name, level) in organization {
        spec = spec.organization_permission(name, level);
    }
    spec
}
