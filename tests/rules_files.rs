//! The policies that are shipped: they load without a doubt, and their cases pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

use std::{fs, path::PathBuf};

use patwarden::rules::{Mode, SourceFile, Verb, cases, load::load};

fn policies() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

#[test]
fn every_shipped_policy_loads_without_a_doubt_and_all_its_rules_are_exercised() {
    assert!(policies().len() >= 2);
    for path in policies() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let loaded = load(&[SourceFile::new(name, fs::read_to_string(&path).unwrap())]);
        let report = cases::run(&loaded);
        assert!(report.passed(), "{}", report.render());
        assert_eq!(report.unexercised, [], "{}", path.display());
        let shown: Vec<_> = loaded.diagnostics.iter().map(|d| d.render_human(false)).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n\n"));
        let policy = loaded.policy.unwrap();
        assert!(policy.rule_ids().any(|(_, verb)| verb == Verb::Approve));
        assert!(!policy.not_yet_acted_on().is_empty());
    }
}

#[test]
fn the_mode_line_is_what_the_file_says() {
    let load = |name: &str| {
        let path = format!("{}/rules/{name}", env!("CARGO_MANIFEST_DIR"));
        load(&[SourceFile::new(name, fs::read_to_string(path).unwrap())]).policy.unwrap()
    };
    assert_eq!(load("small-org.toml").mode(), Mode::Shadow);
    assert_eq!(load("foundation.toml").mode(), Mode::Enforce);
    assert_eq!(load("foundation.toml").with_mode(Mode::ApproveOnly).mode(), Mode::ApproveOnly);
    assert_eq!(load("small-org.toml").with_mode(Mode::Enforce).mode(), Mode::Shadow);
}
