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
    /// Not used for this many days: since its last use, or since access was given where that was later.
    pub unused_for: Option<i64>,
    /// Never used.
    pub never_used: bool,
    /// Expiring before this moment.
    pub expires_before: Option<Timestamp>,
    /// Never expiring.
    pub never_expires: bool,
    /// Living for more than this many whole days from when access was given, as rules count them; one that never expires
    /// does.
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

    /// Everything that it asks for, each as a filter of its own: whoever selects nothing sees which part is to blame.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        let none = Self::default;
        let permissions = self.permissions.iter().cloned();
        let permissions = permissions.map(|one| Self { permissions: vec![one], ..none() });
        let others = [
            Self { owners: self.owners.clone(), ..none() },
            Self { repository: self.repository.clone(), ..none() },
            Self { tokens: self.tokens.clone(), ..none() },
            Self { used_before: self.used_before, ..none() },
            Self { used_after: self.used_after, ..none() },
            Self { unused_for: self.unused_for, ..none() },
            Self { never_used: self.never_used, ..none() },
            Self { expires_before: self.expires_before, ..none() },
            Self { never_expires: self.never_expires, ..none() },
            Self { lifetime_over: self.lifetime_over, ..none() },
            Self { selections: self.selections.clone(), ..none() },
        ];
        permissions.chain(others).filter(|part| !part.is_empty()).collect()
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
                // Rounded down: GitHub turns "90 days" into a moment late on the last day.
                expires.is_none_or(|at| at.duration_since(view.since) >= DAY * days_of(days + 1))
            }),
        ];
        let known = Truth::of(known.into_iter().all(|holds| holds));
        if self.repository.is_some() { known.and(view.reaches) } else { known }
    }
}

