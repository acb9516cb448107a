//! `[revoke.ID]` and `[waiver.ID]`: what one file says of each.

use std::ops::Range;

use jiff::{ToSpan, civil::Date};
use toml::de::DeValue;

use super::{
    conditions::{self, SELECTIONS},
    permissions,
    reader::{Reader, Value, entries, shown},
    rule_tables::check_id,
    values,
};
use crate::{
    domain::Login,
    rules::{
        diagnostic::{Code, Place},
        layer::Layer,
        policy::{Revocation, Waiver},
        rule::{Part, Verb},
    },
};

const EVENTS: &[(&str, &str)] = &[
    ("organization.member_removed", "organization.member_removed"),
    ("membership.removed", "membership.removed"),
];

pub(crate) fn revocation(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<Revocation> {
    check_id(reader, id, &span);
    let path = format!("revoke.{id}");
    let mut when = serde_json::Map::new();
    let mut on = Vec::new();
    let (mut grace, mut max_per_run, mut max_share) = (None, None, None);
    let mut seen = Vec::new();
    let keys = ["when", "on", "grace", "max_per_run", "max_share"];
    let is_table = reader.table(value, &path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        seen.push(key);
        match key {
            "when" => when = revocation_when(reader, value, &path),
            "on" => {
                on = values::words(reader, value, &path, EVENTS)
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
            }
            "grace" => grace = reader.span(value, &path),
            "max_per_run" => {
                max_per_run =
                    reader.integer(value, &path, 1..100_001).and_then(|n| u32::try_from(n).ok());
            }
            _ => max_share = share(reader, value, &path),
        }
    });
    if !is_table {
        return None;
    }
    if !seen.contains(&"when") && !seen.contains(&"on") {
        reader.missing(span.clone(), format!("`{path}` has neither `when` nor `on`"), "say which tokens: `when.unused_for = \"90d\"`, or `on = [\"organization.member_removed\"]`");
    }
    for (key, help) in [
        ("grace", "how long after the notice, such as `grace = \"14d\"`"),
        (
            "max_per_run",
            "above it nothing is revoked and the owners are asked, such as `max_per_run = 5`",
        ),
    ] {
        if !seen.contains(&key) {
            reader.missing(span.clone(), format!("`{path}` has no `{key}`"), help);
        }
    }
    Some(Revocation { when, on, grace: grace?, max_per_run: max_per_run?, max_share })
}

fn revocation_when(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> serde_json::Map<String, serde_json::Value> {
    let mut when = serde_json::Map::new();
    let keys = [
        "unused_for",
        "granted_for",
        "lifetime_over",
        "no_longer_covered",
        "owner",
        "repositories",
        "repository_selection",
    ];
    if entries(value).is_some_and(|table| table.is_empty()) {
        reader.error(Code::EmptyList, value.span(), format!("`{path}` selects nothing"));
    }
    let mut others = false;
    let is_table = reader.table(value, path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        match key {
            "unused_for" | "granted_for" | "lifetime_over" => {
                reader.days(value, &path);
            }
            "no_longer_covered" => {
                if reader.boolean(value, &path) == Some(false) {
                    let help = "leave the key out instead".to_owned();
                    reader.error_help(
                        Code::BadValue,
                        value.span(),
                        format!("`{path}` can only be true"),
                        Some(help),
                    );
                }
            }
            _ => others = true,
        }
        when.insert(key.to_owned(), json(value.get_ref()));
    });
    if is_table && others {
        // The conditions of rules, read as a deny rule's would be; what this block alone knows is known above.
        for key in ["owner", "repositories", "repository_selection"] {
            if let Some((span, value)) = entry(value, key) {
                conditions::read_one(reader, key, span, value, path, Part::When, Verb::Deny);
            }
        }
    }
    when
}

fn entry<'v, 'i>(value: &'v Value<'i>, name: &str) -> Option<(Range<usize>, &'v Value<'i>)> {
    let mut entries = entries(value)?.iter();
    entries.find(|(key, _)| &**key.get_ref() == name).map(|(key, value)| (key.span(), value))
}

fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => serde_json::Value::from(&**text),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().into()
        }
        DeValue::Float(number) => number.as_str().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(at) => at.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries =
                table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            serde_json::Value::Object(entries.collect())
        }
    }
}

fn share(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<u8> {
    let text = reader.string(value, path)?;
    let number = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
    let share = number.filter(|share| (1..=100).contains(share));
    if share.is_none() {
        let message = format!("`{path}` must be from \"1%\" to \"100%\"");
        reader.error(Code::BadValue, value.span(), message);
    }
    share
}

/// A waiver with the place of the rule it names.
#[derive(Debug)]
pub(crate) struct DraftWaiver {
    pub(crate) waiver: Waiver,
    pub(crate) layer: Layer,
    pub(crate) place: Place,
}

const MAX_WAIVER_DAYS: i32 = 180;

pub(crate) fn waiver(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<DraftWaiver> {
    check_id(reader, id, &span);
    let path = format!("waiver.{id}");
    let (mut rule, mut owner, mut record) = (None, None, None);
    let (mut granted, mut until): (Option<Date>, Option<(Date, Range<usize>)>) = (None, None);
    let (mut max_permissions, mut max_lifetime, mut max_selection) = (None, None, None);
    let mut seen = Vec::new();
    let keys = ["rule", "owner", "granted", "until", "record", "max"];
    let is_table = reader.table(value, &path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        seen.push(key);
        match key {
            "rule" => {
                rule = reader
                    .string(value, &path)
                    .map(|text| (text.to_owned(), reader.place(value.span())))
            }
            "owner" => owner = login(reader, value, &path),
            "granted" => granted = reader.date(value, &path),
            "until" => until = reader.date(value, &path).map(|date| (date, value.span())),
            "record" => record = reader.string(value, &path).map(str::to_owned),
            _ => {
                if entries(value).is_some_and(|table| table.is_empty()) {
                    let message = format!("`{path}` bounds nothing");
                    reader.error(Code::EmptyList, value.span(), message);
                }
                reader.table(
                    value,
                    &path,
                    &["permissions", "lifetime", "repository_selection"],
                    |reader, key, _, value| {
                        let path = format!("{path}.{key}");
                        match key {
                            "permissions" => {
                                max_permissions = Some(permissions::bound(reader, value, &path))
                            }
                            "lifetime" => max_lifetime = reader.days(value, &path),
                            _ => {
                                let word = reader.string(value, &path);
                                max_selection = word.and_then(|word| {
                                    reader.word(word, value.span(), &path, SELECTIONS)
                                });
                            }
                        }
                    },
                );
            }
        }
    });
    if !is_table {
        return None;
    }
    for key in ["rule", "owner", "granted", "until", "record", "max"] {
        if !seen.contains(&key) {
            let help =
                "a waiver names its rule, its owner, its days, its record, and the most it covers";
            reader.missing(span.clone(), format!("`{path}` has no `{key}`"), help);
        }
    }
    if let (Some(granted), Some((until, span))) = (granted, &until) {
        let last = granted.saturating_add(MAX_WAIVER_DAYS.days());
        if *until < granted {
            reader.error(Code::BadValue, span.clone(), "the waiver ends before it begins");
        } else if *until > last {
            let help = format!("at most until {last}");
            let message =
                format!("a waiver ends at most {MAX_WAIVER_DAYS} days after it was granted");
            reader.error_help(Code::WaiverTooLong, span.clone(), message, Some(help));
        }
    }
    let (rule, place) = rule?;
    let waiver = Waiver {
        rule,
        owner: owner?,
        granted: granted?,
        until: until?.0,
        record: record?,
        max_permissions,
        max_lifetime,
        max_repository_selection: max_selection,
    };
    Some(DraftWaiver { waiver, layer: reader.layer, place })
}

fn login(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Login> {
    let text = reader.string(value, path)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 100 && text.chars().all(fine) {
        return Some(Login::new(text));
    }
    let help = "a waiver is for one login, without globs".to_owned();
    reader.error_help(
        Code::BadName,
        value.span(),
        format!("`{}` is not a login", shown(text)),
        Some(help),
    );
    None
}
