//! Since when the groups that are asked are reached: what silence comes to counts from there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, mails};
use crate::{
    engine::worker::Worker,
    rules::policy::Notify,
    store::{IssueRow, IssueState, StoreError},
};

impl Worker<'_> {
    /// Notes since when a group is reached: the issue that asks it is there and shows what is asked, or a mail server has the mail.
    /// A list of many does not reach anybody: nothing can be answered on it. Nor does an issue on which nobody can answer, or that
    /// says something else than we wrote, or that is closed: while it is so, silence says nothing, and afterwards time begins
    /// anew. So it does when an answer was taken away that we had not read, also together with the issue.
    /// While the rules are not enforced, no time counts.
    pub(super) async fn note_reached(
        &self,
        case: &mut Case<'_>,
        issues: &[IssueRow],
        mailed: &mails::Mailed,
    ) -> Result<(), StoreError> {
        let enforced = case.enforced();
        let (mut changed, mut taken_away) = (Vec::new(), BTreeSet::new());
        let mut unsaid = BTreeMap::new();
        for issue in issues.iter().filter(|issue| issue.request.is_some()) {
            unsaid.insert(issue.id, self.engine.store.unsaid(issue.id).await?);
        }
        // After that: what is noted from here on is later.
        let now = self.engine.clock.now();
        for row in &mut case.groups {
            let group = case.policy.reviewers().get(&row.name).cloned();
            let asking = |issue: &&IssueRow| {
                issue.state == IssueState::Open
                    && issue.request.is_some()
                    && group.iter().flat_map(|group| &group.notify).any(|notify| {
                        matches!(notify, Notify::Issue { organization, repository }
                            if issue.asks(organization, repository))
                    })
            };
            let mute = issues.iter().filter(asking).any(IssueRow::is_mute);
            let by_issue =
                issues.iter().filter(asking).any(|issue| issue.shows == case.row.fingerprint);
            let reached = enforced && (by_issue || mailed.arrived(&row.name));
            let since = if reached {
                row.reached_at.or(Some(now))
            } else {
                row.reached_at.filter(|_| enforced)
            };
            let mut since = since.filter(|_| !mute);
            for issue in issues.iter().filter(asking) {
                let Some((was, unsaid)) = since.zip(unsaid.get(&issue.id)) else { continue };
                // It stands in another's place, which went away with whatever was answered there.
                if issue.recorded_at > was {
                    since = Some(now);
                    row.denies_from = None;
                }
                if unsaid.at.is_some_and(|at| at > was) {
                    since = Some(now);
                    row.denies_from = None;
                }
                if unsaid.by_others_at.is_some_and(|at| at > was) {
                    taken_away.insert(issue.url.clone());
                }
            }
            if since.is_none() {
                row.denies_from = None;
            }
            let quorum = group.map_or(1, |group| group.quorum);
            if since != row.reached_at || quorum != row.quorum {
                row.reached_at = since;
                row.quorum = quorum;
                changed.push(row.clone());
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for row in &changed {
            tx.save_group(case.row.key, row).await?;
        }
        tx.commit().await?;
        for url in taken_away {
            let what = format!(
                "a comment on the issue {url} was changed or deleted by somebody else before it was read: what silence does is \
                 counted anew"
            );
            self.alarm(&case.row, &what).await?;
        }
        Ok(())
    }
}
