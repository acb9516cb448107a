//! What a change of the rules would do: what was judged before is judged under both versions, and what differs is
//! told. Pure; where the record is read from is not known here.

mod changed;
mod render;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{TokenRequest, cut, for_people};

use super::{
    decide::decide,
    decision::{Decision, Effect, RuleId},
    facts::Facts,
    policy::{Mode, Policy},
    render::{asked, sentence},
    rule::Rule,
};

pub use changed::ChangedRule;

/// What became of a request that is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It still waits.
    Pending,
    /// It was approved, and the token has not expired.
    Active,
    /// It is over.
    Over,
}

/// Something that was judged before.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What became of it.
    pub standing: Standing,
    /// The request as it was judged.
    pub request: TokenRequest,
    /// What was known when it was judged.
    pub facts: Facts,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The mode before and after.
    pub mode: (Mode, Mode),
    /// Rules that only the new version has.
    pub added: Vec<RuleId>,
    /// Rules that only the old version has.
    pub removed: Vec<RuleId>,
    /// Rules that say something else.
    pub changed: Vec<ChangedRule>,
    /// Requests that would come out otherwise: first those that would be judged more mildly.
    pub flips: Vec<Flip>,
    /// Active tokens that a rule approved and that none would approve any more.
    pub uncovered: Vec<Flip>,
    /// Requests of which the record lacks a fact that the rules ask for.
    pub cannot_tell: Vec<Unclear>,
    /// How many were judged under both versions.
    pub compared: Compared,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Requests that are over.
    pub over: usize,
    /// Requests that wait.
    pub pending: usize,
    /// Active tokens.
    pub active: usize,
}

/// A request that would come out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// Which.
    pub subject: About,
    /// What the old version says.
    pub old: Effect,
    /// What the new version says.
    pub new: Effect,
    /// The new decision in a sentence.
    pub because: String,
}

/// A request of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclear {
    /// Which.
    pub subject: About,
    /// The facts that the record lacks.
    pub lacks: Vec<String>,
}

/// A request in a few words, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What became of it.
    pub standing: Standing,
    /// The organization.
    pub organization: String,
    /// GitHub's number of the request.
    pub request_id: i64,
    /// Whose token.
    pub owner: String,
    /// The token's name.
    pub token_name: String,
    /// What it asks for.
    pub asks: String,
    /// When it was asked.
    pub created_at: Timestamp,
}

impl Flip {
    /// Whether the new version is the milder one.
    #[must_use]
    pub fn loosens(&self) -> bool {
        self.new < self.old
    }
}

impl Plan {
    /// Whether no request and no token is touched.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.flips.is_empty() && self.uncovered.is_empty() && self.mode.0 == self.mode.1
    }

    /// What both say, of two organizations with the same change of rules.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in [(&mut self.added, other.added), (&mut self.removed, other.removed)] {
            mine.extend(theirs);
            mine.sort();
            mine.dedup();
        }
        self.changed.extend(other.changed);
        self.changed.sort();
        self.changed.dedup();
        self.flips.extend(other.flips);
        self.uncovered.extend(other.uncovered);
        self.cannot_tell.extend(other.cannot_tell);
        self.compared.over += other.compared.over;
        self.compared.pending += other.compared.pending;
        self.compared.active += other.compared.active;
        self.sort();
        self
    }

    /// The milder ones first, then the newer ones.
    fn sort(&mut self) {
        let key = |flip: &Flip| (!flip.loosens(), std::cmp::Reverse(flip.subject.created_at));
        self.flips.sort_by_key(key);
        self.uncovered.sort_by_key(key);
    }

    /// How many would be judged more mildly.
    #[must_use]
    pub fn loosened(&self) -> usize {
        self.flips.iter().filter(|flip| flip.loosens()).count()
    }

    /// For a terminal.
    #[must_use]
    pub fn render(&self) -> String {
        render::terminal(self)
    }

    /// For a check run: Markdown of at most `limit` characters, with a table that a reviewer understands at once.
    /// `names` says whether people and tokens may be named.
    #[must_use]
    pub fn markdown(&self, limit: usize, names: Names) -> String {
        render::markdown(self, limit, names)
    }
}

/// Whether a text that others may read names people and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// It does.
    Shown,
    /// It counts only.
    Counted,
}

/// Judges everything on record under both versions.
#[must_use]
pub fn plan(old: &Policy, new: &Policy, recorded: impl IntoIterator<Item = Recorded>) -> Plan {
    let mut plan = Plan {
        mode: (old.mode(), new.mode()),
        added: Vec::new(),
        removed: Vec::new(),
        changed: Vec::new(),
        flips: Vec::new(),
        uncovered: Vec::new(),
        cannot_tell: Vec::new(),
        compared: Compared::default(),
    };
    compare_rules(&mut plan, old, new);
    for recorded in recorded {
        match recorded.standing {
            Standing::Over => plan.compared.over += 1,
            Standing::Pending => plan.compared.pending += 1,
            Standing::Active => plan.compared.active += 1,
        }
        compare(&mut plan, old, new, &recorded);
    }
    plan.sort();
    plan
}

fn compare_rules(plan: &mut Plan, old: &Policy, new: &Policy) {
    let by_id = |policy: &Policy| -> BTreeMap<RuleId, Rule> {
        policy.rules.iter().map(|rule| (rule.id.clone(), rule.clone())).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    plan.removed = old.keys().filter(|id| !new.contains_key(*id)).cloned().collect();
    for (id, rule) in new {
        match old.get(&id) {
            None => plan.added.push(id),
            Some(before) if !before.says_the_same_as(&rule) => {
                plan.changed.push(ChangedRule::between(before, &rule));
            }
            Some(_) => {}
        }
    }
}

fn compare(plan: &mut Plan, old: &Policy, new: &Policy, recorded: &Recorded) {
    let (request, facts) = (&recorded.request, &recorded.facts);
    let before = decide(old, request, facts);
    let after = decide(new, request, facts);
    // An unread fact that could change one of them says nothing of what people would have seen.
    if before.only_unknown || after.only_unknown {
        let lacks = |decision: &Decision| {
            let unknown = decision.unknown.iter().filter(|unknown| unknown.retry);
            unknown.map(|unknown| unknown.fact.clone()).collect::<Vec<_>>()
        };
        let mut lacks = [lacks(&before), lacks(&after)].concat();
        lacks.sort();
        lacks.dedup();
        plan.cannot_tell.push(Unclear { subject: About::of(recorded), lacks });
        return;
    }
    if before.effect == after.effect {
        return;
    }
    let flip = Flip {
        subject: About::of(recorded),
        old: before.effect,
        new: after.effect,
        because: sentence(&after),
    };
    if recorded.standing == Standing::Active && before.effect == Effect::Approve {
        plan.uncovered.push(flip);
    } else {
        plan.flips.push(flip);
    }
}

impl About {
    fn of(recorded: &Recorded) -> Self {
        let request = &recorded.request;
        let shown = |text: &str| cut(&for_people(text), 100);
        Self {
            standing: recorded.standing,
            organization: shown(request.organization.login.as_str()),
            request_id: request.id.0,
            owner: shown(request.owner.login.as_str()),
            token_name: shown(&request.token.name),
            asks: asked(request, recorded.facts.repositories.value().map(Vec::as_slice)),
            created_at: request.created_at,
        }
    }
}
