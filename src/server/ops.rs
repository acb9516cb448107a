//! What watchers see, on an address of its own: `/readyz` in words, `/metrics` in numbers. Nothing is changed here.

use axum::{
    Router,
    extract::State,
    http::{HeaderName, StatusCode, header},
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::watch::{Watcher, metrics, readiness::readiness};

/// The routes for watchers.
pub fn ops_router(watcher: Watcher) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposed))
        .layer(CatchPanicLayer::new())
        .with_state(watcher)
}

/// Text, and how to read it.
type Page = ([(HeaderName, &'static str); 1], String);

async fn readyz(State(watcher): State<Watcher>) -> (StatusCode, Page) {
    let readiness = readiness(&*watcher.look().await);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // Plain words and numbers: they can always be written.
    let text = serde_json::to_string_pretty(&readiness).unwrap_or_default();
    (status, ([(header::CONTENT_TYPE, "application/json")], format!("{text}\n")))
}

async fn exposed(State(watcher): State<Watcher>) -> Page {
    let text = metrics::exposition(&*watcher.look().await);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
