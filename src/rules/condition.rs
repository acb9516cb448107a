//! The closed vocabulary of conditions and what each says of a subject; how they combine stands in `rule`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::{
    Repository, RepositorySelection, RequestKind, Role, TeamRef, Visibility, for_people,
};

use super::{
    facts::Fact,
    pattern::{Patterns, TextPattern},
    permission_set::{AnyAtLeast, Within},
    quantity::{Bounds, DAY, Measure, Span},
    subject::{Repositories, Subject},
    truth::Truth,
    window::Window,
};

/// One condition. Closed on purpose: a rule can be analysed, indexed and explained only if it consists of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    OrganizationLogin(Patterns),
    OwnerLogin(Patterns),
    OwnerTeams(Vec<TeamRef>),
    OwnerRole(Vec<Role>),
    OwnerActiveTokens(Bounds),
    OwnerRequests(AtLeastWithin),
    OwnerDenials(AtLeastWithin),
    TokenName(TextPattern),
    /// Whole days.
    TokenLifetime(Bounds),
    /// Whole days.
    TokenUnusedFor(Bounds),
    TokenNeverExpires(bool),
    TokenExpired(bool),
    RequestKind(Vec<RequestKind>),
    RequestReason {
        min_length: Option<usize>,
        matches: Option<TextPattern>,
    },
    /// Seconds.
    RequestAge(Bounds),
    RepositorySelection(Vec<RepositorySelection>),
    RepositoriesCount(Bounds),
    RepositoriesAny(RepositoryTest),
    RepositoriesAll(RepositoryTest),
    PermissionsAnyAtLeast(AnyAtLeast),
    /// Also `allow.permissions`, then over all groups.
    PermissionsWithin(Within),
    Clock(Window),
    /// `allow.repositories` with `allow.all_repositories`.
    AllowRepositories {
        names: Patterns,
        all: bool,
    },
}

/// So many, or more, within a span of time that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AtLeastWithin {
    pub(crate) at_least: i64,
    pub(crate) within: Span,
}

impl AtLeastWithin {
    fn holds(self, counts: &BTreeMap<Span, Fact<u64>>) -> Truth {
        let count = counts.get(&self.within).and_then(Fact::value);
        Truth::of_option(
            count.map(|count| i64::try_from(*count).unwrap_or(i64::MAX) >= self.at_least),
        )
    }
}

/// What is asked of the value of a custom property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PropertyTest {
    /// It is one of these; of several values, one of them is.
    AnyOf(Vec<String>),
    /// It has a value, or has none.
    IsSet(bool),
}

impl PropertyTest {
    fn holds(&self, values: &[String]) -> bool {
        match self {
            Self::AnyOf(wanted) => values.iter().any(|value| wanted.contains(value)),
            Self::IsSet(wanted) => values.is_empty() != *wanted,
        }
    }
}

/// What is asked of one repository; everything that is set must hold of the same one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct RepositoryTest {
    pub(crate) name: Option<Patterns>,
    pub(crate) visibility: Option<Vec<Visibility>>,
    pub(crate) topics: Option<Patterns>,
    pub(crate) archived: Option<bool>,
    /// By lower-case name of the property.
    pub(crate) custom_properties: BTreeMap<String, PropertyTest>,
}

impl RepositoryTest {
    /// `veto`: whether names that the repository had before count as well.
    fn holds(&self, repository: &Repository, name: &str, veto: bool) -> Truth {
        let by_name = self.name.as_ref().map_or(Truth::Matched, |wanted| {
            let formerly = || {
                let mut former = repository.former_names.iter();
                former.any(|name| wanted.matches(&name.to_ascii_lowercase()))
            };
            Truth::of(wanted.matches(name) || (veto && formerly()))
        });
        if by_name == Truth::NotMatched {
            return by_name;
        }
        let visibility = self.visibility.as_ref().map_or(Truth::Matched, |wanted| {
            Truth::of_option(repository.visibility.map(|found| wanted.contains(&found)))
        });
        let archived = self.archived.map_or(Truth::Matched, |wanted| {
            Truth::of_option(repository.archived.map(|found| found == wanted))
        });
        let topics = self.topics.as_ref().map_or(Truth::Matched, |wanted| {
            Truth::of_option(repository.topics.as_ref().map(|topics| {
                topics.iter().any(|topic| wanted.matches(&topic.to_ascii_lowercase()))
            }))
        });
        let properties = self.custom_properties.iter().map(|(name, test)| {
            Truth::of_option(property(repository, name).map(|values| test.holds(values)))
        });
        visibility.and(archived).and(topics).and(Truth::all(properties))
    }

