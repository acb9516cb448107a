//! What the commands say and do that look into a store, or begin with settings that cannot be used.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use patwarden::{clock::Clock, domain::OrganizationId, store::Store};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

/// Standard output, standard error and the exit code of a command, with nothing of our environment.
fn patwarden(arguments: &[&str], environment: &[(&str, &str)]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_patwarden"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn list(store: &Path) -> (String, String, i32) {
    let url = format!("sqlite:{}", store.display());
    patwarden(&["requests", "list", "--database-url", &url], &[])
}

async fn sql(store: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(store).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_only_looks_makes_and_changes_nothing_where_there_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let (_, error, code) = list(&folder.path().join("typo.sqlite"));
    assert!(error.contains("there is no store") && error.contains("--database-url"), "{error}");
    assert_eq!(code, 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");

    let (_, error, _) = list(folder.path());
    assert!(error.contains("cannot be read"), "{error}");

    let notes = folder.path().join("notes.txt");
    fs::write(&notes, "Remember the milk, and more than sixteen letters.").unwrap();
    fs::set_permissions(&notes, fs::Permissions::from_mode(0o644)).unwrap();
    let others = folder.path().join("others.sqlite");
    sql(&others, "CREATE TABLE cakes (name TEXT)").await;
    let others_bytes = fs::read(&others).unwrap();
    for path in [&notes, &others] {
        let (_, error, code) = list(path);
        assert!(error.contains("is not a store of patwarden's"), "{error}");
        assert_eq!(code, 1);
    }
    // `serve` makes a store where there is none, and takes nobody else's file either.
    for path in [&notes, &others] {
        let error = Store::open(path).await.err().unwrap().to_string();
        assert!(error.contains("is not a store of patwarden's"), "{error}");
    }
    assert_eq!(fs::metadata(&notes).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_to_string(&notes).unwrap().len(), 49);
    assert!(fs::read(&others).unwrap() == others_bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing was made beside them");
    // A file that is empty is no store yet.
    let empty = folder.path().join("empty.sqlite");
    fs::write(&empty, "").unwrap();
    assert!(list(&empty).1.contains("there is no store"));
    assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
    Store::open(&empty).await.unwrap().close().await;
    // Nor is what was killed while it was made; then it is made.
    let begun = folder.path().join("begun.sqlite");
    sql(
        &begun,
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
        checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .await;
    assert!(list(&begun).1.contains("there is no store"));
    Store::open(&begun).await.unwrap().close().await;
    assert_eq!(list(&begun).2, 0);
}

#[tokio::test]
async fn a_store_of_another_version_is_not_brought_up_to_date_by_looking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("patwarden.sqlite");
    Store::open(&path).await.unwrap().close().await;
    let (shown, _, code) = list(&path);
    assert_eq!((shown.trim(), code), ("Nothing is open.", 0));
    sql(&path, "UPDATE _sqlx_migrations SET version = version + 1000").await;
    let (_, error, code) = list(&path);
    assert!(error.contains("another version") && error.contains("patwarden serve"), "{error}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_store_without_its_deliveries_is_left_as_it_is_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("patwarden.sqlite");
    Store::open(&path).await.unwrap().close().await;
    let deliveries = folder.path().join("patwarden.sqlite.deliveries");
    fs::remove_file(&deliveries).unwrap();
    let there = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        // SQLite's own, which it makes for whoever reads.
        names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        names.sort();
        names
    };
    let before = there();
    let (_, error, code) = list(&path);
    assert!(
        error.contains("patwarden.sqlite.deliveries is missing")
            && error.contains("backup")
            && error.contains("patwarden serve"),
        "{error}"
    );
    assert_eq!(code, 1);
    assert_eq!(there(), before, "nothing was made");
    // Nor is somebody else's file taken for it.
    fs::write(&deliveries, "Remember the milk, and more than sixteen letters.").unwrap();
    assert!(list(&path).1.contains("is not a store of patwarden's"));
    let error = Store::open(&path).await.err().unwrap().to_string();
    assert!(error.contains("patwarden.sqlite.deliveries is not a store of patwarden's"), "{error}");
    assert_eq!(fs::read_to_string(&deliveries).unwrap().len(), 49);
    fs::remove_file(&deliveries).unwrap();
    Store::open(&path).await.unwrap().close().await;
    assert_eq!(list(&path).2, 0);
}

#[tokio::test]
async fn the_list_says_that_github_limits_us_and_what_was_not_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("patwarden.sqlite");
    Store::open(&path).await.unwrap().close().await;
    sql(
        &path,
        "INSERT INTO installations (organization_id, installation_id, login, suspended, seen_at) \
         VALUES (1, 11, 'acme', FALSE, 0), (2, 12, 'beta', FALSE, 0), (3, 13, 'gone', FALSE, 0)",
    )
    .await;
    sql(
        &path,
        "INSERT INTO rate_limits (installation_id, parked_until, call_limit, remaining, resets_at) \
         VALUES (11, 4102444800000, 5000, 0, 4102444800000), (12, 4102444800000, NULL, NULL, NULL), \
                (13, 1000, 5000, 0, 1000)",
    )
    .await;
    sql(
        &path,
        "INSERT INTO unread_deliveries (seq, event, why, at) VALUES (1, 'unnamed', 'because', 0)",
    )
    .await;
    let (shown, _, _) = list(&path);
    let until = "its requests wait until 2100-01-01 00:00:00 UTC.";
    assert!(
        shown.contains(&format!(
            "GitHub limits calls for acme, with 0 of 5000 calls left this hour; {until}"
        )),
        "{shown}"
    );
    assert!(shown.contains(&format!("GitHub limits calls for beta; {until}")), "{shown}");
    assert!(!shown.contains("gone"), "{shown}");
    assert!(shown.contains("1970-01-01 00:00 unnamed: because"), "{shown}");
    let url = format!("sqlite:{}", path.display());
    let (json, ..) = patwarden(&["requests", "list", "--json", "--database-url", &url], &[]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rate_limits"][0]["organization"], "acme");
    assert_eq!(json["rate_limits"][0]["remaining"], 0);
    assert_eq!(json["deliveries"]["unread"], 1);
    // Of whom nobody ever heard, nothing is not said: it may be a slip of the pen.
    let of = |org| patwarden(&["requests", "list", "--org", org, "--database-url", &url], &[]);
    let (_, error, code) = of("acne");
    assert!(
        error.contains("not on an organization `acne`")
            && error.contains("did you mean `acme`")
            && error.contains("acme, beta, gone"),
        "{error}"
    );
    assert_eq!((code, of("ACME").2), (2, 0));
    let confirm = ["requests", "confirm", "--org", "acne", "--database-url", &url];
    assert_eq!(patwarden(&confirm, &[]).2, 2);
    // What the store itself keeps of limits comes back as it was.
    let store = Store::open_existing(&path).await.unwrap();
    assert_eq!(store.parked(Clock::system().now()).await.unwrap().len(), 2);
    store.close().await;
}

#[tokio::test]
async fn trust_is_about_those_whose_rules_are_known_and_forgets_teams_only_where_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("patwarden.sqlite");
    Store::open(&path).await.unwrap().close().await;
    sql(&path, "INSERT INTO policy_places (whose, place) VALUES ('everybody', '/rules'), ('organization beta', '/beta')").await;
    sql(
        &path,
        "INSERT INTO policies_in_force (organization_id, login, whose, source, since) \
         VALUES (1, 'Acme', 'everybody', '/rules', 0), (2, 'beta', 'organization beta', '/beta', 0)",
    )
    .await;
    sql(
        &path,
        "INSERT INTO teams (organization_id, team, team_id, seen_at) VALUES (1, 'platform', 7, 0), (1, 'other/sre', 8, 0), (2, 'core', 9, 0)",
    )
    .await;
    let url = format!("sqlite:{}", path.display());
    let trust = |arguments: &[&str]| {
        patwarden(&[&["policy", "trust", "--database-url", &url], arguments].concat(), &[])
    };
    for nobody in [["acm", "--yes"], ["acm", "--teams"], ["enterprise", "--yes"]] {
        let (said, error, code) = trust(&nobody);
        assert!(error.contains("known are acme, beta, everybody"), "{said}{error}");
        assert_eq!(code, 1);
    }
    let remembered = async |organization| {
        let store = Store::open_existing(&path).await.unwrap();
        let teams = store.known_teams(OrganizationId(organization)).await.unwrap().len();
        store.close().await;
        teams
    };
    let (said, _, code) = trust(&["acme", "--yes"]);
    assert!(said.contains("Nothing of acme's is refused") && code == 0, "{said}");
    // Not answered: nothing is forgotten.
    let (said, _, code) = trust(&["ACME", "--teams"]);
    assert!(
        said.contains("whichever team has that slug") && said.contains("other/sre, platform"),
        "{said}"
    );
    assert_eq!((code, remembered(1).await), (1, 2));
    let (said, _, code) = trust(&["acme", "--teams", "--yes"]);
    assert!(said.contains("Forgotten") && code == 0, "{said}");
    assert_eq!((remembered(1).await, remembered(2).await), (0, 1), "another's are its own");
    let (said, _, code) = trust(&["acme", "--teams", "--yes"]);
    assert!(said.contains("nothing to forget") && code == 0, "{said}");
}

#[test]
fn a_log_filter_that_cannot_be_used_or_hides_everything_is_told() {
    let start = |filter: &str| {
        let environment = [
            ("GITHUB_APP_ID", "7"),
            ("GITHUB_APP_PRIVATE_KEY", "no key"),
            ("GITHUB_WEBHOOK_SECRET", "a secret"),
            ("PATWARDEN_RULES", "rules"),
            ("RUST_LOG", filter),
        ];
        let (_, error, code) = patwarden(&["serve"], &environment);
        assert_eq!(code, 1, "{error}");
        error
    };
    for filter in ["patwarden=dbug", "info,,=x"] {
        let error = start(filter);
        assert!(error.contains("RUST_LOG cannot be used") && error.contains("WARN"), "{error}");
    }
    for filter in ["verbose", "octocrab=debug"] {
        let error = start(filter);
        assert!(error.contains(&format!("warn,{filter}")) && error.contains("WARN"), "{error}");
    }
    for filter in ["", "off", "debug", "error", "patwarden=trace", "warn,octocrab=debug"] {
        let error = start(filter);
        assert!(!error.contains("RUST_LOG"), "{filter}: {error}");
    }
}

#[test]
fn settings_are_shown_with_where_they_were_said_and_without_secrets() {
    let environment = [
        ("GITHUB_APP_ID", "7"),
        ("GITHUB_APP_PRIVATE_KEY", "TOPSECRET"),
        ("GITHUB_WEBHOOK_SECRET", "TOPSECRET"),
        ("PATWARDEN_RULES", "rules.toml"),
    ];
    let (shown, error, code) =
        patwarden(&["settings", "show", "--listen", "127.0.0.1:4000"], &environment);
    assert_eq!((error.as_str(), code), ("", 0));
    let says = |name: &str, value: &str, from: &str| {
        let line = shown.lines().find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("{name} in {shown}"));
        assert!(line.contains(value) && line.ends_with(from), "{line}");
    };
    says("listen", "127.0.0.1:4000", "--listen");
    says("app-id", "7", "GITHUB_APP_ID");
    says("reconcile-interval", "5m", "the default");
    says("webhook-secret", "(hidden)", "GITHUB_WEBHOOK_SECRET");
    says("audit-log", "not set", "-");
    assert!(!shown.contains("TOPSECRET"), "{shown}");

    let (json, error, code) =
        patwarden(&["settings", "show", "--json"], &[("PATWARDEN_LISTEN", "")]);
    assert_eq!(code, 2);
    assert!(error.contains("PATWARDEN_LISTEN is empty"), "{error}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["problems"].to_string().contains("PATWARDEN_LISTEN is empty"), "{json}");
}
