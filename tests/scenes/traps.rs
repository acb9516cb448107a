//! The nine traps of our dependencies: each is walked into on purpose, or it is said how it is shut out.
//!
//! 1. A page after the first is asked for without credentials off github.com:
//!    [`the_second_page_of_every_list_carries_credentials`].
//! 2. A POST is sent again by the client: [`one_502_on_a_review_is_one_post`].
//! 3. The client waits for ever: [`a_mute_github_is_given_up_on`].
//! 4. A cancelled `begin` leaves a transaction open on PostgreSQL: shut out, there is no PostgreSQL here yet, and
//!    accepts are committed by a task of their own: [`a_client_that_hangs_up_leaves_no_transaction_open`].
//! 5. SQLite before 3.51.3 may lose data: [`sqlite_is_new_enough`]; the store refuses to open with an older one.
//! 6. A mail server that is mute: lettre's own limit is over connecting only, so ours is over all of it; a test beside
//!    `src/notify/mail.rs` shows it.
//! 7. Schedules that lose or double a day: `cron` is asked on the wall's clock alone, and the tests in
//!    `src/rules/timetable.rs` sweep ten zones over two years.
//! 8. Half a request's head is held open for ever: [`half_a_head_is_closed_and_so_is_silence`].
//! 9. octocrab's own types lose fields, and its `InstallationPermissions` knows none of ours: we have our own;
//!    [`fields_that_octocrab_does_not_know_reach_the_rules`].
//!
//! What has traps and is not needed is not compiled in: [`what_has_traps_and_is_not_needed_is_not_there`].

use std::time::{Duration, Instant};

use fakehub::{Fault, TokenSpec};
use patwarden::server::WEBHOOK_PATH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::{
    GRANT_REPOSITORIES, LIST, REPOSITORIES, REVIEW, Set, TEAM, harmless, until, writing,
};

