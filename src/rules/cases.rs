//! Cases in rule files: what a request should come to, and whether it does. Reading `wants` and `world` is in
//! `situation`.

mod situation;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde::{Deserialize, Serialize};

use self::situation::Situation;
use super::{
    condition::Condition,
    decide::{applying, decide, decide_with_trace},
    decision::{Decision, Effect, RuleId},
    diagnostic::{Code, Diagnostic, Place},
    layer::Layer,
    load::{
        Compiled, Loaded, Standing,
        reader::{Reader, Value, entries},
    },
    policy::Policy,
    rule::Rule,
    subject::Subject,
    trace::Trace,
    truth::Truth,
};

pub use situation::parse_situation;

/// One case as a file states it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    name: String,
    layer: Layer,
    place: Place,
    situation: Situation,
    expect: Effect,
    by: Option<BTreeSet<String>>,
    to: Option<BTreeSet<String>>,
    near_miss: Option<BTreeSet<String>>,
}

/// What all cases came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Each case, in order of file and place.
    pub cases: Vec<CaseResult>,
    /// Rules that apply in no case.
    pub unexercised: Vec<RuleId>,
    /// Conditions that come out the same way in every case: nothing shows that they matter, or that they can be met.
    pub one_sided: Vec<OneSided>,
    /// How many conditions there are.
    pub conditions: usize,
}

/// A condition that comes out the same way in every case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OneSided {
    /// Whose.
    pub rule: RuleId,
    /// Its key in the rule.
    pub key: String,
    /// How it never comes out.
    pub never: Side,
}

/// How a condition comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// It is met.
    Met,
    /// It is not.
    Unmet,
}

impl Report {
    /// Whether there are cases, and all of them pass: no cases prove nothing.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.cases.is_empty() && self.cases.iter().all(|case| case.passed)
    }

    /// For a terminal: each case that fails with its whole trace, the rules no case exercises, and a count.
    #[must_use]
    pub fn render(&self) -> String {
        super::render::report(self)
    }
}

/// What one case came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether everything is as stated.
    pub passed: bool,
    /// What is not, one sentence each.
    pub problems: Vec<String>,
    /// What the rules said.
    pub decision: Decision,
    /// Why they said it, for a case that fails; of very many, for the first.
    pub trace: Option<Trace>,
}

/// Runs all cases of what was loaded. Without a policy that compiles there is nothing to run them on, and the
/// report is empty.
#[must_use]
pub fn run(loaded: &Loaded) -> Report {
    let Some(compiled) = &loaded.compiled else {
        return Report {
            cases: Vec::new(),
            unexercised: Vec::new(),
            one_sided: Vec::new(),
            conditions: 0,
        };
    };
    let policy = &compiled.policy;
    let outcomes = compiled.outcomes(&loaded.cases);
    let exercised: BTreeSet<&RuleId> =
        outcomes.iter().flat_map(|outcome| outcome.applying.iter().copied()).collect();
    let unexercised =
        policy.rule_ids().map(|(id, _)| id).filter(|id| !exercised.contains(id)).cloned().collect();
    let one_sided = one_sided(&outcomes);
    let conditions = policy.rules.iter().map(|rule| rule.checks.len()).sum();
    let mut traced = 0;
    let result = |outcome: Outcome<'_>| {
        let explained = traced < MOST_TRACES && !outcome.problems().is_empty();
        traced += usize::from(explained);
        let trace = explained.then(|| outcome.trace());
        outcome.result(trace)
    };
    let mut cases: Vec<_> = outcomes.into_iter().map(result).collect();
    cases.sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
    Report { cases, unexercised, one_sided, conditions }
}

/// Of so many failing cases the whole trace is kept: each is as large as all rules together.
const MOST_TRACES: usize = 20;

/// More rules times cases than this are not looked at one by one.
const MOST_WORK: usize = 1_000_000;

