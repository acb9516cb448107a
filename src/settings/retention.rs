//! How long what is kept.

use jiff::SignedDuration;

use super::Sources;

/// The least time for which decisions are kept, in days: an auditor's year and some.
const DECISIONS_AT_LEAST: i64 = 400;

/// The same for bodies of deliveries: a GitHub Enterprise Server sends one again for seven days.
const DELIVERIES_AT_LEAST: i64 = 8;

/// The same for tokens that are gone.
const TOKENS_AT_LEAST: i64 = 30;

/// The longest span that is believed to be meant.
const AT_MOST: i64 = 36_500;

/// How long what is kept; `None`: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The bodies of deliveries that were read.
    pub deliveries: Option<SignedDuration>,
    /// Requests that are over, with their decisions.
    pub decisions: Option<SignedDuration>,
    /// Tokens that are gone, and what changed of others.
    pub tokens: Option<SignedDuration>,
}

pub(super) fn check(s: &mut Sources) -> Option<Retention> {
    let deliveries = s.parsed("retention-deliveries", |text| days(text, DELIVERIES_AT_LEAST));
    let decisions = s.parsed("retention-decisions", |text| days(text, DECISIONS_AT_LEAST));
    let tokens = s.parsed("retention-tokens", |text| days(text, TOKENS_AT_LEAST));
    Some(Retention { deliveries: deliveries?, decisions: decisions?, tokens: tokens? })
}

fn days(text: &str, least: i64) -> Result<Option<SignedDuration>, String> {
    if text == "forever" {
        return Ok(None);
    }
    match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        Some(days) if (least..=AT_MOST).contains(&days) => {
            Ok(Some(SignedDuration::from_hours(24 * days)))
        }
        Some(_) => Err(format!(
            "`{text}` is not between {least}d and {AT_MOST}d; `forever`: never deleted"
        )),
        None => Err(format!("`{text}` is no number of days; write `{least}d`, or `forever`")),
    }
}
