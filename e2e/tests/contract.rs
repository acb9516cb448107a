//! The contract: everything the bot and the fake say to each other, against GitHub's published descriptions.
//!
//! A proxy (`contract/proxy.mjs`) stands between the two programs, in both directions, and judges every request,
//! every answer and every webhook. Deviations of GitHub itself are listed in `contract/known.mjs`; nothing else
//! may deviate, in either.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use e2e::{Api, Running, binary, program, root, until};
use serde_json::{Value, json};

const REVIEW: &str = "orgs/review-pat-grant-request";
/// Where the rules of the demonstration ask people.
const REVIEWS: &str = "token-reviews";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the bot does during the story, at least. Seeing nothing is not passing.
const OPERATIONS_OF_THE_BOT: &[&str] = &[
    "apps/create-installation-access-token",
    "apps/list-installations",
    "issues/create",
    "issues/create-comment",
    "issues/update",
    "orgs/get-membership-for-user",
    "orgs/list-pat-grant-request-repositories",
    "orgs/list-pat-grant-requests",
    "orgs/list-pat-grants",
    REVIEW,
    "orgs/update-pat-access",
    "teams/list-members-in-org",
];

/// How many operations the whole surface has, at least.
const OPERATIONS_OF_THE_FAKE: usize = 62;

/// Which webhooks the whole surface sends, at least.
const EVENTS_OF_THE_FAKE: &[&str] = &[
    "check-run-completed",
    "check-run-created",
    "check-run-rerequested",
    "check-suite-requested",
    "check-suite-rerequested",
    "custom-property-values-updated",
    "installation-repositories-added",
    "installation-repositories-removed",
    "issue-comment-created",
    "issue-comment-deleted",
    "issue-comment-edited",
    "issues-assigned",
    "issues-closed",
    "issues-deleted",
    "issues-edited",
    "issues-locked",
    "issues-opened",
    "issues-reopened",
    "issues-transferred",
    "issues-unlocked",
    "membership-added",
    "membership-removed",
    "organization-member-added",
    "organization-member-removed",
    "personal-access-token-request-approved",
    "personal-access-token-request-cancelled",
    "personal-access-token-request-created",
    "personal-access-token-request-denied",
    "pull-request-closed",
    "pull-request-edited",
    "pull-request-opened",
    "pull-request-reopened",
    "pull-request-synchronize",
    "push",
    "repository-archived",
    "repository-deleted",
    "repository-edited",
    "repository-privatized",
    "repository-publicized",
    "repository-renamed",
    "repository-transferred",
    "repository-unarchived",
    "team-deleted",
    "team-edited",
];

fn contract() -> PathBuf {
    root().join("e2e/contract")
}

/// The folder of the scripts, with the packages of its lock file installed.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = contract();
        // npm leaves this file when it is done: newer than the lock file, all is as that says.
        let done = folder.join("node_modules/.package-lock.json");
        let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
        if time(&done).is_none_or(|done| {
            time(&folder.join("package-lock.json")).is_some_and(|lock| lock > done)
        }) {
            let status = Command::new(program("npm"))
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .current_dir(&folder)
                .status();
            assert!(
                status.expect("npm can be run").success(),
                "`npm ci` in e2e/contract failed: the packages of the contract are missing"
            );
        }
        folder
    })
}

fn node(script: &str) -> Command {
    let mut command = Command::new(program("node"));
    command.current_dir(installed()).arg(script);
    command
}

/// A fakehub, and the judge before it.
struct Court {
    github: Value,
    proxy: Value,
    people: Api,
    folder: tempfile::TempDir,
    // Ended in this order.
    _proxy: Running,
    _fakehub: Running,
}

