//! Stories about driving fakehub from another process: the control API, and the program itself.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use common::{Answer, Client, acme, http};
use fakehub::{Config, Fakehub};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Calls the control API.
struct Control(Client);

impl Control {
    fn of(hub: &Fakehub) -> Self {
        Self::at(&hub.api_url())
    }

    fn at(base: &str) -> Self {
        Self(Client { http: http(), base: format!("{base}/_fakehub"), token: String::new() })
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.0.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        self.0.try_send(method, path, Some(body)).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.send(Method::POST, path, body).await;
        assert!(answer.status < 300, "{path}: {}", answer.body);
        answer.body
    }
}

#[tokio::test]
async fn a_pull_request_without_a_line_of_rust() {
    let (hub, _) = acme(Config::default()).await;
    let control = Control::of(&hub);
    let app = json!({ "permissions": { "checks": "write", "pull_requests": "read" }, "events": ["push"] });
    assert_eq!(control.send(Method::PATCH, "/app", app).await.status, 200);
    let client = Client::installed(&hub, hub.install("acme").unwrap()).await;
    let policy = |more: Value| {
        let mut body = json!({ "repository": "web", "by": "kim" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let changes = json!({ "rules.toml": "schema = 1", "old": "" });
    control.post("/commits", policy(json!({ "changes": changes }))).await;
    let changes = json!({ "rules.toml": "schema = 2", "old": null });
    let pull =
        control.post("/pulls", policy(json!({ "branch": "next", "changes": changes }))).await;
    let body = json!({ "name": "rules", "head_sha": pull["head_sha"], "conclusion": "success" });
    assert_eq!(client.post("/repos/acme/web/check-runs", body).await.status, 201);
    let runs = control.get("/check_runs?repository=web").await;
    assert_eq!(runs[0]["conclusion"], "success");
    let again = policy(json!({ "run": runs[0]["id"] }));
    control.post("/rerequest", again).await;
    let merged = control.post("/pulls/1", policy(json!({ "action": "merge" }))).await;
    assert_eq!(merged["sha"].as_str(), hub.sha("acme", "web", "main").as_deref());
    assert_eq!(client.get("/repos/acme/web/contents/old").await.status, 404);
    let settings =
        json!({ "name": "site", "visibility": "public", "collaborators": { "ada": "admin" } });
    assert_eq!(control.send(Method::PATCH, "/repositories/acme/web", settings).await.status, 200);
    let role = client.get("/repos/acme/site/collaborators/ada/permission").await.body;
    assert_eq!(role["permission"], "admin");
    let wrong = json!({ "visibility": "secret" });
    assert_eq!(control.send(Method::PATCH, "/repositories/acme/site", wrong).await.status, 422);
    control.send(Method::DELETE, "/repositories/acme/site", json!({})).await;
    assert_eq!(client.get("/repos/acme/site").await.status, 404);
}

#[tokio::test]
async fn an_issue_without_a_line_of_rust() {
    let (hub, _) = acme(Config::default()).await;
    let control = Control::of(&hub);
    let of = |more: Value| {
        let mut body = json!({ "repository": "web", "by": "olga" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    control.post("/issues", of(json!({ "title": "A question" }))).await;
    let comment = of(json!({ "action": "comment", "body": "first" }));
    let id = control.post("/issues/1", comment).await["id"].clone();
    let bot = json!({ "repository": "web", "app": "chat", "action": "comment", "body": "beep" });
    control.post("/issues/1", bot).await;
    let edit = of(json!({ "body": "second" }));
    assert_eq!(control.send(Method::PATCH, &format!("/comments/{id}"), edit).await.status, 200);
    control.post("/issues/1", of(json!({ "action": "close" }))).await;
    let seen = control.get("/issues?repository=web").await;
    assert_eq!(seen[0]["state"], "closed");
    assert_eq!(seen[0]["comments"][0]["body"], "second");
    assert_eq!(seen[0]["comments"][1]["author"], "app:chat");
    let gone = control.send(Method::DELETE, &format!("/comments/{id}"), of(json!({}))).await;
    assert_eq!(gone.status, 200);
    let moved = of(json!({ "action": "transfer", "to": "api" }));
    let moved = control.post("/issues/1", moved).await["number"].clone();
    assert_eq!(control.get("/issues?repository=api").await[0]["number"], moved);
    let odd = of(json!({ "action": "shred" }));
    assert_eq!(control.send(Method::POST, "/issues/1", odd).await.status, 422);
}

#[tokio::test]
async fn a_whole_story_without_a_line_of_rust() {
    let (hub, installation) = acme(Config::default()).await;
    let control = Control::of(&hub);
    assert_eq!(
        control.get("").await["installations"],
        json!([{ "id": installation, "organization": "acme" }])
    );
    let asked = control
        .post(
            "/requests",
            json!({
                "organization": "acme", "by": "kim", "name": "ci-build", "days": 30, "repositories": ["web"],
                "permissions": { "repository": { "contents": "read" } }, "reason": "CHG-1",
            }),
        )
        .await;
    let id = asked["request_id"].as_u64().unwrap();
    let client = Client::installed(&hub, installation).await;
    let listed = client.get("/orgs/acme/personal-access-token-requests").await;
    assert_eq!(
        (&listed.body[0]["id"], &listed.body[0]["token_name"]),
        (&json!(id), &json!("ci-build"))
    );

    let edited = control
        .send(Method::PATCH, &format!("/requests/{id}"), json!({ "repositories": "all" }))
        .await;
    assert_eq!(edited.status, 200);
    let review = format!("/requests/{id}/review");
    let denied =
        control.send(Method::POST, &review, json!({ "by": "kim", "action": "deny" })).await;
    assert_eq!(denied.status, 422, "kim is no owner");
    control
        .post(&format!("/requests/{id}/review"), json!({ "by": "olga", "action": "approve" }))
        .await;
    assert_eq!(control.get(&format!("/requests/{id}")).await["by"], "person:olga");
    let again = control.send(Method::DELETE, &format!("/requests/{id}"), json!({})).await;
    assert_eq!(again.status, 409);
    assert_eq!(control.get("/grants?organization=acme").await[0]["repositories"], "all");
    let calls = control.get("/calls?operation=orgs/list-pat-grant-requests").await;
    assert_eq!((calls.as_array().unwrap().len(), &calls[0]["status"]), (1, &json!(200)));
    assert!(
        hub.calls().iter().all(|call| !call.path.contains("_fakehub")),
        "the control API is not logged"
    );
}

#[tokio::test]
async fn faults_and_holds_over_http() {
    let (hub, installation) = acme(Config::default()).await;
    let control = Control::of(&hub);
    let client = Client::installed(&hub, installation).await;
    let list = "/orgs/acme/personal-access-token-requests";
    let on = "orgs/list-pat-grant-requests";
    for (fault, status) in [
        (json!({ "on": on, "what": "status", "status": 503, "times": 1 }), 503),
        (json!({ "on": on, "what": "rate_limited", "seconds": 60, "times": 1 }), 403),
        (json!({ "on": on, "what": "too_many_requests", "seconds": 1, "times": 1 }), 429),
        (json!({ "on": on, "what": "bad_credentials", "times": 1 }), 401),
        (json!({ "on": on, "what": "missing_permission", "times": 1 }), 403),
    ] {
        control.post("/faults", fault).await;
        assert_eq!(client.get(list).await.status, status);
    }
    for wrong in [
        json!({ "on": on, "what": "nonsense" }),
        json!({ "on": on, "what": "slow" }),
        json!({ "what": "cut" }),
    ] {
        assert_eq!(control.send(Method::POST, "/faults", wrong).await.status, 422);
    }
    let id = control.post("/faults", json!({ "on": on, "what": "cut" })).await["id"].clone();
    assert!(client.try_send(Method::GET, list, None).await.is_err());
    assert_eq!(control.send(Method::DELETE, &format!("/faults/{id}"), json!({})).await.status, 200);
    assert_eq!(client.get(list).await.status, 200);

    let hold = control.post("/holds", json!({ "on": on, "when": "before" })).await["id"].clone();
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.get(list).await.status }
    });
    let seen = control.get(&format!("/holds/{hold}?wait_ms=5000")).await;
    assert_eq!(seen["reached"], true);
    control.post(&format!("/holds/{hold}/release"), json!({})).await;
    assert_eq!(call.await.unwrap(), 200);
    assert_eq!(control.send(Method::DELETE, "/faults", json!({})).await.status, 200);
    assert_eq!(control.get("/faults").await, json!([]));
}

#[tokio::test]
async fn a_world_can_be_made_over_http() {
    let hub = Fakehub::start(Config::default()).await.unwrap();
    let control = Control::of(&hub);
    let made = control
        .post(
            "/world",
            json!({
                "organization": "tiny", "owners": ["olga"], "teams": { "core": ["kim"] }, "install": true,
                "repositories": [{ "name": "rules", "files": { "patwarden.toml": "schema = 1" } }],
            }),
        )
        .await;
    let client = Client::installed(&hub, made["installation_id"].as_u64().unwrap()).await;
    assert_eq!(client.get("/repos/tiny/rules/contents/patwarden.toml").await.status, 200);
    assert_eq!(client.get("/orgs/tiny/teams/core/memberships/kim").await.status, 200);
    let before = hub.now();
    control.post("/advance", json!({ "seconds": 86_400 })).await;
    assert!(hub.now().as_second() - before.as_second() >= 86_400);
    // A day later the token is long expired.
    let client = Client::installed(&hub, made["installation_id"].as_u64().unwrap()).await;
    let switched = control.send(Method::PATCH, "/switches", json!({ "settled_review": 422 })).await;
    assert_eq!(switched.status, 200);
    assert_eq!(
        client
            .post("/orgs/tiny/personal-access-token-requests/1", json!({ "action": "deny" }))
            .await
            .status,
        422
    );
    assert_eq!(
        control.send(Method::PATCH, "/switches", json!({ "settled": 422 })).await.status,
        422
    );
    control.post("/installations", json!({ "organization": "tiny", "action": "suspend" })).await;
    assert_eq!(client.get("/orgs/tiny/members").await.status, 403);
    control.post("/stop", json!({})).await;
    tokio::time::timeout(Duration::from_secs(5), hub.ended()).await.unwrap();
}

#[tokio::test]
async fn the_program_says_how_to_use_it_and_leaves_nothing_behind() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_fakehub"))
        .args(["--json", "--world", "small"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let key = PathBuf::from(said["private_key_path"].as_str().unwrap());
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let pem = std::fs::read_to_string(&key).unwrap();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "PKCS#1, as GitHub's");
    let base = said["api_url"].as_str().unwrap();
    let control = Control::at(base);
    assert_eq!(control.get("").await["installations"][0]["id"], said["installations"]["acme"]);
    control.post("/stop", json!({})).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
    assert!(ended.success());
    assert!(!key.exists() && !key.parent().unwrap().exists());
}
