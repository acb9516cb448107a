//! Faults on cue: which call fails, how, how often; and holds, at which a call waits for the test. Nothing here touches a connection.

mod hold;
mod plan;

use std::time::Duration;

use serde_json::Value;

pub use hold::{Held, Hold};
pub(crate) use hold::{HoldState, Verdict};
pub(crate) use plan::{Faults, Plan, Terminal};

/// A fault of one operation, until cleared or so many times.
///
/// The operation is GitHub's operation id (`orgs/review-pat-grant-request`), `*` for every call, or a method and a
/// path in which `*` stands for one segment and `**` for the rest (`GET /orgs/*/teams/**`).
///
/// ```
/// use fakehub::Fault;
/// // The review is done, but nobody hears of it; once.
/// let lost = Fault::on("orgs/review-pat-grant-request").cut().after_effect().times(1);
/// // The third listing and the fourth are refused.
/// let busy = Fault::on("orgs/list-pat-grant-requests").status(503).skip(2).times(2);
/// # let _ = (lost, busy);
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    pub(crate) target: String,
    pub(crate) kind: Kind,
    pub(crate) times: Option<u32>,
    pub(crate) skip: u32,
    pub(crate) after_effect: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Status(u16),
    Answer(u16, Value),
    BadCredentials,
    MissingPermission,
    PrimaryLimit(Duration),
    SecondaryLimit(Option<Duration>),
    TooManyRequests(Duration),
    Slow(Duration),
    Mute,
    Cut,
    Half,
    Lag(Duration),
    LoseRow,
}

impl Fault {
    /// A fault of this operation; 500 unless told.
    #[must_use]
    pub fn on(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            kind: Kind::Status(500),
            times: None,
            skip: 0,
            after_effect: false,
        }
    }

    fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Answers with this status and GitHub's body for it.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        self.kind(Kind::Status(status))
    }

    /// Answers with this status and JSON.
    #[must_use]
    pub fn answer(self, status: u16, body: Value) -> Self {
        self.kind(Kind::Answer(status, body))
    }

    /// 401 "Bad credentials".
    #[must_use]
    pub fn bad_credentials(self) -> Self {
        self.kind(Kind::BadCredentials)
    }

    /// 403 as for a missing permission.
    #[must_use]
    pub fn missing_permission(self) -> Self {
        self.kind(Kind::MissingPermission)
    }

    /// 403 of the primary limit: nothing remains until the reset, this long from now.
    #[must_use]
    pub fn rate_limited(self, reset_in: Duration) -> Self {
        self.kind(Kind::PrimaryLimit(reset_in))
    }

    /// 403 of a secondary limit, with `retry-after` or without.
    #[must_use]
    pub fn secondary_limit(self, retry_after: Option<Duration>) -> Self {
        self.kind(Kind::SecondaryLimit(retry_after))
    }

    /// 429 with `retry-after`.
    #[must_use]
    pub fn too_many_requests(self, retry_after: Duration) -> Self {
        self.kind(Kind::TooManyRequests(retry_after))
    }

    /// Waits before the effect, then goes on as usual, even if the caller has left.
    #[must_use]
    pub fn slow(self, delay: Duration) -> Self {
        self.kind(Kind::Slow(delay))
    }

    /// Takes the call and never answers.
    #[must_use]
    pub fn mute(self) -> Self {
        self.kind(Kind::Mute)
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn cut(self) -> Self {
        self.kind(Kind::Cut)
    }

    /// Has the effect, sends the headers and half of the body, and closes the connection.
    #[must_use]
    pub fn half(self) -> Self {
        self.kind(Kind::Half)
    }

    /// Shows a list of requests or grants as it was this long ago by fakehub's clock.
    #[must_use]
    pub fn lag(self, by: Duration) -> Self {
        self.kind(Kind::Lag(by))
    }

    /// Loses a row between the first page of a list and the next ones. Calls for a first page do not use it up.
    #[must_use]
    pub fn lose_row(self) -> Self {
        self.kind(Kind::LoseRow)
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Only after so many calls went well.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// The call has its effect first: a status, a cut or a silence then hides it.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }
}
