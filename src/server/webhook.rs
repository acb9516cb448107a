//! A delivery that was verified: the type cannot exist otherwise. Then it is stored, and only then answered.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::Shared;
use crate::{
    github::{parse_departure_event, parse_issue_event, parse_repository_event},
    store::{Accepted, Delivery, Guid, StoreError, UNNAMED_EVENT, delivery_key},
    watch::Counter,
};

/// The largest payload that GitHub sends, in bytes.
///
/// Source: <https://docs.github.com/webhooks/webhook-events-and-payloads#payload-cap>.
pub const LARGEST_DELIVERY: usize = 25 * 1024 * 1024;

/// How long a body may take to arrive. GitHub itself gives up after ten seconds.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// How long storing may take. GitHub hangs up after ten seconds; it hears 503 before that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(8);

/// A body that announces at most so many bytes counts as small.
const SMALL_DELIVERY: usize = 256 * 1024;

/// All small bodies that are being read, together, in KiB: strangers must not be able to fill the memory.
const SMALL_BUDGET_KIB: usize = 32 * 1024;

/// The same for the others.
const LARGE_BUDGET_KIB: usize = 96 * 1024;

/// The events that mean something to us. Everything else is answered and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventKind {
    /// Somebody asks for a token, or is answered.
    TokenRequest,
    /// Where the App is changed.
    Installation,
    /// Somebody pushed; perhaps rules.
    Push,
    /// A repository was renamed, handed over, shown, hidden, deleted; perhaps one with rules.
    Repository,
    /// A pull request; perhaps one that changes rules.
    PullRequest,
    /// A check; perhaps somebody wants ours again.
    CheckRun,
    /// The same for all checks of a commit.
    CheckSuite,
    /// Somebody joined an organization or left it.
    Organization,
    /// The same of a team.
    Membership,
    /// Somebody wrote on an issue; perhaps an answer.
    IssueComment,
    /// Something was done to an issue; perhaps one in which people are asked.
    Issues,
    /// A delivery without a name: it may be any of them.
    Unnamed,
}

/// What is done with an event.
enum Handling {
    /// It is on the disk before it is answered: nothing else would tell us.
    Store,
    /// The same, where it is about a repository with rules; else nothing is kept.
    StoreForRules,
    /// The same, where it is about an issue in which people are asked.
    StoreForReviewers,
    /// It only wakes whoever follows the repository, if somebody does; a look every few minutes finds what was missed.
    WakeRules,
    /// It only has the lists of members compared, where it says that somebody left; every inventory finds what was missed.
    WakeComparison,
}

impl EventKind {
    const NAMED: [Self; 11] = [
        Self::TokenRequest,
        Self::Installation,
        Self::Push,
        Self::Repository,
        Self::PullRequest,
        Self::CheckRun,
        Self::CheckSuite,
        Self::Organization,
        Self::Membership,
        Self::IssueComment,
        Self::Issues,
    ];

    /// The name in `X-GitHub-Event`, and in the store.
    fn name(self) -> &'static str {
        match self {
            Self::TokenRequest => "personal_access_token_request",
            Self::Installation => "installation",
            Self::Push => "push",
            Self::Repository => "repository",
            Self::PullRequest => "pull_request",
            Self::CheckRun => "check_run",
            Self::CheckSuite => "check_suite",
            Self::Organization => "organization",
            Self::Membership => "membership",
            Self::IssueComment => "issue_comment",
            Self::Issues => "issues",
            Self::Unnamed => UNNAMED_EVENT,
        }
    }

    fn handling(self) -> Handling {
        match self {
            Self::TokenRequest | Self::Installation | Self::Unnamed => Handling::Store,
            Self::PullRequest | Self::CheckRun | Self::CheckSuite => Handling::StoreForRules,
            Self::IssueComment | Self::Issues => Handling::StoreForReviewers,
            Self::Push | Self::Repository => Handling::WakeRules,
            Self::Organization | Self::Membership => Handling::WakeComparison,
        }
    }
}