impl Court {
    fn opened() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary("fakehub"));
        command
            .args(["--listen", "127.0.0.1:0", "--json", "--key-file"])
            .arg(folder.path().join("app.pem"));
        let mut fakehub = Running::start("fakehub", &mut command, folder.path());
        let github: Value = serde_json::from_str(&fakehub.line()).unwrap();
        let mut command = node("proxy.mjs");
        command.args([text(&github["api_url"]), text(&github["webhook_secret"])]);
        let mut judge = Running::start("proxy", &mut command, folder.path());
        let proxy: Value = serde_json::from_str(&judge.line()).unwrap();
        let people = Api::new(text(&github["control_url"]));
        people.send("PATCH", "/webhook", &json!({ "url": proxy["hooks"] }));
        Self { github, proxy, people, folder, _proxy: judge, _fakehub: fakehub }
    }

    /// What was seen and found; anything that deviates fails, with all of it named.
    fn report(&self) -> Value {
        Api::new(text(&self.proxy["control"])).get("/report")
    }

    fn bot(&self) -> Bot {
        let at = |name: &str| self.folder.path().join(name);
        let rules = fs::read_to_string(root().join("rules/small-org.toml")).unwrap();
        fs::write(at("rules.toml"), rules.replacen("mode = \"shadow\"", "mode = \"enforce\"", 1))
            .unwrap();
        let mut command = Command::new(binary("patwarden"));
        command
            .env_clear()
            .env("GITHUB_WEBHOOK_SECRET", text(&self.github["webhook_secret"]))
            .args([
                "serve",
                "--ops-listen",
                "off",
                "--listen",
                "127.0.0.1:0",
                "--reconcile-interval",
                "2s",
                "--write-interval",
                "20ms",
            ])
            .args([
                "--app-id",
                &self.github["app_id"].to_string(),
                "--api-url",
                text(&self.proxy["api"]),
            ])
            .arg("--private-key-path")
            .arg(self.github["private_key_path"].as_str().unwrap())
            .arg("--rules")
            .arg(at("rules.toml"))
            .arg("--database-url")
            .arg(format!("sqlite:{}", at("bot.sqlite").display()))
            .arg("--audit-log")
            .arg(at("audit.jsonl"));
        let mut running = Running::start("patwarden", &mut command, self.folder.path());
        let greeting = running.line();
        let url = greeting
            .split(' ')
            .find(|word| word.starts_with("http://"))
            .unwrap_or_else(|| panic!("no address in `{greeting}`"));
        Api::new(text(&self.proxy["control"])).send(
            "POST",
            "/bot",
            &json!({ "url": url.strip_suffix("/webhooks/github").unwrap() }),
        );
        // What fakehub calls must end in the bot's own path.
        let hooks = format!("{}/webhooks/github", text(&self.proxy["hooks"]));
        self.people.send("PATCH", "/webhook", &json!({ "url": hooks }));
        Bot { running, audit: at("audit.jsonl") }
    }
}

struct Bot {
    running: Running,
    audit: PathBuf,
}

