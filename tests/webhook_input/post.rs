//! A webhook that can be got wrong in every way, and one as GitHub sends it. No assertions.

use fakehub::{RequestIds, TokenSpec, signature};
use patwarden::server::WEBHOOK_PATH;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::{self, Scene};

pub(crate) const EVENT: &str = "personal_access_token_request";

/// A POST that can be got wrong in every way.
pub(crate) struct Post {
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Post {
    /// Right in every way, with GitHub's headers.
    pub(crate) fn of(scene: &Scene, event: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let guid = format!(
            "{:032x}",
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
        );
        let guid = format!(
            "{}-{}-{}-{}-{}",
            &guid[..8],
            &guid[8..12],
            &guid[12..16],
            &guid[16..20],
            &guid[20..]
        );
        let signed = signature(&scene.hub.app().webhook_secret, &body);
        let headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", "GitHub-Hookshot/044aadd"),
            ("X-GitHub-Delivery", guid.as_str()),
            ("X-GitHub-Event", event),
            ("X-GitHub-Hook-ID", "475001"),
            ("X-Hub-Signature-256", signed.as_str()),
        ];
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        Self { headers, body }
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn and(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).and(name, value)
    }

    pub(crate) fn header(&self, name: &str) -> Vec<u8> {
        self.headers.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    /// Sends it over a connection of its own; gives the status, whatever became of the rest.
    pub(crate) async fn send(&self, scene: &Scene) -> u16 {
        let mut stream = tokio::net::TcpStream::connect(scene.bot().address).await.unwrap();
        let mut head =
            format!("POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: bot.example\r\nConnection: close\r\n")
                .into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(format!("{name}: ").as_bytes());
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
            head.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let (mut read, mut write) = stream.split();
        let send = async {
            // Refused before the end: then the rest cannot be sent, and need not be.
            let _ = write.write_all(&head).await;
            if self.headers.iter().any(|(name, _)| name == "Transfer-Encoding") {
                for chunk in self.body.chunks(64 * 1024) {
                    let size = format!("{:x}\r\n", chunk.len());
                    let sent = async {
                        write.write_all(size.as_bytes()).await?;
                        write.write_all(chunk).await?;
                        write.write_all(b"\r\n").await
                    };
                    if sent.await.is_err() {
                        break;
                    }
                }
                let _ = write.write_all(b"0\r\n\r\n").await;
            } else {
                let _ = write.write_all(&self.body).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let receive = async {
            let mut some = [0; 4096];
            loop {
                match read.read(&mut some).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => answer.extend_from_slice(&some[..count]),
                }
                if answer.windows(4).any(|four| four == b"\r\n\r\n") {
                    break;
                }
            }
        };
        tokio::select! {
            () = send => {}
            () = receive => {}
            () = tokio::time::sleep(common::PATIENCE) => panic!("no answer"),
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("`{text}`"))
    }
}

/// A `created` event as GitHub sends it, about a request that is there.
pub(crate) fn created(scene: &Scene, ids: RequestIds) -> Value {
    let organization = scene.hub.world(|world| world.organization("acme").unwrap().id);
    let owner = scene.hub.world(|world| world.user("kim").unwrap().id);
    json!({
        "action": "created",
        "personal_access_token_request": {
            "id": ids.request_id,
            "owner": { "login": "kim", "id": owner, "type": "User", "gravatar_id": "", "site_admin": false },
            "permissions_added": { "repository": { "contents": "read", "metadata": "read" } },
            "permissions_upgraded": {},
            "permissions_result": { "repository": { "contents": "read", "metadata": "read" } },
            "repository_selection": "subset",
            "repository_count": 1,
            "repositories": [{ "id": 1, "node_id": "R_1", "name": "web", "full_name": "acme/web", "private": true }],
            "created_at": "2026-11-21T09:08:47.000-07:00",
            "token_id": ids.token_id,
            "token_name": "kim-reads",
            "token_expired": false,
            "token_expires_at": "2026-12-21T09:08:47Z",
            "token_last_used_at": null,
        },
        "organization": { "login": "acme", "id": organization },
        "sender": { "login": "kim", "id": owner, "type": "User" },
    })
}

/// Somebody asks, and GitHub's own webhook is lost: the test sends its own.
pub(crate) fn asked_in_silence(scene: &Scene, spec: TokenSpec) -> RequestIds {
    scene.hub.drop_webhooks(true);
    let ids = scene.ask(spec);
    scene.hub.drop_webhooks(false);
    ids
}

pub(crate) async fn stored(scene: &Scene) -> i64 {
    scene.store().backlog().await.unwrap().stored
}
