//! A delivery is on the disk before it is acknowledged: the log's sync returns before the 202 is written.
//!
//! SIGKILL tests no disk, since the kernel keeps what was written. `strace` sees what was asked of it, and when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, process::Command, time::Duration};

use e2e::{Running, binary, program, root, until};
use serde_json::Value;

const MARKER: &str = "a-word-that-is-in-this-delivery-and-nowhere-else";

/// The end of the name of the deliveries' log. The other file of the store has one too, which does not count.
const LOG: &str = ".sqlite.deliveries-wal>";

/// One line of the trace: which thread, and what it did. A call that another thread interrupted has two.
struct Line<'a> {
    thread: &'a str,
    text: &'a str,
}

fn lines(trace: &str) -> Vec<Line<'_>> {
    trace
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(thread, text)| Line { thread, text: text.trim_start() })
        .collect()
}

/// Where each sync of the log begins and where it has returned.
fn syncs(lines: &[Line<'_>]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (begun, line) in lines.iter().enumerate() {
        let is_sync = line.text.starts_with("fdatasync(") || line.text.starts_with("fsync(");
        if !is_sync || !line.text.contains(LOG) {
            continue;
        }
        if line.text.ends_with("= 0") {
            found.push((begun, begun));
        } else if line.text.contains("<unfinished") {
            let rest = lines.iter().enumerate().skip(begun + 1);
            let returned = rest
                .filter(|(_, later)| later.thread == line.thread)
                .find(|(_, later)| later.text.contains("sync resumed>"));
            found.extend(
                returned
                    .filter(|(_, later)| later.text.ends_with("= 0"))
                    .map(|(at, _)| (begun, at)),
            );
        }
    }
    found
}

/// Whether the body was written to the log, then the log was synced, and only then the 202 was sent.
fn in_order(trace: &str) -> Result<(), String> {
    let lines = lines(trace);
    let first = |what: &str, matches: &dyn Fn(&str) -> bool| {
        lines
            .iter()
            .position(|line| matches(line.text))
            .ok_or_else(|| format!("the trace shows no {what}"))
    };
    let written = first("write of the body to the log", &|text| {
        text.starts_with("pwrite64(") && text.contains(LOG) && text.contains(MARKER)
    })?;
    let answered = first("202", &|text| {
        let sends = ["write(", "writev(", "sendto(", "sendmsg("];
        sends.iter().any(|call| text.starts_with(call)) && text.contains("HTTP/1.1 202")
    })?;
    if answered < written {
        return Err(format!(
            "the 202 (line {answered}) comes before the write to the log (line {written})"
        ));
    }
    let syncs = syncs(&lines);
    if syncs.iter().any(|(begun, returned)| *begun > written && *returned < answered) {
        return Ok(());
    }
    Err(format!(
        "written in line {written}, answered in line {answered}, and no sync of the log in between: {syncs:?}"
    ))
}

#[test]
fn the_logs_sync_returns_before_the_202_is_written() {
    let strace = program("strace");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut command = Command::new(binary("fakehub"));
    command.args(["--listen", "127.0.0.1:0", "--json", "--key-file"]).arg(at("app.pem"));
    let mut fakehub = Running::start("fakehub", &mut command, folder.path());
    let github: Value = serde_json::from_str(&fakehub.line()).unwrap();
    let secret = github["webhook_secret"].as_str().unwrap();
    fs::write(
        at("payload.json"),
        format!(
            r#"{{ "action": "{MARKER}", "for": "an action that nobody knows is kept as it came" }}"#
        ),
    )
    .unwrap();
    let trace = at("trace");
    let mut command = Command::new(strace);
    command
        .env_clear()
        .env("GITHUB_WEBHOOK_SECRET", secret)
        .args([
            // As a grandchild: what is killed at the end is the bot itself, and not its observer alone.
            "-D",
            "-f",
            "-y",
            "-s",
            "8192",
            "-e",
            "trace=fdatasync,fsync,write,sendto,writev,sendmsg,pwrite64",
        ])
        .arg("-o")
        .arg(&trace)
        .arg(binary("patwarden"))
        .args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "off"])
        .args(["--app-id", &github["app_id"].to_string()])
        .args(["--api-url", github["api_url"].as_str().unwrap()])
        .arg("--private-key-path")
        .arg(github["private_key_path"].as_str().unwrap())
        .arg("--rules")
        .arg(root().join("rules/small-org.toml"))
        .arg("--database-url")
        .arg(format!("sqlite:{}", at("bot.sqlite").display()));
    let mut bot = Running::start("patwarden", &mut command, folder.path());
    let line = bot.line();
    let url = &line[line.find("http://").expect("the bot says where it listens")..];
    let sent = Command::new(binary("patwarden"))
        .env_clear()
        .env("GITHUB_WEBHOOK_SECRET", secret)
        .arg("replay")
        .arg(at("payload.json"))
        .args(["--to", url])
        .output()
        .unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let text = until("the trace shows the answer", Duration::from_secs(30), || {
        let text = String::from_utf8_lossy(&fs::read(&trace).ok()?).into_owned();
        text.contains("HTTP/1.1 202").then_some(text)
    });
    if let Err(why) = in_order(&text) {
        panic!("{why}");
    }
}

#[test]
fn a_trace_in_another_order_is_not_accepted() {
    let write =
        format!("7 pwrite64(9</x/bot.sqlite.deliveries-wal>, \"{MARKER}\", 4096, 32) = 4096\n");
    let sync = "7 fdatasync(9</x/bot.sqlite.deliveries-wal>) = 0\n";
    let other = "7 fdatasync(8</x/bot.sqlite.deliveries>) = 0\n";
    let record = "7 fdatasync(8</x/bot.sqlite-wal>) = 0\n";
    let failed = "7 fdatasync(9</x/bot.sqlite.deliveries-wal>) = -1 EIO (Input/output error)\n";
    let (begun, resumed) = (
        "7 fdatasync(9</x/bot.sqlite.deliveries-wal> <unfinished ...>\n",
        "7 <... fdatasync resumed>) = 0\n",
    );
    let answer = "8 writev(12<socket:[1]>, [{iov_base=\"HTTP/1.1 202 Accepted\\r\\n\", iov_len=60}], 1) = 60\n";
    assert_eq!(in_order(&format!("{write}{sync}{answer}")), Ok(()));
    assert_eq!(in_order(&format!("{write}{begun}{resumed}{answer}")), Ok(()));
    for wrong in [
        format!("{write}{answer}{sync}"),
        format!("{answer}{write}{sync}"),
        format!("{sync}{write}{answer}"),
        format!("{write}{other}{answer}"),
        format!("{write}{record}{answer}"),
        format!("{write}{failed}{answer}"),
        format!("{write}{begun}{answer}{resumed}"),
        format!("{write}{answer}"),
        format!("{sync}{answer}"),
        String::new(),
    ] {
        assert!(in_order(&wrong).is_err(), "{wrong}");
    }
}
