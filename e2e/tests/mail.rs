//! A digest through a real mail server, over STARTTLS with a login, and read by a parser that nobody here wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path, process::Command, time::Duration};

use e2e::{Api, Running, binary, program, root, until};
use serde_json::{Value, json};

const RULES: &str = "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
    [digest]\nto = [\"security@example.com\"]\nat = \"08:00 UTC\"\n";

/// A name that would be a header, an element and a change of direction, if anybody let it.
const HOSTILE: &str = "x\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script>\u{202e}";

/// A key and a certificate that it signed itself, for localhost.
fn certificate(folder: &Path, name: &str) {
    let made = Command::new(program("openssl"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        // An authority of its own, as far as those go who trust it.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join(format!("{name}.key")))
        .arg("-out")
        .arg(folder.join(format!("{name}.crt")))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn server(folder: &Path, certificate: &str, faults: &[&str]) -> (Running, u16) {
    // Debian's own, for which python3-aiosmtpd is installed, and not another that is first in PATH.
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(root().join("e2e/mail/server.py"))
        .arg(folder.join(format!("{certificate}.crt")))
        .arg(folder.join(format!("{certificate}.key")))
        .args(["bot", "hunter2"])
        .args(faults);
    let mut server = Running::start("aiosmtpd", &mut command, folder);
    let ready: Value = serde_json::from_str(&server.line()).unwrap();
    let port = ready["port"].as_u64().unwrap();
    (server, u16::try_from(port).unwrap())
}

/// A GitHub, and what the bot needs to know of it and of the mail server.
struct Set {
    folder: tempfile::TempDir,
    github: Value,
    _fakehub: Running,
}

impl Set {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("rules.toml"), RULES).unwrap();
        let mut command = Command::new(binary("fakehub"));
        let key = folder.path().join("app.pem");
        command.args(["--listen", "127.0.0.1:0", "--json", "--key-file"]).arg(key);
        let mut fakehub = Running::start("fakehub", &mut command, folder.path());
        let github = serde_json::from_str(&fakehub.line()).unwrap();
        Self { folder, github, _fakehub: fakehub }
    }

    fn patwarden(&self, arguments: &[&str], port: u16) -> Command {
        let text = |name: &str| self.github[name].as_str().unwrap().to_owned();
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(binary("patwarden"));
        command
            .env_clear()
            .env("GITHUB_APP_ID", self.github["app_id"].to_string())
            .env("GITHUB_API_URL", text("api_url"))
            .env("GITHUB_APP_PRIVATE_KEY_PATH", text("private_key_path"))
            .env("GITHUB_WEBHOOK_SECRET", text("webhook_secret"))
            .env("PATWARDEN_DATABASE_URL", format!("sqlite:{}", at("bot.sqlite").display()))
            .env("PATWARDEN_RULES", at("rules.toml"))
            .env("PATWARDEN_LISTEN", "127.0.0.1:0")
            .env("PATWARDEN_OPS_LISTEN", "off")
            .env("PATWARDEN_MAIL", format!("smtp://bot@localhost:{port}"))
            .env("PATWARDEN_MAIL_FROM", "patwarden <patwarden@example.com>")
            .env("PATWARDEN_MAIL_PASSWORD", "hunter2")
            .env("PATWARDEN_MAIL_CA_PATH", at("trusted.crt"))
            .args(arguments);
        command
    }

    fn send(&self, port: u16) {
        let sent =
            self.patwarden(&["digest", "send", "--now", "--org", "acme"], port).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        let said = String::from_utf8_lossy(&sent.stdout).into_owned();
        assert!(said.contains("to security@example.com"), "{said}");
    }

    fn serve(&self, port: u16) -> Running {
        let mut command = self.patwarden(&["serve"], port);
        let mut bot = Running::start("patwarden", &mut command, self.folder.path());
        let _ = bot.line();
        bot
    }
}

#[test]
fn a_digest_goes_over_starttls_with_a_login_and_is_what_it_says_it_is() {
    let set = Set::new();
    certificate(set.folder.path(), "trusted");
    // Not now, then taken without a word of it, and at last taken: one mail, by its id.
    let (mut server, port) = server(set.folder.path(), "trusted", &["later", "cut"]);
    let github = Api::new(set.github["control_url"].as_str().unwrap());
    let asked = json!({
        "by": "kim", "name": HOSTILE, "repositories": ["web"], "reason": HOSTILE,
        "permissions": { "repository": { "contents": "write" } },
    });
    github.send("POST", "/requests", &asked);
    let bot = set.serve(port);
    until("the request waits for people", Duration::from_secs(30), || {
        let listed =
            set.patwarden(&["requests", "list", "--all", "--json"], port).output().unwrap();
        String::from_utf8_lossy(&listed.stdout).contains("escalated").then_some(())
    });
    set.send(port);
    let taken: Vec<Value> = (0..2).map(|_| serde_json::from_str(&server.line()).unwrap()).collect();
    let header = |mail: &Value, name: &str| -> Vec<String> {
        let all = mail["headers"].as_array().unwrap().iter();
        all.filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|header| header[1].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(taken[0]["fault"], "cut");
    assert_eq!(
        header(&taken[0], "Message-ID"),
        header(&taken[1], "Message-ID"),
        "one mail, sent twice"
    );
    let mail = &taken[1];
    assert_eq!((&mail["tls"], &mail["login"]), (&json!(true), &json!(true)));
    assert_eq!(mail["recipients"], json!(["security@example.com"]));
    assert_eq!(mail["defects"], json!([]));
    assert_eq!(mail["type"], "multipart/alternative");
    for (name, value) in [
        ("To", "security@example.com"),
        ("From", "patwarden <patwarden@example.com>"),
        ("Auto-Submitted", "auto-generated"),
        ("List-Id", "<digest.acme.patwarden.example.com>"),
        ("MIME-Version", "1.0"),
    ] {
        assert_eq!(header(mail, name), [value], "{name}");
    }
    for name in ["Bcc", "Cc", "Reply-To"] {
        assert_eq!(header(mail, name), [""; 0], "{name}");
    }
    assert!(header(mail, "Subject")[0].starts_with("[patwarden acme] "), "{mail}");
    let parts = mail["parts"].as_array().unwrap();
    let types: Vec<&str> = parts.iter().map(|part| part[0].as_str().unwrap()).collect();
    assert_eq!(types, ["text/plain", "text/html"]);
    let (text, html) = (parts[0][1].as_str().unwrap(), parts[1][1].as_str().unwrap());
    assert!(text.contains("kim") && text.contains("<script>"), "{text}");
    assert!(html.contains("&#60;script&#62;") && !html.contains("<script>"), "{html}");
    for part in [text, html] {
        assert!(!part.contains('\u{202e}') && !part.contains("\nBcc"), "{part}");
    }
    assert!(bot.terminate().success());
}

#[test]
fn a_server_that_is_somebody_else_gets_no_password_and_no_mail() {
    let set = Set::new();
    certificate(set.folder.path(), "trusted");
    certificate(set.folder.path(), "other");
    let (_server, port) = server(set.folder.path(), "other", &[]);
    let bot = set.serve(port);
    set.send(port);
    until("the log says why", Duration::from_secs(30), || {
        let said = bot.said();
        (said.contains("a mail was not sent") && said.to_lowercase().contains("certificate"))
            .then_some(())
    });
    assert!(bot.terminate().success());
}

#[test]
fn what_a_server_refuses_for_good_is_not_sent_again_and_the_next_digest_says_so() {
    let set = Set::new();
    certificate(set.folder.path(), "trusted");
    let (mut server, port) = server(set.folder.path(), "trusted", &["never"]);
    let bot = set.serve(port);
    set.send(port);
    until("the log says why", Duration::from_secs(30), || {
        bot.said().contains("a mail will not be sent").then_some(())
    });
    set.send(port);
    let mail: Value = serde_json::from_str(&server.line()).unwrap();
    let text = mail["parts"][0][1].as_str().unwrap();
    assert!(text.contains("1 mail was refused by the mail server"), "{text}");
    assert!(bot.terminate().success());
}

/// The dialogue with a mail server has the password in it, and whatever logs that dialogue says it.
#[test]
fn no_secret_is_in_the_log_while_mail_is_sent_however_much_it_says() {
    for format in ["text", "json"] {
        let set = Set::new();
        certificate(set.folder.path(), "trusted");
        let (mut server, port) = server(set.folder.path(), "trusted", &["later"]);
        let mut command = set.patwarden(&["serve"], port);
        command.envs([("RUST_LOG", "trace"), ("PATWARDEN_LOG_FORMAT", format)]);
        let mut bot = Running::start("patwarden", &mut command, set.folder.path());
        let _ = bot.line();
        set.send(port);
        let mail: Value = serde_json::from_str(&server.line()).unwrap();
        assert_eq!(mail["login"], json!(true));
        assert!(bot.terminate().success());
        let log = fs::read_to_string(set.folder.path().join("patwarden.log")).unwrap();
        assert!(log.len() > 20_000, "it says much: {} bytes", log.len());
        assert!(log.contains("a mail was not sent"), "also of the mail");
        let key = fs::read_to_string(set.github["private_key_path"].as_str().unwrap()).unwrap();
        // The password; the same as `AUTH LOGIN` has it; and with the user, as `AUTH PLAIN` does.
        let mut secrets = vec!["hunter2", "aHVudGVyMg", "AGJvdABodW50ZXIy", "ghs_", "Bearer ey"];
        secrets.push(set.github["webhook_secret"].as_str().unwrap());
        secrets.extend(key.lines().filter(|line| line.len() > 40));
        for secret in secrets {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{format}: `{secret}` is in: {}", line.unwrap_or_default());
        }
    }
}
