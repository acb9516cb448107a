//! The JSON Schema of rule files, for editors: what a key may hold, made from the lists that the loader reads by. It
//! says less than the loader, which alone decides what is valid.

use serde_json::{Map, Value, json};

use crate::domain::{KNOWN_PERMISSIONS, PermissionGroup};

use super::{load::conditions, policy::Mode, revocation::Departure};

/// The schema, draft-07.
///
/// Source: <https://json-schema.org/draft-07>.
#[must_use]
pub fn schema() -> Value {
    let group = |table: Value| {
        let any = json!({ "type": "object", "additionalProperties": table.clone() });
        with(any, "propertyNames", json!({ "pattern": "^[A-Za-z0-9_-]{1,60}$" }))
    };
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Rules of patwarden",
        "description": "Which fine-grained personal access tokens an organization lets through. docs/rules.md is the reference; `patwarden rules check` has the last word.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "schema": { "const": 1, "description": "The version of the language; mandatory." },
            "layer": { "const": "enterprise", "description": "Only in the enterprise's file." },
            "mode": {
                "enum": Mode::ALL.map(Mode::as_str),
                "description": "What is done with decisions; absent means shadow.",
            },
            "default": table(&[
                ("decision", json!({ "enum": ["escalate", "deny"] })),
                ("reason", text("What the requester reads when the default denies.")),
                ("to", names("Who is asked when no rule names reviewers.")),
            ], &["decision"]),
            "approve": group(table(&[
                ("when", conditions_of(false)),
                ("unless", conditions_of(false)),
                ("allow", allow(&["lifetime", "repositories", "permissions"])),
                ("require", require()),
            ], &["when", "allow"])),
            "deny": group(table(&[
                ("when", conditions_of(true)),
                ("unless", conditions_of(true)),
                ("reason", text("What the requester reads: say what would pass.")),
                ("enforcement", enforcement()),
            ], &["when", "reason"])),
            "escalate": group(table(&[
                ("when", conditions_of(true)),
                ("unless", conditions_of(true)),
                ("to", names("Who is asked.")),
                ("enforcement", enforcement()),
                ("gate", json!({ "type": "boolean", "description": "Only tightens: counts where the request would otherwise be approved or escalated." })),
            ], &["when", "to"])),
            "ceiling": table(&[
                ("lifetime", days()),
                ("max_repositories", count()),
                ("all_repositories", json!({ "type": "boolean" })),
                ("permissions", bound()),
            ], &[]),
            "require": require(),
            "waiver": group(table(&[
                ("rule", json!({ "type": "string", "pattern": "^(deny|escalate)\\." })),
                ("owner", text("One login.")),
                ("granted", date()),
                ("until", date()),
                ("record", text("Where it is recorded.")),
                ("max", table(&[
                    ("permissions", bound()),
                    ("lifetime", days()),
                    ("repository_selection", words(conditions::SELECTIONS)),
                ], &[])),
            ], &["rule", "owner", "granted", "until", "record", "max"])),
            "reviewers": group(table(&[
                ("notify", list(json!({ "type": "string", "pattern": "^(issue|email):" }))),
                ("may_decide", table(&[
                    ("teams", list(json!({ "type": "string" }))),
                    ("roles", list(json!({ "const": "owner" }))),
                ], &[])),
                ("quorum", count()),
                ("comment_required", json!({ "type": "boolean" })),
                ("remind_every", span()),
                ("next", table(&[("after", span()), ("to", text("A group."))], &["after", "to"])),
                ("finally", table(&[
                    ("after", span()),
                    ("decision", json!({ "enum": ["deny", "leave_pending"] })),
                    ("reason", text("What the requester reads.")),
                ], &["after", "decision"])),
            ], &["notify", "may_decide"])),
            "revoke": group(table(&[
                ("when", table(&[
                    ("unused_for", some_days()),
                    ("granted_for", some_days()),
                    ("lifetime_over", some_days()),
                    ("no_longer_covered", json!({ "const": true })),
                    ("owner", part(&conditions_of(true), "owner")),
                    ("repositories", part(&conditions_of(true), "repositories")),
                    ("repository_selection", list(words(conditions::SELECTIONS))),
                ], &[])),
                ("on", list(json!({ "enum": Departure::ALL.map(Departure::as_str) }))),
                ("grace", span()),
                ("max_per_run", count()),
                ("max_share", json!({ "type": "string", "pattern": "^[0-9]{1,3}%$" })),
            ], &["grace", "max_per_run"])),
            "digest": table(&[
                ("to", names("`owners`, teams or addresses.")),
                ("at", json!({ "type": "string", "pattern": "^[0-9]{2}:[0-9]{2} .+$", "description": "08:00 Europe/Vienna" })),
                ("cron", text("Five fields.")),
                ("timezone", text("Such as Europe/Vienna.")),
                ("detail", json!({ "enum": ["full", "minimal"] })),
            ], &["to"]),
            "tests": { "type": "object", "additionalProperties": case() },
        },
    })
}

