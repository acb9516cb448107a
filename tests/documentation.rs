//! README, `--help`, `docs/` and `app.yml` against the code: what they say must be so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use patwarden::{
    cli,
    engine::lifecycle::{Outcome, SettledBy, State, Verdict},
    settings::KEYS,
};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every command that does something, as one types it.
fn commands() -> BTreeSet<String> {
    fn collect(command: &clap::Command, name: &str, all: &mut BTreeSet<String>) {
        let mut leaf = true;
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            leaf = false;
            collect(sub, &format!("{name} {}", sub.get_name()), all);
        }
        if leaf {
            all.insert(name.to_owned());
        }
    }
    let mut all = BTreeSet::new();
    collect(&cli::command(), "patwarden", &mut all);
    if !cfg!(feature = "demo") {
        all.insert("patwarden demo".to_owned());
    }
    all
}

fn settings_table() -> String {
    let mut table = "\n| setting | flag | default | |\n|---|---|---|---|\n".to_owned();
    for key in KEYS {
        let flag = if key.secret { "none".to_owned() } else { format!("`--{}`", key.name) };
        let default =
            key.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        writeln!(table, "| `{}` | {flag} | {default} | {} |", key.env, key.help).unwrap();
    }
    table.push_str("\n`PATWARDEN_CONFIG` names the file, `RUST_LOG` says how much is logged.\n");
    table
}

#[test]
fn the_page_of_settings_has_each_with_its_flag_default_and_meaning() {
    let page = read("docs/settings.md");
    let (before, rest) = page.split_once("<!-- settings -->\n").expect("the marker stands there");
    let (listed, after) =
        rest.split_once("<!-- /settings -->").expect("the end marker stands there");
    let table = settings_table();
    if std::env::var_os("UPDATE_DOCUMENTATION").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
        let text = format!("{before}<!-- settings -->\n{table}\n<!-- /settings -->{after}");
        fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(
        listed.trim(),
        table.trim(),
        "write it anew with UPDATE_DOCUMENTATION=1 cargo test --test documentation"
    );
}

/// What the words of revocations mean, as `docs/design.md` lists them.
fn revocations_table() -> String {
    use patwarden::store::{ItemState, RevocationState};
    let mut table = String::from("| a revocation is | |\n|---|---|\n");
    for state in RevocationState::ALL {
        writeln!(table, "| {} | {} |", state.as_str(), state.meaning()).unwrap();
    }
    table.push_str("\n| a token of it is | |\n|---|---|\n");
    for state in ItemState::ALL {
        writeln!(table, "| {} | {} |", state.as_str(), state.meaning()).unwrap();
    }
    table
}

#[test]
fn the_page_says_of_revocations_what_the_help_says() {
    let page = read("docs/design.md");
    let (before, rest) = page.split_once("<!-- revocations -->\n").expect("the marker is there");
    let (listed, after) = rest.split_once("<!-- /revocations -->").expect("and its end");
    let table = revocations_table();
    if std::env::var_os("UPDATE_DOCUMENTATION").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/design.md");
        let text = format!("{before}<!-- revocations -->\n\n{table}\n<!-- /revocations -->{after}");
        fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(listed.trim(), table.trim());
}

