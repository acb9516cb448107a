//! Durations and bounds as rule files write them; what is measured with them stands elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Seconds in a day, as lifetimes count: GitHub's days are 24 hours.
pub(crate) const DAY: i64 = 86_400;

/// More than this is a slip of the pen: a hundred years.
const MOST_DAYS: i64 = 36_500;

/// Reads `"90d"`: whole days only.
pub(crate) fn days(text: &str) -> Result<i64, String> {
    let number = text.strip_suffix('d').ok_or_else(|| match text.chars().last() {
        Some('h' | 'm') => {
            "lifetimes are counted in whole days; write days, such as \"90d\"".to_owned()
        }
        _ => "write a number of days, such as \"90d\"".to_owned(),
    })?;
    number_of(number, MOST_DAYS)
}

/// Reads `"90d"`, `"4h"` or `"30m"` as seconds.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    let (unit, number) = if let Some(number) = text.strip_suffix('d') {
        (DAY, number)
    } else if let Some(number) = text.strip_suffix('h') {
        (3_600, number)
    } else if let Some(number) = text.strip_suffix('m') {
        (60, number)
    } else {
        return Err("write days, hours or minutes, such as \"1d\", \"4h\" or \"30m\"".to_owned());
    };
    number_of(number, MOST_DAYS * DAY / unit).map(|number| Span(number * unit))
}

fn number_of(text: &str, most: i64) -> Result<i64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("write a whole number and a unit without blanks, such as \"90d\"".to_owned());
    }
    match text.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err("that is more than a hundred years".to_owned()),
    }
}

/// A span of time, in seconds, written as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

impl Span {
    /// The span in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds % DAY == 0 => write!(f, "{}d", seconds / DAY),
            seconds if seconds % 3_600 == 0 => write!(f, "{}h", seconds / 3_600),
            seconds => write!(f, "{}m", seconds / 60),
        }
    }
}

/// A number that may be infinite: the lifetime of a token that never expires, the count of all repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    Finite(i64),
    Infinite,
}

/// At least and at most, both inclusive; nothing infinite is at most anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) at_least: Option<i64>,
    pub(crate) at_most: Option<i64>,
}

impl Bounds {
    pub(crate) fn at_most(most: i64) -> Self {
        Self { at_least: None, at_most: Some(most) }
    }

    pub(crate) fn hold(self, measure: Measure) -> bool {
        match measure {
            Measure::Infinite => self.at_most.is_none(),
            Measure::Finite(number) => {
                self.at_least.is_none_or(|least| number >= least)
                    && self.at_most.is_none_or(|most| number <= most)
            }
        }
    }

    /// Whether no number is inside.
    pub(crate) fn contradict(self) -> bool {
        matches!((self.at_least, self.at_most), (Some(least), Some(most)) if least > most)
    }

    /// Whether everything inside `self` is inside `other`.
    pub(crate) fn within(self, other: Self) -> bool {
        other.at_least.is_none_or(|theirs| self.at_least.is_some_and(|ours| ours >= theirs))
            && other.at_most.is_none_or(|theirs| self.at_most.is_some_and(|ours| ours <= theirs))
    }

    /// For people, with each number written by `unit`.
    pub(crate) fn written(self, unit: impl Fn(i64) -> String) -> String {
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => {
                format!("at least {}, at most {}", unit(least), unit(most))
            }
            (Some(least), None) => format!("at least {}", unit(least)),
            (None, Some(most)) => format!("at most {}", unit(most)),
            (None, None) => "anything".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Measure, Span, days, span};

    #[test]
    fn lifetimes_are_whole_days() {
        assert_eq!(days("90d"), Ok(90));
        assert_eq!(days("0d"), Ok(0));
        for bad in ["36h", "90", "d", "-1d", "1.5d", " 90d", "90 d", "99999999999999999999d", "٣d"]
        {
            assert!(days(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_days_hours_or_minutes() {
        assert_eq!(span("1d"), Ok(Span(86_400)));
        assert_eq!(span("90m").map(|s| s.to_string()), Ok("90m".to_owned()));
        assert_eq!(span("48h").map(|s| s.to_string()), Ok("2d".to_owned()));
        assert!(span("1w").is_err() && span("99999999999d").is_err());
    }

    #[test]
    fn the_infinite_is_at_most_nothing() {
        assert!(!Bounds::at_most(i64::MAX).hold(Measure::Infinite));
        assert!(Bounds { at_least: Some(5), at_most: None }.hold(Measure::Infinite));
        assert!(Bounds::at_most(90).hold(Measure::Finite(90)));
    }
}
