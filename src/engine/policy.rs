//! The policies in force: whose rules come from where, what they are now, who is told when they change. Files on disk
//! stand in `disk`, repositories in `repository` and `follow`, how layers make one policy in `combine`.

mod combine;
mod disk;
mod follow;
mod in_force;
mod repository;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::watch;

use self::{
    combine::{Known, Layer},
    in_force::{Entitled, Inner, Source, Touched, compared, protected},
};
use crate::{
    domain::{Login, Organization, OrganizationId, RepositoryId},
    github::RepositoryEvent,
    rules::Policy,
    settings::{Place, RulesSettings},
    store::{PlaceIs, PolicyFiles, PolicyInForceRow, PolicyPlaceRow, Store, StoreError},
};

pub use disk::read_sources;
pub use follow::trusted_as;
pub(super) use repository::is_an_answer;
pub use repository::{NoRules, rules_at};

/// Whose rules: the enterprise's.
pub const ENTERPRISE: &str = "enterprise";

/// Whose rules: those of every organization that is not named with its own.
pub const EVERYBODY: &str = "everybody";

/// Whose rules: one organization's.
#[must_use]
pub fn whose_of(login: &Login) -> String {
    format!("organization {}", login.as_str().to_ascii_lowercase())
}

/// What is kept in place of a place for an organization that is named and has everybody's rules.
const AS_EVERYBODY: &str = "the rules of everybody";

/// What is said until GitHub has answered for the first time.
const NOT_CONFIRMED: &str = "GitHub has not confirmed them since the start";

/// The policy in force for an organization.
#[derive(Clone, Default)]
pub struct InForce {
    /// The last valid one, if there ever was one.
    pub policy: Option<Arc<Policy>>,
    /// Why the files as they are now cannot be used; while this is said, nothing is approved.
    pub broken: Option<String>,
    /// Where its files came from: a path, or a repository and its commit.
    pub source: String,
    /// Which place of the settings that is; `None`: they name none for this organization.
    pub whose: Option<String>,
    /// Whose files they are: an organization that the settings name may have everybody's.
    pub files_of: Option<String>,
}

impl InForce {
    fn none(broken: String) -> Self {
        Self { broken: Some(broken), ..Self::default() }
    }

    /// Whether there are rules, and all that is wrong is that this process has not asked GitHub whether they changed: so it
    /// is with every command that only looks.
    #[must_use]
    pub fn is_only_unconfirmed(&self) -> bool {
        self.policy.is_some()
            && self.broken.as_deref().is_some_and(|why| why.ends_with(NOT_CONFIRMED))
    }

    /// Whether there are none since nobody has read them yet: they are in a repository, and `serve` has not run.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.policy.is_none()
            && self.broken.as_deref().is_some_and(|why| why.ends_with(NOT_CONFIRMED))
    }

    /// The same for people.
    pub(super) fn as_row(&self, organization: &Organization, now: Timestamp) -> PolicyInForceRow {
        PolicyInForceRow {
            organization: organization.clone(),
            whose: self.whose.clone(),
            source: self.source.clone(),
            hash: self.policy.as_ref().map(|policy| policy.hash().to_owned()),
            mode: self.policy.as_ref().map(|policy| policy.mode().as_str().to_owned()),
            grounds: self.policy.as_deref().map(super::judge::grounds),
            broken: self.broken.clone(),
            since: now,
        }
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let grounds =
            |it: &Self| it.policy.as_ref().map(|policy| (policy.hash().to_owned(), policy.mode()));
        grounds(self) == grounds(other)
            && (&self.broken, &self.source) == (&other.broken, &other.source)
    }
}

/// Rules that are in a repository.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose: [`ENTERPRISE`], [`EVERYBODY`], or as [`whose_of`] says.
    pub whose: String,
    /// Who has the repository.
    pub owner: Login,
    /// Where in the repository: a `.toml` file or a directory.
    pub path: String,
    /// The branch that counts, once it is known.
    pub default_branch: Option<String>,
    /// The last files that were in force.
    pub good: Option<Arc<PolicyFiles>>,
}

