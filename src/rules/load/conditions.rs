//! `when` and `unless`: from keys and operators to conditions.

use std::ops::Range;

use jiff::tz::TimeZoneDatabase;
use toml::de::DeValue;

use super::{
    permissions,
    reader::{Reader, Value, shown, suggestion},
};
use crate::{
    domain::{PermissionGroup, RepositorySelection, RequestKind, Role, TeamRef, Visibility},
    rules::{
        condition::{Condition, RepositoryTest},
        diagnostic::{Code, Diagnostic, Place},
        pattern::{Patterns, TextPattern},
        permission_set::{AnyAtLeast, Within},
        quantity::Bounds,
        rule::{Check, Part, Verb},
        window::{self, WEEKDAYS, Window},
    },
};

/// Every key that `when` and `unless` know, its operators, and whether this version can ask it.
pub const VOCABULARY: &[(&str, &str, bool)] = &[
    ("organization.login", "list of globs", true),
    ("owner.login", "list of globs", true),
    ("owner.teams", "list", true),
    ("owner.role", "list", true),
    ("owner.active_tokens", "at_least, at_most", false),
    ("owner.requests", "at_least, within", false),
    ("owner.denials", "at_least, within", false),
    ("token.name", "matches", true),
    ("token.lifetime", "at_least, at_most", true),
    ("token.unused_for", "at_least, at_most", true),
    ("token.never_expires", "true or false", true),
    ("token.expired", "true or false", true),
    ("request.kind", "list", true),
    ("request.reason", "min_length, matches", true),
    ("request.age", "at_least, at_most", true),
    ("repository_selection", "list", true),
    ("repositories.count", "at_least, at_most", true),
    ("repositories.any.name", "list of globs", true),
    ("repositories.any.visibility", "list", true),
    ("repositories.any.topics", "list", true),
    ("repositories.any.archived", "true or false", true),
    ("repositories.any.custom_properties", "list, is_set", false),
    ("repositories.all.name", "list of globs", true),
    ("repositories.all.visibility", "list", true),
    ("repositories.all.topics", "list", true),
    ("repositories.all.archived", "true or false", true),
    ("repositories.all.custom_properties", "list, is_set", false),
    ("permissions.any_at_least", "one table for each group", true),
    ("permissions.within", "one table for each group", true),
    ("clock", "from, until, weekdays, hours, timezone", true),
];

const ROLES: &[(&str, Role)] = &[
    ("owner", Role::Owner),
    ("member", Role::Member),
    ("billing_manager", Role::BillingManager),
    ("stranger", Role::Stranger),
];
const KINDS: &[(&str, RequestKind)] = &[("new", RequestKind::New), ("change", RequestKind::Change)];
pub(crate) const SELECTIONS: &[(&str, RepositorySelection)] = &[
    ("none", RepositorySelection::None),
    ("all", RepositorySelection::All),
    ("subset", RepositorySelection::Subset),
];
pub(crate) const VISIBILITIES: &[(&str, Visibility)] = &[
    ("public", Visibility::Public),
    ("private", Visibility::Private),
    ("internal", Visibility::Internal),
];
pub(crate) const GROUPS: &[(&str, PermissionGroup)] = &[
    ("repository", PermissionGroup::Repository),
    ("organization", PermissionGroup::Organization),
    ("other", PermissionGroup::Other),
];

/// A check and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) check: Check,
    pub(crate) place: Place,
}

/// Reads one `when` or `unless`.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    part: Part,
    verb: Verb,
) -> Vec<Placed> {
    let word = if part == Part::Unless { "unless" } else { "when" };
    let mut conditions = Conditions { found: Vec::new(), part, verb, word };
    let keys = [
        "organization",
        "owner",
        "token",
        "request",
        "repository_selection",
        "repositories",
        "permissions",
        "clock",
    ];
    reader.table(value, path, &keys, |reader, key, span, value| {
        conditions.block(reader, key, span, value, &format!("{path}.{key}"));
    });
    conditions.found
}