impl Bot {
    /// Waits until the bot says of a request that `event` has happened.
    fn said(&self, request: &Value, event: &str) -> Value {
        until(&format!("{event} of request {request}"), PATIENCE, || {
            let audit = fs::read_to_string(&self.audit).unwrap_or_default();
            let mut entries =
                audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            entries.find(|entry| entry["request_id"] == *request && entry["event"] == event)
        })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

/// Fails with every deviation, as operation, field and what is wrong with it.
fn assert_to_the_letter(report: &Value) {
    let mut said = String::new();
    for finding in report["findings"].as_array().unwrap() {
        let _ = writeln!(
            said,
            "{}: {} {} ({}; {} times; {})",
            text(&finding["where"]),
            text(&finding["at"]),
            text(&finding["what"]),
            finding["sample"].as_str().unwrap_or("no sample"),
            finding["times"],
            finding["versions"],
        );
    }
    assert!(said.is_empty(), "not as GitHub describes it:\n{said}");
    assert_eq!(report["troubles"], json!([]), "the judge itself is unwell");
}

#[test]
fn the_judge_finds_what_is_broken_and_nothing_else() {
    let status = node("--test").arg("judge.test.mjs").status().expect("node can be run");
    assert!(status.success(), "the judge's own tests fail: `node --test` in e2e/contract");
}

/// Not GitHub's renderer, but one that is not ours either: the texts are those of `tests/review.rs`.
#[test]
fn another_renderer_sees_nothing_of_a_strangers_take_effect_on_an_issue() {
    let status = node("--test").arg("texts.test.mjs").status().expect("node can be run");
    assert!(status.success(), "a text takes effect: `node --test texts.test.mjs` in e2e/contract");
}

#[test]
fn a_broken_answer_and_a_broken_webhook_do_not_pass() {
    let court = Court::opened();
    let broken = json!({ "message": "well", "status": "200" });
    court.people.send(
        "POST",
        "/faults",
        &json!({ "on": "meta/root", "what": "status", "status": 200, "body": broken, "times": 1 }),
    );
    let root = Api::new(text(&court.proxy["api"])).get("/");
    assert_eq!(root, broken, "the fake was to answer nonsense, and the proxy to pass it on");
    let half = json!({ "action": "created", "personal_access_token_request": { "id": "one" } });
    court.people.send(
        "POST",
        "/webhooks",
        &json!({ "event": "personal_access_token_request", "body": half }),
    );
    let _ = court.people.get("/idle?wait_ms=5000");
    let report = court.report();
    let found = |place: &str| {
        let findings = report["findings"].as_array().unwrap();
        assert!(
            findings.iter().any(|finding| finding["where"] == place),
            "nothing is said of {place}: {findings:#?}"
        );
    };
    found("meta/root 200");
    found("webhook personal-access-token-request-created");
}

#[test]
fn every_endpoint_answers_as_github_describes_it() {
    let court = Court::opened();
    let out = node("surface.mjs")
        .args([court.github.to_string(), court.proxy.to_string()])
        .output()
        .expect("node can be run");
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    let report = court.report();
    assert_to_the_letter(&report);
    let operations = report["operations"].as_object().unwrap();
    assert!(
        operations.len() >= OPERATIONS_OF_THE_FAKE,
        "only {} operations were seen: {:?}",
        operations.len(),
        operations.keys()
    );
    for event in EVENTS_OF_THE_FAKE {
        assert!(
            report["events"].get(event).is_some(),
            "no webhook {event} was seen: {}",
            report["events"]
        );
    }
    assert_eq!(
        report["known_unused"],
        json!([]),
        "these deviations of GitHub are no longer needed in contract/known.mjs"
    );
}

/// The demonstration's own script, played by people at the fake's control API to a bot that runs alone.
#[test]
fn the_bot_and_the_fake_speak_as_github_describes_through_the_whole_demonstration() {
    let script: toml::Table =
        fs::read_to_string(root().join("src/cli/demo/script.toml")).unwrap().parse().unwrap();
    let steps = serde_json::to_value(&script["step"]).unwrap();
    let steps = steps.as_array().unwrap();
    assert!(steps.len() >= 10, "the demonstration's script has only {} steps", steps.len());
    let court = Court::opened();
    let (permissions, events) = (json!({ "issues": "write" }), json!(["issues", "issue_comment"]));
    let repositories = json!([{ "name": REVIEWS }]);
    court.people.send("PATCH", "/app", &json!({ "permissions": permissions, "events": events }));
    court.people.send(
        "POST",
        "/world",
        &json!({ "organization": "acme", "install": true, "repositories": repositories }),
    );
    let bot = court.bot();
    for step in steps {
        play(&court, &bot, step);
    }
    several_pages(&court, &bot);
    let _ = court.people.get("/idle?wait_ms=5000");
    let report = court.report();
    assert_to_the_letter(&report);
    let seen = report["operations"].as_object().unwrap();
    let missing: Vec<_> =
        OPERATIONS_OF_THE_BOT.iter().filter(|operation| !seen.contains_key(**operation)).collect();
    assert!(missing.is_empty(), "the bot never called {missing:?}; it called {:?}", seen.keys());
    assert!(report["checks"].as_u64().unwrap() >= 500, "only {} checks", report["checks"]);
    assert_eq!(bot.running.terminate().code(), Some(0), "the bot does not end well");
}

fn play(court: &Court, bot: &Bot, step: &Value) {
    let people = &court.people;
    for key in step.as_object().unwrap().keys() {
        let known = [
            "who", "token", "asks", "says", "story", "expect", "rule", "webhook", "github", "then",
        ];
        assert!(
            known.contains(&key.as_str()),
            "the script says `{key}`, which this test cannot play yet"
        );
    }
    let asks = &step["asks"];
    let permissions = json!({ "repository": asks.get("repository").unwrap_or(&json!({})), "organization": asks.get("organization").unwrap_or(&json!({})) });
    let mut token = json!({
        "by": step["who"], "name": step["token"], "reason": step["says"], "repositories": asks["repositories"], "permissions": permissions,
    });
    match asks.get("days") {
        Some(days) => token["days"] = days.clone(),
        None => token["expires"] = json!("never"),
    }
    let lost = step.get("webhook").map(text) == Some("lost");
    people.send("PATCH", "/webhook", &json!({ "drop": lost }));
    let mut hold = None;
    match step.get("github").map(text) {
        None => {}
        Some("answer-lost") => drop(people.send(
            "POST",
            "/faults",
            &json!({ "on": REVIEW, "what": "cut", "after_effect": true, "times": 1 }),
        )),
        Some("members-down") => {
            people.send("POST", "/faults", &json!({ "on": "orgs/get-membership-for-user", "what": "status", "status": 502, "times": 2 }));
        }
        Some("edited-in-between") => {
            hold = Some(
                people.send("POST", "/holds", &json!({ "on": REVIEW, "when": "before" }))["id"]
                    .clone(),
            )
        }
        Some(other) => {
            panic!("the script says github = \"{other}\", which this test cannot play yet")
        }
    }
    let request = people.send("POST", "/requests", &token)["request_id"].clone();
    if let Some(hold) = hold {
        let held = people.get(&format!("/holds/{hold}?wait_ms=30000"));
        assert_eq!(held["reached"], true, "no review came");
        let mut more = permissions;
        more["repository"]["contents"] = json!("write");
        people.send("PATCH", &format!("/requests/{request}"), &json!({ "permissions": more }));
        people.send("POST", &format!("/holds/{hold}/release"), &json!({}));
    }
    bot.said(&request, "decided");
    outcome(court, &request, text(&step["expect"]));
    people.send("PATCH", "/webhook", &json!({ "drop": false }));
    people.send("DELETE", "/faults", &json!({}));
    if let Some(then) = step.get("then") {
        if let (Some(owner), Some(action)) = (then.get("owner"), then.get("review")) {
            people.send(
                "POST",
                &format!("/requests/{request}/review"),
                &json!({ "by": owner, "action": action, "reason": "no" }),
            );
        }
        if let (Some(owner), Some(comment)) = (then.get("owner"), then.get("comment")) {
            // Said of an issue that the bot does not yet know of, it would not count.
            let asked = bot.said(&request, "reviewers_asked");
            let issue = text(&asked["url"]).rsplit('/').next().unwrap();
            let answer =
                json!({ "repository": REVIEWS, "action": "comment", "by": owner, "body": comment });
            people.send("POST", &format!("/issues/{issue}"), &answer);
        }
        if then.get("cancel").is_some_and(|cancel| cancel == true) {
            people.send("DELETE", &format!("/requests/{request}"), &json!({}));
        }
        bot.said(&request, "settled");
        outcome(court, &request, text(&then["expect"]));
    }
}

/// Waits until a request is, in the fake's state, what the script says.
fn outcome(court: &Court, request: &Value, expect: &str) {
    let mut found = String::new();
    until(&format!("request {request} is {expect}"), PATIENCE, || {
        let outcome = court.people.get(&format!("/requests/{request}"));
        let by = outcome.get("by").map_or("", text);
        found = match text(&outcome["outcome"]) {
            "approved" if by == "app" => {
                let revoked = court.people.get("/revocations?organization=acme");
                let of_this = |revocation: &Value| revocation["grant_id"] == outcome["grant_id"];
                if revoked.as_array().unwrap().iter().any(of_this) {
                    "revoked".to_owned()
                } else {
                    "approved".to_owned()
                }
            }
            "approved" => format!("approved-by-{}", by.trim_start_matches("person:")),
            other => other.to_owned(),
        };
        (found == expect).then_some(())
    });
}

/// More pending requests than one page holds: the second is found through `Link`.
fn several_pages(court: &Court, bot: &Bot) {
    let mut last = Value::Null;
    for number in 0..105 {
        let by = ["giulia", "kim", "jonas"][number % 3];
        let token = json!({
            "by": by, "name": format!("many {number}"), "repositories": "all", "permissions": { "repository": { "contents": "read" } },
        });
        last = court.people.send("POST", "/requests", &token)["request_id"].clone();
    }
    bot.said(&last, "decided");
    until("a second page", PATIENCE, || {
        let calls = court.people.get("/calls?operation=orgs/list-pat-grant-requests");
        calls
            .as_array()
            .unwrap()
            .iter()
            .any(|call| call["query"].as_str().is_some_and(|query| query.contains("page=2")))
            .then_some(())
    });
}
