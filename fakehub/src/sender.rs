//! Sends webhooks: signs, posts, records. One lane an organization, so that a slow receiver keeps order without stopping others.
//!
//! Source: <https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks>.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::WebhookOrder;
use crate::deliveries::{ContentType, Delivery, HookConfig, Job, Parcel};
use crate::shared::Shared;

/// Takes events from the queue to the lanes until fakehub ends.
pub(crate) async fn run(shared: Arc<Shared>, mut queue: UnboundedReceiver<Parcel>) {
    let mut lanes: HashMap<Option<u64>, UnboundedSender<Job>> = HashMap::new();
    let mut held: Vec<Job> = Vec::new();
    let mut reverse = 0;
    loop {
        let parcel = tokio::select! {
            parcel = queue.recv() => parcel,
            () = shared.stopped() => None,
        };
        match parcel {
            None => return,
            Some(Parcel::Reverse(batch)) => {
                reverse = batch;
                shared.with(|state| state.events.done());
            }
            Some(Parcel::Send(job)) => held.push(job),
        }
        if reverse > 1 {
            if held.len() < reverse {
                continue;
            }
            held.reverse();
        }
        for job in held.drain(..) {
            lane(&shared, &mut lanes, job);
        }
    }
}

fn lane(shared: &Arc<Shared>, lanes: &mut HashMap<Option<u64>, UnboundedSender<Job>>, job: Job) {
    if shared.config.webhook_order == WebhookOrder::Concurrent {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            tokio::select! {
                () = deliver(&shared, job) => {}
                () = shared.stopped() => {}
            }
        });
        return;
    }
    let key = job.event.organization;
    let lane = lanes.entry(key).or_insert_with(|| {
        let (sender, mut receiver) = unbounded_channel::<Job>();
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            while let Some(job) = receiver.recv().await {
                tokio::select! {
                    () = deliver(&shared, job) => {}
                    () = shared.stopped() => return,
                }
            }
        });
        sender
    });
    let _ = lane.send(job);
}

/// Sends one webhook and records how it went.
async fn deliver(shared: &Shared, job: Job) {
    tokio::time::sleep_until(job.not_before.into()).await;
    let (hook, app_id, id, no_answer) = shared.with(|state| {
        let id = state.deliveries.next_id();
        (state.hook.clone(), state.app.id, id, state.switches.no_answer_status_code)
    });
    let Some(url) = hook.url.clone().filter(|_| hook.active) else {
        shared.with(|state| state.events.done());
        return;
    };
    let delivered_at = shared.clock.now();
    let (headers, body) = request(app_id, &hook, &job);
    let began = Instant::now();
    let limit = shared.config.webhook_time_limit;
    let answer = tokio::time::timeout(limit, post(&url, &headers, body))
        .await
        .unwrap_or_else(|_| Err("timed out".to_owned()));
    let (status, status_code, response_headers, response_body) = match answer {
        Ok(answer) if (200..400).contains(&answer.status) => {
            ("OK".to_owned(), answer.status, answer.headers, answer.body)
        }
        Ok(answer) => (
            format!("Invalid HTTP Response: {}", answer.status),
            answer.status,
            answer.headers,
            answer.body,
        ),
        Err(why) => (why, no_answer, Vec::new(), String::new()),
    };
    let delivery = Delivery {
        id,
        guid: job.guid,
        event: job.event.name,
        action: job.event.action,
        delivered_at,
        redelivery: job.redelivery,
        duration: began.elapsed(),
        status,
        status_code,
        installation_id: job.event.installation,
        url,
        request_headers: headers,
        payload: job.event.body,
        response_headers,
        response_body,
        organization: job.event.organization,
    };
    shared.with(|state| {
        // Another App may have been registered meanwhile, and its list has only what was sent to it.
        if state.hook.id == hook.id {
            state.deliveries.record(delivery);
        }
        state.events.done();
    });
}

/// `sha256=` and the HMAC of the body in hexadecimal, as in `X-Hub-Signature-256`.
///
/// Source: <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut out = String::from("sha256=");
    // A key of any length is accepted by HMAC.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(body);
        out.push_str(&hex::encode(mac.finalize().into_bytes()));
    }
    out
}

fn request(app_id: u64, hook: &HookConfig, job: &Job) -> (Vec<(String, String)>, Bytes) {
    let json = serde_json::to_string(job.event.body.as_ref()).unwrap_or_default();
    let (content_type, body) = match hook.content_type {
        ContentType::Json => ("application/json", json),
        ContentType::Form => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("payload", &json);
            ("application/x-www-form-urlencoded", form.finish())
        }
    };
    let mut headers: Vec<(String, String)> = [
        ("Accept", "*/*".to_owned()),
        ("Content-Type", content_type.to_owned()),
        ("User-Agent", "GitHub-Hookshot/fakehub".to_owned()),
        ("X-GitHub-Delivery", job.guid.clone()),
        ("X-GitHub-Event", job.event.name.clone()),
        ("X-GitHub-Hook-ID", hook.id.to_string()),
        ("X-GitHub-Hook-Installation-Target-ID", app_id.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", "integration".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(secret) = &hook.secret {
        headers.push(("X-Hub-Signature-256".to_owned(), signature(secret, body.as_bytes())));
    }
    (headers, Bytes::from(body))
}

struct Received {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// One POST over a connection of its own; plain HTTP only, for receivers are on this machine.
async fn post(url: &str, headers: &[(String, String)], body: Bytes) -> Result<Received, String> {
    let uri: Uri = url.parse().map_err(|_| "invalid URL".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("only http:// receivers can be reached".to_owned());
    }
    let host = uri.host().ok_or("invalid URL")?.trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|_| "failed to connect to host".to_owned())?;
    let _ = stream.set_nodelay(true);
    let failed = |why: hyper::Error| format!("failed: {why}");
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header("Host", uri.authority().map_or("", |authority| authority.as_str()));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).map_err(|_| "invalid header".to_owned())?;
    let answer = async {
        let response = send.send_request(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = Limited::new(response.into_body(), 64 * 1024)
            .collect()
            .await
            .map(|body| body.to_bytes());
        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        Ok(Received { status, headers, body })
    }
    .await;
    connection.abort();
    answer
}