struct Conditions {
    found: Vec<Placed>,
    part: Part,
    verb: Verb,
    word: &'static str,
}

impl Conditions {
    fn push(&mut self, reader: &Reader<'_>, span: Range<usize>, key: &str, condition: Condition) {
        let all_is_any = self.part == Part::When && self.verb != Verb::Approve;
        let check =
            Check { part: self.part, key: format!("{}.{key}", self.word), condition, all_is_any };
        self.found.push(Placed { check, place: reader.place(span) });
    }

    fn block(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        match key {
            "organization" => {
                reader.table(value, path, &["login"], |reader, _, span, value| {
                    if let Some(logins) = globs(reader, value, &format!("{path}.login")) {
                        self.push(
                            reader,
                            span,
                            "organization.login",
                            Condition::OrganizationLogin(logins),
                        );
                    }
                });
            }
            "owner" => {
                let keys = ["login", "teams", "role", "active_tokens", "requests", "denials"];
                reader.table(value, path, &keys, |reader, key, span, value| {
                    self.owner(reader, key, span, value, &format!("{path}.{key}"));
                });
            }
            "token" => {
                let keys = ["name", "lifetime", "unused_for", "never_expires", "expired"];
                reader.table(value, path, &keys, |reader, key, span, value| {
                    self.token(reader, key, span, value, &format!("{path}.{key}"));
                });
            }
            "request" => {
                let keys = ["kind", "reason", "age"];
                reader.table(value, path, &keys, |reader, key, span, value| {
                    self.request(reader, key, span, value, &format!("{path}.{key}"));
                });
            }
            "repository_selection" => {
                let selections = words(reader, value, path, SELECTIONS);
                if !selections.is_empty() {
                    self.push(reader, span, key, Condition::RepositorySelection(selections));
                }
            }
            "repositories" => {
                reader.table(value, path, &["count", "any", "all"], |reader, key, span, value| {
                    self.repositories(reader, key, span, value, &format!("{path}.{key}"));
                });
            }
            "permissions" => {
                reader.table(
                    value,
                    path,
                    &["any_at_least", "within"],
                    |reader, key, span, value| {
                        self.permissions(reader, key, span, value, &format!("{path}.{key}"));
                    },
                );
            }
            _ => {
                if let Some(window) = clock(reader, value, path) {
                    self.push(reader, span, "clock", Condition::Clock(window));
                }
            }
        }
    }

    fn owner(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        match key {
            "login" => {
                if let Some(logins) = globs(reader, value, path) {
                    self.push(reader, span, "owner.login", Condition::OwnerLogin(logins));
                }
            }
            "teams" => {
                let teams = teams(reader, value, path);
                if !teams.is_empty() {
                    self.push(reader, span, "owner.teams", Condition::OwnerTeams(teams));
                }
            }
            "role" => {
                let roles = words(reader, value, path, ROLES);
                if !roles.is_empty() {
                    self.push(reader, span, "owner.role", Condition::OwnerRole(roles));
                }
            }
            _ => not_yet(
                reader,
                span,
                path,
                "this version cannot count an owner's tokens, requests or denials",
            ),
        }
    }

    fn token(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        match key {
            "name" => operators(reader, value, path, &["matches"], |reader, _, value| {
                let path = format!("{path}.matches");
                if let Some(pattern) = regex(reader, value, &path, TextPattern::whole) {
                    self.push(reader, span.clone(), "token.name", Condition::TokenName(pattern));
                }
            }),
            "lifetime" => {
                if let Some(bounds) = bounds(reader, value, path, |r, v, p| r.days(v, p)) {
                    self.push(reader, span, "token.lifetime", Condition::TokenLifetime(bounds));
                }
            }
            "unused_for" => {
                if let Some(bounds) = bounds(reader, value, path, |r, v, p| r.days(v, p)) {
                    self.push(reader, span, "token.unused_for", Condition::TokenUnusedFor(bounds));
                }
            }
            "never_expires" => {
                if let Some(yes) = reader.boolean(value, path) {
                    self.push(
                        reader,
                        span,
                        "token.never_expires",
                        Condition::TokenNeverExpires(yes),
                    );
                }
            }
            _ => {
                if let Some(yes) = reader.boolean(value, path) {
                    self.push(reader, span, "token.expired", Condition::TokenExpired(yes));
                }
            }
        }
    }