    /// The parts of this repository that are asked for and were not read.
    pub(crate) fn unread(&self, repository: &Repository) -> Vec<String> {
        let mut unread = Vec::new();
        if self.visibility.is_some() && repository.visibility.is_none() {
            unread.push("visibility".to_owned());
        }
        if self.archived.is_some() && repository.archived.is_none() {
            unread.push("archived".to_owned());
        }
        if self.topics.is_some() && repository.topics.is_none() {
            unread.push("topics".to_owned());
        }
        let properties = self.custom_properties.keys();
        let lacking = properties.filter(|name| property(repository, name).is_none());
        unread.extend(lacking.map(|name| format!("custom_properties.{name}")));
        unread
    }

    /// The keys that are set.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for (set, key) in [
            (self.name.is_some(), "name"),
            (self.visibility.is_some(), "visibility"),
            (self.topics.is_some(), "topics"),
            (self.archived.is_some(), "archived"),
        ] {
            if set {
                keys.push(key.to_owned());
            }
        }
        keys.extend(self.custom_properties.keys().map(|name| format!("custom_properties.{name}")));
        keys
    }

    /// The test taken apart, one key in each: the same as the whole where *all* repositories must pass it.
    pub(crate) fn split(self) -> Vec<Self> {
        let Self { name, visibility, topics, archived, custom_properties } = self;
        let properties = custom_properties.into_iter().map(|(name, test)| Self {
            custom_properties: BTreeMap::from([(name, test)]),
            ..Self::default()
        });
        [
            Self { name, ..Self::default() },
            Self { visibility, ..Self::default() },
            Self { topics, ..Self::default() },
            Self { archived, ..Self::default() },
        ]
        .into_iter()
        .chain(properties)
        .filter(|test| !test.keys().is_empty())
        .collect()
    }
}

/// The values of a property; none where it was not read or does not exist.
fn property<'r>(repository: &'r Repository, name: &str) -> Option<&'r Vec<String>> {
    repository.custom_properties.as_ref()?.get(name)
}

