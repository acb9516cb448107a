//! Forgetting a person: whatever names them goes from every table, and nothing of anybody else's goes with it.

use std::path::Path;

use fakehub::{Repo, RequestIds};
use patwarden::store::MailState;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    asking::{REVIEWS, asked, decides, rules, say, until_said},
    common::{Scene, Set, administrating, harmless, shell::run, until, writing},
};

const ASKED: &str = "[reviewers.owners]\nnotify = [\"issue:acme/token-reviews\", \"email:owners\", \"email:reviewers\"]\n\
    may_decide.roles = [\"owner\"]\nmay_decide.teams = [\"reviewers\"]\n\
    [approve.docs]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\nallow.repositories = [\"docs\"]\n\
    allow.permissions.repository = { contents = \"read\" }\n";

/// Chiara reviews, and Olga is an owner. Mail goes into a folder.
const SETTINGS: &str = "rules = \"{dir}/rules.toml\"\nmail = \"folder:{dir}/mail\"\n\
    mail-from = \"patwarden <bot@acme.example>\"\n\
    [addresses]\nchiara = \"cc@acme.example\"\nolga = \"olga@acme.example\"\n";

/// What people said and did who are not forgotten, and ran.
const OF_OTHERS: &[&str] = &[
    "SELECT json_group_array(json_array(request, facts, decision, trace)) FROM decisions \
      WHERE json_extract(request, '$.owner.login') <> 'chiara' AND json_extract(request, '$.owner.id') > 0",
    "SELECT json_group_array(json_array(request_id, login, user_id, verdict, comment, url)) FROM escalation_votes WHERE login = 'olga'",
    "SELECT json_group_array(json_array(operator, reason)) FROM reviews WHERE operator LIKE '@olga%'",
    "SELECT json_group_array(json_array(actor, token_name, owner_login)) FROM requests WHERE owner_login = 'ben'",
    "SELECT json_group_array(json_array(planned_by, confirmed_by, reason)) FROM revocations",
    "SELECT json_group_array(json_array(held_by, why)) FROM holds",
    "SELECT json_group_array(recipient) FROM mails WHERE recipient = 'olga@acme.example'",
];

async fn opened() -> Scene {
    let mut set = Set::default().rules(&rules(ASKED)).hub(|hub| *hub = hub.clone().asks_by_issue());
    set.file = Some(SETTINGS.to_owned());
    let mut scene = set.without_bot().await;
    scene.hub.world(|world| {
        world
            .add_organization("acme")
            .team("reviewers", ["chiara"])
            .repository(Repo::private(REVIEWS));
    });
    scene.start().await;
    scene.looked_around().await;
    scene
}

