//! What keeps an answer from being known: in words for people, and as what is to be read. Judging stands elsewhere.

use std::fmt;

use super::{
    condition::{Condition, RepositoryTest},
    decision::{RuleId, UnknownFact},
    explain,
    facts::Needs,
    rule::Check,
    subject::{Repositories, Subject},
    truth::Truth,
};

/// How many facts are written out before "and N more".
const SHOWN: usize = 3;

/// The facts that an answer hangs on and that were not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// In words for people, sorted, each once: never empty where an answer is missing.
    pub facts: Vec<UnknownFact>,
    /// What to read for an answer, and nothing that it does not hang on. Empty where no reading helps: a token for
    /// all repositories has no list. It may name what was tried and could not be read, so read each once.
    pub needed: Needs,
}

impl Unread {
    /// Notes what `check`, of this rule or policy, lacks; nothing where its answer is known.
    pub(crate) fn note(&mut self, asked_by: &RuleId, check: &Check, subject: &Subject<'_>) {
        if check.passes(subject) == Truth::Unknown {
            self.facts.extend(explain::unknowns(asked_by, check, subject));
            self.needed.lacking(&check.condition, subject);
        }
    }

    /// What either lacks.
    pub(crate) fn extend(&mut self, other: Self) {
        self.facts.extend(other.facts);
        self.needed.extend(other.needed);
    }

    /// In the one order that does not depend on the order of rules.
    pub(crate) fn sorted(mut self) -> Self {
        self.facts.sort();
        self.facts.dedup();
        self
    }
}

impl fmt::Display for Unread {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fact = |unread: &UnknownFact| format!("{} ({})", unread.fact, unread.why);
        let mut shown: Vec<_> = self.facts.iter().map(fact).collect();
        shown.dedup();
        let more = shown.len().saturating_sub(SHOWN);
        shown.truncate(SHOWN);
        write!(f, "cannot say without {}", shown.join(", "))?;
        if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

impl Needs {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the facts that a condition asks for.
    pub(crate) fn ask(&mut self, condition: &Condition) {
        match condition {
            Condition::OwnerTeams(teams) => self.teams.extend(teams.iter().cloned()),
            Condition::OwnerRole(_) => self.owner_role = true,
            Condition::OwnerActiveTokens(_) => self.owner_active_tokens = true,
            Condition::OwnerRequests(counted) => {
                self.owner_requests.insert(counted.within);
            }
            Condition::OwnerDenials(counted) => {
                self.owner_denials.insert(counted.within);
            }
            Condition::RequestKind(_) => self.kind = true,
            Condition::RepositoriesAny(test) | Condition::RepositoriesAll(test) => {
                self.repositories = true;
                self.custom_properties.extend(test.custom_properties.keys().cloned());
            }
            Condition::RepositoriesCount(_) | Condition::AllowRepositories { .. } => {
                self.repositories = true;
            }
            _ => {}
        }
    }

    /// Adds what a condition whose answer is unknown lacks.
    fn lacking(&mut self, condition: &Condition, subject: &Subject<'_>) {
        match (condition, subject.repositories) {
            (Condition::OwnerTeams(teams), _) => {
                let unread = teams.iter().filter(|team| subject.in_team(team) == Truth::Unknown);
                self.teams.extend(unread.cloned());
            }
            (
                Condition::RepositoriesAny(_)
                | Condition::RepositoriesAll(_)
                | Condition::RepositoriesCount(_)
                | Condition::AllowRepositories { .. },
                Repositories::All | Repositories::None,
            ) => {}
            (
                Condition::RepositoriesAny(test) | Condition::RepositoriesAll(test),
                Repositories::Listed(_),
            ) => self.unread_parts(test, subject),
            _ => self.ask(condition),
        }
    }

    fn unread_parts(&mut self, test: &RepositoryTest, subject: &Subject<'_>) {
        for part in subject.listed().flat_map(|(repository, _)| test.unread(repository)) {
            match part.strip_prefix("custom_properties.") {
                Some(property) => drop(self.custom_properties.insert(property.to_owned())),
                None => self.repositories = true,
            }
        }
    }

    fn extend(&mut self, other: Self) {
        self.owner_role |= other.owner_role;
        self.teams.extend(other.teams);
        self.owner_active_tokens |= other.owner_active_tokens;
        self.owner_requests.extend(other.owner_requests);
        self.owner_denials.extend(other.owner_denials);
        self.repositories |= other.repositories;
        self.custom_properties.extend(other.custom_properties);
        self.kind |= other.kind;
    }
}