impl Condition {
    /// What it says of `subject`. `veto`: whether it stands in `when` of a deny or escalate rule. There, a token for
    /// all repositories has any that one may ask for, and a repository goes by its former names as well.
    pub(crate) fn holds(&self, subject: &Subject<'_>, veto: bool) -> Truth {
        let request = subject.request;
        match self {
            Self::OrganizationLogin(logins) => Truth::of(logins.matches(&subject.organization)),
            Self::OwnerLogin(logins) => Truth::of(logins.matches(&subject.owner)),
            Self::OwnerTeams(teams) => Truth::any(teams.iter().map(|team| subject.in_team(team))),
            Self::OwnerRole(roles) => {
                Truth::of_option(subject.facts.owner_role.value().map(|role| roles.contains(role)))
            }
            Self::OwnerActiveTokens(bounds) => {
                Truth::of_option(subject.facts.owner_active_tokens.value().map(|count| {
                    bounds.hold(Measure::Finite(i64::try_from(*count).unwrap_or(i64::MAX)))
                }))
            }
            Self::OwnerRequests(counted) => counted.holds(&subject.facts.owner_requests),
            Self::OwnerDenials(counted) => counted.holds(&subject.facts.owner_denials),
            Self::TokenName(pattern) => Truth::of(pattern.matches(&request.token.name)),
            Self::TokenLifetime(bounds) => Truth::of(bounds.hold(subject.lifetime)),
            Self::TokenUnusedFor(bounds) => Truth::of(bounds.hold(unused_for(subject))),
            Self::TokenNeverExpires(wanted) => {
                Truth::of(request.token.expires_at.is_none() == *wanted)
            }
            Self::TokenExpired(wanted) => Truth::of(request.token.expired == *wanted),
            Self::RequestKind(kinds) => {
                Truth::of_option(subject.facts.kind.value().map(|kind| kinds.contains(kind)))
            }
            Self::RequestReason { min_length, matches } => {
                let reason = request.reason.as_deref().unwrap_or_default();
                Truth::of(
                    min_length.is_none_or(|least| visible_length(reason) >= least)
                        && matches.as_ref().is_none_or(|pattern| pattern.matches(reason)),
                )
            }
            Self::RequestAge(bounds) => Truth::of(bounds.hold(age(subject))),
            Self::RepositorySelection(selections) => {
                Truth::of(selections.contains(&request.repository_selection))
            }
            Self::RepositoriesCount(bounds) => {
                Truth::of_option(subject.count().map(|count| bounds.hold(count)))
            }
            Self::RepositoriesAny(test) => match subject.repositories {
                Repositories::None => Truth::NotMatched,
                Repositories::All if veto => Truth::Matched,
                Repositories::All | Repositories::Unknown(_) => Truth::Unknown,
                Repositories::Listed(_) => Truth::any(
                    subject.listed().map(|(repository, name)| test.holds(repository, name, veto)),
                ),
            },
            Self::RepositoriesAll(test) => match subject.repositories {
                Repositories::None => Truth::Matched,
                Repositories::All | Repositories::Unknown(_) => Truth::Unknown,
                Repositories::Listed(_) => Truth::all(
                    subject.listed().map(|(repository, name)| test.holds(repository, name, veto)),
                ),
            },
            Self::PermissionsAnyAtLeast(listed) => Truth::of(listed.matches(&subject.asked)),
            Self::PermissionsWithin(bound) => Truth::of(bound.holds(&subject.asked)),
            Self::Clock(window) => Truth::of(window.contains(subject.facts.now)),
            Self::AllowRepositories { names, all } => match subject.repositories {
                Repositories::None => Truth::Matched,
                // A bound on names bounds nothing that has no list, so both words are asked for.
                Repositories::All => Truth::of(*all && names.everything()),
                Repositories::Unknown(_) => Truth::Unknown,
                Repositories::Listed(_) => {
                    Truth::of(names.everything() || subject.names().all(|name| names.matches(name)))
                }
            },
        }
    }

    /// How much asking it costs, roughly: cheap ones are asked first.
    pub(crate) fn cost(&self) -> u8 {
        match self {
            Self::TokenLifetime(_)
            | Self::TokenUnusedFor(_)
            | Self::TokenNeverExpires(_)
            | Self::TokenExpired(_)
            | Self::RequestKind(_)
            | Self::RequestAge(_)
            | Self::OwnerRole(_)
            | Self::OwnerActiveTokens(_)
            | Self::OwnerRequests(_)
            | Self::OwnerDenials(_)
            | Self::RepositorySelection(_)
            | Self::RepositoriesCount(_)
            | Self::PermissionsAnyAtLeast(_)
            | Self::PermissionsWithin(_) => 0,
            Self::OrganizationLogin(_) | Self::OwnerLogin(_) => 1,
            Self::OwnerTeams(_) => 2,
            Self::AllowRepositories { .. }
            | Self::RepositoriesAny(_)
            | Self::RepositoriesAll(_) => 3,
            Self::TokenName(_) | Self::RequestReason { .. } | Self::Clock(_) => 4,
        }
    }