/// The webhook secrets in use: several while one is being replaced.
pub struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    /// Secrets, any of which may have signed a delivery.
    ///
    /// # Errors
    /// When there is none, or one is empty: then anybody could sign.
    pub fn new(secrets: &[SecretString]) -> Result<Self, &'static str> {
        if secrets.is_empty() {
            return Err("there is no webhook secret: anybody could sign");
        }
        secrets
            .iter()
            .map(|secret| {
                if secret.expose_secret().is_empty() {
                    return Err("a webhook secret is empty: anybody could sign");
                }
                Hmac::new_from_slice(secret.expose_secret().as_bytes())
                    .map_err(|_| "a webhook secret cannot be used")
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `signature` (`sha256=` and 64 hex digits) is that of `body` under one of the secrets.
    /// Compared in constant time; every secret is tried, whichever fits.
    ///
    /// Source: <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>.
    #[must_use]
    pub fn verify(&self, body: &[u8], signature: &str) -> bool {
        let mut claimed = [0u8; 32];
        let Some(digits) = signature.strip_prefix("sha256=") else { return false };
        if hex::decode_to_slice(digits, &mut claimed).is_err() {
            return false;
        }
        self.0.iter().fold(false, |verified, secret| {
            let mut mac = secret.clone();
            mac.update(body);
            mac.verify_slice(&claimed).is_ok() | verified
        })
    }
}

/// The memory that bodies under way may take. Small ones, which nearly all are, have a part of their own:
/// large bodies that come slowly cannot keep them out.
#[derive(Clone)]
pub(super) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Budget {
    fn lane(&self, announced: Option<usize>) -> &Arc<Semaphore> {
        match announced {
            Some(bytes) if bytes <= SMALL_DELIVERY => &self.small,
            _ => &self.large,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            small: Arc::new(Semaphore::new(SMALL_BUDGET_KIB)),
            large: Arc::new(Semaphore::new(LARGE_BUDGET_KIB)),
        }
    }
}

/// A delivery whose signature fits its bytes.
pub struct VerifiedDelivery {
    event: EventKind,
    guid: Vec<u8>,
    hook_id: i64,
    payload: Vec<u8>,
    budget: OwnedSemaphorePermit,
}

impl VerifiedDelivery {
    /// What is to be stored, and its part of the memory for bodies, to be kept until that is done.
    pub fn into_delivery(self, received_at: Timestamp) -> (Delivery, OwnedSemaphorePermit) {
        let Self { event, guid, hook_id, payload: body, budget } = self;
        (Delivery { guid, hook_id, event: event.name(), body, received_at }, budget)
    }
}

/// Why a request is not a verified delivery we keep. What is signed and concerns us, or may, is never here:
/// it is kept even when nothing in it is understood.
pub enum Rejection {
    /// No signature, several, or a wrong one: no detail for whoever tries.
    NotSigned,
    /// Larger than anything GitHub sends.
    TooLarge,
    /// The body did not come in time, or broke off.
    NoBody,
    /// Signed, and about something that does not concern us.
    NotForUs,
    /// More is under way than we have memory for.
    Busy,
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Taken::Not(self).status().into_response()
    }
}

/// What became of something that came to the webhook's address.
enum Taken {
    /// It is on the disk.
    Stored,
    /// It was there before.
    SeenBefore,
    /// Somebody was woken by it; it is not kept.
    ActedOn,
    /// It could not be stored.
    NotStored,
    /// It is no delivery that we keep.
    Not(Rejection),
}

/// The words for what becomes of something that comes to the webhook's address.
pub const RESULTS: &[&str] = &[
    "stored",
    "seen_before",
    "acted_on",
    "not_stored",
    "not_signed",
    "too_large",
    "no_body",
    "not_for_us",
    "busy",
];

impl Taken {
    const NOT_FOR_US: Self = Self::Not(Rejection::NotForUs);

