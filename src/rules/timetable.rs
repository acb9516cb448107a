//! When a digest goes out: times on the wall's clock of a named zone, at most one a day, right over every change of clocks.
//!
//! The crate `cron` knows nothing of gaps and overlaps, so it is asked on the wall's clock alone, dressed as UTC, which has
//! neither; what it gives is put back into the zone here. A time that the clocks skip comes that much later, one that
//! they show twice comes the first time.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use jiff::{
    Timestamp,
    civil::{Date, DateTime as Civil},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::policy::{DigestBlock, Schedule};

/// The days of the week as cron counts them: Sunday is 0, and 7.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// How many times are tried before a schedule counts as one without an end: a gap or an overlap costs one.
const TRIES: usize = 8;

/// Times on the wall's clock of one zone, at most one a day.
#[derive(Clone, Debug)]
pub struct Timetable {
    schedule: cron::Schedule,
    zone: TimeZone,
}

/// One of its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When that is.
    pub at: Timestamp,
    /// Of which day, as the calendar on the wall has it.
    pub date: Date,
}

/// Why five fields of cron are no timetable: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTimetable(String);

impl fmt::Display for NoTimetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoTimetable {}

impl Timetable {
    /// The times of a `[digest]`.
    ///
    /// # Errors
    /// When its zone or its schedule is none; what was loaded has both.
    pub fn of(digest: &DigestBlock) -> Result<Self, NoTimetable> {
        let zone = TimeZoneDatabase::bundled()
            .get(&digest.timezone)
            .map_err(|_| NoTimetable(format!("there is no time zone `{}`", digest.timezone)))?;
        match &digest.schedule {
            Schedule::Daily { minute } => Self::daily(*minute, zone),
            Schedule::Cron(fields) => Self::by_cron(fields, zone),
        }
    }

    /// Every day, at a minute counted from midnight.
    ///
    /// # Errors
    /// When a day has no such minute.
    pub fn daily(minute: u16, zone: TimeZone) -> Result<Self, NoTimetable> {
        Self::by_cron(&format!("{} {} * * *", minute % 60, minute / 60), zone)
    }

    /// By the five fields of cron: minute, hour, day of the month, month, day of the week.
    ///
    /// # Errors
    /// A sentence: a field that is none, a day of the month together with a day of the week (which some read as "and",
    /// others as "or"), more than one time a day, or a day that never comes.
    pub fn by_cron(fields: &str, zone: TimeZone) -> Result<Self, NoTimetable> {
        let wrong = |text: String| NoTimetable(text);
        let [minute, hour, day, month, weekday] =
            *fields.split_ascii_whitespace().collect::<Vec<_>>()
        else {
            return Err(wrong("it must have the five fields of cron".to_owned()));
        };
        if minute.parse::<u8>().is_err() || hour.parse::<u8>().is_err() {
            return Err(wrong("a digest goes out at most once a day".to_owned()));
        }
        if day != "*" && weekday != "*" {
            return Err(wrong(
                "a day of the month and a day of the week are both given: leave one of them `*`"
                    .to_owned(),
            ));
        }
        let weekday = weekdays(weekday)?;
        let schedule =
            cron::Schedule::from_str(&format!("0 {minute} {hour} {day} {month} {weekday}"))
                .map_err(|_| wrong(format!("`{fields}` is no schedule of cron")))?;
        let table = Self { schedule, zone };
        // Years with a 29th of February among them; loading reads no clock.
        let before = NaiveDate::from_ymd_opt(2023, 12, 31).and_then(|day| day.and_hms_opt(0, 0, 0));
        let first = before.and_then(|before| table.schedule.after(&before.and_utc()).next());
        if first.is_none_or(|first| first.year() > 2029) {
            return Err(wrong(format!("`{fields}` names a day that never comes")));
        }
        Ok(table)
    }

    /// The first time after `then`.
    #[must_use]
    pub fn after(&self, then: Timestamp) -> Option<Slot> {
        // From the day before: a time that the clocks skipped lies behind where it is written.
        let from = then.to_zoned(self.zone.clone()).datetime();
        let from = dressed(from.checked_sub(jiff::Span::new().days(1)).ok()?)?;
        self.schedule
            .after(&from)
            .take(TRIES)
            .filter_map(|wall| self.slot(wall))
            .find(|slot| slot.at > then)
    }

    /// The last time that is not after `now`.
    #[must_use]
    pub fn last(&self, now: Timestamp) -> Option<Slot> {
        let from = now.to_zoned(self.zone.clone()).datetime();
        let from = dressed(from.checked_add(jiff::Span::new().days(1)).ok()?)?;
        self.schedule
            .after(&from)
            .rev()
            .take(TRIES)
            .filter_map(|wall| self.slot(wall))
            .find(|slot| slot.at <= now)
    }

