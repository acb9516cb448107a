//! Conditions in words: what was expected, what was found, from where, and what would be met. No judging.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::{PermissionGroup, Repository, TeamRef, cut, for_people, many};

use super::{
    condition::{Condition, PropertyTest, RepositoryTest, age, unused_for, visible_length},
    decision::{RuleId, UnknownFact, Unmet},
    facts::{Fact, Facts},
    pattern::write_any_of,
    permission_set::Within,
    quantity::{Measure, Span},
    rule::{Check, Part},
    subject::{Repositories, Subject},
    truth::Truth,
};

/// Where what stands in the request itself comes from.
pub(crate) const FROM_REQUEST: &str = "the request";

/// How many names are written out before "and N more".
const NAMES: usize = 10;

/// The longest text of a requester's that is quoted.
const QUOTED: usize = 120;

/// What the check asks for.
pub(crate) fn expected(check: &Check) -> String {
    let wanted = wanted(&check.condition);
    if check.part == Part::Unless { format!("not {wanted}") } else { wanted }
}

/// What the condition asks for, whether as a condition or as an exception.
pub(crate) fn wanted(condition: &Condition) -> String {
    match condition {
        Condition::OrganizationLogin(logins) | Condition::OwnerLogin(logins) => logins.to_string(),
        Condition::OwnerTeams(teams) => any_of(teams.iter().map(TeamRef::to_string)),
        Condition::OwnerRole(roles) => any_of(roles.iter().map(|role| role.as_str().to_owned())),
        Condition::OwnerActiveTokens(bounds) => bounds.written(|count| count.to_string()),
        Condition::OwnerRequests(counted) | Condition::OwnerDenials(counted) => {
            format!("at least {} within {}", counted.at_least, counted.within)
        }
        Condition::TokenName(pattern) => format!("matches {}", pattern.source()),
        Condition::TokenLifetime(bounds) | Condition::TokenUnusedFor(bounds) => {
            bounds.written(|days| format!("{days}d"))
        }
        Condition::TokenNeverExpires(wanted) | Condition::TokenExpired(wanted) => {
            wanted.to_string()
        }
        Condition::RequestKind(kinds) => any_of(kinds.iter().map(|kind| kind.as_str().to_owned())),
        Condition::RequestReason { min_length, matches } => {
            let length = min_length.map(|least| format!("at least {}", many(least, "character")));
            let text = matches.as_ref().map(|pattern| format!("matches {}", pattern.source()));
            length.into_iter().chain(text).collect::<Vec<_>>().join(", ")
        }
        Condition::RequestAge(bounds) => bounds.written(|seconds| Span(seconds).to_string()),
        Condition::RepositorySelection(selections) => {
            any_of(selections.iter().map(|selection| selection.as_str().to_owned()))
        }
        Condition::RepositoriesCount(bounds) => bounds.written(|count| count.to_string()),
        Condition::RepositoriesAny(test) => format!("one with {}", of_repository(test)),
        Condition::RepositoriesAll(test) => format!("each with {}", of_repository(test)),
        Condition::PermissionsAnyAtLeast(asked) => any_of(
            asked
                .listed
                .iter()
                .map(|(name, level)| format!("{}.{name}: {level}", asked.group.as_str())),
        ),
        Condition::PermissionsWithin(bound) => within(bound),
        Condition::Clock(window) => window.to_string(),
        Condition::AllowRepositories { names, all } => match all {
            true => format!("{names}, or all repositories"),
            false => format!("{names}, picked by name"),
        },
    }
}

