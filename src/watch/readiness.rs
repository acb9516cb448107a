//! PURE: what is wrong at a moment, why that matters, and what to do; and whether deliveries should go elsewhere for it.
//!
//! Only what keeps this process from taking deliveries makes it unready. Nothing else is made better by taking it out of
//! service: rules that are broken, a GitHub that is down, a queue that is long need somebody to look, and webhooks go on
//! being stored meanwhile, which GitHub would otherwise not send again by itself.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::View;
use crate::{
    domain::{agrees, many},
    store::{OpenRequests, Watched},
};

/// How long after the start nobody is worried about what was not done yet.
const SETTLING: SignedDuration = SignedDuration::from_mins(2);

/// How long a stored delivery may lie unread.
const DELIVERY_LIES: SignedDuration = SignedDuration::from_mins(1);

/// How long something that is due may not be begun.
const WORK_LIES: SignedDuration = SignedDuration::from_mins(5);

/// How long a request may wait for its decision.
const REQUEST_WAITS: SignedDuration = SignedDuration::from_mins(15);

/// How long a mail may wait.
const MAIL_WAITS: SignedDuration = SignedDuration::from_hours(1);

/// How many intervals may pass without a reconciliation.
const RECONCILES_MISSED: i32 = 3;

/// What `/readyz` says.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// Whether webhooks can be taken.
    pub ready: bool,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
    /// Whether a delivery could be stored.
    pub store_writable: bool,
    /// When all pending requests were last listed.
    pub last_reconcile: Option<Timestamp>,
    /// For how long the oldest delivery waits to be read, in seconds.
    pub oldest_delivery_seconds: Option<i64>,
    /// For how long the oldest request waits for us, in seconds. Those that are left to people are not counted.
    pub oldest_request_seconds: Option<i64>,
    /// The rules of each organization.
    pub policies: Vec<PolicyState>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// What mends it.
    pub todo: String,
    /// Whether it makes this process unready.
    pub unready: bool,
}

/// An organization's rules.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyState {
    /// Whose.
    pub organization: String,
    /// Where they come from.
    pub source: String,
    /// `shadow`, `approve-only` or `enforce`; nothing where there never were any.
    pub mode: Option<String>,
    /// Why they cannot be used as they are now.
    pub broken: Option<String>,
    /// Since when all of this is so.
    pub since: Timestamp,
    /// How long that is, in seconds.
    pub age_seconds: i64,
}

impl Problem {
    fn new(what: impl Into<String>, why: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), todo: todo.into(), unready: false }
    }
}

/// What is to be said of a view.
#[must_use]
pub fn readiness(view: &View) -> Readiness {
    let mut problems = Vec::new();
    if let Err(why) = &view.writable {
        problems.push(Problem {
            unready: true,
            ..Problem::new(
                format!("the store cannot be written: {why}"),
                "no webhook can be stored, so each is answered with 503, and nothing is decided",
                "look whether its disk is full or read-only, and who else holds the file. Nothing that was stored is lost",
            )
        });
    }
    let watched = match &view.watched {
        Ok(watched) => Some(watched),
        Err(why) => {
            problems.push(Problem::new(
                format!("the store cannot be read: {why}"),
                "nothing can be said of what waits, and nothing is decided",
                "look at its disk and its rights; `patwarden doctor` says more",
            ));
            None
        }
    };
    problems.extend(reconciliation(view));
    let policies = watched.map(|watched| policies(view, watched)).unwrap_or_default();
    for policy in &policies {
        problems.extend(broken(policy));
    }
    if let Some(watched) = watched {
        problems.extend(waiting(view, watched));
        problems.extend(installed(view, watched));
    }
    Readiness {
        ready: view.writable.is_ok(),
        problems,
        store_writable: view.writable.is_ok(),
        last_reconcile: view.reconciled_at,
        oldest_delivery_seconds: watched
            .and_then(|watched| seconds(view.now, watched.oldest_delivery)),
        oldest_request_seconds: watched
            .and_then(|watched| seconds(view.now, ours(watched).map(|row| row.since).min())),
        policies,
    }
}

/// Open requests that are not left to people.
fn ours(watched: &Watched) -> impl Iterator<Item = &OpenRequests> {
    watched.requests.iter().filter(|row| !matches!(row.state.as_str(), "escalated" | "held"))
}

fn reconciliation(view: &View) -> Option<Problem> {
    let every = SignedDuration::try_from(view.reconcile_every).unwrap_or(SignedDuration::MAX);
    let patience = every.saturating_mul(RECONCILES_MISSED).saturating_add(SETTLING);
    let what = match view.reconciled_at {
        Some(at) if view.now.duration_since(at) > patience => {
            format!("pending requests were last listed {} ago", span(view.now, at))
        }
        None if view.now.duration_since(view.started_at) > SETTLING => {
            "pending requests of all organizations were not listed once since the start".to_owned()
        }
        _ => return None,
    };
    Some(Problem::new(
        what,
        "a request whose webhook was lost is found by listing only, and what GitHub does not answer is not decided",
        "look into the log for what GitHub answers, and at https://www.githubstatus.com; `patwarden doctor` looks at \
         the key, the network and each installation",
    ))
}

