//! What settings must be: one checked value out of flags, environment and file, every problem at once, secrets wrapped.
//! Where a value comes from stands in `sources`, whose rules are where in `rules`.

mod access;
mod mail;
mod probot;
mod retention;
mod rules;
mod shown;
mod sources;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

use self::sources::Origin;
pub use self::{
    access::{Access, Looking, Written},
    mail::{AddressBook, MailSettings, Others, Server, Tls, Transport},
    retention::Retention,
    rules::{OrganizationRules, Place, RepositoryPlace, RulesSettings},
    shown::Shown,
    sources::{KEYS, Key, Sources},
};

use crate::{
    domain::{Login, many},
    rules::{Mode, policy::DigestBlock},
    telemetry::LogFormat,
};

/// Every setting that a command may need, checked.
pub struct Settings {
    /// Who we are.
    pub app: AppSettings,
    /// The organizations that count; `None`: all.
    pub allowed_organizations: Option<Vec<Login>>,
    /// Where the record is.
    pub database: PathBuf,
    /// Whose rules are where, and the most that they may do.
    pub rules: RulesSettings,
    /// Where webhooks are received.
    pub listen: SocketAddr,
    /// Where those who watch may look; `None`: nowhere.
    pub ops_listen: Option<SocketAddr>,
    /// How often pending requests are listed anyway.
    pub reconcile_interval: Duration,
    /// How often GitHub is asked which webhooks did not arrive; `None`: never.
    pub deliveries_interval: Option<Duration>,
    /// How often tokens and members are listed; `None`: never.
    pub inventory_interval: Option<Duration>,
    /// How long what is kept.
    pub retention: Retention,
    /// The most waiting requests that a first run or a changed policy may act on unconfirmed.
    pub most_at_once: usize,
    /// The least time between two reviews in one organization.
    pub write_interval: Duration,
    /// The longest that one call may take.
    pub github_timeout: Duration,
    /// How mail is sent; `None`: it is not.
    pub mail: Option<MailSettings>,
    /// The digest of organizations for which no rules are in force; `None`: they have none.
    pub digest: Option<DigestBlock>,
    /// Where audit lines go.
    pub audit_log: Option<PathBuf>,
    /// How much is logged, as a filter.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is no problem, and should be known.
    pub notes: Vec<String>,
}

/// Who the App is to GitHub, and where GitHub is.
pub struct AppIdentity {
    /// The App's id.
    pub id: u64,
    /// Its private key, as PEM.
    pub private_key: SecretString,
    /// GitHub's API.
    pub api_url: String,
}

/// The App: address, id, key, secrets.
pub struct AppSettings {
    /// The App's id.
    pub id: u64,
    /// Its private key, as PEM.
    pub private_key: SecretString,
    /// How it hears of requests.
    pub webhooks: Webhooks,
    /// GitHub's API.
    pub api_url: String,
}

/// How we hear of requests.
pub enum Webhooks {
    /// GitHub sends webhooks, signed with one of these secrets.
    Signed(Vec<SecretString>),
    /// It sends none: we look by ourselves, and listen to nobody.
    Off,
}

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the settings have {}:", many(self.0.len(), "problem"))?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        f.write_str("`patwarden serve --help` explains every setting")
    }
}

impl std::error::Error for Problems {}