/// What the request or the world has, fit to be shown.
pub(crate) fn found(check: &Check, subject: &Subject<'_>) -> String {
    let request = subject.request;
    match &check.condition {
        Condition::OrganizationLogin(_) => for_people(request.organization.login.as_str()),
        Condition::OwnerLogin(_) => for_people(request.owner.login.as_str()),
        Condition::OwnerTeams(teams) => {
            let answers = teams.iter().map(|team| match subject.in_team(team) {
                Truth::Matched => format!("in {team}"),
                Truth::NotMatched => format!("not in {team}"),
                Truth::Unknown => format!("{team}: unknown"),
            });
            some_of(answers)
        }
        Condition::OwnerRole(_) => {
            subject.facts.owner_role.value().map_or("unknown", |role| role.as_str()).to_owned()
        }
        Condition::OwnerActiveTokens(_) => counted(&subject.facts.owner_active_tokens),
        Condition::OwnerRequests(wanted) => {
            subject.facts.owner_requests.get(&wanted.within).map_or("unknown".to_owned(), counted)
        }
        Condition::OwnerDenials(wanted) => {
            subject.facts.owner_denials.get(&wanted.within).map_or("unknown".to_owned(), counted)
        }
        Condition::TokenName(_) => quoted(&request.token.name),
        Condition::TokenLifetime(_) | Condition::TokenNeverExpires(_) => match subject.lifetime {
            Measure::Infinite => "never expires".to_owned(),
            Measure::Finite(days) => format!("{days}d"),
        },
        Condition::TokenUnusedFor(_) => match unused_for(subject) {
            Measure::Infinite => "never used".to_owned(),
            Measure::Finite(days) => format!("{days}d"),
        },
        Condition::TokenExpired(_) => request.token.expired.to_string(),
        Condition::RequestKind(_) => {
            subject.facts.kind.value().map_or("unknown", |kind| kind.as_str()).to_owned()
        }
        Condition::RequestReason { .. } => {
            let reason = request.reason.as_deref().unwrap_or_default();
            format!("{} ({})", quoted(reason), many(visible_length(reason), "character"))
        }
        Condition::RequestAge(_) => match age(subject) {
            Measure::Finite(seconds) => Span(seconds).to_string(),
            Measure::Infinite => "unknown".to_owned(),
        },
        Condition::RepositorySelection(_) => request.repository_selection.as_str().to_owned(),
        Condition::RepositoriesCount(_) => match subject.count() {
            Some(Measure::Finite(count)) => count.to_string(),
            Some(Measure::Infinite) => "all".to_owned(),
            None => "unknown".to_owned(),
        },
        Condition::RepositoriesAny(test) | Condition::RepositoriesAll(test) => {
            repositories(subject, Some(test))
        }
        Condition::AllowRepositories { .. } => repositories(subject, None),
        Condition::PermissionsAnyAtLeast(asked) => permissions(subject, &[asked.group]),
        Condition::PermissionsWithin(bound) => permissions(subject, bound.groups()),
        Condition::Clock(window) => window.shown(subject.facts.now),
    }
}

fn counted(count: &Fact<u64>) -> String {
    count.value().map_or("unknown".to_owned(), u64::to_string)
}

/// Where what was found comes from, and when it was read.
pub(crate) fn source(check: &Check, subject: &Subject<'_>) -> (String, Option<Timestamp>) {
    fn of<T>(fact: &Fact<T>) -> (String, Option<Timestamp>) {
        match fact {
            Fact::Known { source, read_at, .. } => (for_people(source), Some(*read_at)),
            Fact::Unknown { .. } => ("could not be read".to_owned(), None),
        }
    }
    let within = |counts: &BTreeMap<Span, Fact<u64>>, span: Span| {
        counts.get(&span).map_or_else(|| ("was not read".to_owned(), None), of)
    };
    match &check.condition {
        Condition::OwnerTeams(teams) => {
            let facts = teams.iter().filter_map(|team| subject.team_fact(team)).map(of);
            // The oldest of several readings tells how far the answer may be out of date.
            facts
                .min_by_key(|(_, read_at)| (read_at.is_none(), *read_at))
                .unwrap_or_else(|| ("was not read".to_owned(), None))
        }
        Condition::OwnerRole(_) => of(&subject.facts.owner_role),
        Condition::OwnerActiveTokens(_) => of(&subject.facts.owner_active_tokens),
        Condition::OwnerRequests(wanted) => within(&subject.facts.owner_requests, wanted.within),
        Condition::OwnerDenials(wanted) => within(&subject.facts.owner_denials, wanted.within),
        Condition::RequestKind(_) => of(&subject.facts.kind),
        Condition::RepositoriesAny(_)
        | Condition::RepositoriesAll(_)
        | Condition::RepositoriesCount(_)
        | Condition::AllowRepositories { .. } => match subject.repositories {
            Repositories::Listed(_) | Repositories::Unknown(_) => of(&subject.facts.repositories),
            Repositories::None | Repositories::All => (FROM_REQUEST.to_owned(), None),
        },
        Condition::Clock(_) => ("the moment of judging".to_owned(), Some(subject.facts.now)),
        _ => (FROM_REQUEST.to_owned(), None),
    }
}

