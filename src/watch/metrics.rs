//! PURE: a [`View`] in Prometheus' text format, and the list of all metrics. A metric is a row of the list: its name, its
//! unit, what it says, and where in the view it is read.
//!
//! Labels name organizations on which the App is installed, rules, and words of ours; never a person or a token.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::{Counter, Labels, OTHER, View};
use crate::{domain::OrganizationId, store::Watched};

/// The form in which [`exposition`] is.
///
/// Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most organizations that have series of their own; the others, by number the later ones, are summed up.
const MOST_ORGANIZATIONS: usize = 200;

/// The most rules that have a series before they decided anything.
const MOST_RULES: usize = 2_000;

/// What a decision can come to.
const EFFECTS: [&str; 3] = ["approve", "deny", "escalate"];

/// One metric.
pub struct Metric {
    /// Its name without unit and ending.
    name: &'static str,
    /// Its unit, which ends its name.
    unit: Option<Unit>,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    from: From,
}

/// Where the values come from.
enum From {
    /// What is counted since the start.
    Counted(Counter),
    /// How things stand.
    Read(fn(&View, &mut Series)),
}

impl Metric {
    /// The name as Prometheus has it.
    #[must_use]
    pub fn name(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str()));
        let total = if self.is_counter() { "_total" } else { "" };
        format!("{}{}{total}", self.name, unit.unwrap_or_default())
    }

    /// `counter` or `gauge`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.is_counter() { "counter" } else { "gauge" }
    }

    fn is_counter(&self) -> bool {
        matches!(self.from, From::Counted(_))
    }
}

const fn counted(
    name: &'static str,
    labels: &'static [&'static str],
    counter: Counter,
    help: &'static str,
) -> Metric {
    Metric { name, unit: None, labels, help, from: From::Counted(counter) }
}

const fn read(
    name: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
    from: fn(&View, &mut Series),
) -> Metric {
    Metric { name, unit, labels, help, from: From::Read(from) }
}

const S: Option<Unit> = Some(Unit::Seconds);