async fn connected(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

pub(crate) async fn sql(scene: &Scene, statement: &'static str) {
    let mut connection = connected(&scene.store_path()).await;
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn of_others(scene: &Scene) -> Vec<String> {
    let mut connection = connected(&scene.store_path()).await;
    let mut all = Vec::new();
    for query in OF_OTHERS {
        let rows: String = sqlx::query_scalar(*query).fetch_one(&mut connection).await.unwrap();
        assert!(rows.len() > 4, "nothing to keep: {query}");
        all.push(rows);
    }
    connection.close().await.unwrap();
    all
}

/// Every column of every table of both files in which something of this stands.
async fn columns_with(scene: &Scene, names: &[&str], number: i64) -> Vec<String> {
    let mut found = Vec::new();
    for file in [scene.store_path(), scene.deliveries_path()] {
        let mut connection = connected(&file).await;
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1, 2",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert!(columns.len() > 5, "{columns:?}");
        for (table, column) in columns {
            let query = format!(
                "SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL"
            );
            let cells: Vec<Vec<u8>> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let number = number.to_string();
            if cells.iter().any(|cell| {
                let text = String::from_utf8_lossy(cell).to_lowercase();
                names.iter().any(|name| text.contains(name))
                    || text.split(|one: char| !one.is_ascii_digit()).any(|part| part == number)
            }) {
                found.push(format!("{table}.{column}"));
            }
        }
        connection.close().await.unwrap();
    }
    found
}

async fn until_written(scene: &Scene) {
    until("everybody was written to", || async {
        let mut connection = connected(&scene.store_path()).await;
        let open: i64 = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM mails WHERE state = 'waiting') \
                 + (SELECT COUNT(*) FROM revocations WHERE owners_told_at IS NULL) \
                 + (SELECT COUNT(*) FROM escalations WHERE ended_at IS NULL)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        (open == 0).then_some(())
    })
    .await;
}

async fn number_of(scene: &Scene, asked: RequestIds) -> i64 {
    scene.row(asked.request_id).await.unwrap().owner.id.0
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_names_a_forgotten_person_in_any_column_and_what_others_said_and_did_is_untouched()
{
    let scene = opened().await;
    // Chiara calls his tokens what everybody says all day.
    let named = |spec: fakehub::TokenSpec, name: &str| spec.named(name).because("for the giraffe");
    let before = scene.hub.issues("acme", REVIEWS).len();
    let chiaras = scene.ask(named(writing("chiara"), "github"));
    let issue = until("Chiara's issue", || async {
        scene.hub.issues("acme", REVIEWS).into_iter().nth(before)
    })
    .await;
    scene.until_idle().await;
    say(&scene, issue.number, "chiara", "/approve");
    say(&scene, issue.number, "olga", "/approve as an operator of github asked");
    scene.until_settled(chiaras.request_id).await;
    let denied = scene.ask(named(administrating("chiara"), "operator"));
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    // She decides about Kim's, and Olga about Ben's.
    let (kims, issue) = asked(&scene, "kim").await;
    say(&scene, issue, "chiara", "/approve for kim");
    scene.until_settled(kims.request_id).await;
    let (bens, issue) = asked(&scene, "ben").await;
    say(&scene, issue, "olga", "/approve github has it, says the operator");
    scene.until_settled(bens.request_id).await;
    scene.until_idle().await;
    sql(&scene, "UPDATE escalation_votes SET void = 'chiara may not decide any more' WHERE login = 'chiara'").await;
    let number = number_of(&scene, chiaras).await;

    // Approved, and on no list yet: who could say that the token has no access?
    let (out, _, code) = run(&scene, "patwarden store forget chiara --yes", "").await;
    assert!(out.contains("list the tokens first") && code == 1, "{out}");
    assert_eq!(run(&scene, "patwarden tokens list --org acme --refresh", "").await.2, 0);
    let (out, _, _) = run(&scene, "patwarden store forget chiara --yes", "").await;
    assert!(!out.contains("list the tokens first") && out.contains("1 token with access"), "{out}");
    let plan = "patwarden tokens revoke --org acme --owner chiara --reason \"leaving github\"";
    assert_eq!(run(&scene, plan, "").await.2, 0);
    assert_eq!(run(&scene, "patwarden tokens revoke --plan 1 --apply --yes", "").await.2, 0);
    sql(
        &scene,
        "INSERT INTO holds (organization_id, token_id, until, why, held_by, held_at) \
         SELECT organization_id, token_id, 0, 'github needs it', 'operator chiara@host (local, unverified)', 0 FROM tokens LIMIT 1",
    )
    .await;
    until_written(&scene).await;
    // The newest webhook is somebody else's.
    let adas = scene.ask(harmless("ada").on(["docs"]));
    scene.until_it_stands(adas.request_id, "approved by a rule").await;
    scene.until_idle().await;

    let names = ["chiara", "cc@acme.example", "giraffe"];
    let there = columns_with(&scene, &names, number).await;
    for column in [
        "requests.owner_login",
        "requests.actor",
        "reviews.operator",
        "escalation_votes.void",
        "review_remarks.user_id",
        "mails.key",
        "mails.recipient",
        "mails.text",
        "deliveries.body",
        "revocations.filter",
    ] {
        assert!(there.iter().any(|name| name == column), "{column}: {there:?}");
    }
    let kept = of_others(&scene).await;
    let (out, error, code) = run(&scene, "patwarden store forget chiara --yes", "").await;
    assert_eq!(code, 0, "{out}{error}");
    // No number is with an operator's name: it is an account on a machine, whoever has it.
    let excepted = ["holds.held_by"];
    let left = columns_with(&scene, &names, number).await;
    assert_eq!(left, excepted);
    for (is, was) in of_others(&scene).await.iter().zip(&kept) {
        assert_eq!(is, was);
    }
    // That somebody approved Kim's stays, under the pseudonym.
    let by = scene.stands(kims.request_id).await;
    assert!(by.starts_with("approved by @forgotten-") && by.contains(" (-"), "{by}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_another_account_had_too_stays_in_what_people_wrote() {
    let scene = opened().await;
    let (kims, issue) = asked(&scene, "kim").await;
    say(&scene, issue, "olga", "/approve kim and ben need it");
    scene.until_settled(kims.request_id).await;
    let (bens, issue) = asked(&scene, "ben").await;
    say(&scene, issue, "olga", "/deny kim has one");
    scene.until_settled(bens.request_id).await;
    until_written(&scene).await;
    let number = number_of(&scene, bens).await;
    // Ben's account was called so once.
    sql(
        &scene,
        "INSERT INTO members (organization_id, user_id, login, role, seen_at, gone_at) \
         SELECT organization_id, 77777, 'ben', 'member', 0, 1 FROM installations",
    )
    .await;
    let (_, error, code) = run(&scene, "patwarden store forget ben --yes", "").await;
    assert!(error.contains("several accounts had this login") && code == 2, "{error}");
    let line = format!("patwarden store forget --user-id {number} --yes");
    let (out, error, code) = run(&scene, &line, "").await;
    assert!(out.contains("Another account had the login ben too") && code == 0, "{out}{error}");
    let mut connection = connected(&scene.store_path()).await;
    let comments: Vec<String> =
        sqlx::query_scalar("SELECT comment FROM escalation_votes ORDER BY comment_id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(comments, ["kim and ben need it", "kim has one"]);
    let owners: Vec<String> =
        sqlx::query_scalar("SELECT owner_login FROM requests WHERE owner_id < 0")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert!(matches!(owners.as_slice(), [one] if one.starts_with("forgotten-")), "{owners:?}");
    connection.close().await.unwrap();
    // Whoever only commented is known by their number.
    sql(&scene, "INSERT INTO review_remarks (issue_id, remark_id, user_id, kind, answered, at) VALUES (1, 1, 88888, 'not-allowed', FALSE, 0)").await;
    let (out, error, code) = run(&scene, "patwarden store forget --user-id 88888 --yes", "").await;
    assert!(
        out.contains("Somebody without a known login, number 88888") && code == 0,
        "{out}{error}"
    );
    assert_eq!(columns_with(&scene, &[], 88888).await, [""; 0]);
    scene.end().await;
}

/// A digest to them names them by its address alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_waits_to_be_sent_to_their_address_is_under_way() {
    let scene = opened().await;
    let denied = scene.ask(administrating("chiara"));
    scene.until_it_stands(denied.request_id, "denied by a rule").await;
    scene.until_idle().await;
    sql(
        &scene,
        "INSERT INTO mails (key, organization_id, recipient, subject, text, html, state, due_at, created_at) \
         VALUES ('digest/1/x/CC@acme.example', 1, 'CC@acme.example', '', '', '', 'waiting', 9000000000000, 0), \
                ('digest/1/x/olga@acme.example', 1, 'olga@acme.example', '', '', '', 'waiting', 9000000000000, 0)",
    )
    .await;
    let forget = "patwarden store forget chiara --address cc@acme.example --yes";
    let (out, _, code) = run(&scene, forget, "").await;
    assert!(out.contains("1 mail to their address not sent yet") && code == 1, "{out}");
    sql(&scene, "UPDATE mails SET state = 'sent' WHERE recipient = 'CC@acme.example'").await;
    let (out, error, code) = run(&scene, forget, "").await;
    assert_eq!(code, 0, "{out}{error}");
    let left = columns_with(&scene, &["cc@acme.example"], -7).await;
    assert_eq!(left, [""; 0]);
    scene.end().await;
}

/// Why an answer does not count is said of whoever gave it, and of nobody else who had the login.
#[tokio::test(flavor = "multi_thread")]
async fn why_an_answer_of_theirs_does_not_count_names_them_no_more_also_where_others_had_the_login()
{
    let scene = opened().await;
    for (login, said) in [("kim", "chiara"), ("ben", "olga")] {
        let (asked, issue) = asked(&scene, login).await;
        say(&scene, issue, said, "/approve");
        scene.until_settled(asked.request_id).await;
    }
    until_written(&scene).await;
    // Olga was called Chiara before: of two accounts with this login only one is forgotten.
    sql(
        &scene,
        "UPDATE escalation_votes SET login = 'chiara', void = 'chiara may not decide any more'",
    )
    .await;
    let mut connection = connected(&scene.store_path()).await;
    let number: i64 = sqlx::query_scalar("SELECT MIN(user_id) FROM escalation_votes")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let whose = "SELECT json_group_array(user_id = $1) FROM (SELECT user_id FROM escalation_votes ORDER BY comment_id)";
    let whose: String =
        sqlx::query_scalar(whose).bind(number).fetch_one(&mut connection).await.unwrap();
    let line = format!("patwarden store forget --user-id {number} --yes");
    let (out, error, code) = run(&scene, &line, "").await;
    assert!(out.contains("Another account had the login chiara too") && code == 0, "{out}{error}");
    let void: Vec<String> =
        sqlx::query_scalar("SELECT void FROM escalation_votes ORDER BY comment_id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    let hidden: Vec<bool> = void.iter().map(|void| void.starts_with("forgotten-")).collect();
    let theirs: Vec<bool> = serde_json::from_str::<Vec<u8>>(&whose)
        .unwrap()
        .into_iter()
        .map(|theirs| theirs == 1)
        .collect();
    assert_eq!(hidden, theirs, "{void:?}");
    assert!(void.iter().all(|void| void.ends_with(" may not decide any more")), "{void:?}");
    assert!(void.contains(&"chiara may not decide any more".to_owned()), "{void:?}");
    scene.end().await;
}

/// Nothing that is open there ends any more, so nobody could ever be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_app_was_removed_what_is_open_goes_and_is_asked_again_as_its_requesters() {
    let scene = opened().await;
    let (chiaras, _) = asked(&scene, "chiara").await;
    until("her mail went", || async {
        scene.store().mails(MailState::Waiting, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    let number = number_of(&scene, chiaras).await;
    let forget = "patwarden store forget chiara --address cc@acme.example --yes";
    let (out, _, code) = run(&scene, forget, "").await;
    assert!(out.contains("1 request not over yet") && code == 1, "{out}");
    assert!(out.contains("1 open issue of reviewers"), "{out}");
    scene.hub.uninstall("acme").unwrap();
    until("the App is not there any more", || async {
        scene.store().installations().await.unwrap().is_empty().then_some(())
    })
    .await;
    let (out, error, code) = run(&scene, forget, "").await;
    assert_eq!(code, 0, "{out}{error}");
    assert!(
        out.contains("rows of open requests to be deleted, where the App was removed"),
        "{out}"
    );
    let names = ["chiara", "cc@acme.example"];
    assert_eq!(columns_with(&scene, &names, number).await, [""; 0]);
    assert!(scene.row(chiaras.request_id).await.is_none());

    // Installed again, it is found again, and is hers: her own answer counts as little as ever.
    scene.hub.install("acme").unwrap();
    scene.until_left_to_people(chiaras.request_id).await;
    assert_eq!(number_of(&scene, chiaras).await, number);
    let issue = until("she is asked about", || async {
        let issues = scene.hub.issues("acme", REVIEWS);
        issues.into_iter().rfind(|issue| issue.open)
    })
    .await;
    scene.until_idle().await;
    say(&scene, issue.number, "chiara", "/approve");
    until_said(&scene, issue.number, "asked for this token").await;
    assert_eq!(scene.on_github(chiaras.request_id), "pending");
    decides(&scene, chiaras, issue.number, "olga", "/approve").await;
    scene.end().await;
}