/// The facts that a check with an unknown answer lacks.
pub(crate) fn unknowns(rule: &RuleId, check: &Check, subject: &Subject<'_>) -> Vec<UnknownFact> {
    let fact = |fact: &str, why: String, retry: bool| UnknownFact {
        fact: fact.to_owned(),
        why: for_people(&why),
        rule: rule.clone(),
        retry,
    };
    let why = |why: Option<&str>| why.unwrap_or("it was not read").to_owned();
    match &check.condition {
        Condition::OwnerTeams(teams) => teams
            .iter()
            .filter_map(|team| match subject.team_fact(team) {
                Some(Fact::Known { .. }) => None,
                Some(Fact::Unknown { why }) => {
                    Some(fact("owner.teams", format!("{team}: {why}"), true))
                }
                None => Some(fact("owner.teams", format!("{team}: it was not read"), true)),
            })
            .collect(),
        Condition::OwnerRole(_) => {
            vec![fact("owner.role", why(unread(&subject.facts.owner_role)), true)]
        }
        Condition::OwnerActiveTokens(_) => {
            let why = why(unread(&subject.facts.owner_active_tokens));
            vec![fact("owner.active_tokens", why, true)]
        }
        Condition::OwnerRequests(wanted) => {
            let read = subject.facts.owner_requests.get(&wanted.within);
            vec![fact("owner.requests", why(read.and_then(unread)), true)]
        }
        Condition::OwnerDenials(wanted) => {
            let read = subject.facts.owner_denials.get(&wanted.within);
            vec![fact("owner.denials", why(read.and_then(unread)), true)]
        }
        Condition::RequestKind(_) => {
            vec![fact("request.kind", why(unread(&subject.facts.kind)), true)]
        }
        Condition::RepositoriesAny(test) | Condition::RepositoriesAll(test) => {
            match subject.repositories {
                Repositories::All => vec![all_repositories(&fact)],
                Repositories::Unknown(why) => vec![fact("repositories", why.to_owned(), true)],
                Repositories::None | Repositories::Listed(_) => {
                    let mut unread: Vec<_> = subject
                        .listed()
                        .flat_map(|(repository, _)| {
                            test.unread(repository).into_iter().map(|part| {
                                let why = unread_part(repository, &part, subject.facts);
                                fact(&format!("repositories.{part}"), why, true)
                            })
                        })
                        .collect();
                    unread.dedup();
                    unread.truncate(NAMES);
                    unread
                }
            }
        }
        Condition::RepositoriesCount(_) | Condition::AllowRepositories { .. } => {
            match subject.repositories {
                Repositories::Unknown(why) => vec![fact("repositories", why.to_owned(), true)],
                _ => vec![all_repositories(&fact)],
            }
        }
        _ => Vec::new(),
    }
}

fn unread_part(repository: &Repository, part: &str, facts: &Facts) -> String {
    if part.starts_with("custom_properties.") {
        if let Some(why) = &facts.custom_properties_unread {
            return why.clone();
        }
        if repository.custom_properties.is_some() {
            return format!("GitHub lists no such property of {}", repository.name);
        }
    }
    format!("GitHub did not tell it of {}", repository.name)
}

fn all_repositories(fact: &impl Fn(&str, String, bool) -> UnknownFact) -> UnknownFact {
    let why = "a token for all repositories also reaches those that do not exist yet";
    fact("repositories", why.to_owned(), false)
}

