//! An approved token and what is known of it, as values; what is asked of it stands in `revocation` and `coverage`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Approval, Grant, RequestId, TeamRef, TokenRequest};

use super::{
    condition::{lifetime, seconds_between},
    facts::Facts,
    quantity::{DAY, Measure},
};

/// A token that has access to an organization, and all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct HeldToken<'a> {
    /// What GitHub lists now.
    pub grant: &'a Grant,
    /// The request that gave it what it holds now, where we have it.
    pub recorded: Option<&'a TokenRequest>,
    /// Who gave it what it holds now.
    pub approval: &'a Approval,
    /// The moment of judging, and what was read of the owner and the repositories. Of the owner's active tokens this
    /// one is not counted.
    pub facts: &'a Facts,
    /// What its owner left, as far as we noted.
    pub left: &'a [Departed],
}

/// What somebody left, and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Departed {
    /// When; where only lists of members showed it, when we noticed.
    pub at: Timestamp,
    /// What.
    pub left: Left,
}

/// What somebody can leave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// The organization that the token may use.
    Organization,
    /// A team.
    Team(TeamRef),
}

impl HeldToken<'_> {
    /// Whether it can no longer be used anyway.
    pub(crate) fn has_expired(&self) -> bool {
        let token = &self.grant.token;
        token.expired || token.expires_at.is_some_and(|at| at <= self.facts.now)
    }

    /// The recorded request, while it tells how long the token lives: a token that was regenerated with another
    /// expiry is no longer the one whose lifetime was judged.
    pub(crate) fn lifetime_on_record(&self) -> Option<&TokenRequest> {
        let end = |expires_at: Option<Timestamp>| expires_at.map(Timestamp::as_second);
        let expires_at = end(self.grant.token.expires_at);
        self.recorded.filter(|request| end(request.token.expires_at) == expires_at)
    }

    /// From when the lifetime counts.
    fn lives_from(&self) -> Timestamp {
        self.lifetime_on_record().map_or(self.grant.access_granted_at, |request| request.created_at)
    }

    /// In whole days, as that of a request.
    pub(crate) fn lifetime(&self) -> Measure {
        lifetime(self.lives_from(), self.grant.token.expires_at)
    }

    /// The last use while it had access; of a token without one, when access was granted. What happened before
    /// somebody approved it says nothing of whether it is used.
    pub(crate) fn idle_since(&self) -> Timestamp {
        let granted_at = self.grant.access_granted_at;
        self.grant.token.last_used_at.map_or(granted_at, |at| at.max(granted_at))
    }

    /// Whole days from `since` until now; negative where a clock is wrong.
    pub(crate) fn days_since(&self, since: Timestamp) -> i64 {
        seconds_between(since, self.facts.now).div_euclid(DAY)
    }

    /// What somebody would have to ask for to get just this: for judging it as a request is judged.
    pub(crate) fn as_request(&self) -> TokenRequest {
        let grant = self.grant;
        TokenRequest {
            id: self.recorded.map_or(RequestId(0), |request| request.id),
            organization: grant.organization.clone(),
            owner: grant.owner.clone(),
            token: grant.token.clone(),
            reason: None,
            repository_selection: grant.repository_selection,
            permissions: grant.permissions.clone(),
            created_at: self.lives_from(),
        }
    }
}
