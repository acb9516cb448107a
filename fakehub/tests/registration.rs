//! A person registers an App from a manifest and installs it; the App's key and secret are good then, and the former's not.
//! Its keys are made and deleted on its page.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a story fails by panicking")]

mod common;

use std::time::Duration;

use common::{Client, Receiver, acme, good_jwt, http, now, signed};
use fakehub::{Config, Fakehub};
use serde_json::{Value, json};

fn manifest(hook: &str) -> Value {
    json!({
        "name": "Token Warden",
        "url": "https://warden.example",
        "hook_attributes": { "url": hook },
        "redirect_url": "http://127.0.0.1:1/back?from=github",
        "default_events": ["personal_access_token_request", "push"],
        "default_permissions": {
            "organization_personal_access_token_requests": "write",
            "contents": "read",
        },
    })
}

/// Sends a form as a browser does: what the page says, and where it leads.
async fn submit(hub: &Fakehub, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let answer = client
        .build()
        .unwrap()
        .post(format!("{}{path}", hub.api_url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish())
        .send()
        .await
        .unwrap();
    let leads = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    (answer.status().as_u16(), answer.text().await.unwrap(), leads.unwrap_or_default())
}

const NEW: &str = "/organizations/acme/settings/apps/new?state=once";
const CREATE: &str = "/organizations/acme/settings/apps/create";

/// The code that a person's click comes to.
async fn code(hub: &Fakehub, manifest: &Value) -> String {
    let manifest = manifest.to_string();
    let (status, page, _) = submit(hub, NEW, &[("manifest", &manifest)]).await;
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("Create GitHub App for acme") && page.contains("value=\"once\""),
        "{page}"
    );
    let (status, page, leads) =
        submit(hub, CREATE, &[("manifest", &manifest), ("state", "once"), ("name", "")]).await;
    assert_eq!(status, 302, "{page}");
    let rest = leads.strip_prefix("http://127.0.0.1:1/back?from=github&code=").unwrap();
    rest.strip_suffix("&state=once").unwrap().to_owned()
}