/// The conditions that are met in no case, or in all of them, among the cases that come so far: a condition is asked only
/// where the others of its rule are met, or else it may fail unnoticed.
fn one_sided(outcomes: &[Outcome<'_>]) -> Vec<OneSided> {
    let work: usize = outcomes.iter().map(|outcome| outcome.policy.rules.len()).sum();
    if work > MOST_WORK {
        return Vec::new();
    }
    let mut seen: BTreeMap<(&RuleId, &str), (bool, bool)> = BTreeMap::new();
    for outcome in outcomes {
        let request = &outcome.case.situation.request;
        let facts = outcome.case.situation.facts(outcome.policy.needs());
        let subject = Subject::new(request, &facts, outcome.policy.slots);
        for rule in &outcome.policy.rules {
            let truths: Vec<Truth> =
                rule.checks.iter().map(|check| check.passes(&subject)).collect();
            let unmet = truths.iter().filter(|truth| **truth != Truth::Matched).count();
            for (check, truth) in rule.checks.iter().zip(truths) {
                let (met, alone) = seen.entry((&rule.id, &check.key)).or_default();
                *met |= unmet == 0;
                *alone |= unmet == 1 && truth != Truth::Matched;
            }
        }
    }
    let mut found = Vec::new();
    for ((rule, key), (met, alone)) in seen {
        let mut add =
            |never| found.push(OneSided { rule: rule.clone(), key: key.to_owned(), never });
        if !met {
            add(Side::Met);
        }
        if met && !alone {
            add(Side::Unmet);
        }
    }
    found
}

/// What one case came to, before it is explained.
pub(crate) struct Outcome<'a> {
    case: &'a Case,
    policy: &'a Policy,
    pub(crate) decision: Decision,
    pub(crate) applying: Vec<&'a RuleId>,
    touches_clock: bool,
}

impl Compiled {
    /// What the cases come to, each under its own layer and those above.
    pub(crate) fn outcomes<'a>(&'a self, cases: &'a [Case]) -> Vec<Outcome<'a>> {
        let timed = Layer::ALL.map(|layer| (layer, timed(self.of(layer))));
        let outcome = |case: &'a Case| {
            let policy = self.of(case.layer);
            let (request, facts) = (&case.situation.request, case.situation.facts(policy.needs()));
            let subject = Subject::new(request, &facts, policy.slots);
            let mut timed = timed.iter().filter(|(layer, _)| *layer == case.layer);
            Outcome {
                case,
                policy,
                decision: decide(policy, request, &facts),
                applying: applying(policy, request, &facts),
                touches_clock: timed
                    .any(|(_, rules)| rules.iter().any(|rule| hangs_on_time(rule, &subject))),
            }
        };
        cases.iter().map(outcome).collect()
    }
}

fn is_clock(condition: &Condition) -> bool {
    matches!(condition, Condition::Clock(_))
}

/// The rules that say something else at another time.
fn timed(policy: &Policy) -> Vec<&Rule> {
    let clocks = |rule: &Rule| rule.checks.iter().any(|check| is_clock(&check.condition));
    policy.rules.iter().filter(|rule| clocks(rule) || !rule.waivers.is_empty()).collect()
}

/// Whether the time alone decides what a rule says of this. One that fails whatever the time is does not.
fn hangs_on_time(rule: &Rule, subject: &Subject<'_>) -> bool {
    let others = rule.checks.iter().filter(|check| !is_clock(&check.condition));
    let clocks = rule.checks.iter().any(|check| is_clock(&check.condition));
    Truth::all(others.map(|check| check.passes(subject))) != Truth::NotMatched
        && (clocks || rule.waivers.iter().any(|waiver| waiver.concerns(subject)))
}