/// For how long a token was not used; one used in the future, by a clock that is wrong, for no time.
fn unused(view: &View<'_>, now: Timestamp) -> SignedDuration {
    now.duration_since(view.token.last_used_at.map_or(view.since, |used| used.max(view.since)))
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

    /// Everything that it asks for, each as a filter of its own.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        let none = Self::default;
        let asked = self.asked.parts().into_iter().map(|asked| Self { asked, ..none() });
        let others = [
            Self { granted_before: self.granted_before, ..none() },
            Self { granted_after: self.granted_after, ..none() },
            Self { approved_by: self.approved_by.clone(), ..none() },
            Self { covered: self.covered, ..none() },
            Self { not_a_member: self.not_a_member, ..none() },
        ];
        asked.chain(others.into_iter().filter(|part| !part.is_empty())).collect()
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

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::{AskedFilter, TokenFilter};
    use crate::{
        domain::{
            AccessLevel, Approval, Covered, Grant, GrantId, KnownToken, Login, Membership,
            Organization, OrganizationId, Owner, Permissions, RepositorySelection, RequestedToken,
            TokenId, UserId,
        },
        rules::Truth,
    };

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().expect("a time")
    }

    fn days_ago(days: i64) -> Timestamp {
        now().saturating_sub(SignedDuration::from_hours(24 * days)).expect("a time")
    }

    /// Given access 200 days ago for 365, used 100 days ago; it writes contents.
    fn token() -> KnownToken {
        let mut permissions = Permissions::default();
        permissions.repository.insert("contents".to_owned(), AccessLevel::Write);
        KnownToken {
            grant: Grant {
                id: GrantId(1),
                organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
                owner: Owner { id: UserId(1), login: Login::new("kim") },
                token: RequestedToken {
                    id: TokenId(1),
                    name: "ci".to_owned(),
                    expired: false,
                    expires_at: Some(days_ago(-165)),
                    last_used_at: Some(days_ago(100)),
                },
                repository_selection: RepositorySelection::Subset,
                permissions,
                access_granted_at: days_ago(200),
            },
            first_seen_at: days_ago(1),
            gone_at: None,
            approval: Approval::Unknown,
            membership: Membership::Unknown,
            coverage: None,
            repositories: None,
        }
    }

    fn selects(filter: AskedFilter, token: &KnownToken) -> Truth {
        TokenFilter { asked: filter, ..TokenFilter::default() }.selects(token, None, now())
    }

    fn unused_for(days: i64) -> AskedFilter {
        AskedFilter { unused_for: Some(days), ..AskedFilter::default() }
    }

    #[test]
    fn a_token_is_unused_since_its_last_use_or_since_access_was_given_where_that_was_later() {
        let mut token = token();
        assert_eq!(selects(unused_for(100), &token), Truth::Matched);
        assert_eq!(selects(unused_for(101), &token), Truth::NotMatched);
        token.grant.token.last_used_at = None;
        assert_eq!(selects(unused_for(200), &token), Truth::Matched);
        assert_eq!(selects(unused_for(201), &token), Truth::NotMatched);
        // Used by another organization's leave before this one gave it access.
        token.grant.token.last_used_at = Some(days_ago(300));
        assert_eq!(selects(unused_for(201), &token), Truth::NotMatched);
        // A clock that is wrong does not make it long unused.
        token.grant.token.last_used_at = Some(days_ago(-300));
        assert_eq!(selects(unused_for(1), &token), Truth::NotMatched);
    }

    #[test]
    fn lifetimes_are_whole_days_and_never_expiring_is_over_any() {
        let over = |days| AskedFilter { lifetime_over: Some(days), ..AskedFilter::default() };
        let mut token = token();
        token.grant.token.expires_at = Some(
            days_ago(200 - 90).saturating_add(SignedDuration::from_hours(11)).expect("a time"),
        );
        assert_eq!(selects(over(90), &token), Truth::NotMatched);
        assert_eq!(selects(over(89), &token), Truth::Matched);
        token.grant.token.expires_at = None;
        assert_eq!(selects(over(36_500), &token), Truth::Matched);
    }

    #[test]
    fn a_permission_is_asked_for_at_least_and_an_unknown_level_counts_as_the_strongest() {
        let wants = |level| AskedFilter {
            permissions: vec![("contents".to_owned(), level)],
            ..AskedFilter::default()
        };
        let mut token = token();
        assert_eq!(selects(wants(AccessLevel::Read), &token), Truth::Matched);
        assert_eq!(selects(wants(AccessLevel::Admin), &token), Truth::NotMatched);
        let odd = AccessLevel::Unrecognized("everything".to_owned());
        token.grant.permissions.repository.insert("contents".to_owned(), odd);
        assert_eq!(selects(wants(AccessLevel::Admin), &token), Truth::Matched);
    }

    #[test]
    fn what_was_not_read_selects_nothing_and_is_not_passed_over() {
        let token = token();
        for filter in [
            TokenFilter { not_a_member: true, ..TokenFilter::default() },
            TokenFilter { covered: Some(Covered::No), ..TokenFilter::default() },
            TokenFilter {
                asked: AskedFilter { repository: Some("web".to_owned()), ..AskedFilter::default() },
                ..TokenFilter::default()
            },
        ] {
            assert_eq!(filter.selects(&token, None, now()), Truth::Unknown, "{filter}");
            let other = AskedFilter { owners: vec![Login::new("lee")], ..filter.asked.clone() };
            let other = TokenFilter { asked: other, ..filter };
            assert_eq!(other.selects(&token, None, now()), Truth::NotMatched, "{other}");
        }
    }

    #[test]
    fn a_filter_is_kept_as_the_flags_that_make_it() {
        let filter = TokenFilter {
            asked: AskedFilter {
                owners: vec![Login::new("kim"), Login::new("it's me")],
                permissions: vec![("contents".to_owned(), AccessLevel::Write)],
                unused_for: Some(90),
                ..AskedFilter::default()
            },
            not_a_member: true,
            ..TokenFilter::default()
        };
        assert_eq!(
            filter.to_string(),
            r"--owner kim --owner 'it'\''s me' --permission contents=write --unused-for 90d --not-a-member"
        );
        assert!(TokenFilter::default().is_empty() && !filter.is_empty());
        let parts: Vec<_> = filter.parts().iter().map(ToString::to_string).collect();
        assert_eq!(
            parts,
            [
                "--permission contents=write",
                r"--owner kim --owner 'it'\''s me'",
                "--unused-for 90d",
                "--not-a-member"
            ]
        );
        assert!(TokenFilter::default().parts().is_empty());
    }

    #[test]
    fn a_filter_comes_apart_into_all_that_it_asks_for() {
        let moment = Some(now());
        let asked = AskedFilter {
            owners: vec![Login::new("kim")],
            repository: Some("web".to_owned()),
            permissions: vec![("contents".to_owned(), AccessLevel::Write)],
            tokens: vec![TokenId(1)],
            used_before: moment,
            used_after: moment,
            unused_for: Some(1),
            never_used: true,
            expires_before: moment,
            never_expires: true,
            lifetime_over: Some(1),
            selections: vec![RepositorySelection::All],
        };
        let filter = TokenFilter {
            asked,
            granted_before: moment,
            granted_after: moment,
            approved_by: vec!["rule".to_owned()],
            covered: Some(Covered::No),
            not_a_member: true,
        };
        let mut whole: Vec<_> = filter.to_string().split(" --").map(str::to_owned).collect();
        let mut parts: Vec<_> = filter.parts().iter().map(ToString::to_string).collect();
        for flag in whole.iter_mut().chain(&mut parts) {
            *flag = flag.trim_start_matches("--").to_owned();
        }
        whole.sort_unstable();
        parts.sort_unstable();
        assert_eq!(parts, whole);
    }
}