    /// Whether the one who asks can change the answer by asking for something else.
    pub(crate) fn requester_can_change(&self) -> bool {
        match self {
            Self::TokenName(_)
            | Self::TokenLifetime(_)
            | Self::TokenNeverExpires(_)
            | Self::TokenExpired(_)
            | Self::RequestReason { .. }
            | Self::RepositorySelection(_)
            | Self::RepositoriesCount(_)
            | Self::RepositoriesAny(_)
            | Self::RepositoriesAll(_)
            | Self::PermissionsAnyAtLeast(_)
            | Self::PermissionsWithin(_)
            | Self::AllowRepositories { .. } => true,
            Self::OrganizationLogin(_)
            | Self::OwnerLogin(_)
            | Self::OwnerTeams(_)
            | Self::OwnerRole(_)
            | Self::OwnerActiveTokens(_)
            | Self::OwnerRequests(_)
            | Self::OwnerDenials(_)
            | Self::TokenUnusedFor(_)
            | Self::RequestKind(_)
            | Self::RequestAge(_)
            | Self::Clock(_) => false,
        }
    }

    /// Whether every subject that has `self` has `other`, as far as the two show key by key.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        fn part<T: PartialEq>(ours: &[T], theirs: &[T]) -> bool {
            ours.iter().all(|item| theirs.contains(item))
        }
        let globs = |ours: &Patterns, theirs: &Patterns| {
            theirs.everything() || part(ours.listed(), theirs.listed())
        };
        match (self, other) {
            (Self::OrganizationLogin(ours), Self::OrganizationLogin(theirs))
            | (Self::OwnerLogin(ours), Self::OwnerLogin(theirs)) => globs(ours, theirs),
            (Self::OwnerTeams(ours), Self::OwnerTeams(theirs)) => part(ours, theirs),
            (Self::OwnerRole(ours), Self::OwnerRole(theirs)) => part(ours, theirs),
            (Self::RequestKind(ours), Self::RequestKind(theirs)) => part(ours, theirs),
            (Self::RepositorySelection(ours), Self::RepositorySelection(theirs)) => {
                part(ours, theirs)
            }
            (Self::TokenLifetime(ours), Self::TokenLifetime(theirs))
            | (Self::TokenUnusedFor(ours), Self::TokenUnusedFor(theirs))
            | (Self::OwnerActiveTokens(ours), Self::OwnerActiveTokens(theirs))
            | (Self::RepositoriesCount(ours), Self::RepositoriesCount(theirs)) => {
                ours.within(*theirs)
            }
            (Self::PermissionsAnyAtLeast(ours), Self::PermissionsAnyAtLeast(theirs)) => {
                ours.implies(theirs)
            }
            (ours, theirs) => ours == theirs,
        }
    }

    /// Whether it asks only for text that the requester or a repository's administrator sets at will.
    pub(crate) fn is_settable_text(&self) -> bool {
        match self {
            Self::TokenName(_) | Self::RequestReason { .. } => true,
            Self::RepositoriesAny(test) | Self::RepositoriesAll(test) => {
                test.keys().iter().all(|key| matches!(key.as_str(), "topics" | "name"))
                    && test.topics.is_some()
            }
            _ => false,
        }
    }
}

/// How many characters of `text` people can see: blanks and hidden characters are no justification.
pub(crate) fn visible_length(text: &str) -> usize {
    if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
        return text.len();
    }
    for_people(text).chars().count()
}

/// Whole days since the token was last used; of one never used, since this request was made.
pub(crate) fn unused_for(subject: &Subject<'_>) -> Measure {
    let since = subject.request.token.last_used_at.unwrap_or(subject.request.created_at);
    Measure::Finite(seconds_between(since, subject.facts.now).div_euclid(DAY))
}

/// Whole days from `from` to the end, of a token that has one.
pub(crate) fn lifetime(from: Timestamp, expires_at: Option<Timestamp>) -> Measure {
    expires_at.map_or(Measure::Infinite, |expires_at| {
        Measure::Finite(seconds_between(from, expires_at).div_euclid(DAY))
    })
}

/// Seconds since the request was made.
pub(crate) fn age(subject: &Subject<'_>) -> Measure {
    Measure::Finite(seconds_between(subject.request.created_at, subject.facts.now))
}

pub(crate) fn seconds_between(from: Timestamp, until: Timestamp) -> i64 {
    until.as_second().saturating_sub(from.as_second())
}