    fn request(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        match key {
            "kind" => {
                let kinds = words(reader, value, path, KINDS);
                if !kinds.is_empty() {
                    self.push(reader, span, "request.kind", Condition::RequestKind(kinds));
                }
            }
            "reason" => {
                let (mut min_length, mut matches) = (None, None);
                operators(
                    reader,
                    value,
                    path,
                    &["min_length", "matches"],
                    |reader, operator, value| {
                        let path = format!("{path}.{operator}");
                        if operator == "matches" {
                            matches = regex(reader, value, &path, TextPattern::anywhere);
                        } else {
                            min_length = length(reader, value, &path);
                        }
                    },
                );
                if min_length.is_some() || matches.is_some() {
                    self.push(
                        reader,
                        span,
                        "request.reason",
                        Condition::RequestReason { min_length, matches },
                    );
                }
            }
            _ => {
                if self.verb != Verb::Escalate {
                    let help = "a decision that time alone turns into an approval or a denial surprises everybody";
                    let message = format!(
                        "`request.age` is for escalate rules, and this is a {} rule",
                        self.verb
                    );
                    reader.error_help(Code::BadValue, span, message, Some(help.to_owned()));
                } else if let Some(bounds) =
                    bounds(reader, value, path, |r, v, p| r.span(v, p).map(|span| span.seconds()))
                {
                    self.push(reader, span, "request.age", Condition::RequestAge(bounds));
                }
            }
        }
    }

    fn repositories(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        if key == "count" {
            if let Some(bounds) =
                bounds(reader, value, path, |r, v, p| r.integer(v, p, 0..1_000_001))
            {
                self.push(reader, span, "repositories.count", Condition::RepositoriesCount(bounds));
            }
            return;
        }
        let mut test = RepositoryTest::default();
        let before = reader.diagnostics.len();
        let keys = ["name", "visibility", "topics", "archived", "custom_properties"];
        reader.table(value, path, &keys, |reader, key, span, value| {
            let path = format!("{path}.{key}");
            match key {
                "name" => test.name = globs(reader, value, &path),
                "visibility" => {
                    test.visibility = Some(words(reader, value, &path, VISIBILITIES));
                }
                "topics" => test.topics = globs(reader, value, &path),
                "archived" => test.archived = reader.boolean(value, &path),
                _ => not_yet(reader, span, &path, "this version does not read custom properties"),
            }
        });
        let keys = test.keys();
        if reader.diagnostics.len() > before {
            return;
        }
        if keys.is_empty() {
            reader.error(Code::EmptyList, span, format!("`{path}` asks for nothing"));
        } else if key == "any" {
            let label = label("repositories.any", &keys);
            self.push(reader, span, &label, Condition::RepositoriesAny(test));
        } else if self.part == Part::Unless {
            let label = label("repositories.all", &keys);
            self.push(reader, span, &label, Condition::RepositoriesAll(test));
        } else {
            // All must pass all of it, so each key can stand, and be explained, for itself.
            for test in test.split() {
                let label = label("repositories.all", &test.keys());
                self.push(reader, span.clone(), &label, Condition::RepositoriesAll(test));
            }
        }
    }