impl Settings {
    /// Checks what was found.
    ///
    /// # Errors
    /// Every problem, each naming its place.
    pub fn check(mut sources: Sources) -> Result<Self, Problems> {
        let s = &mut sources;
        let id = app_id(s);
        let private_key = private_key(s);
        let webhooks = webhooks(s);
        let api_url = s.parsed("api-url", api_url);
        let allowed_organizations = s.parsed("allowed-organizations", logins);
        let database = s.parsed("database-url", sqlite_path);
        let rules = rules::check(s);
        let listen = s.parsed("listen", address);
        let ops_listen = s.parsed("ops-listen", |text| match text {
            "off" => Ok(None),
            text => address(text).map(Some),
        });
        let reconcile_interval = s.parsed("reconcile-interval", |text| span(text, (1, 24 * 3600)));
        let deliveries_interval = s.parsed("deliveries-interval", |text| match text {
            "off" => Ok(None),
            text => span(text, (10, 24 * 3600)).map(Some),
        });
        let inventory_interval = s.parsed("inventory-interval", |text| match text {
            "off" => Ok(None),
            text => span(text, (60, 7 * 24 * 3600)).map(Some),
        });
        let retention = retention::check(s);
        let most_at_once = s.parsed("most-at-once", |text| {
            text.parse().map_err(|_| format!("`{text}` is not a number of requests"))
        });
        let write_interval = write_interval(s);
        let github_timeout = github_timeout(s);
        let mail = mail::check(s);
        let digest = mail::digest(s);
        let audit_log = s.parsed("audit-log", |text| Ok(PathBuf::from(text)));
        let log_filter = s.parsed("log-level", log_filter);
        let log_format = s.parsed("log-format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("`{text}` is neither text nor json")),
        });
        let problems = std::mem::take(&mut s.problems);
        let all = (|| {
            Some(Self {
                app: AppSettings {
                    id: id?,
                    private_key: private_key?,
                    webhooks: webhooks?,
                    api_url: api_url?,
                },
                allowed_organizations,
                database: database?,
                rules: rules?,
                listen: listen?,
                ops_listen: ops_listen?,
                reconcile_interval: reconcile_interval?,
                deliveries_interval: deliveries_interval?,
                inventory_interval: inventory_interval?,
                retention: retention?,
                most_at_once: most_at_once?,
                write_interval: write_interval?,
                github_timeout: github_timeout?,
                mail,
                digest,
                audit_log,
                log_filter: log_filter?,
                log_format: log_format?,
                notes: std::mem::take(&mut s.notes),
            })
        })();
        match all {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => Err(Problems(problems)),
        }
    }
}

/// Where the record is, for commands that look into it.
///
/// # Errors
/// What is wrong with the setting.
pub fn database(mut sources: Sources) -> Result<PathBuf, Problems> {
    let database = sources.parsed("database-url", sqlite_path);
    match database {
        Some(database) if sources.problems.is_empty() => Ok(database),
        _ => Err(Problems(sources.problems)),
    }
}

/// Where GitHub's API is, and the longest that a call may take: for registering the App.
///
/// # Errors
/// What is wrong with them.
pub fn github(mut sources: Sources) -> Result<(String, Duration), Problems> {
    let url = sources.parsed("api-url", api_url);
    let timeout = github_timeout(&mut sources);
    match url.zip(timeout) {
        Some(both) if sources.problems.is_empty() => Ok(both),
        _ => Err(Problems(sources.problems)),
    }
}

/// The webhook's secrets alone, for `patwarden replay`.
///
/// # Errors
/// What is wrong with the setting.
pub fn secrets(mut sources: Sources) -> Result<Vec<SecretString>, Problems> {
    let secrets = webhook_secrets(&mut sources);
    match secrets {
        Some(secrets) if sources.problems.is_empty() => Ok(secrets),
        _ => Err(Problems(sources.problems)),
    }
}

fn app_id(s: &mut Sources) -> Option<u64> {
    let id = s.parsed("app-id", |text| {
        text.parse::<u64>().map_err(|_| format!("`{text}` is not an App id; that is a number (not the client id, which begins with `Iv`)"))
    });
    s.needed("app-id", id)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an address; write IP:PORT, as 127.0.0.1:3000"))
}