/// A table with these keys and no others.
fn table(keys: &[(&str, Value)], required: &[&str]) -> Value {
    let keys: Map<String, Value> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let table = json!({ "type": "object", "additionalProperties": false, "properties": keys });
    if required.is_empty() { table } else { with(table, "required", json!(required)) }
}

fn with(mut schema: Value, key: &str, value: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
    schema
}

fn part(table: &Value, key: &str) -> Value {
    table.pointer(&format!("/properties/{key}")).cloned().unwrap_or_default()
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

fn names(description: &str) -> Value {
    json!({ "anyOf": [{ "type": "string" }, list(json!({ "type": "string" }))], "description": description })
}

fn words<T>(words: &[(&str, T)]) -> Value {
    json!({ "enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
}

fn days() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+d$", "description": "Whole days, such as 90d." })
}

fn some_days() -> Value {
    with(days(), "pattern", json!("^0*[1-9][0-9]*d$"))
}

fn span() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+[dhm]$", "description": "Days, hours or minutes, such as 1d, 4h or 30m." })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

fn date() -> Value {
    json!({ "type": "string", "format": "date" })
}

fn enforcement() -> Value {
    json!({ "enum": ["hard", "soft", "advisory"] })
}

fn bounds(number: Value) -> Value {
    with(
        table(&[("at_least", number.clone()), ("at_most", number)], &[]),
        "minProperties",
        json!(1),
    )
}

fn globs() -> Value {
    list(json!({ "type": "string", "pattern": "^[A-Za-z0-9_.*?-]+$" }))
}

fn require() -> Value {
    let length = json!({ "type": "integer", "minimum": 1, "maximum": 1024 });
    table(&[("reason_min_length", length), ("reason_matches", text("A regular expression."))], &[])
}

fn allow(required: &[&str]) -> Value {
    table(
        &[
            ("lifetime", days()),
            ("repositories", globs()),
            ("max_repositories", count()),
            ("all_repositories", json!({ "type": "boolean" })),
            ("permissions", bound()),
        ],
        required,
    )
}

/// The permissions of one group with the levels that GitHub documents.
fn permissions(group: PermissionGroup, stars: bool) -> Value {
    let known = KNOWN_PERMISSIONS.iter().filter(|(of, ..)| *of == group);
    let mut keys: Vec<(&str, Value)> = known
        .map(|(_, name, levels)| {
            let levels: Vec<_> = levels.iter().map(|level| level.as_str()).collect();
            (*name, json!({ "enum": levels }))
        })
        .collect();
    if stars {
        keys.push(("*", json!({ "enum": ["read", "write", "admin"] })));
    }
    table(&keys, &[])
}

fn bound() -> Value {
    let group = |group| (PermissionGroup::as_str(group), permissions(group, false));
    table(&[group(PermissionGroup::Repository), group(PermissionGroup::Organization)], &[])
}

/// `when` and `unless`; `stars`: of a deny or escalate rule.
fn conditions_of(stars: bool) -> Value {
    let groups = |stars| {
        table(&PermissionGroup::ALL.map(|group| (group.as_str(), permissions(group, stars))), &[])
    };
    let matches =
        table(&[("matches", text("A regular expression over the whole name."))], &["matches"]);
    let counted = table(&[("at_least", count()), ("within", span())], &["at_least", "within"]);
    let property = json!({ "anyOf": [
        list(json!({ "type": "string" })),
        table(&[("is_set", json!({ "type": "boolean" }))], &["is_set"]),
    ] });
    let repositories = table(
        &[
            ("name", globs()),
            ("visibility", list(words(conditions::VISIBILITIES))),
            ("topics", globs()),
            ("archived", json!({ "type": "boolean" })),
            ("custom_properties", json!({ "type": "object", "additionalProperties": property })),
        ],
        &[],
    );
    let boolean = || json!({ "type": "boolean" });
    let clock = table(
        &[
            ("from", date()),
            ("until", date()),
            ("weekdays", list(json!({ "type": "string" }))),
            (
                "hours",
                json!({ "type": "string", "pattern": "^[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$" }),
            ),
            ("timezone", text("Such as Europe/Vienna.")),
        ],
        &["timezone"],
    );
    table(
        &[
            ("organization", table(&[("login", globs())], &[])),
            (
                "owner",
                table(
                    &[
                        ("login", globs()),
                        ("teams", list(text("A slug, or organization/slug."))),
                        ("role", list(words(conditions::ROLES))),
                        ("active_tokens", bounds(json!({ "type": "integer", "minimum": 0 }))),
                        ("requests", counted.clone()),
                        ("denials", counted),
                    ],
                    &[],
                ),
            ),
            (
                "token",
                table(
                    &[
                        ("name", matches),
                        ("lifetime", bounds(days())),
                        ("unused_for", bounds(days())),
                        ("never_expires", boolean()),
                        ("expired", boolean()),
                    ],
                    &[],
                ),
            ),
            (
                "request",
                table(
                    &[
                        ("kind", list(words(conditions::KINDS))),
                        (
                            "reason",
                            table(
                                &[
                                    (
                                        "min_length",
                                        json!({ "type": "integer", "minimum": 1, "maximum": 1024 }),
                                    ),
                                    ("matches", text("A regular expression, anywhere.")),
                                ],
                                &[],
                            ),
                        ),
                        ("age", bounds(span())),
                    ],
                    &[],
                ),
            ),
            ("repository_selection", list(words(conditions::SELECTIONS))),
            (
                "repositories",
                table(
                    &[
                        ("count", bounds(json!({ "type": "integer", "minimum": 0 }))),
                        ("any", repositories.clone()),
                        ("all", repositories),
                    ],
                    &[],
                ),
            ),
            (
                "permissions",
                table(&[("any_at_least", groups(stars)), ("within", groups(false))], &[]),
            ),
            ("clock", clock),
        ],
        &[],
    )
}

fn case() -> Value {
    let any_level = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let wants = table(
        &[
            ("name", text("The token's name.")),
            ("lifetime", json!({ "type": "string", "pattern": "^([0-9]+d|never)$" })),
            ("expired", json!({ "type": "boolean" })),
            ("unused_for", days()),
            ("age", span()),
            ("reason", text("The requester's words.")),
            ("kind", words(conditions::KINDS)),
            ("repositories", list(json!({ "type": "string" }))),
            ("repository_selection", words(conditions::SELECTIONS)),
            (
                "permissions",
                table(&PermissionGroup::ALL.map(|group| (group.as_str(), any_level.clone())), &[]),
            ),
        ],
        &[],
    );
    let number = || json!({ "type": "integer", "minimum": 0 });
    let some = || json!({ "type": "array", "items": { "type": "string" } });
    let owner = table(
        &[
            ("login", json!({ "type": "string" })),
            ("role", words(conditions::ROLES)),
            ("teams", some()),
            ("active_tokens", number()),
            ("requests", number()),
            ("denials", number()),
        ],
        &[],
    );
    let values =
        json!({ "type": "object", "additionalProperties": names("Its value, or values.") });
    let repository = table(
        &[
            ("visibility", words(conditions::VISIBILITIES)),
            ("topics", some()),
            ("archived", json!({ "type": "boolean" })),
            ("custom_properties", values),
            ("formerly", names("Names under which it was seen before.")),
        ],
        &[],
    );
    let either = |description: &str| json!({ "anyOf": [{ "type": "string" }, some()], "description": description });
    table(
        &[
            ("wants", wants),
            (
                "world",
                table(
                    &[
                        ("organization", json!({ "type": "string" })),
                        ("owner", owner),
                        (
                            "repositories",
                            json!({ "type": "object", "additionalProperties": repository }),
                        ),
                    ],
                    &[],
                ),
            ),
            ("now", json!({ "type": "string" })),
            ("unknown", some()),
            ("expect", json!({ "enum": ["approve", "deny", "escalate"] })),
            ("by", either("Every rule that makes the decision.")),
            ("to", either("Every group that is asked.")),
            ("near_miss", either("What kept the closest approve rule from applying.")),
        ],
        &["wants", "expect"],
    )
}
