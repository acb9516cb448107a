//! Where somebody left, as events say: it is looked who that is, soon, and once more where the lists do not show it yet.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::domain::OrganizationId;

/// How long after one look at the members the next is taken for an event: lists lag, and many may leave at once.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// How often it is looked for one event.
const LOOKS: u8 = 2;

/// The organizations in which somebody left.
#[derive(Default)]
pub(super) struct Departures(Mutex<HashMap<OrganizationId, Heard>>);

#[derive(Clone, Copy)]
struct Heard {
    /// When the event came that is not looked into yet.
    at: Timestamp,
    /// When to look next; none: the last one was for events that are dealt with.
    next: Option<Timestamp>,
    /// How often to look still.
    looks: u8,
    /// When it was last looked.
    looked_at: Option<Timestamp>,
}

impl Departures {
    /// Somebody left.
    pub(super) fn heard(&self, organization: OrganizationId, now: Timestamp) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heard.get(&organization).copied();
        let soonest = known.and_then(|known| known.looked_at?.saturating_add(APART).ok());
        let next = soonest.map_or(now, |soonest| soonest.max(now));
        let open = known.filter(|known| known.next.is_some());
        heard.insert(
            organization,
            Heard {
                at: open.map_or(now, |open| open.at),
                next: Some(open.and_then(|open| open.next).map_or(next, |open| open.min(next))),
                looks: LOOKS,
                looked_at: known.and_then(|known| known.looked_at),
            },
        );
    }

    /// Where to look now, with the moment of the first event that is not dealt with.
    pub(super) fn due(&self, now: Timestamp) -> Vec<(OrganizationId, Timestamp)> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        for (organization, known) in heard.iter_mut() {
            if known.next.is_some_and(|next| next <= now) {
                known.next = None;
                known.looks = known.looks.saturating_sub(1);
                due.push((*organization, known.at));
            }
        }
        due
    }

    /// It was looked, and somebody had left, or nobody was seen to have.
    pub(super) fn compared(&self, organization: OrganizationId, departed: bool, now: Timestamp) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = heard.get_mut(&organization) else { return };
        known.looked_at = Some(now);
        if known.next.is_none() && !departed && known.looks > 0 {
            known.next = now.saturating_add(APART).ok();
        }
    }

    /// When to look next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.values().filter_map(|known| known.next).min()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn many_who_leave_together_are_looked_for_together_and_a_lagging_list_once_more() {
        let (departures, acme) = (Departures::default(), OrganizationId(1));
        departures.heard(acme, at(100));
        assert_eq!(departures.due(at(100)), [(acme, at(100))]);
        assert!(departures.due(at(100)).is_empty());
        // The list showed nobody: once more, a minute later, and no more.
        departures.compared(acme, false, at(101));
        assert!(departures.due(at(160)).is_empty());
        assert_eq!(departures.due(at(161)), [(acme, at(100))]);
        departures.compared(acme, false, at(162));
        assert_eq!(departures.next(), None);
        // Others, within a minute of that look: one look for both.
        departures.heard(acme, at(170));
        departures.heard(acme, at(180));
        assert!(departures.due(at(221)).is_empty());
        assert_eq!(departures.due(at(222)), [(acme, at(170))]);
        departures.compared(acme, true, at(223));
        assert_eq!(departures.next(), None);
        // Who leaves while it is looked is not missed.
        departures.heard(acme, at(400));
        assert_eq!(departures.due(at(400)), [(acme, at(400))]);
        departures.heard(acme, at(401));
        departures.compared(acme, true, at(402));
        assert!(departures.next().is_some());
    }
}
