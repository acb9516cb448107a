//! What GitHub says of the webhooks that it sent to the App: listing them, looking at one, asking for one again.

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{app::App, error::CallError};
use crate::domain::{InstallationId, RepositoryId};

/// Where the list begins. Not only what failed is asked for: that filter means status 400 to 599, and a delivery that nobody
/// answered may have none of these.
const FIRST_PAGE: &str = "/app/hook/deliveries?per_page=100";

/// How long github.com keeps a delivery so that it can be sent again.
///
/// Source: <https://docs.github.com/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>.
const KEPT: SignedDuration = SignedDuration::from_hours(3 * 24);

/// The same on a GitHub Enterprise Server.
///
/// Source: <https://docs.github.com/enterprise-server@latest/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>.
const KEPT_BY_A_SERVER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// One attempt to deliver a webhook. Several share a GUID.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct HookDelivery {
    /// The attempt's id.
    pub id: i64,
    /// What all attempts share: `X-GitHub-Delivery`.
    pub guid: String,
    /// When it was tried.
    pub delivered_at: Timestamp,
    /// Whether it was tried before.
    #[serde(default)]
    pub redelivery: bool,
    /// How long the answer took, in seconds.
    #[serde(default)]
    pub duration: Option<f64>,
    /// `OK`, or what went wrong, in GitHub's words.
    #[serde(default)]
    pub status: String,
    /// The status of our answer; 0 or one of GitHub's own where there was none.
    #[serde(default)]
    pub status_code: i64,
    /// The event.
    #[serde(default)]
    pub event: String,
    /// Its action, where it has one.
    #[serde(default)]
    pub action: Option<String>,
    /// The installation that it is about.
    #[serde(default)]
    pub installation_id: Option<InstallationId>,
    /// The repository that it is about.
    #[serde(default)]
    pub repository_id: Option<RepositoryId>,
}

impl HookDelivery {
    /// Whether somebody took it.
    #[must_use]
    pub fn arrived(&self) -> bool {
        (200..400).contains(&self.status_code)
    }
}

/// One attempt with all that was sent and answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HookDeliveryDetail {
    /// As the list says it.
    #[serde(flatten)]
    pub item: HookDelivery,
    /// Where it went.
    #[serde(default)]
    pub url: Option<String>,
    /// What was sent.
    pub request: HookMessage,
    /// What was answered.
    pub response: HookMessage,
}

/// Headers and a body.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HookMessage {
    /// The headers, by name.
    #[serde(default)]
    pub headers: Option<serde_json::Map<String, Value>>,
    /// The body: JSON as such, anything else as text.
    #[serde(default)]
    pub payload: Value,
}

/// Attempts of one page, the newest first, and how to ask for the next.
pub struct HookDeliveryPage {
    /// The attempts.
    pub deliveries: Vec<HookDelivery>,
    next: Option<String>,
}

impl HookDeliveryPage {
    /// Whether older ones follow.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.next.is_some()
    }
}

impl App {
    /// One page of what GitHub sent, the newest first; `after`: the one that follows this page.
    ///
    /// # Errors
    /// Whatever the call came to. A page that has none after it is an error of whoever asks for one.
    pub async fn hook_deliveries(
        &self,
        after: Option<&HookDeliveryPage>,
    ) -> Result<HookDeliveryPage, CallError> {
        let path = match after {
            None => FIRST_PAGE,
            Some(page) => page.next.as_deref().ok_or_else(|| CallError::Unreadable {
                why: "no page follows the last one".to_owned(),
            })?,
        };
        let (deliveries, next) = self.caller().page(path).await?;
        Ok(HookDeliveryPage { deliveries, next })
    }

    /// One attempt, with headers and bodies.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn hook_delivery(&self, id: i64) -> Result<HookDeliveryDetail, CallError> {
        self.caller().get(&format!("/app/hook/deliveries/{id}")).await
    }

    /// Asks GitHub to send a delivery again, under its GUID. Sent once: what came of it, the list says.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn redeliver(&self, id: i64) -> Result<(), CallError> {
        let path = format!("/app/hook/deliveries/{id}/attempts");
        let answer = self.caller().change(Method::POST, &path, &serde_json::json!({})).await?;
        if answer.status == StatusCode::ACCEPTED {
            return Ok(());
        }
        Err(CallError::Unreadable { why: format!("status {} where 202 was due", answer.status) })
    }

    /// How long a delivery can be asked for again.
    #[must_use]
    pub fn deliveries_are_kept(&self) -> SignedDuration {
        if self.is_server() { KEPT_BY_A_SERVER } else { KEPT }
    }
}