fn unread<T>(fact: &Fact<T>) -> Option<&str> {
    match fact {
        Fact::Known { .. } => None,
        Fact::Unknown { why } => Some(why),
    }
}

/// What of a check is not met: one thing, or one for each permission that is outside a bound. `expected` and
/// `found` are what [`expected`] and [`found`] say.
pub(crate) fn unmet(
    check: &Check,
    subject: &Subject<'_>,
    truth: Truth,
    expected: &str,
    found: &str,
) -> Vec<Unmet> {
    if truth == Truth::Matched {
        return Vec::new();
    }
    if let (Condition::PermissionsWithin(bound), false) =
        (&check.condition, check.part == Part::Unless)
    {
        return outside(check, bound, subject);
    }
    vec![Unmet {
        key: check.key.clone(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        unknown: truth == Truth::Unknown,
        hint: hint(check),
    }]
}

/// How many things [`unmet`] would list.
pub(crate) fn count_unmet(check: &Check, subject: &Subject<'_>) -> u32 {
    match &check.condition {
        Condition::PermissionsWithin(bound) if check.part != Part::Unless => {
            bound.count_outside(&subject.asked)
        }
        _ => u32::from(check.passes(subject) != Truth::Matched),
    }
}

fn outside(check: &Check, bound: &Within, subject: &Subject<'_>) -> Vec<Unmet> {
    let asked = subject.request.permissions.iter();
    let outside = asked.filter(|(group, name, level)| {
        bound.groups().contains(group) && !bound.allows(*group, name, level)
    });
    outside
        .map(|(group, name, level)| {
            let permission = format!("{}.{}", group.as_str(), shown_name(name));
            let most = bound.listed.group(group).get(name);
            let expected = most.map_or("not at all".to_owned(), |most| format!("at most {most}"));
            // `allow.permissions` bounds all groups, `permissions.within.repository` one.
            let key = match check.part {
                Part::Allow => format!("{}.{permission}", check.key),
                _ => format!("{}.{}", check.key, shown_name(name)),
            };
            Unmet {
                key,
                hint: Some(match most {
                    Some(most) => format!("{permission} at most {most}"),
                    None => format!("no {permission}"),
                }),
                expected,
                found: quoted_level(level.as_str()),
                unknown: false,
            }
        })
        .collect()
}

/// What the requester could do about a check, without a team, a login, or a pattern.
fn hint(check: &Check) -> Option<String> {
    if !check.condition.requester_can_change() {
        return None;
    }
    Some(match (&check.condition, check.part == Part::Unless) {
        (Condition::TokenLifetime(bounds), false) => {
            format!("a lifetime of {}", bounds.written(|days| many(days, "day")))
        }
        (Condition::TokenLifetime(_), true) => "another lifetime".to_owned(),
        (Condition::TokenNeverExpires(_), _) => "an expiry date".to_owned(),
        (Condition::TokenExpired(_), _) => "a token that has not expired".to_owned(),
        (Condition::TokenName(_), _) => "another form of token name".to_owned(),
        (Condition::RequestReason { min_length: Some(least), matches: None }, false) => {
            format!("a reason of at least {}", many(*least, "character"))
        }
        (Condition::RequestReason { .. }, _) => "a reason in the expected form".to_owned(),
        (Condition::RepositorySelection(_), _) => "another selection of repositories".to_owned(),
        (Condition::RepositoriesCount(bounds), false) => {
            format!("a number of repositories of {}", bounds.written(|count| count.to_string()))
        }
        (Condition::AllowRepositories { names, all: false }, _) if names.everything() => {
            "repositories that are picked by name".to_owned()
        }
        (Condition::PermissionsAnyAtLeast(_) | Condition::PermissionsWithin(_), _) => {
            "other permissions".to_owned()
        }
        _ => "other repositories".to_owned(),
    })
}

fn within(bound: &Within) -> String {
    let listed: Vec<_> = bound
        .listed
        .iter()
        .map(|(group, name, level)| format!("{}.{name}: {level}", group.as_str()))
        .collect();
    if listed.is_empty() { "nothing".to_owned() } else { format!("at most {}", listed.join(", ")) }
}

/// The names of the repositories, fit to be shown.
pub(crate) fn repository_names(subject: &Subject<'_>) -> String {
    repositories(subject, None)
}

fn permissions(subject: &Subject<'_>, groups: &[PermissionGroup]) -> String {
    let asked = subject.request.permissions.iter().filter(|(group, ..)| groups.contains(group));
    let asked = asked.map(|(group, name, level)| {
        format!("{}.{}: {}", group.as_str(), shown_name(name), quoted_level(level.as_str()))
    });
    some_of(asked)
}

fn repositories(subject: &Subject<'_>, test: Option<&RepositoryTest>) -> String {
    let listed = match subject.repositories {
        Repositories::None => return "no repositories".to_owned(),
        Repositories::All => return "all repositories".to_owned(),
        Repositories::Unknown(_) => return "unknown".to_owned(),
        Repositories::Listed(listed) => listed,
    };
    some_of(listed.iter().map(|repository| {
        let mut text = cut(&for_people(&repository.name), QUOTED);
        let Some(test) = test else { return text };
        if test.visibility.is_some() {
            text += repository.visibility.map_or(" (visibility unknown)", |found| match found {
                crate::domain::Visibility::Public => " (public)",
                crate::domain::Visibility::Private => " (private)",
                crate::domain::Visibility::Internal => " (internal)",
            });
        }
        if test.archived.is_some() {
            text += match repository.archived {
                Some(true) => " (archived)",
                Some(false) => " (not archived)",
                None => " (archived or not unknown)",
            };
        }
        if test.topics.is_some() {
            match &repository.topics {
                None => text += " (topics unknown)",
                Some(topics) => {
                    text += &format!(" [{}]", cut(&for_people(&topics.join(", ")), QUOTED));
                }
            }
        }
        if test.name.is_some() && !repository.former_names.is_empty() {
            let names = cut(&for_people(&repository.former_names.join(", ")), QUOTED);
            text += &format!(" (formerly {names})");
        }
        for name in test.custom_properties.keys() {
            let values = repository.custom_properties.as_ref().and_then(|all| all.get(name));
            text += &match values {
                None => format!(" ({name} unknown)"),
                Some(values) if values.is_empty() => format!(" ({name} not set)"),
                Some(values) => {
                    format!(" ({name}: {})", cut(&for_people(&values.join(", ")), QUOTED))
                }
            };
        }
        text
    }))
}

fn of_repository(test: &RepositoryTest) -> String {
    let mut parts = Vec::new();
    if let Some(names) = &test.name {
        parts.push(format!("name {names}"));
    }
    if let Some(visibility) = &test.visibility {
        parts.push(format!(
            "visibility {}",
            any_of(visibility.iter().map(|v| v.as_str().to_owned()))
        ));
    }
    if let Some(topics) = &test.topics {
        parts.push(format!("topics {topics}"));
    }
    if let Some(archived) = test.archived {
        parts.push(format!("archived {archived}"));
    }
    for (name, test) in &test.custom_properties {
        parts.push(match test {
            PropertyTest::AnyOf(values) => format!("{name} {}", any_of(values.iter().cloned())),
            PropertyTest::IsSet(true) => format!("{name} set"),
            PropertyTest::IsSet(false) => format!("{name} not set"),
        });
    }
    parts.join(" and ")
}

fn any_of(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_any_of(&mut text, &items);
    text
}

fn some_of(items: impl Iterator<Item = String>) -> String {
    let mut items = items;
    let mut shown: Vec<_> = items.by_ref().take(NAMES).collect();
    match (shown.is_empty(), items.count()) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => {
            shown.push(format!("and {more} more"));
            shown.join(", ")
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(&for_people(text), QUOTED))
}

/// Names and levels come from GitHub, and new ones may be anything.
fn shown_name(name: &str) -> String {
    cut(&for_people(name), QUOTED)
}

fn quoted_level(level: &str) -> String {
    cut(&for_people(level), QUOTED)
}
