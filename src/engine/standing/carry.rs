//! A confirmed run of a standing policy is carried out: under the rules that made it, and of the tokens that they still
//! select.

use jiff::SignedDuration;

use super::{Standing, outcome, world::World};
use crate::{
    domain::{GrantId, RepositorySelection},
    engine::{
        PLANS_LAPSE,
        bulk::{Bulk, BulkError},
        judge,
        revoke::{Carried, Halt},
    },
    rules::{
        Unread,
        revocation::{Selection, select},
    },
    store::{ItemState, JudgedToken, RevocationItemRow, RevocationRow, RevocationState},
};

/// How many tokens of a run are looked at, at once.
const SOME: i64 = 500;

/// How old a list of repositories may be when a token is revoked for what is in it.
const LISTS_GOOD_FOR: SignedDuration = SignedDuration::from_mins(10);

impl Standing<'_> {
    /// Carries a confirmed run out, or goes on with it.
    ///
    /// # Errors
    /// What stopped it: calling this again goes on.
    pub(in crate::engine) async fn carry(
        &self,
        run: &RevocationRow,
    ) -> Result<Option<Carried>, BulkError> {
        let bulk = self.bulk;
        let installation = bulk.installation(run.organization.id).await?;
        let still = || self.still(run);
        match still() {
            Ok(()) => {
                if self.is_too_old(run) {
                    let why = "it was confirmed more than a day ago, and tokens are used and changed meanwhile";
                    self.end(run, why).await?;
                } else {
                    let members = match bulk.list_members(&installation, &()).await {
                        Ok(_) => Ok(()),
                        Err(BulkError::GitHub(error)) => Err(error.to_string()),
                        Err(error) => return Err(error),
                    };
                    let paused = || BulkError::Paused("no rules are in force".to_owned());
                    let world = self.look(&installation, members).await?;
                    self.look_again(run, &mut world.ok_or_else(paused)?).await?;
                    Bulk::clocks_agree(&bulk.clients.read(installation.id)?)?;
                }
            }
            Err(Halt::Pause(why)) => return Err(BulkError::Paused(why)),
            Err(Halt::End(why)) => self.end(run, &why).await?,
        }
        if self.is_untouched(run).await? {
            let now = bulk.clock.now();
            let mut tx = bulk.store.begin().await?;
            let note = "none of its tokens was to be revoked any more";
            tx.note_revocation(run.id, RevocationState::Dropped, note, now).await?;
            tx.commit().await?;
            return Ok(None);
        }
        bulk.carry_out_while(run.id, &(), &still).await.map(Some)
    }

    /// Whether the rules that made a run are in force, and may act.
    fn still(&self, run: &RevocationRow) -> Result<(), Halt> {
        let in_force = self.policies.in_force(&run.organization);
        let changed = |why: &str| Err(Halt::End(why.to_owned()));
        let Some(policy) = in_force.policy else {
            return Err(Halt::Pause("no rules are in force".to_owned()));
        };
        if Some(judge::grounds(&policy)) != run.grounds {
            return changed("the rules changed since it was planned");
        }
        // What is broken now may be the same again in a moment: GitHub was not asked yet, a file is being written.
        if let Some(why) = in_force.broken {
            return Err(Halt::Pause(why));
        }
        let id = run.policy.as_deref().and_then(|policy| policy.strip_prefix("revoke."));
        let Some(revocation) = id.and_then(|id| policy.revocations().get(id)) else {
            return changed("the rules have no such policy any more");
        };
        match outcome::only_reports(&policy, revocation, None) {
            Some(why) => changed(&why),
            None => Ok(()),
        }
    }

    fn is_too_old(&self, run: &RevocationRow) -> bool {
        let confirmed_at = run.confirmed_at.unwrap_or(run.planned_at);
        self.bulk.clock.now().duration_since(confirmed_at).abs() > PLANS_LAPSE
    }

    async fn end(&self, run: &RevocationRow, why: &str) -> Result<(), BulkError> {
        let now = self.bulk.clock.now();
        let left_out = self.bulk.store.leave_out_what_is_planned(run.id, why, now).await?;
        if left_out > 0 {
            tracing::warn!(
                revocation = run.id,
                tokens = left_out,
                why,
                "tokens of a standing policy's run are left out"
            );
        }
        Ok(())
    }

    /// Whether no call was made for it, and none is to be.
    async fn is_untouched(&self, run: &RevocationRow) -> Result<bool, BulkError> {
        let counts = self.bulk.store.count_revocation_items(run.id).await?;
        Ok(counts.iter().all(|(state, _)| *state == ItemState::LeftOut))
    }

    /// Asks the policy again of every token that is still to be revoked: who is back, or what is covered again, is left
    /// out.
    async fn look_again(&self, run: &RevocationRow, world: &mut World) -> Result<(), BulkError> {
        let id = run.policy.as_deref().and_then(|policy| policy.strip_prefix("revoke."));
        let id = id.unwrap_or_default().to_owned();
        let mut after = GrantId(i64::MIN);
        loop {
            let planned = Some(ItemState::Planned);
            let items = self.bulk.store.revocation_items(run.id, planned, after, SOME).await?;
            let Some(last) = items.last() else { return Ok(()) };
            after = last.grant_id;
            let mut left_out = Vec::new();
            for item in &items {
                if let Some(why) = self.no_longer_meant(world, &id, run, item).await? {
                    left_out.push((item.grant_id, why));
                }
            }
            let now = self.bulk.clock.now();
            let mut tx = self.bulk.store.begin().await?;
            for (grant, why) in left_out {
                tx.note_item(run.id, grant, ItemState::LeftOut, &why, now).await?;
            }
            tx.commit().await?;
        }
    }

    /// Why a token is not to be revoked any more, if so.
    async fn no_longer_meant(
        &self,
        world: &mut World,
        id: &str,
        run: &RevocationRow,
        item: &RevocationItemRow,
    ) -> Result<Option<String>, BulkError> {
        let (organization, store) = (run.organization.id, &self.bulk.store);
        let Some(token) = store.token_to_judge(organization, item.grant_id).await? else {
            // Gone: whoever carries it out sees that, and says so.
            return Ok(None);
        };
        if let Some(hold) = world.hold(run.policy.as_deref().unwrap_or_default(), &token) {
            return Ok(Some(hold.to_string()));
        }
        let token = self.with_a_young_list(world, id, token).await?;
        match self.selection(world, id, &token).await? {
            Some(Selection::Selected(_)) => Ok(None),
            // One token's own list: whoever deleted it, or hides it, must not stop the run for the others.
            Some(Selection::CannotSay(unread)) if world.unreadable.contains_key(&item.grant_id) => {
                Ok(Some(format!("it cannot be said any more whether it is meant: {unread}")))
            }
            Some(Selection::CannotSay(unread)) => Err(BulkError::Paused(unread.to_string())),
            Some(Selection::NotSelected) | None => {
                Ok(Some("the policy does not select it any more".to_owned()))
            }
        }
    }

    async fn selection(
        &self,
        world: &World,
        id: &str,
        token: &JudgedToken,
    ) -> Result<Option<Selection>, BulkError> {
        let facts = world.facts(self, token).await?;
        Ok(select(&world.policy, id, &world.held(token, &facts)))
    }

    /// The token with a list of its repositories that is young enough, where the answer hangs on it.
    async fn with_a_young_list(
        &self,
        world: &mut World,
        id: &str,
        token: JudgedToken,
    ) -> Result<JudgedToken, BulkError> {
        let grant = token.known.grant.id;
        if token.known.grant.repository_selection != RepositorySelection::Subset {
            return Ok(token);
        }
        let mut token = token;
        let mut unread = token.clone();
        unread.repositories_read_at = None;
        if let Some(Selection::CannotSay(Unread { needed, .. })) =
            self.selection(world, id, &unread).await?
            && needed.repositories
        {
            let now = self.bulk.clock.now();
            let age = token.repositories_read_at.map(|at| now.duration_since(at).abs());
            if age.is_none_or(|age| age > LISTS_GOOD_FOR) {
                self.read_list(world, grant).await?;
                let organization = world.installation.organization.id;
                let read = self.bulk.store.token_to_judge(organization, grant).await?;
                token = read.unwrap_or(token);
                if world.unreadable.contains_key(&grant) {
                    token.repositories_read_at = None;
                }
            }
        }
        if let Some(Selection::CannotSay(Unread { needed, .. })) =
            self.selection(world, id, &token).await?
            && !needed.custom_properties.is_empty()
            && world.properties.is_none()
        {
            self.read_properties(world).await?;
        }
        Ok(token)
    }
}
