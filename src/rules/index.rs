//! Finding the rules that can apply to a request without asking all of them. Leaves out only rules of which
//! some check is *known* to fail, so it never changes a decision.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::domain::TeamRef;

use super::{
    condition::Condition,
    facts::Fact,
    pattern::Head,
    permission_set::Most,
    quantity::Bounds,
    rule::{Part, Rule},
    subject::{Repositories, Subject},
};

/// Below this many rules, asking all of them is faster than looking them up.
const FEW: usize = 24;

type Rules = Vec<u32>;

/// Rules by the one condition of each that leaves the fewest others in its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    always: Rules,
    owner: Names,
    token: Names,
    /// Rules that apply only if some repository has one of the names.
    any_repository: Names,
    any_repository_all: Rules,
    /// Rules that apply only if every repository has one of the names: the first must, then.
    every_repository: Names,
    every_repository_all: Rules,
    teams: Vec<(TeamRef, Rules)>,
    /// For each rule what can be told at a glance.
    glances: Vec<Glance>,
}

/// Two bounds that most rules have and that no look-up finds, close together in memory: of ten thousand rules,
/// most of the time would go into fetching them.
#[derive(Clone, Debug)]
struct Glance {
    most_days: Option<i64>,
    most: Most,
}

impl Glance {
    fn of(rule: &Rule) -> Self {
        let mut glance = Self { most_days: None, most: Most::anything() };
        for check in rule.checks.iter().filter(|check| check.part != Part::Unless) {
            match &check.condition {
                Condition::TokenLifetime(bounds) => {
                    glance.most_days = glance.most_days.into_iter().chain(bounds.at_most).min();
                }
                Condition::PermissionsWithin(bound) => glance.most.and(bound),
                _ => {}
            }
        }
        glance
    }

    /// Whether the rule is not known to fail already.
    fn may_apply(&self, subject: &Subject<'_>) -> bool {
        self.most_days.is_none_or(|most| Bounds::at_most(most).hold(subject.lifetime))
            && !subject.asked.is_beyond(&self.most)
    }
}

/// Rules by the names or beginnings of names that they need.
#[derive(Clone, Debug, Default)]
struct Names {
    exact: Map,
    prefixes: Map,
    lengths: Vec<usize>,
}

type Map = HashMap<Box<str>, Rules, BuildHasherDefault<Fnv>>;

/// What a rule may be looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Owner,
    Token,
    EveryRepository,
    AnyRepository,
    Team,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Exact(String),
    Prefix(String),
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut index = Self { glances: rules.iter().map(Glance::of).collect(), ..Self::default() };
        if rules.len() < FEW {
            index.always = (0..).take(rules.len()).collect();
            return index;
        }
        let handles: Vec<_> = rules.iter().map(handles).collect();
        let mut crowd: HashMap<(Kind, &Key), usize> = HashMap::new();
        for (kind, keys) in handles.iter().flatten() {
            for key in keys {
                *crowd.entry((*kind, key)).or_default() += 1;
            }
        }
        let mut teams: HashMap<&str, Rules> = HashMap::new();
        for (number, handles) in (0..).zip(&handles) {
            let cost = |(kind, keys): &&(Kind, Vec<Key>)| {
                let others = keys.iter().map(|key| crowd.get(&(*kind, key)).copied().unwrap_or(0));
                (others.sum::<usize>(), *kind)
            };
            let Some((kind, keys)) = handles.iter().min_by_key(cost) else {
                index.always.push(number);
                continue;
            };
            let names = match kind {
                Kind::Owner => &mut index.owner,
                Kind::Token => &mut index.token,
                Kind::AnyRepository => {
                    index.any_repository_all.push(number);
                    &mut index.any_repository
                }
                Kind::EveryRepository => {
                    index.every_repository_all.push(number);
                    &mut index.every_repository
                }
                Kind::Team => {
                    for key in keys {
                        let (Key::Exact(team) | Key::Prefix(team)) = key;
                        teams.entry(team).or_default().push(number);
                    }
                    continue;
                }
            };
            for key in keys {
                names.insert(key, number);
            }
        }
        index.teams = teams
            .into_iter()
            .filter_map(|(team, rules)| Some((TeamRef::parse(team).ok()?, rules)))
            .collect();
        index.teams.sort_by(|a, b| a.0.cmp(&b.0));
        for names in [
            &mut index.owner,
            &mut index.token,
            &mut index.any_repository,
            &mut index.every_repository,
        ] {
            names.finish();
        }
        index
    }

    /// The rules that can apply, each once, in order. The others are known not to.
    pub(crate) fn candidates(&self, subject: &Subject<'_>) -> Vec<u32> {
        let mut found = self.always.clone();
        self.owner.find(&subject.owner, &mut found);
        self.token.find(&subject.request.token.name, &mut found);
        match subject.repositories {
            Repositories::None => found.extend(&self.every_repository_all),
            Repositories::All | Repositories::Unknown(_) => {
                found.extend(&self.every_repository_all);
                found.extend(&self.any_repository_all);
            }
            Repositories::Listed(_) => {
                for (repository, name) in subject.listed() {
                    self.any_repository.find(name, &mut found);
                    // Vetoes go by former names as well; what finds another rule too much does no harm.
                    for former in &repository.former_names {
                        self.any_repository.find(&former.to_ascii_lowercase(), &mut found);
                    }
                }
                if let Some((first, name)) = subject.listed().next() {
                    self.every_repository.find(name, &mut found);
                    for former in &first.former_names {
                        self.every_repository.find(&former.to_ascii_lowercase(), &mut found);
                    }
                }
            }
        }
        self.of_teams(subject, &mut found);
        found.retain(|number| {
            self.glances.get(*number as usize).is_none_or(|glance| glance.may_apply(subject))
        });
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// Walks the teams and what was read of them side by side: both are sorted, and mostly the same.
    fn of_teams(&self, subject: &Subject<'_>, found: &mut Rules) {
        let mut facts = subject.facts.owner_teams.iter().peekable();
        for (team, rules) in &self.teams {
            let fact = loop {
                match facts.peek() {
                    Some((read, fact)) if *read == team => break fact.value().copied(),
                    Some((read, _)) if *read < team => drop(facts.next()),
                    // No entry of this form: there may be one of the other.
                    _ => break subject.team_fact(team).and_then(Fact::value).copied(),
                }
            };
            if fact != Some(false) {
                found.extend(rules);
            }
        }
    }
}

