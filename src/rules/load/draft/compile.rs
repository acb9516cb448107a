//! From what was read to a policy: layers combined, rules bounded by the ceilings above them.

use std::collections::BTreeMap;

use super::{
    super::{
        Compiled, SourceFile, Sources,
        rule_tables::{self, Bounded},
    },
    Blocks, Draft, DraftRule, Require,
};
use crate::rules::{
    condition::Condition,
    decision::RuleId,
    layer::Layer,
    policy::{Ceiling, Default, Mode, Parts, Policy, Reviewers},
    rule::{Check, Part, Rule, cheap_first},
    waiver,
};

/// What binds the approve rules of one layer: its own bounds, and those of the layers above.
#[derive(Clone, Debug, std::default::Default)]
struct Bounds {
    ceilings: Vec<(Layer, Ceiling)>,
    requires: Vec<(Layer, Require)>,
}

impl Draft {
    /// The policy, once everything is checked.
    pub(crate) fn compile(&self, sources: &Sources) -> Option<Compiled> {
        let files: Vec<SourceFile> = sources.files().map(|(_, file)| file.clone()).collect();
        let policy = self.policy(Layer::Organization, &files)?;
        let both = !sources.enterprise.is_empty() && !sources.organization.is_empty();
        let enterprise =
            if both { self.policy(Layer::Enterprise, &sources.enterprise) } else { None };
        Some(Compiled { policy, enterprise })
    }

    /// The ceiling over the rules of `layer`.
    pub(crate) fn ceiling_of(&self, layer: Layer) -> Ceiling {
        let upto = self.blocks.range(..=layer);
        let ceilings = upto.filter_map(|(_, blocks)| blocks.ceiling.as_ref());
        ceilings.fold(Ceiling::default(), |above, (ceiling, _)| above.and(ceiling))
    }

    fn bounds_of(&self, layer: Layer) -> Bounds {
        let upto = || self.blocks.range(..=layer);
        let ceilings =
            upto().filter_map(|(layer, blocks)| Some((*layer, blocks.ceiling.as_ref()?.0.clone())));
        let requires =
            upto().filter_map(|(layer, blocks)| Some((*layer, blocks.require.as_ref()?.0.clone())));
        Bounds { ceilings: ceilings.collect(), requires: requires.collect() }
    }

    /// The policy of all layers down to `lowest`, made of `files`. None where no layer says what happens when no
    /// rule applies.
    fn policy(&self, lowest: Layer, files: &[SourceFile]) -> Option<Policy> {
        let bounds: BTreeMap<Layer, Bounds> =
            Layer::ALL.into_iter().map(|layer| (layer, self.bounds_of(layer))).collect();
        let mut waivers: BTreeMap<&str, Vec<waiver::Compiled>> = BTreeMap::new();
        for (id, draft) in self.waivers.iter().filter(|(_, draft)| draft.layer <= lowest) {
            let waiver = waiver::Compiled::new(id, &draft.waiver, draft.place.clone());
            waivers.entry(&draft.waiver.rule).or_default().push(waiver);
        }
        let rules = self.rules.iter().filter(|rule| rule.layer <= lowest).filter_map(|rule| {
            let mut rule = compile(rule, bounds.get(&rule.layer)?);
            rule.waivers = waivers.remove(rule.id.as_str()).unwrap_or_default();
            Some(rule)
        });
        let rules = rules.collect();
        let blocks: Vec<&Blocks> = self.blocks.range(..=lowest).map(|(_, blocks)| blocks).collect();
        let default = default(&blocks)?;
        let mut reviewers: BTreeMap<_, _> = self
            .reviewers
            .iter()
            .filter(|(_, group)| group.layer <= lowest)
            .map(|(name, group)| (name.clone(), group.reviewers.clone()))
            .collect();
        reviewers.entry("owners".to_owned()).or_insert_with(Reviewers::owners);
        let with_rules = blocks.iter().filter(|blocks| blocks.files > 0);
        let modes =
            with_rules.map(|blocks| blocks.mode.as_ref().map(|(m, _)| *m).unwrap_or_default());
        Some(Policy::new(Parts {
            mode: modes.min().unwrap_or(Mode::Shadow),
            default,
            ceiling: self.ceiling_of(lowest),
            rules,
            reviewers,
            revocations: self.revocations.clone(),
            waivers: self
                .waivers
                .iter()
                .map(|(id, draft)| (id.clone(), draft.waiver.clone()))
                .collect(),
            // The one nearest to those who read it.
            digest: blocks.iter().rev().find_map(|blocks| blocks.digest.as_ref()?.0.clone()),
            approvals_disabled: self.approvals_disabled,
            sources: files.to_vec(),
        }))
    }
}

/// The strictest of the layers' defaults, with the reason of the uppermost that denies, and everybody any of them
/// asks.
fn default(blocks: &[&Blocks]) -> Option<Default> {
    let given: Vec<_> =
        blocks.iter().filter_map(|blocks| blocks.default.as_ref()?.0.as_ref()).collect();
    let mut to: Vec<String> = given.iter().flat_map(|default| default.to.clone()).collect();
    to.sort();
    to.dedup();
    (!given.is_empty()).then(|| Default {
        deny: given.iter().any(|default| default.deny),
        reason: given
            .iter()
            .filter(|default| default.deny)
            .find_map(|default| Some(default.reason.as_ref()?.0.clone())),
        to,
    })
}

fn compile(rule: &DraftRule, bounds: &Bounds) -> Rule {
    let mut checks: Vec<Check> =
        rule.conditions.iter().map(|placed| placed.check.clone()).collect();
    let mut add = |part: Part, key: &str, condition: Condition, bound_by: Vec<Layer>| {
        let key = key.to_owned();
        checks.push(Check { part, key, condition, veto: false, bound_by, slot: None });
    };
    if let Some(allow) = &rule.allow {
        for Bounded { key, condition, by } in rule_tables::allow_conditions(allow, &bounds.ceilings)
        {
            add(Part::Allow, key, condition, by);
        }
        let own = std::iter::once((None, &rule.require));
        let above = bounds.requires.iter().map(|(layer, require)| (Some(*layer), require));
        let requires: Vec<(Option<Layer>, &Require)> = own.chain(above).collect();
        let mut least: Option<(usize, Option<Layer>)> = None;
        for (by, require) in &requires {
            // Of equal ones, what the rule itself says, then the uppermost layer's.
            if let Some(length) = require.reason_min_length
                && least.is_none_or(|(least, _)| length > least)
            {
                least = Some((length, *by));
            }
        }
        if let Some((least, by)) = least {
            let condition = Condition::RequestReason { min_length: Some(least), matches: None };
            add(Part::Require, "require.reason_min_length", condition, Vec::from_iter(by));
        }
        for (by, require) in requires {
            if let Some(matches) = require.reason_matches.clone() {
                let condition =
                    Condition::RequestReason { min_length: None, matches: Some(matches) };
                add(Part::Require, "require.reason_matches", condition, Vec::from_iter(by));
            }
        }
    }
    let mut to = rule.to.clone();
    to.sort();
    to.dedup();
    Rule {
        id: RuleId::new(format!("{}.{}", rule.verb, rule.id)),
        verb: rule.verb,
        layer: rule.layer,
        enforcement: rule.enforcement,
        gate: rule.gate,
        cheap_first: cheap_first(&checks),
        checks,
        waivers: Vec::new(),
        to,
        reason: rule.reason.as_ref().map(|(template, _)| template.clone()),
        place: rule.place.clone(),
    }
}
