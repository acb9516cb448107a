//! The repositories of tokens with a subset: read only where an answer hangs on them, a part in each round, the longest
//! unread first.

use jiff::{SignedDuration, Timestamp};

use super::{READ_AT_ONCE, Standing, world::World};
use crate::{
    domain::{GrantId, RepositorySelection},
    engine::bulk::{BulkError, used_up},
    github::CallError,
    rules::{
        coverage::{Coverage, coverage},
        facts::Needs,
        revocation::{Selection, select},
    },
    store::JudgedToken,
};

/// How long a list of repositories counts before it is read again.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How much of an hour's calls one round reads lists with, in percent.
const SHARE: i64 = 20;

/// How many lists a round reads where GitHub sets no limit.
const WITHOUT_LIMIT: usize = 1_000;

impl Standing<'_> {
    /// Reads the lists of repositories that answers hang on, and that were not read for a day: as many as a round may.
    /// `ids`: the standing policies that are asked; `covered`: whether coverage is.
    pub(super) async fn read_lists(
        &self,
        world: &mut World,
        ids: &[String],
        covered: bool,
    ) -> Result<(), BulkError> {
        let (mut wanted, mut properties) = (Vec::new(), false);
        let mut after = GrantId(i64::MIN);
        let organization = world.installation.organization.id;
        loop {
            let tokens = self.bulk.store.tokens_to_judge(organization, after, READ_AT_ONCE).await?;
            let Some(last) = tokens.last() else { break };
            after = last.known.grant.id;
            for token in &tokens {
                if token.known.grant.repository_selection != RepositorySelection::Subset {
                    continue;
                }
                let needed = self.needed(world, token, ids, covered).await?;
                properties |= !needed.custom_properties.is_empty();
                if needed.repositories && !self.is_good(token.repositories_read_at) {
                    wanted.push((token.repositories_read_at, token.known.grant.id));
                }
            }
        }
        if properties {
            self.read_properties(world).await?;
        }
        // Never read before read long ago; and in the order of grants.
        wanted.sort();
        let read = self.bulk.clients.read(world.installation.id)?;
        let most = read.limits().map_or(WITHOUT_LIMIT, |limits| {
            usize::try_from(limits.limit.saturating_mul(SHARE) / 100).unwrap_or_default()
        });
        let all = wanted.len();
        for (_, grant) in wanted.into_iter().take(most) {
            if used_up(&read, self.bulk.clock.now()).is_some() {
                tracing::info!(organization = %world.installation.organization.login, "lists of repositories are read on in a later round: the rest of this hour's calls is left to requests");
                return Ok(());
            }
            if !self.read_list(world, grant).await? {
                break;
            }
        }
        if all > most {
            tracing::info!(organization = %world.installation.organization.login, lists = all, most, "more lists of repositories are wanted than a round reads: the rest in later ones");
        }
        Ok(())
    }

    fn is_good(&self, read_at: Option<Timestamp>) -> bool {
        read_at.is_some_and(|at| self.bulk.clock.now().duration_since(at).abs() < GOOD_FOR)
    }

    /// What the answers about a token would hang on, were its list not read; of custom properties what they hang on as
    /// it is.
    async fn needed(
        &self,
        world: &World,
        token: &JudgedToken,
        ids: &[String],
        covered: bool,
    ) -> Result<Needs, BulkError> {
        let known = self.lacking(world, token, ids, covered).await?;
        let mut unread = token.clone();
        unread.repositories_read_at = None;
        let mut needed = self.lacking(world, &unread, ids, covered).await?;
        needed.custom_properties = known.custom_properties;
        Ok(needed)
    }

    async fn lacking(
        &self,
        world: &World,
        token: &JudgedToken,
        ids: &[String],
        covered: bool,
    ) -> Result<Needs, BulkError> {
        let facts = world.facts(self, token).await?;
        let held = world.held(token, &facts);
        let mut needs = Needs::default();
        if covered && let Coverage::Unknown(unread) = coverage(&world.policy, &held) {
            needs.repositories |= unread.needed.repositories;
            needs.custom_properties.extend(unread.needed.custom_properties);
        }
        for id in ids {
            if let Some(Selection::CannotSay(unread)) = select(&world.policy, id, &held) {
                needs.repositories |= unread.needed.repositories;
                needs.custom_properties.extend(unread.needed.custom_properties);
            }
        }
        Ok(needs)
    }

    /// Reads one list. Gives whether it makes sense to read others.
    pub(super) async fn read_list(
        &self,
        world: &mut World,
        grant: GrantId,
    ) -> Result<bool, BulkError> {
        let (bulk, installation) = (self.bulk, &world.installation);
        let organization = &installation.organization;
        let Some(token) = bulk.store.token_to_judge(organization.id, grant).await? else {
            return Ok(true);
        };
        let read = bulk.clients.read(installation.id)?;
        let call = || read.grant_repositories(organization, grant);
        match bulk.reading(installation, &read, &(), call).await {
            Ok(list) => {
                let now = bulk.clock.now();
                bulk.store.note_repositories(&token.known.grant, &list, now).await?;
                Ok(true)
            }
            Err(BulkError::GitHub(error)) => {
                let go_on = matches!(error, CallError::NotFound | CallError::Unreadable { .. });
                world.unreadable.insert(grant, error.to_string());
                Ok(go_on)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the custom properties that rules ask for, of all repositories.
    pub(super) async fn read_properties(&self, world: &mut World) -> Result<(), BulkError> {
        let (bulk, installation) = (self.bulk, &world.installation);
        let (organization, names) = (&installation.organization, world.property_names());
        let read = bulk.clients.read(installation.id)?;
        let read_at = bulk.clock.now();
        let call = || read.custom_properties(organization, names);
        let properties = match bulk.reading(installation, &read, &(), call).await {
            Ok(values) => Ok((read_at, values)),
            Err(BulkError::GitHub(error)) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        world.properties = Some(properties);
        Ok(())
    }
}
