//! What happened since the process began, counted. No I/O; and nothing is told apart here that strangers may name.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::audit::{Entry, Event};

/// The most series of one counter. Organizations and rules are few; should they ever be not, the rest is counted
/// together.
const MOST_SERIES: usize = 2_000;

/// What stands in place of every label once there are too many.
pub const OTHER: &str = "other";

/// The rule of a decision that no rule made.
pub(super) const DEFAULT: &str = "default";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// What came to the webhook's address, by what became of it.
    Webhooks,
    /// Connections that were closed before they had said what they want, to make room for others.
    ConnectionsClosed,
    /// Connections for which there was no room.
    ConnectionsRefused,
    /// Calls to GitHub, by what they came to.
    Calls,
    /// Mails, by what the mail server said.
    Mails,
    /// Decisions, by organization, effect and mode.
    Decisions,
    /// The same by organization, effect and rule.
    RuleDecisions,
    /// Requests that are over, by organization, how they ended and who ended them.
    Settled,
    /// Tokens of revocations, by organization and what came of them.
    Revocations,
    /// What an owner should look at now, by organization.
    Alarms,
}

/// The values of a counter's labels.
pub type Labels = Vec<Cow<'static, str>>;

/// The counts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<Counter, BTreeMap<Labels, u64>>);

impl Counts {
    /// Every series of a counter.
    pub fn of(&self, counter: Counter) -> impl Iterator<Item = (&Labels, u64)> {
        self.0.get(&counter).into_iter().flatten().map(|(labels, count)| (labels, *count))
    }

    fn begin(&mut self, counter: Counter, words: &[&'static str]) {
        let series = self.0.entry(counter).or_default();
        for word in words {
            series.entry(vec![Cow::Borrowed(*word)]).or_default();
        }
    }

    fn add(&mut self, counter: Counter, labels: Labels) {
        let series = self.0.entry(counter).or_default();
        let full = series.len() >= MOST_SERIES && !series.contains_key(&labels);
        let labels =
            if full { labels.iter().map(|_| Cow::Borrowed(OTHER)).collect() } else { labels };
        *series.entry(labels).or_default() += 1;
    }
}

/// Counts. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: Arc<Mutex<Counts>>,
}

impl Tally {
    /// Has series with these words for their one label begin at 0. What nobody will ever count has none: whoever watches
    /// then tells `nothing came` from `nothing can come`.
    pub fn begin(&self, counter: Counter, words: &[&'static str]) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).begin(counter, words);
    }

    /// Counts one.
    pub fn count(&self, counter: Counter, labels: impl IntoIterator<Item = &'static str>) {
        self.add(counter, labels.into_iter().map(Cow::Borrowed).collect());
    }

    fn add(&self, counter: Counter, labels: Labels) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).add(counter, labels);
    }

    /// Counts what the audit tells. Whose token it is, and what it is called, is left out.
    pub fn told(&self, entry: &Entry) {
        let organization = || Cow::Owned(entry.organization.to_string());
        match &entry.event {
            Event::Decided { effect, mode, rules, .. } => {
                let word = |word: &'static str| Cow::Borrowed(word);
                self.add(Counter::Decisions, vec![organization(), word(effect), word(mode)]);
                if rules.is_empty() {
                    let labels = vec![organization(), word(effect), word(DEFAULT)];
                    self.add(Counter::RuleDecisions, labels);
                }
                for rule in rules {
                    let labels = vec![organization(), word(effect), Cow::Owned(rule.clone())];
                    self.add(Counter::RuleDecisions, labels);
                }
            }
            Event::Settled { outcome, by, .. } => self.add(
                Counter::Settled,
                vec![organization(), Cow::Borrowed(*outcome), Cow::Borrowed(*by)],
            ),
            Event::TokenRevoked { outcome, .. } => {
                self.add(Counter::Revocations, vec![organization(), Cow::Borrowed(*outcome)]);
            }
            Event::Alarm { .. } => self.add(Counter::Alarms, vec![organization()]),
            _ => {}
        }
    }

    /// The counts as they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_has_so_many_series_and_loses_nothing_beyond() {
        let tally = Tally::default();
        for number in 0..MOST_SERIES + 500 {
            tally.add(Counter::Alarms, vec![Cow::Owned(format!("organization-{number}"))]);
        }
        let counts = tally.counts();
        assert_eq!(counts.of(Counter::Alarms).count(), MOST_SERIES + 1);
        assert_eq!(counts.of(Counter::Alarms).map(|(_, count)| count).sum::<u64>(), 2_500);
        let other = counts.of(Counter::Alarms).find(|(labels, _)| labels[0] == OTHER);
        assert_eq!(other.map(|(_, count)| count), Some(500));
    }
}
