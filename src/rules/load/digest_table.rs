//! `[digest]`: what one file says of it.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::{
    blocks::{note_team, recipient},
    reader::{Reader, Value, shown},
    values,
};
use crate::rules::{
    diagnostic::{Code, Diagnostic},
    policy::{Detail, DigestBlock, Schedule},
    timetable::{self, Timetable},
};

pub(crate) fn digest(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    span: Range<usize>,
) -> Option<DigestBlock> {
    let (mut to, mut at, mut cron, mut zone) = (Vec::new(), None, None, None);
    let mut detail = Detail::default();
    let mut seen = Vec::new();
    let before = reader.diagnostics.len();
    let keys = ["to", "at", "cron", "timezone", "detail"];
    let is_table = reader.table(value, "digest", &keys, |reader, key, _, value| {
        let path = format!("digest.{key}");
        seen.push(key);
        match key {
            "to" => {
                for (text, span) in reader.one_or_more(value, &path) {
                    if recipient(text) {
                        note_team(reader, text, span);
                        to.push(text.to_owned());
                    } else {
                        let help = "`owners`, a team, or an address".to_owned();
                        reader.error_help(
                            Code::BadName,
                            span,
                            format!("`{}` cannot be a recipient", shown(text)),
                            Some(help),
                        );
                    }
                }
            }
            "at" => at = daily(reader, value, &path),
            "cron" => cron = schedule(reader, value, &path),
            "timezone" => zone = values::timezone(reader, value, &path).map(|(name, _)| name),
            _ => {
                let words = [("full", Detail::Full), ("minimal", Detail::Minimal)];
                if let Some(text) = reader.string(value, &path)
                    && let Some(word) = reader.word(text, value.span(), &path, &words)
                {
                    detail = word;
                }
            }
        }
    });
    if !is_table || reader.diagnostics.len() > before {
        return None;
    }
    if !seen.contains(&"to") {
        reader.missing(span.clone(), "`digest` has no `to`", "such as `to = [\"owners\"]`");
    }
    match (at, cron, zone) {
        (Some((minute, timezone)), None, None) => {
            Some(DigestBlock { to, schedule: Schedule::Daily { minute }, timezone, detail })
        }
        (None, Some(cron), Some(timezone)) => {
            Some(DigestBlock { to, schedule: Schedule::Cron(cron), timezone, detail })
        }
        (Some(_), ..) => {
            let message = "`digest.at` already says when and in which zone";
            reader.error(Code::BadValue, span, message);
            None
        }
        _ => {
            let help = "`at = \"08:00 Europe/Vienna\"`, or `cron` with `timezone`";
            reader.missing(span, "`digest` does not say when", help);
            None
        }
    }
}

fn daily(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<(u16, String)> {
    let text = reader.string(value, path)?;
    let parts = text.split_once(' ');
    let minute = parts.and_then(|(clock, _)| timetable::minute_of_day(clock));
    let Some((minute, (_, zone))) = minute.zip(parts) else {
        let help = "such as `at = \"08:00 Europe/Vienna\"`".to_owned();
        let message = format!("`{}` is not a time and a zone", shown(text));
        reader.error_help(Code::BadValue, value.span(), message, Some(help));
        return None;
    };
    values::zone(reader, zone, value.span()).map(|_| (minute, zone.to_owned()))
}

/// Five fields of cron; a minute and an hour that are one number each make it once a day at most.
fn schedule(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> Option<String> {
    let text = reader.string(value, path)?;
    let fields: Vec<_> = text.split_ascii_whitespace().collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/');
    if fields.len() != 5 || !fields.iter().all(|field| field.chars().all(plain)) {
        let help = "minute, hour, day of the month, month, day of the week, such as `0 8 * * 1-5`"
            .to_owned();
        reader.error_help(
            Code::BadValue,
            value.span(),
            format!("`{path}` must have the five fields of cron"),
            Some(help),
        );
        return None;
    }
    let number = |field: Option<&&str>, most: u8| {
        field.and_then(|f| f.parse::<u8>().ok()).is_some_and(|n| n <= most)
    };
    if !number(fields.first(), 59) || !number(fields.get(1), 23) {
        let mut diagnostic = Diagnostic::new(
            Code::TooOften,
            reader.place(value.span()),
            "a digest goes out at most once a day",
        );
        diagnostic.help = Some("give one minute and one hour, such as `0 8 * * 1-5`".to_owned());
        reader.report(diagnostic);
        return None;
    }
    if let Err(why) = Timetable::by_cron(text, TimeZone::UTC) {
        let help = "such as `0 8 * * 1-5`".to_owned();
        reader.error_help(Code::BadValue, value.span(), format!("`{path}`: {why}"), Some(help));
        return None;
    }
    Some(text.to_owned())
}