/// Every metric, as `docs/operations.md` lists them.
fn metrics_table() -> String {
    let mut table = String::from("| metric | labels | |\n|---|---|---|\n");
    for metric in patwarden::watch::metrics::METRICS {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{}` | {} | {} |", metric.name(), labels.join(", "), metric.help)
            .unwrap();
    }
    table
}

#[test]
fn the_page_on_operations_lists_every_metric() {
    let page = read("docs/operations.md");
    let (before, rest) = page.split_once("<!-- metrics -->\n").expect("the marker is there");
    let (listed, after) = rest.split_once("<!-- /metrics -->").expect("and its end");
    let table = metrics_table();
    if std::env::var_os("UPDATE_DOCUMENTATION").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
        let text = format!("{before}<!-- metrics -->\n\n{table}\n<!-- /metrics -->{after}");
        fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(listed.trim(), table.trim());
}

/// `rules new\|check` in the README's table means two commands.
fn commands_of_the_readme() -> BTreeSet<String> {
    let readme = read("README.md");
    let table = readme.split_once("### Commands\n").expect("the heading is there").1;
    let rows = table.lines().skip_while(|line| !line.starts_with("| ")).skip(2);
    rows.take_while(|line| line.starts_with("| "))
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .flat_map(|named| match named.split_once(' ') {
            Some((group, names)) => {
                names.split("\\|").map(|name| format!("patwarden {group} {name}")).collect()
            }
            None => vec![format!("patwarden {named}")],
        })
        .collect()
}

#[test]
fn every_command_is_named_and_none_that_is_not_there() {
    assert_eq!(commands_of_the_readme(), commands());
    let rows: BTreeSet<String> = read("docs/commands.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `patwarden "))
        .filter_map(|rest| rest.split_once('`'))
        .map(|(command, _)| format!("patwarden {command}"))
        .collect();
    assert_eq!(rows, commands());
    let known = commands();
    for page in [
        "README.md",
        "docs/commands.md",
        "docs/design.md",
        "docs/failures.md",
        "docs/rules.md",
        "docs/settings.md",
        "docs/operations.md",
        "docs/threat-model.md",
        "deploy/alerts.yaml",
        "rules/README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/decisions/0004-many-at-once.md",
    ] {
        let mut fenced = false;
        for line in read(page).lines() {
            fenced ^= line.trim_start().starts_with("```");
            for (place, _) in line.match_indices("patwarden ") {
                let words: Vec<&str> =
                    line[place..].split(|c: char| c.is_whitespace() || c == '`').take(3).collect();
                let quoted =
                    line[..place].ends_with('`') || fenced && line[..place].trim().is_empty();
                if quoted
                    && words.len() == 3
                    && words[1].chars().all(|c| c.is_ascii_lowercase())
                    && !words[1].is_empty()
                {
                    let command = words.join(" ");
                    let shorter = words[..2].join(" ");
                    let group = known.iter().any(|name| name.starts_with(&format!("{shorter} ")));
                    assert!(
                        known.contains(&command)
                            || known.contains(&shorter)
                            || (group && words[2].is_empty()),
                        "{page} speaks of `{command}`, which is no command: {line}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_help_of_every_command_teaches_and_serve_knows_every_flag() {
    for name in
        commands().into_iter().filter(|name| cfg!(feature = "demo") || name != "patwarden demo")
    {
        let mut command = cli::command();
        let mut found = &mut command;
        for word in name.split(' ').skip(1) {
            found = found.find_subcommand_mut(word).expect("listed");
        }
        let about = found.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 20, "{name} does not say what it does");
        for argument in found.get_arguments().filter(|argument| argument.get_id() != "help") {
            assert!(
                argument.get_help().is_some(),
                "{name}: {} is not explained",
                argument.get_id()
            );
        }
    }
    let command = cli::command();
    let serve = command.find_subcommand("serve").expect("listed");
    for key in KEYS {
        let flag = serve.get_arguments().any(|argument| argument.get_long() == Some(key.name));
        assert_eq!(
            flag, !key.secret,
            "--{}: a flag for every setting, and none for a secret",
            key.name
        );
    }
}

#[test]
fn the_two_commands_of_the_readme_are_the_ones_that_work() {
    let readme = read("README.md");
    let fenced: Vec<&str> = readme.lines().filter(|line| line.starts_with("cargo ")).collect();
    assert!(fenced.contains(&"cargo run --release -- demo"), "{fenced:?}");
    assert!(fenced.contains(&"cargo test"), "{fenced:?}");
    assert!(!readme.contains("FIRST_BUILD"), "the measured time of the first build is missing");
    assert!(commands().contains("patwarden demo"));
}

#[test]
fn the_rule_in_the_readme_is_the_one_in_the_file_and_passes_its_test() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("a rule stands there");
    let (rule, _) = rest.split_once("```").expect("it ends");
    let text = format!("schema = 1\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n{rule}");
    let loaded =
        patwarden::rules::load::load(&[patwarden::rules::SourceFile::new("README.toml", text)]);
    assert!(loaded.policy.is_some(), "{:#?}", loaded.diagnostics);
    assert!(patwarden::rules::cases::run(&loaded).passed());
}

#[test]
fn every_permission_and_event_of_the_app_has_its_reason_and_no_event_is_one_that_github_refuses() {
    let manifest = read("app.yml");
    let mut section = "";
    let mut reason = false;
    let mut permissions = Vec::new();
    let mut events = Vec::new();
    let mut features = BTreeSet::new();
    for line in manifest.lines() {
        let trimmed = line.trim();
        if !line.starts_with(' ') && trimmed.ends_with(':') {
            section = trimmed;
            reason = false;
        } else if section == "x-features:" && !trimmed.starts_with('#') && !trimmed.is_empty() {
            let (feature, words) = trimmed.split_once(": ").expect("a feature and what it is");
            assert!(words.contains(". Without it "), "`{trimmed}` does not say what is lost");
            features.insert(feature.to_owned());
        } else if trimmed.starts_with('#') {
            reason |= line.starts_with(' ');
        } else if section == "default_permissions:" && !trimmed.is_empty() {
            assert!(reason, "`{trimmed}` has no reason");
            let (permission, feature) = trimmed.split_once(" # ").expect("its feature");
            assert!(features.contains(feature), "`{trimmed}` is for no feature that there is");
            permissions.push(permission.to_owned());
            reason = false;
        } else if section == "default_events:" && !trimmed.is_empty() {
            assert!(reason, "`{trimmed}` has no reason");
            let (event, feature) = trimmed.split_once(" # ").expect("its feature");
            assert!(features.contains(feature), "`{trimmed}` is for no feature that there is");
            events.push(event.trim_start_matches("- ").to_owned());
            reason = false;
        }
    }
    assert_eq!(
        permissions,
        [
            "organization_personal_access_token_requests: write",
            "organization_personal_access_tokens: write",
            "members: read",
            "organization_custom_properties: read",
            "metadata: read",
            "contents: read",
            "pull_requests: read",
            "checks: write",
            "issues: write",
        ],
        "what the code calls needs these and no more"
    );
    assert_eq!(
        events,
        [
            "personal_access_token_request",
            "push",
            "repository",
            "pull_request",
            "check_run",
            "check_suite",
            "issue_comment",
            "issues",
            "organization",
            "membership"
        ]
    );
    let url = format!("url: https://patwarden.example{}", patwarden::server::WEBHOOK_PATH);
    assert!(manifest.contains(&url), "the webhook's path is {}", patwarden::server::WEBHOOK_PATH);
}

#[test]
fn the_table_of_states_has_every_state() {
    let design = read("docs/design.md");
    // Further down are tables of other things, some with the same words.
    let design = design.split("## How many tokens").next().unwrap_or_default();
    let states = [
        State::Waiting,
        State::Escalated,
        State::Held,
        State::Decided(Verdict::Approve),
        State::Decided(Verdict::Deny),
        State::Sent(Verdict::Approve),
        State::Sent(Verdict::Deny),
        State::Checking,
        State::Revoking,
        State::Settled(Outcome::Approved, SettledBy::Rule),
        State::Gone,
    ];
    for state in states {
        let named = design.lines().any(|line| {
            line.starts_with("| ")
                && line.split('|').nth(1).is_some_and(|cell| cell.contains(state.as_str()))
        });
        assert!(named, "docs/design.md does not explain the state `{}`", state.as_str());
    }
}

#[test]
fn what_the_pages_link_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/commands.md",
        "docs/design.md",
        "docs/failures.md",
        "docs/rules.md",
        "docs/settings.md",
        "docs/operations.md",
        "docs/open-questions.md",
        "docs/performance.md",
        "docs/threat-model.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "rules/README.md",
        "fakehub/README.md",
    ] {
        let text = read(page);
        let folder = root.join(page).parent().unwrap().to_owned();
        for (place, _) in text.match_indices("](") {
            let target = text[place + 2..].split(')').next().unwrap_or_default();
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let target = target.split('#').next().unwrap_or_default();
            assert!(folder.join(target).exists(), "{page} links to {target}, which is not there");
        }
    }
}

#[test]
fn every_attack_in_the_threat_model_is_tried_by_a_test_that_is_there() {
    fn collect(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, all);
            } else if path.extension().is_some_and(|end| end == "rs") {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut tests = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    let model = read("docs/threat-model.md");
    let (_, table) = model.split_once("## Attacks, and where each is tried").expect("the section");
    let mut named = 0;
    for word in table.split('`').filter(|word| word.contains('_') && !word.contains(' ')) {
        let is_one = tests.contains(&format!("fn {word}("));
        assert!(is_one || word == "webhook_input", "there is no test `{word}`");
        named += usize::from(is_one);
    }
    assert!(named > 20, "only {named} tests are named");
}
