//! What is in force: whom the settings name, what is known of every place, and the policies that are made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tokio::sync::{Notify, watch};

use super::{
    ENTERPRISE, EVERYBODY, InForce, NOT_CONFIRMED,
    combine::{Combined, Known, Layer, combine},
    disk::read_sources,
    whose_of,
};
use crate::{
    domain::{Login, Organization, OrganizationId, RepositoryId},
    github::RepositoryEvent,
    rules::{Mode, Policy, SourceFile, diagnostic::Diagnostic},
    settings::{Place, RepositoryPlace, RulesSettings},
    store::{PlaceIs, PolicyFiles, PolicyInForceRow, PolicyPlaceRow},
};

/// A place of the settings with files of its own.
pub(super) struct Source {
    pub(super) whose: String,
    pub(super) place: Place,
}

/// Whom the settings name: an organization, or every other.
pub(super) struct Entry {
    pub(super) whose: String,
    pub(super) login: Option<Login>,
    /// Where its files are, among the sources.
    pub(super) source: usize,
    pub(super) highest_mode: Mode,
}

#[derive(Default)]
pub(super) struct State {
    /// As many as there are sources.
    pub(super) layers: Vec<Layer>,
    /// As many as there are entries.
    pub(super) in_force: Vec<Arc<InForce>>,
    /// When each of them changed last.
    pub(super) changed_in: Vec<u64>,
    /// Which organization had an entry's login first.
    pub(super) bound: Vec<Option<OrganizationId>>,
    pub(super) generation: u64,
}

pub(super) struct Inner {
    pub(super) sources: Vec<Source>,
    pub(super) enterprise: Option<usize>,
    pub(super) entries: Vec<Entry>,
    pub(super) state: RwLock<State>,
    /// Loading takes its time: one at a time, and whoever decides does not wait for it.
    pub(super) one_at_a_time: Mutex<()>,
    pub(super) changed: watch::Sender<u64>,
    /// Sources in repositories that are to be looked at now.
    pub(super) woken: Mutex<BTreeSet<usize>>,
    pub(super) wake: Notify,
    pub(super) kept: tokio::sync::Mutex<BTreeMap<usize, Arc<PolicyFiles>>>,
    /// What `serve` wrote down, for a process that only tells; empty otherwise.
    pub(super) recorded: Vec<PolicyInForceRow>,
}

/// Which sources changed.
#[derive(Clone, Copy)]
pub(super) enum Touched {
    All,
    One(usize),
}

impl Touched {
    pub(super) fn is(self, source: usize) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == source,
        }
    }
}

/// What was read of a source on disk.
pub(super) struct OnDisk {
    pub(super) source: usize,
    pub(super) read: Result<Vec<SourceFile>, String>,
}

impl OnDisk {
    pub(super) fn put(self, layers: &mut [Layer]) {
        let Some(layer) = layers.get_mut(self.source) else { return };
        let files = |files| Arc::new(PolicyFiles { files, commit: None, url: None });
        layer.now = self.read.map(files);
    }
}

/// What an organization is entitled to by the settings.
pub(super) enum Entitled {
    /// An entry.
    To(usize),
    /// Nothing, and why.
    Not(String),
}

impl Inner {
    pub(super) fn of(settings: RulesSettings) -> Self {
        let RulesSettings { enterprise, everybody, organizations, highest_mode } = settings;
        let mut inner = Self {
            sources: Vec::new(),
            enterprise: None,
            entries: Vec::new(),
            state: RwLock::default(),
            one_at_a_time: Mutex::default(),
            changed: watch::Sender::new(0),
            woken: Mutex::default(),
            wake: Notify::new(),
            kept: tokio::sync::Mutex::default(),
            recorded: Vec::new(),
        };
        inner.enterprise = enterprise.map(|place| inner.add(ENTERPRISE.to_owned(), place));
        let everybody = everybody.map(|place| inner.add(EVERYBODY.to_owned(), place));
        for organization in organizations {
            let whose = whose_of(&organization.login);
            let own = organization.place.map(|place| inner.add(whose.clone(), place));
            if let Some(source) = own.or(everybody) {
                let cap = organization.highest_mode.unwrap_or(highest_mode).min(highest_mode);
                let login = Some(organization.login);
                inner.entries.push(Entry { whose, login, source, highest_mode: cap });
            }
        }
        if let Some(source) = everybody {
            let whose = EVERYBODY.to_owned();
            inner.entries.push(Entry { whose, login: None, source, highest_mode });
        }
        inner
    }