async fn convert(hub: &Fakehub, code: &str) -> (u16, Value) {
    let nobody = Client { http: http(), base: hub.api_url(), token: String::new() };
    let answer = nobody.post(&format!("/app-manifests/{code}/conversions"), json!({})).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_code_becomes_an_app_once_and_its_key_and_secret_are_good() {
    let (hub, _) = acme(Config::default()).await;
    let receiver = Receiver::start().await;
    let (old_key, old_secret) = (good_jwt(&hub), hub.app().webhook_secret.clone());
    let formers = Receiver::start().await;
    hub.set_webhook_url(&formers.url);
    hub.ping();
    hub.webhooks_sent().await;
    let sent = Client::app(&hub).get("/app/hook/deliveries").await.body;
    assert_eq!(sent.as_array().map(Vec::len), Some(1), "{sent}");
    let code = code(&hub, &manifest(&receiver.url)).await;
    let (status, app) = convert(&hub, &code).await;
    assert_eq!(status, 201, "{app}");
    assert_eq!(app["slug"], "token-warden");
    assert_eq!(app["permissions"]["metadata"], "read", "which every App has");
    assert_eq!((convert(&hub, &code).await.0, convert(&hub, "none").await.0), (404, 404));
    assert_eq!(Client::with_token(&hub, &old_key).get("/app").await.status, 401);
    assert_ne!(old_secret, hub.app().webhook_secret);
    assert_eq!(app["pem"], hub.app().private_key_pem.as_str());
    let known = Client::app(&hub).get("/app").await;
    assert_eq!((known.status, &known.body["id"]), (200, &app["id"]));
    assert_eq!(Client::app(&hub).get("/app/installations").await.body, json!([]));
    let config = Client::app(&hub).get("/app/hook/config").await.body;
    assert_eq!(config["content_type"], "form", "until somebody says otherwise");
    let sent = Client::app(&hub).get("/app/hook/deliveries").await.body;
    assert_eq!(sent, json!([]), "the former App's are not its own");

    // A person installs it on one repository; what is signed with the new secret says so.
    let path = "/apps/token-warden/installations/new/acme";
    let (status, page, _) = submit(&hub, path, &[("selection", "selected")]).await;
    assert_eq!(status, 422, "{page}");
    let (status, page, _) =
        submit(&hub, path, &[("selection", "selected"), ("repository", "web")]).await;
    assert_eq!(status, 200, "{page}");
    hub.webhooks_sent().await;
    let got = receiver.got();
    let first = got.first().unwrap();
    let secret = app["webhook_secret"].as_str().unwrap();
    assert_eq!(first.header("x-hub-signature-256"), fakehub::signature(secret, &first.raw));
    let installed = Client::app(&hub).get("/app/installations").await.body;
    assert_eq!(installed[0]["repository_selection"], "selected");
    assert_eq!(installed[0]["permissions"]["contents"], "read");
}

#[tokio::test]
async fn a_code_lasts_an_hour_and_a_hook_that_is_not_active_hears_nothing() {
    let (hub, _) = acme(Config::default()).await;
    let receiver = Receiver::start().await;
    let mut asked = manifest(&receiver.url);
    asked["hook_attributes"]["active"] = json!(false);
    let late = code(&hub, &asked).await;
    hub.advance_for_all(Duration::from_secs(3_601));
    assert_eq!(convert(&hub, &late).await.0, 404);
    let code = code(&hub, &asked).await;
    assert_eq!(convert(&hub, &code).await.0, 201);
    hub.install("acme").unwrap();
    hub.webhooks_sent().await;
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn manifests_are_refused_as_github_refuses_them() {
    let (hub, _) = acme(Config::default()).await;
    type Change = fn(&mut Value);
    let wrong: [(&str, Change); 7] = [
        ("unsupported: installation", |asked| asked["default_events"] = json!(["installation"])),
        ("unsupported: installation_repositories", |asked| {
            asked["default_events"] = json!(["installation_repositories"]);
        }),
        ("not supported by permissions: issues", |asked| {
            asked["default_events"] = json!(["issues"])
        }),
        ("not included in the list: tokens", |asked| {
            asked["default_permissions"]["tokens"] = json!("write");
        }),
        ("no such level", |asked| asked["default_permissions"]["contents"] = json!("all")),
        ("Hook url", |asked| asked["hook_attributes"] = json!({})),
        ("Redirect url", |asked| asked["redirect_url"] = json!("javascript:alert(1)")),
    ];
    for (says, change) in wrong {
        let mut asked = manifest("http://127.0.0.1:9/hook");
        change(&mut asked);
        let asked = asked.to_string();
        let (status, page, _) = submit(&hub, NEW, &[("manifest", &asked)]).await;
        assert!(status == 422 && page.contains(says), "{says}: {page}");
        let (status, _, leads) = submit(&hub, CREATE, &[("manifest", &asked)]).await;
        assert_eq!((status, leads.as_str()), (422, ""), "{says}");
    }
    let (status, page, _) = submit(&hub, NEW, &[("manifest", "{")]).await;
    assert!(status == 422 && page.contains("JSON"), "{page}");
}

#[tokio::test]
async fn an_app_has_several_keys_and_each_is_good_until_it_is_deleted() {
    let (hub, _) = acme(Config::default()).await;
    let status = async |pem: &str| {
        let at = now(&hub);
        let claims = json!({ "iat": at - 60, "exp": at + 540, "iss": hub.app().client_id });
        let answer = Client::with_token(&hub, &signed(pem, &claims)).get("/app").await;
        (answer.status, answer.body["message"].as_str().unwrap_or_default().to_owned())
    };
    let first = hub.app().private_key_pem.clone();
    let (code, second, _) = submit(&hub, "/settings/apps/patwarden/keys", &[]).await;
    assert_eq!(code, 200);
    assert!(second.starts_with("-----BEGIN RSA PRIVATE KEY-----\n") && second != first);
    assert_eq!((status(&first).await.0, status(&second).await.0), (200, 200));
    let keys = hub.app_keys();
    let shown =
        reqwest::get(format!("{}/organizations/acme/settings/apps/patwarden", hub.api_url()));
    let shown = shown.await.unwrap().text().await.unwrap();
    assert!(keys.iter().all(|key| shown.contains(&key.fingerprint)), "{shown}");
    // Both by their own fingerprints, of which each is one of SHA-256.
    assert!(keys[0].fingerprint != keys[1].fingerprint && keys[0].fingerprint.len() == 44);
    let delete = async |id: u64| {
        submit(&hub, &format!("/settings/apps/patwarden/keys/{id}/delete"), &[]).await
    };
    assert_eq!(delete(keys[0].id).await.0, 302);
    let refused = (401, "A JSON web token could not be decoded".to_owned());
    assert_eq!(status(&first).await, refused);
    assert_eq!(status(&second).await.0, 200);
    // The only one cannot be deleted before there is another.
    let (code, page, _) = delete(keys[1].id).await;
    assert!(code == 422 && page.contains("generate another private key"), "{page}");
    assert_eq!(delete(keys[0].id).await.0, 422);
    assert_eq!(status(&second).await.0, 200);
    for _ in 1..25 {
        hub.generate_app_key().unwrap();
    }
    hub.generate_app_key().unwrap_err();
}