    /// The day on the wall's calendar at this moment.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// The zone whose clock it is.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What the wall's clock shows, put back into its zone.
    fn slot(&self, wall: DateTime<Utc>) -> Option<Slot> {
        let small = |number: u32| i8::try_from(number).ok();
        let civil = Civil::new(
            i16::try_from(wall.year()).ok()?,
            small(wall.month())?,
            small(wall.day())?,
            small(wall.hour())?,
            small(wall.minute())?,
            0,
            0,
        )
        .ok()?;
        let zoned = self.zone.to_ambiguous_zoned(civil).compatible().ok()?;
        Some(Slot { at: zoned.timestamp(), date: civil.date() })
    }
}

/// `08:00` as minutes from midnight.
#[must_use]
pub fn minute_of_day(text: &str) -> Option<u16> {
    super::window::minute_of_day(text).filter(|minute| *minute < 24 * 60)
}

/// A time on the wall's clock, as cron takes it.
fn dressed(civil: Civil) -> Option<DateTime<Utc>> {
    let part = |number: i8| u32::try_from(number).ok();
    let date =
        NaiveDate::from_ymd_opt(i32::from(civil.year()), part(civil.month())?, part(civil.day())?)?;
    let wall =
        date.and_hms_opt(part(civil.hour())?, part(civil.minute())?, part(civil.second())?)?;
    Some(wall.and_utc())
}

/// The field of the weekdays as names: the crate counts them otherwise than cron does.
fn weekdays(field: &str) -> Result<String, NoTimetable> {
    if field == "*" {
        return Ok("*".to_owned());
    }
    let wrong = || NoTimetable(format!("`{field}` names no days of the week"));
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().map_err(|_| wrong())?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (weekday(first), weekday(last)),
            None if range == "*" => (Some(0), Some(6)),
            None => (weekday(range), weekday(range)),
        };
        let (Some(first), Some(last)) = (first, last) else { return Err(wrong()) };
        if step == 0 || step > 7 {
            return Err(wrong());
        }
        // Over the end of the week, where the last comes before the first; `1-7` is the whole of it.
        let length = if last >= first { last - first } else { last + 7 - first };
        for offset in (0..=length).step_by(step) {
            if let Some(day) = days.get_mut((first + offset) % 7) {
                *day = true;
            }
        }
    }
    let named = WEEKDAYS.iter().zip(days).filter(|(_, set)| *set).map(|(name, _)| *name);
    Ok(named.collect::<Vec<_>>().join(","))
}

