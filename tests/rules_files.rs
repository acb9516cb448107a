//! The policies that are shipped: they load without a doubt, and their cases pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use patwarden::rules::{Mode, SourceFile, Verb, cases, load::load};

/// Each policy with the files it is made of.
fn policies() -> Vec<(String, Vec<SourceFile>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let tomls = |folder: PathBuf| {
        let mut files: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        files
    };
    let file = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        SourceFile::new(name, fs::read_to_string(path).unwrap())
    };
    let single = tomls(folder.into());
    let mut policies: Vec<_> =
        single.iter().map(|path| (path.display().to_string(), vec![file(path)])).collect();
    let enterprise = tomls(Path::new(folder).join("enterprise"));
    policies.push(("rules/enterprise".to_owned(), enterprise.iter().map(file).collect()));
    policies
}

#[test]
fn every_shipped_policy_loads_without_a_doubt_and_all_its_rules_are_exercised() {
    assert!(policies().len() >= 3);
    for (name, files) in policies() {
        let loaded = load(&files);
        let shown: Vec<_> = loaded.diagnostics.iter().map(|d| d.render_human(false)).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n\n"));
        let report = cases::run(&loaded);
        assert!(report.passed(), "{}", report.render());
        assert_eq!(report.unexercised, [], "{name}");
        let policy = loaded.policy.unwrap();
        assert!(policy.rule_ids().any(|(_, verb)| verb == Verb::Approve));
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
