//! Stories about who may call: the App's JWT, installation tokens, people's tokens, headers GitHub insists on.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::Duration;

use common::{Client, acme, good_jwt, http, jwt, now};
use fakehub::{Config, Fakehub};
use serde_json::{Value, json};

async fn app_status(hub: &Fakehub, claims: Value) -> u16 {
    Client::with_token(hub, &jwt(&hub.app(), &claims)).get("/app").await.status
}

#[tokio::test]
async fn a_jwt_is_judged_as_github_judges_it() {
    let (hub, _) = acme(Config::default()).await;
    let at = now(&hub);
    let (id, client_id) = (hub.app().id, hub.app().client_id.clone());
    assert_eq!(
        app_status(&hub, json!({ "iat": at - 60, "exp": at + 540, "iss": client_id })).await,
        200
    );
    assert_eq!(app_status(&hub, json!({ "iat": at - 60, "exp": at + 599, "iss": id })).await, 200);
    assert_eq!(
        app_status(&hub, json!({ "iat": at - 60, "exp": at + 540, "iss": id.to_string() })).await,
        200
    );

    let refused = [
        ("eleven minutes long", json!({ "iat": at - 60, "exp": at + 660, "iss": id })),
        ("expired", json!({ "iat": at - 600, "exp": at - 1, "iss": id })),
        ("issued in the future", json!({ "iat": at + 90, "exp": at + 500, "iss": id })),
        ("without issue time", json!({ "exp": at + 500, "iss": id })),
        ("without expiry", json!({ "iat": at - 60, "iss": id })),
        ("of another App", json!({ "iat": at - 60, "exp": at + 500, "iss": id + 1 })),
    ];
    for (why, claims) in refused {
        assert_eq!(app_status(&hub, claims).await, 401, "a JWT {why}");
    }

    // The clock that counts is the fake's.
    hub.advance(Duration::from_secs(3_600));
    assert_eq!(app_status(&hub, json!({ "iat": at - 60, "exp": at + 540, "iss": id })).await, 401);
}

#[tokio::test]
async fn the_signature_of_a_jwt_is_really_checked() {
    let (hub, _) = acme(Config::default()).await;
    let good = good_jwt(&hub);
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    for bad in [format!("{rest}.{swapped}"), format!("{rest}.")] {
        let answer = Client::with_token(&hub, &bad).get("/app").await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body["message"], "A JSON web token could not be decoded");
    }
    let hs256 = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &json!({ "iat": now(&hub), "exp": now(&hub) + 500, "iss": hub.app().id }),
        &jsonwebtoken::EncodingKey::from_secret(b"guess"),
    );
    assert_eq!(Client::with_token(&hub, &hs256.unwrap()).get("/app").await.status, 401);
}

#[tokio::test]
async fn an_installation_token_lives_an_hour_and_sees_one_organization() {
    let (hub, installation) = acme(Config::default()).await;
    let client = Client::installed(&hub, installation).await;
    assert!(client.token.len() > 40, "the new form is long");
    assert_eq!(client.get("/orgs/acme/personal-access-tokens").await.status, 200);
    assert_eq!(client.get("/orgs/other/personal-access-tokens").await.status, 404);
    assert_eq!(client.get("/orgs/nobody/personal-access-tokens").await.status, 404);
    assert_eq!(client.get("/repos/other/secret").await.status, 404);
    assert_eq!(client.get("/app").await.status, 401, "not an App's JWT");

    // Its clock goes on beside these steps.
    hub.advance(Duration::from_secs(3_570));
    assert_eq!(client.get("/orgs/acme/personal-access-tokens").await.status, 200);
    hub.advance(Duration::from_secs(31));
    let late = client.get("/orgs/acme/personal-access-tokens").await;
    assert_eq!((late.status, late.body["message"].as_str()), (401, Some("Bad credentials")));
}