/// A day by its number, Sunday as 0 or 7, or by the beginning of its name.
fn weekday(text: &str) -> Option<usize> {
    if let Ok(number) = text.parse::<usize>() {
        return Some(number).filter(|number| *number <= 7);
    }
    let text = text.to_ascii_uppercase();
    WEEKDAYS.iter().position(|name| *name == text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use jiff::{Timestamp, civil::Date, tz::TimeZoneDatabase};

    use super::Timetable;

    fn table(fields: &str, zone: &str) -> Timetable {
        Timetable::by_cron(fields, TimeZoneDatabase::bundled().get(zone).unwrap()).unwrap()
    }

    /// When it fires on these days, on the wall's clock there and as UTC.
    fn fires(fields: &str, zone: &str, from: &str, days: usize) -> Vec<String> {
        let table = table(fields, zone);
        let mut at: Timestamp = from.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..days {
            let slot = table.after(at).unwrap();
            assert_eq!(table.last(slot.at), Some(slot), "the last one is this one");
            at = slot.at;
            found.push(at.to_zoned(table.zone().clone()).strftime("%a %m-%d %H:%M %z").to_string());
        }
        found
    }

    #[test]
    fn clocks_that_skip_a_time_or_show_it_twice_make_one_digest_of_it() {
        let cases = [
            // Skipped at 02:00, New York.
            (
                "30 2 * * *",
                "America/New_York",
                "2027-03-13T12:00:00Z",
                ["Sun 03-14 03:30 -0400", "Mon 03-15 02:30 -0400"],
            ),
            // Shown twice at 01:30: the first.
            (
                "30 1 * * *",
                "America/New_York",
                "2027-11-06T12:00:00Z",
                ["Sun 11-07 01:30 -0400", "Mon 11-08 01:30 -0500"],
            ),
            // Midnight itself is skipped in Cairo.
            (
                "0 0 * * *",
                "Africa/Cairo",
                "2027-04-29T12:00:00Z",
                ["Fri 04-30 01:00 +0300", "Sat 05-01 00:00 +0300"],
            ),
            // Half an hour is skipped on Lord Howe, and shown twice.
            (
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T00:00:00Z",
                ["Sun 10-04 02:45 +1100", "Mon 10-05 02:15 +1100"],
            ),
            (
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2027-04-03T00:00:00Z",
                ["Sun 04-04 01:45 +1100", "Mon 04-05 01:45 +1030"],
            ),
            (
                "30 2 * * *",
                "Europe/Paris",
                "2027-03-27T12:00:00Z",
                ["Sun 03-28 03:30 +0200", "Mon 03-29 02:30 +0200"],
            ),
            (
                "30 2 * * *",
                "Europe/Paris",
                "2026-10-24T12:00:00Z",
                ["Sun 10-25 02:30 +0200", "Mon 10-26 02:30 +0100"],
            ),
        ];
        for (fields, zone, from, expected) in cases {
            assert_eq!(fires(fields, zone, from, 2), expected, "{fields} {zone}");
        }
    }

    /// The acceptance set: every day of two years has its digest, and only one.
    #[test]
    fn every_day_has_exactly_one() {
        let zones = [
            "Europe/Vienna",
            "America/New_York",
            "Africa/Cairo",
            "Australia/Lord_Howe",
            "America/Sao_Paulo",
            "Pacific/Chatham",
            "Antarctica/Troll",
            "UTC",
        ];
        let times = [0, 1, 30, 60, 90, 105, 120, 121, 135, 150, 179, 180, 210, 480, 1_410, 1_439];
        for zone in zones {
            for minute in times {
                let zone_of = TimeZoneDatabase::bundled().get(zone).unwrap();
                let table = Timetable::daily(minute, zone_of).unwrap();
                let mut day: Date = "2026-01-01".parse().unwrap();
                let first = table.zone().to_ambiguous_zoned(day.at(0, 0, 0, 0)).compatible();
                let mut at = first.unwrap().timestamp() - jiff::SignedDuration::from_secs(1);
                for _ in 0..730 {
                    let slot = table.after(at).unwrap();
                    assert_eq!(slot.date, day, "{zone} {minute}");
                    assert!(slot.at > at, "{zone} {minute} {day}");
                    // However long after it somebody looks, before the next one. Where clocks stand still, now and then.
                    if slot.at.duration_since(at).as_hours() != 24 || day.day() == 1 {
                        let next = table.after(slot.at).unwrap();
                        let almost = next.at - jiff::SignedDuration::from_secs(1);
                        assert_eq!(table.last(almost), Some(slot), "{zone} {minute}");
                    }
                    at = slot.at;
                    day = day.tomorrow().unwrap();
                }
            }
        }
    }

    #[test]
    fn weekdays_are_counted_as_cron_counts_them() {
        let from = "2026-06-01T00:00:00Z"; // a Monday
        for (fields, expected) in [
            ("0 8 * * 1-5", "Mon Tue Wed Thu Fri Mon Tue"),
            ("0 8 * * 0", "Sun Sun Sun Sun Sun Sun Sun"),
            ("0 8 * * 7", "Sun Sun Sun Sun Sun Sun Sun"),
            ("0 8 * * fri-mon", "Mon Fri Sat Sun Mon Fri Sat"),
            ("0 8 * * 1,3", "Mon Wed Mon Wed Mon Wed Mon"),
            ("0 8 * * */2", "Tue Thu Sat Sun Tue Thu Sat"),
            ("0 8 * * 1-7", "Mon Tue Wed Thu Fri Sat Sun"),
        ] {
            let found = fires(fields, "UTC", from, 7);
            let days: Vec<_> = found.iter().filter_map(|day| day.get(..3)).collect();
            assert_eq!(days.join(" "), expected, "{fields}");
        }
        let monthly = fires("0 8 29 2 *", "UTC", "2026-06-01T00:00:00Z", 2);
        assert_eq!(monthly, ["Tue 02-29 08:00 +0000", "Sun 02-29 08:00 +0000"]);
    }

    #[test]
    fn what_is_no_timetable_says_why() {
        let utc = || TimeZoneDatabase::bundled().get("UTC").unwrap();
        for (fields, why) in [
            ("0 8 * *", "five fields"),
            ("0,30 8 * * *", "at most once a day"),
            ("*/5 8 * * *", "at most once a day"),
            ("0 8-9 * * *", "at most once a day"),
            ("0 8 1 * 1", "both given"),
            ("0 8 31 2 *", "never comes"),
            ("0 8 32 * *", "no schedule"),
            ("0 25 * * *", "no schedule"),
            ("0 8 * 13 *", "no schedule"),
            ("0 8 * * 8", "no days of the week"),
            ("0 8 * * mo", "no days of the week"),
            ("0 8 * * 1-5/0", "no days of the week"),
        ] {
            let error = Timetable::by_cron(fields, utc()).unwrap_err().to_string();
            assert!(error.contains(why), "{fields}: {error}");
        }
    }
}
