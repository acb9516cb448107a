//! `when` and `unless`: from keys and operators to conditions.

use std::ops::Range;

use super::{
    permissions,
    reader::{Reader, Value, entries},
    values::{
        at_least_within, bounds, clock, custom_properties, globs, length, named_teams, operators,
        regex, words,
    },
};
use crate::{
    domain::{PermissionGroup, RepositorySelection, RequestKind, Role, Visibility},
    rules::{
        condition::{Condition, RepositoryTest},
        diagnostic::{Code, Place},
        names::Name,
        pattern::TextPattern,
        permission_set::{AnyAtLeast, Within},
        rule::{Check, Part, Verb},
    },
};

/// Every key that `when` and `unless` know, its operators, and what it asks.
pub const VOCABULARY: &[(&str, &str, &str)] = &[
    ("organization.login", "list of globs", "the organization that is asked"),
    ("owner.login", "list of globs", "whose token it is"),
    ("owner.teams", "list", "a team that the owner is in: a slug, or `organization/slug`"),
    ("owner.role", "list", "the owner's role: `owner`, `member`, `billing_manager` or `stranger`"),
    (
        "owner.active_tokens",
        "at_least, at_most",
        "how many tokens of the owner's have access already, this one not counted",
    ),
    (
        "owner.requests",
        "at_least, within",
        "how many other requests the owner made, by our own record",
    ),
    ("owner.denials", "at_least, within", "how many of them were denied, by our own record"),
    ("token.name", "matches", "the token's name, as a whole"),
    ("token.lifetime", "at_least, at_most", "whole days that were left when it was requested"),
    ("token.unused_for", "at_least, at_most", "whole days since it was last used"),
    ("token.never_expires", "true or false", "whether it has no end"),
    ("token.expired", "true or false", "whether it ended already"),
    ("request.kind", "list", "`new`, or `change` of a token that has access"),
    ("request.reason", "min_length, matches", "the requester's words"),
    ("request.age", "at_least, at_most", "time since it was made; escalate rules only"),
    ("repository_selection", "list", "`none`, `all` or `subset`"),
    ("repositories.count", "at_least, at_most", "how many repositories"),
    ("repositories.any.name", "list of globs", "some repository's name"),
    (
        "repositories.any.visibility",
        "list",
        "some repository's visibility: `public`, `private`, `internal`",
    ),
    ("repositories.any.topics", "list of globs", "some repository's topics, one of them"),
    ("repositories.any.archived", "true or false", "some repository's being archived"),
    (
        "repositories.any.custom_properties.NAME",
        "list, is_set",
        "some repository's custom property of this name",
    ),
    ("repositories.all.name", "list of globs", "every repository's name"),
    (
        "repositories.all.visibility",
        "list",
        "every repository's visibility: `public`, `private`, `internal`",
    ),
    ("repositories.all.topics", "list of globs", "every repository's topics, one of them"),
    ("repositories.all.archived", "true or false", "every repository's being archived"),
    (
        "repositories.all.custom_properties.NAME",
        "list, is_set",
        "every repository's custom property of this name",
    ),
    (
        "permissions.any_at_least",
        "one table for each group",
        "one of these permissions, at this level or a higher one",
    ),
    ("permissions.within", "one table for each group", "nothing of these groups but this"),
    ("clock", "from, until, weekdays, hours, timezone", "the moment of judging"),
];

pub(crate) const ROLES: &[(&str, Role)] = &[
    ("owner", Role::Owner),
    ("member", Role::Member),
    ("billing_manager", Role::BillingManager),
    ("stranger", Role::Stranger),
];
pub(crate) const KINDS: &[(&str, RequestKind)] =
    &[("new", RequestKind::New), ("change", RequestKind::Change)];
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
        conditions.block(reader, Entry { key, span, value, path: format!("{path}.{key}") });
    });
    conditions.found
}

/// Reads one block of conditions for a table that has keys of its own beside them. Nothing of it is a veto: what is
/// unknown stays unknown.
pub(crate) fn read_one(
    reader: &mut Reader<'_>,
    key: &str,
    span: Range<usize>,
    value: &Value<'_>,
    path: &str,
) -> Vec<Placed> {
    let (part, verb) = (Part::When, Verb::Approve);
    let mut conditions = Conditions { found: Vec::new(), part, verb, word: "when" };
    conditions.block(reader, Entry { key, span, value, path: format!("{path}.{key}") });
    conditions.found
}

