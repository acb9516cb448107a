//! `patwarden doctor`: what is wrong with this installation, why it matters, what mends it.

mod reviews;

use std::{path::Path, sync::Arc};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, error::Error};
use lettre::Address;

use super::{Exit, Given, output, setting_flags};
use crate::{
    audit::Audit,
    clock::Clock,
    doctor::{self, Finding, Hearing, Level, Needed},
    engine::{Engine, EngineOptions, Policies, RecipientsError},
    github::{App, AppCredentials, ClientOptions, Granted, InstallationClients},
    manifest::Manifest,
    notify::{Mail, Mailer},
    rules::policy::{Notify, Reviewers},
    server::{Secrets, WEBHOOK_PATH},
    settings::{KEYS, MailSettings, Place, Problems, RulesSettings, Settings, Webhooks},
    store::{RequestFilter, Store, StoreError},
};

const ABOUT: &str =
    "Look for what is wrong with this installation: what, why it matters, how to mend it";

const AFTER: &str = "\
It takes the settings of `serve`, asks GitHub what it has registered and granted, reads the rules and looks at the record, \
and changes none of them; it may run beside `serve`. Nothing is sent but with --send-test.

Exit codes: 0 all is well, or there is only something to be known; 1 something does not work; 2 the settings are wrong.";

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
        let mut report = Report::default();
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
#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
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
            return output::json(&self.0);
        }
        for finding in &self.0 {
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
        let count = |level| self.0.iter().filter(|finding| finding.level == level).count();
        output::line("");
        output::line(match (count(Level::Error), count(Level::Warning)) {
            (0, 0) => "All is well.".to_owned(),
            (errors, warnings) => format!("{errors} errors, {warnings} warnings."),
        });
        Ok(())
    }

    fn exit(&self) -> Exit {
        let worst = self.0.iter().map(|finding| finding.level).max();
        if worst >= Some(Level::Warning) { Exit::NotWell } else { Exit::Well }
    }
}

