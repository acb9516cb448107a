//! One request that people are asked about, with all that a step needs to know of it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    github::{Read, Write},
    review::escalation::Standing,
    rules::{Mode, Policy, policy::Reviewers},
    store::{EscalationRow, GroupRow, InstallationRow, RequestRow},
};

/// What a step works on.
pub(super) struct Case<'a> {
    pub(super) installation: &'a InstallationRow,
    pub(super) read: Read,
    pub(super) write: Write,
    pub(super) row: EscalationRow,
    pub(super) request: RequestRow,
    pub(super) policy: Arc<Policy>,
    pub(super) groups: Vec<GroupRow>,
}

impl Case<'_> {
    /// A group as the rules in force define it. Of one that they do not have, nobody may decide.
    pub(super) fn defined(&self, name: &str) -> Reviewers {
        let nobody = || Reviewers { may_decide: Default::default(), ..Reviewers::owners() };
        self.policy.reviewers().get(name).cloned().unwrap_or_else(nobody)
    }

    /// Where it would stand if everybody were reached now who is not yet: what people are told before time counts.
    pub(super) fn expected(&self, standing: &Standing, now: Timestamp) -> Standing {
        let mut expected = standing.clone();
        for asked in expected.asked.iter_mut().filter(|_| self.enforced()) {
            asked.reached_at = asked.reached_at.or(Some(now));
        }
        expected
    }

    pub(super) fn enforced(&self) -> bool {
        self.policy.mode() == Mode::Enforce && !self.request.unconfirmed
    }
}

/// The groups that are asked, without those that were asked in a silent group's place and whom the rules in force do not name there
/// any more: nobody decides for a group who was once meant to.
pub(super) fn in_their_place(mut groups: Vec<GroupRow>, policy: &Policy) -> Vec<GroupRow> {
    loop {
        let names: Vec<String> = groups.iter().map(|row| row.name.clone()).collect();
        groups.retain(|row| {
            row.instead_of.as_ref().is_none_or(|silent| {
                let next = policy.reviewers().get(silent).and_then(|group| group.next.as_ref());
                names.contains(silent) && next.is_some_and(|next| next.to == row.name)
            })
        });
        // Whoever was asked in the place of one that is left out goes with it.
        if groups.len() == names.len() {
            return groups;
        }
    }
}
