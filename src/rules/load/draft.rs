//! What all files of all layers say together, and the policy that comes of it.

mod compile;
mod references;

use std::{collections::BTreeMap, ops::Range};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    Standing,
    blocks::{self, DraftDefault, DraftReviewers},
    digest_table,
    reader::{Reader, Value, shown},
    revocation_tables::{self, DraftWaiver},
    rule_tables::{self, DraftRule, Require},
};
use crate::rules::{
    cases::{self, Case},
    diagnostic::{Code, Diagnostic, Place},
    layer::Layer,
    policy::{Ceiling, DigestBlock, Mode},
    revocation::Revocation,
    rule::Verb,
};

/// Something that may be said once in a layer.
type Once<T> = Option<(T, Place)>;

/// What a layer says once.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    pub(crate) ceiling: Once<Ceiling>,
    pub(crate) mode: Once<Mode>,
    pub(crate) default: Once<Option<DraftDefault>>,
    pub(crate) require: Once<Require>,
    pub(crate) digest: Once<Option<DigestBlock>>,
    /// How many files of rules it has, and where the first begins.
    files: usize,
    first_file: Option<Place>,
}

/// A group that something names.
#[derive(Clone, Debug)]
pub(crate) struct NamedGroup {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) layer: Layer,
}

/// Everything read so far.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    standing: Standing,
    pub(crate) blocks: BTreeMap<Layer, Blocks>,
    pub(crate) rules: Vec<DraftRule>,
    pub(crate) cases: Vec<Case>,
    /// Every group that is named, with its place.
    pub(crate) named_groups: Vec<NamedGroup>,
    pub(crate) reviewers: BTreeMap<String, DraftReviewers>,
    revocations: BTreeMap<String, Revocation>,
    waivers: BTreeMap<String, DraftWaiver>,
    /// Every name of a rule, group, policy or waiver with its place, also of those that were left out.
    names: BTreeMap<(&'static str, String), (Layer, Place)>,
    /// Where a case of each name stands.
    tests: BTreeMap<(Layer, String), Place>,
    /// An approve rule was left out since an upper layer took its name.
    pub(crate) approvals_disabled: bool,
    pattern_bytes: usize,
}

const KEYS: &[&str] = &[
    "schema",
    "layer",
    "mode",
    "default",
    "approve",
    "deny",
    "escalate",
    "ceiling",
    "require",
    "waiver",
    "reviewers",
    "revoke",
    "digest",
    "tests",
];

/// Whether what has a name is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// It is the only one.
    New,
    /// It is kept for what it forbids, under a name that tells its layer.
    Renamed,
    /// It is left out.
    Dropped,
}

impl Draft {
    pub(crate) fn new(standing: Standing) -> Self {
        Self { standing, ..Self::default() }
    }

