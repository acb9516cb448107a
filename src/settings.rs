//! Flags, environment and file into one checked value: every problem at once, secrets wrapped.
//!
//! A key has one name everywhere: `--api-url`, `GITHUB_API_URL`, `api-url = "…"`. A flag goes before the
//! environment, the environment before the file, the file before the default. What the environment says is
//! handed in by the commands; apart from settings, only `RUST_LOG` and `NO_COLOR` are read.

mod access;
mod rules;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;

pub use access::Access;
pub use rules::{OrganizationRules, Place, RepositoryPlace, RulesSettings};

use crate::{rules::Mode, telemetry::LogFormat};

/// One setting: its name, its twin in the environment, what it means.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in the file, and with `--` before it the flag.
    pub name: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// What it means: one sentence.
    pub help: &'static str,
    /// The value where nobody says anything.
    pub default: Option<&'static str>,
    /// Whether the value itself is secret: then there is no flag, since other users can see those.
    pub secret: bool,
}

/// Every setting of `patwarden serve`.
pub const KEYS: &[Key] = &[
    key("app-id", "GITHUB_APP_ID", "the App's numeric id, from its settings page", None),
    secret(
        "private-key",
        "GITHUB_APP_PRIVATE_KEY",
        "the App's private key itself, as PEM (`\\n` may stand for line ends)",
    ),
    key(
        "private-key-path",
        "GITHUB_APP_PRIVATE_KEY_PATH",
        "the file with the App's private key, as GitHub gave it",
        None,
    ),
    secret(
        "webhook-secret",
        "GITHUB_WEBHOOK_SECRET",
        "the webhook's secret; several, separated by commas, while one is being replaced",
    ),
    key(
        "webhook-secret-path",
        "GITHUB_WEBHOOK_SECRET_PATH",
        "a file with the webhook's secrets, one a line",
        None,
    ),
    key(
        "api-url",
        "GITHUB_API_URL",
        "GitHub's REST API: https://HOST/api/v3 for GitHub Enterprise Server",
        Some("https://api.github.com"),
    ),
    key(
        "database-url",
        "PATWARDEN_DATABASE_URL",
        "the record: sqlite:PATH, on a local disk",
        Some("sqlite:patwarden.sqlite"),
    ),
    key(
        "rules",
        "PATWARDEN_RULES",
        "the rules of every organization that is not named with its own: a TOML file, a directory of them, or \
         github:OWNER/REPOSITORY/PATH",
        None,
    ),
    key(
        "enterprise-rules",
        "PATWARDEN_ENTERPRISE_RULES",
        "the enterprise's rules, above those of all organizations, in the same forms",
        None,
    ),
    key(
        "listen",
        "PATWARDEN_LISTEN",
        "where webhooks are received; put a TLS proxy in front of it",
        Some("127.0.0.1:3000"),
    ),
    key(
        "highest-mode",
        "PATWARDEN_HIGHEST_MODE",
        "the most that any policy may do: shadow, approve-only or enforce",
        Some("enforce"),
    ),
    key(
        "reconcile-interval",
        "PATWARDEN_RECONCILE_INTERVAL",
        "how often pending requests are listed although no webhook came",
        Some("5m"),
    ),
    key(
        "inventory-interval",
        "PATWARDEN_INVENTORY_INTERVAL",
        "how often all tokens with access and all members are listed, a call for each hundred; `off`: never",
        Some("6h"),
    ),
    key(
        "most-at-once",
        "PATWARDEN_MOST_AT_ONCE",
        "the most waiting requests that a first run or a changed policy acts on before somebody confirms",
        Some("25"),
    ),
    key(
        "write-interval",
        "PATWARDEN_WRITE_INTERVAL",
        "the least time between two reviews in one organization; GitHub asks for a second",
        Some("1s"),
    ),
    key(
        "github-timeout",
        "PATWARDEN_GITHUB_TIMEOUT",
        "the longest that one call to GitHub may take",
        Some("20s"),
    ),
    key(
        "audit-log",
        "PATWARDEN_AUDIT_LOG",
        "a file to which every decision and effect is appended as a line of JSON",
        None,
    ),
    key(
        "log-format",
        "PATWARDEN_LOG_FORMAT",
        "how the log is written: text or json; RUST_LOG sets how much",
        Some("text"),
    ),
];

const fn key(
    name: &'static str,
    env: &'static str,
    help: &'static str,
    default: Option<&'static str>,
) -> Key {
    Key { name, env, help, default, secret: false }
}

