//! PURE: what somebody who is asked about a request must know before anything else: what is hard, and where the rules themselves are
//! within reach. Everybody who is asked is told, on an issue, in a mail and in the digest, and nowhere is it folded away.

use serde::Serialize;

use super::{
    decision::Decision,
    policy::PROTECTED_REPOSITORIES,
    protected::{Guarded, Keeps},
    trace::Trace,
    truth::Truth,
    veto::{Veto, vetoes},
};

/// The most repositories that one caution names.
const NAMED: usize = 5;

/// One thing that weighs more than the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Caution {
    /// The token could write to where the rules, or the answers of reviewers, are kept.
    ReachesGuarded {
        /// Whether that is certain; it is not where its repositories could not be read.
        certain: bool,
        /// What is there; empty where that is not known.
        guarded: Vec<Guarded>,
    },
    /// A hard rule denies it, or may: then nobody can approve it here.
    HardVeto {
        /// The rule.
        rule: String,
        /// The facts that could not be read and keep the rule from being certain; empty: it denies.
        unknown: Vec<String>,
    },
}

/// What weighs most in a request that was judged so, the heaviest first. `guarded`: what [`Policy::guarded`] says of it.
///
/// [`Policy::guarded`]: super::Policy::guarded
#[must_use]
pub fn cautions(decision: &Decision, trace: &Trace, guarded: Vec<Guarded>) -> Vec<Caution> {
    let hard = vetoes(decision, trace).into_iter().filter(|veto| veto.hard);
    let hard = hard.filter_map(|Veto { rule, unknown, .. }| {
        Some(Caution::HardVeto { rule: rule?.as_str().to_owned(), unknown })
    });
    let built_in = trace.rules.iter().find(|rule| rule.rule.as_str() == PROTECTED_REPOSITORIES);
    let reaches = match built_in.map(|rule| rule.truth) {
        Some(Truth::Matched) => Some(Caution::ReachesGuarded { certain: true, guarded }),
        Some(Truth::Unknown) => {
            Some(Caution::ReachesGuarded { certain: false, guarded: Vec::new() })
        }
        Some(Truth::NotMatched) | None => None,
    };
    hard.chain(reaches).collect()
}

impl Caution {
    /// It in a sentence. `name` makes the name of a rule, a fact or a repository fit for where the sentence stands.
    #[must_use]
    pub fn in_words(&self, name: impl Fn(&str) -> String) -> String {
        match self {
            Self::HardVeto { rule, unknown } if unknown.is_empty() => {
                format!("the rule {} denies it, and is hard: nobody can approve it here", name(rule))
            }
            Self::HardVeto { rule, unknown } => {
                let unknown: Vec<String> = unknown.iter().map(|fact| name(fact)).collect();
                format!(
                    "the rule {}, which is hard, may deny it: nobody can approve it here before {} can be read",
                    name(rule),
                    unknown.join(", ")
                )
            }
            Self::ReachesGuarded { certain: false, .. } => {
                "it may be able to write where the rules or the reviewers' answers are: which repositories it reaches could \
                 not be read"
                    .to_owned()
            }
            Self::ReachesGuarded { guarded, .. } => {
                let mut places: Vec<String> = guarded
                    .iter()
                    .take(NAMED)
                    .map(|one| format!("{}, where {}", name(&one.repository), one.keeps.in_words()))
                    .collect();
                if places.is_empty() {
                    places.push("a repository with the rules or the reviewers' answers".to_owned());
                } else if guarded.len() > NAMED {
                    places.push(format!("{} more", guarded.len() - NAMED));
                }
                format!("it could write to {}. No rule lets that pass", places.join(", and to "))
            }
        }
    }
}

impl Keeps {
    fn in_words(self) -> &'static str {
        match self {
            Self::Rules => "the rules are",
            Self::Answers => "reviewers answer",
        }
    }
}
