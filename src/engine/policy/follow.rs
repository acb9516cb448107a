//! Following repositories with rules: when each is looked at, what a look does to the policies in force, and what is kept
//! of it. What a look finds is for `repository`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    ENTERPRISE, EVERYBODY, Known, NOT_CONFIRMED, Policies, Touched,
    repository::{Look, Looker, Memory, There},
};
use crate::{
    domain::{Installation, RepositoryId},
    engine::{Engine, after, retry_pause},
    github::{CallError, RemoteRepository},
    settings::{Place, RepositoryPlace},
    store::{InstallationRow, Pin, PinnedBy, StoreError},
};

/// How often a repository is looked at although no webhook came.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// The least time between two rounds, however many webhooks come.
const LEAST_BETWEEN: Duration = Duration::from_millis(500);

/// How soon a repository is looked at again of whose organization nothing is known yet, since GitHub has not said where the
/// App is.
const NOT_YET: Duration = Duration::from_secs(1);

/// How soon somebody's acceptance of another repository is noticed.
const TRUST_EVERY: Duration = Duration::from_secs(5);

/// How long a policy that GitHub confirmed counts as confirmed while GitHub gives no answer.
const CONFIRMED_FOR: SignedDuration = SignedDuration::from_mins(15);

/// The most repositories that are looked at side by side.
const SIDE_BY_SIDE: usize = 8;

/// How many other installations are asked for a repository that is not where it was.
const ASKED_ELSEWHERE: usize = 50;

/// One repository that is followed.
struct Follower {
    source: usize,
    whose: String,
    place: RepositoryPlace,
    memory: Memory,
    failures: u32,
    due_at: Timestamp,
    /// What was there and was not accepted: the pin by which it was not.
    refused: Option<Option<Pin>>,
}

impl Policies {
    fn followers(&self, now: Timestamp) -> Vec<Follower> {
        let sources = self.inner.sources.iter().enumerate();
        let followers = sources.filter_map(|(source, told)| match &told.place {
            Place::Disk(_) => None,
            Place::Repository(place) => Some(Follower {
                source,
                whose: told.whose.clone(),
                place: place.clone(),
                memory: Memory::default(),
                failures: 0,
                due_at: now,
                refused: None,
            }),
        });
        followers.collect()
    }

