//! The daily digest: one a day, late rather than never, to whoever can be reached, and quiet when there is nothing to say.

use std::time::Duration;

use fakehub::{Fault, Hold};
use jiff::{SignedDuration, tz::TimeZone};
use patwarden::store::{DigestRow, DigestState};

use crate::common::{MEMBERS, REVIEW, Scene, Set, harmless, until, writing};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const OLGA: &str = "[addresses]\nolga = \"olga@example.com\"\n";

fn rules(mode: &str, to: &str) -> String {
    format!(
        "schema = 1\nmode = \"{mode}\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
         [digest]\nto = {to}\nat = \"08:00 UTC\"\n"
    )
}

/// A bot with these rules, whose mail goes into a folder; it has not looked at the digest before it is asked to.
async fn opened(rules: &str, addresses: &str, settings: &[(&'static str, &str)]) -> Scene {
    let mut scene = Set::default().rules(rules).without_bot().await;
    let path = scene.path("rules.toml").display().to_string();
    let folder = format!("folder:{}", scene.path("mail").display());
    scene.change(|set| {
        set.everything_over = false;
        set.file = Some(format!("rules = \"{path}\"\n{addresses}"));
        set.flags.push(("mail", folder));
        set.flags.push(("mail-from", "patwarden@example.com".to_owned()));
        for (name, value) in settings {
            set.flags.retain(|(known, _)| known != name);
            set.flags.push((name, (*value).to_owned()));
        }
    });
    scene.start().await;
    scene.looked_around().await;
    // The bot looked for digests before it knew any organization, and looks again a moment later.
    scene.clock.push(Duration::from_secs(25));
    scene
}

/// The newest row of a digest, once there is one.
async fn row(scene: &Scene) -> DigestRow {
    let organization = scene.organization("acme").id;
    until("the digest's row", || async {
        scene.store().last_digest(organization, None).await.unwrap()
    })
    .await
}

/// Lets time pass until a little after the next eight o'clock, and gives what came of that day.
async fn the_next_morning(scene: &Scene) -> DigestRow {
    let before = row(scene).await;
    let now = scene.clock.now().to_zoned(TimeZone::UTC);
    let eight = now.date().at(8, 0, 30, 0).to_zoned(TimeZone::UTC).unwrap();
    let eight = if eight > now { eight } else { eight.tomorrow().unwrap() };
    let by = eight.timestamp().duration_since(now.timestamp());
    scene.both_clocks(Duration::try_from(by).unwrap());
    until("the day's row", || async {
        let after = row(scene).await;
        (after.date > before.date).then_some(after)
    })
    .await
}

/// The mails in the folder, oldest first: subject and text.
fn mails(scene: &Scene) -> Vec<(String, String)> {
    let Ok(files) = std::fs::read_dir(scene.path("mail")) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    files.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    files
        .iter()
        .map(|path| {
            let mail = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
            let (head, body) = mail.split_once("\n\n").unwrap();
            let subject = head.replace("\n ", " ");
            let subject = subject.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
            let text = body.split("\n--").next().unwrap();
            let text = text.replace("=\n", "").replace("=3D", "=");
            // As it is read, wherever its lines end.
            (subject.to_owned(), text.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// Waits until there are so many mails, and lets the time pass in which there might come more.
async fn mails_are(scene: &Scene, many: usize) -> Vec<(String, String)> {
    until(&format!("{many} mails"), || async { (mails(scene).len() >= many).then_some(()) }).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mails = mails(scene);
    assert_eq!(mails.len(), many, "{mails:#?}");
    mails
}

async fn left_to_people(scene: &Scene, login: &str) {
    let asked = scene.ask(writing(login));
    scene.until_left_to_people(asked.request_id).await;
}

#[tokio::test]
async fn there_is_one_a_day_however_many_processes_run() {
    let scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    let other = scene.another_bot().await;
    left_to_people(&scene, "kim").await;
    assert_eq!(row(&scene).await.state, DigestState::Begun, "what was due before is not late");
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Sent);
    let told = mails_are(&scene, 1).await;
    assert_eq!(told[0].0, "[patwarden acme] 1 to decide");
    for part in ["kim", "\"kim-writes\"", "contents:write", "nightly build", "martin"] {
        assert!(told[0].1.contains(part), "{part} in {}", told[0].1);
    }
    // Later on the same day, and after a restart, there is no other.
    scene.both_clocks(6 * HOUR);
    tokio::time::sleep(Duration::from_millis(300)).await;
    mails_are(&scene, 1).await;
    the_next_morning(&scene).await;
    let told = mails_are(&scene, 2).await;
    assert_eq!(told[1].0, "[patwarden acme] 1 to decide (overdue)");
    other.stop().await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn what_was_missed_for_five_days_is_one_digest_and_says_that_it_is_late() {
    let mut scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    left_to_people(&scene, "kim").await;
    the_next_morning(&scene).await;
    mails_are(&scene, 1).await;
    scene.stop().await;
    scene.both_clocks(5 * DAY + 3 * HOUR);
    scene.start().await;
    let told = mails_are(&scene, 2).await;
    assert!(told[1].1.contains("comes late"), "{}", told[1].1);
    let since = row(&scene).await.slot_at.duration_since(scene.clock.now()).abs();
    assert!(since < SignedDuration::from_hours(4), "it is today's: {since}");
    scene.end().await;
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_waits_in_the_outbox_and_goes_once() {
    let mut scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    left_to_people(&scene, "kim").await;
    // A file where the folder is to be: nothing can be written there.
    std::fs::write(scene.path("mail"), "in the way").unwrap();
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Sent);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Killed meanwhile, it is still to be sent.
    scene.stop().await;
    std::fs::remove_file(scene.path("mail")).unwrap();
    scene.both_clocks(HOUR);
    scene.start().await;
    mails_are(&scene, 1).await;
    scene.end().await;
}

#[tokio::test]
async fn while_all_is_quiet_there_is_one_mail_a_week() {
    let scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Sent, "the first says so");
    // A mail that waits for a day is no quiet.
    mails_are(&scene, 1).await;
    for day in 2..=7 {
        assert_eq!(the_next_morning(&scene).await.state, DigestState::Quiet, "day {day}");
    }
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Sent);
    let told = mails_are(&scene, 2).await;
    assert_eq!(told[1].0, "[patwarden acme] all quiet: 0 decided");
    scene.end().await;
}

#[tokio::test]
async fn where_nobody_can_be_reached_that_is_on_record_and_the_days_go_on() {
    let mut scene = opened(&rules("enforce", "[\"owners\"]"), "", &[]).await;
    left_to_people(&scene, "kim").await;
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Nobody);
    mails_are(&scene, 0).await;
    scene.stop().await;
    let path = scene.path("rules.toml").display().to_string();
    scene.change(|set| set.file = Some(format!("rules = \"{path}\"\n{OLGA}")));
    scene.start().await;
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Sent);
    mails_are(&scene, 1).await;
    scene.end().await;
}

#[tokio::test]
async fn in_shadow_the_owners_are_told_what_would_be() {
    let rules = format!(
        "{}[deny.contents]\nwhen.permissions.any_at_least.repository = {{ contents = \"write\" }}\n\
         reason = \"Ask for read access.\"\n",
        rules("shadow", "[\"owners\"]")
    );
    let scene = opened(&rules, OLGA, &[]).await;
    let asked = scene.ask(writing("kim"));
    scene.until_it_stands(asked.request_id, "held").await;
    the_next_morning(&scene).await;
    let told = mails_are(&scene, 1).await;
    assert_eq!(told[0].0, "[patwarden acme] SHADOW: 1 to decide");
    assert!(told[0].1.contains("SHADOW: patwarden decides and records"), "{}", told[0].1);
    assert!(told[0].1.contains("would deny it, by deny.contents"), "{}", told[0].1);
    scene.end().await;
}

#[tokio::test]
async fn with_broken_rules_it_goes_by_the_last_good_ones_and_without_any_by_the_settings() {
    let scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    row(&scene).await;
    scene.new_rules("schema = 1\nmode = \"enforce");
    the_next_morning(&scene).await;
    let told = mails_are(&scene, 1).await;
    assert!(told[0].1.contains("last good ones"), "{}", told[0].1);
    assert!(told[0].0.contains("1 thing to mend"), "{}", told[0].0);
    scene.end().await;

    let scene = opened("schema = 1\nmode = \"enforce", OLGA, &[("digest", "08:00 UTC")]).await;
    scene.both_clocks(Duration::from_secs(240));
    the_next_morning(&scene).await;
    let told = mails_are(&scene, 1).await;
    assert!(told[0].1.contains("goes by patwarden's settings"), "{}", told[0].1);
    scene.end().await;
}

#[tokio::test]
async fn recipients_who_cannot_be_read_are_waited_for_and_then_named() {
    let to = "[\"owners\", \"security@example.com\"]";
    let scene = opened(&rules("enforce", to), OLGA, &[]).await;
    left_to_people(&scene, "kim").await;
    let before = row(&scene).await;
    scene.hub.fault(Fault::on(MEMBERS).status(500));
    let now = scene.clock.now();
    let next = before.slot_at + SignedDuration::from_hours(24);
    scene.both_clocks(Duration::try_from(next.duration_since(now)).unwrap() + DAY / 1_000);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(row(&scene).await.date, before.date, "they are waited for");
    scene
        .both_clocks_until("the digest goes to the others", Duration::from_secs(120), || async {
            row(&scene).await.date > before.date
        })
        .await;
    assert!(scene.clock.now() > next + SignedDuration::from_mins(15));
    let told = mails_are(&scene, 1).await;
    assert!(told[0].1.contains("could not be asked for"), "{}", told[0].1);
    scene.end().await;
}

/// Runs `patwarden digest` beside the bot, with its settings.
fn command(scene: &Scene, arguments: &[&str]) -> (String, String, i32) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_patwarden"))
        .arg("digest")
        .args(arguments)
        .env_clear()
        .env("PATWARDEN_DATABASE_URL", format!("sqlite:{}", scene.store_path().display()))
        .env("PATWARDEN_CONFIG", scene.path("patwarden.toml"))
        .env("PATWARDEN_MAIL", format!("folder:{}", scene.path("mail").display()))
        .env("PATWARDEN_MAIL_FROM", "patwarden@example.com")
        .env("GITHUB_APP_ID", scene.hub.app().id.to_string())
        .env("GITHUB_API_URL", scene.hub.api_url())
        .env("GITHUB_APP_PRIVATE_KEY_PATH", scene.path("app.pem"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_it_before_its_time_and_sends_it_beside_the_days_own() {
    let scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    left_to_people(&scene, "kim").await;
    row(&scene).await;
    let (said, noted, code) = command(&scene, &["preview"]);
    assert_eq!(code, 0, "{noted}");
    assert!(said.starts_with("Subject: [patwarden acme] 1 to decide\n"), "{said}");
    assert!(
        said.contains("\"kim-writes\"") && noted.contains("The next one is due"),
        "{said}{noted}"
    );
    let (said, _, _) = command(&scene, &["preview", "--minimal"]);
    assert!(!said.contains("kim") && said.contains("1 request waits for a person"), "{said}");
    let (said, _, _) = command(&scene, &["preview", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["quiet"], false);
    assert_eq!(json["day"]["waiting"]["shown"][0]["owner"], "kim");
    let page = scene.path("day.html");
    command(&scene, &["preview", "--html", page.to_str().unwrap()]);
    assert!(std::fs::read_to_string(page).unwrap().contains("kim-writes"));
    let (said, noted, code) = command(&scene, &["send", "--now"]);
    assert_eq!(code, 0, "{noted}");
    assert!(
        said.contains("to olga@example.com") && said.contains("martin has no address"),
        "{said}"
    );
    mails_are(&scene, 1).await;
    assert_eq!(the_next_morning(&scene).await.state, DigestState::Sent, "it was none of the day's");
    mails_are(&scene, 2).await;

    std::fs::write(scene.path("rules.toml"), crate::common::RULES).unwrap();
    for arguments in [["preview"].as_slice(), ["send", "--now"].as_slice()] {
        let (_, noted, code) = command(&scene, arguments);
        assert!(code == 1 && noted.contains("no digest is set up for acme"), "{code}: {noted}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_told_once_it_is_news_also_of_tokens_that_were_listed_after_the_last_one() {
    let scene = opened(&rules("enforce", "[\"owners\"]"), OLGA, &[]).await;
    assert_eq!(row(&scene).await.state, DigestState::Begun);
    let given = |name: &str, days_ago: i64, days: u64| {
        let since = scene.hub.now() - SignedDuration::from_hours(24 * days_ago);
        let spec = harmless("kim").named(name).lasting_days(days).since(since);
        scene.hub.grant_token("acme", spec).unwrap();
    };
    given("fresh-for-a-month", 0, 30);
    given("ends-in-ten", 80, 90);
    let installation = scene.installation().await;
    let listed = async || scene.bulk().await.list_tokens(&installation, &()).await.unwrap();
    listed().await;
    the_next_morning(&scene).await;
    let first = mails_are(&scene, 1).await.remove(0).1;
    assert!(first.contains("EXPIRES SOON (1) - kim: \"ends-in-ten\""), "{first}");
    assert!(!first.contains("\"fresh-for-a-month\" in"), "{first}");
    // Between two digests, and over its mark already.
    given("ends-in-five", 85, 90);
    listed().await;
    the_next_morning(&scene).await;
    let second = mails_are(&scene, 2).await.remove(1).1;
    assert!(second.contains("EXPIRES SOON (1) - kim: \"ends-in-five\""), "{second}");
    // What has expired opens nothing, and is not counted among what does.
    scene.both_clocks(7 * DAY);
    listed().await;
    let (out, error, _) =
        crate::common::shell::run(&scene, "patwarden tokens list --org acme", "").await;
    assert!(out.contains("2 tokens with access to acme (and 1 expired)"), "{out}{error}");
    scene.end().await;
}

#[tokio::test]
async fn a_token_that_was_edited_and_revoked_is_an_alarm_and_comes_first() {
    let approving = "[approve.read]\nwhen.owner.role = [\"member\"]\nallow.lifetime = \"90d\"\nallow.repositories = [\"*\"]\n\
        allow.permissions.repository = { contents = \"read\" }\n";
    let rules = format!("{}{approving}", rules("enforce", "[\"owners\"]"));
    let scene = opened(&rules, OLGA, &[]).await;
    assert_eq!(row(&scene).await.state, DigestState::Begun);
    left_to_people(&scene, "ben").await;
    let held = scene.hub.hold(Hold::before(REVIEW));
    let kims = scene.ask(harmless("kim"));
    crate::common::soon("the review is sent", held.reached()).await;
    scene
        .hub
        .edit_request(kims.request_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    held.release();
    scene.until_settled(kims.request_id).await;
    the_next_morning(&scene).await;
    let (subject, text) = mails_are(&scene, 1).await.remove(0);
    assert!(subject.starts_with("[patwarden acme] 1 alarm, 1 to decide"), "{subject}");
    assert!(text.contains("ALARMS ! kim \"kim-reads\" was edited while"), "{text}");
    scene.end().await;
}
