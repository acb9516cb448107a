//! From files to a policy, or to every reason why not: pure, offline, without a clock.

mod blocks;
pub(crate) mod conditions;
mod digest_table;
mod draft;
mod lints;
pub(crate) mod nearest;
mod permissions;
pub(crate) mod reader;
mod revocation_tables;
mod rule_tables;
pub(crate) mod values;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use self::{draft::Draft, reader::Reader};
use super::{
    cases::{self, Case},
    diagnostic::{Code, Diagnostic, Lines, Place},
    policy::Policy,
};

pub use conditions::VOCABULARY;

/// One file of rules or tests: its name, for people, and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Shown with every diagnostic. A name that ends in `.tests.toml` holds tests only.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file of this name with this text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Whether it holds tests only.
    #[must_use]
    pub fn is_tests(&self) -> bool {
        self.name.ends_with(".tests.toml")
    }
}

/// What came of loading.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The policy; absent when there is any error.
    pub policy: Option<Policy>,
    /// Everything that is wrong or doubtful, in order of file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// The policy even if only its own cases fail, so that they can be explained.
    pub(crate) compiled: Option<Policy>,
    pub(crate) cases: Vec<Case>,
}

impl Loaded {
    /// Whether there is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 1024 * 1024;
/// The most files of one layer.
pub const MAX_FILES: usize = 1_000;
/// The most rules of one policy.
pub const MAX_RULES: usize = 10_000;

/// The most cases of one policy: all of them are judged before it is in force.
pub const MAX_CASES: usize = 2_000;

/// Loads one layer: one file, or several that count as one.
#[must_use]
pub fn load(files: &[SourceFile]) -> Loaded {
    let mut draft = Draft::default();
    let mut diagnostics = Vec::new();
    if let Some(extra) = files.get(MAX_FILES) {
        let message = format!("there are more than {MAX_FILES} files");
        diagnostics.push(Diagnostic::new(Code::TooLarge, Place::start(&extra.name), message));
    }
    for file in files.iter().take(MAX_FILES) {
        diagnostics.extend(read(file, &mut draft));
    }
    let mut cases = std::mem::take(&mut draft.cases);
    if cases.len() > MAX_CASES {
        let place = Place::start(files.first().map_or("rules", |file| file.name.as_str()));
        let message = format!("there are {} cases; the limit is {MAX_CASES}", cases.len());
        diagnostics.push(Diagnostic::new(Code::TooLarge, place, message));
        cases.truncate(MAX_CASES);
    }
    let compiled = draft.finish(files, &mut diagnostics);
    let compiled = compiled.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    if let Some(policy) = &compiled {
        let outcomes = cases::outcomes(policy, &cases);
        diagnostics.extend(outcomes.iter().filter_map(cases::Outcome::diagnostic));
        diagnostics.extend(lints::untested(policy, &outcomes));
    }
    let place = |d: &Diagnostic| (d.place.file.clone(), d.place.line, d.place.column, d.code);
    diagnostics.sort_by_cached_key(place);
    let policy = compiled.clone().filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Loaded { policy, diagnostics, compiled, cases }
}

fn read(file: &SourceFile, draft: &mut Draft) -> Vec<Diagnostic> {
    if file.text.len() > MAX_FILE {
        let message = format!("the file has {} bytes; the limit is {MAX_FILE}", file.text.len());
        return vec![Diagnostic::new(Code::TooLarge, Place::start(&file.name), message)];
    }
    let (table, errors) = parse(file);
    let mut reader = Reader::new(file);
    draft.read(&mut reader, &table);
    if errors.is_empty() {
        return reader.diagnostics;
    }
    // What follows from a syntax error is noise: whatever is missing may stand in the part that was not
    // understood, and a line that is not TOML says nothing more.
    let lines: BTreeSet<usize> = errors.iter().map(|error| error.place.line).collect();
    let follows = |d: &Diagnostic| {
        matches!(d.code, Code::MissingKey | Code::UnsupportedSchema | Code::EmptyWhen)
            || lines.contains(&d.place.line)
    };
    let mut diagnostics = errors;
    diagnostics.extend(reader.diagnostics.into_iter().filter(|d| !follows(d)));
    diagnostics
}

/// Parses as much as can be parsed; of several syntax errors in one line, the first.
pub(crate) fn parse(file: &SourceFile) -> (toml::Spanned<DeTable<'_>>, Vec<Diagnostic>) {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let index = Lines::of(&file.text);
    let mut lines = BTreeSet::new();
    let mut diagnostics = Vec::new();
    for error in errors {
        let place = error.span().map_or_else(
            || Place::start(&file.name),
            |span| Place::find(&file.name, &file.text, &index, span),
        );
        if lines.insert(place.line) {
            diagnostics.push(Diagnostic::new(Code::Syntax, place, error.message()));
        }
    }
    diagnostics.truncate(100);
    (table, diagnostics)
}