#[tokio::test]
async fn people_s_tokens_and_missing_permissions_are_refused_with_the_permission_named() {
    let (hub, installation) = acme(Config::default()).await;
    for token in ["ghp_0123456789abcdefghijklmnopqrstuvwxyz", "github_pat_11AAAAAAA0_abcdefgh"] {
        let answer =
            Client::with_token(&hub, token).get("/orgs/acme/personal-access-token-requests").await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.body["message"], "Resource not accessible by integration");
        assert_eq!(
            answer.header("x-accepted-github-permissions"),
            Some("organization_personal_access_token_requests=read")
        );
    }
    assert_eq!(Client::with_token(&hub, "").get("/orgs/acme/members").await.status, 401);

    hub.install_with(
        "acme",
        [("organization_personal_access_token_requests", "read"), ("metadata", "read")],
    )
    .unwrap();
    let client = Client::installed(&hub, installation).await;
    assert_eq!(client.get("/orgs/acme/personal-access-token-requests").await.status, 200);
    let answer = client.review(1, json!({ "action": "approve" })).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.header("x-accepted-github-permissions"),
        Some("organization_personal_access_token_requests=write")
    );
    assert_eq!(client.get("/orgs/acme/members").await.status, 403);
}

#[tokio::test]
async fn a_token_may_ask_for_less_but_not_for_more() {
    let (hub, installation) = acme(Config::default()).await;
    let app = Client::app(&hub);
    let mint = format!("/app/installations/{installation}/access_tokens");
    let less = app.post(&mint, json!({ "permissions": { "members": "read" } })).await;
    assert_eq!(less.status, 201);
    assert_eq!(less.body["permissions"], json!({ "members": "read", "metadata": "read" }));
    let client = Client::with_token(&hub, less.body["token"].as_str().unwrap());
    assert_eq!(client.get("/orgs/acme/members").await.status, 200);
    assert_eq!(client.get("/orgs/acme/personal-access-tokens").await.status, 403);
    assert_eq!(app.post(&mint, json!({ "permissions": { "members": "write" } })).await.status, 422);

    let web = hub.world(|world| world.organization("acme").unwrap().repository("web").unwrap().id);
    let one = app.post(&mint, json!({ "repository_ids": [web] })).await;
    assert_eq!(
        (&one.body["repository_selection"], &one.body["repositories"][0]["name"]),
        (&json!("selected"), &json!("web"))
    );
    let client = Client::with_token(&hub, one.body["token"].as_str().unwrap());
    assert_eq!(client.get("/repos/acme/web").await.status, 200);
    assert_eq!(client.get("/repos/acme/api").await.status, 404);
}

#[tokio::test]
async fn suspended_means_refused() {
    let (hub, installation) = acme(Config::default()).await;
    let client = Client::installed(&hub, installation).await;
    hub.suspend("acme", true).unwrap();
    assert_eq!(client.get("/orgs/acme/members").await.status, 403);
    let app = Client::app(&hub);
    assert!(app.get("/orgs/acme/installation").await.body["suspended_at"].is_string());
    assert_eq!(
        app.post(&format!("/app/installations/{installation}/access_tokens"), json!({}))
            .await
            .status,
        403
    );
    hub.suspend("acme", false).unwrap();
    assert_eq!(client.get("/orgs/acme/members").await.status, 200);
}

#[tokio::test]
async fn headers_paths_and_bodies_github_refuses() {
    let (hub, installation) = acme(Config::default()).await;
    let client = Client::installed(&hub, installation).await;
    let url = format!("{}/orgs/acme/members", hub.api_url());
    let bare = reqwest::Client::new();
    assert_eq!(
        bare.get(&url).bearer_auth(&client.token).send().await.unwrap().status(),
        403,
        "no User-Agent"
    );

    let versioned = |version: &'static str| {
        http().get(&url).bearer_auth(&client.token).header("x-github-api-version", version).send()
    };
    assert_eq!(versioned("2022-11-28").await.unwrap().status(), 200);
    assert_eq!(versioned("2026-03-10").await.unwrap().status(), 200);
    assert_eq!(versioned("2021-01-01").await.unwrap().status(), 400);

    assert_eq!(client.get("/orgs/acme/members/").await.status, 404, "a trailing slash");
    assert_eq!(
        client.get("/orgs/acme/nothing").await.body["status"],
        "404",
        "the status is a string"
    );

    let long = json!({ "action": "approve", "pad": "x".repeat(65_536) });
    let answer = client.post("/orgs/acme/personal-access-token-requests/1", long).await;
    assert_eq!(answer.status, 422);
    let broken = http()
        .post(format!("{}/orgs/acme/personal-access-token-requests/1", hub.api_url()))
        .bearer_auth(&client.token)
        .body("{")
        .send();
    assert_eq!(broken.await.unwrap().status(), 400);
}
