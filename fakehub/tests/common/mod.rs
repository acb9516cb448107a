//! What every story needs: a world, a client that speaks as the App, a receiver of webhooks. No assertions.
#![allow(dead_code, reason = "each story uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "helpers of tests"
)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fakehub::{App, Config, Fakehub, Repo};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// `acme` with an owner, two teams and three repositories; the App is installed.
pub async fn acme(config: Config) -> (Fakehub, u64) {
    let hub = Fakehub::start(config).await.unwrap();
    hub.world(|world| {
        let mut acme = world.add_organization("acme");
        acme.owner("olga")
            .team("platform", ["kim", "lee"])
            .child_team("platform", "platform-oncall", ["mo"])
            .member("ada")
            .repositories([Repo::private("web"), Repo::private("api"), Repo::public("docs")]);
        world.add_organization("other").owner("otto").repository(Repo::private("secret"));
    });
    let installation = hub.install("acme").unwrap();
    (hub, installation)
}

/// Seconds by the fake's clock.
pub fn now(hub: &Fakehub) -> i64 {
    hub.now().as_second()
}

pub fn jwt(app: &App, claims: &Value) -> String {
    signed(&app.private_key_pem, claims)
}

/// A JWT by this private key.
pub fn signed(pem: &str, claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256), claims, &key)
        .unwrap()
}

/// A JWT as GitHub recommends it.
pub fn good_jwt(hub: &Fakehub) -> String {
    let at = now(hub);
    jwt(&hub.app(), &json!({ "iat": at - 60, "exp": at + 540, "iss": hub.app().client_id }))
}

/// A client that speaks for one installation.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
    pub token: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The URL of a relation in `Link`.
    pub fn link(&self, rel: &str) -> Option<String> {
        self.header("link")?.split(", ").find_map(|part| {
            let (url, found) = part.split_once("; rel=")?;
            (found == format!("\"{rel}\"")).then(|| url.trim_matches(['<', '>']).to_owned())
        })
    }

    pub fn ids(&self) -> Vec<u64> {
        self.body.as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect()
    }
}

pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .user_agent("stories")
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

impl Client {
    pub fn with_token(hub: &Fakehub, token: &str) -> Self {
        Self { http: http(), base: hub.api_url(), token: token.to_owned() }
    }

    pub fn app(hub: &Fakehub) -> Self {
        Self::with_token(hub, &good_jwt(hub))
    }

    pub async fn installed(hub: &Fakehub, installation: u64) -> Self {
        let app = Self::app(hub);
        let answer =
            app.post(&format!("/app/installations/{installation}/access_tokens"), json!({})).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Self::with_token(hub, answer.body["token"].as_str().unwrap())
    }

    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self.http.request(method, url);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let headers = response.headers().clone();
        let text = response.bytes().await?;
        let body = if status == StatusCode::NO_CONTENT {
            Value::Null
        } else {
            serde_json::from_slice(&text).unwrap_or(Value::Null)
        };
        Ok(Answer { status: status.as_u16(), headers, body })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, None).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.try_send(Method::POST, path, Some(body)).await.unwrap()
    }

    pub async fn review(&self, request: u64, body: Value) -> Answer {
        self.post(&format!("/orgs/acme/personal-access-token-requests/{request}"), body).await
    }
}

/// A webhook as it arrived.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub headers: hyper::HeaderMap,
    pub raw: Bytes,
}

impl Webhook {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap()
    }

    pub fn action(&self) -> String {
        self.json()["action"].as_str().unwrap_or_default().to_owned()
    }
}

/// Takes webhooks and answers with a status that can be changed.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    got: Arc<Mutex<Vec<Webhook>>>,
    status: Arc<Mutex<u16>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
        let receiver = Self { url, got: Arc::default(), status: Arc::new(Mutex::new(202)) };
        let inner = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = inner.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let inner = inner.clone();
                        async move {
                            let (head, body) = request.into_parts();
                            let raw = body.collect().await.unwrap().to_bytes();
                            inner.got.lock().unwrap().push(Webhook { headers: head.headers, raw });
                            let status = *inner.status.lock().unwrap();
                            let answer = Response::builder()
                                .status(status)
                                .body(Full::new(Bytes::from("taken")));
                            Ok::<_, Infallible>(answer.unwrap())
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        receiver
    }

    pub fn answer_with(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    pub fn got(&self) -> Vec<Webhook> {
        self.got.lock().unwrap().clone()
    }

    /// Webhooks about requests only.
    pub fn actions(&self) -> Vec<String> {
        let of = |hook: &&Webhook| hook.header("x-github-event") == "personal_access_token_request";
        self.got().iter().filter(of).map(Webhook::action).collect()
    }
}