impl Outcome<'_> {
    fn problems(&self) -> Vec<String> {
        let (case, decision) = (self.case, &self.decision);
        let mut problems = Vec::new();
        if decision.effect != case.expect {
            problems.push(format!(
                "expected {}, and it is {}",
                case.expect,
                super::render::sentence(decision)
            ));
        }
        let mut compare = |what: &str, stated: &Option<BTreeSet<String>>, found: Vec<String>| {
            let found: BTreeSet<_> = found.into_iter().collect();
            if let Some(stated) = stated
                && *stated != found
            {
                let list = |set: &BTreeSet<String>| {
                    if set.is_empty() {
                        "nothing".to_owned()
                    } else {
                        Vec::from_iter(set.iter().map(String::as_str)).join(", ")
                    }
                };
                problems.push(format!(
                    "expected {what} to be {}, and it is {}",
                    list(stated),
                    list(&found)
                ));
            }
        };
        compare("`by`", &case.by, decision.by.iter().map(RuleId::to_string).collect());
        compare("`to`", &case.to, decision.to.clone());
        let near =
            decision.near_miss.as_ref().map(|near_miss| near_miss.lines()).unwrap_or_default();
        compare("`near_miss`", &case.near_miss, near);
        if self.must_state_now() {
            problems.push("it depends on the time and does not state `now`".to_owned());
        }
        problems
    }

    fn must_state_now(&self) -> bool {
        self.touches_clock && !self.case.situation.now_stated
    }

    /// Why the rules said what they said.
    fn trace(&self) -> Trace {
        let facts = self.case.situation.facts(self.policy.needs());
        decide_with_trace(self.policy, &self.case.situation.request, &facts).1
    }

    fn result(self, trace: Option<Trace>) -> CaseResult {
        let problems = self.problems();
        CaseResult {
            name: self.case.name.clone(),
            place: self.case.place.clone(),
            passed: problems.is_empty(),
            problems,
            decision: self.decision,
            trace,
        }
    }

    /// The case's failure as a problem of the file.
    pub(crate) fn diagnostic(&self, standing: Standing) -> Option<Diagnostic> {
        let problem = self.problem()?;
        // It passed under the upper layer as it was: not the lower layer's fault.
        if self.case.layer > Layer::Enterprise && standing == Standing::Before {
            let message = format!("{}, since an upper layer changed", problem.message);
            return Some(Diagnostic::new(Code::DisabledByUpperLayer, problem.place, message));
        }
        Some(problem)
    }

    fn problem(&self) -> Option<Diagnostic> {
        let case = self.case;
        if self.must_state_now() {
            let message =
                format!("the case \"{}\" depends on the time and does not state it", case.name);
            let help = "add `now`, such as `now = 2026-12-20T12:00:00Z`";
            return Some(Diagnostic::new(Code::StateNow, case.place.clone(), message).help(help));
        }
        let problems = self.problems();
        (!problems.is_empty()).then(|| {
            let message = format!("the case \"{}\" fails: {}", case.name, problems.join("; "));
            let help = "`patwarden rules test` shows the whole reasoning; mend the rule, or what the case asks for and expects";
            Diagnostic::new(Code::FailingTest, case.place.clone(), message).help(help)
        })
    }
}

/// Reads one case.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    name: &str,
    span: Range<usize>,
    value: &Value<'_>,
) -> Option<Case> {
    let path = format!("tests.\"{}\"", super::load::reader::shown(name));
    let place = reader.place(span.clone());
    let mut situation = situation::Builder::default();
    let (mut expect, mut by, mut to, mut near_miss) = (None, None, None, None);
    let mut has_expect = false;
    let errors = |reader: &Reader<'_>| reader.diagnostics.iter().filter(|d| d.is_error()).count();
    let before = errors(reader);
    let keys = ["wants", "world", "now", "unknown", "expect", "by", "to", "near_miss"];
    reader.table(value, &path, &keys, |reader, key, _, value| {
        let path = format!("{path}.{key}");
        match key {
            "expect" => {
                has_expect = true;
                let words = [
                    ("approve", Effect::Approve),
                    ("deny", Effect::Deny),
                    ("escalate", Effect::Escalate),
                ];
                let word = reader.string(value, &path);
                expect = word.and_then(|word| reader.word(word, value.span(), &path, &words));
            }
            "by" => by = Some(set(reader, value, &path)),
            "to" => to = Some(set(reader, value, &path)),
            "near_miss" => near_miss = Some(set(reader, value, &path)),
            _ => situation.key(reader, key, value, &path),
        }
    });
    if !has_expect && entries(value).is_some() {
        reader.missing(
            span,
            format!("`{path}` has no `expect`"),
            "what it should come to: `expect = \"approve\"`, `\"deny\"` or `\"escalate\"`",
        );
    }
    let situation = situation.finish(reader, value.span(), &path);
    if errors(reader) > before {
        return None;
    }
    Some(Case {
        name: name.to_owned(),
        layer: reader.layer,
        place,
        situation: situation?,
        expect: expect?,
        by,
        to,
        near_miss,
    })
}

/// A list of strings that may be empty, or one string.
fn set(reader: &mut Reader<'_>, value: &Value<'_>, path: &str) -> BTreeSet<String> {
    if matches!(value.get_ref(), toml::de::DeValue::Array(items) if items.is_empty()) {
        return BTreeSet::new();
    }
    reader.one_or_more(value, path).into_iter().map(|(text, _)| text.to_owned()).collect()
}