/// Logins of organizations, separated by commas.
fn logins(text: &str) -> Result<Vec<Login>, String> {
    let is_login = |text: &str| {
        !text.is_empty()
            && text.len() <= 100
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.split(',')
        .map(str::trim)
        .map(|login| {
            let wrong = || format!("`{login}` is not an organization's login");
            is_login(login).then(|| Login::new(login)).ok_or_else(wrong)
        })
        .collect()
}

/// What of others than ourselves is logged stays as it is: more of it is for `RUST_LOG`.
fn log_filter(text: &str) -> Result<String, String> {
    match text {
        "error" | "warn" => Ok(text.to_owned()),
        "info" => Ok("info,octocrab=warn".to_owned()),
        "debug" | "trace" => Ok(format!("info,octocrab=warn,patwarden={text}")),
        _ => Err(format!("`{text}` is none of error, warn, info, debug, trace")),
    }
}

fn github_timeout(s: &mut Sources) -> Option<Duration> {
    s.parsed("github-timeout", |text| match span(text, (0, 300)) {
        Ok(Duration::ZERO) => Err("no call is answered in no time".to_owned()),
        span => span,
    })
}

fn write_interval(s: &mut Sources) -> Option<Duration> {
    s.parsed("write-interval", |text| span(text, (0, 3600)))
}

fn private_key(s: &mut Sources) -> Option<SecretString> {
    let inline = s.get("private-key");
    let path = s.get("private-key-path");
    match (inline, path) {
        (Some((_, inline)), Some((_, path))) => {
            s.problems.push(format!("{inline} and {path} are both set: leave one out"));
            None
        }
        (Some((key, _)), None) => Some(key.replace("\\n", "\n").into()),
        (None, Some((path, origin))) => read_secret(s, &path, &origin).map(SecretString::from),
        (None, None) => s.needed("private-key-path", None),
    }
}

fn webhooks(s: &mut Sources) -> Option<Webhooks> {
    match s.parsed("webhook", |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off")),
    })? {
        true => webhook_secrets(s).map(Webhooks::Signed),
        false => Some(Webhooks::Off),
    }
}

fn webhook_secrets(s: &mut Sources) -> Option<Vec<SecretString>> {
    let (text, separator, origin) = match (s.get("webhook-secret"), s.get("webhook-secret-path")) {
        (Some((_, inline)), Some((_, path))) => {
            s.problems.push(format!("{inline} and {path} are both set: leave one out"));
            return None;
        }
        (Some((text, origin)), None) => (text, ',', origin),
        (None, Some((path, origin))) => (read_secret(s, &path, &origin)?, '\n', origin),
        (None, None) => return s.needed("webhook-secret", None),
    };
    let text = text.trim_end_matches(['\n', '\r']);
    let secrets: Vec<&str> = text.split(separator).map(str::trim).collect();
    if secrets.iter().any(|secret| secret.is_empty()) {
        s.problems
            .push(format!("{origin}: one of the secrets is empty; anybody could sign with it"));
        return None;
    }
    Some(secrets.into_iter().map(SecretString::from).collect())
}

fn read_secret(s: &mut Sources, path: &str, origin: &Origin) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Some(text),
        Ok(_) => {
            s.problems.push(format!("{origin}: {path} is empty"));
            None
        }
        Err(error) => {
            s.problems.push(format!("{origin}: {path} cannot be read: {error}"));
            None
        }
    }
}

