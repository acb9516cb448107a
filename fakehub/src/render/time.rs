//! GitHub's three ways to write a time. Seconds in, text out.

use jiff::tz::{Offset, TimeZone};

use crate::clock::timestamp;

/// `2026-01-02T03:04:05Z`.
pub(crate) fn zulu(seconds: i64) -> String {
    timestamp(seconds).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-01-02T05:04:05+02:00`, as the webhook shows a requester's time.
pub(crate) fn with_offset(seconds: i64, minutes: i32) -> String {
    at_offset(seconds, minutes, "%Y-%m-%dT%H:%M:%S%:z")
}

/// `2026-01-02T05:04:05.000+02:00`, as the token lists show times.
pub(crate) fn with_millis(seconds: i64, minutes: i32) -> String {
    at_offset(seconds, minutes, "%Y-%m-%dT%H:%M:%S.000%:z")
}

fn at_offset(seconds: i64, minutes: i32, format: &str) -> String {
    let offset = Offset::from_seconds(minutes.saturating_mul(60)).unwrap_or(Offset::UTC);
    timestamp(seconds).to_zoned(TimeZone::fixed(offset)).strftime(format).to_string()
}
