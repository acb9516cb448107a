//! What may know what: the rules of the house that the compiler does not hold. Each is shown able to fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longer than this, a file holds more than one idea.
const LINES: usize = 700;

/// What the pure core may not name, and where that belongs.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "src/engine"),
    ("octocrab", "src/github"),
    ("axum", "src/server"),
    ("sqlx", "src/store"),
    ("reqwest", "src/github"),
    ("std::env", "src/settings.rs"),
    ("std::fs", "src/engine/policy/disk.rs"),
    ("std::net", "src/server"),
    ("SystemTime", "src/clock.rs: time comes in as a value"),
    ("Instant::now", "src/clock.rs: time comes in as a value"),
    ("Timestamp::now", "src/clock.rs: time comes in as a value"),
    ("async", "src/engine"),
];

/// What a handler may not name: it is dropped in the middle when its client hangs up, and a transaction with it.
const NOT_IN_HANDLERS: &[&str] = &["begin", "begin_under", "begin_with", "Tx"];

/// What only one place may name: the word, where it is at home, and why.
const AT_HOME: &[(&str, &[&str], &str)] = &[
    ("octocrab", &["src/github"], "its traps are shut in one place"),
    ("sqlx", &["src/store"], "SQL lives there"),
    ("fakehub", &["src/cli/demo"], "a fake GitHub does not belong near what approves tokens"),
    ("println!", &["src/cli"], "printing happens in the commands"),
    ("print!", &["src/cli"], "printing happens in the commands"),
    ("eprintln!", &["src/cli"], "printing happens in the commands"),
    ("eprint!", &["src/cli"], "printing happens in the commands"),
    ("stdout", &["src/cli"], "printing happens in the commands"),
    (
        "std::env",
        &["src/cli", "src/telemetry", "src/crash"],
        "settings come in as values, all of them checked",
    ),
    ("Timestamp::now", &["src/clock"], "time comes in as a value"),
    ("Zoned::now", &["src/clock"], "time comes in as a value"),
    ("SystemTime::now", &["src/clock"], "time comes in as a value"),
];

struct Source {
    path: String,
    text: String,
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every .rs file below a folder of the repository.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push(Source { path, code: code(&text), text });
            }
        }
    }
    assert!(found.len() > 10, "only {} files in {folder}: is this the right place?", found.len());
    found
}

/// The text without comments and without what stands in strings: what is left is what the compiler sees named.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if next == '"' {
            string(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !out.ends_with(is_of_a_word)) {
            length
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest.find("\"'").map_or(rest.len(), |end| end + 2)
        } else {
            out.push(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            continue;
        };
        out.push(' ');
        rest = rest.get(skipped..).unwrap_or_default();
    }
    out
}

