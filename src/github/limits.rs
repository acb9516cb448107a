//! GitHub's rate limits, as its answers tell them.

use std::sync::Mutex;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};

/// How long to wait when GitHub says "slow down" and not for how long.
const UNSTATED_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// The longest wait that is believed: GitHub's windows are an hour long.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// What the last answer said about the primary limit.
///
/// Source: <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls an hour.
    pub limit: i64,
    /// Calls left until `resets_at`.
    pub remaining: i64,
    /// When the count begins anew.
    pub resets_at: Timestamp,
}

/// What answers to one installation said beside their bodies: the newest limits, and what time it was.
#[derive(Debug, Default)]
pub(super) struct LimitsSeen {
    limits: Mutex<Option<Limits>>,
    ahead: Mutex<Option<SignedDuration>>,
}

impl LimitsSeen {
    /// The newest limits, if any answer told them.
    #[must_use]
    pub(super) fn newest(&self) -> Option<Limits> {
        self.limits.lock().map(|limits| *limits).unwrap_or_default()
    }

    /// How far our clock was ahead of the last answer's `Date`, if any answer had one.
    pub(super) fn clock_ahead(&self) -> Option<SignedDuration> {
        self.ahead.lock().map(|ahead| *ahead).unwrap_or_default()
    }

    pub(super) fn note(&self, headers: &HeaderMap, now: Timestamp) {
        // Source: <https://www.rfc-editor.org/rfc/rfc9110#name-date>.
        let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let (Some(date), Ok(mut ahead)) = (date, self.ahead.lock()) {
            *ahead = Some(now.duration_since(date.timestamp()));
        }
        let seen = (|| {
            Some(Limits {
                limit: number(headers, "x-ratelimit-limit")?,
                remaining: number(headers, "x-ratelimit-remaining")?,
                resets_at: Timestamp::from_second(number(headers, "x-ratelimit-reset")?).ok()?,
            })
        })();
        if let (Some(seen), Ok(mut newest)) = (seen, self.limits.lock()) {
            *newest = Some(seen);
        }
    }
}

/// Until when an answer asks us to wait, or `None` when it is no matter of limits.
///
/// `retry-after` goes first, then a used-up primary limit, then the words of a secondary limit.
pub(super) fn asked_to_wait(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let limiting = matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if !limiting {
        return None;
    }
    let at_most = |until: Timestamp| {
        let longest = now.saturating_add(LONGEST_WAIT).unwrap_or(Timestamp::MAX);
        let shortest = now.saturating_add(SignedDuration::from_secs(1)).unwrap_or(now);
        until.clamp(shortest, longest)
    };
    let after = |wait: SignedDuration| at_most(now.saturating_add(wait).unwrap_or(Timestamp::MAX));
    if let Some(seconds) = number(headers, "retry-after") {
        return Some(after(SignedDuration::from_secs(seconds)));
    }
    if number(headers, "x-ratelimit-remaining") == Some(0) {
        let reset = number(headers, "x-ratelimit-reset")
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map_or_else(|| after(UNSTATED_WAIT), at_most);
        return Some(reset);
    }
    let says_so = message.to_ascii_lowercase().contains("rate limit");
    (says_so || status == StatusCode::TOO_MANY_REQUESTS).then(|| after(UNSTATED_WAIT))
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use jiff::Timestamp;

    use super::asked_to_wait;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect()
    }

    fn seconds(
        status: StatusCode,
        pairs: &[(&'static str, &'static str)],
        message: &str,
    ) -> Option<i64> {
        let now = Timestamp::from_second(1_000_000).expect("in range");
        asked_to_wait(status, &headers(pairs), message, now)
            .map(|until| until.as_second() - 1_000_000)
    }

    #[test]
    fn how_far_our_clock_is_ahead_is_read_from_the_date_of_an_answer() {
        let seen = super::LimitsSeen::default();
        let now: Timestamp = "1994-11-17T08:12:31Z".parse().expect("a time");
        seen.note(&headers(&[("date", "yesterday")]), now);
        assert_eq!(seen.clock_ahead(), None);
        seen.note(&headers(&[("date", "Tue, 15 Nov 1994 08:12:31 GMT")]), now);
        assert_eq!(seen.clock_ahead(), Some(jiff::SignedDuration::from_hours(48)));
    }

    #[test]
    fn retry_after_goes_before_the_reset() {
        let both = [
            ("retry-after", "7"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1000500"),
        ];
        assert_eq!(seconds(StatusCode::FORBIDDEN, &both, ""), Some(7));
        assert_eq!(seconds(StatusCode::TOO_MANY_REQUESTS, &both[1..], ""), Some(500));
    }

    #[test]
    fn a_missing_permission_is_no_limit() {
        let message = "Resource not accessible by integration";
        assert_eq!(
            seconds(StatusCode::FORBIDDEN, &[("x-ratelimit-remaining", "4000")], message),
            None
        );
        assert_eq!(seconds(StatusCode::NOT_FOUND, &[("retry-after", "7")], ""), None);
    }

    #[test]
    fn an_unstated_wait_is_a_minute_and_no_wait_is_longer_than_an_hour() {
        let message = "You have exceeded a secondary rate limit.";
        assert_eq!(seconds(StatusCode::FORBIDDEN, &[], message), Some(60));
        assert_eq!(seconds(StatusCode::TOO_MANY_REQUESTS, &[], ""), Some(60));
        assert_eq!(seconds(StatusCode::FORBIDDEN, &[("retry-after", "999999")], ""), Some(3600));
        assert_eq!(seconds(StatusCode::FORBIDDEN, &[("retry-after", "-5")], ""), Some(1));
    }
}