    /// Those that somebody wants to be looked at now.
    fn take_woken(&self) -> std::collections::BTreeSet<usize> {
        std::mem::take(
            &mut *self.inner.woken.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    /// As [`Policies::apply`], from a thread that serves.
    async fn learn(&self, source: usize, change: impl FnOnce(&mut super::Layer) + Send + 'static) {
        let policies = self.clone();
        let learnt = tokio::task::spawn_blocking(move || {
            policies.apply(Touched::One(source), |layers| {
                if let Some(layer) = layers.get_mut(source) {
                    change(layer);
                }
            })
        });
        if let Err(error) = learnt.await {
            tracing::error!(%error, "rules could not be loaded: a defect, please report it");
        }
    }
}

impl Engine {
    /// Looks at every repository with rules at once, then every so often, and whenever somebody says that it changed.
    pub(in crate::engine) async fn follow_repositories(self: Arc<Self>, stop: CancellationToken) {
        let mut followers = self.policies.followers(self.clock.now());
        if followers.is_empty() {
            return stop.cancelled().await;
        }
        loop {
            let woken = self.policies.take_woken();
            let now = self.clock.now();
            let (due, mut waiting): (Vec<_>, Vec<_>) = followers
                .into_iter()
                .partition(|one| one.due_at <= now || woken.contains(&one.source));
            waiting.extend(self.look_at_all(due).await);
            followers = waiting;
            let next = followers.iter().map(|one| one.due_at).min().unwrap_or(now);
            let refused = followers.iter().any(|one| one.refused.is_some());
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                () = self.policies.inner.wake.notified() => {}
                () = tokio::time::sleep(TRUST_EVERY), if refused => self.notice_trust(&mut followers).await,
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(LEAST_BETWEEN) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Looks at every repository with rules once, for a process that does nothing else: until GitHub has confirmed what was
    /// kept of them, nothing is approved.
    pub(in crate::engine) async fn look_at_rules(self: &Arc<Self>) {
        self.look_at_all(self.policies.followers(self.clock.now())).await;
    }

    async fn look_at_all(self: &Arc<Self>, due: Vec<Follower>) -> Vec<Follower> {
        let mut done = Vec::new();
        let mut due = due.into_iter();
        let mut looks = JoinSet::new();
        loop {
            for one in due.by_ref().take(SIDE_BY_SIDE.saturating_sub(looks.len())) {
                let engine = Arc::clone(self);
                let source = one.source;
                // In a task of its own: a panic is a defect of ours, and must not end the other looks.
                looks.spawn(async move {
                    let look = Arc::clone(&engine);
                    match tokio::spawn(look.look_at(one)).await {
                        Ok(one) => Some(one),
                        Err(error) => {
                            tracing::error!(%error, "a look at a repository with rules broke off: a defect, please report it");
                            let now = engine.clock.now();
                            let anew = engine.policies.followers(after(now, LOOK_EVERY));
                            anew.into_iter().find(|other| other.source == source)
                        }
                    }
                });
            }
            match looks.join_next().await {
                Some(one) => done.extend(one.ok().flatten()),
                None => return done,
            }
        }
    }

    /// Whether somebody accepted what was refused: then it is looked at now.
    async fn notice_trust(&self, followers: &mut [Follower]) {
        for one in followers {
            let Some(then) = one.refused else { continue };
            match self.store.policy_pin(&one.whose).await {
                Ok(pin) if pin != then => one.due_at = self.clock.now(),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the store was not asked who is trusted"),
            }
        }
    }

    async fn look_at(self: Arc<Self>, mut one: Follower) -> Follower {
        let now = self.clock.now();
        one.due_at = after(now, LOOK_EVERY);
        let seen = match self.see(&one).await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(%error, whose = one.whose, "the store cannot be used; the rules are looked at again");
                one.due_at = after(now, retry_pause(1));
                return one;
            }
        };
        let noted = self.take(&mut one, seen).await;
        if let Err(error) = noted {
            tracing::error!(%error, whose = one.whose, "what became of the rules was not kept; tried again");
            // As if nothing had been seen: what was not kept is read again.
            one.memory.forget();
            one.due_at = after(now, retry_pause(1));
        }
        one
    }

    /// Who is asked about a repository: the installation on the organization that has it.
    async fn see(&self, one: &Follower) -> Result<(Option<Pin>, Look), StoreError> {
        let kept = self.store.policy_pin(&one.whose).await?;
        let pin = match (one.place.id, kept) {
            (Some(id), Some(kept)) if kept.id == id => Some(Pin { by: PinnedBy::Settings, ..kept }),
            (Some(id), _) => Some(Pin { id, owner: None, by: PinnedBy::Settings }),
            (None, kept) => kept.filter(|kept| kept.by != PinnedBy::Settings),
        };
        let listed = self.listed.load(Ordering::Acquire);
        let unusable = |why: String| Ok((pin, Look::Unusable(why)));
        let place = Place::Repository(one.place.clone());
        let installations = self.store.installations().await?;
        let owner = pin.and_then(|pin| pin.owner);
        let theirs = installations.iter().find(|row| match owner {
            Some(owner) => row.organization.id == owner,
            None => row.organization.login == one.place.owner,
        });
        let Some(row) = theirs else {
            if !listed {
                return Ok((pin, Look::NotYet));
            }
            return unusable(format!(
                "the rules at {place}: the App is not installed on {}, as far as we know",
                one.place.owner
            ));
        };
        if row.suspended {
            return unusable(format!(
                "the rules at {place}: the App's installation on {} is suspended",
                row.organization.login
            ));
        }
        if let Some(until) = self.parked(row).await? {
            return Ok((pin, Look::NoAnswer(CallError::RateLimited { until })));
        }
        let read = match self.clients.read(row.id) {
            Ok(read) => read,
            Err(error) => return Ok((pin, Look::NoAnswer(error))),
        };
        let installation = Installation {
            id: row.id,
            organization: row.organization.clone(),
            suspended: row.suspended,
        };
        let layer = self.policies.layer(one.source);
        let good = layer.as_ref().and_then(|layer| layer.good.as_deref());
        let looker = Looker {
            place: &one.place,
            trust: trusted_as(&one.whose),
            installation: &installation,
            read: &read,
            pin,
            good,
            has_files: layer.as_ref().is_some_and(|layer| layer.now.is_ok()),
        };
        let others = installations.iter().filter(|other| other.id != row.id && !other.suspended);
        let others: Vec<&InstallationRow> = others.take(ASKED_ELSEWHERE).collect();
        let look = looker.look(&one.memory, |id| self.find(&others, id)).await;
        if let Look::NoAnswer(CallError::RateLimited { until })
        | Look::Behind(CallError::RateLimited { until }) = &look
        {
            let mut tx = self.store.begin().await?;
            tx.note_limits(row.id, read.limits(), Some(*until)).await?;
            tx.commit().await?;
        }
        Ok((pin, look))
    }

    async fn parked(&self, row: &InstallationRow) -> Result<Option<Timestamp>, StoreError> {
        let until = self.store.parked_until(row.id).await?;
        Ok(until.filter(|until| *until > self.clock.now()))
    }

    /// A repository of this number where another installation sees it.
    async fn find(
        &self,
        others: &[&InstallationRow],
        id: RepositoryId,
    ) -> Option<RemoteRepository> {
        for row in others {
            if !matches!(self.parked(row).await, Ok(None)) {
                continue;
            }
            let Ok(read) = self.clients.read(row.id) else { continue };
            if let Ok(found) = read.repository_by_id(id).await {
                return Some(found);
            }
        }
        None
    }

    /// Takes what was seen: keeps it, then puts it in force.
    async fn take(
        &self,
        one: &mut Follower,
        (pin, look): (Option<Pin>, Look),
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let place = Place::Repository(one.place.clone());
        if !matches!(look, Look::NotYet | Look::NoAnswer(_) | Look::Behind(_)) {
            one.failures = 0;
        }
        one.refused = None;
        let why = match look {
            Look::There(there) => {
                let There { repository, files, mut memory } = *there;
                self.note_there(one, &repository, pin, files.is_some()).await?;
                memory.confirmed_at = Some(now);
                one.memory = memory;
                let known = Known {
                    id: Some(repository.id),
                    owner: repository.owner.login.to_string(),
                    name: repository.name,
                    default_branch: Some(repository.default_branch),
                };
                let learnt = self.policies.learn(one.source, |layer| {
                    layer.repository = Some(known);
                    if let Some(files) = files {
                        layer.now = Ok(Arc::new(files));
                    }
                });
                learnt.await;
                return Ok(());
            }
            Look::Refused { why, found } => {
                let mut tx = self.store.begin().await?;
                tx.refuse_policy_place(&one.whose, &why, &found, now).await?;
                tx.commit().await?;
                one.refused = Some(self.store.policy_pin(&one.whose).await?);
                why
            }
            Look::Unusable(why) => why,
            Look::NotYet => {
                one.due_at = after(now, NOT_YET);
                return Ok(());
            }
            Look::Behind(error) => {
                one.failures += 1;
                one.due_at = self.again(one.failures, &error);
                format!("the rules at {place} changed, and could not be read: {error}")
            }
            Look::NoAnswer(error) => {
                one.failures += 1;
                one.due_at = self.again(one.failures, &error);
                tracing::warn!(whose = one.whose, %place, %error, "GitHub did not say whether the rules changed; tried again");
                match one.memory.confirmed_at {
                    Some(then) if now.duration_since(then) <= CONFIRMED_FOR => return Ok(()),
                    Some(then) => format!(
                        "the rules at {place}: GitHub has not confirmed them since {then:.0}"
                    ),
                    None => format!("the rules at {place}: {NOT_CONFIRMED}"),
                }
            }
        };
        // Whatever comes next is read anew.
        one.memory.forget();
        self.policies.learn(one.source, |layer| layer.now = Err(why)).await;
        Ok(())
    }

    async fn note_there(
        &self,
        one: &Follower,
        repository: &RemoteRepository,
        pin: Option<Pin>,
        anew: bool,
    ) -> Result<(), StoreError> {
        let known = one.memory.repository();
        if known == Some(repository) && !anew {
            return Ok(());
        }
        let name = repository.full_name();
        if let Some(known) = known.filter(|known| known.default_branch != repository.default_branch)
        {
            tracing::error!(
                whose = one.whose,
                repository = name,
                before = known.default_branch,
                now = repository.default_branch,
                "the rules come from ANOTHER BRANCH: is it protected as the other was?"
            );
        }
        if known.is_some_and(|known| !known.public && repository.public) {
            tracing::error!(
                whose = one.whose,
                repository = name,
                "the repository with the rules was made PUBLIC: everybody can read them now"
            );
        } else if known.is_none() && repository.public {
            tracing::warn!(
                whose = one.whose,
                repository = name,
                "the repository with the rules is public"
            );
        }
        if known.is_some_and(|known| known.full_name() != name) {
            tracing::warn!(
                whose = one.whose,
                repository = name,
                "the repository with the rules has another name; it is followed"
            );
        }
        let pin = Pin {
            id: repository.id,
            owner: Some(repository.owner.id),
            by: pin.map_or(PinnedBy::FirstUse, |pin| pin.by),
        };
        let mut tx = self.store.begin().await?;
        tx.pin_policy_place(&one.whose, &pin).await?;
        let branch = &repository.default_branch;
        tx.note_policy_repository(&one.whose, &name, branch, repository.public).await?;
        tx.commit().await
    }

    fn again(&self, failures: u32, error: &CallError) -> Timestamp {
        let now = self.clock.now();
        let next = after(now, retry_pause(failures).min(LOOK_EVERY));
        match error {
            CallError::RateLimited { until } => next.max(*until),
            _ => next,
        }
    }
}

/// What `patwarden policy trust` calls those whose rules are in a place.
#[must_use]
pub fn trusted_as(whose: &str) -> &str {
    match whose {
        ENTERPRISE | EVERYBODY => whose,
        _ => whose.strip_prefix("organization ").unwrap_or(whose),
    }
}
