//! Filters over tokens and requests: GitHub's own, and those that its settings page lacks.

use std::{collections::BTreeSet, fmt};

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{
        AccessLevel, Approval, Covered, GrantId, KnownToken, Login, Membership, Permissions,
        RepositorySelection, RequestedToken, TokenId, TokenRequest,
    },
    rules::Truth,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a filter is asked of: a token with access, or a request for it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Whose.
    pub owner: &'a Login,
    /// The token.
    pub token: &'a RequestedToken,
    /// What it may do, or would.
    pub permissions: &'a Permissions,
    /// On which repositories.
    pub repository_selection: RepositorySelection,
    /// When access was given, or asked for.
    pub since: Timestamp,
    /// Whether it reaches the repository that is asked for.
    pub reaches: Truth,
}

/// What can be asked of a token before it has access and after. All that is set must hold; of a list, one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedFilter {
    /// Of one of these users.
    pub owners: Vec<Login>,
    /// Reaching this repository.
    pub repository: Option<String>,
    /// With each of these permissions, at least at this level.
    pub permissions: Vec<(String, AccessLevel)>,
    /// One of these tokens.
    pub tokens: Vec<TokenId>,
    /// Used, and not since this moment.
    pub used_before: Option<Timestamp>,
    /// Used after this moment.
    pub used_after: Option<Timestamp>,
    /// Not used for this many days; one that was never used counts from when access was given.
    pub unused_for: Option<i64>,
    /// Never used.
    pub never_used: bool,
    /// Expiring before this moment.
    pub expires_before: Option<Timestamp>,
    /// Never expiring.
    pub never_expires: bool,
    /// Living for more than this many days from when access was given; one that never expires does.
    pub lifetime_over: Option<i64>,
    /// For such a selection of repositories.
    pub selections: Vec<RepositorySelection>,
}

/// What can be asked of a token with access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// What can be asked of a request as well.
    pub asked: AskedFilter,
    /// Given access before this moment.
    pub granted_before: Option<Timestamp>,
    /// Given access after this moment.
    pub granted_after: Option<Timestamp>,
    /// Approved by this rule (`approve.ID`), person or App (a login), `itself` or `unknown`.
    pub approved_by: Vec<String>,
    /// What today's approve rules say of it.
    pub covered: Option<Covered>,
    /// Of somebody who is not a member any more.
    pub not_a_member: bool,
}

impl AskedFilter {
    /// Whether it means everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it depends on what time it is.
    #[must_use]
    pub fn depends_on_time(&self) -> bool {
        self.unused_for.is_some()
    }

    /// Whether it means this one.
    #[must_use]
    pub fn selects(&self, view: &View<'_>, now: Timestamp) -> Truth {
        let used = view.token.last_used_at;
        let expires = view.token.expires_at;
        let known = [
            self.owners.is_empty() || self.owners.contains(view.owner),
            self.tokens.is_empty() || self.tokens.contains(&view.token.id),
            self.selections.is_empty() || self.selections.contains(&view.repository_selection),
            self.permissions.iter().all(|(name, least)| has(view.permissions, name, least)),
            self.used_before.is_none_or(|before| used.is_some_and(|used| used < before)),
            self.used_after.is_none_or(|after| used.is_some_and(|used| used > after)),
            self.unused_for.is_none_or(|days| unused(view, now) >= DAY * days_of(days)),
            !self.never_used || used.is_none(),
            self.expires_before.is_none_or(|before| expires.is_some_and(|at| at < before)),
            !self.never_expires || expires.is_none(),
            self.lifetime_over.is_none_or(|days| {
                expires.is_none_or(|at| at.duration_since(view.since) > DAY * days_of(days))
            }),
        ];
        let known = Truth::of(known.into_iter().all(|holds| holds));
        if self.repository.is_some() { known.and(view.reaches) } else { known }
    }
}

/// For how long a token was not used; one used in the future, by a clock that is wrong, for no time.
fn unused(view: &View<'_>, now: Timestamp) -> SignedDuration {
    now.duration_since(view.token.last_used_at.unwrap_or(view.since))
}

fn days_of(days: i64) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// Whether a permission is there at least at this level, in whichever group.
fn has(permissions: &Permissions, name: &str, least: &AccessLevel) -> bool {
    permissions.iter().any(|(_, known, level)| known == name && level >= least)
}

impl TokenFilter {
    /// Whether it means every token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it depends on what time it is.
    #[must_use]
    pub fn depends_on_time(&self) -> bool {
        self.asked.depends_on_time()
    }

