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
                    if let Some(logins) = globs(reader, value, &format!("{path}.login"), None) {
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
                if let Some(logins) = globs(reader, value, path, Some(Name::login)) {
                    self.push(reader, span, "owner.login", Condition::OwnerLogin(logins));
                }
            }
            "teams" => {
                let teams = named_teams(reader, value, path);
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
            "active_tokens" => {
                let read = bounds(reader, value, path, |r, v, p| r.integer(v, p, 0..1_000_001));
                if let Some(bounds) = read {
                    let condition = Condition::OwnerActiveTokens(bounds);
                    self.push(reader, span, "owner.active_tokens", condition);
                }
            }
            "requests" => {
                if let Some(counted) = at_least_within(reader, value, path) {
                    self.push(reader, span, "owner.requests", Condition::OwnerRequests(counted));
                }
            }
            _ => {
                if let Some(counted) = at_least_within(reader, value, path) {
                    self.push(reader, span, "owner.denials", Condition::OwnerDenials(counted));
                }
            }
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
        reader.table(value, path, &keys, |reader, key, _, value| {
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

    fn permissions(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        span: Range<usize>,
        value: &Value<'_>,
        path: &str,
    ) {
        let Some(table) = entries(value) else {
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
                    if entries(value).is_some_and(|table| table.is_empty()) {
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

fn label(block: &str, keys: &[String]) -> String {
    match keys {
        [key] => format!("{block}.{key}"),
        keys => format!("{block}.{{{}}}", keys.join(",")),
    }
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
    conditions.block(reader, key, span, value, &format!("{path}.{key}"));
    conditions.found
}
