//! PURE: a [`View`] in Prometheus' text format. A metric is a row of [`METRICS`]: its name, its unit, what it says, and where
//! in the view it is read.
//!
//! Labels name organizations on which the App is installed, rules, and words of ours; never a person or a token.

mod list;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

pub use self::list::METRICS;
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
