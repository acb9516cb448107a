//! `[revoke.ID]` and `[waiver.ID]`: what one file says of each.

use std::ops::Range;

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
        names::Name,
        policy::Waiver,
        revocation::{Departure, Revocation, When},
    },
};
use jiff::{ToSpan, civil::Date};

/// Every key that `when` of a standing policy knows, its value, and what it asks.
pub const REVOCATION_VOCABULARY: &[(&str, &str, &str)] = &[
    (
        "when.unused_for",
        "whole days",
        "at least so long since the last use after it was granted; never used since: since it was granted",
    ),
    ("when.granted_for", "whole days", "at least so long since it was granted"),
    ("when.lifetime_over", "whole days", "a longer lifetime than this, or none that ends"),
    (
        "when.no_longer_covered",
        "true",
        "approved by a rule, and today every approve rule is known not to let it through",
    ),
    ("when.owner", "as above", "what rules ask of the owner"),
    ("when.repositories", "as above", "what rules ask of the repositories"),
    ("when.repository_selection", "list", "`none`, `all` or `subset`"),
    (
        "on",
        "list",
        "the owner left since it was granted, and is not back: the organization (`organization.member_removed`), a team (`membership.removed`)",
    ),
];

pub(crate) fn revocation(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<Revocation> {
    let errors = |reader: &Reader<'_>| reader.diagnostics.iter().filter(|d| d.is_error()).count();
    let before = errors(reader);
    check_id(reader, id, &span);
    let path = format!("revoke.{id}");
    let (mut when, mut on) = (When::default(), Vec::new());
    let (mut grace, mut max_per_run, mut max_share) = (None, None, None);
    let mut seen = Vec::new();
    let keys = ["when", "on", "grace", "max_per_run", "max_share"];
    let is_table = reader.table(value, &path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        seen.push(key);
        match key {
            "when" => when = revocation_when(reader, value, &path),
            "on" => {
                let events = Departure::ALL.map(|departure| (departure.as_str(), departure));
                on = values::words(reader, value, &path, &events);
                on.sort_unstable();
                on.dedup();
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
    // A question that could not be read is one less that narrows: what is left would select more than was meant.
    if errors(reader) > before {
        return None;
    }
    Some(Revocation { when, on, grace: grace?, max_per_run: max_per_run?, max_share })
}

fn revocation_when(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> When {
    let mut when = When::default();
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
    let mut checks = Vec::new();
    reader.table(value, path, &keys, |reader, key, span, value| {
        let at = format!("{path}.{key}");
        match key {
            // Nothing and more is every token: that is no policy but a slip.
            "unused_for" => when.unused_for = reader.positive_days(value, &at),
            "granted_for" => when.granted_for = reader.positive_days(value, &at),
            "lifetime_over" => when.lifetime_over = reader.positive_days(value, &at),
            "no_longer_covered" => {
                let said = reader.boolean(value, &at);
                when.no_longer_covered = said == Some(true);
                if said == Some(false) {
                    let help = "leave the key out instead".to_owned();
                    let message = format!("`{at}` can only be true");
                    reader.error_help(Code::BadValue, value.span(), message, Some(help));
                }
            }
            _ => {
                let read = conditions::read_one(reader, key, span, value, path);
                checks.extend(read.into_iter().map(|placed| placed.check));
            }
        }
    });
    checks.sort_by(|a, b| (a.condition.cost(), &a.key).cmp(&(b.condition.cost(), &b.key)));
    When { checks, ..when }
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
    /// Where it says when it begins.
    pub(crate) granted: Place,
}

/// The most days that a waiver lasts.
pub(crate) const MAX_WAIVER_DAYS: i32 = 180;

pub(crate) fn waiver(
    reader: &mut Reader<'_>,
    id: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<DraftWaiver> {
    check_id(reader, id, &span);
    let path = format!("waiver.{id}");
    let (mut rule, mut owner, mut record) = (None, None, None);
    let mut granted: Option<(Date, Place)> = None;
    let mut until: Option<(Date, Range<usize>)> = None;
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
            "granted" => {
                granted = reader.date(value, &path).map(|date| (date, reader.place(value.span())));
            }
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
    if let (Some((granted, _)), Some((until, span))) = (&granted, &until) {
        let last = granted.saturating_add(MAX_WAIVER_DAYS.days());
        if until < granted {
            reader.error(Code::BadValue, span.clone(), "the waiver ends before it begins");
        } else if *until > last {
            let help = format!("at most until {last}");
            let message =
                format!("a waiver ends at most {MAX_WAIVER_DAYS} days after it was granted");
            reader.error_help(Code::WaiverTooLong, span.clone(), message, Some(help));
        }
    }
    let (rule, place) = rule?;
    let (granted, granted_place) = granted?;
    let waiver = Waiver {
        rule,
        owner: owner?,
        granted,
        until: until?.0,
        record: record?,
        max_permissions,
        max_lifetime,
        max_repository_selection: max_selection,
    };
    Some(DraftWaiver { waiver, layer: reader.layer, place, granted: granted_place })
}

fn login(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Login> {
    let text = reader.string(value, path)?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 100 && text.chars().all(fine) {
        reader.note(Name::login(text), value.span());
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