    /// Whether it means this token. `reaching`: the grants that reach the repository it asks for.
    ///
    /// Unknown, where it asks for something that could not be read: such a token is shown apart, and never revoked.
    #[must_use]
    pub fn selects(
        &self,
        token: &KnownToken,
        reaching: Option<&BTreeSet<GrantId>>,
        now: Timestamp,
    ) -> Truth {
        let grant = &token.grant;
        let view = View {
            owner: &grant.owner.login,
            token: &grant.token,
            permissions: &grant.permissions,
            repository_selection: grant.repository_selection,
            since: grant.access_granted_at,
            reaches: Truth::of_option(reaching.map(|reaching| reaching.contains(&grant.id))),
        };
        let granted = grant.access_granted_at;
        let known = Truth::of(
            self.granted_before.is_none_or(|before| granted < before)
                && self.granted_after.is_none_or(|after| granted > after)
                && (self.approved_by.is_empty()
                    || self.approved_by.iter().any(|by| approved_by(&token.approval, by))),
        );
        let covered = match (self.covered, &token.coverage) {
            (None, _) => Truth::Matched,
            (Some(wanted), Some(found)) => Truth::of(found.covered == wanted),
            (Some(_), None) => Truth::Unknown,
        };
        let member = match (self.not_a_member, token.membership) {
            (false, _) => Truth::Matched,
            (true, Membership::Left { .. }) => Truth::Matched,
            (true, Membership::Member(_)) => Truth::NotMatched,
            (true, Membership::Unknown) => Truth::Unknown,
        };
        self.asked.selects(&view, now).and(known).and(covered).and(member)
    }
}

/// Whether a request is what a filter over requests asks for.
impl<'a> From<&'a TokenRequest> for View<'a> {
    fn from(request: &'a TokenRequest) -> Self {
        Self {
            owner: &request.owner.login,
            token: &request.token,
            permissions: &request.permissions,
            repository_selection: request.repository_selection,
            since: request.created_at,
            reaches: match request.repository_selection {
                RepositorySelection::None => Truth::NotMatched,
                RepositorySelection::All => Truth::Matched,
                RepositorySelection::Subset => Truth::Unknown,
            },
        }
    }
}

fn approved_by(approval: &Approval, wanted: &str) -> bool {
    match approval {
        Approval::Rule { rules, .. } => {
            wanted == "rule" || rules.iter().any(|rule| rule.eq_ignore_ascii_case(wanted))
        }
        Approval::Person { login, .. } | Approval::App { login, .. } => {
            login.eq_ignore_ascii_case(wanted)
        }
        Approval::Itself => wanted == "itself",
        Approval::Unknown => wanted == "unknown",
    }
}

/// As the command line's flags, so that what is kept with a plan can be typed again.
impl fmt::Display for AskedFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut flags = Flags { f, first: true };
        flags.each("owner", &self.owners)?;
        flags.each("repository", &self.repository)?;
        for (name, level) in &self.permissions {
            flags.flag("permission", &format!("{name}={level}"))?;
        }
        flags.each("token-id", &self.tokens)?;
        flags.each("used-before", &self.used_before)?;
        flags.each("used-after", &self.used_after)?;
        flags.each("unused-for", &self.unused_for.map(|days| format!("{days}d")))?;
        flags.bare("never-used", self.never_used)?;
        flags.each("expires-before", &self.expires_before)?;
        flags.bare("never-expires", self.never_expires)?;
        flags.each("lifetime-over", &self.lifetime_over.map(|days| format!("{days}d")))?;
        let selections: Vec<_> = self.selections.iter().map(|one| one.as_str()).collect();
        flags.each("selection", &selections)
    }
}

impl fmt::Display for TokenFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(f)?;
        let mut flags = Flags { f, first: self.asked.is_empty() };
        flags.each("granted-before", &self.granted_before)?;
        flags.each("granted-after", &self.granted_after)?;
        flags.each("approved-by", &self.approved_by)?;
        flags.each("covered", &self.covered.map(Covered::as_str))?;
        flags.bare("not-a-member", self.not_a_member)
    }
}

struct Flags<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl Flags<'_, '_> {
    fn each<'v, T: fmt::Display + 'v>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = &'v T>,
    ) -> fmt::Result {
        values.into_iter().try_for_each(|value| self.flag(name, &value.to_string()))
    }

    fn flag(&mut self, name: &str, value: &str) -> fmt::Result {
        self.gap()?;
        // What a shell would take apart is quoted.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:=/@+".contains(c);
        if !value.is_empty() && value.chars().all(plain) {
            write!(self.f, "--{name} {value}")
        } else {
            write!(self.f, "--{name} '{}'", value.replace('\'', "'\\''"))
        }
    }

    fn bare(&mut self, name: &str, given: bool) -> fmt::Result {
        if !given {
            return Ok(());
        }
        self.gap()?;
        write!(self.f, "--{name}")
    }

    fn gap(&mut self) -> fmt::Result {
        if !self.first {
            self.f.write_str(" ")?;
        }
        self.first = false;
        Ok(())
    }
}
