//! The commands about rule files, as a user and a script meet them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use patwarden::rules::{
    load::{REVOCATION_VOCABULARY, VOCABULARY},
    schema,
};
use serde_json::Value;

/// Standard output, standard error and the exit code of `patwarden rules`, in this folder.
fn rules(folder: &Path, arguments: &[&str]) -> (String, String, i32) {
    answering(folder, arguments, "")
}

/// The same for somebody who types this.
fn answering(folder: &Path, arguments: &[&str], typed: &str) -> (String, String, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_patwarden"))
        .arg("rules")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file with two mistakes and a hostile one.
fn broken() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n[deny.x]\nreason = \"No.\"\nwhen.owner.teem = [\"a\"]\n\
                [deny.y]\nreason = \"{nobody}\"\nwhen.token.name.matches = \"(\"\n\"a\\n::error::b\" = 1\n";
    fs::write(folder.path().join("a,b.toml"), text).unwrap();
    folder
}

#[test]
fn check_speaks_to_workflows_one_line_a_problem() {
    let folder = broken();
    let (shown, _, code) = rules(folder.path(), &["check", "--format", "github", "a,b.toml"]);
    assert_eq!(code, 1);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert_eq!(
        lines[0],
        "::error file=a%2Cb.toml,line=7,col=12,endColumn=16,title=unknown-key::`deny.x.when.owner` has no `teem` (possible: login, teams, role, active_tokens, requests, denials)"
    );
    assert!(lines.iter().all(|line| line.starts_with("::error file=")), "{shown}");
}

#[test]
fn check_speaks_to_code_scanning() {
    let folder = broken();
    let (shown, _, code) = rules(folder.path(), &["check", "--format", "sarif", "a,b.toml"]);
    assert_eq!(code, 1);
    let log: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let known: Vec<_> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert!(results.iter().all(|result| known.contains(&&result["ruleId"])));
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%2Cb.toml");
    assert_eq!(place["region"]["startLine"], 7);
    // A file that is valid has a log without results.
    let (shown, _, code) =
        rules(repository(), &["check", "--format", "sarif", "rules/small-org.toml"]);
    let log: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, log["runs"][0]["results"].as_array().map(Vec::len)), (0, Some(0)));
}

#[test]
fn an_organizations_file_is_checked_under_the_enterprises() {
    let alone = rules(repository(), &["check", "rules/enterprise/bank-core.toml"]);
    assert!(
        alone.2 == 1 && alone.0.contains("there is no `[default]`")
            || alone.0.contains("unknown-group"),
        "{}",
        alone.0
    );
    let both = rules(
        repository(),
        &[
            "check",
            "rules/enterprise/bank-core.toml",
            "--enterprise",
            "rules/enterprise/enterprise.toml",
        ],
    );
    assert_eq!(both.2, 0, "{}", both.0);
    assert!(both.0.contains("valid; 6 rules, mode enforce"), "{}", both.0);
    assert_eq!(rules(repository(), &["test", "rules/enterprise"]).2, 0);
    // The one cannot stand for the other.
    let swapped = rules(
        repository(),
        &[
            "check",
            "rules/enterprise/enterprise.toml",
            "--enterprise",
            "rules/enterprise/bank-core.toml",
        ],
    );
    assert!(swapped.0.contains("wrong-layer"), "{}", swapped.0);
}