/// One entry of a table.
struct Entry<'v, 'i> {
    key: &'v str,
    /// Where its key stands.
    span: Range<usize>,
    value: &'v Value<'i>,
    /// All keys that lead to it, for messages.
    path: String,
}

struct Conditions {
    found: Vec<Placed>,
    part: Part,
    verb: Verb,
    word: &'static str,
}

impl Conditions {
    fn push(&mut self, reader: &Reader<'_>, span: Range<usize>, key: &str, condition: Condition) {
        let veto = self.part == Part::When && self.verb != Verb::Approve;
        let check = Check {
            part: self.part,
            key: format!("{}.{key}", self.word),
            condition,
            veto,
            bound_by: Vec::new(),
            slot: None,
        };
        self.found.push(Placed { check, place: reader.place(span) });
    }

    /// Reads a block in which each key is a condition for itself.
    fn each(
        &mut self,
        reader: &mut Reader<'_>,
        block: &Entry<'_, '_>,
        keys: &[&'static str],
        read: impl Fn(&mut Reader<'_>, &Entry<'_, '_>) -> Option<Condition>,
    ) {
        reader.table(block.value, &block.path, keys, |reader, key, span, value| {
            let entry = Entry { key, span, value, path: format!("{}.{key}", block.path) };
            if let Some(condition) = read(reader, &entry) {
                self.push(reader, entry.span, &format!("{}.{key}", block.key), condition);
            }
        });
    }

    fn block(&mut self, reader: &mut Reader<'_>, block: Entry<'_, '_>) {
        let Entry { key, span, value, path } = &block;
        match *key {
            "organization" => self.each(reader, &block, &["login"], |reader, entry| {
                globs(reader, entry.value, &entry.path, None).map(Condition::OrganizationLogin)
            }),
            "owner" => {
                let keys = ["login", "teams", "role", "active_tokens", "requests", "denials"];
                self.each(reader, &block, &keys, owner);
            }
            "token" => {
                let keys = ["name", "lifetime", "unused_for", "never_expires", "expired"];
                self.each(reader, &block, &keys, token);
            }
            "request" => {
                let verb = self.verb;
                let keys = ["kind", "reason", "age"];
                self.each(reader, &block, &keys, |reader, entry| request(reader, entry, verb));
            }
            "repository_selection" => {
                let selections = some(words(reader, value, path, SELECTIONS));
                if let Some(condition) = selections.map(Condition::RepositorySelection) {
                    self.push(reader, span.clone(), key, condition);
                }
            }
            "repositories" => {
                reader.table(value, path, &["count", "any", "all"], |reader, key, span, value| {
                    let path = format!("{path}.{key}");
                    self.repositories(reader, Entry { key, span, value, path });
                });
            }
            "permissions" => {
                let keys = ["any_at_least", "within"];
                reader.table(value, path, &keys, |reader, key, span, value| {
                    let path = format!("{path}.{key}");
                    self.permissions(reader, &Entry { key, span, value, path });
                });
            }
            _ => {
                if let Some(window) = clock(reader, value, path) {
                    self.push(reader, span.clone(), "clock", Condition::Clock(window));
                }
            }
        }
    }

    fn repositories(&mut self, reader: &mut Reader<'_>, entry: Entry<'_, '_>) {
        let Entry { key, span, value, path } = entry;
        if key == "count" {
            if let Some(bounds) = bounds(reader, value, &path, count) {
                self.push(reader, span, "repositories.count", Condition::RepositoriesCount(bounds));
            }
            return;
        }
        let mut test = RepositoryTest::default();
        let before = reader.diagnostics.len();
        let keys = ["name", "visibility", "topics", "archived", "custom_properties"];
        reader.table(value, &path, &keys, |reader, key, _, value| {
            let path = format!("{path}.{key}");
            match key {
                "name" => test.name = globs(reader, value, &path, Some(Name::repository)),
                "visibility" => {
                    test.visibility = Some(words(reader, value, &path, VISIBILITIES));
                }
                "topics" => test.topics = globs(reader, value, &path, None),
                "archived" => test.archived = reader.boolean(value, &path),
                _ => test.custom_properties = custom_properties(reader, value, &path),
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

    fn permissions(&mut self, reader: &mut Reader<'_>, entry: &Entry<'_, '_>) {
        let Entry { key, span, value, path } = entry;
        let Some(table) = entries(value) else {
            return reader.wrong_type(value, path, "a table for each group");
        };
        if table.is_empty() {
            let message = format!("`{path}` asks for nothing");
            return reader.error(Code::EmptyList, span.clone(), message);
        }
        let keys = ["repository", "organization", "other"];
        reader.table(value, path, &keys, |reader, name, span, value| {
            let Some((_, group)) = GROUPS.iter().find(|(word, _)| *word == name) else {
                return;
            };
            let path = format!("{path}.{name}");
            let any = *key == "any_at_least";
            let stars = any && self.verb != Verb::Approve;
            let listed = permissions::read(reader, value, &path, *group, stars);
            let Some(listed) = listed else { return };
            let condition = if any {
                if entries(value).is_some_and(|table| table.is_empty()) {
                    let message = format!("`{path}` asks for nothing");
                    return reader.error(Code::EmptyList, value.span(), message);
                }
                Condition::PermissionsAnyAtLeast(AnyAtLeast::new(*group, listed))
            } else {
                let listed = permissions::of_group(*group, listed);
                Condition::PermissionsWithin(Within::new(&[*group], listed))
            };
            self.push(reader, span, &format!("permissions.{key}.{name}"), condition);
        });
    }
}

fn owner(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Condition> {
    let Entry { key, value, path, .. } = entry;
    match *key {
        "login" => globs(reader, value, path, Some(Name::login)).map(Condition::OwnerLogin),
        "teams" => some(named_teams(reader, value, path)).map(Condition::OwnerTeams),
        "role" => some(words(reader, value, path, ROLES)).map(Condition::OwnerRole),
        "active_tokens" => bounds(reader, value, path, count).map(Condition::OwnerActiveTokens),
        "requests" => at_least_within(reader, value, path).map(Condition::OwnerRequests),
        _ => at_least_within(reader, value, path).map(Condition::OwnerDenials),
    }
}

fn token(reader: &mut Reader<'_>, entry: &Entry<'_, '_>) -> Option<Condition> {
    let Entry { key, value, path, .. } = entry;
    match *key {
        "name" => {
            let mut pattern = None;
            operators(reader, value, path, &["matches"], |reader, operator, value| {
                pattern = regex(reader, value, &format!("{path}.{operator}"), TextPattern::whole);
            });
            pattern.map(Condition::TokenName)
        }
        "lifetime" => bounds(reader, value, path, days).map(Condition::TokenLifetime),
        "unused_for" => bounds(reader, value, path, days).map(Condition::TokenUnusedFor),
        "never_expires" => reader.boolean(value, path).map(Condition::TokenNeverExpires),
        _ => reader.boolean(value, path).map(Condition::TokenExpired),
    }
}

fn request(reader: &mut Reader<'_>, entry: &Entry<'_, '_>, verb: Verb) -> Option<Condition> {
    let Entry { key, span, value, path } = entry;
    match *key {
        "kind" => some(words(reader, value, path, KINDS)).map(Condition::RequestKind),
        "reason" => {
            let (mut min_length, mut matches) = (None, None);
            let known = ["min_length", "matches"];
            operators(reader, value, path, &known, |reader, operator, value| {
                let path = format!("{path}.{operator}");
                if operator == "matches" {
                    matches = regex(reader, value, &path, TextPattern::anywhere);
                } else {
                    min_length = length(reader, value, &path);
                }
            });
            (min_length.is_some() || matches.is_some())
                .then_some(Condition::RequestReason { min_length, matches })
        }
        _ if verb != Verb::Escalate => {
            let message = format!("`request.age` is for escalate rules, and this is a {verb} rule");
            let help =
                "a decision that time alone turns into an approval or a denial surprises everybody";
            reader.error_help(Code::BadValue, span.clone(), message, Some(help.to_owned()));
            None
        }
        _ => bounds(reader, value, path, |reader, value, path| {
            reader.span(value, path).map(|span| span.seconds())
        })
        .map(Condition::RequestAge),
    }
}

/// A number of tokens or repositories.
fn count(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<i64> {
    reader.integer(value, path, 0..1_000_001)
}

fn days(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<i64> {
    reader.days(value, path)
}

/// A list that says something. Of one that does not, its reader has complained.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn label(block: &str, keys: &[String]) -> String {
    match keys {
        [key] => format!("{block}.{key}"),
        keys => format!("{block}.{{{}}}", keys.join(",")),
    }
}
