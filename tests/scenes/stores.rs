//! The record cannot be written: GitHub is told so, nothing is lost, nothing is approved from memory.

use std::{fs, path::Path, time::Duration};

use patwarden::{
    clock::Clock,
    engine::lifecycle::{Outcome, State},
    store::{Accepted, Delivery, Store, UNNAMED_EVENT},
};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::{REVIEW, RULES, Scene, Set, harmless, soon, until, until_within, writing};

async fn connection(path: &std::path::Path) -> sqlx::SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

#[tokio::test]
async fn while_deliveries_cannot_be_kept_github_hears_503_and_nothing_is_lost() {
    let scene = Set::default().flag("reconcile-interval", "60s").open().await;
    let mut locker = connection(&scene.deliveries_path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut locker).await.unwrap();
    let refused = scene.ask(harmless("kim"));
    until_within(Duration::from_secs(15), "GitHub hears of it", || async {
        scene.hub.deliveries().iter().any(|one| one.status_code == 503).then_some(())
    })
    .await;
    assert_eq!(scene.on_github(refused.request_id), "pending");
    assert_eq!(scene.calls(REVIEW), 0);
    sqlx::query("ROLLBACK").execute(&mut locker).await.unwrap();
    // GitHub does not send it again by itself. Somebody clicks, or reconciling finds the request.
    let failed = scene.hub.deliveries().into_iter().find(|one| one.status_code == 503).unwrap();
    scene.hub.redeliver(&failed.guid).unwrap();
    scene.until_it_stands(refused.request_id, "approved by a rule").await;
    let later = scene.ask(harmless("lee"));
    scene.until_it_stands(later.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn while_the_record_is_locked_deliveries_are_taken_and_read_afterwards() {
    let scene = Set::default().open().await;
    let mut locker = connection(&scene.store_path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut locker).await.unwrap();
    let asked = scene.ask(harmless("kim"));
    soon("it is delivered", scene.hub.webhooks_sent()).await;
    assert_eq!(scene.hub.deliveries().last().unwrap().status_code, 202);
    // Longer than the bot waits for its turn.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert!(scene.row(asked.request_id).await.is_none());
    assert_eq!(scene.store().backlog().await.unwrap().unprocessed, 1);
    sqlx::query("ROLLBACK").execute(&mut locker).await.unwrap();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

/// A delivery that only its being read can tell of: no list shows it.
async fn one_more_is_read(scene: &Scene, number: u8) {
    let before = scene.store().backlog().await.unwrap().unread;
    let delivery = Delivery {
        guid: vec![number; 16],
        hook_id: 1,
        event: UNNAMED_EVENT,
        body: Vec::new(),
        received_at: scene.clock.now(),
    };
    assert_eq!(scene.store().accept(delivery).await.unwrap(), Accepted::New);
    scene.bot().engine.wake();
    until("it is read", || async {
        (scene.store().backlog().await.unwrap().unread > before).then_some(())
    })
    .await;
}

fn remove(file: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", file.display()));
    }
}

#[tokio::test]
async fn after_either_file_was_lost_or_is_older_than_the_other_what_comes_in_is_read() {
    let mut scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.until_idle().await;
    scene.stop().await;
    let backup = scene.path("backup");
    fs::copy(scene.deliveries_path(), &backup).unwrap();
    scene.start().await;
    one_more_is_read(&scene, 1).await;
    scene.stop().await;
    // Lost.
    remove(&scene.deliveries_path());
    scene.start().await;
    one_more_is_read(&scene, 2).await;
    scene.stop().await;
    // Older.
    remove(&scene.deliveries_path());
    fs::copy(&backup, scene.deliveries_path()).unwrap();
    scene.start().await;
    one_more_is_read(&scene, 3).await;
    // No second gap where there is none.
    scene.stop().await;
    let mut deliveries = connection(&scene.deliveries_path()).await;
    let count = "SELECT COUNT(*) FROM deliveries";
    let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut deliveries).await.unwrap();
    scene.start().await;
    let again: i64 = sqlx::query_scalar(count).fetch_one(&mut deliveries).await.unwrap();
    assert_eq!(again, rows);
    deliveries.close().await.unwrap();
    scene.stop().await;
    // The other one: all is read again, and nothing is done again.
    remove(&scene.store_path());
    scene.start().await;
    let row = scene.until_settled(asked.request_id).await;
    assert!(matches!(row.state, State::Settled(Outcome::Approved, _)), "{}", row.state);
    one_more_is_read(&scene, 4).await;
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn a_record_that_is_locked_between_decision_and_call_stops_the_call() {
    let scene = Set::default().open().await;
    let held = scene.hub.hold(fakehub::Hold::after(crate::common::MEMBERSHIP));
    let asked = scene.ask(harmless("kim"));
    soon("facts are read", held.reached()).await;
    let mut locker = connection(&scene.store_path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut locker).await.unwrap();
    held.release();
    // Longer than the bot waits for its turn.
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(5_500) {
        assert_eq!(scene.calls(REVIEW), 0, "what is not recorded is not sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sqlx::query("ROLLBACK").execute(&mut locker).await.unwrap();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    assert_eq!(scene.reviews(asked.request_id), (1, 0));
    scene.end().await;
}

#[tokio::test]
async fn while_the_record_is_full_nothing_is_acknowledged_and_nothing_is_sent() {
    // The writing connection is the bot's own, so the limit that it obeys must be in the file: a trigger
    // raises what a full disk raises, for every row.
    let scene = Set::default().open().await;
    let mut other = connection(&scene.store_path()).await;
    let mut deliveries = connection(&scene.deliveries_path()).await;
    let full = |name: &str, table: &str| {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "CREATE TRIGGER full_{name} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )))
    };
    full("a", "delivery_keys").execute(&mut deliveries).await.unwrap();
    for (name, table) in [("b", "requests"), ("c", "decisions"), ("d", "effects")] {
        full(name, table).execute(&mut other).await.unwrap();
    }
    let refused = scene.ask(harmless("kim"));
    until("GitHub hears of it", || async {
        scene.hub.deliveries().iter().any(|one| one.status_code == 503).then_some(())
    })
    .await;
    assert_eq!(scene.on_github(refused.request_id), "pending");
    assert_eq!(scene.calls(REVIEW), 0);
    // Room for deliveries, and for nothing else: known, and not acted on.
    sqlx::query("DROP TRIGGER full_a").execute(&mut deliveries).await.unwrap();
    let known = scene.ask(harmless("lee"));
    soon("it is delivered", scene.hub.webhooks_sent()).await;
    assert!(scene.store().backlog().await.unwrap().unprocessed > 0);
    sqlx::query("DROP TRIGGER full_b").execute(&mut other).await.unwrap();
    until("lee's request is known", || async { scene.row(known.request_id).await }).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(scene.calls(REVIEW), 0, "a decision that cannot be recorded is not sent");
    for name in ["c", "d"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER full_{name}")))
            .execute(&mut other)
            .await
            .unwrap();
    }
    scene.until_it_stands(known.request_id, "approved by a rule").await;
    scene.bot().engine.reconcile_soon();
    scene.until_it_stands(refused.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn a_file_that_may_not_grow_refuses_and_keeps_what_it_has() {
    // SQLite itself says FULL: the limit on pages is a property of a connection, so the store's statements
    // are tried against a file whose pages are all taken.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.sqlite");
    let store = Store::open(&path).await.unwrap();
    let delivery = |number: u8| Delivery {
        guid: vec![number; 16],
        hook_id: 1,
        event: "personal_access_token_request",
        body: vec![b'x'; 1_000],
        received_at: Clock::system().now(),
    };
    assert_eq!(store.accept(delivery(1)).await.unwrap(), Accepted::New);
    assert_eq!(store.accept(delivery(1)).await.unwrap(), Accepted::SeenBefore);
    store.close().await;
    let mut connection = connection(&folder.path().join("full.sqlite.deliveries")).await;
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut connection).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")))
        .execute(&mut connection)
        .await
        .unwrap();
    let mut refused = 0;
    for number in 2..100_u8 {
        let inserted = sqlx::query(
            "INSERT INTO deliveries (received_at, guid, hook_id, event, body) VALUES (1, $1, 1, 'x', $2)",
        )
        .bind(vec![number; 16])
        .bind(vec![b'x'; 4_000])
        .execute(&mut connection)
        .await;
        refused += usize::from(inserted.is_err());
    }
    assert!(refused > 90, "{refused}");
    connection.close().await.unwrap();
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.accept(delivery(1)).await.unwrap(), Accepted::SeenBefore);
    assert_eq!(store.accept(delivery(200)).await.unwrap(), Accepted::New);
    store.close().await;
}

#[tokio::test]
async fn the_record_and_all_that_lies_beside_it_can_be_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_settled(asked.request_id).await;
    for entry in std::fs::read_dir(scene.folder()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("patwarden.sqlite") {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            // The locks too: who can open one can hold it, and keep us from starting.
            let only_ours = if entry.file_type().unwrap().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, only_ours, "{name} has {mode:o}");
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn nothing_secret_is_in_the_record() {
    let scene = Set::default().open().await;
    let asked = scene.ask(harmless("kim"));
    scene.until_settled(asked.request_id).await;
    let secret = scene.hub.app().webhook_secret.clone();
    let key = scene.hub.app().private_key_pem.lines().nth(2).unwrap().to_owned();
    let files = ["patwarden.sqlite", "patwarden.sqlite.deliveries"];
    for name in files.into_iter().flat_map(|name| [name.to_owned(), format!("{name}-wal")]) {
        let bytes = std::fs::read(scene.path(&name)).unwrap_or_default();
        for needle in [secret.as_str(), key.as_str(), "ghs_", "eyJ"] {
            let found = bytes.windows(needle.len()).any(|some| some == needle.as_bytes());
            assert!(!found, "{needle} is in {name}");
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn a_decision_that_cannot_be_read_any_more_keeps_nobody_else_waiting() {
    let scene = Set::default().open().await;
    let asked = scene.ask(writing("ada"));
    scene.until_left_to_people(asked.request_id).await;
    let mut other = connection(&scene.store_path()).await;
    sqlx::query("UPDATE decisions SET facts = 'of another version'")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::query("UPDATE requests SET listed = 'of another version'")
        .execute(&mut other)
        .await
        .unwrap();
    other.close().await.unwrap();
    // Other rules: what waits is judged again, and compared with what was decided before.
    scene.new_rules(&RULES.replace("contents = \"read\"", "contents = \"write\""));
    scene.bot().engine.reconcile_soon();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    let later = scene.ask(harmless("kim"));
    scene.until_it_stands(later.request_id, "approved by a rule").await;
    scene.end().await;
}