    /// Takes in one file.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>, table: &Spanned<DeTable<'_>>) {
        let tests_only = reader.file.is_tests();
        let keys = if tests_only { &["schema", "tests"] } else { KEYS };
        reader.pattern_bytes = self.pattern_bytes;
        reader.enter("", keys);
        let (mut schema, mut said_layer) = (tests_only, false);
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            schema |= name == "schema";
            said_layer |= name == "layer";
            match keys.iter().find(|known| **known == name) {
                Some(known) => self.key(reader, known, key.span(), value),
                None if tests_only && KEYS.contains(&name) => {
                    let message = format!("`{name}` cannot stand in a file of tests");
                    let help =
                        "a file whose name ends in `.tests.toml` holds `[tests]` only".to_owned();
                    reader.error_help(Code::UnknownKey, key.span(), message, Some(help));
                }
                None => reader.unknown_key(name, key.span(), ""),
            }
        }
        reader.leave();
        self.pattern_bytes = reader.pattern_bytes;
        let layer = reader.layer;
        let named = reader.named_groups.drain(..);
        self.named_groups.extend(named.map(|(name, place)| NamedGroup { name, place, layer }));
        if !tests_only && layer == Layer::Enterprise && !said_layer {
            let help = "begin it with `schema = 1` and `layer = \"enterprise\"`".to_owned();
            let message = "the operator's settings name this as the enterprise's file, and it does not say so";
            reader.error_help(Code::WrongLayer, 0..0, message, Some(help));
        }
        if !schema {
            let message = "the file does not say which schema it follows";
            let help = "begin it with `schema = 1`".to_owned();
            reader.error_help(Code::UnsupportedSchema, 0..0, message, Some(help));
        }
        if !tests_only {
            let blocks = self.blocks.entry(layer).or_default();
            blocks.files += 1;
            blocks.first_file.get_or_insert_with(|| Place::start(&reader.file.name));
        }
    }

    fn key(&mut self, reader: &mut Reader<'_>, key: &str, span: Range<usize>, value: &Value<'_>) {
        let place = reader.place(span.clone());
        let blocks = self.blocks.entry(reader.layer).or_default();
        match key {
            "schema" => match value.get_ref() {
                DeValue::Integer(number) if number.as_str() == "1" => {}
                DeValue::Integer(_) => {
                    let help = "this version knows schema 1".to_owned();
                    reader.error_help(
                        Code::UnsupportedSchema,
                        value.span(),
                        "there is no such schema",
                        Some(help),
                    );
                }
                _ => reader.wrong_type(value, "schema", "the integer 1"),
            },
            "layer" => {
                let Some(word) = reader.string(value, "layer") else { return };
                let word = reader.word(word, value.span(), "layer", &[("enterprise", ())]);
                if word.is_some() && reader.layer != Layer::Enterprise {
                    let help = "only the file that the operator's settings name as the enterprise's may say so; leave it out".to_owned();
                    let message =
                        "this is an organization's file, and it says that it is the enterprise's";
                    reader.error_help(Code::WrongLayer, value.span(), message, Some(help));
                }
            }
            "mode" => {
                let words = Mode::ALL.map(|mode| (mode.as_str(), mode));
                let Some(word) = reader.string(value, "mode") else { return };
                if let Some(mode) = reader.word(word, value.span(), "mode", &words) {
                    once(reader, &mut blocks.mode, "mode", place, mode);
                }
            }
            "default" => {
                let read = blocks::default(reader, value, span);
                once(reader, &mut blocks.default, key, place, read);
            }
            "ceiling" => {
                let read = rule_tables::ceiling(reader, value);
                once(reader, &mut blocks.ceiling, key, place, read);
            }
            "require" => {
                let read = rule_tables::require(reader, value, "require");
                once(reader, &mut blocks.require, key, place, read);
            }
            "digest" => {
                let read = digest_table::digest(reader, value, span);
                once(reader, &mut blocks.digest, key, place, read);
            }
            "approve" => self.rules(reader, Verb::Approve, value),
            "deny" => self.rules(reader, Verb::Deny, value),
            "escalate" => self.rules(reader, Verb::Escalate, value),
            _ => self.named(reader, key, value),
        }
    }

    fn rules(&mut self, reader: &mut Reader<'_>, verb: Verb, value: &Value<'_>) {
        reader.named(value, verb.as_str(), |reader, id, span, value| {
            let named = self.name(reader, "rule", id, &span, verb != Verb::Approve);
            let Some(mut rule) = rule_tables::rule(reader, verb, id, span, value) else { return };
            if named == Named::Renamed {
                rule.id = format!("{id}@{}", rule.layer);
            }
            if named == Named::Dropped {
                self.approvals_disabled |= verb == Verb::Approve;
            } else {
                self.rules.push(rule);
            }
        });
    }

    fn named(&mut self, reader: &mut Reader<'_>, key: &str, value: &Value<'_>) {
        reader.named(value, key, |reader, id, span, value| match key {
            "reviewers" => {
                let named = self.name(reader, "reviewers", id, &span, false);
                let group = blocks::reviewers(reader, id, span, value);
                if let Some(group) = group.filter(|_| named == Named::New) {
                    self.reviewers.insert(id.to_owned(), group);
                }
            }
            "revoke" => {
                let named = self.name(reader, "revoke", id, &span, false);
                let read = revocation_tables::revocation(reader, id, span, value);
                if let Some(read) = read.filter(|_| named == Named::New) {
                    self.revocations.insert(id.to_owned(), read);
                }
            }
            "waiver" => {
                let named = self.name(reader, "waiver", id, &span, false);
                let read = revocation_tables::waiver(reader, id, span, value);
                if let Some(read) = read.filter(|_| named == Named::New) {
                    self.waivers.insert(id.to_owned(), read);
                }
            }
            _ => {
                let place = reader.place(span.clone());
                let key = (reader.layer, id.to_owned());
                if let Some(first) = self.tests.get(&key) {
                    let message = format!("there are two cases \"{}\"", shown(id));
                    let diagnostic = Diagnostic::new(Code::DuplicateId, place, message);
                    reader.report(diagnostic.related(first.clone(), "the other one"));
                    return;
                }
                self.tests.insert(key, place);
                self.cases.extend(cases::read(reader, id, span, value));
            }
        });
    }

    /// Notes a name, and reports a second one. `forbids`: what it names can only make decisions stricter, so
    /// an upper layer that takes its name must not take it away.
    fn name(
        &mut self,
        reader: &mut Reader<'_>,
        kind: &'static str,
        id: &str,
        span: &Range<usize>,
        forbids: bool,
    ) -> Named {
        let place = reader.place(span.clone());
        // Ids go without regard to case into records and answers, so two that differ in it only are one.
        let key = (kind, id.to_ascii_lowercase());
        let Some((layer, first)) = self.names.get(&key) else {
            self.names.insert(key, (reader.layer, place));
            return Named::New;
        };
        let (upper, id) = (*layer != reader.layer, shown(id));
        let duplicate = if upper {
            Diagnostic::new(
                Code::DuplicateId,
                place,
                format!("an upper layer has a `{id}`, and it cannot be redefined"),
            )
            .related(first.clone(), "the upper layer's")
            .help("give this one a name of its own; it adds to the upper layer's")
        } else {
            Diagnostic::new(Code::DuplicateId, place, format!("there are two of the name `{id}`"))
                .related(first.clone(), "the other one")
                .help(
                    "ids are unique over verbs, files and layers, so that a record names one rule",
                )
        };
        if !(upper && self.standing == Standing::Before) {
            reader.report(duplicate);
            return Named::Dropped;
        }
        let (what, named) = if forbids {
            ("it is kept under a name that tells its layer", Named::Renamed)
        } else {
            ("it is left out", Named::Dropped)
        };
        reader.report(disabled(duplicate, what));
        named
    }
}

/// What a change of an upper layer did to something that was valid before: no fault of the lower file's.
fn disabled(problem: Diagnostic, what: &str) -> Diagnostic {
    let message = format!("{}: {what}", problem.message);
    let mut warning = Diagnostic::new(Code::DisabledByUpperLayer, problem.place, message);
    warning.related = problem.related;
    warning.help = problem.help;
    warning
}

/// Takes a value that only one file may give.
fn once<T>(reader: &mut Reader<'_>, slot: &mut Once<T>, name: &str, place: Place, value: T) {
    match slot {
        None => *slot = Some((value, place)),
        Some((_, first)) => {
            let message = format!("`{name}` is given twice");
            let diagnostic = Diagnostic::new(Code::DuplicateBlock, place, message)
                .related(first.clone(), "the other one")
                .help("files of one layer count as one: leave it in one of them");
            reader.report(diagnostic);
        }
    }
}
