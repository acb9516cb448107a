//! What only shows once all files are read: names that nothing bears, cycles, waivers of what cannot be waived.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan, civil::Date};

use super::{
    super::{
        MAX_RULES, SourceFile, Standing, lints, nearest::nearest, reader::shown,
        revocation_tables::MAX_WAIVER_DAYS,
    },
    Draft, DraftRule, DraftWaiver, disabled,
};
use crate::rules::{
    diagnostic::{Code, Diagnostic, Place},
    layer::Layer,
    policy::Waiver,
    reason::Template,
    rule::{Enforcement, Verb},
};

/// A waiver that begins so many days after another one's end takes its place.
const FOLLOWS_WITHIN: i32 = 7;

/// How many names are written out.
const SHOWN: usize = 10;

/// Once so much is wrong, no nearest words are looked for any more: each is a walk through all names.
const HELPED: usize = 20;

impl Draft {
    /// Checks what the files say of each other. What a change above made impossible is taken out of the lower
    /// layer, and said.
    pub(crate) fn check(&mut self, files: &[SourceFile], diagnostics: &mut Vec<Diagnostic>) {
        let start = Place::start(files.first().map_or("rules", |file| file.name.as_str()));
        if self.blocks.values().all(|blocks| blocks.files == 0) {
            // Unless it was too large to be read.
            if !diagnostics.iter().any(Diagnostic::is_error) {
                let message = "there is no file of rules";
                diagnostics.push(Diagnostic::new(Code::MissingKey, start, message));
            }
            return;
        }
        self.check_defaults(diagnostics);
        if self.rules.len() > MAX_RULES {
            let message = format!("there are {} rules; the limit is {MAX_RULES}", self.rules.len());
            diagnostics.push(Diagnostic::new(Code::TooLarge, start, message));
        }
        self.check_groups(diagnostics);
        self.check_cycles(diagnostics);
        self.check_waivers(diagnostics);
        self.check_rows_of_waivers(diagnostics);
        self.check_placeholders(diagnostics);
        diagnostics.extend(lints::lint(self));
    }

    fn check_defaults(&self, diagnostics: &mut Vec<Diagnostic>) {
        let with_rules = || self.blocks.iter().filter(|(_, blocks)| blocks.files > 0);
        let Some((top, blocks)) = with_rules().next() else { return };
        match &blocks.default {
            None if !diagnostics
                .iter()
                .any(|d| matches!(d.code, Code::Syntax | Code::TooLarge)) =>
            {
                let help = "what happens when no rule applies: `decision = \"escalate\"` or `\"deny\"`, and `to`";
                let message = "there is no `[default]`";
                let place = blocks.first_file.clone().unwrap_or_else(|| Place::start("rules"));
                diagnostics.push(Diagnostic::new(Code::MissingKey, place, message).help(help));
            }
            Some((Some(default), place)) if !default.has_to => {
                let help =
                    "name who is asked when no rule names reviewers, such as `to = \"owners\"`";
                let message = "`default` has no `to`";
                diagnostics
                    .push(Diagnostic::new(Code::MissingKey, place.clone(), message).help(help));
            }
            _ => {}
        }
        let denies = |default: &Option<_>| {
            matches!(default, Some((Some(super::DraftDefault { deny: true, .. }), _)))
        };
        if let Some((_, upper)) = blocks.default.as_ref().filter(|_| denies(&blocks.default))
            && let Some((_, place)) = with_rules()
                .filter(|(layer, blocks)| *layer > top && !denies(&blocks.default))
                .find_map(|(_, blocks)| blocks.default.as_ref())
        {
            let message = "the default stays `deny`, since an upper layer says so";
            let warning = Diagnostic::new(Code::CutByUpperDefault, place.clone(), message);
            diagnostics.push(warning.related(upper.clone(), "the upper layer's"));
        }
    }

