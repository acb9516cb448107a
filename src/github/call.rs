//! One call to GitHub: a deadline, a limit on the answer, and every failure as a `CallError`. Never repeats.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use octocrab::Octocrab;
use serde::{Serialize, de::DeserializeOwned};

use super::{error::CallError, limits, limits::LimitsSeen, link};
use crate::{
    clock::Clock,
    domain::{cut, for_people},
    watch::{Counter, Tally},
};

/// The largest answer that is read: a full page of a hundred repositories is some 600 KB.
pub(super) const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The most pages of one list. At a hundred rows a page, more than any organization has tokens.
const MOST_PAGES: usize = 5_000;

/// A client that acts for the App or for one installation.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) crab: Arc<Octocrab>,
    pub(super) base_path: Arc<str>,
    pub(super) limits: Arc<LimitsSeen>,
    pub(super) clock: Clock,
    pub(super) tally: Tally,
    /// For the whole of a call, from the token that it may have to fetch first to the last byte.
    pub(super) deadline: Duration,
    /// The most bytes of an answer that are read.
    pub(super) largest: usize,
}

/// An answer of the 2xx kind, or a 304 to a call that asked for what changed.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// How to ask whether it changed since.
    pub(super) fn etag(&self) -> Option<String> {
        let etag = self.headers.get(http::header::ETAG)?.to_str().ok()?;
        Some(etag.to_owned())
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        parse(&self.body)
    }

    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// In which form an answer is wanted.
#[derive(Clone, Copy, Default)]
pub(super) enum Accept {
    #[default]
    Json,
    /// The bytes of a file as they are.
    Raw,
}

impl Accept {
    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/vnd.github+json",
            Self::Raw => "application/vnd.github.raw+json",
        }
    }
}

/// How something is asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) accept: Accept,
    /// What the answer was that we have: where it is the same, GitHub says only that.
    pub(super) etag: Option<&'a str>,
}

impl Caller {
    /// One page of a list, and the path of the next.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(T, Option<String>), CallError> {
        let answer = self.ask(path, Asked::default()).await?;
        let next = link::next(&answer.headers, &self.base_path)
            .map_err(|why| CallError::Unreadable { why: why.to_owned() })?;
        Ok((parse(&answer.body)?, next))
    }

    /// A whole list, to its last page.
    pub(super) async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CallError> {
        match self.first_pages(path, MOST_PAGES).await? {
            (rows, false) => Ok(rows),
            (_, true) => {
                let why = format!("a list of more than {MOST_PAGES} pages");
                Err(CallError::Unreadable { why })
            }
        }
    }

    /// So many pages of a list at most, and whether there are more.
    pub(super) async fn first_pages<T: DeserializeOwned>(
        &self,
        path: &str,
        most: usize,
    ) -> Result<(Vec<T>, bool), CallError> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        for _ in 0..most {
            let Some(path) = next else { return Ok((rows, false)) };
            let (page, following): (Vec<T>, _) = self.page(&path).await?;
            rows.extend(page);
            next = following;
        }
        Ok((rows, next.is_some()))
    }

    /// One thing.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.ask(path, Asked::default()).await?.json()
    }

    /// One thing, in the form and on the condition that are wanted.
    pub(super) async fn ask(&self, path: &str, asked: Asked<'_>) -> Result<Answer, CallError> {
        self.call(Method::GET, path, asked, None::<&()>).await
    }

    /// A call that changes something. Sent once; whoever calls decides what a lost answer means.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, CallError> {
        self.call(Method::POST, path, Asked::default(), Some(body)).await
    }

    /// The same with another method.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, CallError> {
        self.call(method, path, Asked::default(), Some(body)).await
    }

    async fn call<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        asked: Asked<'_>,
        body: Option<&B>,
    ) -> Result<Answer, CallError> {
        let answer = self.call_uncounted(method, path, asked, body).await;
        let outcome = answer.as_ref().map_or_else(CallError::outcome, |_| "ok");
        self.tally.count(Counter::Calls, [outcome]);
        answer
    }

    async fn call_uncounted<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        asked: Asked<'_>,
        body: Option<&B>,
    ) -> Result<Answer, CallError> {
        let answered = self.answered(method, path, asked, body);
        let answered = tokio::time::timeout(self.deadline, answered).await;
        let (status, headers, body) = answered.map_err(|_| CallError::NoAnswer {
            why: format!("nothing within {} s", self.deadline.as_secs()),
        })??;
        self.limits.note(&headers, self.clock.now());
        let as_it_was = status == StatusCode::NOT_MODIFIED && asked.etag.is_some();
        if status.is_success() || as_it_was {
            return Ok(Answer { status, headers, body });
        }
        Err(failure(status, &headers, &message(&body), &self.clock))
    }

    async fn answered<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        asked: Asked<'_>,
        body: Option<&B>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), CallError> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::ACCEPT, asked.accept.as_str());
        if let Some(etag) = asked.etag {
            request = request.header(http::header::IF_NONE_MATCH, etag);
        }
        let request = self.crab.build_request(request, body).map_err(|error| self.lost(&error))?;
        let response = self.crab.execute(request).await.map_err(|error| self.lost(&error))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, self.largest).collect().await.map_err(|error| {
            CallError::NoAnswer { why: shown(&format!("half an answer: {error}")) }
        })?;
        Ok((parts.status, parts.headers, body.to_bytes().to_vec()))
    }

    /// What octocrab's own failures mean: mostly transport, and the token that it fetches by itself.
    fn lost(&self, error: &octocrab::Error) -> CallError {
        if let octocrab::Error::GitHub { source, .. } = error {
            let headers = source.headers.clone().unwrap_or_default();
            return failure(source.status_code, &headers, &source.message, &self.clock);
        }
        // The chain of causes names the host and the failure, and never a header.
        let mut why = String::new();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(error) = cause {
            why = error.to_string();
            cause = error.source();
        }
        if why.is_empty() {
            why = "the connection failed".to_owned();
        }
        CallError::NoAnswer { why: shown(&why) }
    }
}

fn failure(status: StatusCode, headers: &HeaderMap, message: &str, clock: &Clock) -> CallError {
    let message = shown(message);
    if let Some(until) = limits::asked_to_wait(status, headers, &message, clock.now()) {
        return CallError::RateLimited { until };
    }
    match status {
        StatusCode::UNAUTHORIZED => CallError::Unauthorized { message },
        StatusCode::FORBIDDEN => CallError::Forbidden {
            message,
            needs: headers
                .get("x-accepted-github-permissions")
                .and_then(|needs| needs.to_str().ok())
                .map(shown),
        },
        StatusCode::NOT_FOUND | StatusCode::GONE => CallError::NotFound,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {
            CallError::Unprocessable { message }
        }
        _ if message.is_empty() => CallError::NoAnswer { why: format!("status {status}") },
        _ => CallError::NoAnswer { why: format!("status {status}: {message}") },
    }
}

fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Error {
        message: String,
    }
    serde_json::from_slice::<Error>(body).map(|error| error.message).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body)
        .map_err(|error| CallError::Unreadable { why: shown(&error.to_string()) })
}

fn shown(text: &str) -> String {
    cut(&for_people(text), 300)
}
