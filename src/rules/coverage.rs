//! Whether some approve rule would let an approved token through today: asked of tokens, not of requests, and without
//! what only a request has. What follows from the answer stands in `revocation`.

use std::fmt;

use crate::domain::{Covered, RepositorySelection, cut};

use super::{
    condition::Condition,
    decision::{NearMiss, RuleId},
    facts::Needs,
    held::HeldToken,
    index::Index,
    near_miss::near_miss_of,
    policy::{Policy, needs},
    rule::{Rule, Verb, cheap_first, share},
    subject::Subject,
    truth::Truth,
    unread::Unread,
};

/// The longest list of keys that is shown.
const KEYS: usize = 200;

/// Whether today's approve rules cover a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// This rule lets it through: of several the upper layer's, then the first by id.
    Covered(RuleId),
    /// Every approve rule of every layer is known not to; this one comes closest, where there are any.
    NotCovered(Option<NearMiss>),
    /// No rule is known to, and of some it is not known.
    Unknown(Unread),
}

impl Coverage {
    /// The answer in a word.
    #[must_use]
    pub fn covered(&self) -> Covered {
        match self {
            Self::Covered(_) => Covered::Yes,
            Self::NotCovered(_) => Covered::No,
            Self::Unknown(_) => Covered::Unknown,
        }
    }
}

impl fmt::Display for Coverage {
    /// Which rule, or what is in the way: one line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Covered(rule) => write!(f, "{rule} lets it through"),
            Self::NotCovered(None) => f.write_str("there are no approve rules"),
            Self::NotCovered(Some(near)) => {
                let unmet: Vec<_> = near.unmet.iter().map(|unmet| unmet.key.as_str()).collect();
                write!(f, "closest is {}, unmet {}", near.rule, cut(&unmet.join(", "), KEYS))
            }
            Self::Unknown(unread) => unread.fmt(f),
        }
    }
}

/// Whether some approve rule, under the ceilings as they are, lets the token through with what it holds now. Left out
/// is what a rule asks of the moment of asking or of a text: `request.*`, `token.name`, `clock`, and a justification
/// that it requires. Deny and escalate rules are not asked, nor is who approved it.
#[must_use]
pub fn coverage(policy: &Policy, token: &HeldToken<'_>) -> Coverage {
    let request = token.as_request();
    let subject = Subject::new(&request, token.facts, policy.cover.slots);
    policy.cover.of(&subject)
}

/// The approve rules of a policy without what is left out, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Cover {
    rules: Vec<Rule>,
    index: Index,
    /// How many answers are remembered within one question.
    pub(crate) slots: usize,
}

impl Cover {
    /// Of rules in the order of their policy.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let approve = rules.iter().filter(|rule| rule.verb == Verb::Approve);
        let mut rules: Vec<Rule> = approve.cloned().map(of_tokens).collect();
        let slots = share(&mut rules);
        Self { index: Index::new(&rules), slots, rules }
    }

    /// The facts that they ask for.
    pub(crate) fn needs(&self) -> Needs {
        needs(&self.rules)
    }

    pub(crate) fn of(&self, subject: &Subject<'_>) -> Coverage {
        let mut maybe = Vec::new();
        for number in self.index.candidates(subject) {
            let Some(rule) = self.rules.get(number as usize) else { continue };
            match rule.applies(subject) {
                Truth::Matched => return Coverage::Covered(rule.id.clone()),
                Truth::Unknown => maybe.push(rule),
                Truth::NotMatched => {}
            }
        }
        if maybe.is_empty() {
            return Coverage::NotCovered(near_miss_of(&self.rules, subject));
        }
        let mut unread = Unread::default();
        for rule in maybe {
            rule.checks.iter().for_each(|check| unread.note(&rule.id, check, subject));
        }
        Coverage::Unknown(unread.sorted())
    }
}

/// The rule as it is asked of tokens.
fn of_tokens(mut rule: Rule) -> Rule {
    rule.checks.retain(|check| !is_about_asking(&check.condition));
    for check in &mut rule.checks {
        // The slots of the whole policy are numbered otherwise.
        check.slot = None;
        // Any list is inside "any that are picked by name", so none is read for it: with most rules that saves a call
        // for each token.
        if let Condition::AllowRepositories { names, all } = &check.condition
            && names.everything()
        {
            let mut inside = vec![RepositorySelection::None, RepositorySelection::Subset];
            inside.extend(all.then_some(RepositorySelection::All));
            check.condition = Condition::RepositorySelection(inside);
        }
    }
    rule.cheap_first = cheap_first(&rule.checks);
    rule
}

/// Whether a condition is about the moment of asking or what the requester wrote, which an approved token no longer
/// shows or can change at will.
fn is_about_asking(condition: &Condition) -> bool {
    match condition {
        Condition::TokenName(_)
        | Condition::RequestKind(_)
        | Condition::RequestReason { .. }
        | Condition::RequestAge(_)
        | Condition::Clock(_) => true,
        Condition::OrganizationLogin(_)
        | Condition::OwnerLogin(_)
        | Condition::OwnerTeams(_)
        | Condition::OwnerRole(_)
        | Condition::OwnerActiveTokens(_)
        | Condition::OwnerRequests(_)
        | Condition::OwnerDenials(_)
        | Condition::TokenLifetime(_)
        | Condition::TokenUnusedFor(_)
        | Condition::TokenNeverExpires(_)
        | Condition::TokenExpired(_)
        | Condition::RepositorySelection(_)
        | Condition::RepositoriesCount(_)
        | Condition::RepositoriesAny(_)
        | Condition::RepositoriesAll(_)
        | Condition::PermissionsAnyAtLeast(_)
        | Condition::PermissionsWithin(_)
        | Condition::AllowRepositories { .. } => false,
    }
}
