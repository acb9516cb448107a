//! Set-ups that are broken, each in one way, and what `patwarden doctor` says of them: the real program on a fake GitHub.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::{
    RULES, Scene, Set, harmless,
    shell::{command, run, said as said_by},
    soon, until,
};
use fakehub::{ContentType, Fault, Repo};
use patwarden::store::PolicyInForceRow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What it says with these changes to the environment, and its exit code.
async fn doctor(scene: &Scene, changed: &[(&str, &str)]) -> (String, i32) {
    let mut command = command(scene, "patwarden doctor");
    command.env("GITHUB_WEBHOOK_SECRET", &scene.hub.app().webhook_secret);
    command.envs(changed.iter().copied());
    let ended = soon("doctor", tokio::task::spawn_blocking(move || command.output())).await;
    let (out, error, code) = said_by(ended.unwrap().unwrap());
    (format!("{out}{error}"), code)
}

/// A bot that has looked around and was stopped, with its webhooks at the right place.
async fn set_up(set: Set) -> Scene {
    let scene = set.open().await;
    scene.looked_around().await;
    scene.hub.set_webhook_url("https://warden.example/webhooks/github");
    scene
}

fn whole() -> Set {
    Set::default().hub(|hub| {
        *hub = std::mem::take(hub)
            .rules_in_a_repository()
            .asks_by_issue()
            .app_events(["organization", "membership"]);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_in_order_is_well_and_nothing_is_changed_by_looking() {
    let scene = set_up(whole()).await;
    let calls = scene.hub.revocations("acme").len();
    let (said, code) = doctor(&scene, &[]).await;
    assert_eq!(code, 0, "{said}");
    for part in ["GitHub knows the App", "webhooks go to https://warden.example", "rules in force"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(scene.hub.revocations("acme").len(), calls);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_name_themselves() {
    let scene = set_up(Set::default()).await;
    let (said, code) = doctor(&scene, &[("GITHUB_APP_ID", "seven")]).await;
    assert!(code == 2 && said.contains("GITHUB_APP_ID"), "{said}");
    let key = scene.path("broken.pem");
    std::fs::write(&key, "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
        .unwrap();
    let (said, code) =
        doctor(&scene, &[("GITHUB_APP_PRIVATE_KEY_PATH", key.to_str().unwrap())]).await;
    assert!(code != 0 && said.contains("private key"), "{said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_another_apps_id_and_a_github_that_is_not_there_are_told_apart() {
    let scene = set_up(Set::default()).await;
    scene.hub.fault(Fault::on("apps/get-authenticated").status(401).times(1));
    let (said, code) = doctor(&scene, &[]).await;
    assert!(code == 1 && said.contains("does not accept the key"), "{said}");
    let (said, code) = doctor(&scene, &[("GITHUB_APP_ID", "424242")]).await;
    assert!(code == 1 && said.contains("App 424242"), "{said}");
    let (said, code) = doctor(&scene, &[("GITHUB_API_URL", "http://127.0.0.1:1")]).await;
    assert!(code == 1 && said.contains("can be reached from here"), "{said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_app_may_not_do_where_its_webhooks_go_and_a_suspension_are_seen() {
    let scene = set_up(Set::default()).await;
    let (said, _) = doctor(&scene, &[]).await;
    let left_out = "it was registered without: questions to reviewers on issues";
    assert!(said.contains(left_out) && said.contains("settings page: issues: write"), "{said}");
    // The same App with rules that ask on issues.
    let rules = scene.path("asking.toml");
    let desk = "[reviewers.desk]\nnotify = [\"issue:acme/web\"]\nmay_decide.roles = [\"owner\"]\n";
    std::fs::write(&rules, format!("{}{desk}", RULES.replace("\"owners\"", "\"desk\""))).unwrap();
    let (said, code) = doctor(&scene, &[("PATWARDEN_RULES", rules.to_str().unwrap())]).await;
    assert!(code == 1 && !said.contains(left_out), "{said}");
    for part in
        ["ask for the permission issues: write", "The rules of acme ask reviewers on issues."]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    scene.hub.set_webhook_url("https://warden.example/github");
    scene.hub.set_webhook_content_type(ContentType::Form);
    let (said, code) = doctor(&scene, &[]).await;
    assert!(code == 1 && said.contains("does not end with /webhooks/github"), "{said}");
    assert!(said.contains("sent as forms"), "{said}");
    scene.hub.suspend("acme", true).unwrap();
    let (said, code) = doctor(&scene, &[]).await;
    assert!(code == 1 && said.contains("acme: the installation is suspended"), "{said}");
    scene.hub.suspend("acme", false).unwrap();
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_a_broken_store_and_mail_that_goes_nowhere_are_seen() {
    let scene = set_up(Set::default()).await;
    let rules = scene.path("typo.toml");
    std::fs::write(&rules, "schema = 1\n[defualt]\n").unwrap();
    let (said, code) = doctor(&scene, &[("PATWARDEN_RULES", rules.to_str().unwrap())]).await;
    assert!(code == 1 && said.contains("acme: no rules are in force"), "{said}");
    let rubbish = scene.path("rubbish.sqlite");
    std::fs::write(&rubbish, "no store").unwrap();
    let url = format!("sqlite:{}", rubbish.display());
    let (said, code) = doctor(&scene, &[("PATWARDEN_DATABASE_URL", &url)]).await;
    assert!(code == 1 && said.contains("ERROR    store"), "{said}");
    let url = format!("sqlite:{}", scene.path("nowhere.sqlite").display());
    let (said, _) = doctor(&scene, &[("PATWARDEN_DATABASE_URL", &url)]).await;
    assert!(said.contains("there is no record"), "{said}");
    let mail =
        [("PATWARDEN_MAIL", "smtp://127.0.0.1:1"), ("PATWARDEN_MAIL_FROM", "bot@acme.example")];
    let (said, code) = doctor(&scene, &mail).await;
    assert!(code == 1 && said.contains("ERROR    mail"), "{said}");
    assert!(said.contains("no owner can be reached by mail"), "{said}");
    scene.end().await;
}

/// A server that answers everything with 401, as ours does where the secrets differ. Gives its address.
async fn refusing() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0_u8; 65_536];
            let _ = stream.read(&mut asked).await;
            let no = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(no).await;
        }
    });
    format!("http://{address}/webhooks/github")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_and_approval_that_is_not_required_show_in_what_github_sent() {
    let scene = set_up(Set::default()).await;
    scene.hub.drop_webhooks(true);
    let asked = scene.ask(harmless("kim"));
    scene.hub.drop_webhooks(false);
    scene.hub.set_webhook_url(&refusing().await);
    scene.hub.review_as("olga", asked.request_id, fakehub::Review::Approve).unwrap();
    soon("the webhook is sent", scene.hub.webhooks_sent()).await;
    let (said, code) = doctor(&scene, &[]).await;
    assert!(code == 1 && said.contains("for a signature with another secret (401)"), "{said}");
    assert!(said.contains("acme: GitHub told of 1 token that was approved"), "{said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_one_person_can_change_and_a_place_for_reviews_that_is_not_there_are_seen() {
    let rules = format!(
        "{RULES}\n[reviewers.owners]\nnotify = [\"issue:acme/questions\"]\nmay_decide.roles = [\"owner\"]\n"
    );
    for (approvals, seen) in [
        (None, "a change of acme/rules (main) needs no review"),
        (Some(0), "needs a pull request, and nobody's approval"),
        (Some(1), "needs a pull request with 1 or more approvals"),
    ] {
        let mut scene = Set::default()
            .hub(|hub| *hub = std::mem::take(hub).rules_in_a_repository().asks_by_issue())
            .flag("rules", "github:acme/rules/rules.toml")
            .without_bot()
            .await;
        scene.hub.world(|world| {
            let mut repository = Repo::private("rules").file("rules.toml", &rules);
            if let Some(approvals) = approvals {
                repository = repository.approvals(approvals);
            }
            world.add_organization("acme").repository(repository);
        });
        scene.start().await;
        scene.looked_around().await;
        until("the rules are read", || async {
            let of = scene.organization("acme");
            scene.bot().engine.policies().in_force(&of).broken.is_none().then_some(())
        })
        .await;
        let place = ("PATWARDEN_RULES", "github:acme/rules/rules.toml");
        let (said, _) = doctor(&scene, &[place]).await;
        assert!(said.contains(seen), "{said}");
        assert!(said.contains("asked in acme/questions, which is not there"), "{said}");
        scene.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rules_in_a_repository_it_says_what_serve_found_out() {
    let mut scene = Set::default()
        .hub(|hub| *hub = std::mem::take(hub).rules_in_a_repository())
        .flag("rules", "github:acme/rules/rules.toml")
        .without_bot()
        .await;
    scene.hub.world(|world| {
        let repository = Repo::private("rules").file("rules.toml", RULES);
        world.add_organization("acme").repository(repository);
    });
    scene.start().await;
    scene.looked_around().await;
    let place = ("PATWARDEN_RULES", "github:acme/rules/rules.toml");
    let recorded = async |broken: bool| {
        until("it is on record", || async {
            let rows = scene.store().policies_in_force().await.unwrap();
            let is = |row: &PolicyInForceRow| row.hash.is_some() && row.broken.is_some() == broken;
            rows.iter().any(is).then_some(())
        })
        .await;
        doctor(&scene, &[place]).await.0
    };
    let said = recorded(false).await;
    assert!(said.contains("rules in force, mode"), "{said}");
    let broken = [("rules.toml", Some("schema = 1\n[approve.all]\nwhen.everything = true\n"))];
    scene.hub.commit("acme", "rules", "main", "olga", "oops", broken).unwrap();
    let said = recorded(true).await;
    assert!(said.contains("ERROR    acme: its rules"), "{said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_start_it_says_so_and_nothing_is_wrong_that_cannot_be_right_yet() {
    let mut scene = Set::default().without_bot().await;
    // GitHub tells of the installation, and nobody is there to hear it.
    scene.hub.set_webhook_url("https://warden.example/webhooks/github");
    scene.hub.ping();
    soon("the webhook is sent", scene.hub.webhooks_sent()).await;
    let url = format!("sqlite:{}", scene.path("not-yet.sqlite").display());
    let (said, code) = doctor(&scene, &[("PATWARDEN_DATABASE_URL", &url)]).await;
    assert_eq!(code, 0, "{said}");
    let second = said.lines().nth(1).unwrap();
    assert!(second.contains("patwarden has not run yet"), "before all that hangs on it: {said}");
    assert!(said.contains("acme: 2 rules in force, mode enforce"), "those on the disk: {said}");
    assert!(said.ends_with("Start `patwarden serve`, and run this again.\n"), "{said}");
    assert!(!said.contains("reached nobody"), "{said}");
    assert!(!scene.path("not-yet.sqlite").exists(), "looking makes nothing");
    let place = ("PATWARDEN_RULES", "github:acme/rules/rules.toml");
    let elsewhere = [("PATWARDEN_DATABASE_URL", url.as_str()), place];
    let (said, _) = doctor(&scene, &elsewhere).await;
    let read = "note     acme: its rules are at github:acme/rules/rules.toml, and are read by";
    assert!(said.contains(read), "{said}");
    let broken = scene.path("broken.toml");
    std::fs::write(&broken, "schema = 1\n[defualt]\n").unwrap();
    let broken = ("PATWARDEN_RULES", broken.to_str().unwrap());
    let (said, code) = doctor(&scene, &[("PATWARDEN_DATABASE_URL", &url), broken]).await;
    assert!(code == 1 && said.contains("ERROR    acme: no rules are in force"), "{said}");
    scene.start().await;
    scene.looked_around().await;
    let (said, code) = doctor(&scene, &[]).await;
    assert!(code == 1 && said.contains("reached nobody in time"), "by then it counts: {said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_send_mail_where_none_is_set_up_are_a_warning_that_says_what_is_never_sent() {
    let scene = set_up(whole()).await;
    let (said, code) = doctor(&scene, &[]).await;
    assert!(code == 0 && said.contains("note     mail: it is not set up"), "{said}");
    let rules = scene.path("telling.toml");
    let more = "[digest]\nto = [\"owners\"]\nat = \"08:00 UTC\"\n[revoke.unused]\nwhen.unused_for = \"90d\"\ngrace = \"14d\"\nmax_per_run = 5\n";
    std::fs::write(&rules, format!("{RULES}{more}")).unwrap();
    let rules = ("PATWARDEN_RULES", rules.to_str().unwrap());
    let (said, code) = doctor(&scene, &[rules]).await;
    let warned = "WARNING  mail: it is not set up, and the rules of acme have something sent by mail: the [digest], the \
                  notices of [revoke.unused]";
    assert!(code == 1 && said.contains(warned), "{said}");
    assert!(said.contains("Set PATWARDEN_MAIL"), "{said}");
    let folder = format!("folder:{}", scene.path("mail").display());
    let mail = [("PATWARDEN_MAIL", folder.as_str()), ("PATWARDEN_MAIL_FROM", "bot@acme.example")];
    let (said, _) = doctor(&scene, &[rules, mail[0], mail[1]]).await;
    assert!(!said.contains("it is not set up"), "{said}");
    let mut command = command(&scene, "patwarden doctor --send-test olga@acme.example");
    command.env("GITHUB_WEBHOOK_SECRET", &scene.hub.app().webhook_secret);
    let ended = soon("doctor", tokio::task::spawn_blocking(move || command.output())).await;
    let (said, _, code) = said_by(ended.unwrap().unwrap());
    assert!(code == 1 && said.contains("no test was sent to olga@acme.example"), "{said}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_webhooks_are_missing_as_the_list_of_failed_ones_has() {
    let scene = set_up(Set::default()).await;
    // Two that would be read reach nobody, and a third that says nothing; the next one arrives.
    scene.ask(harmless("kim"));
    scene.ask(harmless("lee"));
    scene.hub.ping();
    soon("they are sent", scene.hub.webhooks_sent()).await;
    let address = format!("http://{}/webhooks/github", scene.bot().address);
    scene.hub.set_webhook_url(&address);
    scene.ask(harmless("kim"));
    soon("it is sent", scene.hub.webhooks_sent()).await;
    let (said, _) = doctor(&scene, &[]).await;
    assert!(said.contains("before it did not and are missing"), "{said}");
    assert!(said.contains("the newest webhook arrived; 2 of the "), "{said}");
    let (listed, _, _) = run(&scene, "patwarden deliveries list --failed --json", "").await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    scene.end().await;
}
