//! What patwarden changes on GitHub: reviews and revocations, each sent once, none faster than GitHub asks.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde::Serialize;
use tokio::{sync::Mutex, time::Instant};

use super::{
    call::{Answer, Caller},
    error::CallError,
    read::{Read, segment},
};
use crate::domain::{GrantId, Organization, RequestId, cut};

/// What is said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

/// The most ids that one call takes.
///
/// Source: <https://docs.github.com/rest/orgs/personal-access-tokens#update-the-access-to-organization-resources-via-fine-grained-personal-access-tokens>.
pub const MOST_AT_ONCE: usize = 100;

/// A writer for one installation.
pub struct Write {
    caller: Caller,
    last_write: Arc<Mutex<Option<Instant>>>,
    interval: Duration,
}

impl Write {
    pub(super) fn new(
        caller: Caller,
        last_write: Arc<Mutex<Option<Instant>>>,
        interval: Duration,
    ) -> Self {
        Self { caller, last_write, interval }
    }

    /// Waits until the next change may be sent. Done before the sending is recorded, so that a crash while
    /// waiting leaves nothing in doubt.
    pub async fn my_turn(&self) {
        let last = *self.last_write.lock().await;
        if let Some(last) = last {
            tokio::time::sleep_until(last + self.interval).await;
        }
    }

    /// Reviews one pending request. GitHub mails `reason` to the requester; more than
    /// 1024 characters are cut.
    ///
    /// # Errors
    /// Whatever the call came to. Nothing is repeated: after
    /// [`CallError::may_have_taken_effect`] the state must be read.
    pub async fn review(
        &self,
        organization: &Organization,
        request: RequestId,
        review: Review,
        reason: &str,
    ) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Body<'a> {
            action: Review,
            reason: &'a str,
        }
        let path = format!(
            "/orgs/{}/personal-access-token-requests/{request}",
            segment(organization.login.as_str())
        );
        let reason = cut(reason, super::REASON_LIMIT);
        self.post(&path, &Body { action: review, reason: &reason }).await
    }

    /// Takes an approved token's access away. GitHub takes no reason for it.
    ///
    /// # Errors
    /// Whatever the call came to; as for [`Write::review`].
    pub async fn revoke(
        &self,
        organization: &Organization,
        grant: GrantId,
    ) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Body {
            action: &'static str,
        }
        let path = format!(
            "/orgs/{}/personal-access-tokens/{grant}",
            segment(organization.login.as_str())
        );
        self.post(&path, &Body { action: "revoke" }).await
    }

    /// Takes the access of many approved tokens away with one call: at most [`MOST_AT_ONCE`]. GitHub takes the call
    /// (202) and does it later, without saying what came of each: the list shows.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::Unprocessable`] also when GitHub will not take one of the ids.
    pub async fn revoke_many(
        &self,
        organization: &Organization,
        grants: &[GrantId],
    ) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Body<'a> {
            action: &'static str,
            pat_ids: &'a [GrantId],
        }
        let path = format!("/orgs/{}/personal-access-tokens", segment(organization.login.as_str()));
        let body = Body { action: "revoke", pat_ids: grants };
        self.send(Method::POST, &path, &body, StatusCode::ACCEPTED).await.map(|_| ())
    }

    /// Reviews many pending requests with one call and one reason: at most [`MOST_AT_ONCE`]. GitHub takes the call (202)
    /// and does it later, without saying what came of each.
    ///
    /// # Errors
    /// As for [`Write::revoke_many`].
    pub async fn review_many(
        &self,
        organization: &Organization,
        requests: &[RequestId],
        review: Review,
        reason: &str,
    ) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Body<'a> {
            action: Review,
            reason: &'a str,
            pat_request_ids: &'a [RequestId],
        }
        let path = format!(
            "/orgs/{}/personal-access-token-requests",
            segment(organization.login.as_str())
        );
        let reason = cut(reason, super::REASON_LIMIT);
        let body = Body { action: review, reason: &reason, pat_request_ids: requests };
        self.send(Method::POST, &path, &body, StatusCode::ACCEPTED).await.map(|_| ())
    }

    /// What reads for the same installation.
    pub(super) fn reader(&self) -> Read {
        Read::new(self.caller.clone())
    }

    /// One change, none sooner after the last than GitHub asks.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        due: StatusCode,
    ) -> Result<Answer, CallError> {
        let mut last_write = self.last_write.lock().await;
        if let Some(last) = *last_write {
            tokio::time::sleep_until(last + self.interval).await;
        }
        let answer = self.caller.change(method, path, body).await;
        *last_write = Some(Instant::now());
        let answer = answer?;
        if answer.status == due {
            return Ok(answer);
        }
        Err(CallError::Unreadable { why: format!("status {} where {due} was due", answer.status) })
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), CallError> {
        let mut last_write = self.last_write.lock().await;
        let answer = self.caller.post(path, body).await;
        *last_write = Some(Instant::now());
        let status = answer?.status;
        if status == StatusCode::NO_CONTENT {
            return Ok(());
        }
        // Some other 2xx: perhaps a redirect that turned the POST into a GET. Not what we asked for.
        Err(CallError::Unreadable { why: format!("status {status} where 204 was due") })
    }
}
