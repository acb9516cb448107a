//! What those who watch see: `/readyz` and `/metrics` of a bot that works, of one that is in trouble, and whether the
//! dashboard and the alerts in `deploy` speak of what is there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use common::{LIST, Scene, Set, administrating, harmless, until, writing};
use fakehub::Fault;
use patwarden::watch::{
    Counter, Counts, Tally, View,
    metrics::{METRICS, exposition},
    readiness::readiness,
};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

async fn watched(rules: Option<&str>) -> Scene {
    let set = Set::default().flag("ops-listen", "127.0.0.1:0");
    match rules {
        Some(rules) => set.rules(rules).open().await,
        None => set.open().await,
    }
}

/// What is at a path of the address for watchers: the status, the type and the text.
async fn get(scene: &Scene, path: &str) -> (u16, String, String) {
    let address = scene.bot().ops_address.expect("it listens for watchers");
    let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

async fn ready(scene: &Scene) -> (u16, serde_json::Value) {
    let (status, kind, text) = get(scene, "/readyz").await;
    assert_eq!(kind, "application/json");
    (status, serde_json::from_str(&text).unwrap())
}

fn problems(ready: &serde_json::Value) -> Vec<String> {
    let problems = ready["problems"].as_array().unwrap();
    for problem in problems {
        for part in ["what", "why", "todo"] {
            assert!(!problem[part].as_str().unwrap().is_empty(), "{problem}");
        }
    }
    problems.iter().map(|problem| problem["what"].as_str().unwrap().to_owned()).collect()
}

/// The samples of an exposition, by name and labels as they stand there. Fails on whatever Prometheus would not take.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut helps = BTreeSet::new();
    let mut samples = BTreeMap::new();
    let (body, end) = text.rsplit_once("# EOF\n").expect("it ends as OpenMetrics wants");
    assert_eq!(end, "");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            helps.insert(rest.split_once(' ').unwrap().0.to_owned());
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = name.strip_suffix("_total").unwrap_or(name);
            let kind = kinds.get(family).unwrap_or_else(|| panic!("{line} has no TYPE"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(helps.contains(family), "{line} has no HELP");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line} is no number"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
        }
    }
    samples
}

#[tokio::test]
async fn what_the_bot_does_is_in_its_metrics_and_nobodys_name_is() {
    let scene = watched(None).await;
    let approved = scene.ask(harmless("kim"));
    let denied = scene.ask(administrating("kim"));
    let left = scene.ask(writing("kim"));
    scene.time_passes_until_settled(approved.request_id).await;
    scene.time_passes_until_settled(denied.request_id).await;
    scene.until_left_to_people(left.request_id).await;
    scene.until_idle().await;
    let (status, kind, text) = get(&scene, "/metrics").await;
    assert_eq!(status, 200);
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let samples = samples(&text);
    let is = |series: &str, value: f64| {
        let found = samples.get(series).unwrap_or_else(|| panic!("no {series} in\n{text}"));
        assert!((found - value).abs() < f64::EPSILON, "{series} is {found}, not {value}");
    };
    for effect in ["approve", "deny", "escalate"] {
        is(
            &format!(
                "patwarden_decisions_total{{organization=\"acme\",effect=\"{effect}\",mode=\"enforce\"}}"
            ),
            1.0,
        );
    }
    for (effect, rule) in
        [("approve", "approve.read"), ("deny", "deny.administration"), ("escalate", "default")]
    {
        is(
            &format!(
                "patwarden_rule_decisions_total{{organization=\"acme\",effect=\"{effect}\",rule=\"{rule}\"}}"
            ),
            1.0,
        );
    }
    is(
        "patwarden_requests_settled_total{organization=\"acme\",outcome=\"approved\",by=\"rule\"}",
        1.0,
    );
    is("patwarden_requests_open{organization=\"acme\",state=\"escalated\"}", 1.0);
    // Three `created`, and GitHub tells of an approval and a denial.
    is("patwarden_webhooks_total{result=\"stored\"}", 5.0);
    is("patwarden_webhooks_total{result=\"not_signed\"}", 0.0);
    is("patwarden_deliveries_waiting", 0.0);
    is("patwarden_policy_usable{organization=\"acme\"}", 1.0);
    is("patwarden_policy_mode{organization=\"acme\",mode=\"enforce\"}", 1.0);
    is("patwarden_store_writable", 1.0);
    is("patwarden_github_calls_total{outcome=\"no_answer\"}", 0.0);
    assert!(samples["patwarden_github_calls_total{outcome=\"ok\"}"] > 5.0);
    assert!(samples["patwarden_github_calls_left{organization=\"acme\"}"] > 1_000.0);
    assert!(samples["patwarden_last_reconcile_timestamp_seconds"] > 1e9);
    assert!(!text.contains("kim"), "a person is named: {text}");
    let names: BTreeSet<&str> =
        samples.keys().map(|series| series.split('{').next().unwrap()).collect();
    let known: BTreeSet<String> = METRICS.iter().map(|metric| metric.name()).collect();
    for name in names {
        assert!(known.contains(name), "{name} is on no list");
    }
    scene.end().await;
}

