//! Values that conditions and blocks share: bounds, words, teams, globs, regexes, zones and windows.

use std::{collections::BTreeMap, ops::Range};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use toml::de::DeValue;

use super::{
    nearest::nearest,
    reader::{Reader, Value, entries, shown, suggestion},
};
use crate::{
    domain::TeamRef,
    rules::{
        condition::{AtLeastWithin, PropertyTest},
        diagnostic::{Code, Diagnostic},
        names::Name,
        pattern::{Patterns, TextPattern},
        quantity::Bounds,
        window::{self, WEEKDAYS, Window},
    },
};

/// Reads a table of operators; another key, or no table at all, is an operator this condition lacks.
pub(crate) fn operators<'v, 'i>(
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

pub(crate) fn bounds(
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

/// Reads `{ at_least = 3, within = "1d" }`: both are needed.
pub(crate) fn at_least_within(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> Option<AtLeastWithin> {
    let (mut at_least, mut within) = (None, None);
    let before = reader.diagnostics.len();
    operators(reader, value, path, &["at_least", "within"], |reader, operator, value| {
        let path = format!("{path}.{operator}");
        if operator == "at_least" {
            at_least = reader.integer(value, &path, 1..1_000_001);
        } else {
            within = reader.positive_span(value, &path);
        }
    });
    if (at_least.is_none() || within.is_none()) && reader.diagnostics.len() == before {
        let message = format!("`{path}` needs `at_least` and `within`");
        let help = format!("such as `{path} = {{ at_least = 5, within = \"1d\" }}`");
        reader.missing(value.span(), message, &help);
    }
    Some(AtLeastWithin { at_least: at_least?, within: within? })
}

/// Reads `custom_properties`: by name, a list of values or `is_set`.
pub(crate) fn custom_properties(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> BTreeMap<String, PropertyTest> {
    let mut tests = BTreeMap::new();
    if entries(value).is_some_and(|table| table.is_empty()) {
        reader.error(Code::EmptyList, value.span(), format!("`{path}` asks for nothing"));
    }
    reader.named(value, path, |reader, name, span, value| {
        let path = format!("{path}.{}", shown(name));
        // Source: <https://docs.github.com/organizations/managing-organization-settings/managing-custom-properties-for-repositories-in-your-organization>.
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$' | '#');
        if name.is_empty() || name.len() > 75 || !name.chars().all(fine) {
            let message = format!("`{}` cannot be the name of a custom property", shown(name));
            return reader.error(Code::BadName, span, message);
        }
        let test = match value.get_ref() {
            DeValue::Table(_) => {
                let mut test = None;
                operators(reader, value, &path, &["is_set"], |reader, operator, value| {
                    let path = format!("{path}.{operator}");
                    test = reader.boolean(value, &path).map(PropertyTest::IsSet);
                });
                test
            }
            DeValue::Boolean(yes) => {
                let help = format!("GitHub keeps it as text: `{path} = [\"{yes}\"]`");
                let message = format!("`{path}` is a list of values, or a table with `is_set`");
                return reader.error_help(Code::WrongType, value.span(), message, Some(help));
            }
            _ => {
                let values = reader.strings(value, &path);
                let values = values.into_iter().map(|(value, _)| value.to_owned());
                Some(PropertyTest::AnyOf(values.collect()))
            }
        };
        reader.note(Name::Property(name.to_owned()), span.clone());
        if let Some(test) = test
            && tests.insert(name.to_ascii_lowercase(), test).is_some()
        {
            let message = format!("`{path}` is asked twice: names of properties ignore case");
            reader.error(Code::BadName, span, message);
        }
    });
    tests
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

/// A list of teams that rules mean: somebody may want to know whether they are there.
pub(crate) fn named_teams(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Vec<TeamRef> {
    let teams = teams(reader, value, path);
    for (team, span) in &teams {
        reader.note(Name::Team(team.clone()), span.clone());
    }
    teams.into_iter().map(|(team, _)| team).collect()
}

/// A list of teams, each with its span.
pub(crate) fn teams(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> Vec<(TeamRef, Range<usize>)> {
    let mut teams = Vec::new();
    for (text, span) in reader.strings(value, path) {
        match TeamRef::parse(text) {
            Ok(_) if text.contains('@') => {
                let help = format!("write `{}`", text.trim_start_matches('@'));
                let message = format!("`{}` is how mentions are written", shown(text));
                reader.error_help(Code::BadName, span, message, Some(help));
            }
            Ok(team) if !text.contains(['*', '?', ' ']) => teams.push((team, span)),
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

/// A list of names with `*` and `?`. `named`: what the name of one thing is the name of, where somebody may want to know
/// whether it is there.
pub(crate) fn globs(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    named: Option<fn(&str) -> Name>,
) -> Option<Patterns> {
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
            if let Some(named) = named.filter(|_| !text.contains(['*', '?'])) {
                reader.note(named(text), span);
            }
            globs.push(text.to_owned());
        }
    }
    (!globs.is_empty()).then(|| Patterns::new(globs))
}

/// All regular expressions of a policy, compiled, in bytes.
const MAX_PATTERN_BYTES: usize = 16 * 1024 * 1024;

pub(crate) fn regex(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
    compile: impl Fn(&str) -> Result<TextPattern, String>,
) -> Option<TextPattern> {
    let text = reader.string(value, path)?;
    match compile(text) {
        Ok(pattern) => {
            reader.pattern_bytes += pattern.size();
            if reader.pattern_bytes <= MAX_PATTERN_BYTES {
                return Some(pattern);
            }
            // Told once; the others are not kept.
            if reader.pattern_bytes - pattern.size() <= MAX_PATTERN_BYTES {
                let message = "the regular expressions so far take more than 16 MB, compiled";
                reader.error(Code::TooLarge, value.span(), message);
            }
            None
        }
        Err(why) => {
            let message = format!("`{path}` is not a regular expression that can be used: {why}");
            reader.error(Code::BadPattern, value.span(), message);
            None
        }
    }
}

/// Reads `clock = { … }`.
pub(crate) fn clock(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<Window> {
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

/// Reads the name of a time zone.
pub(crate) fn timezone(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    path: &str,
) -> Option<(String, TimeZone)> {
    let text = reader.string(value, path)?;
    zone(reader, text, value.span()).map(|zone| (text.to_owned(), zone))
}

/// The zone of this name. Zones come with the program, so that a file means the same everywhere.
pub(crate) fn zone(reader: &mut Reader<'_>, name: &str, span: Range<usize>) -> Option<TimeZone> {
    let zones = TimeZoneDatabase::bundled();
    let zone = zones.get(name).ok();
    if zone.is_none() && !reader.is_full() {
        let known: Vec<_> = zones.available().map(|zone| zone.to_string()).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        let help = near.map(|zone| format!("did you mean `{zone}`?"));
        let message = format!("there is no time zone `{}`", shown(name));
        reader.error_help(Code::BadName, span, message, help);
    }
    zone
}