fn policies(view: &View, watched: &Watched) -> Vec<PolicyState> {
    let of = |row: &crate::store::PolicyInForceRow| PolicyState {
        organization: row.organization.login.to_string(),
        source: row.source.clone(),
        mode: row.mode.clone(),
        broken: row.broken.clone(),
        since: row.since,
        age_seconds: seconds(view.now, Some(row.since)).unwrap_or_default(),
    };
    watched.policies.iter().map(of).collect()
}

fn broken(policy: &PolicyState) -> Option<Problem> {
    let why = policy.broken.as_deref()?;
    let organization = &policy.organization;
    Some(Problem::new(
        format!("the rules of {organization} cannot be used: {why}"),
        match policy.mode {
            Some(_) => "the last good ones deny and escalate; what they would approve waits",
            None => "nothing of this organization is decided",
        },
        "`patwarden policy list` says which file, and `patwarden rules check` what is wrong with it",
    ))
}

fn waiting(view: &View, watched: &Watched) -> Vec<Problem> {
    let now = view.now;
    let longer = |since: Option<Timestamp>, than: SignedDuration| {
        since.filter(|since| now.duration_since(*since) > than)
    };
    let mut problems = Vec::new();
    if let Some(since) = longer(watched.oldest_delivery, DELIVERY_LIES) {
        problems.push(Problem::new(
            format!(
                "{} stored and not read, the oldest for {}",
                with_is(watched.deliveries_waiting, "webhook"),
                span(now, since)
            ),
            "what they tell of is decided late",
            "look into the log for errors of the store; if there are none, start patwarden anew: they stay on the disk",
        ));
    }
    if let Some(since) = longer(watched.due_since, WORK_LIES) {
        problems.push(Problem::new(
            format!("work is due for {} and was not begun", span(now, since)),
            "requests are decided late",
            "look into the log: does another process hold the organization, or is the store refused?",
        ));
    }
    let oldest = ours(watched).map(|row| row.since).min();
    if let Some(since) = longer(oldest, REQUEST_WAITS) {
        problems.push(Problem::new(
            format!("a request waits for {} to be decided or answered", span(now, since)),
            "somebody waits for a token, and mostly it is GitHub that does not answer",
            "`patwarden requests list` says of each what it waits for",
        ));
    }
    let unconfirmed: i64 = watched.requests.iter().map(|row| row.unconfirmed).sum();
    if unconfirmed > 0 {
        problems.push(Problem::new(
            format!(
                "{} {} for somebody to confirm",
                many(unconfirmed, "request"),
                agrees(unconfirmed, "waits", "wait")
            ),
            "a first run or a changed policy would act on many at once, so nothing is sent",
            "`patwarden requests list`, then `patwarden requests confirm --org LOGIN`",
        ));
    }
    let failing: i64 = watched.escalations.iter().map(|row| row.failing).sum();
    if failing > 0 {
        problems.push(Problem::new(
            format!(
                "nobody could be asked about {}, or not everything could be said",
                many(failing, "request")
            ),
            "reviewers do not know of them, and no time counts against a request before somebody was reached",
            "`patwarden doctor` looks at the App's permissions and at mail; the log names each",
        ));
    }
    if let Some(since) = longer(watched.oldest_mail, MAIL_WAITS) {
        problems.push(Problem::new(
            format!(
                "{} {}, the oldest for {}",
                many(watched.mails_waiting, "mail"),
                agrees(watched.mails_waiting, "waits", "wait"),
                span(now, since)
            ),
            "owners do not hear of what is to be decided, or of what will be revoked",
            "`patwarden doctor` says what the mail server answers",
        ));
    }
    problems
}

fn installed(view: &View, watched: &Watched) -> Vec<Problem> {
    let mut problems = Vec::new();
    if watched.installations.is_empty() && view.reconciled_at.is_some() {
        problems.push(Problem::new(
            "the App is installed nowhere",
            "no request reaches it",
            "install it on your organization, on the App's page at GitHub",
        ));
    }
    for row in watched.installations.iter().filter(|row| row.suspended) {
        problems.push(Problem::new(
            format!("the App's installation on {} is suspended", row.organization.login),
            "GitHub refuses every call there",
            "an owner lifts that in the organization's settings, under GitHub Apps",
        ));
    }
    for parked in &watched.parked {
        problems.push(Problem::new(
            format!("GitHub asks us to leave {} alone until {}", parked.organization, parked.until),
            "nothing of it is decided before",
            "nothing, when it is once. Look for what else uses the App's key when it is often",
        ));
    }
    problems
}

fn with_is(number: i64, what: &str) -> String {
    format!("{} {}", many(number, what), agrees(number, "is", "are"))
}

fn seconds(now: Timestamp, since: Option<Timestamp>) -> Option<i64> {
    since.map(|since| now.duration_since(since).as_secs().max(0))
}

/// How long that is, for people.
fn span(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => many(seconds / 86_400, "day"),
    }
}
