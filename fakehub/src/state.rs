//! All of fakehub's state in one place, and how parts of it are found. What changes it is in `lifecycle` and the endpoints.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::app::App;
use crate::auth::AccessToken;
use crate::clock::{Clock, timestamp};
use crate::config::Switches;
use crate::deliveries::{Deliveries, HookConfig, Outbox};
use crate::hub::Registrations;
use crate::installations::{Installation, Wishes};
use crate::later::Laters;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::permissions::Permissions;
use crate::render::Urls;
use crate::tokens::{
    Grant, GrantRow, Outcome, PendingRequest, RepositoryChoice, ReviewCall, Revocation, Selection,
    Token,
};
use crate::world::{Organization, World};

/// The tokens of one organization.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) requests: Ledger<PendingRequest>,
    pub(crate) grants: Ledger<GrantRow>,
    /// Token id to the id of its waiting request.
    pub(crate) request_of: HashMap<u64, u64>,
    /// Token id to the id of its grant.
    pub(crate) grant_of: HashMap<u64, u64>,
}

/// A request that was ever made.
#[derive(Debug, Clone)]
pub(crate) struct RequestRecord {
    pub(crate) organization: u64,
    pub(crate) request: PendingRequest,
    pub(crate) outcome: Outcome,
}

/// Guarded by one lock that is never held across an await.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Arc<Clock>,
    pub(crate) app: Arc<App>,
    pub(crate) wishes: Wishes,
    pub(crate) urls: Urls,
    pub(crate) switches: Switches,
    pub(crate) world: World,
    pub(crate) tokens: HashMap<u64, Token>,
    pub(crate) requests: BTreeMap<u64, RequestRecord>,
    pub(crate) books: HashMap<u64, Book>,
    pub(crate) installations: BTreeMap<u64, Installation>,
    pub(crate) access_tokens: HashMap<String, AccessToken>,
    pub(crate) reviews: Vec<ReviewCall>,
    pub(crate) revocations: Vec<(u64, Revocation)>,
    pub(crate) limits: Limits,
    pub(crate) hook: HookConfig,
    pub(crate) deliveries: Deliveries,
    pub(crate) events: Outbox,
    pub(crate) laters: Laters,
    pub(crate) registrations: Registrations,
    pub(crate) interned: HashSet<Arc<Permissions>>,
}

impl State {
    /// Now, in Unix seconds of fakehub's clock.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now_ms().div_euclid(1_000)
    }

    pub(crate) fn book(&mut self, organization: u64) -> &mut Book {
        self.books.entry(organization).or_default()
    }

    pub(crate) fn installation_of(&self, organization: u64) -> Option<&Installation> {
        self.installations.values().find(|installation| installation.organization == organization)
    }

    /// One copy of each set of permissions: a hundred thousand tokens share a few.
    pub(crate) fn intern(&mut self, permissions: Permissions) -> Arc<Permissions> {
        if let Some(known) = self.interned.get(&permissions) {
            return Arc::clone(known);
        }
        let new = Arc::new(permissions);
        self.interned.insert(Arc::clone(&new));
        new
    }

    pub(crate) fn choice(
        &self,
        organization: &Organization,
        selection: &Selection,
    ) -> RepositoryChoice {
        match selection {
            Selection::None => RepositoryChoice::None,
            Selection::All => RepositoryChoice::All,
            Selection::Subset(ids) => RepositoryChoice::Named(
                ids.iter()
                    .filter_map(|id| organization.repository_by_id(*id))
                    .map(|repository| repository.name.clone())
                    .collect(),
            ),
        }
    }

    /// An organization's grants for a test's eyes, oldest first.
    pub(crate) fn grants_of(&self, organization: &Organization) -> Vec<Grant> {
        let Some(book) = self.books.get(&organization.id) else {
            return Vec::new();
        };
        book.grants
            .iter()
            .filter_map(|row| {
                let token = self.tokens.get(&row.token)?;
                Some(Grant {
                    id: row.id,
                    token_id: row.token,
                    token_name: token.name.clone(),
                    owner: self.world.login_of(row.owner),
                    repositories: self.choice(organization, &row.shape.repositories),
                    permissions: row.shape.permissions.as_ref().clone(),
                    granted_at: timestamp(row.granted_at),
                    expires_at: token.expires_at.map(timestamp),
                })
            })
            .collect()
    }
}