/// Every metric.
pub const METRICS: &[Metric] = &[
    read("patwarden_build_info", None, &["version"], "One, with the version that runs", |_, to| {
        to.put([Cow::Borrowed(env!("CARGO_PKG_VERSION"))], 1.0);
    }),
    read("patwarden_start_time", S, &[], "When the process began, in Unix time", |view, to| {
        to.put([], unix(view.started_at));
    }),
    read(
        "patwarden_store_writable",
        None,
        &[],
        "Whether a delivery could be stored: 1, or 0",
        |view, to| to.put([], yes(view.writable.is_ok())),
    ),
    read(
        "patwarden_store_readable",
        None,
        &[],
        "Whether the record could be read: 1, or 0. At 0, whatever is read from it is missing here",
        |view, to| to.put([], yes(view.watched.is_ok())),
    ),
    counted(
        "patwarden_webhooks",
        &["result"],
        Counter::Webhooks,
        "What came to the webhook's address, by what became of it",
    ),
    counted(
        "patwarden_connections_closed",
        &["why"],
        Counter::ConnectionsClosed,
        "Connections that were closed to make room for others",
    ),
    counted(
        "patwarden_connections_refused",
        &["why"],
        Counter::ConnectionsRefused,
        "Connections for which there was no room",
    ),
    read(
        "patwarden_deliveries_waiting",
        None,
        &[],
        "Webhooks that are stored and not read yet",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], number(watched.deliveries_waiting));
            }
        },
    ),
    read(
        "patwarden_deliveries_oldest_age",
        S,
        &[],
        "How long the oldest of them waits; 0 when none does",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], age(view.now, watched.oldest_delivery));
            }
        },
    ),
    read(
        "patwarden_deliveries_not_understood",
        None,
        &[],
        "Webhooks on record that were signed and not understood",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], number(watched.not_understood));
            }
        },
    ),
    read(
        "patwarden_requests_open",
        None,
        &["organization", "state"],
        "Requests that are not over, by state: `escalated` and `held` are left to people, the others are ours to work on",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.requests {
                let state = Cow::Owned(row.state.clone());
                to.add([named.organization(row.organization), state], number(row.count));
            }
        },
    ),
    read(
        "patwarden_requests_oldest_age",
        S,
        &["organization", "state"],
        "How long ago the oldest request in this state came into it",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.requests {
                let state = Cow::Owned(row.state.clone());
                let age = age(view.now, Some(row.since));
                to.most([named.organization(row.organization), state], age);
            }
        },
    ),
    read(
        "patwarden_requests_unconfirmed",
        None,
        &["organization"],
        "Requests that wait for `patwarden requests confirm`, because a first run or a changed policy would act on many at once",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.requests {
                to.add([named.organization(row.organization)], number(row.unconfirmed));
            }
        },
    ),
    read(
        "patwarden_work_overdue",
        S,
        &[],
        "How long work has been due that nobody has begun; 0 when none is",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], age(view.now, watched.due_since));
            }
        },
    ),
    read(
        "patwarden_reviews_unfinished",
        None,
        &[],
        "Approvals and denials that are recorded and not known to have had their effect",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], number(watched.unfinished_effects));
            }
        },
    ),
    counted(
        "patwarden_decisions",
        &["organization", "effect", "mode"],
        Counter::Decisions,
        "Decisions, by effect and by the mode of the policy: in `shadow` nothing is sent",
    ),
    counted(
        "patwarden_rule_decisions",
        &["organization", "effect", "rule"],
        Counter::RuleDecisions,
        "The same by rule: one that two rules made counts for both, and `default` is none",
    ),
    counted(
        "patwarden_requests_settled",
        &["organization", "outcome", "by"],
        Counter::Settled,
        "Requests that are over, by how they ended and who ended them",
    ),
    read(
        "patwarden_escalations_open",
        None,
        &["organization"],
        "Requests about which reviewers are asked",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.escalations {
                to.add([named.organization(row.organization)], number(row.open));
            }
        },
    ),
    read(
        "patwarden_escalations_failing",
        None,
        &["organization"],
        "Those of them of which the last attempt to ask somebody failed",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.escalations {
                to.add([named.organization(row.organization)], number(row.failing));
            }
        },
    ),
    counted(
        "patwarden_revocation_tokens",
        &["organization", "outcome"],
        Counter::Revocations,
        "Tokens of revocations, by what came of them",
    ),
    read(
        "patwarden_revocations_open",
        None,
        &["organization", "state"],
        "Revocations that wait for somebody to confirm them, or are under way",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.revocations {
                let state = Cow::Owned(row.state.clone());
                to.add([named.organization(row.organization), state], number(row.count));
            }
        },
    ),
    counted(
        "patwarden_alarms",
        &["organization"],
        Counter::Alarms,
        "What an owner should look at now: each is in the log as ALARM",
    ),
    read(
        "patwarden_policy_usable",
        None,
        &["organization"],
        "Whether the rules as they are now can be used: 1, or 0, and then nothing is approved",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.policies {
                let organization = named.organization(row.organization.id);
                to.least([organization], yes(row.broken.is_none()));
            }
        },
    ),
    read(
        "patwarden_policy_mode",
        None,
        &["organization", "mode"],
        "One, with the mode of the rules in force; `none`: there never were any",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.policies {
                let mode = row.mode.clone().map_or(Cow::Borrowed("none"), Cow::Owned);
                to.most([named.organization(row.organization.id), mode], 1.0);
            }
        },
    ),
    read(
        "patwarden_policy_age",
        S,
        &["organization"],
        "How long ago the rules in force, or whether they can be used, changed last",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.policies {
                let age = age(view.now, Some(row.since));
                to.most([named.organization(row.organization.id)], age);
            }
        },
    ),
    counted(
        "patwarden_github_calls",
        &["outcome"],
        Counter::Calls,
        "Calls to GitHub, by what they came to",
    ),
    read(
        "patwarden_github_calls_left",
        None,
        &["organization"],
        "Calls that GitHub's hourly limit leaves, as its last answer said",
        |view, to| limits(view, to, |limits| number(limits.remaining)),
    ),
    read(
        "patwarden_github_calls_limit",
        None,
        &["organization"],
        "GitHub's hourly limit",
        |view, to| limits(view, to, |limits| number(limits.limit)),
    ),
    read(
        "patwarden_github_wait",
        S,
        &["organization"],
        "How long it is until GitHub takes calls for an organization again, where it asked for a pause; 0 elsewhere",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.installations {
                to.most([named.organization(row.organization.id)], 0.0);
                let parked = (named.watched.parked.iter())
                    .find(|parked| parked.organization == row.organization.login.as_str());
                if let Some(parked) = parked {
                    let wait = age(parked.until, Some(view.now));
                    to.most([named.organization(row.organization.id)], wait);
                }
            }
        },
    ),
    read(
        "patwarden_installation_suspended",
        None,
        &["organization"],
        "Whether the App's installation is suspended: 1, or 0",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.installations {
                to.most([named.organization(row.organization.id)], yes(row.suspended));
            }
        },
    ),
    read(
        "patwarden_last_reconcile_timestamp",
        S,
        &[],
        "When all pending requests were last listed, in Unix time; missing before the first time",
        |view, to| {
            if let Some(at) = view.reconciled_at {
                to.put([], unix(at));
            }
        },
    ),
    read(
        "patwarden_last_inventory_timestamp",
        S,
        &["organization"],
        "When all tokens with access were last listed, in Unix time",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.inventories {
                to.least([named.organization(row.organization)], unix(row.at));
            }
        },
    ),
    read(
        "patwarden_tokens_active",
        None,
        &["organization"],
        "How many tokens had access by then",
        |view, to| {
            let Some(named) = Named::of(view, to) else { return };
            for row in &named.watched.inventories {
                to.add([named.organization(row.organization)], number(row.active));
            }
        },
    ),
    counted(
        "patwarden_mails",
        &["result"],
        Counter::Mails,
        "Attempts to send a mail: `sent`; `not_now`, and it is tried again; `refused` for good",
    ),
    read("patwarden_mails_waiting", None, &[], "Mails that are still to be sent", |view, to| {
        if let Ok(watched) = &view.watched {
            to.put([], number(watched.mails_waiting));
        }
    }),
    read(
        "patwarden_mails_oldest_age",
        S,
        &[],
        "How long the oldest of them waits; 0 when none does",
        |view, to| {
            if let Ok(watched) = &view.watched {
                to.put([], age(view.now, watched.oldest_mail));
            }
        },
    ),
    read(
        "patwarden_resident_memory",
        Some(Unit::Bytes),
        &[],
        "The memory that the process has in use; on Linux",
        |view, to| {
            if let Some(process) = view.process {
                to.put([], whole(process.resident));
            }
        },
    ),
    read(
        "patwarden_open_files",
        None,
        &[],
        "Files and connections that the process has open; on Linux",
        |view, to| {
            if let Some(process) = view.process {
                to.put([], whole(process.open_files));
            }
        },
    ),
];

