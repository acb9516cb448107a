//! What an endpoint answers, and GitHub's error bodies. No endpoint's logic.

use hyper::body::Bytes;
use serde_json::{Value, json};

/// An answer before it is written to a connection.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: AnswerBody,
}

#[derive(Debug, Clone)]
pub(crate) enum AnswerBody {
    Empty,
    Json(Value),
    Raw(&'static str, Bytes),
}

/// An endpoint's result: both sides are answers, so that `?` ends an endpoint early.
pub(crate) type Reply = Result<Answer, Box<Answer>>;

const DOCS: &str = "https://docs.github.com/rest";

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: AnswerBody::Json(body) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: AnswerBody::Empty }
    }

    pub(crate) fn raw(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: AnswerBody::Raw(content_type, body.into()) }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The schema `basic-error`; the status is repeated in the body, as a string.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::json(
            status,
            json!({ "message": message, "documentation_url": DOCS, "status": status.to_string() }),
        )
    }

    pub(crate) fn not_found() -> Box<Self> {
        Box::new(Self::error(404, "Not Found"))
    }

    pub(crate) fn bad_credentials() -> Box<Self> {
        Box::new(Self::error(401, "Bad credentials"))
    }

    pub(crate) fn requires_authentication() -> Box<Self> {
        Box::new(Self::error(401, "Requires authentication"))
    }

    /// 422 with one error in `errors[]`, the schema `validation-error`.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str, message: &str) -> Box<Self> {
        Box::new(Self::json(
            422,
            json!({
                "message": "Validation Failed",
                "errors": [{ "resource": resource, "field": field, "code": code, "message": message }],
                "documentation_url": DOCS,
                "status": "422",
            }),
        ))
    }

    /// A body that is not what the endpoint's schema says: GitHub answers in one sentence.
    pub(crate) fn malformed(what: &str) -> Box<Self> {
        Box::new(Self::error(422, &format!("Invalid request.\n\n{what}")))
    }

    pub(crate) fn to_bytes(&self) -> (Option<&'static str>, Bytes) {
        match &self.body {
            AnswerBody::Empty => (None, Bytes::new()),
            AnswerBody::Json(value) => (
                Some("application/json; charset=utf-8"),
                Bytes::from(serde_json::to_vec(value).unwrap_or_default()),
            ),
            AnswerBody::Raw(content_type, bytes) => (Some(content_type), bytes.clone()),
        }
    }
}
