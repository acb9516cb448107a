//! The built-in veto: no rule approves write access to where the rules, or the answers of reviewers, are kept.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    decision::{RuleId, Unmet},
    explain,
    layer::Layer,
    policy::{Notify, PROTECTED_REPOSITORIES, Policy},
    rule::{Enforcement, Part, Verb},
    subject::{Repositories, Subject},
    trace::{ConditionTrace, RuleTrace},
    truth::Truth,
};
use crate::domain::{Repository, RepositorySelection, TokenRequest};

/// A protected repository that a token would reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guarded {
    /// `acme/rules`.
    pub repository: String,
    /// Why it is protected.
    pub keeps: Keeps,
}

/// What a protected repository is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeps {
    /// The rules.
    Rules,
    /// The issues on which reviewers answer.
    Answers,
}

impl Policy {
    /// The protected repositories that the token of a request would reach, whatever it might do there; `repositories`: those of a
    /// `subset`, where they were read. For saying which: whether it reaches any is what the trace says.
    #[must_use]
    pub fn guarded(
        &self,
        request: &TokenRequest,
        repositories: Option<&[Repository]>,
    ) -> Vec<Guarded> {
        let organization = request.organization.login.as_str().to_ascii_lowercase();
        let here: BTreeSet<&str> = (self.protected.iter())
            .filter(|(owner, _)| *owner == organization)
            .map(|(_, repository)| repository.as_str())
            .collect();
        let notified = self.reviewers().values().flat_map(|group| &group.notify);
        let answers: BTreeSet<String> = notified
            .filter_map(|notify| match notify {
                Notify::Issue { organization: owner, repository } => (owner
                    .eq_ignore_ascii_case(&organization))
                .then(|| repository.to_ascii_lowercase()),
                Notify::Email(_) => None,
            })
            .collect();
        let guarded = |name: &str, protected: &str, by_number: bool| Guarded {
            repository: format!("{}/{name}", request.organization.login),
            keeps: if answers.contains(protected) && !by_number {
                Keeps::Answers
            } else {
                Keeps::Rules
            },
        };
        match request.repository_selection {
            RepositorySelection::None => Vec::new(),
            RepositorySelection::All => {
                here.iter().map(|name| guarded(name, name, false)).collect()
            }
            RepositorySelection::Subset => repositories
                .unwrap_or_default()
                .iter()
                .filter_map(|repository| {
                    let by_number = self.protected_ids.contains(&repository.id);
                    let names = [&repository.name].into_iter().chain(&repository.former_names);
                    let mut names = names.map(|name| name.to_ascii_lowercase());
                    let known = names.find(|name| here.contains(name.as_str()));
                    let protected = known.or_else(|| by_number.then(String::new))?;
                    Some(guarded(&repository.name, &protected, by_number))
                })
                .collect(),
        }
    }
}

/// Whether the token could write to a protected repository.
pub(crate) fn applies(policy: &Policy, subject: &Subject<'_>) -> Truth {
    if !subject.writes() {
        return Truth::NotMatched;
    }
    reaches(policy, subject)
}

fn reaches(policy: &Policy, subject: &Subject<'_>) -> Truth {
    let here: Vec<_> = names(policy, subject).collect();
    if here.is_empty() && policy.protected_ids.is_empty() {
        return Truth::NotMatched;
    }
    match subject.repositories {
        Repositories::None => Truth::NotMatched,
        // Of numbers it is not known whose they are: all repositories of another organization are none of them.
        Repositories::All | Repositories::Unknown(_) if here.is_empty() => Truth::NotMatched,
        Repositories::All => Truth::Matched,
        Repositories::Unknown(_) => Truth::Unknown,
        Repositories::Listed(_) => {
            // By number as well, and by former names: a rename must not be faster than we are.
            Truth::of(subject.listed().any(|(repository, name)| {
                let formerly = |protected: &&str| {
                    repository.former_names.iter().any(|name| name.eq_ignore_ascii_case(protected))
                };
                policy.protected_ids.contains(&repository.id)
                    || here.contains(&name)
                    || here.iter().any(formerly)
            }))
        }
    }
}

/// The protected repositories of the request's organization.
fn names<'p>(policy: &'p Policy, subject: &Subject<'_>) -> impl Iterator<Item = &'p str> {
    let protected = policy.protected.iter();
    protected
        .filter(|(organization, _)| *organization == subject.organization)
        .map(|(_, repository)| repository.as_str())
}

/// The veto as a rule of the trace; absent where nothing is protected.
pub(crate) fn trace(policy: &Policy, subject: &Subject<'_>) -> Option<RuleTrace> {
    let names: Vec<_> = names(policy, subject).collect();
    if names.is_empty() && policy.protected_ids.is_empty() {
        return None;
    }
    let condition = |key: &str, expected: String, found: String, truth: Truth| ConditionTrace {
        key: key.to_owned(),
        part: Part::When,
        expected,
        bound_by: Vec::new(),
        found,
        source: explain::FROM_REQUEST.to_owned(),
        read_at: None,
        truth,
        unmet: Vec::<Unmet>::new(),
    };
    let writes = Truth::of(subject.writes());
    Some(RuleTrace {
        rule: RuleId::new(PROTECTED_REPOSITORIES),
        verb: Verb::Escalate,
        layer: Layer::Enterprise,
        enforcement: Enforcement::Hard,
        gate: true,
        waivers: Vec::new(),
        truth: applies(policy, subject),
        conditions: vec![
            condition(
                "when.permissions.any_at_least.repository",
                "any: write".to_owned(),
                if subject.writes() { "writes" } else { "reads only" }.to_owned(),
                writes,
            ),
            condition(
                "when.repositories.any.name",
                names.join(", "),
                explain::repository_names(subject),
                reaches(policy, subject),
            ),
        ],
    })
}
