//! The reference of the rule language says what the code does: its lists are the code's lists.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use std::fs;

use patwarden::rules::{
    PLACEHOLDERS, SourceFile, cases,
    diagnostic::{Code, Severity},
    load::{REVOCATION_VOCABULARY, VOCABULARY, load},
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md");

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

/// What stands between `<!-- name -->` and `<!-- /name -->` is what the code says; written anew when asked to.
fn generated(name: &str, expected: &str) {
    let page = page();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCUMENTATION").is_some() {
        fs::write(PAGE, format!("{before}{begin}\n{}\n\n{end}{after}", expected.trim())).unwrap();
        return;
    }
    assert_eq!(
        found.trim(),
        expected.trim(),
        "write it anew with UPDATE_DOCUMENTATION=1 cargo test --test rules_documentation"
    );
}

/// One test, since all of them may write the same page.
#[test]
fn the_lists_of_the_page_are_the_lists_of_the_code() {
    let mut conditions = "| key | operators | asks |\n|---|---|---|\n".to_owned();
    for (key, operators, asks) in VOCABULARY {
        conditions += &format!("| `{key}` | {operators} | {asks} |\n");
    }
    generated("conditions", &conditions);
    let mut revocation = "| key | value | selects |\n|---|---|---|\n".to_owned();
    for (key, value, selects) in REVOCATION_VOCABULARY {
        revocation += &format!("| `{key}` | {value} | {selects} |\n");
    }
    generated("revocation", &revocation);
    let mut placeholders = "| placeholder | stands for |\n|---|---|\n".to_owned();
    for (name, means) in PLACEHOLDERS {
        placeholders += &format!("| `{{{name}}}` | {means} |\n");
    }
    generated("placeholders", &placeholders);
    let mut codes = String::new();
    for (code, means) in Code::ALL {
        let severity = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Lint => "lint",
        };
        codes += &format!("### {code}\n{severity}: {means}\n\n");
    }
    generated("codes", &codes);
}

#[test]
fn every_key_of_the_vocabulary_is_read() {
    for (key, operators, _) in VOCABULARY {
        let value = match (*key, *operators) {
            ("owner.active_tokens", _) => "{ at_least = 3, at_most = 5 }",
            (_, "at_least, within") => "{ at_least = 3, within = \"1d\" }",
            (_, "list, is_set") => "[\"gold\", \"silver\"]",
            ("owner.role", _) => "[\"member\"]",
            ("request.kind", _) => "[\"new\"]",
            ("repository_selection", _) => "[\"all\"]",
            (key, "list") if key.ends_with("visibility") => "[\"public\"]",
            (_, "list of globs" | "list") => "[\"a\"]",
            ("repositories.count", _) => "{ at_least = 3 }",
            (_, "at_least, at_most") => "{ at_least = \"3d\" }",
            (_, "matches") => "{ matches = \"a\" }",
            (_, "min_length, matches") => "{ min_length = 3, matches = \"a\" }",
            (_, "true or false") => "true",
            (_, "one table for each group") => {
                "{ repository = { contents = \"read\" }, organization = { members = \"write\" } }"
            }
            ("clock", _) => {
                "{ from = 2026-01-01, until = 2026-01-31, weekdays = [\"monday\"], hours = \"08:00-18:00\", timezone = \"UTC\" }"
            }
            _ => "{}",
        };
        for part in ["when", "unless"] {
            let when = if part == "when" { "" } else { "when.token.expired = false\n" };
            let text = format!(
                "schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n[escalate.x]\nto = \"owners\"\n{when}{part}.{key} = {value}\n"
            );
            let loaded = load(&[SourceFile::new("x.toml", text)]);
            let errors: Vec<_> =
                loaded.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code).collect();
            assert_eq!(errors, [], "{part}.{key}");
        }
    }
}

/// The errors of a policy with this added.
fn errors(table: &str) -> Vec<String> {
    let text = format!("schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n{table}");
    let loaded = load(&[SourceFile::new("x.toml", text)]);
    let errors = loaded.diagnostics.iter().filter(|d| d.is_error());
    errors.map(|d| d.render_human(false)).collect()
}

#[test]
fn every_key_of_a_standing_policy_is_read() {
    for (key, value, _) in REVOCATION_VOCABULARY {
        let value = match (*key, *value) {
            (_, "whole days") => "\"90d\"",
            (_, "true") => "true",
            ("when.owner", _) => {
                "{ role = [\"member\"], teams = [\"a\"], login = [\"*\"], active_tokens = { at_least = 3 } }"
            }
            ("when.repositories", _) => "{ count = { at_least = 3 }, any = { name = [\"a\"] } }",
            ("on", _) => "[\"organization.member_removed\", \"membership.removed\"]",
            _ => "[\"all\", \"none\"]",
        };
        let block = format!("[revoke.x]\n{key} = {value}\ngrace = \"1d\"\nmax_per_run = 5\n");
        assert_eq!(errors(&block), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn the_standing_policies_of_the_page_are_valid() {
    let page = page();
    let section = page.split("## Standing revocation\n").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(example.matches("[revoke.").count() >= 2);
    assert_eq!(errors(example), Vec::<String>::new());
}

#[test]
fn the_example_is_a_policy_that_passes_its_cases() {
    let page = page();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let loaded = load(&[SourceFile::new("docs/rules.md", example)]);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    assert!(cases::run(&loaded).passed());
}
