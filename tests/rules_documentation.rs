//! The reference of the rule language says what the code does: its lists are the code's lists.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use std::{collections::BTreeSet, fs};

use patwarden::rules::{
    PLACEHOLDERS, SourceFile, cases,
    diagnostic::{Code, Severity},
    load::{VOCABULARY, load},
};

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules.md")).unwrap()
}

/// The cells of every row of the table that follows this heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let section = page
        .split(&format!("\n## {heading}\n"))
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap()
        .to_owned();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells = |line: &str| {
        let mut cells: Vec<_> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        cells[0] = cells[0].trim_matches('`').to_owned();
        cells
    };
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn the_table_of_conditions_is_the_vocabulary() {
    let code: Vec<_> = VOCABULARY
        .iter()
        .map(|(key, operators, asked)| {
            vec![
                (*key).to_owned(),
                (*operators).to_owned(),
                if *asked { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    assert_eq!(table("Conditions"), code);
}

#[test]
fn the_table_of_codes_is_the_list_of_codes() {
    let code: Vec<_> = Code::ALL
        .iter()
        .map(|(code, means)| {
            let severity = match code.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Lint => "lint",
            };
            vec![code.as_str().to_owned(), severity.to_owned(), (*means).to_owned()]
        })
        .collect();
    assert_eq!(table("Diagnostics"), code);
}

#[test]
fn every_key_of_the_vocabulary_is_read_or_refused_by_name() {
    for (key, operators, asked) in VOCABULARY {
        let value = match (*key, *operators) {
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
            let expected = if *asked { Vec::new() } else { vec![Code::NotYetSupported] };
            assert_eq!(errors, expected, "{part}.{key}");
        }
    }
}

#[test]
fn every_placeholder_is_named_and_no_other() {
    let page = page();
    let section = page
        .split("\n## The text of a denial\n")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap()
        .to_owned();
    let named: BTreeSet<_> = section
        .split("`{")
        .skip(1)
        .filter_map(|rest| rest.split("}`").next())
        .filter(|name| !name.contains('{'))
        .collect();
    assert_eq!(named, PLACEHOLDERS.iter().copied().collect());
}

#[test]
fn the_example_is_a_policy_that_passes_its_cases() {
    let page = page();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let loaded = load(&[SourceFile::new("docs/rules.md", example)]);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    assert!(cases::run(&loaded).passed());
}