    fn check_groups(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        // A group that is there but wrong is reported where it is wrong.
        let known = |name: &str, layer: Layer| {
            name == "owners"
                || self
                    .names
                    .get(&("reviewers", name.to_owned()))
                    .is_some_and(|(of, _)| *of <= layer)
                || self.reviewers.get(name).is_some_and(|group| group.layer <= layer)
        };
        let visible = |layer: Layer| -> BTreeSet<&str> {
            let groups = self.reviewers.iter().filter(|(_, group)| group.layer <= layer);
            groups.map(|(name, _)| name.as_str()).chain(["owners"]).collect()
        };
        let mut gone = BTreeSet::new();
        for named in &self.named_groups {
            let name = named.name.as_str();
            if known(name, named.layer) {
                continue;
            }
            let message = format!("there are no reviewers `{}`", shown(name));
            let visible =
                if diagnostics.len() < HELPED { visible(named.layer) } else { BTreeSet::new() };
            let near = nearest(name, visible.iter().copied());
            let help = near.map_or_else(
                || {
                    format!(
                        "add a table [reviewers.{}], or name one of: {}",
                        shown(name),
                        Vec::from_iter(visible.iter().copied().take(SHOWN)).join(", ")
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            let problem =
                Diagnostic::new(Code::UnknownGroup, named.place.clone(), message).help(help);
            if named.layer > Layer::Enterprise && self.standing == Standing::Before {
                gone.insert(named.name.clone());
                diagnostics.push(disabled(problem, "those whom the default asks stand in"));
            } else {
                diagnostics.push(problem);
            }
        }
        self.forget_groups(&gone);
    }

    /// Takes out groups that are no longer there. A rule that is left without any asks whom the default asks.
    fn forget_groups(&mut self, gone: &BTreeSet<String>) {
        for to in self.rules.iter_mut().map(|rule| &mut rule.to) {
            to.retain(|name| !gone.contains(name));
        }
        for (default, _) in self.blocks.values_mut().filter_map(|blocks| blocks.default.as_mut()) {
            if let Some(default) = default {
                default.to.retain(|name| !gone.contains(name));
            }
        }
        for group in self.reviewers.values_mut() {
            let next = &mut group.reviewers.next;
            *next = next.take().filter(|next| !gone.contains(&next.to));
        }
    }

    /// Follows `next` from every group, each group once: however long the ring, it is found in one pass.
    fn check_cycles(&self, diagnostics: &mut Vec<Diagnostic>) {
        let next =
            |name: &str| Some(self.reviewers.get(name)?.reviewers.next.as_ref()?.to.as_str());
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for start in self.reviewers.keys() {
            let mut way: Vec<&str> = Vec::new();
            let mut on_way: BTreeSet<&str> = BTreeSet::new();
            let mut at = Some(start.as_str());
            while let Some(name) = at.filter(|name| !done.contains(name) && on_way.insert(name)) {
                way.push(name);
                at = next(name);
            }
            // Back on the way itself, and not on one that was followed before.
            if let Some(back) = at.filter(|name| on_way.contains(name))
                && let Some(ring) = way.iter().position(|name| *name == back)
                && let Some(group) = self.reviewers.get(back)
            {
                let ring = way.get(ring..).unwrap_or_default();
                let mut shown: Vec<String> =
                    ring.iter().take(SHOWN).map(|name| shown(name)).collect();
                if ring.len() > SHOWN {
                    shown.push("…".to_owned());
                }
                shown.push(self::shown(back));
                let message = format!("`next` leads back to where it began: {}", shown.join(" → "));
                let place = group.next.clone().unwrap_or_else(|| group.place.clone());
                diagnostics.push(Diagnostic::new(Code::Cycle, place, message));
            }
            done.append(&mut on_way);
        }
    }

    fn check_waivers(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        let mut gone = Vec::new();
        let rules: BTreeMap<String, &DraftRule> =
            self.rules.iter().map(|rule| (format!("{}.{}", rule.verb, rule.id), rule)).collect();
        for (id, waiver) in &self.waivers {
            let helped = diagnostics.len() < HELPED;
            let Some(problem) = problem_of(waiver, &rules, helped) else { continue };
            if waiver.layer > Layer::Enterprise && self.standing == Standing::Before {
                gone.push(id.clone());
                diagnostics.push(disabled(problem, "the waiver silences nothing"));
            } else {
                diagnostics.push(problem);
            }
        }
        self.waivers.retain(|id, _| !gone.contains(id));
    }

    /// Waivers that take each other's place last as long as one that nobody may grant.
    fn check_rows_of_waivers(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut by_what: BTreeMap<_, Vec<(&String, &DraftWaiver)>> = BTreeMap::new();
        for (id, draft) in &self.waivers {
            let Waiver { rule, owner, .. } = &draft.waiver;
            by_what.entry((rule, owner)).or_default().push((id, draft));
        }
        for waivers in by_what.values_mut() {
            waivers.sort_by_key(|(id, draft)| (draft.waiver.granted, *id));
            let mut row: Option<(Date, Date, &String, &DraftWaiver)> = None;
            for (id, draft) in waivers.iter() {
                let Waiver { granted, until, rule, .. } = &draft.waiver;
                let Some((began, ends, before, other)) = row
                    .filter(|(_, ends, ..)| *granted <= ends.saturating_add(FOLLOWS_WITHIN.days()))
                else {
                    row = Some((*granted, *until, id, draft));
                    continue;
                };
                let ends = ends.max(*until);
                row = Some((began, ends, id, draft));
                if ends <= began.saturating_add(MAX_WAIVER_DAYS.days()) {
                    continue;
                }
                let message = format!(
                    "with `waiver.{}` before it, this silences `{}` from {began} until {ends}, which is more than \
                     {MAX_WAIVER_DAYS} days",
                    shown(before),
                    shown(rule)
                );
                let help = "an exception that lasts belongs into the rule, under `unless`, where it is reviewed as such";
                let warning =
                    Diagnostic::new(Code::WaiverFollowsWaiver, draft.granted.clone(), message);
                diagnostics
                    .push(warning.related(other.granted.clone(), "the one before").help(help));
            }
        }
    }

    /// A placeholder of the ceiling needs a ceiling, in its own layer or above.
    fn check_placeholders(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        let rules = self.rules.iter().filter_map(|rule| Some((rule.layer, rule.reason.as_ref()?)));
        let defaults = self.blocks.iter().filter_map(|(layer, blocks)| {
            let (default, _) = blocks.default.as_ref()?;
            Some((*layer, default.as_ref()?.reason.as_ref()?))
        });
        let texts: Vec<(Layer, &(Template, Place))> = rules.chain(defaults).collect();
        for layer in Layer::ALL {
            let ceiling = self.ceiling_of(layer);
            for (placeholder, value) in [
                ("ceiling.lifetime", ceiling.lifetime),
                ("ceiling.max_repositories", ceiling.max_repositories),
            ] {
                let named = texts.iter().filter(|(of, (text, _))| {
                    value.is_none() && *of == layer && text.names(placeholder)
                });
                for (_, (_, place)) in named {
                    let message = format!(
                        "`{{{placeholder}}}` has no value, since there is none in `[ceiling]`"
                    );
                    let problem = Diagnostic::new(Code::UnknownPlaceholder, place.clone(), message);
                    if layer > Layer::Enterprise && self.standing == Standing::Before {
                        diagnostics.push(disabled(problem, "it reads \"the limit\""));
                    } else {
                        diagnostics.push(problem);
                    }
                }
            }
        }
    }
}

/// What is wrong with what a waiver names.
fn problem_of(
    waiver: &DraftWaiver,
    rules: &BTreeMap<String, &DraftRule>,
    helped: bool,
) -> Option<Diagnostic> {
    let name = &waiver.waiver.rule;
    // An upper layer is complete without the ones below.
    match rules.get(name).filter(|rule| rule.layer <= waiver.layer) {
        None => {
            let possible = rules.iter().filter(|(_, rule)| helped && rule.verb != Verb::Approve);
            let near = nearest(name, possible.map(|(id, _)| id.as_str()));
            let message = format!("there is no rule `{}` to be waived", shown(name));
            let mut problem = Diagnostic::new(Code::UnknownRule, waiver.place.clone(), message);
            problem.help = near.map(|near| format!("did you mean `{near}`?"));
            Some(problem)
        }
        Some(rule) if rule.verb == Verb::Approve => {
            let message = "a waiver silences a deny or escalate rule, never an approve rule";
            Some(Diagnostic::new(Code::BadValue, waiver.place.clone(), message))
        }
        Some(rule) if rule.enforcement != Enforcement::Soft => {
            let message = format!(
                "`{name}` is {}, and only a soft rule can be waived",
                rule.enforcement.as_str()
            );
            let problem = Diagnostic::new(Code::WaiverOfHardRule, waiver.place.clone(), message);
            Some(problem.related(rule.place.clone(), "the rule"))
        }
        Some(_) => None,
    }
}
