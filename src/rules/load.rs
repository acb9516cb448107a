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
pub(crate) mod syntax;
pub(crate) mod values;

use std::{collections::BTreeSet, ops::Range};

use self::{draft::Draft, reader::Reader};
use super::{
    cases::Case,
    diagnostic::{Code, Diagnostic, Place, Severity},
    layer::Layer,
    names::{MOST_NAMES, Name, Named},
    policy::Policy,
};
use crate::domain::many;
use serde::{Deserialize, Serialize};

pub use conditions::VOCABULARY;
pub use revocation_tables::REVOCATION_VOCABULARY;

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

    /// Its name up to the ending: the same for a file of rules and the one with its tests.
    fn stem(&self) -> String {
        let name = self.name.strip_suffix(".tests.toml");
        name.or_else(|| self.name.strip_suffix(".toml")).unwrap_or(&self.name).to_owned()
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
    pub(crate) compiled: Option<Compiled>,
    pub(crate) cases: Vec<Case>,
    pub(crate) named: Vec<Named>,
    pub(crate) files: Vec<SourceFile>,
}

impl Loaded {
    /// What the files name that only GitHub can tell is there, in order of file and place: the first [`MOST_NAMES`], and
    /// one more where there are more.
    #[must_use]
    pub fn named(&self) -> &[Named] {
        &self.named
    }

    /// Whether no layer with files stands below this one.
    pub(crate) fn is_lowest(&self, layer: Layer) -> bool {
        let both = self.compiled.as_ref().is_some_and(|compiled| compiled.enterprise.is_some());
        !both || layer == Layer::Organization
    }

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
/// All files together, in bytes.
pub const MAX_TOTAL: usize = 16 * 1024 * 1024;
/// The most that is told of what is wrong.
const MAX_DIAGNOSTICS: usize = 2_000;
/// The most rules of one policy.
pub const MAX_RULES: usize = 10_000;

/// Rules times cases of one policy: all of them are judged before it is in force.
const MAX_JUDGED: usize = 2_000_000;

/// The most cases of one policy: all of them are judged before it is in force.
pub const MAX_CASES: usize = 2_000;

/// Whether a lower layer's files are new, which decides who is to blame when the layers contradict each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// They are being changed, or nobody knows: what contradicts an upper layer is their error.
    #[default]
    New,
    /// They were in force before, under an upper layer that has changed since. What it made impossible is left out
    /// with a warning, so that one change above does not take the policies of all organizations out of force.
    Before,
}

/// The files that make one organization's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The enterprise's; none where there is no such layer. Each says `layer = "enterprise"`.
    pub enterprise: Vec<SourceFile>,
    /// The organization's.
    pub organization: Vec<SourceFile>,
    /// Whether the organization's files were in force before.
    pub standing: Standing,
}

impl Sources {
    /// Files of one organization, without an enterprise above it.
    #[must_use]
    pub fn of_organization(organization: Vec<SourceFile>) -> Self {
        Self { organization, ..Self::default() }
    }

    /// Files that lie beside each other, each taken for what its head says it is: for a command that was given a
    /// directory. What is in force is never found out like this: there, the operator says which file is whose.
    #[must_use]
    pub fn by_head(files: Vec<SourceFile>) -> Self {
        let says_enterprise = |file: &SourceFile| {
            let table = syntax::table(&file.text);
            let layer = table.get_ref().iter().find(|(key, _)| &**key.get_ref() == "layer");
            layer.is_some_and(|(_, value)| value.get_ref().as_str() == Some("enterprise"))
        };
        let heads: BTreeSet<String> =
            files.iter().filter(|file| says_enterprise(file)).map(SourceFile::stem).collect();
        // Cases go with the file they stand beside.
        let (enterprise, organization) =
            files.into_iter().partition(|file| heads.contains(&file.stem()));
        Self { enterprise, organization, ..Self::default() }
    }

    /// All files, those of the uppermost layer first.
    pub fn files(&self) -> impl Iterator<Item = (Layer, &SourceFile)> {
        let enterprise = self.enterprise.iter().map(|file| (Layer::Enterprise, file));
        enterprise.chain(self.organization.iter().map(|file| (Layer::Organization, file)))
    }
}

/// Loads files that lie beside each other: see [`Sources::by_head`].
#[must_use]
pub fn load(files: &[SourceFile]) -> Loaded {
    load_layers(&Sources::by_head(files.to_vec()))
}