    fn permissions(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        let Some(table) = super::reader::entries(value) else {
            return reader.wrong_type(value, path, "a table for each group");
        };
        if table.is_empty() {
            return reader.error(Code::EmptyList, span, format!("`{path}` asks for nothing"));
        }
        reader.table(
            value,
            path,
            &["repository", "organization", "other"],
            |reader, name, span, value| {
                let Some((_, group)) = GROUPS.iter().find(|(word, _)| *word == name) else {
                    return;
                };
                let path = format!("{path}.{name}");
                let any = key == "any_at_least";
                let stars = any && self.verb != Verb::Approve;
                let listed = permissions::read(reader, value, &path, *group, stars);
                let Some(listed) = listed else { return };
                if any {
                    if listed.is_empty() {
                        return reader.error(
                            Code::EmptyList,
                            value.span(),
                            format!("`{path}` asks for nothing"),
                        );
                    }
                    let condition =
                        Condition::PermissionsAnyAtLeast(AnyAtLeast::new(*group, listed));
                    self.push(reader, span, &format!("permissions.any_at_least.{name}"), condition);
                } else {
                    let bound = Within::new(&[*group], permissions::of_group(*group, listed));
                    self.push(
                        reader,
                        span,
                        &format!("permissions.within.{name}"),
                        Condition::PermissionsWithin(bound),
                    );
                }
            },
        );
    }
}

fn label(block: &str, keys: &[&str]) -> String {
    match keys {
        [key] => format!("{block}.{key}"),
        keys => format!("{block}.{{{}}}", keys.join(",")),
    }
}

pub(crate) fn not_yet(reader: &mut Reader<'_>, span: Range<usize>, path: &str, why: &str) {
    let message = format!("`{path}` is not supported yet");
    reader.error_help(Code::NotYetSupported, span, message, Some(why.to_owned()));
}

