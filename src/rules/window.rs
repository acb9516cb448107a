//! Windows of wall-clock time in a named zone; the moment to be judged comes in as a value.

use std::fmt;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};

/// `clock = { from, until, weekdays, hours, timezone }`; what is absent does not bound.
///
/// A window of hours that crosses midnight belongs to the day on which it began: `weekdays = ["friday"]`
/// with `hours = "22:00-06:00"` holds on Saturday at two in the morning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Option<Date>,
    pub(crate) until: Option<Date>,
    pub(crate) weekdays: Vec<Weekday>,
    /// Minutes of the day: from, inclusive, and until, exclusive.
    pub(crate) hours: Option<(u16, u16)>,
    pub(crate) timezone_name: String,
    pub(crate) timezone: TimeZone,
}

impl Window {
    pub(crate) fn contains(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.timezone.clone()).datetime();
        let minute =
            u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let day = match self.hours {
            None => local.date(),
            Some((from, until)) if from < until => {
                if !(from..until).contains(&minute) {
                    return false;
                }
                local.date()
            }
            Some((from, until)) => {
                if minute >= from {
                    local.date()
                } else if minute < until {
                    local.date().saturating_sub(1.day())
                } else {
                    return false;
                }
            }
        };
        self.from.is_none_or(|from| day >= from)
            && self.until.is_none_or(|until| day <= until)
            && (self.weekdays.is_empty() || self.weekdays.contains(&day.weekday()))
    }

    /// The moment as this window's clock shows it.
    pub(crate) fn shown(&self, now: Timestamp) -> String {
        let local = now.to_zoned(self.timezone.clone());
        format!("{} {}", local.strftime("%Y-%m-%d %H:%M %A"), self.timezone_name)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(from) = self.from {
            parts.push(format!("from {from}"));
        }
        if let Some(until) = self.until {
            parts.push(format!("until {until}"));
        }
        if !self.weekdays.is_empty() {
            let days: Vec<_> = self.weekdays.iter().map(|day| weekday_name(*day)).collect();
            parts.push(format!("on {}", days.join(", ")));
        }
        if let Some((from, until)) = self.hours {
            let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            parts.push(format!("{}-{}", clock(from), clock(until)));
        }
        write!(f, "{} {}", parts.join(", "), self.timezone_name)
    }
}

/// The days of the week as rule files name them.
pub(crate) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

fn weekday_name(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(_, weekday)| *weekday == day).map_or("", |(name, _)| name)
}

/// Reads `"22:00-06:00"` as minutes of the day.
pub(crate) fn hours(text: &str) -> Result<(u16, u16), String> {
    let wrong = || "write hours as \"HH:MM-HH:MM\", such as \"22:00-06:00\"".to_owned();
    let (from, until) = text.split_once('-').ok_or_else(wrong)?;
    let from = minute_of_day(from.trim()).ok_or_else(wrong)?;
    let until = minute_of_day(until.trim()).ok_or_else(wrong)?;
    if from == until || from == 24 * 60 {
        return Err(
            "these hours begin when they end; leave `hours` out for the whole day".to_owned()
        );
    }
    Ok((from, until))
}

/// Reads `"08:00"`; `"24:00"` is the end of the day.
pub(crate) fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse::<u16>().ok())
            .flatten()
    };
    let total = number(hour)? * 60 + number(minute).filter(|minute| *minute < 60)?;
    (total <= 24 * 60).then_some(total)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use jiff::{civil::Weekday, tz::TimeZone};

    use super::{Window, hours};

    fn window() -> Window {
        Window {
            from: None,
            until: None,
            weekdays: Vec::new(),
            hours: None,
            timezone_name: "Europe/Vienna".to_owned(),
            timezone: TimeZone::get("Europe/Vienna").unwrap(),
        }
    }

    #[test]
    fn dates_are_inclusive_in_their_own_zone() {
        let freeze = Window {
            from: Some("2026-12-15".parse().unwrap()),
            until: Some("2027-01-04".parse().unwrap()),
            ..window()
        };
        for (now, inside) in [
            ("2026-12-14T22:59:59Z", false),
            ("2026-12-14T23:00:00Z", true),
            ("2027-01-04T22:59:59Z", true),
            ("2027-01-04T23:00:00Z", false),
        ] {
            assert_eq!(freeze.contains(now.parse().unwrap()), inside, "{now}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let night = Window {
            weekdays: vec![Weekday::Friday],
            hours: Some(hours("22:00-06:00").unwrap()),
            ..window()
        };
        for (now, inside) in [
            ("2026-06-05T20:00:00Z", true),  // Friday 22:00 in Vienna
            ("2026-06-06T03:59:00Z", true),  // Saturday 05:59
            ("2026-06-06T04:00:00Z", false), // Saturday 06:00
            ("2026-06-05T03:00:00Z", false), // Friday 05:00: Thursday's night
            ("2026-06-06T20:30:00Z", false), // Saturday 22:30
        ] {
            assert_eq!(night.contains(now.parse().unwrap()), inside, "{now}");
        }
    }

    #[test]
    fn hours_are_written_in_full() {
        assert_eq!(hours("09:00-24:00"), Ok((540, 1440)));
        for bad in ["9-17", "09:00", "09:00-09:00", "25:00-26:00", "09:60-10:00", "24:00-06:00"] {
            assert!(hours(bad).is_err(), "{bad}");
        }
    }
}
