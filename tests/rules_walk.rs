//! The first quarter of an hour that the reference of the rule language promises, as a new user goes through it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use std::{fs, path::Path, process::Command};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The section of the page.
fn section() -> String {
    let page = read("docs/rules.md");
    let section = page.split("\n## The first quarter of an hour\n").nth(1).unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// The text of the first fence of this kind.
fn fence(kind: &str) -> String {
    let section = section();
    let text = section.split(&format!("```{kind}\n")).nth(1).unwrap();
    text.split("```").next().unwrap().to_owned()
}

/// What a command prints about this text as a rule file, and its exit code.
fn patwarden(command: &str, text: &str) -> (String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_patwarden"))
        .args(["rules", command])
        .arg(&file)
        .env_clear()
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn each_of_five_slips_tells_by_itself_how_to_mend_it() {
    let rules = read("rules/small-org.toml");
    let section = section();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let (right, wrong) = (row[0].trim_matches('`'), row[1].trim_matches('`'));
        assert!(rules.contains(right), "{right}");
        let (shown, code) = patwarden("check", &rules.replacen(right, wrong, 1));
        assert_eq!(code, 1, "{wrong}:\n{shown}");
        let help = shown.lines().find(|line| line.contains("= help: "));
        assert!(help.is_some_and(|help| help.contains(row[2].trim())), "{}:\n{shown}", row[2]);
        assert_eq!(shown.matches("error[").count(), 1, "one slip, one error:\n{shown}");
    }
}

#[test]
fn a_test_fails_its_trace_says_why_and_the_mended_rule_passes() {
    let rules = read("rules/small-org.toml");
    assert_eq!(patwarden("test", &rules).1, 0);
    let wanted = rules.clone() + "\n" + &fence("toml");
    let (shown, code) = patwarden("test", &wanted);
    assert_eq!(code, 1);
    let shown_lines: Vec<&str> = shown.lines().map(str::trim).collect();
    for line in fence("text").lines() {
        assert!(shown_lines.contains(&line.trim()), "{line}\n{shown}");
    }
    let (head, rest) = wanted.split_once("[approve.devs-write]").unwrap();
    let mended = format!("{head}[approve.devs-write]{}", rest.replacen("\"30d\"", "\"60d\"", 1));
    let (shown, code) = patwarden("test", &mended);
    assert_eq!((code, shown.contains("22 cases pass")), (0, true), "{shown}");
}