/// A series that begins at one has not risen, to Prometheus: nobody would be woken by the first alarm.
#[tokio::test]
async fn what_can_be_counted_stands_at_zero_before_it_is() {
    let scene = watched(None).await;
    let text = until("the rules are in force", || async {
        let (_, _, text) = get(&scene, "/metrics").await;
        text.contains("\npatwarden_policy_mode{").then_some(text)
    })
    .await;
    let samples = samples(&text);
    for series in [
        "patwarden_alarms_total{organization=\"acme\"}",
        "patwarden_decisions_total{organization=\"acme\",effect=\"deny\",mode=\"enforce\"}",
        "patwarden_rule_decisions_total{organization=\"acme\",effect=\"approve\",rule=\"approve.read\"}",
        "patwarden_rule_decisions_total{organization=\"acme\",effect=\"escalate\",rule=\"default\"}",
        "patwarden_requests_settled_total{organization=\"acme\",outcome=\"approved\",by=\"rule\"}",
        "patwarden_webhooks_total{result=\"too_large\"}",
        "patwarden_github_calls_total{outcome=\"unauthorized\"}",
        "patwarden_mails_total{result=\"refused\"}",
        "patwarden_connections_refused_total{why=\"full\"}",
    ] {
        assert_eq!(samples.get(series), Some(&0.0), "{series} in\n{text}");
    }
    scene.end().await;
}

#[tokio::test]
async fn where_nobody_listens_for_webhooks_there_is_no_count_of_them_that_stands_still() {
    let off = Set::default().flag("ops-listen", "127.0.0.1:0").flag("webhook", "off");
    let scene = off.open().await;
    let (_, _, text) = get(&scene, "/metrics").await;
    assert!(!text.contains("\npatwarden_webhooks_total"), "{text}");
    assert!(text.contains("\npatwarden_mails_total"), "{text}");
    scene.end().await;
}

