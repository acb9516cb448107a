//! What a set of tokens comes to: how many, whose, what they may do, when they were last used.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{AccessLevel, Grant, PermissionGroup, RepositorySelection};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a set of tokens comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many tokens.
    pub tokens: u64,
    /// How many of each owner's, by login.
    pub owners: BTreeMap<String, u64>,
    /// How many may change something in a repository.
    pub may_write_repositories: u64,
    /// How many may change something of the organization.
    pub may_write_organization: u64,
    /// How many reach all repositories.
    pub all_repositories: u64,
    /// How many never expire.
    pub never_expire: u64,
    /// How many have expired, and open nothing.
    pub expired: u64,
    /// When they were last used.
    pub last_used: LastUsed,
}

/// How many tokens were last used when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LastUsed {
    /// Within a day: somebody, or something, works with it.
    pub within_a_day: u64,
    /// Within a week, and not a day.
    pub within_a_week: u64,
    /// Within thirty days, and not a week.
    pub within_thirty_days: u64,
    /// Before that.
    pub longer_ago: u64,
    /// Never, as far as GitHub tells.
    pub never: u64,
}

impl Summary {
    /// Counts one token.
    pub fn add(&mut self, grant: &Grant, now: Timestamp) {
        let writes = |group| {
            grant.permissions.group(group).values().any(|level| *level >= AccessLevel::Write)
        };
        self.tokens += 1;
        *self.owners.entry(grant.owner.login.as_str().to_ascii_lowercase()).or_default() += 1;
        self.may_write_repositories += u64::from(writes(PermissionGroup::Repository));
        self.may_write_organization += u64::from(writes(PermissionGroup::Organization));
        self.all_repositories += u64::from(grant.repository_selection == RepositorySelection::All);
        self.never_expire += u64::from(grant.token.expires_at.is_none());
        self.expired += u64::from(grant.token.expired);
        let used = &mut self.last_used;
        let bucket = match grant.token.last_used_at.map(|at| now.duration_since(at)) {
            None => &mut used.never,
            Some(ago) if ago <= DAY => &mut used.within_a_day,
            Some(ago) if ago <= DAY * 7 => &mut used.within_a_week,
            Some(ago) if ago <= DAY * 30 => &mut used.within_thirty_days,
            Some(_) => &mut used.longer_ago,
        };
        *bucket += 1;
    }

    /// The owners with the most tokens, the most first.
    #[must_use]
    pub fn busiest_owners(&self, most: usize) -> Vec<(&str, u64)> {
        let mut owners: Vec<_> =
            self.owners.iter().map(|(login, tokens)| (login.as_str(), *tokens)).collect();
        owners.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        owners.truncate(most);
        owners
    }

    /// Which share of so many active tokens they are, in percent: rounded up, so that a few of many are not none.
    #[must_use]
    pub fn share_of(&self, active: i64) -> u64 {
        let active = u64::try_from(active).unwrap_or_default().max(self.tokens).max(1);
        self.tokens.saturating_mul(100).div_ceil(active)
    }
}
