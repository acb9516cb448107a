//! Flags, environment and file: the table of keys, and what was found for each. Whether it can be used is not known here.
//!
//! A key has one name everywhere: `--api-url`, `GITHUB_API_URL`, `api-url = "…"`. A flag goes before the
//! environment, the environment before the file, the file before the default. What the environment says is
//! handed in by the commands; apart from settings, only `RUST_LOG` and `NO_COLOR` are read.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{probot, shown::without_password};

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
        "webhook",
        "PATWARDEN_WEBHOOK",
        "on, or off where GitHub cannot reach this machine: then no webhook is listened for, no secret is needed, and pending \
         requests are listed every 30 s unless reconcile-interval says otherwise",
        Some("on"),
    ),
    key(
        "api-url",
        "GITHUB_API_URL",
        "GitHub's REST API: https://HOST/api/v3 for GitHub Enterprise Server",
        Some("https://api.github.com"),
    ),
    key(
        "allowed-organizations",
        "PATWARDEN_ALLOWED_ORGANIZATIONS",
        "the organizations that count, separated by commas; wherever else the App is installed is ignored. Without it all \
         count",
        None,
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
        "ops-listen",
        "PATWARDEN_OPS_LISTEN",
        "where /readyz and /metrics are, for those who watch; nobody is asked who they are there, so keep it from strangers; \
         `off`: nowhere",
        Some("127.0.0.1:9464"),
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
        "deliveries-interval",
        "PATWARDEN_DELIVERIES_INTERVAL",
        "how often GitHub is asked which webhooks did not arrive, and for those again; `off`: never",
        Some("10m"),
    ),
    key(
        "inventory-interval",
        "PATWARDEN_INVENTORY_INTERVAL",
        "how often all tokens with access and all members are listed, a call for each hundred; `off`: never, and no standing policy is carried out",
        Some("6h"),
    ),
    key(
        "retention-deliveries",
        "PATWARDEN_RETENTION_DELIVERIES",
        "how long the bodies of deliveries are kept once they were read, in days, 8 at least, or `forever`",
        Some("30d"),
    ),
    key(
        "retention-decisions",
        "PATWARDEN_RETENTION_DECISIONS",
        "how long requests that are over are kept with their decisions, 400 days at least, or `forever`; those of tokens with \
         access are kept anyway",
        Some("400d"),
    ),
    key(
        "retention-tokens",
        "PATWARDEN_RETENTION_TOKENS",
        "how long tokens that lost their access are kept, and what changed of others, 30 days at least, or `forever`",
        Some("400d"),
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
        "mail",
        "PATWARDEN_MAIL",
        "how mail is sent: smtp://USER@HOST (STARTTLS), smtps://USER@HOST (TLS from the start), or folder:PATH for files \
         in place of mail",
        None,
    ),
    key(
        "mail-from",
        "PATWARDEN_MAIL_FROM",
        "the address that mail comes from; needed with mail",
        None,
    ),
    secret("mail-password", "PATWARDEN_MAIL_PASSWORD", "the password of USER at the mail server"),
    key("mail-password-path", "PATWARDEN_MAIL_PASSWORD_PATH", "a file with that password", None),
    key(
        "mail-ca-path",
        "PATWARDEN_MAIL_CA_PATH",
        "a file with certificates, PEM, that the mail server's may be signed by beside the system's",
        None,
    ),
    key(
        "mail-public-addresses",
        "PATWARDEN_MAIL_PUBLIC_ADDRESSES",
        "on or off: whether somebody who is not in [addresses] is reached under the address of their public profile, and \
         then told no names, reasons or repositories",
        Some("off"),
    ),
    key(
        "digest",
        "PATWARDEN_DIGEST",
        "when the owners of an organization for which no rules are in force have their digest, such as 08:00 Europe/Vienna; \
         otherwise [digest] of the rules says it",
        None,
    ),
    key(
        "audit-log",
        "PATWARDEN_AUDIT_LOG",
        "a file to which every decision and effect is appended as a line of JSON",
        None,
    ),
    key(
        "log-level",
        "PATWARDEN_LOG_LEVEL",
        "how much is logged: error, warn, info, debug or trace; RUST_LOG goes before it",
        Some("info"),
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
pub(super) enum Origin {
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
#[derive(Clone, Default)]
pub struct Sources {
    flags: BTreeMap<&'static str, String>,
    /// By key name: under which variable, and what it says.
    environment: BTreeMap<&'static str, (&'static str, String)>,
    pub(super) file: Option<(PathBuf, toml::Table)>,
    pub(super) problems: Vec<String>,
    /// Whether there is a file and nothing of it could be read: nobody knows then what it says.
    file_is_unread: bool,
    /// What is no problem, and should be known.
    pub(super) notes: Vec<String>,
}

/// Brings what may be written in another form to where it is looked for: `[retention] decisions` is
/// `retention-decisions`, and `organizations = ["acme"]` is `allowed-organizations`. Gives what cannot be.
fn spread(table: &mut toml::Table) -> Vec<String> {
    let mut problems = Vec::new();
    let mut moved = Vec::new();
    if let Some(toml::Value::Table(retention)) = table.remove("retention") {
        for (name, value) in retention {
            let whole = format!("retention-{name}");
            if KEYS.iter().any(|key| key.name == whole) {
                moved.push((whole, value));
            } else {
                problems.push(format!("there is no setting `{name}` in [retention]"));
            }
        }
    }
    // A list of anything else is told where tables are looked for.
    let logins = |value: &toml::Value| {
        value.as_array().is_some_and(|list| list.iter().all(toml::Value::is_str))
    };
    if table.get("organizations").is_some_and(logins)
        && let Some(list) = table.remove("organizations")
    {
        moved.push((ALLOWED.to_owned(), list));
    }
    for (name, value) in moved {
        if table.insert(name.clone(), value).is_some() {
            problems.push(format!("`{name}` is there twice, in two forms"));
        }
    }
    if let Some(toml::Value::Array(list)) = table.get(ALLOWED) {
        let logins: Option<Vec<&str>> = list.iter().map(toml::Value::as_str).collect();
        match logins {
            Some(logins) => {
                let text = logins.join(",");
                table.insert(ALLOWED.to_owned(), text.into());
            }
            None => {
                problems.push(format!("`{ALLOWED}` must hold logins, in quotes"));
                table.remove(ALLOWED);
            }
        }
    }
    problems
}

/// What is to be said of a line that makes a table of what is a list elsewhere in the file; nothing of any other line.
fn clash(text: &str, line: usize) -> String {
    let at = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim_start();
    let is_of_organizations = |line: &str| {
        line.trim_start_matches(['[', ' '])
            .strip_prefix("organizations")
            .is_some_and(|rest| rest.trim_start().starts_with(['.', '=', ']']))
    };
    if is_of_organizations(at) {
        format!(
            ". `organizations` is a list in one place and a table in another: write the list of those that count as \
             `{ALLOWED} = [\"LOGIN\"]`, and leave [organizations.LOGIN] as it is"
        )
    } else {
        String::new()
    }
}

/// The organizations that count.
const ALLOWED: &str = "allowed-organizations";

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
                self.environment.insert(key.name, (key.env, value));
            }
        }
        let probot = probot::understood(&look_up, |name| self.environment.contains_key(name));
        self.environment.extend(probot.values);
        self.problems.extend(probot.problems);
        self.notes.extend(probot.notes);
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
                self.file_is_unread = true;
                return self;
            }
        };
        match text.parse::<toml::Table>() {
            Ok(mut table) => {
                let problems = spread(&mut table);
                let shown = path.display();
                self.problems.extend(problems.into_iter().map(|why| format!("{shown}: {why}")));
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
                let (why, mend) = (error.message(), clash(&text, line));
                self.problems
                    .push(format!("{}, line {line}: not TOML: {why}{mend}", path.display()));
                self.file_is_unread = true;
            }
        }
        self
    }

    /// Where something is said of who the App is: an id, a key or a secret; `None`: nowhere.
    #[must_use]
    pub fn names_an_app(&self) -> Option<String> {
        let of_the_app =
            ["app-id", "private-key", "private-key-path", "webhook-secret", "webhook-secret-path"];
        let keys = KEYS.iter().filter(|key| of_the_app.contains(&key.name));
        keys.filter_map(|key| self.find(key)).map(|(_, origin)| origin.to_string()).next()
    }

    /// Whether somebody says something of a setting.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        let key = KEYS.iter().find(|key| key.name == name);
        let found = key.and_then(|key| self.find(key));
        found.is_some_and(|(_, origin)| origin != Origin::Default)
    }

    /// What is said of a setting, and where; or what is wrong with how it is said.
    pub(super) fn find(&self, key: &Key) -> Option<(Result<String, String>, Origin)> {
        let (value, origin) = if let Some(value) = self.flags.get(key.name) {
            (value.clone(), Origin::Flag(key.name))
        } else if let Some((variable, value)) = self.environment.get(key.name) {
            (value.clone(), Origin::Environment(variable))
        } else if let Some((path, value)) =
            self.file.as_ref().and_then(|(path, table)| Some((path, table.get(key.name)?)))
        {
            let origin = Origin::File(path.clone(), key.name);
            match value {
                toml::Value::String(text) => (text.clone(), origin),
                toml::Value::Integer(number) => (number.to_string(), origin),
                _ => return Some((Err("must be a text or a number".to_owned()), origin)),
            }
        } else {
            return self.default_of(key).map(|value| (Ok(value.to_owned()), Origin::Default));
        };
        if value.trim().is_empty() {
            // An empty variable is a mistake in a deployment, and reading it as the default hides that.
            return Some((Err("is empty: set it, or leave it out".to_owned()), origin));
        }
        Some((Ok(value), origin))
    }

    /// What a setting is where nobody says anything: without webhooks, lists are all that tells of a request.
    fn default_of(&self, key: &Key) -> Option<&'static str> {
        let off = || {
            let webhook = KEYS.iter().find(|key| key.name == "webhook");
            matches!(webhook.and_then(|key| self.find(key)), Some((Ok(said), _)) if said.trim() == "off")
        };
        match key.name {
            "reconcile-interval" if off() => Some("30s"),
            "deliveries-interval" if off() => Some("off"),
            _ => key.default,
        }
    }

    pub(super) fn get(&mut self, name: &'static str) -> Option<(String, Origin)> {
        let key = KEYS.iter().find(|key| key.name == name)?;
        match self.find(key)? {
            (Ok(value), origin) => Some((value, origin)),
            (Err(why), origin) => {
                self.problems.push(format!("{origin} {why}"));
                None
            }
        }
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (value, origin) = self.get(name)?;
        match parse(value.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                // Whoever puts a password into an address is told what is wrong, and not the password.
                let why = why.replace(value.trim(), &without_password(value.trim()));
                self.problems.push(format!("{origin}: {why}"));
                None
            }
        }
    }

    /// The value; where there is none, that is a problem, unless a file that could not be read may hold it.
    pub(super) fn needed<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        let named = KEYS.iter().find(|key| key.name == name);
        let said_so = |problem: &String| {
            named.is_some_and(|key| {
                problem.contains(key.env) || problem.contains(&format!("--{name}"))
            })
        };
        if value.is_none()
            && !self.file_is_unread
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
