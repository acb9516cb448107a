//! Reading TOML values of the kinds that rule files use, with a diagnostic for every other kind.

use std::ops::Range;

use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{SourceFile, nearest::nearest};
use crate::rules::{
    diagnostic::{Code, Diagnostic, Lines, Place},
    layer::Layer,
    names::{MOST_NAMES, Name},
    quantity::{self, Span},
};

pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// More problems than this in one file help nobody.
const MAX_DIAGNOSTICS: usize = 200;

/// Keys that stand at the head of a file, above every table.
const HEAD: &[&str] = &["schema", "layer", "mode"];

/// One file being read, and what was found wrong with it.
pub(crate) struct Reader<'s> {
    pub(crate) file: &'s SourceFile,
    /// Whose file it is.
    pub(crate) layer: Layer,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Every group of reviewers that is named, also by a table that is wrong in another part.
    pub(crate) named_groups: Vec<(String, Place)>,
    /// What is named that only GitHub can tell is there.
    pub(crate) names: Vec<(Name, Range<usize>)>,
    /// What the regular expressions read so far take, compiled, those of the files before included.
    pub(crate) pattern_bytes: usize,
    lines: Lines,
    /// The tables that enclose what is being read, with the keys each may have.
    scopes: Vec<(String, Vec<&'static str>)>,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(file: &'s SourceFile, layer: Layer) -> Self {
        Self {
            file,
            layer,
            diagnostics: Vec::new(),
            pattern_bytes: 0,
            lines: Lines::of(&file.text),
            named_groups: Vec::new(),
            names: Vec::new(),
            scopes: Vec::new(),
        }
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        Place::find(&self.file.name, &self.file.text, &self.lines, span)
    }

    /// Whether further problems are not kept: then nobody needs to look for a nearest word.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// Notes a name. Of very many, the first: more than that is nobody's policy.
    pub(crate) fn note(&mut self, name: Name, span: Range<usize>) {
        if self.names.len() <= MOST_NAMES {
            self.names.push((name, span));
        }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        } else if diagnostic.is_error()
            && let Some(doubt) = self.diagnostics.iter_mut().rev().find(|d| !d.is_error())
        {
            // An error must not be lost among doubts: what is wrong in one part would be in force without it.
            *doubt = diagnostic;
        }
    }

    pub(crate) fn error(&mut self, code: Code, span: Range<usize>, message: impl Into<String>) {
        let place = self.place(span);
        self.report(Diagnostic::new(code, place, message));
    }

    pub(crate) fn error_help(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let mut diagnostic = Diagnostic::new(code, self.place(span), message);
        diagnostic.help = help;
        self.report(diagnostic);
    }

    /// Reads a table: each key that `keys` names goes to `read`; any other is reported.
    pub(crate) fn table<'v, 'i>(
        &mut self,
        value: &'v Value<'i>,
        path: &str,
        keys: &[&'static str],
        mut read: impl FnMut(&mut Self, &'static str, Range<usize>, &'v Value<'i>),
    ) -> bool {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, path, "a table");
            return false;
        };
        self.scopes.push((path.to_owned(), keys.to_vec()));
        for (key, value) in table {
            let name: &str = key.get_ref();
            match keys.iter().find(|known| **known == name) {
                Some(known) => read(self, known, key.span(), value),
                None => self.unknown_key(name, key.span(), path),
            }
        }
        self.scopes.pop();
        true
    }

    /// Reads a table whose keys are names that the author chose.
    pub(crate) fn named<'v, 'i>(
        &mut self,
        value: &'v Value<'i>,
        path: &str,
        mut read: impl FnMut(&mut Self, &'v str, Range<usize>, &'v Value<'i>),
    ) {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, path, "a table");
            return;
        };
        for (key, value) in table {
            read(self, key.get_ref(), key.span(), value);
        }
    }

    pub(crate) fn enter(&mut self, path: &str, keys: &[&'static str]) {
        self.scopes.push((path.to_owned(), keys.to_vec()));
    }

    pub(crate) fn leave(&mut self) {
        self.scopes.pop();
    }

    /// A key that means nothing here; if it would mean something in an enclosing table, that is said.
    pub(crate) fn unknown_key(&mut self, name: &str, span: Range<usize>, path: &str) {
        let outer = self.scopes.iter().rev().skip(1).find(|(_, keys)| keys.contains(&name));
        let outer = outer.map(|(path, _)| path.clone());
        let shown = shown(name);
        if path.is_empty() {
            let known = self.scopes.last().map(|(_, keys)| keys.clone()).unwrap_or_default();
            let help = if self.is_full() { None } else { suggestion(name, &known) };
            let file = if known.contains(&"wants") {
                "the description of a request"
            } else {
                "a rule file"
            };
            self.error_help(Code::UnknownKey, span, format!("{file} has no `{shown}`"), help);
        } else if HEAD.contains(&name) {
            let help = format!("move `{shown}` to the top of the file, above the first [table]");
            let message =
                format!("`{shown}` belongs to the whole file, and here it is part of `{path}`");
            self.error_help(Code::KeyBelowHeader, span, message, Some(help));
        } else if let Some(outer) = outer.filter(|outer| !outer.is_empty()) {
            let message =
                format!("`{shown}` belongs to `{outer}`, and here it is part of `{path}`");
            let help = format!("move it up, to the keys directly below [{outer}]");
            self.error_help(Code::KeyBelowHeader, span, message, Some(help));
        } else {
            let known = self.scopes.last().map(|(_, keys)| keys.clone()).unwrap_or_default();
            let help = if self.is_full() { None } else { suggestion(name, &known) };
            self.error_help(Code::UnknownKey, span, format!("`{path}` has no `{shown}`"), help);
        }
    }

    pub(crate) fn missing(&mut self, span: Range<usize>, message: impl Into<String>, help: &str) {
        self.error_help(Code::MissingKey, span, message, Some(help.to_owned()));
    }

    pub(crate) fn wrong_type(&mut self, value: &Value<'_>, path: &str, wanted: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{path}` must be {wanted}, and is {found}");
        self.error(Code::WrongType, value.span(), message);
    }

    pub(crate) fn string<'v>(&mut self, value: &'v Value<'_>, path: &str) -> Option<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong_type(value, path, "a string");
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, value: &Value<'_>, path: &str) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(yes) => Some(*yes),
            _ => {
                self.wrong_type(value, path, "true or false");
                None
            }
        }
    }

    pub(crate) fn integer(
        &mut self,
        value: &Value<'_>,
        path: &str,
        range: Range<i64>,
    ) -> Option<i64> {
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(value, path, "a whole number");
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let message = format!(
                    "`{path}` must be from {} to {}",
                    range.start,
                    range.end.saturating_sub(1)
                );
                self.error(Code::BadValue, value.span(), message);
                None
            }
        }
    }

    pub(crate) fn days(&mut self, value: &Value<'_>, path: &str) -> Option<i64> {
        if matches!(value.get_ref(), DeValue::Integer(_)) {
            self.wrong_type(value, path, "a string with its unit, such as \"90d\"");
            return None;
        }
        let text = self.string(value, path)?;
        let days = quantity::days(text);
        self.duration(days, text, value)
    }

    pub(crate) fn span(&mut self, value: &Value<'_>, path: &str) -> Option<Span> {
        let text = self.string(value, path)?;
        let span = quantity::span(text);
        self.duration(span, text, value)
    }

    pub(crate) fn positive_span(&mut self, value: &Value<'_>, path: &str) -> Option<Span> {
        let span = self.span(value, path)?;
        self.longer_than_nothing(span, span.seconds(), value, path)
    }

    pub(crate) fn positive_days(&mut self, value: &Value<'_>, path: &str) -> Option<i64> {
        let days = self.days(value, path)?;
        self.longer_than_nothing(days, days, value, path)
    }

    fn longer_than_nothing<T>(
        &mut self,
        read: T,
        length: i64,
        value: &Value<'_>,
        path: &str,
    ) -> Option<T> {
        if length > 0 {
            return Some(read);
        }
        let message = format!("`{path}` must be longer than nothing");
        self.error(Code::BadDuration, value.span(), message);
        None
    }

    fn duration<T>(&mut self, read: Result<T, String>, text: &str, value: &Value<'_>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(help) => {
                let message = format!("`{}` is not a duration here", shown(text));
                self.error_help(Code::BadDuration, value.span(), message, Some(help));
                None
            }
        }
    }

    pub(crate) fn date(&mut self, value: &Value<'_>, path: &str) -> Option<Date> {
        let date = match value.get_ref() {
            DeValue::Datetime(at) if at.time.is_none() && at.offset.is_none() => at.date,
            _ => None,
        };
        let civil = date.and_then(|date| {
            let number = |n: u8| i8::try_from(n).ok();
            Date::new(i16::try_from(date.year).ok()?, number(date.month)?, number(date.day)?).ok()
        });
        if civil.is_none() {
            self.wrong_type(value, path, "a date without a time, such as 2026-12-15");
        }
        civil
    }

    /// A list of strings that is not empty, each with its span.
    pub(crate) fn strings<'v>(
        &mut self,
        value: &'v Value<'_>,
        path: &str,
    ) -> Vec<(&'v str, Range<usize>)> {
        let DeValue::Array(items) = value.get_ref() else {
            let wanted = match value.get_ref() {
                DeValue::String(text) => {
                    format!("a list of strings, such as [\"{}\"]", shown(text))
                }
                _ => "a list of strings".to_owned(),
            };
            self.wrong_type(value, path, &wanted);
            return Vec::new();
        };
        if items.is_empty() {
            let message = format!("`{path}` is an empty list, of which nothing can be any");
            self.error(Code::EmptyList, value.span(), message);
        }
        let mut strings = Vec::new();
        for item in items.iter() {
            if let Some(text) = self.string(item, path) {
                strings.push((text, item.span()));
            }
        }
        strings
    }

    /// One string, or a list of them.
    pub(crate) fn one_or_more<'v>(
        &mut self,
        value: &'v Value<'_>,
        path: &str,
    ) -> Vec<(&'v str, Range<usize>)> {
        match value.get_ref() {
            DeValue::String(text) => vec![(&**text, value.span())],
            DeValue::Array(_) => self.strings(value, path),
            _ => {
                self.wrong_type(value, path, "a string or a list of strings");
                Vec::new()
            }
        }
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        text: &str,
        span: Range<usize>,
        path: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let help = suggestion(text, &known);
        self.error_help(
            Code::BadValue,
            span,
            format!("`{path}` cannot be `{}`", shown(text)),
            help,
        );
        None
    }
}

/// A table's entries, or none.
pub(crate) fn entries<'v, 'i>(value: &'v Value<'i>) -> Option<&'v DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// The nearest right word, or the whole choice where it is short.
pub(crate) fn suggestion(wrong: &str, known: &[&str]) -> Option<String> {
    if let Some(word) = nearest(wrong, known.iter().copied()) {
        return Some(format!("did you mean `{word}`?"));
    }
    (!known.is_empty() && known.len() <= 16).then(|| format!("possible: {}", known.join(", ")))
}

/// A word from the file, short enough for a sentence.
pub(crate) fn shown(text: &str) -> String {
    crate::domain::cut(text, 60)
}
