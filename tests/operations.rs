//! What docs/operations.md tells operators to do, done on the real program: copies and restoring, other versions, stopping,
//! changing secrets, completions and manual pages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use common::{
    LIST, REVIEW, Scene, Set, administrating, harmless,
    shell::{command, run, said},
    soon, until, writing,
};
use fakehub::{Fault, Hold};
use patwarden::{cli, store::Store};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

fn patwarden(arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
    said(command.args(arguments).env_clear().output().unwrap())
}

async fn sql(file: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn number(file: &Path, query: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let number = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

/// Whatever stands in a file, all of it as text.
async fn all_of(file: &Path) -> String {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(columns.len() > 5, "{columns:?}");
    let mut all = String::new();
    for (table, column) in columns {
        let query = format!("SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\"");
        let cells: Vec<Option<Vec<u8>>> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        for cell in cells.into_iter().flatten() {
            all.push_str(&String::from_utf8_lossy(&cell));
        }
        all.push('\n');
    }
    connection.close().await.unwrap();
    all
}

fn rights(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn backup(scene: &Scene, name: &str) -> String {
    format!("patwarden store backup {}", scene.path(name).display())
}

/// Puts the copies in the place of the store, as the recipe says: what lies there of the old one goes with it.
fn restore(scene: &Scene, copy: &Path) {
    for file in [scene.store_path(), scene.deliveries_path()] {
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{ending}", file.display()));
        }
        fs::copy(copy.join(file.file_name().unwrap()), &file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_made_in_the_middle_of_a_review_goes_back_and_approves_nothing_twice() {
    let mut scene = Set::default().open().await;
    let before = scene.ask(harmless("kim"));
    scene.until_it_stands(before.request_id, "approved by a rule").await;
    scene.until_idle().await;
    // Recorded and sent, and no answer yet: what a copy knows least of.
    let held = scene.hub.hold(Hold::before(REVIEW));
    let amid = scene.ask(harmless("lee"));
    soon("the review is on its way", held.reached()).await;
    let (out, error, code) = run(&scene, &backup(&scene, "copy"), "").await;
    assert_eq!((error.as_str(), code), ("", 0));
    assert!(out.contains("Sound: 2 requests, 2 decisions"), "{out}");
    let copy = scene.path("copy");
    assert_eq!(rights(&copy), 0o700);
    let mut names: Vec<_> = fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap()).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in &names {
        assert_eq!(rights(&entry.path()), 0o600, "{:?}", entry.path());
    }
    let names: Vec<_> =
        names.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["patwarden.sqlite", "patwarden.sqlite.deliveries"]);
    // Another one does not go over it.
    let (_, error, code) = run(&scene, &backup(&scene, "copy"), "").await;
    assert!(error.contains("there is something in") && code == 1, "{error}");
    held.release();
    scene.until_it_stands(amid.request_id, "approved by a rule").await;
    let after = scene.ask(harmless("ada"));
    scene.until_it_stands(after.request_id, "approved by a rule").await;
    scene.until_idle().await;
    scene.stop().await;
    let seen = scene.calls(REVIEW);

    restore(&scene, &copy);
    scene.start().await;
    scene.looked_around().await;
    // GitHub says what came of it, and it is known as ours. That takes the time that lists may lag.
    let row = scene.time_passes_until_settled(amid.request_id).await;
    assert_eq!(row.state.to_string(), "approved by a rule");
    for asked in [&before, &amid, &after] {
        assert_eq!(scene.reviews(asked.request_id), (1, 0), "once, and not once more");
        assert!(scene.has_access(asked.token_id));
    }
    assert_eq!(scene.calls(REVIEW), seen, "nothing was sent");
    // What is lost: the decisions since.
    assert!(scene.row(after.request_id).await.is_none());
    assert!(scene.decisions(after.request_id).await.is_empty());
    let later = scene.ask(harmless("ben"));
    scene.until_it_stands(later.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_and_files_that_do_not_belong_together_are_told() {
    let mut scene = Set::default().open().await;
    scene.until_it_stands(scene.ask(harmless("kim")).request_id, "approved by a rule").await;
    scene.until_idle().await;
    let (_, _, code) = run(&scene, &backup(&scene, "old"), "").await;
    assert_eq!(code, 0);
    scene.until_it_stands(scene.ask(harmless("lee")).request_id, "approved by a rule").await;
    scene.until_idle().await;
    let (out, _, code) = run(&scene, "patwarden store check", "").await;
    assert!(out.contains("Sound: 2 requests") && out.contains("0 of them not read yet"), "{out}");
    assert_eq!(code, 0, "while it is at work");
    scene.stop().await;

    // Deliveries of yesterday beside a record of today.
    let deliveries = fs::read(scene.deliveries_path()).unwrap();
    fs::copy(scene.path("old/patwarden.sqlite.deliveries"), scene.deliveries_path()).unwrap();
    let (out, _, code) = run(&scene, "patwarden store check --json", "").await;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(json["faults"][0].as_str().unwrap().contains("older than the record"), "{out}");
    assert_eq!((code, json["requests"].as_i64()), (1, Some(2)));
    fs::write(scene.deliveries_path(), &deliveries).unwrap();
    assert_eq!(run(&scene, "patwarden store check", "").await.2, 0);

    // A disk that lost a quarter of it.
    let mut record = fs::read(scene.store_path()).unwrap();
    let most = record.len() / 4 * 3;
    record[most..].fill(0xa5);
    fs::write(scene.store_path(), &record).unwrap();
    let (out, _, code) = run(&scene, "patwarden store check", "").await;
    assert!(out.contains("WRONG") && out.contains("patwarden.sqlite") && code == 1, "{out}");
    // It is not copied as if it were well, and no half of a copy stays.
    let (out, error, code) = run(&scene, &backup(&scene, "bad"), "").await;
    assert_eq!(code, 1, "{out}{error}");
    assert!(!scene.path("bad").exists(), "{error}");
    scene.leave().await;
}

#[tokio::test]
async fn an_older_patwarden_leaves_the_store_of_a_newer_one_alone_and_says_so() {
    let scene = Set::default().without_bot().await;
    Store::open(&scene.store_path()).await.unwrap().close().await;
    sql(
        &scene.store_path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a newer version', TRUE, x'00', 0)",
    )
    .await;
    let before = fs::read(scene.store_path()).unwrap();
    let mut command = serve(&scene);
    let ended = tokio::task::spawn_blocking(move || command.output());
    let (_, error, code) = said(soon("it does not start", ended).await.unwrap().unwrap());
    assert!(
        error.contains("A store that a newer patwarden wrote needs that patwarden")
            && error.contains("9999"),
        "{error}"
    );
    assert_eq!(code, 1);
    assert_eq!(fs::read(scene.store_path()).unwrap(), before);
    // It can be copied all the same, before anything is done about it.
    let (out, _, code) = run(&scene, &backup(&scene, "copy"), "").await;
    assert!(out.contains("Another version of patwarden wrote it.") && code == 0, "{out}");
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_forgotten_once_nothing_is_under_way_and_what_was_decided_stays() {
    let scene = Set::default().open().await;
    let theirs = |spec: fakehub::TokenSpec| spec.named("zebra-fence").because("for the giraffe");
    let approved = scene.ask(theirs(harmless("chiara")));
    scene.until_it_stands(approved.request_id, "approved by a rule").await;
    let denied = scene.ask(theirs(administrating("chiara")));
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    // Somebody else's, and the newest webhook.
    let other = scene.ask(harmless("kim"));
    scene.until_it_stands(other.request_id, "approved by a rule").await;
    scene.until_idle().await;
    let (_, _, code) = run(&scene, "patwarden tokens list --org acme --refresh", "").await;
    assert_eq!(code, 0);

    // She answered on somebody's issue, and an owner was mailed of her.
    sql(
        &scene.store_path(),
        "INSERT INTO escalation_votes (organization_id, request_id, comment_id, fingerprint, user_id, login, verdict, \
            comment, counts_in, url, at) SELECT organization_id, 0, 1, '', owner_id, owner_login, 'approve', '/approve', \
            '[]', '', 0 FROM requests WHERE owner_login = 'chiara' LIMIT 1",
    )
    .await;
    sql(
        &scene.store_path(),
        "INSERT INTO mails (key, organization_id, recipient, subject, text, html, state, due_at, created_at) \
         VALUES ('digest/1/x/olga', 1, 'olga@acme.example', '1 decided', 'chiara, of kim', '<b>Chiara</b>', 'sent', 0, 0)",
    )
    .await;

    // A token of hers has access.
    let (out, _, code) = run(&scene, "patwarden store forget chiara --yes", "").await;
    assert!(out.contains("1 token with access: revoke, and wait") && code == 1, "{out}");
    let plan = "patwarden tokens revoke --org acme --owner chiara --reason leaving";
    assert_eq!(run(&scene, plan, "").await.2, 0);
    assert_eq!(run(&scene, "patwarden tokens revoke --plan 1 --apply --yes", "").await.2, 0);
    scene.until_idle().await;

    let named = async || {
        let mut found = Vec::new();
        for file in [scene.store_path(), scene.deliveries_path()] {
            let text = all_of(&file).await.to_lowercase();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let words = ["chiara", "zebra-fence", "for the giraffe"].into_iter();
            found.extend(
                words.filter(|word| text.contains(word)).map(|word| format!("{word} in {name}")),
            );
        }
        found
    };
    // Webhooks have no reason.
    assert_eq!(named().await.len(), 5);
    let (out, error, code) = run(&scene, "patwarden store forget Chiara --dry-run", "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(
        out.contains("under a pseudonym: 2\n") && out.contains("requests that stay, under it: 1\n"),
        "{out}"
    );
    let (out, _, code) = run(&scene, "patwarden store forget chiara", "yes\n").await;
    assert!(out.contains("Nothing was forgotten.") && code == 1, "{out}");
    assert_eq!(named().await.len(), 5, "a look changes nothing");
    let (_, asked) = out.split_once("Type ").unwrap();
    let rows = asked.split(',').next().unwrap();
    let (out, _, code) = run(&scene, "patwarden store forget chiara", &format!("{rows}\n")).await;
    assert!(out.contains(&format!("Forgotten: {rows} rows")) && code == 0, "{out}");
    assert_eq!(named().await, [""; 0]);

    // What was decided stays, and can be read; so does everybody else's.
    for (ids, rule) in [(approved, "approve.read"), (denied, "deny.administration")] {
        let decisions = scene.decisions(ids.request_id).await;
        assert_eq!(decisions[0].decision.by[0].as_str(), rule);
        assert!(decisions[0].request.owner.login.as_str().starts_with("forgotten-"));
        assert!(format!("{:?}", decisions[0].request.permissions).contains("contents"));
        assert_eq!(scene.reviews(ids.request_id), (1, 0));
    }
    let answer = "SELECT COUNT(*) FROM escalation_votes WHERE verdict = 'approve' AND login LIKE 'forgotten-%'";
    assert_eq!(number(&scene.store_path(), answer).await, 1, "that somebody answered stays");
    let mail = "SELECT COUNT(*) FROM mails WHERE text LIKE 'forgotten-%, of kim' AND recipient = 'olga@acme.example'";
    assert_eq!(number(&scene.store_path(), mail).await, 1);
    let (out, _, _) = run(&scene, "patwarden revocations show 1", "").await;
    assert!(out.contains("forgotten-") && !out.contains("chiara"), "{out}");
    let (out, _, _) = run(&scene, "patwarden requests list --org acme --all", "").await;
    assert!(out.contains("kim-reads") && out.contains("forgotten-"), "{out}");
    let (_, error, code) = run(&scene, "patwarden store forget chiara", "").await;
    assert!(error.contains("knows nobody of this login") && code == 2, "{error}");
    scene.end().await;
}

/// `patwarden serve` on this scene, as anybody would run it.
fn serve(scene: &Scene) -> Command {
    let mut command = command(scene, "patwarden serve --listen 127.0.0.1:0 --write-interval 1ms");
    command
        .args(["--webhook-secret-path", &scene.path("secrets").display().to_string()])
        .args([
            "--most-at-once",
            "100000",
            // Another scene's may listen at the usual address.
            "--ops-listen",
            "off",
            "--inventory-interval",
            "off",
            "--deliveries-interval",
            "off",
        ])
        .stdin(Stdio::null());
    if !scene.path("secrets").exists() {
        fs::write(scene.path("secrets"), &scene.hub.app().webhook_secret).unwrap();
    }
    command
}

/// The same, started; GitHub sends its webhooks there.
fn started(scene: &Scene) -> Child {
    let mut child = serve(scene).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let at = line.find("http://").unwrap_or_else(|| panic!("it does not start: `{line}`"));
    scene.hub.set_webhook_url(line[at..].trim());
    child
}

/// SIGTERM, and what it ended with.
async fn terminated(child: Child) -> Output {
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output());
    soon("it ends when it is told to", ended).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_under_load_it_finishes_what_it_holds_and_the_next_goes_on() {
    let scene = Set::default().without_bot().await;
    let child = started(&scene);
    let held = scene.hub.hold(Hold::before(REVIEW).skip(3));
    let mut asked = Vec::new();
    for number in 0..40 {
        let spec = if number % 2 == 0 { harmless("kim") } else { administrating("lee") };
        asked.push((number, scene.ask(spec.named(&format!("n{number}")))));
    }
    soon("a review is on its way", held.reached()).await;
    let stopping = tokio::spawn(terminated(child));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!stopping.is_finished(), "it waits for the answer");
    // Meanwhile people go on asking.
    asked.push((40, scene.ask(harmless("ada").named("n40"))));
    held.release();
    let ended = soon("it stops", stopping).await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let reviewed = scene.calls(REVIEW);
    assert!((4..40).contains(&reviewed), "in the middle: {reviewed} of 41");
    assert!(!scene.path("patwarden.sqlite-wal").exists(), "the log is in the file");
    for (what, query) in [
        ("no call is without its answer", "SELECT COUNT(*) FROM effects WHERE state = 'sent'"),
        ("no lease is held", "SELECT COUNT(*) FROM leases WHERE holder <> ''"),
    ] {
        assert_eq!(number(&scene.store_path(), query).await, 0, "{what}");
    }

    let child = started(&scene);
    until("all are decided", || async {
        let pending = asked.iter().filter(|(_, ids)| scene.on_github(ids.request_id) == "pending");
        (pending.count() == 0).then_some(())
    })
    .await;
    assert_eq!(terminated(child).await.status.code(), Some(0));
    for (number, ids) in &asked {
        assert_eq!(scene.reviews(ids.request_id), (1, 0), "n{number}: once");
        let expected = if number % 2 == 0 { "approved" } else { "denied" };
        assert_eq!(scene.on_github(ids.request_id), expected, "n{number}");
    }
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_secret_is_changed_without_a_gap() {
    let scene = Set::default().without_bot().await;
    let body = br#"{"action":"nonsense"}"#;
    let accepted = async |url: &str, secret: &str| {
        fs::write(scene.path("payload.json"), body).unwrap();
        let line = format!("patwarden replay {}/payload.json --to {url}", scene.folder().display());
        let mut command = command(&scene, &line);
        command.env("GITHUB_WEBHOOK_SECRET", secret);
        let output = tokio::task::spawn_blocking(move || command.output());
        let (out, error, code) = said(soon("it is sent", output).await.unwrap().unwrap());
        assert!(code == 0 || out.contains("401") || error.contains("401"), "{out}{error}");
        code == 0
    };
    let running = async |secrets: &str| {
        fs::write(scene.path("secrets"), secrets).unwrap();
        let mut child = serve(&scene).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at = line.find("http://").unwrap();
        (child, line[at..].trim().to_owned())
    };
    // Step by step, as the recipe says: which of the two signs at each step is accepted.
    for (secrets, old, new) in
        [("old\n", true, false), ("old\nnew\n", true, true), ("new\n", false, true)]
    {
        let (child, url) = running(secrets).await;
        assert_eq!(accepted(&url, "old").await, old, "{secrets:?}");
        assert_eq!(accepted(&url, "new").await, new, "{secrets:?}");
        assert_eq!(terminated(child).await.status.code(), Some(0));
    }
    scene.leave().await;
}

/// Clicks a button on the page of the App's private keys.
async fn click(scene: &Scene, path: &str) -> String {
    let page = format!("{}/settings/apps/{}/{path}", scene.hub.api_url(), scene.hub.app().slug);
    let answer = soon("the page", reqwest::Client::new().post(page).send()).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.text().await.unwrap()
}

async fn until_approved(scene: &Scene, ids: fakehub::RequestIds) {
    until("it is approved", || async {
        (scene.on_github(ids.request_id) == "approved").then_some(())
    })
    .await;
}

/// What `patwarden doctor` says of the key, and how it ends.
async fn doctor(scene: &Scene) -> (String, i32) {
    let mut command = command(scene, "patwarden doctor");
    command.env("GITHUB_WEBHOOK_SECRET", &scene.hub.app().webhook_secret);
    let output = tokio::task::spawn_blocking(move || command.output());
    let (out, error, code) = said(soon("doctor", output).await.unwrap().unwrap());
    (format!("{out}{error}"), code)
}

/// The token that the bot has is refused, so that it needs another one, for which it signs with its key.
fn needs_another_token(scene: &Scene) {
    scene.hub.fault(Fault::on(LIST).bad_credentials().times(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_is_changed_without_a_gap() {
    let scene = Set::default().without_bot().await;
    let child = started(&scene);
    until_approved(&scene, scene.ask(harmless("kim"))).await;
    let first = scene.hub.app_keys()[0].id;

    // A second one is made, and put in the first one's place. The program has the first still, which is good.
    fs::write(scene.path("app.pem"), click(&scene, "keys").await).unwrap();
    needs_another_token(&scene);
    until_approved(&scene, scene.ask(harmless("lee"))).await;

    // Restarted: what is asked for meanwhile is decided.
    assert_eq!(terminated(child).await.status.code(), Some(0));
    let amid = scene.ask(harmless("ada"));
    let child = started(&scene);
    until_approved(&scene, amid).await;
    let (said, code) = doctor(&scene).await;
    assert!(said.contains("GitHub knows the App"), "{said}");
    assert_ne!(code, 2, "{said}");

    // The first one is deleted, and nobody notices.
    click(&scene, &format!("keys/{first}/delete")).await;
    needs_another_token(&scene);
    until_approved(&scene, scene.ask(harmless("ben"))).await;
    assert!(doctor(&scene).await.0.contains("GitHub knows the App"));
    assert_eq!(terminated(child).await.status.code(), Some(0));
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_private_key_is_deleted_at_once_and_what_is_asked_meanwhile_is_decided_afterwards()
{
    let scene = Set::default().without_bot().await;
    let child = started(&scene);
    until_approved(&scene, scene.ask(harmless("kim"))).await;
    let leaked = scene.hub.app_keys()[0].id;
    let new = click(&scene, "keys").await;
    click(&scene, &format!("keys/{leaked}/delete")).await;
    let run_out = scene.hub.fault(Fault::on(LIST).bad_credentials());
    let amid = scene.ask(harmless("lee"));
    // The token that it has runs out, and no other one is to be had.
    until("it was tried", || async {
        let calls = scene.hub.calls_of(common::ACCESS_TOKEN);
        calls.iter().any(|call| call.status == Some(401)).then_some(())
    })
    .await;
    assert_eq!(scene.on_github(amid.request_id), "pending");
    let (said, code) = doctor(&scene).await;
    assert!(said.contains("GitHub does not accept the key for App") && code == 1, "{said}");
    assert!(said.contains("A JSON web token could not be decoded"), "{said}");
    assert!(said.contains("or deleted"), "{said}");

    fs::write(scene.path("app.pem"), new).unwrap();
    scene.hub.clear_fault(run_out);
    assert_eq!(terminated(child).await.status.code(), Some(0));
    let child = started(&scene);
    until_approved(&scene, amid).await;
    assert_eq!(scene.reviews(amid.request_id), (1, 0));
    assert!(doctor(&scene).await.0.contains("GitHub knows the App"));
    assert_eq!(terminated(child).await.status.code(), Some(0));
    scene.leave().await;
}

#[test]
fn shells_complete_every_command_and_the_manual_has_a_page_of_each() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, error, code) = patwarden(&["completions", shell]);
        assert_eq!((error.as_str(), code), ("", 0));
        for command in cli::command().get_subcommands() {
            assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (_, _, code) =
        patwarden(&["man", "--dir", &folder.path().join("man1").display().to_string()]);
    assert_eq!(code, 0);
    let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    assert!(page("patwarden-requests-approve.1").contains("override"));
    assert!(page("patwarden.1").contains("patwarden\\-serve(1)"));
    let (one, _, _) = patwarden(&["man"]);
    assert!(one.starts_with(".ie") && one.contains(".TH patwarden 1"), "{one}");
}

#[test]
fn the_version_is_told_and_nothing_is_coloured_for_a_pipe() {
    let (version, _, code) = patwarden(&["--version"]);
    assert!(version.starts_with(concat!("patwarden ", env!("CARGO_PKG_VERSION"))) && code == 0);
    let rules = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(rules.path(), "schema = 1\nfoo = 2\n").unwrap();
    let path = rules.path().display().to_string();
    for arguments in [vec!["--help"], vec!["rules", "check", &path], vec!["nonsense"]] {
        let (out, error, _) = patwarden(&arguments);
        assert!(
            !out.contains('\u{1b}') && !error.contains('\u{1b}'),
            "{arguments:?}: {out}{error}"
        );
    }
}

/// The links to further pages name the server as it was asked for, with the path of its API.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_several_pages_are_read_to_their_end_on_a_github_enterprise_server() {
    let mut scene = Set::default().hub(|hub| hub.rate_limit = None).without_bot().await;
    let url = scene.hub.ghes_url().replace("127.0.0.1", "localhost");
    scene.change(|set| set.flags.push(("api-url", url)));
    let asked: Vec<_> =
        (0..130).map(|number| scene.ask(writing("kim").named(&format!("n{number}")))).collect();
    scene.start().await;
    for ids in asked {
        scene.until_left_to_people(ids.request_id).await;
    }
    let calls = scene.hub.calls_of(LIST);
    assert!(calls.iter().any(|call| call.query.contains("page=2")));
    assert!(calls.iter().all(|call| call.status == Some(200) && call.installation.is_some()));
    scene.end().await;
}

/// A GitHub Enterprise Server has its API below a path, counts no calls, and is known by a name.
#[cfg(feature = "demo")]
#[test]
fn the_demonstration_passes_on_a_github_enterprise_server() {
    let (out, error, code) = patwarden(&["demo", "--once", "--api-path", "/api/v3"]);
    assert_eq!(code, 0, "{out}{error}");
    let line = out.lines().next().unwrap();
    let (_, rest) = line.split_once("A fake GitHub at http://localhost:").unwrap();
    let (port, rest) = rest.split_once('/').unwrap();
    assert!(rest.starts_with("api/v3 with"), "{line}");
    assert!(out.contains("outcomes are in GitHub's state as the script says"), "{out}");
    assert!(out.contains(&format!("http://localhost:{port}/organizations/acme")), "{out}");
    assert!(!out.contains(&format!("127.0.0.1:{port}")), "by its name alone: {out}");
    assert!(!out.contains(&format!("localhost:{port}/api/v3/organizations")), "{out}");
}
