//! `patwarden doctor`: what is wrong with this installation, why it matters, what mends it.

mod mail;
mod reviews;

use std::{path::Path, sync::Arc};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};
use lettre::Address;

use super::{Exit, Given, output, setting_flags};
use crate::{
    audit::Audit,
    clock::Clock,
    doctor::{self, Finding, Hearing, Level, Needed, Unsent},
    domain::{Login, many},
    engine::{Engine, EngineOptions, Policies, sent_lately},
    github::{
        App, AppCredentials, CallError, ClientOptions, Granted, HookDelivery, InstallationClients,
    },
    manifest::Manifest,
    rules::{
        Policy,
        policy::{Notify, Reviewers},
    },
    server::{Secrets, WEBHOOK_PATH},
    settings::{KEYS, Place, Problems, RulesSettings, Settings, Webhooks},
    store::{RequestFilter, Store, StoreError},
};

const ABOUT: &str =
    "Look for what is wrong with this installation: what, why it matters, how to mend it";

const AFTER: &str = "\
It takes the settings of `serve`, asks GitHub what it has registered and granted, reads the rules and looks at the record, \
and changes none of them; it may run beside `serve`. Nothing is sent but with --send-test.

Exit codes: 0 all is well, or there are only notes; 1 there is an error or a warning; 2 the settings are wrong.";

/// The flags of `serve`, and its own.
pub(super) struct Doctor {
    given: Given,
    send_test: Option<Address>,
    json: bool,
}