/// Reads a table of operators; another key, or no table at all, is an operator this condition lacks.
fn operators<'v, 'i>(
    reader: &mut Reader<'_>,
    value: &'v Value<'i>,
    path: &str,
    known: &[&'static str],
    mut read: impl FnMut(&mut Reader<'_>, &'static str, &'v Value<'i>),
) {
    let DeValue::Table(table) = value.get_ref() else {
        let example =
            known.first().map(|operator| format!("{path}.{operator} = …")).unwrap_or_default();
        let message = format!("`{path}` must say how it is asked");
        let help = format!("operators: {}; write `{example}`", known.join(", "));
        return reader.error_help(Code::UnknownOperator, value.span(), message, Some(help));
    };
    if table.is_empty() {
        reader.error(Code::EmptyList, value.span(), format!("`{path}` asks for nothing"));
    }
    for (key, value) in table {
        let name: &str = key.get_ref();
        match known.iter().find(|operator| **operator == name) {
            Some(operator) => read(reader, operator, value),
            None => {
                let message = format!("`{path}` has no operator `{}`", shown(name));
                reader.error_help(
                    Code::UnknownOperator,
                    key.span(),
                    message,
                    suggestion(name, known),
                );
            }
        }
    }
}

fn bounds(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    read: impl Fn(&mut Reader<'_>, &Value<'_>, &str) -> Option<i64>,
) -> Option<Bounds> {
    let mut bounds = Bounds::default();
    operators(reader, value, path, &["at_least", "at_most"], |reader, operator, value| {
        let number = read(reader, value, &format!("{path}.{operator}"));
        if operator == "at_least" { bounds.at_least = number } else { bounds.at_most = number }
    });
    if bounds.contradict() {
        let message = format!("nothing is both at least and at most this, so `{path}` never holds");
        let place = reader.place(value.span());
        reader.report(Diagnostic::new(Code::ContradictoryBounds, place, message));
    }
    (bounds != Bounds::default()).then_some(bounds)
}

pub(crate) fn length(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<usize> {
    reader.integer(value, path, 1..1_025).and_then(|length| usize::try_from(length).ok())
}

pub(crate) fn words<T: Copy>(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    words: &[(&'static str, T)],
) -> Vec<T> {
    let listed = reader.strings(value, path);
    listed.into_iter().filter_map(|(text, span)| reader.word(text, span, path, words)).collect()
}

pub(crate) fn teams(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Vec<TeamRef> {
    let mut teams = Vec::new();
    for (text, span) in reader.strings(value, path) {
        match TeamRef::parse(text) {
            Ok(team) if !text.contains(['*', '?', ' ']) => teams.push(team),
            Ok(_) => reader.error(
                Code::BadName,
                span,
                format!("`{}` is not a team's slug; globs are not for teams", shown(text)),
            ),
            Err(message) => reader.error(Code::BadName, span, message),
        }
    }
    teams
}

/// A list of names with `*` and `?`.
pub(crate) fn globs(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Patterns> {
    let mut globs = Vec::new();
    for (text, span) in reader.strings(value, path) {
        let help = if text.contains('/') {
            "names stand without their organization".to_owned()
        } else {
            "letters, digits, `-`, `_`, `.`, and `*` for any characters or `?` for one".to_owned()
        };
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '?');
        if text.is_empty() || text.len() > 200 || !text.chars().all(fine) {
            let message = format!("`{}` is not a name or glob", shown(text));
            reader.error_help(Code::BadPattern, span, message, Some(help));
        } else {
            globs.push(text.to_owned());
        }
    }
    (!globs.is_empty()).then(|| Patterns::new(globs))
}

pub(crate) fn regex(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    compile: impl Fn(&str) -> Result<TextPattern, String>,
) -> Option<TextPattern> {
    let text = reader.string(value, path)?;
    match compile(text) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            let message = format!("`{path}` is not a regular expression that can be used: {why}");
            reader.error(Code::BadPattern, value.span(), message);
            None
        }
    }
}

/// Reads `clock = { … }`. The zones come with the program, so that a file means the same everywhere.
fn clock(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Window> {
    let (mut from, mut until, mut days, mut hours) = (None, None, Vec::new(), None);
    let mut zone = None;
    let before = reader.diagnostics.len();
    let keys = ["from", "until", "weekdays", "hours", "timezone"];
    let is_table = reader.table(value, path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        match key {
            "from" => from = reader.date(value, &path),
            "until" => until = reader.date(value, &path),
            "weekdays" => days = words(reader, value, &path, &WEEKDAYS),
            "hours" => {
                let Some(text) = reader.string(value, &path) else { return };
                match window::hours(text) {
                    Ok(read) => hours = Some(read),
                    Err(message) => reader.error(Code::BadValue, value.span(), message),
                }
            }
            _ => zone = timezone(reader, value, &path),
        }
    });
    if !is_table || reader.diagnostics.len() > before {
        return None;
    }
    let Some((timezone_name, timezone)) = zone else {
        reader.missing(
            value.span(),
            format!("`{path}` needs a `timezone`"),
            "such as `timezone = \"Europe/Vienna\"`",
        );
        return None;
    };
    if from.is_none() && until.is_none() && days.is_empty() && hours.is_none() {
        reader.error(Code::EmptyList, value.span(), format!("`{path}` asks for nothing"));
        return None;
    }
    if matches!((from, until), (Some(from), Some(until)) if from > until) {
        let place = reader.place(value.span());
        let message = format!("`{path}` ends before it begins, so it never holds");
        reader.report(Diagnostic::new(Code::ContradictoryBounds, place, message));
    }
    Some(Window { from, until, weekdays: days, hours, timezone_name, timezone })
}

pub(crate) fn timezone(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> Option<(String, jiff::tz::TimeZone)> {
    let text = reader.string(value, path)?;
    match TimeZoneDatabase::bundled().get(text) {
        Ok(zone) => Some((text.to_owned(), zone)),
        Err(_) => {
            let zones: Vec<_> =
                TimeZoneDatabase::bundled().available().map(|zone| zone.to_string()).collect();
            let help = super::nearest::nearest(text, zones.iter().map(String::as_str))
                .map(|zone| format!("did you mean `{zone}`?"));
            reader.error_help(
                Code::BadName,
                value.span(),
                format!("there is no time zone `{}`", shown(text)),
                help,
            );
            None
        }
    }
}

/// Reads one block of conditions, for tables that have keys of their own beside them.
pub(crate) fn read_one(
    reader: &mut Reader<'_>,
    key: &str,
    span: Range<usize>,
    value: &Value<'_>,
    path: &str,
    part: Part,
    verb: Verb,
) -> Vec<Placed> {
    let mut conditions = Conditions { found: Vec::new(), part, verb, word: "when" };
    conditions.block(reader, key, span, value, &format!("{path}.{key}"));
    conditions.found
}