/// What is open in an organization that removed the App waits until it is there again. Nobody is to be woken for that.
#[tokio::test]
async fn an_organization_that_removed_the_app_is_in_no_number_and_no_problem() {
    let set = Set::default().flag("ops-listen", "127.0.0.1:0").flag("inventory-interval", "1h");
    let scene = set.open().await;
    let fault = scene.hub.fault(Fault::on(LIST).status(500));
    let asked = scene.ask(harmless("kim"));
    until("it waits", || async {
        let (_, _, text) = get(&scene, "/metrics").await;
        let open = "patwarden_requests_oldest_age_seconds{organization=\"acme\",state=\"waiting\"}";
        let listed = "patwarden_last_inventory_timestamp_seconds{organization=\"acme\"}";
        (text.contains(open) && text.contains(listed)).then_some(())
    })
    .await;
    scene.hub.uninstall("acme").unwrap();
    scene
        .time_passes_until("the bot sees that it is gone", Duration::from_secs(2), || async {
            let row = scene.row(asked.request_id).await;
            row.is_some_and(|row| row.note.contains("not installed"))
        })
        .await;
    let text = until("it is in no number", || async {
        let (_, _, text) = get(&scene, "/metrics").await;
        (!text.contains("organization=\"acme\"")).then_some(text)
    })
    .await;
    assert!(!text.contains("organization=\"other\""), "{text}");
    let (_, all) = ready(&scene).await;
    assert_eq!(all["oldest_request_seconds"], serde_json::Value::Null, "{all}");
    scene.hub.clear_fault(fault);
    scene.hub.install("acme").unwrap();
    scene.until_it_stands(asked.request_id, "approved by a rule").await;
    scene.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_and_takes_a_bot_that_can_store_webhooks_out_of_no_service() {
    let scene = watched(None).await;
    let (status, all) = ready(&scene).await;
    assert_eq!((status, problems(&all)), (200, vec![]), "{all}");
    assert_eq!(all["policies"][0]["organization"], "acme");
    scene.new_rules("schema = 1\nmode = \"enforce\"\n[approve.read]\nallow.permisions = 1\n");
    scene.hub.fault(Fault::on(LIST).status(502));
    let waiting = scene.ask(harmless("kim"));
    scene.until_read().await;
    let (status, all) = until("the rules are known to be broken", || async {
        let (status, all) = ready(&scene).await;
        (!problems(&all).is_empty()).then_some((status, all))
    })
    .await;
    assert_eq!(status, 200, "another bot would not do better: {all}");
    assert_eq!(all["ready"], true);
    assert!(problems(&all)[0].starts_with("the rules of acme cannot be used: "), "{all}");
    assert!(all["oldest_request_seconds"].is_i64(), "{all}");
    scene.hub.clear_faults();
    scene.new_rules(common::RULES);
    scene.time_passes_until_settled(waiting.request_id).await;
    scene.end().await;
}

#[tokio::test]
async fn a_bot_that_cannot_store_a_webhook_is_not_ready_until_it_can() {
    let scene = watched(None).await;
    let mut other =
        SqliteConnectOptions::new().filename(scene.deliveries_path()).connect().await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let (status, all) = ready(&scene).await;
    assert_eq!(status, 503, "{all}");
    assert!(problems(&all)[0].starts_with("the store cannot be written: "), "{all}");
    assert_eq!(all["problems"][0]["unready"], true);
    held.rollback().await.unwrap();
    until("it can be written again", || async {
        let (status, _) = ready(&scene).await;
        (status == 200).then_some(())
    })
    .await;
    scene.end().await;
}

#[tokio::test]
async fn what_watchers_see_is_not_at_the_address_of_the_webhook_and_nothing_can_be_sent_to_theirs()
{
    let scene = watched(None).await;
    let public = scene.bot().address;
    for path in ["/metrics", "/readyz"] {
        let answer = reqwest::get(format!("http://{public}{path}")).await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let ops = scene.bot().ops_address.unwrap();
    let client = reqwest::Client::new();
    for (path, status) in [("/metrics", 405), ("/readyz", 405), ("/webhooks/github", 404)] {
        let answer = client.post(format!("http://{ops}{path}")).body("x").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    scene.end().await;
}

/// A bot that started long ago, of which nothing is known.
fn view() -> View {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    View {
        now,
        started_at: "2026-11-22T06:00:00Z".parse().unwrap(),
        counts: Counts::default(),
        watched: Ok(patwarden::store::Watched::default()),
        writable: Ok(()),
        reconciled_at: Some(now),
        reconcile_every: Duration::from_secs(300),
        rules: Vec::new(),
        limits: Vec::new(),
        process: None,
    }
}

#[test]
fn a_github_that_is_down_is_told_after_a_while_and_makes_nobody_unready() {
    let mut view = view();
    let says = |view: &View, part: &str| {
        let said = readiness(view);
        assert!(said.ready);
        said.problems.iter().any(|problem| problem.what.contains(part))
    };
    view.reconciled_at = Some("2026-11-22T11:50:00Z".parse().unwrap());
    assert!(!says(&view, "last listed"), "two rounds may fail");
    view.reconciled_at = Some("2026-11-22T11:40:00Z".parse().unwrap());
    assert!(says(&view, "last listed 20 min ago"));
    view.reconciled_at = None;
    assert!(says(&view, "not listed once since the start"));
    view.started_at = "2026-11-22T11:59:00Z".parse().unwrap();
    assert!(!says(&view, "not listed once"), "it has just begun");
}

#[test]
fn what_lies_too_long_is_told() {
    let mut view = view();
    let old: jiff::Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    let watched = view.watched.as_mut().unwrap();
    watched.oldest_delivery = Some(old);
    watched.deliveries_waiting = 7;
    watched.due_since = Some(old);
    watched.oldest_mail = Some(old);
    watched.mails_waiting = 2;
    let said = readiness(&view);
    let what: Vec<&str> = said.problems.iter().map(|problem| problem.what.as_str()).collect();
    insta::assert_debug_snapshot!(what, @r#"
    [
        "7 webhooks are stored and not read, the oldest for 3 h",
        "work is due for 3 h and was not begun",
        "2 mails wait, the oldest for 3 h",
        "the App is installed nowhere",
    ]
    "#);
    assert_eq!(said.oldest_delivery_seconds, Some(3 * 3600));
    assert!(said.ready);
}

#[test]
fn without_a_record_the_metrics_are_still_what_is_counted() {
    let tally = Tally::default();
    tally.count(Counter::Webhooks, ["stored"]);
    let mut view = view();
    view.counts = tally.counts();
    view.watched = Err("the disk is gone".to_owned());
    view.writable = Err("the disk is gone".to_owned());
    let samples = samples(&exposition(&view));
    assert!(samples["patwarden_store_readable"].abs() < f64::EPSILON);
    assert!(samples.contains_key("patwarden_webhooks_total{result=\"stored\"}"));
    assert!(!samples.contains_key("patwarden_deliveries_waiting"), "not known is not zero");
    assert_eq!(readiness(&view).problems.len(), 2);
}

/// Every name of a metric in a text.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("patwarden_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_and_the_alerts_speak_of_metrics_and_labels_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeMap<String, &[&str]> =
        METRICS.iter().map(|metric| (metric.name(), metric.labels)).collect();
    for file in ["deploy/grafana.json", "deploy/alerts.yaml", "deploy/alerts.test.yaml"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let names = named(&text);
        assert!(names.len() >= 10, "{file} speaks of {names:?}");
        for name in &names {
            assert!(known.contains_key(name), "{file} speaks of {name}, which is not exposed");
        }
        // `metric{label="…"}` and `by (label)`.
        let labels: BTreeSet<&str> =
            known.values().flat_map(|labels| labels.iter().copied()).collect();
        for (place, _) in text.match_indices("by (") {
            let inside = text[place + 4..].split(')').next().unwrap();
            for label in inside.split(',').map(str::trim) {
                let of_prometheus = matches!(label, "instance" | "alertname");
                assert!(labels.contains(label) || of_prometheus, "{file}: by ({inside})");
            }
        }
        for (name, labels) in &known {
            for (place, _) in text.match_indices(&format!("{name}{{")) {
                let inside = text[place + name.len() + 1..].split('}').next().unwrap();
                for pair in inside.split(',') {
                    let label = pair.split(['=', '!', '~']).next().unwrap().trim();
                    let own = labels.contains(&label) || matches!(label, "instance" | "job");
                    assert!(own, "{file}: {name} has no label {label}");
                }
            }
        }
    }
}

#[test]
fn every_alert_says_what_to_do_and_the_dashboard_shows_each_part() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let alerts = std::fs::read_to_string(root.join("deploy/alerts.yaml")).unwrap();
    let tried = std::fs::read_to_string(root.join("deploy/alerts.test.yaml")).unwrap();
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 10);
    for rule in rules {
        let name = rule.lines().next().unwrap();
        let fires = format!("exp_samples: [{{ labels: '{{alertname=\"{name}\"}}', value: 1 }}]");
        assert!(tried.contains(&fires), "nobody tries whether {name} fires");
        for part in ["expr: ", "for: ", "severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "no {part}in {rule}");
        }
    }
    let dashboard = std::fs::read_to_string(root.join("deploy/grafana.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id");
        if panel["type"] != "row" {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
        }
    }
}