const fn secret(name: &'static str, env: &'static str, help: &'static str) -> Key {
    Key { name, env, help, default: None, secret: true }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    File(PathBuf, &'static str),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Environment(name) => f.write_str(name),
            Self::File(path, name) => write!(f, "`{name}` in {}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// What was found in flags, environment and file, not yet checked.
#[derive(Default)]
pub struct Sources {
    flags: BTreeMap<&'static str, String>,
    environment: BTreeMap<&'static str, String>,
    file: Option<(PathBuf, toml::Table)>,
    problems: Vec<String>,
}

impl Sources {
    /// Flags that were given, by key name.
    #[must_use]
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.flags.extend(flags);
        self
    }

    /// What `look_up` (the process's environment, or a test's) has for the keys.
    #[must_use]
    pub fn with_environment(mut self, look_up: impl Fn(&str) -> Option<String>) -> Self {
        for key in KEYS {
            if let Some(value) = look_up(key.env) {
                self.environment.insert(key.name, value);
            }
        }
        self
    }

    /// What the TOML file at `path` says. Unknown keys are problems.
    #[must_use]
    pub fn with_file(mut self, path: &Path) -> Self {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems
                    .push(format!("the settings file {} cannot be read: {error}", path.display()));
                return self;
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => {
                for name in table.keys() {
                    if !Self::is_table(name) && !KEYS.iter().any(|key| key.name == name) {
                        self.problems
                            .push(format!("{}: there is no setting `{name}`", path.display()));
                    }
                }
                self.file = Some((path.to_owned(), table));
            }
            Err(error) => {
                // Without the line that the error would show: it may hold a secret.
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map_or(1, |before| before.matches('\n').count() + 1);
                let why = error.message();
                self.problems.push(format!("{}, line {line}: not TOML: {why}", path.display()));
            }
        }
        self
    }

    fn get(&mut self, name: &'static str) -> Option<(String, Origin)> {
        let key = KEYS.iter().find(|key| key.name == name)?;
        let found = if let Some(value) = self.flags.get(name) {
            (value.clone(), Origin::Flag(key.name))
        } else if let Some(value) = self.environment.get(name) {
            (value.clone(), Origin::Environment(key.env))
        } else if let Some((path, value)) =
            self.file.as_ref().and_then(|(path, table)| Some((path, table.get(name)?)))
        {
            let origin = Origin::File(path.clone(), key.name);
            match value {
                toml::Value::String(text) => (text.clone(), origin),
                toml::Value::Integer(number) => (number.to_string(), origin),
                _ => {
                    self.problems.push(format!("{origin} must be a text or a number"));
                    return None;
                }
            }
        } else {
            return key.default.map(|value| (value.to_owned(), Origin::Default));
        };
        if found.0.trim().is_empty() {
            // An empty variable is a mistake in a deployment, and reading it as the default hides that.
            self.problems.push(format!("{} is empty: set it, or leave it out", found.1));
            return None;
        }
        Some(found)
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (value, origin) = self.get(name)?;
        match parse(value.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problems.push(format!("{origin}: {why}"));
                None
            }
        }
    }

    fn needed<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        let named = KEYS.iter().find(|key| key.name == name);
        let said_so = |problem: &String| {
            named.is_some_and(|key| {
                problem.contains(key.env) || problem.contains(&format!("--{name}"))
            })
        };
        if value.is_none()
            && !self.problems.iter().any(said_so)
            && let Some(key) = named
        {
            // A secret has no flag, but the file with it has one.
            let path = format!("{name}-path");
            let flag = KEYS.iter().map(|key| key.name).find(|known| *known == path);
            let flag = flag.or((!key.secret).then_some(name));
            let flag = flag.map(|flag| format!(" (or --{flag})")).unwrap_or_default();
            self.problems.push(format!("{}{flag} is not set; it is {}", key.env, key.help));
        }
        value
    }
}

/// Every setting that a command may need, checked.
pub struct Settings {
    /// Who we are.
    pub app: AppSettings,
    /// Where the record is.
    pub database: PathBuf,
    /// Whose rules are where, and the most that they may do.
    pub rules: RulesSettings,
    /// Where webhooks are received.
    pub listen: SocketAddr,
    /// How often pending requests are listed anyway.
    pub reconcile_interval: Duration,
    /// How often tokens and members are listed; `None`: never.
    pub inventory_interval: Option<Duration>,
    /// The most waiting requests that a first run or a changed policy may act on unconfirmed.
    pub most_at_once: usize,
    /// The least time between two reviews in one organization.
    pub write_interval: Duration,
    /// The longest that one call may take.
    pub github_timeout: Duration,
    /// Where audit lines go.
    pub audit_log: Option<PathBuf>,
    /// How log lines look.
    pub log_format: LogFormat,
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
    /// The webhook's secrets.
    pub webhook_secrets: Vec<SecretString>,
    /// GitHub's API.
    pub api_url: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "the settings have {count} problem{}:", if count == 1 { "" } else { "s" })?;
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
        let webhook_secrets = webhook_secrets(s);
        let api_url = s.parsed("api-url", api_url);
        let database = s.parsed("database-url", sqlite_path);
        let rules = rules::check(s);
        let listen = s.parsed("listen", |text| {
            text.parse().map_err(|_| {
                format!("`{text}` is not an address; write IP:PORT, as 127.0.0.1:3000")
            })
        });
        let reconcile_interval = s.parsed("reconcile-interval", |text| span(text, (1, 24 * 3600)));
        let inventory_interval = s.parsed("inventory-interval", |text| match text {
            "off" => Ok(None),
            text => span(text, (60, 7 * 24 * 3600)).map(Some),
        });
        let most_at_once = s.parsed("most-at-once", |text| {
            text.parse().map_err(|_| format!("`{text}` is not a number of requests"))
        });
        let write_interval = write_interval(s);
        let github_timeout = s.parsed("github-timeout", |text| match span(text, (0, 300)) {
            Ok(Duration::ZERO) => Err("no call is answered in no time".to_owned()),
            span => span,
        });
        let audit_log = s.parsed("audit-log", |text| Ok(PathBuf::from(text)));
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
                    webhook_secrets: webhook_secrets?,
                    api_url: api_url?,
                },
                database: database?,
                rules: rules?,
                listen: listen?,
                reconcile_interval: reconcile_interval?,
                inventory_interval: inventory_interval?,
                most_at_once: most_at_once?,
                write_interval: write_interval?,
                github_timeout: github_timeout?,
                audit_log,
                log_format: log_format?,
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
    use super::{Settings, Sources};

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> Sources {
        Sources::default().with_environment(move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn problems(sources: Sources) -> Vec<String> {
        Settings::check(sources).err().map(|problems| problems.0).unwrap_or_default()
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
        assert_eq!(settings.app.webhook_secrets.len(), 2);
        let clear = sources().with_flags([("api-url", "http://ghe.example/api/v3".to_owned())]);
        assert!(problems(clear).iter().any(|problem| problem.contains("in the clear")));
    }
}