async fn examine(report: &mut Report, settings: Settings, send_test: Option<Address>) {
    report.well("settings", "they can be read");
    let mail = settings.mail.as_ref();
    examine_mail(report, mail, send_test).await;
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
    let store = examine_store(report, &settings.database).await;
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
            return;
        }
    };
    let mut needed = needed_by_settings(&settings.rules, hearing);
    let mut policies = None;
    if let Some(store) = &store {
        match Policies::as_recorded(settings.rules, store).await {
            Ok(found) => {
                needed_by_rules(&mut needed, &found, store).await;
                policies = Some(found);
            }
            Err(error) => report_store(report, &error),
        }
    }
    let granted = examine_app(report, id, &app, &needed).await;
    let (Some(store), Some(policies)) = (store, policies) else { return };
    let clients = InstallationClients::new(Arc::clone(&app), client);
    let installed = reviews::Installed::new(&clients, &granted);
    reviews::of_rules(report, &installed, &policies, &store).await;
    for one in granted.iter().filter(|one| !one.installation.suspended) {
        reviews::of_requests(report, &installed, &policies, one).await;
    }
    let Ok(audit) = Audit::new(None) else { return };
    let addresses = settings.mail.map(|mail| Arc::new(mail.addresses));
    let options = EngineOptions { client, addresses, ..EngineOptions::default() };
    let engine = Engine::new(store.clone(), app, policies, clock, audit, options);
    for one in granted.iter().filter(|one| !one.installation.suspended) {
        examine_policy(report, &engine, one);
        examine_recipients(report, &engine, &store, one).await;
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
async fn needed_by_rules(needed: &mut Needed, policies: &Policies, store: &Store) {
    let Ok(installations) = store.installations().await else { return };
    for installation in installations {
        let organization = &installation.organization;
        let Some(policy) = policies.in_force(organization).policy else { continue };
        let mut needs = |feature: &'static str, what: &str| {
            needed.features.insert(feature, format!("The rules of {} {what}.", organization.login));
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
}

/// What GitHub has: the App, its webhook, its installations.
async fn examine_app(report: &mut Report, id: u64, app: &App, needed: &Needed) -> Vec<Granted> {
    let registration = app.registration().await;
    report.add([doctor::about_the_app(id, &registration)]);
    report.add(doctor::about_the_clock(app.clock_ahead()));
    let Ok(registration) = registration else { return Vec::new() };
    let manifest = match Manifest::of_this_version() {
        Ok(manifest) => manifest,
        Err(why) => {
            report.found(Level::Error, "app", [&why, "Nothing can be compared with it.", ""]);
            return Vec::new();
        }
    };
    report.add(doctor::about_the_registration(&manifest, &registration, needed));
    let hook = app.hook_config().await;
    report.add(match needed.hearing {
        Hearing::Webhooks => doctor::about_the_webhook(WEBHOOK_PATH, &hook),
        Hearing::Lists => doctor::about_no_webhook(&hook),
    });
    report.add(doctor::about_the_server(&app.server_version().await));
    let granted = app.granted().await;
    if needed.hearing == Hearing::Webhooks {
        examine_deliveries(report, app, granted.as_deref().unwrap_or_default()).await;
    }
    match granted {
        Ok(granted) if granted.is_empty() => {
            let mend = "Install it on an organization, from its settings page under Install App.";
            let why = "There is nobody whose requests could be seen.";
            report.found(
                Level::Error,
                "app",
                ["the App is installed on no organization", why, mend],
            );
            granted
        }
        Ok(granted) => {
            for one in &granted {
                report.add(doctor::about_an_installation(&manifest, &registration, one, needed));
            }
            granted
        }
        Err(error) => {
            let what = format!("where it is installed could not be read: {error}");
            report.found(Level::Warning, "app", [&what, "Nothing more is known.", "Try again."]);
            Vec::new()
        }
    }
}

/// Whether webhooks arrive, and requests among them. One page is enough to tell how things are now.
async fn examine_deliveries(report: &mut Report, app: &App, granted: &[Granted]) {
    let seen = app.hook_deliveries(None).await.map(|page| page.deliveries);
    report.add([doctor::about_deliveries(&seen)]);
    let deliveries = seen.unwrap_or_default();
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
async fn examine_store(report: &mut Report, path: &Path) -> Option<Store> {
    if !path.exists() {
        let what = format!("there is no record at {} yet", path.display());
        let why = "`patwarden serve` makes it; what hangs on it is not looked at here.";
        report.found(Level::Note, "store", [&what, why, "Start `patwarden serve`."]);
        return None;
    }
    let store = match Store::open_existing(path).await {
        Ok(store) => store,
        Err(error) => {
            report_store(report, &error);
            return None;
        }
    };
    // Begun and dropped: a lock to write is taken and nothing is written.
    if let Err(error) = store.begin().await {
        report_store(report, &error);
        return None;
    }
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    report.well("store", format!("{} can be written, {} KiB", path.display(), size / 1024));
    Some(store)
}

fn examine_policy(report: &mut Report, engine: &Engine, one: &Granted) {
    let organization = &one.installation.organization;
    let login = organization.login.as_str();
    let in_force = engine.policies().in_force(organization);
    let nothing = "Nothing is approved; requests wait for people.";
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
                "{} rules in force, mode {mode}, from {}",
                policy.rule_count(),
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

/// Whether mail goes out.
async fn examine_mail(report: &mut Report, mail: Option<&MailSettings>, test: Option<Address>) {
    let Some(settings) = mail else {
        let why = "No digest, no notice and no question is sent by mail; standing policies with `grace` only report.";
        report.found(
            Level::Note,
            "mail",
            ["it is not set up", why, "Set PATWARDEN_MAIL and PATWARDEN_MAIL_FROM."],
        );
        return;
    };
    let mend =
        "Compare PATWARDEN_MAIL, its password and the port with what the mail server's people say.";
    let mailer = match Mailer::new(settings) {
        Ok(mailer) => mailer,
        Err(why) => {
            return report.found(Level::Error, "mail", [&why, "No mail is sent.", mend]);
        }
    };
    match mailer.check().await {
        Ok(what) => report.well("mail", what),
        Err(error) => {
            let why = "Mail waits in the record until it can be sent.";
            report.found(Level::Error, "mail", [&error.to_string(), why, mend]);
        }
    }
    let Some(to) = test else { return };
    let mail = Mail {
        key: format!("test/{}", Clock::system().now().as_millisecond()),
        to,
        subject: "[patwarden] a test".to_owned(),
        text: "Somebody ran `patwarden doctor --send-test`. Mail arrives.\n".to_owned(),
        list: String::new(),
        html: "<p>Somebody ran <code>patwarden doctor --send-test</code>. Mail arrives.</p>\n"
            .to_owned(),
    };
    match mailer.send(&mail).await {
        Ok(()) => report.well("mail", format!("a test was sent to {}", mail.to)),
        Err(error) => {
            let what = format!("the test to {} was not sent: {error}", mail.to);
            report.found(Level::Error, "mail", [&what, "Nobody is reached by mail.", mend]);
        }
    }
}

/// Whether there is somebody to mail.
async fn examine_recipients(report: &mut Report, engine: &Engine, store: &Store, one: &Granted) {
    let organization = &one.installation.organization;
    let login = organization.login.as_str();
    let Ok(Some(installation)) = store.installation(organization.id).await else { return };
    let mend = "Add them to [addresses] in the settings file: login = \"mail address\".";
    match engine.recipients(&installation, &["owners".to_owned()]).await {
        Err(RecipientsError::NoMail) => {}
        Err(error) => {
            let what = format!("who its owners are could not be read: {error}");
            report.found(
                Level::Warning,
                login,
                [&what, "They get no mail.", "Grant members: read."],
            );
        }
        Ok(found) => {
            let without: Vec<&str> =
                found.without_address.iter().map(|login| login.as_str()).collect();
            let without = without.join(", ");
            if found.is_nobody() {
                let what =
                    format!("no owner can be reached by mail: no address of {without} is known");
                report.found(
                    Level::Warning,
                    login,
                    [&what, "The digest and questions reach nobody.", mend],
                );
            } else if !without.is_empty() {
                let what = format!("no address is known of the owners {without}");
                report.found(Level::Note, login, [&what, "They get no mail.", mend]);
            } else {
                report.well(login, "every owner can be reached by mail");
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
