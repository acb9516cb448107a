//! What a test looks at: outcomes, grants, calls, deliveries; and what it does to webhooks on their way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Fakehub;
use crate::calls::Call;
use crate::deliveries::{Delivery, Event, Parcel};
use crate::error::Error;
use crate::tokens::{Grant, Outcome, ReviewCall, Revocation, TokenSpec};

impl Fakehub {
    /// What became of a request.
    #[must_use]
    pub fn outcome(&self, request_id: u64) -> Outcome {
        self.shared.with(|state| {
            state
                .requests
                .get(&request_id)
                .map_or(Outcome::NeverAsked, |record| record.outcome.clone())
        })
    }

    /// What became of every request, by id.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(u64, Outcome)> {
        self.shared.with(|state| {
            state.requests.iter().map(|(id, record)| (*id, record.outcome.clone())).collect()
        })
    }

    /// What a request asks for, as it is now.
    #[must_use]
    pub fn asked(&self, request_id: u64) -> Option<TokenSpec> {
        self.shared.with(|state| {
            let request = &state.requests.get(&request_id)?.request;
            state.spec_of(request.token, &request.shape, request.reason.clone()).ok()
        })
    }

    /// Waits until a request is settled, looking every few milliseconds, and gives its outcome; after the time limit
    /// gives what it is then.
    pub async fn settled(&self, request_id: u64, limit: Duration) -> Outcome {
        let began = std::time::Instant::now();
        loop {
            let outcome = self.outcome(request_id);
            if !outcome.is_pending() || began.elapsed() >= limit {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// An organization's grants, oldest first; none where there is no such organization.
    #[must_use]
    pub fn grants(&self, organization: &str) -> Vec<Grant> {
        self.shared.with(|state| {
            state
                .world
                .organization(organization)
                .map(|organization| state.grants_of(organization))
                .unwrap_or_default()
        })
    }

    /// The grants an organization took back, in order.
    #[must_use]
    pub fn revocations(&self, organization: &str) -> Vec<Revocation> {
        self.shared.with(|state| {
            let id = state.world.organization(organization).map(|organization| organization.id);
            let theirs = state.revocations.iter().filter(|(owner, _)| Some(*owner) == id);
            theirs.map(|(_, revocation)| revocation.clone()).collect()
        })
    }

    /// Every review of a request that reached the endpoint, with what it did.
    #[must_use]
    pub fn reviews(&self, request_id: u64) -> Vec<ReviewCall> {
        self.shared.with(|state| {
            state.reviews.iter().filter(|review| review.request_id == request_id).cloned().collect()
        })
    }

    /// Every call to the API since the start or the last [`Fakehub::reset_calls`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.all()
    }

    /// Calls of one operation, by GitHub's operation id.
    #[must_use]
    pub fn calls_of(&self, operation: &str) -> Vec<Call> {
        self.shared.calls.of(operation)
    }

    /// Forgets the calls so far.
    pub fn reset_calls(&self) {
        self.shared.calls.reset();
    }

    /// Every attempt to deliver a webhook, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.with(|state| state.deliveries.oldest_first().cloned().collect())
    }

    /// Delivers once more, under the same GUID.
    ///
    /// # Errors
    /// When no such delivery is recorded.
    pub fn redeliver(&self, guid: &str) -> Result<(), Error> {
        self.shared.with(|state| {
            let delivery = state
                .deliveries
                .by_guid(guid)
                .ok_or_else(|| Error::UnknownDelivery(guid.to_owned()))?;
            state.events.again(delivery);
            Ok(())
        })
    }

    /// Sends any event with any body, signed. A field `action` in the body is the delivery's action.
    pub fn send_webhook(&self, event: &str, body: Value) {
        self.shared.with(|state| {
            let number = |name: &str| body.get(name)?.get("id")?.as_u64();
            let event = Event {
                name: event.to_owned(),
                action: body.get("action").and_then(Value::as_str).map(str::to_owned),
                installation: number("installation"),
                organization: number("organization"),
                body: Arc::new(body),
            };
            state.events.send(event);
        });
    }

    /// Loses all new webhooks while on: neither sent nor recorded.
    pub fn drop_webhooks(&self, on: bool) {
        self.shared.with(|state| state.events.drop = on);
    }

    /// Sends all new webhooks twice while on, under the same GUID.
    pub fn duplicate_webhooks(&self, on: bool) {
        self.shared.with(|state| state.events.duplicate = on);
    }

    /// Sends every webhook this much later.
    pub fn delay_webhooks(&self, by: Duration) {
        self.shared.with(|state| state.events.delay = by);
    }

    /// Holds webhooks back until there are so many, and then sends them in reverse; 0 sends what is held and ends it.
    pub fn reverse_webhooks(&self, batch: usize) {
        self.shared.with(|state| state.events.put(Parcel::Reverse(batch)));
    }

    /// How many webhooks are queued or under way.
    #[must_use]
    pub fn webhooks_waiting(&self) -> usize {
        self.shared.with(|state| state.events.waiting)
    }

    /// Waits until every webhook is delivered, or failed. Set a time limit of your own around it.
    pub async fn webhooks_sent(&self) {
        while self.webhooks_waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
