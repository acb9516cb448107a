//! Connections: accepts them, reads calls, carries out what faults ask for, writes answers. What a call means is decided in `gate`.

mod body;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::control;
use crate::faults::{HoldState, Plan, Terminal, Verdict};
use crate::gate::{self, Arrived};
use crate::ids;
use crate::render::Urls;
use crate::routes;
use crate::shared::Shared;
use crate::website;
use body::Outgoing;

/// More than any call to these endpoints may hold, so that GitHub's own limit can answer.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on cue")
    }
}

impl std::error::Error for Cut {}

/// Serves until fakehub ends; then all connections are closed at once.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener, local: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopped() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(Arc::clone(&shared), stream, local));
            }
            // Out of file descriptors, most likely: others will be closed soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, local: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { answer(shared, request, local).await }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    local: SocketAddr,
) -> Result<Response<Outgoing>, Cut> {
    let (head, incoming) = request.into_parts();
    let host = head
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok())
        .map_or_else(|| local.to_string(), str::to_owned);
    let site = format!("http://{host}");
    let body = match Limited::new(incoming, MOST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(write(&shared, &Answer::error(413, "The body is too large."))),
    };
    let full = head.uri.path();
    let (path, prefix) = match full.strip_prefix("/api/v3") {
        Some(rest) if rest.starts_with('/') => (rest, "/api/v3"),
        Some("") => ("/", "/api/v3"),
        _ => (full, ""),
    };
    let arrived = Arrived {
        number: 0,
        method: head.method.as_str().to_owned(),
        path: path.to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        urls: Urls { api: format!("{site}{prefix}"), site },
    };
    if arrived.path.starts_with("/_fakehub") {
        let answer = control::serve(&shared, &arrived).await;
        return Ok(write(&shared, &answer));
    }
    if prefix.is_empty()
        && let Some(page) = website::serve(&shared, &arrived)
    {
        return Ok(write(&shared, &page));
    }
    call(shared, arrived).await
}

/// One API call with its faults.
async fn call(shared: Arc<Shared>, mut arrived: Arrived) -> Result<Response<Outgoing>, Cut> {
    let matched = routes::find(&arrived.method, &arrived.path);
    let operation = matched.as_ref().map_or("", |matched| matched.route.operation);
    arrived.number = shared.calls.came(arrived.logged(&shared, operation));
    let later_page = form_urlencoded::parse(arrived.query.as_bytes())
        .any(|(name, value)| name == "page" && value.parse::<u32>().is_ok_and(|page| page > 1));
    let mut plan = shared.faults.plan(operation, &arrived.method, &arrived.path, later_page);
    plan.delay = plan.delay.saturating_add(shared.config.latency);
    if !plan.waits() {
        return go(shared, arrived, plan).await;
    }
    // A call that takes time goes on when its caller leaves, as it would on a real server.
    tokio::spawn(go(shared, arrived, plan)).await.unwrap_or(Err(Cut))
}

async fn go(shared: Arc<Shared>, arrived: Arrived, plan: Plan) -> Result<Response<Outgoing>, Cut> {
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    held(&shared, &plan.holds_before).await?;
    let matched = routes::find(&arrived.method, &arrived.path);
    let route = matched.as_ref().map(|matched| matched.route);
    let mut answer = match &plan.before {
        Some(Terminal::Cut | Terminal::Half) => return Err(Cut),
        Some(Terminal::Mute) => return mute(&shared).await,
        Some(Terminal::Fault(kind)) => gate::fault_answer(&shared, &arrived, route, kind),
        None => gate::serve(&shared, &arrived, matched, &plan),
    };
    held(&shared, &plan.holds_after).await?;
    let half = match &plan.after {
        Some(Terminal::Cut) => return Err(Cut),
        Some(Terminal::Mute) => return mute(&shared).await,
        Some(Terminal::Fault(kind)) => {
            answer = gate::fault_answer(&shared, &arrived, route, kind);
            false
        }
        Some(Terminal::Half) => true,
        None => false,
    };
    shared.calls.change(arrived.number, |call| call.status = Some(answer.status));
    if half {
        let (_, bytes) = answer.to_bytes();
        // An answer without a body has no half: nothing of it arrives.
        return if bytes.is_empty() {
            Err(Cut)
        } else {
            Ok(response(&shared, &answer, Outgoing::half(&bytes)))
        };
    }
    Ok(write(&shared, &answer))
}

/// Waits at holds; nothing is held beyond the end of fakehub.
async fn held(shared: &Shared, holds: &[Arc<HoldState>]) -> Result<(), Cut> {
    for hold in holds {
        let verdict = tokio::select! {
            verdict = hold.wait() => verdict,
            () = shared.stopped() => Verdict::Cut,
        };
        if verdict == Verdict::Cut {
            return Err(Cut);
        }
    }
    Ok(())
}

async fn mute(shared: &Shared) -> Result<Response<Outgoing>, Cut> {
    shared.stopped().await;
    Err(Cut)
}

fn write(shared: &Shared, answer: &Answer) -> Response<Outgoing> {
    let (_, bytes) = answer.to_bytes();
    response(shared, answer, Outgoing::whole(bytes))
}

fn response(shared: &Shared, answer: &Answer, body: Outgoing) -> Response<Outgoing> {
    let (content_type, bytes) = answer.to_bytes();
    let mut builder = Response::builder()
        .status(answer.status)
        .header("server", "fakehub")
        // hyper would put the system's time here, but this GitHub lives by its own clock.
        .header("date", shared.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .header("x-github-request-id", request_id());
    if let Some(content_type) = content_type {
        builder = builder.header("content-type", content_type);
    }
    if body.is_half() {
        builder = builder.header("content-length", bytes.len());
    }
    for (name, value) in &answer.headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_else(|_| Response::new(Outgoing::whole(hyper::body::Bytes::new())))
}

fn request_id() -> String {
    let text = hex::encode_upper(ids::random::<14>());
    let mut out = String::with_capacity(32);
    for (position, letter) in text.chars().enumerate() {
        if matches!(position, 4 | 10 | 17 | 24) {
            out.push(':');
        }
        out.push(letter);
    }
    out
}