    fn status(&self) -> StatusCode {
        match self {
            Self::Stored | Self::SeenBefore | Self::ActedOn => StatusCode::ACCEPTED,
            Self::NotStored | Self::Not(Rejection::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Not(Rejection::NotSigned) => StatusCode::UNAUTHORIZED,
            Self::Not(Rejection::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Not(Rejection::NoBody) => StatusCode::REQUEST_TIMEOUT,
            Self::Not(Rejection::NotForUs) => StatusCode::NO_CONTENT,
        }
    }

    /// One of [`RESULTS`].
    fn as_str(&self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::SeenBefore => "seen_before",
            Self::ActedOn => "acted_on",
            Self::NotStored => "not_stored",
            Self::Not(Rejection::NotSigned) => "not_signed",
            Self::Not(Rejection::TooLarge) => "too_large",
            Self::Not(Rejection::NoBody) => "no_body",
            Self::Not(Rejection::NotForUs) => "not_for_us",
            Self::Not(Rejection::Busy) => "busy",
        }
    }
}

impl FromRequest<Shared> for VerifiedDelivery {
    type Rejection = Rejection;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        let headers = parts.headers;
        let signature = match only(&headers, "x-hub-signature-256") {
            Ok(Some(signature)) => signature,
            _ => return Err(Rejection::NotSigned),
        };
        let (body, budget) = read_body(&headers, body, &shared.budget).await?;
        if !shared.secrets.verify(&body, signature) {
            return Err(Rejection::NotSigned);
        }
        // From here on it is GitHub, or somebody with its secret. The headers are not signed: a proxy that
        // loses or doubles one must not lose us the delivery.
        let event = match one(&headers, "x-github-event") {
            Some(event) => EventKind::NAMED
                .into_iter()
                .find(|known| known.name() == event)
                .ok_or(Rejection::NotForUs)?,
            None => EventKind::Unnamed,
        };
        let guid = one(&headers, "x-github-delivery").and_then(delivery_key);
        let guid = guid.unwrap_or_else(|| guid_of_bytes(&body));
        // A part of the key and nothing else: zero will do.
        let hook_id = one(&headers, "x-github-hook-id").and_then(|id| id.parse().ok()).unwrap_or(0);
        let payload = payload(&headers, body);
        Ok(Self { event, guid, hook_id, payload, budget })
    }
}

/// The value of a header that stands there once and is not empty.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    only(headers, name).ok().flatten().filter(|value| !value.is_empty())
}

/// A header that may stand there once: `Ok(None)` when it is missing, an error when it is doubled or no text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(|value| Some(value.trim())).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Reads a body, taking memory from the budget as its bytes arrive and not as they are announced: whoever
/// announces much and sends nothing holds nothing.
async fn read_body(
    headers: &HeaderMap,
    body: Body,
    budget: &Budget,
) -> Result<(Bytes, OwnedSemaphorePermit), Rejection> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > LARGEST_DELIVERY) {
        return Err(Rejection::TooLarge);
    }
    let lane = budget.lane(announced);
    tokio::time::timeout(BODY_DEADLINE, read_frames(body, announced, lane))
        .await
        .unwrap_or(Err(Rejection::NoBody))
}

async fn read_frames(
    mut body: Body,
    announced: Option<usize>,
    lane: &Arc<Semaphore>,
) -> Result<(Bytes, OwnedSemaphorePermit), Rejection> {
    let take = |bytes: usize| {
        let kib = u32::try_from(bytes.div_ceil(1024)).map_err(|_| Rejection::TooLarge)?;
        Arc::clone(lane).try_acquire_many_owned(kib).map_err(|_| Rejection::Busy)
    };
    let mut permit = take(1)?;
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Rejection::NoBody)?.into_data() else { continue };
        if read.len() + data.len() > LARGEST_DELIVERY {
            return Err(Rejection::TooLarge);
        }
        // For all of it so far, not for each frame: a kibibyte for every byte would be soon used up.
        let missing = (read.len() + data.len()).div_ceil(1024).saturating_sub(permit.num_permits());
        permit.merge(take(missing * 1024)?);
        if read.is_empty() && announced == Some(data.len()) {
            // All of it at once, as most are: no copy.
            return Ok((data, permit));
        }
        read.extend_from_slice(&data);
    }
    Ok((read.into(), permit))
}