fn api_url(text: &str) -> Result<String, String> {
    let url =
        url::Url::parse(text).map_err(|error| format!("`{text}` is not an address: {error}"))?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(format!("`{text}` names no host")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into the address".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(format!("`{text}` would send tokens in the clear; use https")),
        other => return Err(format!("`{other}` is neither https nor http")),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn sqlite_path(text: &str) -> Result<PathBuf, String> {
    let path = match text.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some(("postgres" | "postgresql", _)) => {
            return Err("PostgreSQL is not supported yet; use sqlite:PATH".to_owned());
        }
        _ => return Err(format!("`{text}` is not a database address; write sqlite:PATH")),
    };
    if path.is_empty() || path == ":memory:" || path.contains('?') {
        return Err("name a file: what is kept in memory is lost with the process".to_owned());
    }
    Ok(PathBuf::from(path))
}

fn highest_mode(text: &str) -> Result<Mode, String> {
    let known = Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
    known.ok_or_else(|| format!("`{text}` is none of shadow, approve-only, enforce"))
}

/// A span of time between two numbers of seconds.
fn span(text: &str, (least, most): (u64, u64)) -> Result<Duration, String> {
    let span = text
        .parse::<jiff::SignedDuration>()
        .map_err(|_| format!("`{text}` is not a span of time; write `30s`, `5m` or `1h`"))?;
    let span = Duration::try_from(span).map_err(|_| format!("`{text}` is negative"))?;
    if span < Duration::from_secs(least) || span > Duration::from_secs(most) {
        return Err(format!("`{text}` is not between {least} s and {most} s"));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Settings, Sources, Webhooks};

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> Sources {
        Sources::default().with_environment(move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn problems(sources: Sources) -> Vec<String> {
        Settings::check(sources).err().map(|problems| problems.0).unwrap_or_default()
    }

    #[test]
    fn no_problem_tells_a_password_that_stands_in_an_address() {
        const ADDRESSES: &[(&str, &str)] = &[
            ("PATWARDEN_DATABASE_URL", "mysql://me:TOPSECRET@db/x"),
            ("GITHUB_API_URL", "http://me:TOPSECRET@github.example/api/v3"),
            ("PATWARDEN_MAIL", "smtp://me:TOPSECRET@mail.example"),
        ];
        let found = problems(environment(ADDRESSES));
        for (place, _) in ADDRESSES {
            assert!(found.iter().any(|problem| problem.contains(place)), "{place} in {found:#?}");
        }
        assert!(!found.iter().any(|problem| problem.contains("TOPSECRET")), "{found:#?}");
        assert!(found.iter().any(|problem| problem.contains("mysql://me:(hidden)@db/x")));
    }

    #[test]
    fn all_problems_are_told_at_once_and_each_names_its_place() {
        let found = problems(environment(&[
            ("GITHUB_APP_ID", "Iv23abc"),
            ("GITHUB_WEBHOOK_SECRET", "one,,three"),
            ("GITHUB_API_URL", ""),
            ("PATWARDEN_DATABASE_URL", "postgres://db/patwarden"),
            ("PATWARDEN_LISTEN", "3000"),
            ("PATWARDEN_HIGHEST_MODE", "yolo"),
            ("PATWARDEN_WRITE_INTERVAL", "often"),
        ]));
        for (place, remedy) in [
            ("GITHUB_APP_ID", "number"),
            ("GITHUB_APP_PRIVATE_KEY_PATH", "not set"),
            ("GITHUB_WEBHOOK_SECRET", "empty"),
            ("GITHUB_API_URL", "empty"),
            ("PATWARDEN_DATABASE_URL", "sqlite:PATH"),
            ("PATWARDEN_RULES", "not set"),
            ("PATWARDEN_LISTEN", "IP:PORT"),
            ("PATWARDEN_HIGHEST_MODE", "approve-only"),
            ("PATWARDEN_WRITE_INTERVAL", "30s"),
        ] {
            assert!(
                found.iter().any(|problem| problem.contains(place) && problem.contains(remedy)),
                "{place} / {remedy} in {found:#?}"
            );
        }
        assert_eq!(found.len(), 9, "{found:#?}");
    }

    #[test]
    fn a_slip_in_the_file_shows_its_line_and_never_the_secret_in_it() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("patwarden.toml");
        std::fs::write(&path, "app-id = 1\nwebhook-secret = \"hunter2\nrules = \"x\"\n")
            .expect("written");
        let found = problems(Sources::default().with_file(&path));
        assert!(found.iter().any(|problem| problem.contains("line 2: not TOML")), "{found:#?}");
        assert!(!found.iter().any(|problem| problem.contains("hunter2")), "{found:#?}");
    }

    #[test]
    fn of_a_file_that_cannot_be_read_nothing_is_said_to_be_missing() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("patwarden.toml");
        let told = |text: &str| {
            std::fs::write(&path, text).expect("written");
            problems(Sources::default().with_file(&path))
        };
        let all = "app-id = 1\nprivate-key = \"k\"\nwebhook-secret = \"s\"\n";
        // A list where tables are meant, or both.
        for clash in [
            "organizations = [\"acme\"]\n[organizations.acme]\nrules = \"a.toml\"\n",
            "[organizations.acme]\nrules = \"a.toml\"\n[[organizations]]\nlogin = \"acme\"\n",
        ] {
            let found = told(&format!("{all}{clash}"));
            let [only] = found.as_slice() else { panic!("{clash}: {found:#?}") };
            assert!(
                only.contains("not TOML") && only.contains("allowed-organizations = ["),
                "{only}"
            );
        }
        for list in ["", "[organizations.acme]\n"] {
            let list = format!("[[organizations]]\nlogin = \"acme\"\n{list}rules = \"a.toml\"\n");
            let found = told(&format!("{all}{list}"));
            let [only] = found.as_slice() else { panic!("{found:#?}") };
            assert!(
                only.contains("write a table for each organization, [organizations.LOGIN]"),
                "{only}"
            );
        }
        let found = told(&format!("{all}rules = \"a.toml\"\nallowed-organizations = [1]\n"));
        let [only] = found.as_slice() else { panic!("{found:#?}") };
        assert!(only.contains("must hold logins"), "{only}");
        assert_eq!(told("app-id = 1\nrules = \"x\n").len(), 1, "what else it says is not known");
        assert_eq!(told(all).len(), 1, "the rules are missing, as the file can be read");
    }

    #[test]
    fn without_webhooks_no_secret_is_needed_and_lists_are_read_often() {
        let sources = |webhook: &str| {
            let said = environment(&[
                ("GITHUB_APP_ID", "7"),
                ("GITHUB_APP_PRIVATE_KEY", "a key"),
                ("PATWARDEN_RULES", "rules"),
            ]);
            said.with_flags([("webhook", webhook.to_owned())])
        };
        let check = |sources| Settings::check(sources).map_err(|problems| problems.to_string());
        let settings = check(sources("off")).expect("valid");
        assert!(matches!(settings.app.webhooks, Webhooks::Off));
        assert_eq!(settings.reconcile_interval, Duration::from_secs(30));
        assert_eq!(settings.deliveries_interval, None, "nothing was sent that could be missing");
        let seldom = sources("off").with_flags([("reconcile-interval", "2m".to_owned())]);
        assert_eq!(check(seldom).expect("valid").reconcile_interval, Duration::from_secs(120));
        assert!(problems(sources("on")).iter().any(|why| why.contains("GITHUB_WEBHOOK_SECRET")));
        assert!(problems(sources("of")).iter().any(|why| why.contains("neither on nor off")));
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_tokens_never_travel_in_the_clear() {
        let sources = || {
            environment(&[
                ("GITHUB_APP_ID", "7"),
                ("GITHUB_APP_PRIVATE_KEY", "a key"),
                ("GITHUB_WEBHOOK_SECRET", "one, two"),
                ("PATWARDEN_RULES", "rules"),
                ("PATWARDEN_LISTEN", "127.0.0.1:1"),
            ])
        };
        let settings =
            Settings::check(sources().with_flags([("listen", "127.0.0.1:2".to_owned())]));
        let settings = settings.map_err(|problems| problems.to_string()).expect("valid");
        assert_eq!(settings.listen.port(), 2);
        assert!(matches!(&settings.app.webhooks, Webhooks::Signed(secrets) if secrets.len() == 2));
        let clear = sources().with_flags([("api-url", "http://ghe.example/api/v3".to_owned())]);
        assert!(problems(clear).iter().any(|problem| problem.contains("in the clear")));
    }
}