    fn add(&mut self, whose: String, place: Place) -> usize {
        self.sources.push(Source { whose, place });
        self.sources.len() - 1
    }

    /// What the store knows from before.
    pub(super) fn restore(&self, rows: Vec<PolicyPlaceRow>) {
        let row_of = |whose: &str| rows.iter().find(|row| row.whose == whose);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.layers = (self.sources.iter())
            .map(|source| {
                let row = row_of(&source.whose);
                let place = source.place.to_string();
                let repository = match &source.place {
                    Place::Disk(_) => None,
                    Place::Repository(place) => Some(Known::of(place, row)),
                };
                Layer {
                    now: Err(format!("the rules at {place}: {NOT_CONFIRMED}")),
                    place,
                    good: row.and_then(|row| row.good.clone()).map(Arc::new),
                    repository,
                }
            })
            .collect();
        state.in_force = (self.entries.iter())
            .map(|entry| {
                Arc::new(InForce { whose: Some(entry.whose.clone()), ..InForce::default() })
            })
            .collect();
        state.changed_in = vec![0; self.entries.len()];
        state.bound = (self.entries.iter())
            .map(|entry| row_of(&entry.whose).and_then(|row| row.organization))
            .collect();
        let kept = state.layers.iter().enumerate();
        let kept = kept.filter_map(|(index, layer)| Some((index, layer.good.clone()?))).collect();
        // Nobody else has it yet.
        if let Ok(mut known) = self.kept.try_lock() {
            *known = kept;
        }
    }

    pub(super) fn entry_of(
        &self,
        organization: &Organization,
        bound: &[Option<OrganizationId>],
    ) -> Entitled {
        let login = &organization.login;
        let entries = || self.entries.iter().zip(bound).enumerate();
        // Whoever is known by number keeps what is theirs, whatever they are called now.
        if let Some((index, _)) = entries()
            .find(|(_, (entry, bound))| entry.login.is_some() && **bound == Some(organization.id))
        {
            return Entitled::To(index);
        }
        let named = entries().find(|(_, (entry, _))| entry.login.as_ref() == Some(login));
        match named {
            Some((index, (_, None))) => Entitled::To(index),
            Some((_, (_, Some(other)))) => Entitled::Not(format!(
                "the settings name {login}, and another organization (number {other}) was called that before: \
                 `patwarden policy trust {login}` says that this one is meant"
            )),
            None => match self.entries.iter().position(|entry| entry.login.is_none()) {
                Some(index) => Entitled::To(index),
                None => Entitled::Not(format!("the settings name no rules for {login}")),
            },
        }
    }

    pub(super) fn read_disk(&self) -> Vec<OnDisk> {
        let sources = self.sources.iter().enumerate();
        let read = sources.filter_map(|(source, told)| match &told.place {
            Place::Disk(path) => Some(OnDisk { source, read: read_sources(path) }),
            Place::Repository(_) => None,
        });
        read.collect()
    }

    /// Makes the policies that rest on what was touched, and notes in `layers` which files are good.
    pub(super) fn make(&self, layers: &mut [Layer], touched: Touched) -> Vec<(usize, InForce)> {
        let mut made = Vec::new();
        let mut upper: Option<Arc<PolicyFiles>> = None;
        for (index, told) in self.sources.iter().enumerate() {
            if Some(index) == self.enterprise || !touched.is(index) {
                continue;
            }
            let above = self.enterprise.and_then(|index| layers.get(index)).cloned();
            let Some(layer) = layers.get(index).cloned() else { continue };
            let mut combined = combine(above.as_ref(), &layer);
            let policy = combined.policy.take().map(|policy| protect(policy, layers));
            if let (Some(good), Some(layer)) = (&combined.organization, layers.get_mut(index)) {
                layer.good = Some(Arc::clone(good));
            }
            if let Some(good) = &combined.enterprise {
                // What is in force for one of them is good, also when another has to stay with what was before.
                let newest = above.is_some_and(|above| above.now.as_ref() == Ok(good));
                upper = upper.filter(|_| !newest).or_else(|| Some(Arc::clone(good)));
            }
            say(&combined, policy.as_ref(), told);
            for (entry, named) in self.entries.iter().enumerate() {
                if named.source == index {
                    let policy = policy.clone().map(|policy| policy.with_mode(named.highest_mode));
                    let Combined { source, broken, .. } = combined.clone();
                    let whose = Some(named.whose.clone());
                    let policy = policy.map(Arc::new);
                    let files_of = Some(told.whose.clone());
                    made.push((entry, InForce { policy, broken, source, whose, files_of }));
                }
            }
        }
        if let (Some(good), Some(layer)) =
            (upper, self.enterprise.and_then(|it| layers.get_mut(it)))
        {
            layer.good = Some(good);
        }
        made
    }

