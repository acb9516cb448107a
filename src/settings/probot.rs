//! The variables that Apps made with Probot are set up with: understood, so that a deployment need not be written anew.

/// What was found of them.
#[derive(Default)]
pub(super) struct Understood {
    /// By the name of a setting: under which variable, and what it comes to.
    pub(super) values: Vec<(&'static str, (&'static str, String))>,
    pub(super) problems: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Reads them, where `APP_ID` says that they are about an App; alone, names like `HOST` and `PORT` are anybody's. What
/// `has` a variable of our own is left as that says.
///
/// Source: <https://probot.github.io/docs/configuration/>.
pub(super) fn understood(
    look_up: impl Fn(&str) -> Option<String>,
    has: impl Fn(&str) -> bool,
) -> Understood {
    let mut found = Understood::default();
    if has("app-id") || look_up("APP_ID").is_none() {
        return found;
    }
    let mut take = |name: &'static str, others: &[&str], variable: &'static str| {
        if has(name) || others.iter().any(|other| has(other)) {
            return;
        }
        if let Some(value) = look_up(variable) {
            found.values.push((name, (variable, meant(variable, &value))));
        }
    };
    take("app-id", &[], "APP_ID");
    take("private-key", &["private-key-path"], "PRIVATE_KEY");
    take("private-key-path", &["private-key"], "PRIVATE_KEY_PATH");
    take("webhook-secret", &["webhook-secret-path"], "WEBHOOK_SECRET");
    take("api-url", &[], "GHE_HOST");
    take("log-level", &[], "LOG_LEVEL");
    take("log-format", &[], "LOG_FORMAT");
    if !has("listen") {
        found.values.extend(listen(&look_up).map(|said| ("listen", said)));
    }
    let secret = found.values.iter().find(|(_, (variable, _))| *variable == "WEBHOOK_SECRET");
    if secret.is_some_and(|(_, (_, value))| value.contains(',')) {
        found.problems.push(
            "WEBHOOK_SECRET has a comma, which separates two secrets here: put it into a file, and name that in \
             GITHUB_WEBHOOK_SECRET_PATH"
                .to_owned(),
        );
    }
    if look_up("WEBHOOK_PROXY_URL").is_some_and(|url| !url.trim().is_empty()) {
        found.notes.push(
            "WEBHOOK_PROXY_URL is ignored: webhooks come from GitHub alone. What a proxy would forward is sent to \
             /webhooks/github"
                .to_owned(),
        );
    }
    found
}

/// What a value comes to in the words of our settings. An empty one stays so, and is a problem.
fn meant(variable: &str, value: &str) -> String {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return value.to_owned();
    }
    match variable {
        "GHE_HOST" => format!("https://{trimmed}/api/v3"),
        "LOG_LEVEL" if trimmed == "fatal" => "error".to_owned(),
        "LOG_FORMAT" if matches!(trimmed, "pretty" | "default") => "text".to_owned(),
        "PRIVATE_KEY" if !trimmed.contains("-----BEGIN") => {
            let decoded = base64(trimmed).and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.filter(|key| key.contains("-----BEGIN")).unwrap_or_else(|| value.to_owned())
        }
        _ => value.to_owned(),
    }
}

/// Where webhooks are received, out of two variables of which either may be missing.
fn listen(look_up: impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let (host, port) = (look_up("HOST"), look_up("PORT"));
    let variable = match (&host, &port) {
        (None, None) => return None,
        (Some(_), None) => "HOST",
        (None, Some(_)) => "PORT",
        (Some(_), Some(_)) => "HOST and PORT",
    };
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let port = port.unwrap_or_else(|| "3000".to_owned());
    let (host, port) = (host.trim(), port.trim());
    if host.is_empty() || port.is_empty() {
        return Some((variable, String::new()));
    }
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some((variable, format!("{host}:{port}")))
}

/// Base64 with padding or without, as Probot takes a key in one line.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for byte in text.trim_end_matches('=').bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use crate::settings::{Settings, Sources, Webhooks};

    fn settings(pairs: &'static [(&'static str, &'static str)]) -> Result<Settings, Vec<String>> {
        let sources = Sources::default().with_environment(move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        Settings::check(sources.with_flags([("rules", "rules.toml".to_owned())]))
            .map_err(|problems| problems.0)
    }

    #[test]
    fn an_app_that_ran_on_probot_runs_with_the_same_variables() {
        use secrecy::ExposeSecret;
        let settings = settings(&[
            ("APP_ID", "7"),
            ("PRIVATE_KEY", "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ=="),
            ("WEBHOOK_SECRET", "hush"),
            ("WEBHOOK_PROXY_URL", "https://smee.example/x"),
            ("GHE_HOST", "ghe.example"),
            ("HOST", "0.0.0.0"),
            ("PORT", "8080"),
            ("LOG_LEVEL", "debug"),
            ("LOG_FORMAT", "pretty"),
        ]);
        let settings = settings.expect("valid");
        assert_eq!(settings.app.id, 7);
        assert!(matches!(&settings.app.webhooks, Webhooks::Signed(secrets) if secrets.len() == 1));
        let key = settings.app.private_key.expose_secret();
        assert_eq!(key, "-----BEGIN RSA PRIVATE KEY-----");
        assert_eq!(settings.app.api_url, "https://ghe.example/api/v3");
        assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
        assert!(settings.log_filter.contains("patwarden=debug"), "{}", settings.log_filter);
        assert!(settings.notes.iter().any(|note| note.contains("WEBHOOK_PROXY_URL")));
    }

    #[test]
    fn our_own_names_go_first_and_without_an_app_of_theirs_none_counts() {
        let settings = settings(&[
            ("GITHUB_APP_ID", "7"),
            ("GITHUB_APP_PRIVATE_KEY", "a key"),
            ("GITHUB_WEBHOOK_SECRET", "hush"),
            ("APP_ID", "8"),
            ("PRIVATE_KEY", "another key"),
            ("HOST", "some-machine"),
            ("PORT", "x"),
        ]);
        let settings = settings.expect("valid");
        assert_eq!((settings.app.id, settings.listen.port()), (7, 3000));
    }

    #[test]
    fn what_is_empty_or_would_be_cut_in_two_is_a_problem_under_its_own_name() {
        let found = settings(&[
            ("APP_ID", "7"),
            ("PRIVATE_KEY", "a key"),
            ("WEBHOOK_SECRET", "one,two"),
            ("PORT", ""),
            ("GHE_HOST", " "),
        ]);
        let found = found.err().expect("problems");
        for variable in ["WEBHOOK_SECRET has a comma", "PORT is empty", "GHE_HOST is empty"] {
            assert!(found.iter().any(|one| one.contains(variable)), "{variable} in {found:?}");
        }
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