/// Loads the files of all layers.
#[must_use]
pub fn load_layers(sources: &Sources) -> Loaded {
    let mut draft = Draft::new(sources.standing);
    let mut diagnostics = Vec::new();
    let files: Vec<SourceFile> = sources.files().map(|(_, file)| file.clone()).collect();
    if let Some(extra) = files.get(MAX_FILES) {
        let message = format!("there are more than {MAX_FILES} files");
        diagnostics.push(Diagnostic::new(Code::TooLarge, Place::start(&extra.name), message));
    }
    let mut bytes = 0;
    let mut named = Vec::new();
    for (index, (layer, file)) in sources.files().take(MAX_FILES).enumerate() {
        bytes += file.text.len();
        if bytes > MAX_TOTAL {
            let message = format!("all files together have more than {MAX_TOTAL} bytes");
            diagnostics.push(Diagnostic::new(Code::TooLarge, Place::start(&file.name), message));
            break;
        }
        let read = read(file, layer, &mut draft);
        diagnostics.extend(read.diagnostics);
        let names = read.names.into_iter();
        named.extend(names.map(|(name, span)| Named { name, file: index, span }));
        named.truncate(MOST_NAMES + 1);
    }
    let mut cases = std::mem::take(&mut draft.cases);
    if cases.len() > MAX_CASES {
        let place = Place::start(files.first().map_or("rules", |file| file.name.as_str()));
        let message = format!("there are {} cases; the limit is {MAX_CASES}", cases.len());
        diagnostics.push(Diagnostic::new(Code::TooLarge, place, message));
        cases.truncate(MAX_CASES);
    }
    let of_files = diagnostics.len();
    draft.check(&files, &mut diagnostics);
    if diagnostics.iter().any(|diagnostic| diagnostic.code == Code::Syntax) {
        let mut of_all = diagnostics.split_off(of_files);
        // Of placeholders it is the ceiling here that is missing.
        of_all.retain(|it| !may_follow_from_syntax(it) && it.code != Code::UnknownPlaceholder);
        diagnostics.append(&mut of_all);
    }
    if draft.rules.len() * cases.len() > MAX_JUDGED {
        let place = Place::start(files.first().map_or("rules", |file| file.name.as_str()));
        let (rules, cases) = (draft.rules.len(), cases.len());
        let message = format!(
            "{} on {} are more than anybody waits for",
            many(cases, "case"),
            many(rules, "rule")
        );
        let help = format!("rules times cases: at most {MAX_JUDGED}");
        diagnostics.push(Diagnostic::new(Code::TooLarge, place, message).help(help));
    }
    let valid = !diagnostics.iter().any(Diagnostic::is_error);
    let compiled = if valid { draft.compile(sources) } else { None };
    if let Some(compiled) = &compiled {
        let outcomes = compiled.outcomes(&cases);
        diagnostics
            .extend(outcomes.iter().filter_map(|outcome| outcome.diagnostic(sources.standing)));
        diagnostics.extend(lints::untested(&compiled.policy, &outcomes));
    }
    let place = |d: &Diagnostic| (d.place.file.clone(), d.place.line, d.place.column, d.code);
    diagnostics.sort_by_cached_key(place);
    // Of very many the errors first: an error must not be lost among warnings.
    if diagnostics.len() > MAX_DIAGNOSTICS {
        diagnostics.sort_by_key(|diagnostic| !diagnostic.is_error());
        diagnostics.truncate(MAX_DIAGNOSTICS);
    }
    let policy = compiled.as_ref().map(|compiled| compiled.policy.clone());
    let policy = policy.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Loaded { policy, diagnostics, compiled, cases, named, files }
}

/// What the files compile to, their own cases aside.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    /// What all layers say together.
    pub(crate) policy: Policy,
    /// What the enterprise says alone, where an organization's files stand below: its cases are judged by this, for
    /// they are about what it says and not about what others add to it.
    pub(crate) enterprise: Option<Policy>,
}

impl Compiled {
    /// The policy that a case of this layer's files is judged by.
    pub(crate) fn of(&self, layer: Layer) -> &Policy {
        match layer {
            Layer::Enterprise => self.enterprise.as_ref().unwrap_or(&self.policy),
            Layer::Organization => &self.policy,
        }
    }
}

/// What reading one file came to, apart from what the draft took in.
#[derive(Default)]
struct FileRead {
    diagnostics: Vec<Diagnostic>,
    names: Vec<(Name, Range<usize>)>,
}

fn read(file: &SourceFile, layer: Layer, draft: &mut Draft) -> FileRead {
    if file.text.len() > MAX_FILE {
        let message = format!("the file has {} bytes; the limit is {MAX_FILE}", file.text.len());
        let problem = Diagnostic::new(Code::TooLarge, Place::start(&file.name), message);
        return FileRead { diagnostics: vec![problem], ..FileRead::default() };
    }
    let mended = syntax::mend(file);
    let table = syntax::table(&mended.text);
    let mut reader = Reader::new(file, layer);
    draft.read(&mut reader, &table);
    let mut names = reader.names;
    names.sort_by_key(|(_, span)| span.start);
    let mut diagnostics = reader.diagnostics;
    if !mended.problems.is_empty() {
        diagnostics.retain(|diagnostic| !may_follow_from_syntax(diagnostic));
    }
    diagnostics.extend(mended.problems);
    FileRead { diagnostics, names }
}

/// Whether something that is missing, or looks wider than it is meant, may stand in a part that is not TOML.
fn may_follow_from_syntax(diagnostic: &Diagnostic) -> bool {
    matches!(
        diagnostic.code,
        Code::MissingKey
            | Code::UnsupportedSchema
            | Code::WrongLayer
            | Code::EmptyWhen
            | Code::EmptyList
            | Code::UnknownGroup
            | Code::UnknownRule
    ) || diagnostic.severity == Severity::Lint
}