    pub(super) fn wake(&self, sources: impl IntoIterator<Item = usize>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let before = woken.len();
        woken.extend(sources);
        if woken.len() > before {
            self.wake.notify_one();
        }
    }
}

impl Known {
    pub(super) fn of(place: &RepositoryPlace, row: Option<&PolicyPlaceRow>) -> Self {
        let full_name = row.and_then(|row| row.full_name.as_deref()?.split_once('/'));
        let (owner, name) = full_name.unwrap_or((place.owner.as_str(), &place.name));
        Self {
            id: place.id.or_else(|| Some(row?.pin?.id)),
            owner: owner.to_owned(),
            name: name.to_owned(),
            default_branch: row.and_then(|row| row.default_branch.clone()),
        }
    }

    /// Whether an event says that what we know of this repository may have changed: it is about it, or about one that
    /// has its name now.
    pub(super) fn may_change_by(&self, event: &RepositoryEvent, place: &RepositoryPlace) -> bool {
        let is_called = |owner: &str, name: &str| {
            event.full_name.eq_ignore_ascii_case(&format!("{owner}/{name}"))
        };
        if self.id != Some(event.id) {
            return is_called(place.owner.as_str(), &place.name)
                || is_called(&self.owner, &self.name);
        }
        let branch = event.pushed.as_ref().zip(self.default_branch.as_ref());
        branch.is_none_or(|(pushed, branch)| {
            pushed.strip_prefix("refs/heads/") == Some(branch.as_str())
        })
    }
}

/// What a place of the settings is to what was kept for the same organization. A repository is the same whose name only
/// differs in its letters' case, as GitHub has it, or who has the name by which it was last followed.
pub(super) fn compared(place: &Place, row: Option<&PolicyPlaceRow>) -> PlaceIs {
    let Some(row) = row else { return PlaceIs::Another };
    let (Place::Repository(now), Ok(Place::Repository(before))) = (place, Place::parse(&row.place))
    else {
        return if row.place == place.to_string() { PlaceIs::TheSame } else { PlaceIs::Another };
    };
    let name = format!("{}/{}", now.owner, now.name);
    let known = row.full_name.as_ref().filter(|_| row.pin.is_some());
    let same = name.eq_ignore_ascii_case(&format!("{}/{}", before.owner, before.name))
        || known.is_some_and(|known| known.eq_ignore_ascii_case(&name));
    match (same, now.path == before.path) {
        (true, true) => PlaceIs::TheSame,
        (true, false) => PlaceIs::AnotherPath,
        (false, _) => PlaceIs::Another,
    }
}

/// The repositories with rules, by owner and name: whoever may write to one decides what is approved.
pub(super) fn protected(layers: &[Layer]) -> Vec<(&str, &str, Option<RepositoryId>)> {
    let repositories = layers.iter().filter_map(|layer| layer.repository.as_ref());
    repositories.map(|it| (it.owner.as_str(), it.name.as_str(), it.id)).collect()
}

fn protect(policy: Policy, layers: &[Layer]) -> Policy {
    protected(layers).into_iter().fold(policy, |policy, (owner, name, id)| {
        let policy = policy.with_protected(owner, name);
        id.map_or(policy.clone(), |id| policy.with_protected_id(id))
    })
}

fn say(combined: &Combined, policy: Option<&Policy>, source: &Source) {
    warn_of(&combined.diagnostics);
    let whose = source.whose.as_str();
    match (policy, &combined.broken) {
        (Some(policy), None) => {
            tracing::info!(
                whose,
                source = combined.source,
                mode = policy.mode().as_str(),
                rules = policy.rule_count(),
                hash = policy.hash(),
                "rules loaded"
            );
            if policy.mode() == Mode::Shadow {
                tracing::warn!(
                    whose,
                    "SHADOW: everything is decided and recorded, nothing is sent"
                );
            }
        }
        (_, Some(why)) if why.ends_with(NOT_CONFIRMED) => {
            tracing::info!(
                whose,
                why,
                "the rules are read from GitHub first: nothing is approved before that"
            );
        }
        (last_good, why) => tracing::error!(
            whose,
            why = why.as_deref().unwrap_or_default(),
            last_good = last_good.is_some(),
            "the rules cannot be used; nothing is approved"
        ),
    }
}

fn warn_of(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        tracing::warn!("{}", diagnostic.render_human(false).trim_end());
    }
}
