//! What ended since the last digest, counted: by rules, by people, and what nobody judged here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Content, SHOWN};
use crate::{
    digest::{Alarm, Decided, Denial, Few, Outside, OutsideWhat, PersonCount, RuleCount},
    domain::RequestId,
    engine::lifecycle::{Outcome, SettledBy},
    store::{EndedRequest, StoreError},
};

/// How many requests that are over are counted at a time.
const COUNTED_AT_ONCE: i64 = 500;

/// What is over, as a digest tells it.
pub(super) struct Ended {
    pub(super) decided: Decided,
    pub(super) outside: Few<Outside>,
    pub(super) alarms: Few<Alarm>,
    pub(super) median_wait: Option<i64>,
}

impl Content<'_> {
    /// What ended since then: counted, what people decided, and the median of the waits in seconds.
    pub(super) async fn ended(&self, since: Timestamp) -> Result<Ended, StoreError> {
        let mut count = Count::default();
        let mut after = (since, RequestId(i64::MAX));
        loop {
            let some = self
                .store
                .ended_requests(self.organization.id, after, self.now, COUNTED_AT_ONCE)
                .await?;
            let Some(last) = some.last() else { break };
            after = (last.ended_at, last.id);
            some.into_iter().for_each(|one| count.add(one));
        }
        Ok(count.into_parts())
    }
}

/// What ended, as it is counted.
#[derive(Default)]
struct Count {
    alarms: Few<Alarm>,
    rules: BTreeMap<String, RuleCount>,
    people: BTreeMap<String, PersonCount>,
    denials: Few<Denial>,
    outside: Few<Outside>,
    cancelled: u64,
    otherwise: u64,
    waits: Vec<i64>,
}

impl Count {
    fn add(&mut self, ended: EndedRequest) {
        let waited = ended.ended_at.duration_since(ended.woken_at).as_secs().max(0);
        let approved = matches!(ended.outcome, Outcome::Approved);
        match (&ended.by, ended.outcome) {
            (_, Outcome::Cancelled) => self.cancelled += 1,
            (SettledBy::Rule, outcome) => {
                self.waits.push(waited);
                let first = ended.decision.as_ref().and_then(|decision| decision.by.first());
                let rule = first.map_or_else(|| "the default".to_owned(), ToString::to_string);
                let count = self.rules.entry(rule.clone()).or_default();
                count.rule = rule.clone();
                match outcome {
                    Outcome::Approved => count.approved += 1,
                    Outcome::Revoked => {
                        count.revoked += 1;
                        self.alarms.all += 1;
                        if self.alarms.shown.len() < SHOWN as usize {
                            self.alarms.shown.push(Alarm {
                                request: ended.id.0,
                                owner: ended.owner,
                                token_name: ended.token_name,
                                at: ended.ended_at,
                            });
                        }
                    }
                    _ => {
                        count.denied += 1;
                        self.denials.all += 1;
                        if self.denials.shown.len() < SHOWN as usize {
                            let reason = ended.decision.and_then(|decision| decision.reason);
                            self.denials.shown.push(Denial {
                                owner: ended.owner,
                                token_name: ended.token_name,
                                rule,
                                reason: reason.unwrap_or_default(),
                            });
                        }
                    }
                }
            }
            (SettledBy::Person(login), _) => {
                self.waits.push(waited);
                self.person(format!("@{login}"), approved);
                self.outside.all += 1;
                if self.outside.shown.len() < SHOWN as usize {
                    let login = login.clone();
                    self.outside.shown.push(Outside {
                        owner: ended.owner,
                        token_name: ended.token_name,
                        at: ended.ended_at,
                        what: if approved {
                            OutsideWhat::Approved(login)
                        } else {
                            OutsideWhat::Denied(login)
                        },
                    });
                }
            }
            (SettledBy::Operator(name), _) => {
                self.waits.push(waited);
                self.person(name.clone(), approved);
            }
            (SettledBy::Reviewers(who), _) => {
                self.waits.push(waited);
                // Who, by number, and on which issue: the login is enough here.
                let who = who.split_once(" (").map_or(who.as_str(), |(who, _)| who);
                self.person(who.to_owned(), approved);
            }
            (SettledBy::Silence(_), _) => {
                self.waits.push(waited);
                self.person("nobody's answer in time".to_owned(), approved);
            }
            (SettledBy::Requester | SettledBy::App(_) | SettledBy::Unknown, _) => {
                self.otherwise += 1;
            }
        }
    }

    fn person(&mut self, who: String, approved: bool) {
        let count = self.people.entry(who.clone()).or_default();
        count.who = who;
        if approved {
            count.approved += 1;
        } else {
            count.denied += 1;
        }
    }

    fn into_parts(mut self) -> Ended {
        self.waits.sort_unstable();
        let median = self.waits.get(self.waits.len().saturating_sub(1) / 2).copied();
        let mut by_rule: Vec<RuleCount> = self.rules.into_values().collect();
        let decided = |one: &RuleCount| one.approved + one.denied + one.revoked;
        by_rule.sort_by(|a, b| (decided(b), &a.rule).cmp(&(decided(a), &b.rule)));
        let mut people: Vec<PersonCount> = self.people.into_values().collect();
        let decided = |one: &PersonCount| one.approved + one.denied;
        people.sort_by(|a, b| (decided(b), &a.who).cmp(&(decided(a), &b.who)));
        let decided = Decided {
            by_rule,
            denials: self.denials,
            people,
            cancelled: self.cancelled,
            otherwise: self.otherwise,
        };
        Ended { decided, outside: self.outside, alarms: self.alarms, median_wait: median }
    }
}