impl Args for Doctor {
    fn augment_args(command: Command) -> Command {
        command
            .about(ABOUT)
            .after_help(AFTER)
            .args(setting_flags(KEYS))
            .arg(
                Arg::new("send-test")
                    .long("send-test")
                    .value_name("ADDRESS")
                    .value_parser(|text: &str| {
                        text.parse::<Address>().map_err(|_| "this is no mail address".to_owned())
                    })
                    .help("Send a mail to this address, to see whether it arrives"),
            )
            .arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .help("As JSON, for scripts: a list of findings"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Doctor {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self {
            given: Given::of(matches, KEYS),
            send_test: matches.get_one::<Address>("send-test").cloned(),
            json: matches.get_flag("json"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        crate::telemetry::start(crate::telemetry::LogFormat::Text, "off", false);
        let mut report = Report { findings: Vec::new(), started: true };
        match Settings::check(self.given.sources()) {
            Ok(settings) => examine(&mut report, settings, self.send_test).await,
            // Said as they are, since they name their places; and with their own exit code.
            Err(problems) if !self.json => return Err(problems.into()),
            Err(Problems(problems)) => {
                for problem in problems {
                    let why = "patwarden does not start.".to_owned();
                    let mend = "`patwarden serve --help` explains every setting.".to_owned();
                    report.add([Finding::new(Level::Error, "settings", [problem, why, mend])]);
                }
            }
        }
        report.print(self.json)?;
        Ok(report.exit())
    }
}

/// What was found so far.
struct Report {
    findings: Vec<Finding>,
    /// Whether `serve` ever ran: before that, little can be wrong.
    started: bool,
}

impl Report {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    fn well(&mut self, about: &str, what: impl Into<String>) {
        self.add([Finding::well(about, what)]);
    }

    fn found(&mut self, level: Level, about: &str, [what, why, mend]: [&str; 3]) {
        let words = [what.to_owned(), why.to_owned(), mend.to_owned()];
        self.add([Finding::new(level, about, words)]);
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return output::json(&self.findings);
        }
        for finding in &self.findings {
            let word = match finding.level {
                Level::Well => "ok     ",
                Level::Note => "note   ",
                Level::Warning => "WARNING",
                Level::Error => "ERROR  ",
            };
            let (about, what) =
                (output::cell(&finding.about, 40), output::cell(&finding.what, 500));
            output::line(format_args!("{word}  {about}: {what}"));
            for more in [&finding.why, &finding.mend] {
                if !more.is_empty() {
                    output::line(format_args!("         {}", output::cell(more, 500)));
                }
            }
        }
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        output::line("");
        output::line(match (count(Level::Error), count(Level::Warning)) {
            (0, 0) if !self.started => {
                "Nothing is wrong so far. Start `patwarden serve`, and run this again.".to_owned()
            }
            (0, 0) => "All is well.".to_owned(),
            (errors, warnings) => {
                format!("{}, {}.", many(errors, "error"), many(warnings, "warning"))
            }
        });
        Ok(())
    }

    fn exit(&self) -> Exit {
        let worst = self.findings.iter().map(|finding| finding.level).max();
        if worst >= Some(Level::Warning) { Exit::NotWell } else { Exit::Well }
    }
}

/// The record, as far as there is one.
enum Record {
    /// `serve` has not run yet.
    NotYet,
    /// It is there.
    There(Store),
    /// It cannot be used, which was said.
    Broken,
}

impl Record {
    fn store(&self) -> Option<&Store> {
        match self {
            Self::There(store) => Some(store),
            Self::NotYet | Self::Broken => None,
        }
    }

    /// What is in force, as far as the record and the disk tell; `None`: that cannot be read, which is said.
    async fn policies(&self, report: &mut Report, rules: RulesSettings) -> Option<Policies> {
        let found = match self {
            Self::There(store) => Policies::as_recorded(rules, store).await,
            Self::NotYet => Policies::before_the_first_start(rules).await,
            Self::Broken => return None,
        };
        found.map_err(|error| report_store(report, &error)).ok()
    }
}

async fn examine(report: &mut Report, settings: Settings, send_test: Option<Address>) {
    report.well("settings", "they can be read");
    let record = examine_store(report, &settings.database).await;
    if let Webhooks::Signed(secrets) = &settings.app.webhooks
        && let Err(why) = Secrets::new(secrets)
    {
        let mend = "Set GITHUB_WEBHOOK_SECRET to the secret on the App's settings page.";
        report.found(Level::Error, "webhook", [why, "No webhook is believed.", mend]);
    }
    let hearing = match &settings.app.webhooks {
        Webhooks::Signed(_) => Hearing::Webhooks,
        Webhooks::Off => Hearing::Lists,
    };
    let client =
        ClientOptions { timeout: settings.github_timeout, write_interval: settings.write_interval };
    let id = settings.app.id;
    let credentials = AppCredentials { app_id: id, private_key: settings.app.private_key };
    let clock = Clock::system();
    let app = match App::new(&credentials, &settings.app.api_url, client, clock.clone()) {
        Ok(app) => Arc::new(app.only(settings.allowed_organizations.clone())),
        Err(error) => {
            let mend = "Give the .pem file that GitHub made for the App, whole.";
            report.found(
                Level::Error,
                "app",
                [&error.to_string(), "GitHub cannot be called.", mend],
            );
            return mail::examine(report, settings.mail.as_ref(), &[], send_test).await;
        }
    };
    let mut needed = needed_by_settings(&settings.rules, hearing);
    let installed = app.granted().await;
    let granted = installed.as_deref().unwrap_or_default();
    let mut unsent: Vec<Unsent> = settings.digest.iter().map(|_| Unsent::by_settings()).collect();
    let policies = record.policies(report, settings.rules).await;
    for one in granted {
        let organization = &one.installation.organization;
        let in_force = policies.as_ref().and_then(|it| it.in_force(organization).policy);
        if let Some(policy) = in_force {
            needed_by_rules(&mut needed, &organization.login, &policy);
            unsent.extend(Unsent::by_rules(&organization.login, &policy));
        }
    }
    mail::examine(report, settings.mail.as_ref(), &unsent, send_test).await;
    examine_app(report, id, &app, &needed, &installed).await;
    if let (Some(store), Hearing::Webhooks) = (record.store(), hearing) {
        examine_deliveries(report, &app, store, granted).await;
    }
    let Some(policies) = policies else { return };
    let serving: Vec<&Granted> = granted.iter().filter(|one| !one.installation.suspended).collect();
    let clients = InstallationClients::new(Arc::clone(&app), client);
    let reading = reviews::Installed::new(&clients, granted);
    if let Some(store) = record.store() {
        reviews::of_rules(report, &reading, &policies, store).await;
    }
    for one in &serving {
        examine_policy(report, &policies, one, &record);
        reviews::of_requests(report, &reading, &policies, one).await;
    }
    let Record::There(store) = record else { return };
    let Ok(audit) = Audit::new(None) else { return };
    let addresses = settings.mail.map(|mail| Arc::new(mail.addresses));
    let options = EngineOptions { client, addresses, ..EngineOptions::default() };
    let engine = Engine::new(store.clone(), app, policies, clock, audit, options);
    for one in &serving {
        mail::examine_recipients(report, &engine, &store, one).await;
    }
    examine_requests(report, &store).await;
}

/// What the settings alone say of what the App must be able to do.
fn needed_by_settings(rules: &RulesSettings, hearing: Hearing) -> Needed {
    let places = rules.organizations.iter().filter_map(|one| one.place.as_ref());
    let mut places = places.chain(&rules.everybody).chain(&rules.enterprise);
    let features = places
        .find(|place| matches!(place, Place::Repository(_)))
        .map(|place| ("policy", format!("The settings name {place}.")));
    Needed { features: features.into_iter().collect(), hearing }
}

/// The same of the rules that are in force.
fn needed_by_rules(needed: &mut Needed, login: &Login, policy: &Policy) {
    let mut needs = |feature: &'static str, what: &str| {
        needed.features.insert(feature, format!("The rules of {login} {what}."));
    };
    let by_issue = |group: &Reviewers| {
        group.notify.iter().any(|notify| matches!(notify, Notify::Issue { .. }))
    };
    if policy.reviewers().values().any(by_issue) {
        needs("escalation", "ask reviewers on issues");
    }
    if !policy.needs().custom_properties.is_empty() {
        needs("properties", "name custom properties");
    }
    if policy.revocations().values().any(|one| !one.on().is_empty()) {
        needs("leavers", "revoke what belongs to whom left");
    }
}

/// What GitHub has: the App, its webhook, its installations.
async fn examine_app(
    report: &mut Report,
    id: u64,
    app: &App,
    needed: &Needed,
    installed: &Result<Vec<Granted>, CallError>,
) {
    let registration = app.registration().await;
    report.add([doctor::about_the_app(id, &registration)]);
    report.add(doctor::about_the_clock(app.clock_ahead()));
    let Ok(registration) = registration else { return };
    let manifest = match Manifest::of_this_version() {
        Ok(manifest) => manifest,
        Err(why) => {
            return report.found(
                Level::Error,
                "app",
                [&why, "Nothing can be compared with it.", ""],
            );
        }
    };
    report.add(doctor::about_the_registration(&manifest, &registration, needed));
    let hook = app.hook_config().await;
    report.add(match needed.hearing {
        Hearing::Webhooks => doctor::about_the_webhook(WEBHOOK_PATH, &hook),
        Hearing::Lists => doctor::about_no_webhook(&hook),
    });
    report.add(doctor::about_the_server(&app.server_version().await));
    match installed {
        Ok(granted) if granted.is_empty() => {
            let mend = "Install it on an organization, from its settings page under Install App.";
            let why = "There is nobody whose requests could be seen.";
            report.found(
                Level::Error,
                "app",
                ["the App is installed on no organization", why, mend],
            );
        }
        Ok(granted) => {
            for one in granted {
                report.add(doctor::about_an_installation(&manifest, &registration, one, needed));
            }
        }
        Err(error) => {
            let what = format!("where it is installed could not be read: {error}");
            report.found(Level::Warning, "app", [&what, "Nothing more is known.", "Try again."]);
        }
    }
}

/// Whether webhooks arrive, and requests among them. One page is enough to tell how things are now. Before the first start
/// none can have arrived, and it says nothing that GitHub sent some.
async fn examine_deliveries(report: &mut Report, app: &App, store: &Store, granted: &[Granted]) {
    let sent = match sent_lately(app, store, 1).await {
        Ok(sent) => sent,
        Err(error) => return report.add([doctor::about_deliveries_unread(&error)]),
    };
    let missing = sent.iter().filter(|sent| sent.is_missed()).count();
    let deliveries: Vec<HookDelivery> = sent.into_iter().map(|sent| sent.attempt).collect();
    report.add([doctor::about_deliveries(&deliveries, missing)]);
    report.add(granted.iter().filter_map(|one| doctor::about_approval(one, &deliveries)));
}

fn report_store(report: &mut Report, error: &StoreError) {
    let mend = "Look at the disk, at who may read and write the file, and at which version of patwarden wrote it.";
    report.found(
        Level::Error,
        "store",
        [&error.to_string(), "Nothing is decided without it.", mend],
    );
}

/// Whether the record is there and can be written.
async fn examine_store(report: &mut Report, path: &Path) -> Record {
    if !path.exists() {
        let what = format!("patwarden has not run yet: there is no record at {}", path.display());
        let why = "Whether webhooks arrive, which rules in a repository are in force and who is reached by mail shows once it has.";
        let mend = "Mend what is wrong below, start `patwarden serve`, and run this again.";
        report.found(Level::Note, "store", [&what, why, mend]);
        report.started = false;
        return Record::NotYet;
    }
    let store = match Store::open_existing(path).await {
        Ok(store) => store,
        Err(error) => {
            report_store(report, &error);
            return Record::Broken;
        }
    };
    // Begun and dropped: a lock to write is taken and nothing is written.
    if let Err(error) = store.begin().await {
        report_store(report, &error);
        return Record::Broken;
    }
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    report.well("store", format!("{} can be written, {} KiB", path.display(), size / 1024));
    Record::There(store)
}

fn examine_policy(report: &mut Report, policies: &Policies, one: &Granted, record: &Record) {
    let organization = &one.installation.organization;
    let login = organization.login.as_str();
    let in_force = policies.in_force(organization);
    let nothing = "Nothing is approved; requests wait for people.";
    if matches!(record, Record::NotYet) && in_force.is_unread() {
        let what = format!("its rules are at {}, and are read by the first start", in_force.source);
        let mend =
            "Have them there by then; `patwarden rules check` says of a file whether it is right.";
        return report.found(Level::Note, login, [&what, "Until then there are none.", mend]);
    }
    let broken = in_force.broken.as_ref().filter(|_| !in_force.is_only_unconfirmed());
    match (&in_force.policy, broken) {
        (Some(_), Some(why)) => {
            let what = format!("its rules ({}) are not in order: {why}", in_force.source);
            report.found(
                Level::Error,
                login,
                [&what, nothing, "`patwarden rules check` names each place."],
            );
        }
        (None, why) => {
            let why = why.map_or("the settings name none", String::as_str);
            let what = format!("no rules are in force: {why}");
            let mend = "Name them with --rules, or mend them: `patwarden rules check` names each place. Those in a repository are \
                        read by `patwarden serve`.";
            report.found(Level::Error, login, [&what, nothing, mend]);
        }
        (Some(policy), None) => {
            let mode = policy.mode().as_str();
            let what = format!(
                "{} in force, mode {mode}, from {}",
                many(policy.rule_count(), "rule"),
                in_force.source
            );
            if mode == "shadow" {
                let mend =
                    "When what it reports is right, write mode = \"enforce\" into the rules.";
                report.found(
                    Level::Note,
                    login,
                    [&what, "Nothing is sent to GitHub in shadow.", mend],
                );
            } else {
                report.well(login, what);
            }
        }
    }
}

/// Whether requests arrive at all.
async fn examine_requests(report: &mut Report, store: &Store) {
    let any = RequestFilter { organization: None, open_only: false, limit: 1 };
    match store.requests(&any).await {
        Ok(requests) if requests.is_empty() => {
            let why = "That is so when nobody asked yet, and also when an organization does not require approval: then no \
                       request is ever made.";
            let mend = "See the organization's settings under Personal access tokens: approval must be required.";
            report.found(Level::Note, "requests", ["none was ever seen", why, mend]);
        }
        Ok(_) => report.well("requests", "requests were seen"),
        Err(error) => report_store(report, &error),
    }
}
