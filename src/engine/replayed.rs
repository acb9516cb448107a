//! What is on record, as a plan judges it again.

use jiff::{SignedDuration, Timestamp};

use super::lifecycle::{Outcome, State};
use crate::{
    rules::plan::{Recorded, Standing},
    store::{DecisionRow, ReplayFilter, RequestRow, Store, StoreError},
};

/// How far back decisions are judged again.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The most that is judged again.
const MOST: i64 = 20_000;

/// What is on record and matters when rules change: the last decision on each request of the last 90 days, and,
/// whenever it was made, on each that is pending or was approved and has not expired. The number is that of records
/// that cannot be read.
///
/// # Errors
/// When the database refuses.
pub async fn on_record(
    store: &Store,
    organization: Option<String>,
    now: Timestamp,
) -> Result<(Vec<Recorded>, usize), StoreError> {
    let since = now.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
    let filter = ReplayFilter { organization, since, limit: MOST };
    let (rows, unreadable) = store.last_decisions(&filter).await?;
    let recorded =
        rows.into_iter().filter_map(|(row, decision)| recorded(&row, decision, since, now));
    Ok((recorded.collect(), unreadable))
}

fn recorded(
    row: &RequestRow,
    decision: DecisionRow,
    since: Timestamp,
    now: Timestamp,
) -> Option<Recorded> {
    let expired = decision.request.token.expires_at.is_some_and(|at| at <= now);
    let standing = match row.state {
        State::Settled(Outcome::Approved, _) if !expired => Standing::Active,
        State::Settled(..) | State::Gone if decision.decided_at < since => return None,
        State::Settled(..) | State::Gone => Standing::Over,
        State::Checking | State::Revoking => Standing::Active,
        State::Waiting | State::Escalated | State::Held | State::Decided(_) | State::Sent(_) => {
            Standing::Pending
        }
    };
    Some(Recorded { standing, request: decision.request, facts: decision.facts })
}