#[test]
fn a_request_is_described_by_flags() {
    let base = [
        "explain",
        "rules/small-org.toml",
        "--owner",
        "kim",
        "--team",
        "developers",
        "--repository",
        "web",
    ];
    let explain = |more: &[&str]| rules(repository(), &[&base, more].concat());
    let (shown, _, code) = explain(&[
        "--permission",
        "contents=write",
        "--reason",
        "Nightly update of \"vendored\" data",
    ]);
    assert_eq!(code, 0);
    assert!(shown.starts_with("approve, by approve.devs-write"), "{shown}");
    let (shown, ..) = explain(&["--permission", "contents=write", "--lifetime", "never"]);
    assert!(shown.starts_with("escalate to owners"), "{shown}");
    let (shown, ..) = explain(&["--permission", "members=write"]);
    assert!(shown.starts_with("deny, by deny.organization-write"), "the group is found: {shown}");
    let (json, ..) = explain(&["--permission", "contents=read", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["decision"]["effect"], "approve");
    let (_, error, code) = explain(&["--permission", "contents"]);
    assert!(code == 2 && error.contains("NAME=LEVEL"), "{error}");
    // A line break in a name ends no string.
    let (shown, _, code) =
        explain(&["--name", "x\"\nworld.owner.role = \"owner\"", "--permission", "contents=read"]);
    assert!(code == 0 && shown.starts_with("approve, by approve.read-only"), "{shown}");
}

#[test]
fn five_answers_make_a_policy_whose_tests_pass_and_no_file_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (shown, error, code) =
        answering(folder.path(), &["new", "a.toml"], "acme\nall\ndevelopers\n90d\n\n");
    assert_eq!(code, 0, "{error}");
    assert_eq!(
        shown.matches("?").count() + shown.matches("login:").count(),
        4 + 1,
        "five questions: {shown}"
    );
    // What an empty answer came to is said, and nothing where something was written.
    assert!(shown.contains("   Taken, as nothing was written: owners\n"), "{shown}");
    assert_eq!(shown.matches("Taken").count(), 1, "{shown}");
    assert_eq!(rules(folder.path(), &["test", "a.toml"]).2, 0);
    let (checked, _, code) = rules(folder.path(), &["check", "a.toml"]);
    assert!(code == 0 && checked.starts_with("a.toml: valid; 4 rules, mode shadow"), "{checked}");
    let before = fs::read(folder.path().join("a.toml")).unwrap();
    let (_, error, code) =
        answering(folder.path(), &["new", "a.toml"], "x\nall\nnobody\n90d\nowners\n");
    assert!(code == 1 && error.contains("is there already"), "{error}");
    assert_eq!(fs::read(folder.path().join("a.toml")).unwrap(), before);
    // Answers that cannot be used are told, and nothing is written; so it is when nobody answers.
    let flags = |organization, writers, lifetime, readers| {
        [
            "new",
            "b.toml",
            "--organization",
            organization,
            "--readers",
            readers,
            "--writers",
            writers,
            "--lifetime",
            lifetime,
            "--reviewers",
            "owners",
        ]
    };
    for (arguments, told) in [
        (flags("ac me", "nobody", "90d", "all"), "is not an organization's login"),
        (flags("acme", "no\"body", "90d", "all"), "is not a team's slug"),
        (flags("acme", "nobody", "9 years", "all"), "a lifetime of `9 years`"),
        (flags("acme", "nobody", "90d", "nobody"), "people decide on everything"),
    ] {
        let (_, error, code) = rules(folder.path(), &arguments);
        assert!(code == 1 && error.contains(told), "{arguments:?}: {error}");
    }
    let (_, error, code) = answering(folder.path(), &["new", "b.toml"], "acme\n");
    assert!(code == 1 && error.contains("nobody answers"), "{error}");
    assert!(!folder.path().join("b.toml").exists());
    // Whoever sits there is asked again.
    let typed = "\nac me\nacme\nall\nnobody\n9 years\n90\nowners\n";
    let (shown, error, code) = answering(folder.path(), &["new", "c.toml"], typed);
    assert_eq!(
        (code, shown.matches("login: ").count(), shown.matches("in days").count()),
        (0, 3, 2),
        "{shown}{error}"
    );
    assert!(shown.contains("This one has no usual answer"), "{shown}");
    assert!(!folder.path().join("b.toml").exists());
}

#[test]
fn a_plan_needs_two_valid_versions_and_a_record() {
    let folder = broken();
    let file = folder.path().join("a,b.toml");
    let (shown, error, code) =
        rules(repository(), &["plan", file.to_str().unwrap(), "rules/small-org.toml"]);
    assert!(
        code == 1 && shown.contains("unknown-key") && error.contains("is not valid"),
        "{error}"
    );
    let (_, error, code) = rules(
        folder.path(),
        &[
            "plan",
            repository().join("rules/small-org.toml").to_str().unwrap(),
            repository().join("rules/foundation.toml").to_str().unwrap(),
        ],
    );
    assert!(code == 1 && error.contains("there is no store"), "{error}");
}

/// The value that a schema has for a key of `when`.
fn in_schema<'s>(when: &'s Value, key: &str) -> Option<&'s Value> {
    key.split('.').try_fold(when, |table, part| {
        table
            .pointer(&format!("/properties/{part}"))
            .or_else(|| table.get("additionalProperties").filter(|more| more.is_object()))
    })
}

#[test]
fn the_schema_knows_every_condition_and_no_other() {
    let schema = schema::schema();
    let when = schema.pointer("/properties/deny/additionalProperties/properties/when").unwrap();
    for (key, ..) in VOCABULARY {
        assert!(in_schema(when, key).is_some(), "{key}");
    }
    let mut found = Vec::new();
    leaves(when, "", &mut found);
    let known: Vec<_> =
        VOCABULARY.iter().map(|(key, ..)| key.trim_end_matches(".NAME").to_owned()).collect();
    for leaf in found {
        assert!(
            known.iter().any(|key| leaf == *key || leaf.starts_with(&format!("{key}."))),
            "{leaf}"
        );
    }
}

#[test]
fn the_schema_knows_every_key_of_a_standing_policy_and_no_other() {
    let schema = schema::schema();
    let revoke = schema.pointer("/properties/revoke/additionalProperties").unwrap();
    for (key, ..) in REVOCATION_VOCABULARY {
        assert!(in_schema(revoke, key).is_some(), "{key}");
    }
    let mut found = Vec::new();
    leaves(revoke, "", &mut found);
    let rest = ["grace", "max_per_run", "max_share"];
    for leaf in found.iter().filter(|leaf| !rest.contains(&leaf.as_str())) {
        let known = |key: &str| *leaf == *key || leaf.starts_with(&format!("{key}."));
        assert!(REVOCATION_VOCABULARY.iter().any(|(key, ..)| known(key)), "{leaf}");
    }
    let days = in_schema(revoke, "when.unused_for").unwrap()["pattern"].as_str().unwrap();
    assert_eq!(days, "^0*[1-9][0-9]*d$", "every token is no policy");
}

/// The paths of everything in a schema that is no table with a list of keys.
fn leaves(table: &Value, path: &str, found: &mut Vec<String>) {
    let Some(keys) = table.get("properties").and_then(Value::as_object) else {
        return found.push(path.trim_start_matches('.').to_owned());
    };
    for (key, value) in keys {
        leaves(value, &format!("{path}.{key}"), found);
    }
}
