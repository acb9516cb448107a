//! The way from nothing to an approved token: the App is registered and installed in a real browser, and `serve` works with
//! what was written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use e2e::{Api, Running, binary, program, root, until};
use serde_json::{Value, json};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

const RULES: &str = r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.read]
when.owner.role = ["member"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.max_repositories = 10
allow.permissions.repository = { contents = "read" }
"#;

/// A person at a browser; gives what was seen.
fn person(words: &[&str]) -> Value {
    let mut node = Command::new(program("node"));
    node.arg(root().join("e2e/setup/person.mjs")).args(words).stderr(Stdio::inherit());
    node.env("CHROMIUM", program("chromium"));
    let ended = node.output().expect("node can be run");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{words:?}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"))
}

fn patwarden(words: &[&str]) -> Command {
    let mut command = Command::new(binary("patwarden"));
    command.args(words).env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn contains(seen: &Value, field: &str, parts: &[&str]) {
    let text = seen[field].as_str().unwrap_or_default();
    for part in parts {
        assert!(text.contains(part), "{field} has no `{part}`: {text}");
    }
}

#[test]
fn from_nothing_to_an_approved_token_with_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut hub = Command::new(binary("fakehub"));
    let mut hub =
        Running::start("fakehub", hub.args(["--world", "small", "--json"]), folder.path());
    let hub_says: Value = serde_json::from_str(&hub.line()).unwrap();
    let site = hub_says["api_url"].as_str().unwrap();
    let github = Api::new(&format!("{site}/_fakehub"));
    let files = json!({ "rules.toml": RULES });
    let repository = json!({ "name": "token-policy", "files": files });
    github.send("POST", "/world", &json!({ "organization": "acme", "repositories": [repository] }));

    let out = path("app");
    let mut setup =
        patwarden(&["setup", "--listen", "127.0.0.1:0", "--out", &out, "--api-url", site]);
    let mut setup = Running::start("setup", &mut setup, folder.path());
    let line = setup.line();
    // By the other name of this machine: then coming back from GitHub is coming from another site, as it is in truth.
    let page = line.split(' ').nth(1).unwrap().replacen("127.0.0.1", "localhost", 1);
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let seen = person(&["register", &page, &format!("http://{address}"), "acme/token-policy"]);
    assert_eq!(seen["complaints"], json!([]), "what the pages' own policy forbids");
    contains(&seen, "refused", &["write its login"]);
    contains(&seen, "review", &["issues: write", "contents: read", "/webhooks/github"]);
    contains(&seen, "done", &["The App is registered", "patwarden serve --config"]);
    let said = until("setup says what is next", PATIENCE, || {
        let line = setup.line();
        line.contains("patwarden serve --config").then_some(line)
    });
    let settings = said.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(Path::new(&settings), fs::canonicalize(&out).unwrap().join("patwarden.toml"));
    drop(setup);

    let mut serve = patwarden(&["serve", "--config", &settings, "--listen", &address]);
    let mut serve = Running::start("serve", &mut serve, folder.path());
    assert!(serve.line().contains("receives webhooks"));
    let seen = person(&["install", seen["install"].as_str().unwrap(), "acme", "token-policy"]);
    contains(&seen, "installed", &["acme"]);
    until("the webhook of the installation is believed", PATIENCE, || {
        let sent = github.get("/deliveries");
        let of = |one: &Value| one["event"] == "installation" && one["status_code"] == 202;
        sent.as_array().unwrap().iter().any(of).then_some(())
    });
    let asked = github.send(
        "POST",
        "/requests",
        &json!({
            "by": "kim", "repositories": ["web"], "days": 30,
            "permissions": { "repository": { "contents": "read" } },
        }),
    );
    let id = asked["request_id"].as_u64().unwrap();
    until("kim has a token", PATIENCE, || {
        let outcome = github.get(&format!("/requests/{id}"));
        (outcome["outcome"] == "approved" || outcome.to_string().contains("approved")).then_some(())
    });
    let doctor = patwarden(&["doctor", "--config", &settings]).output().unwrap();
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("GitHub knows the App"), "{doctor}");
    assert!(doctor.contains("registered without: rules on custom properties"), "{doctor}");
    assert!(doctor.contains("mode enforce, from acme/token-policy@"), "{doctor}");
    assert!(!doctor.contains("ERROR"), "{doctor}");
    assert!(serve.terminate().success());
    assert!(hub.terminate().success());
}

/// What fakehub prints at its start, typed as it stands there.
#[test]
fn what_fakehub_says_leads_to_an_approved_token() {
    for sends in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (port, key) = (free_port(), folder.path().join("app.pem"));
        let mut hub = Command::new(binary("fakehub"));
        hub.arg("--key-file").arg(&key);
        if sends {
            hub.args(["--webhook-url", &format!("http://127.0.0.1:{port}/webhooks/github")]);
        }
        let mut hub = Running::start("fakehub", &mut hub, folder.path());
        let (mut ask, mut start) = (String::new(), Vec::new());
        loop {
            let line = hub.line();
            let typed = line.strip_prefix("  ").unwrap_or_default();
            if typed.starts_with("curl") && ask.is_empty() {
                ask = typed.to_owned();
            } else if ["sed", "export", "patwarden"].iter().any(|word| typed.starts_with(word)) {
                start.push(typed.to_owned());
            }
            if line.starts_with("Ctrl-c") {
                break;
            }
        }
        assert_eq!(start.pop().as_deref(), Some("patwarden serve"));
        let program = binary("patwarden");
        start.push(format!("export PATWARDEN_LISTEN=127.0.0.1:{port} PATWARDEN_OPS_LISTEN=off"));
        start.push(format!("exec {} serve", program.display()));
        let mut serve = Command::new("sh");
        serve.args(["-e", "-c", &start.join("\n")]).env_clear().current_dir(root());
        serve.env("PATH", env::var_os("PATH").unwrap_or_default());
        let asking = || {
            let asked = Command::new("sh").args(["-c", &ask]).output().unwrap();
            serde_json::from_slice::<Value>(&asked.stdout).expect("somebody asked")
        };
        // What nobody tells of is listed at the start, and half a minute later.
        let before = if sends { None } else { Some(asking()) };
        let mut serve = Running::start("serve", &mut serve, folder.path());
        assert!(serve.line().contains("patwarden"));
        let asked = before.unwrap_or_else(asking);
        let site = ask.split_whitespace().find(|word| word.starts_with("http")).unwrap();
        let github = Api::new(site.trim_end_matches("/requests"));
        let id = asked["request_id"].as_u64().unwrap();
        until("kim has a token", PATIENCE * 2, || {
            let outcome = github.get(&format!("/requests/{id}"));
            outcome.to_string().contains("approved").then_some(())
        });
        assert!(folder.path().join("patwarden.sqlite").exists(), "nothing lies about elsewhere");
        assert!(serve.terminate().success());
        assert!(hub.terminate().success());
    }
}