#[tokio::test]
async fn the_second_page_of_every_list_carries_credentials() {
    for numeric_links in [true, false] {
        let mut scene = Set::default()
            .hub(|hub| hub.switches.numeric_links = numeric_links)
            .rules(
                r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.crowd]
when.owner.teams = ["crowd"]
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
"#,
            )
            .without_bot()
            .await;
        let names: Vec<String> = (0..130).map(|number| format!("repo-{number}")).collect();
        let crowd: Vec<String> = (0..130).map(|number| format!("person-{number}")).collect();
        scene.hub.world(|world| {
            let mut acme = world.add_organization("acme");
            acme.repositories(names.iter().map(|name| fakehub::Repo::private(name)));
            acme.team("crowd", &crowd);
        });
        // A list of three pages, a team of two, and a token for two pages of repositories.
        let mut asked = Vec::new();
        for number in 0..230 {
            asked.push(scene.ask(writing("kim").named(&format!("n{number}"))).request_id);
        }
        let many = scene.ask(harmless("person-129").on(&names));
        scene.start().await;
        scene.until_it_stands(many.request_id, "approved by a rule").await;
        for request in asked {
            scene.until_left_to_people(request).await;
        }
        for operation in [LIST, TEAM, REPOSITORIES, GRANT_REPOSITORIES] {
            let calls = scene.hub.calls_of(operation);
            let later: Vec<_> = calls.iter().filter(|call| call.query.contains("page=2")).collect();
            assert!(!later.is_empty(), "{operation} has a second page");
            for call in calls {
                assert_eq!(call.status, Some(200), "{operation}?{}", call.query);
                assert!(
                    call.installation.is_some(),
                    "{operation}?{} came without credentials",
                    call.query
                );
            }
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn the_second_page_carries_credentials_under_a_path_as_well() {
    let mut scene = Set::default().without_bot().await;
    let url = scene.hub.ghes_url();
    scene.change(|set| set.flags.push(("api-url", url)));
    let asked: Vec<u64> = (0..130)
        .map(|number| scene.ask(writing("kim").named(&format!("n{number}"))).request_id)
        .collect();
    scene.start().await;
    for request in asked {
        scene.until_left_to_people(request).await;
    }
    assert!(scene.hub.calls_of(LIST).iter().all(|call| call.status == Some(200)));
    assert!(scene.hub.calls_of(LIST).iter().any(|call| call.query.contains("page=2")));
    scene.end().await;
}

#[tokio::test]
async fn one_502_on_a_review_is_one_post() {
    let scene = Set::default().open().await;
    let fault = scene.hub.fault(Fault::on(REVIEW).status(502).times(1));
    let asked = scene.ask(harmless("kim"));
    until("the review fails", || async { (scene.hub.fault_fired(fault) == 1).then_some(()) }).await;
    until("the failure is recorded", || async {
        scene.row(asked.request_id).await.filter(|row| row.failures > 0)
    })
    .await;
    let listed = scene.calls(LIST);
    assert_eq!(scene.calls(REVIEW), 1);
    scene.time_passes_until_settled(asked.request_id).await;
    assert_eq!(scene.calls(REVIEW), 2);
    assert!(scene.calls(LIST) > listed, "the state was read before the second");
    scene.end().await;
}

#[tokio::test]
async fn a_mute_github_is_given_up_on() {
    let scene = Set::default().flag("github-timeout", "300ms").open().await;
    let fault = scene.hub.fault(Fault::on(LIST).mute());
    let asked = scene.ask(harmless("kim"));
    let began = Instant::now();
    until("the failure is recorded", || async {
        scene.row(asked.request_id).await.filter(|row| row.failures > 0)
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    scene.hub.clear_fault(fault);
    scene.time_passes_until_settled(asked.request_id).await;
    scene.end().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_transaction_open() {
    let scene = Set::default().open().await;
    let body = serde_json::json!({ "action": "nonsense" }).to_string();
    let signature = fakehub::signature(&scene.hub.app().webhook_secret, body.as_bytes());
    for number in 0..200 {
        let mut stream = tokio::net::TcpStream::connect(scene.bot().address).await.unwrap();
        let head = format!(
            "POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-GitHub-Event: personal_access_token_request\r\nX-GitHub-Delivery: hang-up-{number}\r\n\
             X-Hub-Signature-256: {signature}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Gone before the answer, and with a reset.
        stream.set_zero_linger().unwrap();
        drop(stream);
    }
    let asked = scene.ask(harmless("kim"));
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn sqlite_is_new_enough() {
    use sqlx::ConnectOptions as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().in_memory(true);
    let mut connection = options.connect().await.unwrap();
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.unwrap();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
    let version = [parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap()];
    assert!(version >= [3, 51, 3], "{version:?}");
}

#[test]
fn what_has_traps_and_is_not_needed_is_not_there() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    for name in ["openssl", "openssl-sys", "rsa"] {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} came in");
    }
    // octocrab's own retries need tower's `retry`, which its feature of that name brings.
    let manifest =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let octocrab = manifest.lines().find(|line| line.starts_with("octocrab = ")).unwrap();
    assert!(octocrab.contains("default-features = false"), "{octocrab}");
    assert!(!octocrab.contains("\"retry\""), "{octocrab}");
}

#[tokio::test]
async fn half_a_head_is_closed_and_so_is_silence() {
    let scene = Set::default().open().await;
    let address = scene.bot().address;
    let attempts = ["", "POST ", "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nX-Hub"].map(
        |head| async move {
            let began = Instant::now();
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let closed =
                tokio::time::timeout(Duration::from_secs(12), stream.read_to_end(&mut answer))
                    .await;
            assert!(closed.is_ok(), "`{head}` is held open after {:?}", began.elapsed());
            assert!(!String::from_utf8_lossy(&answer).contains(" 2"), "{answer:?}");
        },
    );
    futures_util::future::join_all(attempts).await;
    scene.end().await;
}

#[tokio::test]
async fn fields_that_octocrab_does_not_know_reach_the_rules() {
    // Permissions, the reason and the token's name decide here: octocrab's own types have none of them.
    let scene = Set::default()
        .rules(
            r#"schema = 1
mode = "enforce"
[default]
decision = "escalate"
to = "owners"
[approve.named]
when.token.name.matches = "ci-.*"
when.request.reason.matches = "CHG-[0-9]+"
allow.lifetime = "90d"
allow.repositories = ["*"]
allow.permissions.repository = { contents = "read" }
"#,
        )
        .open()
        .await;
    let yes = scene.ask(harmless("kim").named("ci-build").because("CHG-42: nightly build"));
    let other_name = scene.ask(harmless("kim").named("build").because("CHG-42: nightly build"));
    let other_reason = scene.ask(harmless("kim").named("ci-build").because("please"));
    let more = scene.ask(writing("kim").named("ci-build").because("CHG-42: nightly build"));
    scene.until_it_stands(yes.request_id, "approved by a rule").await;
    for ids in [other_name, other_reason, more] {
        scene.until_left_to_people(ids.request_id).await;
    }
    let never = scene.ask(TokenSpec::never_expires(
        harmless("kim").named("ci-build").because("CHG-42: nightly build"),
    ));
    scene.until_left_to_people(never.request_id).await;
    scene.end().await;
}
