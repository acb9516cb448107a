//! All open pull requests against rules, once in a while: those of which no webhook told us are found, and what was said of
//! others long ago is forgotten.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{NotSaid, RUNS_WITHIN};
use crate::{
    domain::RepositoryId,
    engine::Engine,
    store::{Said, Told},
};

/// How long what was said of a pull request is kept once it is closed.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Engine {
    pub(super) async fn sweep(&self) {
        let followed = self.policies.repositories();
        for repository in &followed {
            if let Err(error) = self.sweep_one(*repository).await {
                tracing::debug!(%error, %repository, "its pull requests were not listed");
            }
        }
        if let Err(error) = self.forget_others(&followed).await {
            tracing::warn!(%error, "what was said of old pull requests could not be forgotten");
        }
    }

    async fn sweep_one(&self, repository: RepositoryId) -> Result<(), NotSaid> {
        let held = self.policies.held_by(repository);
        let Some(branch) = held.iter().find_map(|held| held.default_branch.clone()) else {
            return Ok(());
        };
        let installation = self.installation_of(&held).await?;
        let read = self.clients.read(installation.id)?;
        let pulls = read.open_pull_requests(repository, &branch).await?;
        for pull in &pulls {
            let said = self.store.said_of(repository, &pull.head).await?;
            // Whoever proposes it now may know more than who proposed it before.
            let enough = |said: &Said| said.number == pull.number || said.told == Told::All;
            if !said.iter().any(enough) {
                let mut tx = self.store.begin().await?;
                tx.note_change(repository, pull.number, self.clock.now()).await?;
                tx.commit().await?;
            }
        }
        let open = pulls.iter().map(|pull| pull.number).collect();
        self.forget(repository, &open).await
    }

    /// Forgets what was said long ago for pull requests that are not open.
    async fn forget(&self, repository: RepositoryId, open: &BTreeSet<i64>) -> Result<(), NotSaid> {
        let now = self.clock.now();
        let then = now.saturating_sub(KEPT_FOR).unwrap_or(now);
        Ok(self.store.forget_changes(repository, open, then).await?)
    }

    /// The same for repositories that nobody follows any more, and for check runs that count no longer.
    async fn forget_others(&self, followed: &BTreeSet<RepositoryId>) -> Result<(), NotSaid> {
        let known = self.store.changed_repositories().await?;
        for repository in known.difference(followed) {
            self.forget(*repository, &BTreeSet::new()).await?;
        }
        let now = self.clock.now();
        let then = now.saturating_sub(RUNS_WITHIN).unwrap_or(now);
        Ok(self.store.forget_runs(then).await?)
    }
}
