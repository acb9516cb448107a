//! What all files of a layer say together, and the policy that comes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    MAX_RULES, SourceFile,
    blocks::{self, DraftDefault, DraftReviewers},
    digest_table, lints,
    nearest::nearest,
    reader::{Reader, Value, shown},
    revocation_tables::{self, DraftWaiver},
    rule_tables::{self, DraftRule, Require},
};
use crate::rules::{
    cases::{self, Case},
    condition::Condition,
    decision::RuleId,
    diagnostic::{Code, Diagnostic, Place},
    policy::{Ceiling, DigestBlock, Mode, Parts, Policy, Reviewers, Revocation},
    reason::Template,
    rule::{Check, Enforcement, Part, Rule, Verb, cheap_first},
};

/// Something that may be said once in a layer.
type Once<T> = Option<(T, Place)>;

/// Everything read so far.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) rules: Vec<DraftRule>,
    pub(crate) cases: Vec<Case>,
    pub(crate) ceiling: Once<Ceiling>,
    mode: Once<Mode>,
    default: Once<Option<DraftDefault>>,
    require: Once<Require>,
    digest: Once<Option<DigestBlock>>,
    /// Every group that is named, with its place.
    pub(crate) named_groups: Vec<(String, Place)>,
    pub(crate) reviewers: BTreeMap<String, DraftReviewers>,
    revocations: BTreeMap<String, (Revocation, Place)>,
    waivers: BTreeMap<String, DraftWaiver>,
    /// Every name of a rule, group, policy or waiver with its place, also of those that were left out.
    names: BTreeMap<(&'static str, String), Place>,
    /// Where a case of each name stands.
    tests: BTreeMap<String, Place>,
    files_of_rules: usize,
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

impl Draft {
    /// Takes in one file.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>, table: &Spanned<DeTable<'_>>) {
        let tests_only = reader.file.is_tests();
        let keys = if tests_only { &["schema", "tests"] } else { KEYS };
        reader.enter("", keys);
        let mut schema = tests_only;
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            if name == "schema" {
                schema = true;
            }
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
        self.named_groups.append(&mut reader.named_groups);
        if !schema {
            let message = "the file does not say which schema it follows";
            let help = "begin it with `schema = 1`".to_owned();
            reader.error_help(Code::UnsupportedSchema, 0..0, message, Some(help));
        }
        self.files_of_rules += usize::from(!tests_only);
    }

    fn key(&mut self, reader: &mut Reader<'_>, key: &str, span: Range<usize>, value: &Value<'_>) {
        let place = reader.place(span.clone());
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
                if word == "enterprise" {
                    let help = "this version reads the rules of one organization".to_owned();
                    reader.error_help(
                        Code::NotYetSupported,
                        value.span(),
                        "`layer = \"enterprise\"` is not supported yet",
                        Some(help),
                    );
                } else {
                    reader.word(word, value.span(), "layer", &[("enterprise", ())]);
                }
            }
            "mode" => {
                let words = Mode::ALL.map(|mode| (mode.as_str(), mode));
                let Some(word) = reader.string(value, "mode") else { return };
                if let Some(mode) = reader.word(word, value.span(), "mode", &words) {
                    once(reader, &mut self.mode, "mode", place, mode);
                }
            }
            "default" => {
                let read = blocks::default(reader, value, span);
                once(reader, &mut self.default, key, place, read);
            }
            "ceiling" => {
                let read = rule_tables::ceiling(reader, value);
                once(reader, &mut self.ceiling, key, place, read);
            }
            "require" => {
                let read = rule_tables::require(reader, value, "require");
                once(reader, &mut self.require, key, place, read);
            }
            "digest" => {
                let read = digest_table::digest(reader, value, span);
                once(reader, &mut self.digest, key, place, read);
            }
            "approve" => self.rules(reader, Verb::Approve, value),
            "deny" => self.rules(reader, Verb::Deny, value),
            "escalate" => self.rules(reader, Verb::Escalate, value),
            _ => self.named(reader, key, value),
        }
    }

    fn rules(&mut self, reader: &mut Reader<'_>, verb: Verb, value: &Value<'_>) {
        reader.named(value, verb.as_str(), |reader, id, span, value| {
            self.name(reader, "rule", id, &span);
            if let Some(rule) = rule_tables::rule(reader, verb, id, span, value) {
                self.rules.push(rule);
            }
        });
    }

    fn named(&mut self, reader: &mut Reader<'_>, key: &str, value: &Value<'_>) {
        reader.named(value, key, |reader, id, span, value| match key {
            "reviewers" => {
                self.name(reader, "reviewers", id, &span);
                if let Some(group) = blocks::reviewers(reader, id, span, value) {
                    self.reviewers.entry(id.to_owned()).or_insert(group);
                }
            }
            "revoke" => {
                self.name(reader, "revoke", id, &span);
                let place = reader.place(span.clone());
                if let Some(read) = revocation_tables::revocation(reader, id, span, value) {
                    self.revocations.entry(id.to_owned()).or_insert((read, place));
                }
            }
            "waiver" => {
                self.name(reader, "waiver", id, &span);
                if let Some(read) = revocation_tables::waiver(reader, id, span, value) {
                    self.waivers.entry(id.to_owned()).or_insert(read);
                }
            }
            _ => {
                let place = reader.place(span.clone());
                if let Some(first) = self.tests.get(id) {
                    let message = format!("there are two cases \"{}\"", shown(id));
                    let diagnostic = Diagnostic::new(Code::DuplicateId, place, message);
                    reader.report(diagnostic.related(first.clone(), "the other one"));
                    return;
                }
                self.tests.insert(id.to_owned(), place);
                self.cases.extend(cases::read(reader, id, span, value));
            }
        });
    }

    fn name(&mut self, reader: &mut Reader<'_>, kind: &'static str, id: &str, span: &Range<usize>) {
        let place = reader.place(span.clone());
        // Ids go without regard to case into records and answers, so two that differ in it only are one.
        let key = (kind, id.to_ascii_lowercase());
        if let Some(first) = self.names.get(&key) {
            let message = format!("there are two of the name `{}`", shown(id));
            let diagnostic = Diagnostic::new(Code::DuplicateId, place, message)
                .related(first.clone(), "the other one")
                .help("ids are unique over verbs and files, so that a record names one rule");
            reader.report(diagnostic);
        } else {
            self.names.insert(key, place);
        }
    }

    /// Checks what only shows once all files are read, and compiles the rules.
    pub(crate) fn finish(
        mut self,
        files: &[SourceFile],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<Policy> {
        let start = Place::start(files.first().map_or("rules", |file| file.name.as_str()));
        if self.files_of_rules == 0 {
            let message = "there is no file of rules";
            diagnostics.push(Diagnostic::new(Code::MissingKey, start, message));
            return None;
        }
        if self.default.is_none() && !diagnostics.iter().any(|d| d.code == Code::Syntax) {
            let help = "what happens when no rule applies: `decision = \"escalate\"` or `\"deny\"`, and `to`";
            let message = "there is no `[default]`";
            diagnostics.push(Diagnostic::new(Code::MissingKey, start.clone(), message).help(help));
        }
        if self.rules.len() > MAX_RULES {
            let message = format!("there are {} rules; the limit is {MAX_RULES}", self.rules.len());
            diagnostics.push(Diagnostic::new(Code::TooLarge, start, message));
        }
        self.check_groups(diagnostics);
        self.check_cycles(diagnostics);
        self.check_waivers(diagnostics);
        self.check_placeholders(diagnostics);
        diagnostics.extend(lints::lint(&self));
        let ceiling = self.ceiling.take().map(|(ceiling, _)| ceiling).unwrap_or_default();
        let require = self.require.take().map(|(require, _)| require).unwrap_or_default();
        let rules = std::mem::take(&mut self.rules);
        let rules = rules.into_iter().map(|rule| compile(rule, &ceiling, &require)).collect();
        let default = self.default.take().and_then(|(default, _)| default)?.finish();
        let mut reviewers: BTreeMap<_, _> =
            self.reviewers.into_iter().map(|(name, group)| (name, group.reviewers)).collect();
        reviewers.entry("owners".to_owned()).or_insert_with(Reviewers::owners);
        Some(Policy::new(Parts {
            mode: self.mode.map(|(mode, _)| mode).unwrap_or_default(),
            default,
            ceiling,
            rules,
            reviewers,
            revocations: self.revocations.into_iter().map(|(id, (read, _))| (id, read)).collect(),
            waivers: self.waivers.into_iter().map(|(id, read)| (id, read.waiver)).collect(),
            digest: self.digest.and_then(|(digest, _)| digest),
            sources: files.to_vec(),
        }))
    }

    fn check_groups(&self, diagnostics: &mut Vec<Diagnostic>) {
        // A group that is there but wrong is reported where it is wrong.
        let known: BTreeSet<&str> = self
            .names
            .keys()
            .filter(|(kind, _)| *kind == "reviewers")
            .map(|(_, name)| name.as_str())
            .chain(self.reviewers.keys().map(String::as_str))
            .chain(["owners"])
            .collect();
        for (name, place) in
            self.named_groups.iter().filter(|(name, _)| !known.contains(name.as_str()))
        {
            let message = format!("there are no reviewers `{}`", shown(name));
            let help = nearest(name, known.iter().copied()).map_or_else(
                || {
                    format!(
                        "add a table [reviewers.{}], or name one of: {}",
                        shown(name),
                        Vec::from_iter(known.iter().copied()).join(", ")
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            diagnostics
                .push(Diagnostic::new(Code::UnknownGroup, place.clone(), message).help(help));
        }
    }

    fn check_cycles(&self, diagnostics: &mut Vec<Diagnostic>) {
        let next =
            |name: &str| Some(self.reviewers.get(name)?.reviewers.next.as_ref()?.to.as_str());
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for (start, group) in &self.reviewers {
            let mut seen = vec![start.as_str()];
            let mut at = start.as_str();
            while let Some(to) = next(at) {
                if to == start {
                    if !seen.iter().any(|name| told.contains(name)) {
                        let way = format!("{} → {to}", seen.join(" → "));
                        let message = format!("`next` leads back to where it began: {way}");
                        let place = group.next.clone().unwrap_or_else(|| group.place.clone());
                        diagnostics.push(Diagnostic::new(Code::Cycle, place, message));
                    }
                    told.extend(seen.iter().copied());
                    break;
                }
                if seen.contains(&to) {
                    break;
                }
                seen.push(to);
                at = to;
            }
        }
    }

    fn check_waivers(&self, diagnostics: &mut Vec<Diagnostic>) {
        for waiver in self.waivers.values() {
            let name = &waiver.waiver.rule;
            let rule = self.rules.iter().find(|rule| format!("{}.{}", rule.verb, rule.id) == *name);
            let problem = match rule {
                None => {
                    let ids: Vec<_> = self
                        .rules
                        .iter()
                        .filter(|rule| rule.verb != Verb::Approve)
                        .map(|rule| format!("{}.{}", rule.verb, rule.id))
                        .collect();
                    let near = nearest(name, ids.iter().map(String::as_str));
                    let message = format!("there is no rule `{}` to be waived", shown(name));
                    let mut problem =
                        Diagnostic::new(Code::UnknownRule, waiver.place.clone(), message);
                    problem.help = near.map(|near| format!("did you mean `{near}`?"));
                    problem
                }
                Some(rule) if rule.verb == Verb::Approve => {
                    let message =
                        "a waiver silences a deny or escalate rule, never an approve rule";
                    Diagnostic::new(Code::BadValue, waiver.place.clone(), message)
                }
                Some(rule) if rule.enforcement != Enforcement::Soft => {
                    let message = format!(
                        "`{name}` is {}, and only a soft rule can be waived",
                        rule.enforcement.as_str()
                    );
                    Diagnostic::new(Code::WaiverOfHardRule, waiver.place.clone(), message)
                        .related(rule.place.clone(), "the rule")
                }
                Some(_) => continue,
            };
            diagnostics.push(problem);
        }
    }

    /// A placeholder of the ceiling needs a ceiling.
    fn check_placeholders(&self, diagnostics: &mut Vec<Diagnostic>) {
        let ceiling = self.ceiling.as_ref().map(|(ceiling, _)| ceiling);
        let rules = self.rules.iter().filter_map(|rule| rule.reason.as_ref());
        let default =
            self.default.iter().filter_map(|(default, _)| default.as_ref()?.reason.as_ref());
        let missing: [(&str, bool); 2] = [
            ("ceiling.lifetime", ceiling.is_none_or(|ceiling| ceiling.lifetime.is_none())),
            (
                "ceiling.max_repositories",
                ceiling.is_none_or(|ceiling| ceiling.max_repositories.is_none()),
            ),
        ];
        let texts: Vec<&(Template, Place)> = rules.chain(default).collect();
        for (placeholder, _) in missing.into_iter().filter(|(_, missing)| *missing) {
            for (_, place) in texts.iter().filter(|(template, _)| template.names(placeholder)) {
                let message =
                    format!("`{{{placeholder}}}` has no value, since there is none in `[ceiling]`");
                diagnostics.push(Diagnostic::new(Code::UnknownPlaceholder, place.clone(), message));
            }
        }
    }
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

fn compile(rule: DraftRule, ceiling: &Ceiling, require: &Require) -> Rule {
    let mut checks: Vec<Check> = rule.conditions.into_iter().map(|placed| placed.check).collect();
    let mut add = |part: Part, key: &str, condition: Condition| {
        checks.push(Check { part, key: key.to_owned(), condition, all_is_any: false, slot: None });
    };
    if let Some(allow) = &rule.allow {
        for (key, condition) in rule_tables::allow_conditions(allow, ceiling) {
            add(Part::Allow, key, condition);
        }
        let least = rule.require.reason_min_length.max(require.reason_min_length);
        if least.is_some() {
            let condition = Condition::RequestReason { min_length: least, matches: None };
            add(Part::Require, "require.reason_min_length", condition);
        }
        for matches in [&rule.require.reason_matches, &require.reason_matches] {
            if let Some(matches) = matches.clone() {
                let condition =
                    Condition::RequestReason { min_length: None, matches: Some(matches) };
                add(Part::Require, "require.reason_matches", condition);
            }
        }
    }
    let mut to = rule.to;
    to.sort();
    to.dedup();
    Rule {
        id: RuleId::new(format!("{}.{}", rule.verb, rule.id)),
        verb: rule.verb,
        layer: 0,
        enforcement: rule.enforcement,
        gate: rule.gate,
        cheap_first: cheap_first(&checks),
        checks,
        to,
        reason: rule.reason.map(|(template, _)| template),
        place: rule.place,
    }
}
