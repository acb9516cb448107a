//! What changed in a rule, in short: each key whose bound is another one, with the old and the new. Nothing is judged here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{cut, for_people};

use super::super::{
    condition::Condition,
    decision::RuleId,
    explain::wanted,
    rule::{Check, Rule},
};

/// The longest value that is shown of either side.
const VALUE: usize = 100;

/// A rule that says something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangedRule {
    /// Which.
    pub rule: RuleId,
    /// What of it, one line each: `allow.lifetime: at most 90d → at most 60d`.
    pub what: Vec<String>,
}

impl ChangedRule {
    /// What differs between two versions of a rule.
    pub(super) fn between(old: &Rule, new: &Rule) -> Self {
        let (before, after) = (bounds(old), bounds(new));
        let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let mut what = Vec::new();
        for key in keys {
            let (old, new) = (before.get(key), after.get(key));
            if old != new {
                what.push(format!("{key}: {} → {}", shown(old), shown(new)));
            }
        }
        let mut word = |key: &str, old: String, new: String| {
            if old != new {
                let [old, new] = [old, new].map(|text| cut(&for_people(&text), VALUE));
                what.push(format!("{key}: {old} → {new}"));
            }
        };
        let [weight, gate] = [
            |rule: &Rule| rule.enforcement.as_str().to_owned(),
            |rule: &Rule| rule.gate.to_string(),
        ];
        word("enforcement", weight(old), weight(new));
        word("gate", gate(old), gate(new));
        word("to", old.to.join(", "), new.to.join(", "));
        let waivers = |rule: &Rule| -> Vec<String> {
            rule.waivers
                .iter()
                .map(|waiver| format!("{} until {}", waiver.id, waiver.until))
                .collect()
        };
        let (before, after) = (waivers(old), waivers(new));
        word("waived by", named(&before), named(&after));
        let same = |a: &Rule, b: &Rule| {
            a.waivers.len() == b.waivers.len()
                && a.waivers.iter().zip(&b.waivers).all(|(a, b)| a.meaning() == b.meaning())
        };
        if before == after && !same(old, new) {
            what.push("waived by: the same names, and other bounds".to_owned());
        }
        if old.reason != new.reason {
            what.push("reason: other words".to_owned());
        }
        Self { rule: new.id.clone(), what }
    }
}

fn named(waivers: &[String]) -> String {
    if waivers.is_empty() { "nothing".to_owned() } else { waivers.join(", ") }
}

fn shown(bounds: Option<&Vec<String>>) -> String {
    bounds
        .map_or_else(|| "none".to_owned(), |bounds| cut(&for_people(&bounds.join(" and ")), VALUE))
}

/// What a rule asks for by key; each permission is a key of its own, so that only those show that changed.
fn bounds(rule: &Rule) -> BTreeMap<String, Vec<String>> {
    let mut bounds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Check { key, condition, .. } in &rule.checks {
        let mut add = |key: String, bound: String| bounds.entry(key).or_default().push(bound);
        match condition {
            Condition::PermissionsWithin(within) => {
                for (group, name, level) in within.listed.iter() {
                    // Where the key does not say the group already.
                    let group = if key.ends_with(group.as_str()) {
                        String::new()
                    } else {
                        format!(".{}", group.as_str())
                    };
                    add(format!("{key}{group}.{name}"), level.to_string());
                }
            }
            Condition::PermissionsAnyAtLeast(asked) => {
                for (name, level) in &asked.listed {
                    add(format!("{key}.{name}"), level.to_string());
                }
            }
            other => add(key.clone(), wanted(other)),
        }
    }
    bounds
}