/// Every organization's policy. Cheap to clone.
#[derive(Clone)]
pub struct Policies {
    inner: Arc<Inner>,
}

impl Policies {
    /// The policies that `settings` name, with what `store` knows of them: the last good files, and which repositories
    /// are followed. Files on disk are read; GitHub is not called. Invalid ones are kept as such: the process runs,
    /// approves nothing, and takes the mended files when they come.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn open(
        settings: RulesSettings,
        store: &Store,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let inner = Inner::of(settings);
        let before = store.policy_places().await?;
        let row_of = |whose: &str| before.iter().find(|row| row.whose == whose);
        let mut tx = store.begin().await?;
        for Source { whose, place } in &inner.sources {
            let is = compared(place, row_of(whose));
            tx.use_policy_place(whose, &place.to_string(), is).await?;
        }
        for entry in &inner.entries {
            if inner.sources.iter().all(|source| source.whose != entry.whose) {
                tx.use_policy_place(&entry.whose, AS_EVERYBODY, PlaceIs::Another).await?;
            }
        }
        tx.commit().await?;
        inner.restore(store.policy_places().await?);
        let policies = Self { inner: Arc::new(inner) };
        policies.read_what_is_there().await?;
        policies.keep(store, now).await?;
        Ok(policies)
    }

    /// The same for a process that only asks what is in force: nothing of it is kept, so that other settings than those of
    /// `serve` make `serve` forget nothing.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn look_into(settings: RulesSettings, store: &Store) -> Result<Self, StoreError> {
        Self::looking(settings, store.policy_places().await?, Vec::new()).await
    }

    /// The same for a process that tells people how things are and does nothing by it: whether rules in a repository are as they
    /// were is what `serve` last wrote down.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn as_recorded(settings: RulesSettings, store: &Store) -> Result<Self, StoreError> {
        let recorded = store.policies_in_force().await?;
        Self::looking(settings, store.policy_places().await?, recorded).await
    }

    /// The same where nothing is on record yet. Rules in repositories are not read: `serve` does that first.
    ///
    /// # Errors
    /// When the files cannot be read at all; what is wrong with them stands in what is in force.
    pub async fn before_the_first_start(settings: RulesSettings) -> Result<Self, StoreError> {
        Self::looking(settings, Vec::new(), Vec::new()).await
    }

    async fn looking(
        settings: RulesSettings,
        mut rows: Vec<PolicyPlaceRow>,
        recorded: Vec<PolicyInForceRow>,
    ) -> Result<Self, StoreError> {
        let inner = Inner { recorded, ..Inner::of(settings) };
        rows.retain(|row| {
            let named = inner.sources.iter().find(|source| source.whose == row.whose);
            named.is_none_or(|source| source.place.to_string() == row.place)
        });
        inner.restore(rows);
        let policies = Self { inner: Arc::new(inner) };
        policies.read_what_is_there().await?;
        Ok(policies)
    }

    async fn read_what_is_there(&self) -> Result<(), StoreError> {
        let reading = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = reading.inner.read_disk();
            // What nobody has read yet has its last good version, too.
            reading.apply(Touched::All, |layers| read.into_iter().for_each(|one| one.put(layers)))
        });
        read.await.map(|_| ()).map_err(|error| StoreError::Unfit(error.to_string()))
    }

    /// The policy in force for an organization now.
    #[must_use]
    pub fn in_force(&self, organization: &Organization) -> InForce {
        let inner = &self.inner;
        let state = inner.state.read().unwrap_or_else(PoisonError::into_inner);
        match inner.entry_of(organization, &state.bound) {
            Entitled::To(entry) => {
                let found = state.in_force.get(entry).map(|it| InForce::clone(it));
                self.as_serve_said(organization, found.unwrap_or_default())
            }
            Entitled::Not(why) => InForce::none(why),
        }
    }

    /// In a process that only tells: the same rules, with what `serve` found out about them.
    fn as_serve_said(&self, organization: &Organization, found: InForce) -> InForce {
        let hash = found.policy.as_ref().map(|policy| policy.hash());
        let mut rows = self.inner.recorded.iter();
        let told =
            rows.find(|row| row.organization.id == organization.id && row.hash.as_deref() == hash);
        match told {
            Some(told) if found.is_only_unconfirmed() => {
                InForce { broken: told.broken.clone(), ..found }
            }
            _ => found,
        }
    }

    /// Whether an organization's policy changed after this generation.
    #[must_use]
    pub fn changed_since(&self, generation: u64, organization: &Organization) -> bool {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        match self.inner.entry_of(organization, &state.bound) {
            Entitled::To(entry) => {
                state.changed_in.get(entry).is_some_and(|changed| *changed > generation)
            }
            Entitled::Not(_) => true,
        }
    }

    /// Told the generation whenever another policy is in force, or the same one is valid again.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Reads what is on disk again, and has the repositories looked at. Gives whether anything on disk changed. It
    /// waits for the disk: never on a thread that serves.
    pub fn reload(&self) -> bool {
        let read = self.inner.read_disk().into_iter();
        read.fold(false, |changed, one| {
            changed | self.apply(Touched::One(one.source), |layers| one.put(layers))
        })
    }

    /// Has every repository with rules looked at soon.
    pub fn look_soon(&self) {
        let repositories = self.inner.sources.iter().enumerate();
        let repositories = repositories.filter(|(_, it)| matches!(it.place, Place::Repository(_)));
        self.inner.wake(repositories.map(|(index, _)| index));
    }

    /// Has the repository of a webhook looked at, if rules are in it. Gives whether they are.
    #[must_use]
    pub fn heard_of(&self, event: &RepositoryEvent) -> bool {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        let concerned: Vec<usize> = (state.layers.iter().zip(&self.inner.sources).enumerate())
            .filter(|(_, (layer, source))| match (&source.place, &layer.repository) {
                (Place::Repository(place), Some(known)) => known.may_change_by(event, place),
                _ => false,
            })
            .map(|(index, _)| index)
            .collect();
        drop(state);
        let any = !concerned.is_empty();
        self.inner.wake(concerned);
        any
    }

    /// The enterprise's files as they are in force, for whoever judges a change of an organization's: the upper half of
    /// [`crate::rules::Sources`].
    #[must_use]
    pub fn enterprise_files(&self) -> Option<Arc<PolicyFiles>> {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        state.layers.get(self.inner.enterprise?)?.good.clone()
    }

    /// Every repository with rules that is followed.
    #[must_use]
    pub fn repositories(&self) -> BTreeSet<RepositoryId> {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        state.layers.iter().filter_map(|layer| layer.repository.as_ref()?.id).collect()
    }

    /// Whose rules are in this repository: for whoever judges a change of them, with [`rules_at`] for the files of any
    /// of its commits.
    #[must_use]
    pub fn held_by(&self, repository: RepositoryId) -> Vec<Held> {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        let all = self.inner.sources.iter().zip(&state.layers);
        all.filter_map(|(source, layer)| {
            let Place::Repository(place) = &source.place else { return None };
            let known = layer.repository.as_ref().filter(|known| known.id == Some(repository))?;
            Some(Held {
                whose: source.whose.clone(),
                owner: Login::new(known.owner.clone()),
                path: place.path.clone(),
                default_branch: known.default_branch.clone(),
                good: layer.good.clone(),
            })
        })
        .collect()
    }

    /// Changes what is known and makes the policies anew that rest on it. Gives whether anything changed. It takes its
    /// time: never on a thread that serves.
    fn apply(&self, touched: Touched, change: impl FnOnce(&mut [Layer])) -> bool {
        let inner = &self.inner;
        let _one_at_a_time = inner.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.state.read().unwrap_or_else(PoisonError::into_inner).layers.clone();
        let mut layers = before.clone();
        change(&mut layers);
        let touched = match touched {
            Touched::One(_) if layers == before => return false,
            // In every policy, the repositories of all of them are protected, under the names that they have.
            Touched::One(source)
                if Some(source) == inner.enterprise || protected(&layers) != protected(&before) =>
            {
                Touched::All
            }
            touched => touched,
        };
        // Before the lock is taken: large files take their time, and whoever decides must not wait for it.
        let made = inner.make(&mut layers, touched);
        let mut state = inner.state.write().unwrap_or_else(PoisonError::into_inner);
        state.layers = layers;
        state.generation += 1;
        let generation = state.generation;
        for (entry, in_force) in made {
            if let (Some(before), Some(changed_in)) =
                (state.in_force.get(entry).cloned(), state.changed_in.get_mut(entry))
                && !before.says_the_same_as(&in_force)
            {
                *changed_in = generation;
            }
            if let Some(slot) = state.in_force.get_mut(entry) {
                *slot = Arc::new(in_force);
            }
        }
        drop(state);
        inner.changed.send_replace(generation);
        true
    }

    fn layer(&self, source: usize) -> Option<Layer> {
        let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
        state.layers.get(source).cloned()
    }

    /// Keeps the last good files in `store`, where they changed.
    ///
    /// # Errors
    /// When the store refuses.
    pub(super) async fn keep(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let good: Vec<(usize, Arc<PolicyFiles>)> = {
            let state = self.inner.state.read().unwrap_or_else(PoisonError::into_inner);
            let layers = state.layers.iter().enumerate();
            layers.filter_map(|(index, layer)| Some((index, layer.good.clone()?))).collect()
        };
        let mut kept = self.inner.kept.lock().await;
        for (index, files) in good {
            let Some(source) = self.inner.sources.get(index) else { continue };
            if kept.get(&index) == Some(&files) {
                continue;
            }
            let mut tx = store.begin().await?;
            tx.keep_policy_files(&source.whose, &files, now).await?;
            tx.commit().await?;
            kept.insert(index, files);
        }
        Ok(())
    }

    /// Notes which organizations have the logins that the settings name, and keeps that: a login can be given up and
    /// taken by somebody else.
    ///
    /// # Errors
    /// When the store refuses.
    pub(super) async fn bind(
        &self,
        organizations: &[Organization],
        store: &Store,
    ) -> Result<(), StoreError> {
        let mut new = Vec::new();
        {
            let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
            for (index, entry) in self.inner.entries.iter().enumerate() {
                let named = entry.login.as_ref().and_then(|login| {
                    organizations.iter().find(|organization| organization.login == *login)
                });
                if let (Some(named), Some(bound @ None)) = (named, state.bound.get_mut(index)) {
                    *bound = Some(named.id);
                    new.push((entry.whose.clone(), named.id));
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let mut tx = store.begin().await?;
        for (whose, organization) in new {
            tx.bind_policy_place(&whose, organization).await?;
        }
        tx.commit().await
    }

    /// Takes over from the store which organization has which login: somebody may have accepted another.
    pub(super) fn rebind(&self, places: &[(String, Option<OrganizationId>)]) {
        let mut changed = false;
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        for (entry, bound) in self.inner.entries.iter().zip(&mut state.bound) {
            let kept = places.iter().find(|(whose, _)| *whose == entry.whose);
            if let Some((_, Some(kept))) = kept
                && *bound != Some(*kept)
            {
                *bound = Some(*kept);
                changed = true;
            }
        }
        if !changed {
            return;
        }
        state.generation += 1;
        let generation = state.generation;
        state.changed_in.fill(generation);
        drop(state);
        self.inner.changed.send_replace(generation);
    }
}

#[cfg(test)]
mod tests;