/// The series of a metric, by the values of its labels.
#[derive(Default)]
struct Series(BTreeMap<Labels, f64>);

impl Series {
    fn put<const N: usize>(&mut self, labels: [Cow<'static, str>; N], value: f64) {
        self.0.insert(labels.into(), value);
    }

    fn add<const N: usize>(&mut self, labels: [Cow<'static, str>; N], value: f64) {
        *self.0.entry(labels.into()).or_default() += value;
    }

    fn most<const N: usize>(&mut self, labels: [Cow<'static, str>; N], value: f64) {
        let known = self.0.entry(labels.into()).or_insert(value);
        *known = known.max(value);
    }

    fn least<const N: usize>(&mut self, labels: [Cow<'static, str>; N], value: f64) {
        let known = self.0.entry(labels.into()).or_insert(value);
        *known = known.min(value);
    }
}

/// What the store says, and what organizations are called in labels.
struct Named<'a> {
    watched: &'a Watched,
    names: BTreeMap<OrganizationId, String>,
}

impl<'a> Named<'a> {
    fn of(view: &'a View, _: &Series) -> Option<Self> {
        let watched = view.watched.as_ref().ok()?;
        let rows = watched.installations.iter().map(|row| &row.organization);
        let all: BTreeMap<_, _> =
            rows.map(|organization| (organization.id, organization.login.to_string())).collect();
        Some(Self { watched, names: all.into_iter().take(MOST_ORGANIZATIONS).collect() })
    }

    fn organization(&self, id: OrganizationId) -> Cow<'static, str> {
        self.names.get(&id).map_or(Cow::Borrowed(OTHER), |name| Cow::Owned(name.clone()))
    }
}

fn limits(view: &View, to: &mut Series, value: fn(&crate::github::Limits) -> f64) {
    let Some(named) = Named::of(view, to) else { return };
    for (id, limits) in &view.limits {
        if let Some(row) = named.watched.installations.iter().find(|row| row.id == *id) {
            to.least([named.organization(row.organization.id)], value(limits));
        }
    }
}

fn yes(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn unix(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// Seconds from `since` to `now`; 0 when there is nothing, or clocks disagree.
fn age(now: Timestamp, since: Option<Timestamp>) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, and nobody has as many of anything"
)]
fn number(count: i64) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// How requests mostly end, and through whom.
const ENDS: [(&str, &str); 10] = [
    ("approved", "rule"),
    ("approved", "operator"),
    ("approved", "reviewers"),
    ("approved", "person"),
    ("denied", "rule"),
    ("denied", "operator"),
    ("denied", "reviewers"),
    ("denied", "silence"),
    ("denied", "person"),
    ("cancelled", "requester"),
];

/// The series of each organization that are there before anything was counted: a series that begins at one has not risen,
/// and so nobody would be woken by the first alarm.
fn begun(counter: Counter, view: &View) -> Vec<Labels> {
    let Some(named) = Named::of(view, &Series::default()) else { return Vec::new() };
    let organizations = || named.names.values().map(|name| Cow::Owned(name.clone()));
    match counter {
        Counter::Alarms => organizations().map(|organization| vec![organization]).collect(),
        Counter::Settled => organizations()
            .flat_map(|organization| {
                ENDS.map(|(outcome, by)| {
                    vec![organization.clone(), Cow::Borrowed(outcome), Cow::Borrowed(by)]
                })
            })
            .collect(),
        Counter::Decisions => (named.watched.policies.iter())
            .filter_map(|row| {
                let name = named.names.get(&row.organization.id)?;
                Some((name, row.mode.as_ref()?))
            })
            .flat_map(|(name, mode)| {
                EFFECTS.map(|effect| {
                    vec![Cow::Owned(name.clone()), Cow::Borrowed(effect), Cow::Owned(mode.clone())]
                })
            })
            .collect(),
        Counter::RuleDecisions => (view.rules.iter())
            .filter_map(|rule| {
                let name = named.names.get(&rule.organization)?;
                let effect = Cow::Borrowed(rule.effect);
                Some(vec![Cow::Owned(name.clone()), effect, Cow::Owned(rule.rule.clone())])
            })
            .take(MOST_RULES)
            .collect(),
        _ => Vec::new(),
    }
}

/// Why a connection is closed: it had not said what it wants, and another one needed the place.
pub const SILENT: &str = "silent";

/// Why a connection is refused: all places are taken by others that do say something.
pub const FULL: &str = "full";

#[derive(Debug)]
struct All(View);

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let kind = if metric.is_counter() { MetricType::Counter } else { MetricType::Gauge };
            let mut family =
                encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
            let named = |values: &Labels| -> Vec<(&'static str, String)> {
                let names = metric.labels.iter().copied();
                names.zip(values.iter().map(ToString::to_string)).collect()
            };
            match metric.from {
                From::Counted(counter) => {
                    let begun = begun(counter, &self.0).into_iter();
                    let mut series: BTreeMap<Labels, u64> =
                        begun.map(|labels| (labels, 0)).collect();
                    let counted = self.0.counts.of(counter);
                    series.extend(counted.map(|(labels, count)| (labels.clone(), count)));
                    for (labels, count) in series {
                        family
                            .encode_family(&named(&labels))?
                            .encode_counter::<[(&str, &str); 0], _, f64>(&count, None)?;
                    }
                }
                From::Read(read) => {
                    let mut series = Series::default();
                    read(&self.0, &mut series);
                    for (labels, value) in series.0 {
                        if labels.is_empty() {
                            family.encode_gauge(&value)?;
                        } else {
                            family.encode_family(&named(&labels))?.encode_gauge(&value)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The view in Prometheus' text format.
#[must_use]
pub fn exposition(view: &View) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(All(view.clone())));
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = text::encode(&mut text, &registry);
    text
}