/// How long the string literal is that begins here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The same for `r"…"` and `r#"…"#`.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after.get(hashes..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&close).map_or(body.len(), |end| end + close.len()))
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether code names `what`: as a whole word, also out of `use std::{…}`.
fn names(code: &str, what: &str) -> bool {
    let whole = |(at, found): (usize, &str)| {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        let after = code.get(at + found.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(is_of_a_word)
            && (what.ends_with('!') || !after.is_some_and(is_of_a_word))
    };
    code.match_indices(what).any(whole)
        || what.strip_prefix("std::").is_some_and(|module| imports_of_std(code).contains(&module))
}

/// The modules in `use std::{…}`.
fn imports_of_std(code: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for (at, opening) in code.match_indices("std::{") {
        let mut depth = 1;
        let inner = code.get(at + opening.len()..).unwrap_or_default();
        let mut begin = 0;
        for (at, character) in inner.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && character == ',') {
                let item = inner.get(begin..at).unwrap_or_default().trim();
                modules.push(
                    item.split(|character| !is_of_a_word(character)).next().unwrap_or_default(),
                );
                begin = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    modules
}

/// What the pure core names that it may not.
fn impurities(path: &str, code: &str) -> Vec<String> {
    IMPURE
        .iter()
        .filter(|(word, _)| names(code, word))
        .map(|(word, home)| {
            format!("{path} names {word}, and is to be pure; that belongs to {home}")
        })
        .collect()
}

/// What a file names that is at home elsewhere.
fn strays(path: &str, code: &str) -> Vec<String> {
    AT_HOME
        .iter()
        .filter(|(_, homes, _)| !homes.iter().any(|home| lives_in(path, home)))
        .filter(|(word, ..)| names(code, word))
        .map(|(word, homes, why)| {
            format!("{path} names {word}, which is at home in {}: {why}", homes.join(", "))
        })
        .collect()
}

/// What a handler names that it may not.
fn transactions(path: &str, code: &str) -> Vec<String> {
    NOT_IN_HANDLERS
        .iter()
        .filter(|word| names(code, word))
        .map(|word| format!("{path} names {word}: hand the work to a task that nobody drops"))
        .collect()
}

/// Whether a file is the module `home` or a part of it: `src/store` is src/store.rs and src/store/.
fn lives_in(path: &str, home: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn shape(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.lines().next().is_some_and(|line| line.starts_with("//! ")) {
        found.push(format!(
            "{path} does not begin with a `//!` line that says what lives there and what must not"
        ));
    }
    let lines = text.lines().count();
    if lines > LINES {
        found.push(format!("{path} has {lines} lines, more than {LINES}: is it still one idea?"));
    }
    found
}

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let pure = |source: &Source| {
        ["src/rules", "src/domain", "src/inventory", "src/review", "src/digest"]
            .iter()
            .any(|home| lives_in(&source.path, home))
    };
    let sources: Vec<Source> = sources("src").into_iter().filter(pure).collect();
    assert!(sources.len() > 10, "the core has only {} files", sources.len());
    none(sources.iter().flat_map(|source| impurities(&source.path, &source.code)).collect());
}

#[test]
fn what_has_a_home_is_named_nowhere_else() {
    none(sources("src").iter().flat_map(|source| strays(&source.path, &source.code)).collect());
}

#[test]
fn handlers_begin_no_transactions() {
    let handlers: Vec<Source> =
        sources("src").into_iter().filter(|source| lives_in(&source.path, "src/server")).collect();
    assert!(!handlers.is_empty());
    none(handlers.iter().flat_map(|source| transactions(&source.path, &source.code)).collect());
}

#[test]
fn every_file_says_what_lives_there_and_holds_one_idea() {
    let both = sources("src").into_iter().chain(sources("fakehub/src"));
    none(both.flat_map(|source| shape(&source.path, &source.text)).collect());
}

fn manifest(path: &str) -> toml::Table {
    fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

/// What is wrong with the features in the manifest of patwarden.
fn leaks(manifest: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    let look =
        |table: Option<&toml::Value>, name: &str| table.and_then(|table| table.get(name)).cloned();
    let dependency = |name: &str| {
        look(manifest.get("dependencies"), name).unwrap_or_else(|| panic!("no dependency {name}"))
    };
    let words = |value: Option<toml::Value>| -> Vec<String> {
        let array = value.as_ref().and_then(toml::Value::as_array).cloned().unwrap_or_default();
        array.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    for (name, forbidden, why) in [
        ("octocrab", "retry", "it sends a POST again whose answer was lost"),
        ("octocrab", "jwt-rust-crypto", "it brings `rsa`, whose timing tells the key"),
        ("octocrab", "follow-redirect", "reqwest does that"),
        ("sqlx", "macros", "it needs a database to build"),
        ("sqlx", "default", "it brings drivers nobody uses"),
    ] {
        let dependency = dependency(name);
        if dependency.get("default-features") != Some(&toml::Value::Boolean(false)) {
            found.push(format!("{name} has its default features"));
        }
        if words(dependency.get("features").cloned()).iter().any(|feature| feature == forbidden) {
            found.push(format!("{name} has the feature {forbidden}: {why}"));
        }
    }
    if dependency("fakehub").get("optional") != Some(&toml::Value::Boolean(true)) {
        found.push("fakehub is not optional: a release is built without it".to_owned());
    }
    let default = words(look(manifest.get("features"), "default"));
    if default != ["demo"] {
        found.push(format!("the default features are {default:?}: only the demonstration is"));
    }
    found
}

#[test]
fn features_do_not_leak() {
    let mut found = leaks(&manifest("Cargo.toml"));
    let fakehub = fs::read_to_string(root().join("fakehub/Cargo.toml")).unwrap();
    if fakehub.parse::<toml::Table>().unwrap()["dependencies"].get("patwarden").is_some() {
        found
            .push("fakehub depends on patwarden: what judges it must not be made of it".to_owned());
    }
    none(found);
}

#[test]
fn the_checks_can_fail() {
    for (word, _) in IMPURE {
        let found = impurities("src/rules/x.rs", &code(&format!("fn x() {{ {word} }}")));
        assert_eq!(found.len(), 1, "{word}: {found:?}");
    }
    assert_eq!(
        impurities("src/rules/x.rs", &code("use std::{collections::BTreeMap, fs::{self}, net};"))
            .len(),
        2
    );
    for (word, homes, _) in AT_HOME {
        let code = code(&format!("let x = {word}(1);"));
        assert_eq!(strays("src/engine/x.rs", &code).len(), 1, "{word}");
        for home in *homes {
            assert_eq!(strays(&format!("{home}.rs"), &code), [""; 0]);
            assert_eq!(strays(&format!("{home}/x.rs"), &code), [""; 0]);
        }
    }
    for word in NOT_IN_HANDLERS {
        let found = transactions("src/server/x.rs", &code(&format!("store.{word}(now)")));
        assert_eq!(found.len(), 1, "{word}");
    }
    assert_eq!(shape("x.rs", "use std::fmt;\n").len(), 1);
    assert_eq!(shape("x.rs", &format!("//! x\n{}", "\n".repeat(LINES))).len(), 1);
    let well = "[features]\ndefault = ['demo']\n[dependencies]\nfakehub = { optional = true }\n\
                sqlx = { default-features = false }\noctocrab = { default-features = false, features = ['rustls'] }\n";
    let leaking = |from: &str, to: &str| leaks(&well.replace(from, to).parse().unwrap()).len();
    assert_eq!(leaking("", ""), 0);
    assert_eq!(leaking("'rustls'", "'rustls', 'retry'"), 1);
    assert_eq!(leaking("optional = true", "optional = false"), 1);
    assert_eq!(leaking("['demo']", "['demo', 'crash-points']"), 1);
    assert!(leaking("sqlx = { default-features = false", "sqlx = { default-features = true") >= 1);
}

#[test]
fn words_in_comments_strings_and_other_words_are_no_names() {
    for text in [
        "// tokio",
        "/* async */",
        "\"octocrab=warn\"",
        "r#\"a \" sqlx\"#",
        "let asynchronous = my_tokio;",
        "'\"'",
        "\"\\\" tokio\"",
    ] {
        let code = code(text);
        assert!(IMPURE.iter().all(|(word, _)| !names(&code, word)), "{text} -> {code}");
    }
    assert!(names(&code("let a = '\"'; tokio::spawn(b); let c = \"d\";"), "tokio"));
    assert!(names(&code("let a = \"//\"; tokio::spawn(b);"), "tokio"));
    assert!(lives_in("src/rules.rs", "src/rules") && !lives_in("src/rules_of.rs", "src/rules"));
}