impl Names {
    fn insert(&mut self, key: &Key, rule: u32) {
        let (map, text) = match key {
            Key::Exact(text) => (&mut self.exact, text),
            Key::Prefix(text) => {
                self.lengths.push(text.len());
                (&mut self.prefixes, text)
            }
        };
        map.entry(text.as_str().into()).or_default().push(rule);
    }

    fn finish(&mut self) {
        self.lengths.sort_unstable();
        self.lengths.dedup();
    }

    fn find(&self, name: &str, found: &mut Rules) {
        if let Some(rules) = self.exact.get(name) {
            found.extend(rules);
        }
        for length in &self.lengths {
            if let Some(rules) = name.get(..*length).and_then(|prefix| self.prefixes.get(prefix)) {
                found.extend(rules);
            }
        }
    }
}

/// Everything that a rule could be looked up by.
fn handles(rule: &Rule) -> Vec<(Kind, Vec<Key>)> {
    let mut handles = Vec::new();
    for check in rule.checks.iter().filter(|check| check.part != Part::Unless) {
        let handle = match &check.condition {
            Condition::OwnerLogin(logins) => logins.heads().map(|heads| (Kind::Owner, keys(heads))),
            Condition::TokenName(pattern) => {
                pattern.prefix().map(|prefix| (Kind::Token, vec![Key::Prefix(prefix.to_owned())]))
            }
            Condition::RepositoriesAny(test) => {
                let heads = test.name.as_ref().and_then(|names| names.heads());
                heads.map(|heads| (Kind::AnyRepository, keys(heads)))
            }
            Condition::RepositoriesAll(test) => {
                let heads = test.name.as_ref().and_then(|names| names.heads());
                heads.map(|heads| (Kind::EveryRepository, keys(heads)))
            }
            Condition::AllowRepositories { names, .. } => {
                names.heads().map(|heads| (Kind::EveryRepository, keys(heads)))
            }
            Condition::OwnerTeams(teams) => {
                let keys = teams.iter().map(|team| Key::Exact(team.to_string())).collect();
                Some((Kind::Team, keys))
            }
            _ => None,
        };
        handles.extend(handle);
    }
    handles
}

fn keys(heads: Vec<Head<'_>>) -> Vec<Key> {
    heads
        .into_iter()
        .map(|head| match head {
            Head::Exact(text) => Key::Exact(text.to_owned()),
            Head::Prefix(text) => Key::Prefix(text.to_owned()),
        })
        .collect()
}

/// FNV-1a: fast on short names. Only names from the policy are ever stored, so nobody can crowd a bucket.
#[derive(Clone)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