/// The JSON text: the form field `payload`, which GitHub uses where a hook's content type was left at its
/// default, else the body itself, which whoever reads it may find to be no JSON. The signature is over the
/// body in both cases.
fn payload(headers: &HeaderMap, body: Bytes) -> Vec<u8> {
    let kind = one(headers, "content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // The header is not signed: were JSON read as a form, text in it that looks like a field would pass for
    // the payload.
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && body.starts_with(b"payload=")
        && let Some((_, payload)) =
            url::form_urlencoded::parse(&body).find(|(name, _)| name == "payload")
    {
        return payload.into_owned().into_bytes();
    }
    body.into()
}

/// What stands for the GUID where none can be read: the same bytes again are the same delivery. It cannot be
/// taken for a GUID, which is 16 bytes or printable.
fn guid_of_bytes(body: &[u8]) -> Vec<u8> {
    std::iter::once(0).chain(Sha256::digest(body)).collect()
}

/// Does what is to be done with what came, counts what became of it, and answers.
pub(super) async fn receive(
    State(shared): State<Shared>,
    delivery: Result<VerifiedDelivery, Rejection>,
) -> StatusCode {
    let taken = match delivery {
        Ok(delivery) => {
            let span = tracing::info_span!("delivery", delivery = %Guid(&delivery.guid));
            take(&shared, delivery).instrument(span).await
        }
        Err(rejection) => Taken::Not(rejection),
    };
    shared.tally.count(Counter::Webhooks, [taken.as_str()]);
    taken.status()
}

/// Does what is to be done with an event of this kind.
async fn take(shared: &Shared, delivery: VerifiedDelivery) -> Taken {
    match delivery.event.handling() {
        Handling::Store => store(shared, delivery).await,
        Handling::StoreForRules => match parse_repository_event(&delivery.payload) {
            Some(event) if (shared.holds_rules)(&event) => store(shared, delivery).await,
            _ => Taken::NOT_FOR_US,
        },
        Handling::StoreForReviewers => store_for_reviewers(shared, delivery).await,
        Handling::WakeRules => wake_rules(shared, &delivery),
        Handling::WakeComparison => match parse_departure_event(&delivery.payload) {
            Some(organization) => {
                (shared.somebody_left)(organization);
                Taken::ActedOn
            }
            None => Taken::NOT_FOR_US,
        },
    }
}

/// Has the repository looked at, where rules are in it. Nothing is kept.
fn wake_rules(shared: &Shared, delivery: &VerifiedDelivery) -> Taken {
    match parse_repository_event(&delivery.payload) {
        Some(event) if (shared.repository_changed)(&event) => Taken::ActedOn,
        _ => Taken::NOT_FOR_US,
    }
}

/// Stores what is about an issue in which people are asked. Nothing else is kept.
async fn store_for_reviewers(shared: &Shared, delivery: VerifiedDelivery) -> Taken {
    let Ok(event) = parse_issue_event(&delivery.payload) else { return Taken::NOT_FOR_US };
    // Each of our comments and edits comes back as one: nothing in it is news, and reading the issue for it costs calls.
    if (shared.done_by_us)(&event) {
        return Taken::NOT_FOR_US;
    }
    let asked = shared.store.is_review_issue(event.repository, event.number);
    match tokio::time::timeout(ANSWER_DEADLINE, asked).await {
        Ok(Ok(false)) => Taken::NOT_FOR_US,
        // Whether it is cannot be told: kept, it costs little.
        _ => store(shared, delivery).await,
    }
}

/// Stores a delivery: when GitHub hears 202, the delivery is on the disk.
async fn store(shared: &Shared, delivery: VerifiedDelivery) -> Taken {
    let (delivery, _budget) = delivery.into_delivery(shared.clock.now());
    let event = delivery.event;
    let accepted = match tokio::time::timeout(ANSWER_DEADLINE, shared.store.accept(delivery)).await
    {
        Ok(accepted) => accepted,
        Err(_) => Err(StoreError::Unfit(format!("no room within {} s", ANSWER_DEADLINE.as_secs()))),
    };
    match accepted {
        Ok(Accepted::New) => {
            tracing::debug!(event, "a delivery is stored");
            (shared.wake)();
            Taken::Stored
        }
        Ok(Accepted::SeenBefore) => {
            tracing::debug!(event, "a delivery came that is stored already");
            Taken::SeenBefore
        }
        Err(error) => {
            tracing::error!(%error, "a delivery could not be stored; GitHub is told so");
            Taken::NotStored
        }
    }
}
