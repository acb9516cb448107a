//! Webhooks as data: events on their way, the hook's configuration, what was delivered and how it went. Sending is in `sender`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::ids::{guid, next};

/// An event to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) action: Option<String>,
    pub(crate) installation: Option<u64>,
    pub(crate) organization: Option<u64>,
    pub(crate) body: Arc<Value>,
}

/// One attempt to be made.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) event: Event,
    pub(crate) guid: String,
    pub(crate) redelivery: bool,
    pub(crate) not_before: Instant,
}

/// What the sender's queue holds.
#[derive(Debug)]
pub(crate) enum Parcel {
    Send(Job),
    /// From here on hold back this many, and send them in reverse; at 0 or 1 send what is held.
    Reverse(usize),
}

/// The way to the sender, and what a test does to webhooks as they enter it.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) queue: UnboundedSender<Parcel>,
    /// How many are not delivered yet.
    pub(crate) waiting: usize,
    pub(crate) drop: bool,
    pub(crate) duplicate: bool,
    pub(crate) delay: Duration,
}

impl Outbox {
    pub(crate) fn new(queue: UnboundedSender<Parcel>) -> Self {
        Self { queue, waiting: 0, drop: false, duplicate: false, delay: Duration::ZERO }
    }

    pub(crate) fn send(&mut self, event: Event) {
        if self.drop {
            return;
        }
        let not_before = Instant::now() + self.delay;
        let job = Job { event, guid: guid(), redelivery: false, not_before };
        if self.duplicate {
            self.put(Parcel::Send(job.clone()));
        }
        self.put(Parcel::Send(job));
    }

    /// Sends a past delivery once more, under its GUID.
    pub(crate) fn again(&mut self, delivery: &Delivery) {
        let event = Event {
            name: delivery.event.clone(),
            action: delivery.action.clone(),
            installation: delivery.installation_id,
            organization: delivery.organization,
            body: Arc::clone(&delivery.payload),
        };
        let not_before = Instant::now() + self.delay;
        self.put(Parcel::Send(Job {
            event,
            guid: delivery.guid.clone(),
            redelivery: true,
            not_before,
        }));
    }

    pub(crate) fn put(&mut self, parcel: Parcel) {
        self.waiting = self.waiting.saturating_add(1);
        if self.queue.send(parcel).is_err() {
            self.done();
        }
    }

    pub(crate) fn done(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }
}

/// How bodies are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`, the JSON text in the field `payload`.
    Form,
}

impl ContentType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
        }
    }
}

/// The App's webhook.
#[derive(Debug, Clone)]
pub(crate) struct HookConfig {
    pub(crate) id: u64,
    pub(crate) url: Option<String>,
    /// Whether anything is sent there.
    pub(crate) active: bool,
    pub(crate) content_type: ContentType,
    pub(crate) secret: Option<String>,
    pub(crate) insecure_ssl: bool,
}

/// One attempt to deliver a webhook (<https://docs.github.com/rest/apps/webhooks>).
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The attempt's id; every attempt has its own.
    pub id: u64,
    /// The delivery's GUID, which a redelivery keeps.
    pub guid: String,
    /// The event's name.
    pub event: String,
    /// The event's action.
    pub action: Option<String>,
    /// When it was sent.
    pub delivered_at: Timestamp,
    /// Whether this was not the first attempt.
    pub redelivery: bool,
    /// How long the receiver took.
    pub duration: Duration,
    /// `OK`, or what went wrong.
    pub status: String,
    /// The receiver's status; for none see [`crate::Switches::no_answer_status_code`].
    pub status_code: u16,
    /// The installation it was about.
    pub installation_id: Option<u64>,
    /// Where it went.
    pub url: String,
    /// The headers sent.
    pub request_headers: Vec<(String, String)>,
    /// The event's body.
    pub payload: Arc<Value>,
    /// The headers received.
    pub response_headers: Vec<(String, String)>,
    /// The body received.
    pub response_body: String,
    pub(crate) organization: Option<u64>,
}

impl Delivery {
    /// The schema `hook-delivery-item`.
    pub(crate) fn item(&self) -> Value {
        json!({
            "id": self.id,
            "guid": self.guid,
            "delivered_at": self.delivered_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "redelivery": self.redelivery,
            "duration": self.duration.as_secs_f64(),
            "status": self.status,
            "status_code": self.status_code,
            "event": self.event,
            "action": self.action,
            "installation_id": self.installation_id,
            "repository_id": null,
            "throttled_at": null,
        })
    }

    /// The schema `hook-delivery`.
    pub(crate) fn full(&self) -> Value {
        let map = |headers: &[(String, String)]| -> Map<String, Value> {
            headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
        };
        let mut out = self.item();
        if let Some(fields) = out.as_object_mut() {
            fields.insert("url".to_owned(), json!(self.url));
            fields.insert(
                "request".to_owned(),
                json!({ "headers": map(&self.request_headers), "payload": *self.payload }),
            );
            fields.insert(
                "response".to_owned(),
                json!({ "headers": map(&self.response_headers), "payload": self.response_body }),
            );
        }
        out
    }
}

/// Past deliveries, up to a number.
#[derive(Debug)]
pub(crate) struct Deliveries {
    kept: VecDeque<Delivery>,
    limit: usize,
    last_id: u64,
}

impl Deliveries {
    pub(crate) fn new(limit: usize, first_id: u64) -> Self {
        Self { kept: VecDeque::new(), limit, last_id: first_id }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        next(&mut self.last_id)
    }

    pub(crate) fn record(&mut self, delivery: Delivery) {
        if self.kept.len() >= self.limit {
            self.kept.pop_front();
        }
        // Deliveries of several organizations end out of order; ids say when they began.
        let place = self.kept.partition_point(|known| known.id < delivery.id);
        self.kept.insert(place, delivery);
    }

    /// Forgets them; ids go on.
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Delivery> {
        self.kept.iter().rev()
    }

    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Delivery> {
        self.kept.iter()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Delivery> {
        let place = self.kept.binary_search_by_key(&id, |delivery| delivery.id).ok()?;
        self.kept.get(place)
    }

    pub(crate) fn by_guid(&self, guid: &str) -> Option<&Delivery> {
        self.kept.iter().rev().find(|delivery| delivery.guid == guid)
    }
}
