//! Plans: which tokens a filter means now, kept token by token, so that exactly those can be confirmed later.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    bulk::{Bulk, BulkError, Watch},
    revoke::PLANS_LAPSE,
};
use crate::{
    audit,
    domain::{Grant, GrantId, KnownToken, OrganizationId},
    github::GrantQuery,
    inventory::{Summary, TokenFilter},
    rules::Truth,
    store::{
        Gone, InstallationRow, NewRevocation, RevocationRow, RevocationState, TokenListingRow,
    },
};

/// How many tokens are read from the store at once.
const READ_AT_ONCE: i64 = 1_000;

/// How far in the future a plan may have been made: clocks of machines that share a store differ a little.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// What a plan came to.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan as it is kept; `None`: no token is meant, and nothing is kept.
    pub revocation: Option<RevocationRow>,
    /// What its tokens come to.
    pub summary: Summary,
    /// The listing that it rests on.
    pub listing: TokenListingRow,
    /// Of how many tokens nobody can say whether they are meant: those are left alone.
    pub cannot_say: i64,
    /// How many tokens that GitHub lists for the repository of the filter could not be read: they are left alone.
    pub unreadable_reaching: usize,
    /// Each part of the filter, as flags, and how many tokens it means by itself.
    pub parts: Vec<(String, u64)>,
}

/// What GitHub lists as reaching a repository.
#[derive(Clone, Debug, Default)]
pub struct Reaching {
    /// The grants.
    pub grants: BTreeSet<GrantId>,
    /// Rows that could not be read: nobody knows which tokens those are.
    pub unreadable: usize,
}

/// Who plans or confirms, and why.
#[derive(Clone, Debug)]
pub struct Operator {
    /// As far as it can be known: a command line cannot prove who typed.
    pub name: String,
    /// Why, for the record.
    pub reason: String,
}

impl Bulk {
    /// Lists the tokens of an organization anew and keeps which of them `filter` means. Nothing is revoked.
    ///
    /// # Errors
    /// [`BulkError::Refused`] for a filter that means everything; [`BulkError::ClocksApart`]; what stopped the listing.
    pub async fn plan(
        &self,
        installation: &InstallationRow,
        filter: &TokenFilter,
        operator: &Operator,
        watch: &dyn Watch,
    ) -> Result<Planned, BulkError> {
        if filter.is_empty() {
            return Err(BulkError::Refused(
                "an empty filter means every token of the organization: say which, such as --unused-for 90d or --owner \
                 LOGIN"
                    .to_owned(),
            ));
        }
        let listing = self.list_tokens(installation, watch).await?;
        if filter.not_a_member {
            self.list_members(installation, watch).await?;
        }
        // Every listing answers with GitHub's time: with ours two days ahead, everything would be long unused.
        Self::clocks_agree(&self.clients.read(installation.id)?)?;
        let reaching = self.reaching(installation, filter, watch).await?;
        let now = self.clock.now();
        let organization = &installation.organization;
        let unreadable_reaching = reaching.as_ref().map_or(0, |reaching| reaching.unreadable);
        let reaching = reaching.as_ref().map(|reaching| &reaching.grants);
        let (mut grants, mut cannot_say) = (Vec::new(), 0);
        let mut summary = Summary::default();
        let mut parts: Vec<_> = filter.parts().into_iter().map(|part| (part, 0)).collect();
        let mut each = |token: KnownToken| {
            for (part, alone) in &mut parts {
                *alone += u64::from(part.selects(&token, reaching, now) == Truth::Matched);
            }
            match filter.selects(&token, reaching, now) {
                Truth::Matched => {
                    summary.add(&token.grant, now);
                    grants.push(Grant { organization: organization.clone(), ..token.grant });
                }
                Truth::Unknown => cannot_say += 1,
                Truth::NotMatched => {}
            }
        };
        self.each_token(organization.id, Gone::Without, &mut each).await?;
        let parts = parts.into_iter().map(|(part, alone)| (part.to_string(), alone)).collect();
        let planned =
            Planned { revocation: None, summary, listing, cannot_say, unreadable_reaching, parts };
        if grants.is_empty() {
            return Ok(planned);
        }
        let new = NewRevocation {
            organization: organization.clone(),
            policy: None,
            filter: filter.to_string(),
            reason: operator.reason.clone(),
            planned_by: operator.name.clone(),
            planned_at: now,
            active: planned.listing.active,
            cannot_say,
            state: RevocationState::Planned,
            spares_used: true,
            grounds: None,
            confirmed_by: None,
            note: String::new(),
        };
        let id = self.store.plan_revocation(&new, &grants).await?;
        Ok(Planned { revocation: self.store.revocation(id).await?, ..planned })
    }

    /// The grants that reach the repository a filter names, as GitHub's own filter has them: a call for a hundred of
    /// them, and none for each.
    ///
    /// # Errors
    /// What stopped the listing.
    pub async fn reaching(
        &self,
        installation: &InstallationRow,
        filter: &TokenFilter,
        watch: &dyn Watch,
    ) -> Result<Option<Reaching>, BulkError> {
        let Some(repository) = &filter.asked.repository else { return Ok(None) };
        let read = self.clients.read(installation.id)?;
        let query = GrantQuery { repository: Some(repository.clone()) };
        let pages = tokio::sync::Mutex::new(read.grant_pages(&installation.organization, &query));
        let mut reaching = Reaching::default();
        while let Some(page) = self.next_page(installation, &read, &pages, watch).await? {
            reaching.unreadable += page.unreadable.len();
            reaching.grants.extend(page.grants.iter().map(|grant| grant.id));
        }
        Ok(Some(reaching))
    }

    async fn each_token(
        &self,
        organization: OrganizationId,
        gone: Gone,
        each: &mut (dyn FnMut(KnownToken) + Send),
    ) -> Result<(), BulkError> {
        let mut after = GrantId(i64::MIN);
        loop {
            let tokens = self.store.tokens(organization, after, gone, READ_AT_ONCE).await?;
            let Some(last) = tokens.last() else { return Ok(()) };
            after = last.grant.id;
            tokens.into_iter().for_each(&mut *each);
        }
    }

    /// Confirms a plan: from now on it may be carried out.
    ///
    /// # Errors
    /// [`BulkError::Refused`] when it lapsed, was confirmed before, or does not exist.
    pub async fn confirm(&self, id: i64, operator: &Operator) -> Result<RevocationRow, BulkError> {
        let refused = |why: String| Err(BulkError::Refused(why));
        let Some(revocation) = self.store.revocation(id).await? else {
            return refused(format!(
                "there is no revocation {id}: `patwarden revocations list` shows those that there are"
            ));
        };
        let now = self.clock.now();
        if let Some(why) = lapsed(&revocation, now) {
            return refused(why);
        }
        if !self.store.confirm_revocation(id, &operator.name, now).await? {
            if revocation.state == RevocationState::Done {
                return refused(format!(
                    "revocation {id} is done: `patwarden revocations show {id}` is its report"
                ));
            }
            return refused(format!(
                "revocation {id} is {} already: `patwarden tokens revoke --plan {id} --resume` goes on with one that was \
                 left in the middle",
                revocation.state.as_str()
            ));
        }
        let counts = self.store.count_revocation_items(id).await?;
        let tokens = counts.iter().map(|(_, count)| u64::try_from(*count).unwrap_or_default());
        let event = audit::Event::RevocationConfirmed {
            revocation: id,
            tokens: tokens.sum(),
            by: operator.name.clone(),
        };
        self.audit.write(audit::Entry::about(&revocation.organization, event, now));
        Ok(self.store.revocation(id).await?.unwrap_or(revocation))
    }
}

/// Why a plan cannot be confirmed any more, if it cannot.
#[must_use]
pub fn lapsed(revocation: &RevocationRow, now: Timestamp) -> Option<String> {
    if !matches!(revocation.state, RevocationState::Planned | RevocationState::Waiting) {
        return None;
    }
    let id = revocation.id;
    let age = now.duration_since(revocation.planned_at);
    if age > PLANS_LAPSE {
        return Some(format!(
            "plan {id} lapsed: it is more than {} hours old, and tokens are used and changed meanwhile. Make it anew",
            PLANS_LAPSE.as_hours()
        ));
    }
    (age < -CLOCKS_DIFFER).then(|| {
        format!(
            "plan {id} was made in the future ({}): this machine's clock, or the one that made it, is wrong. Set it, and \
             make the plan anew",
            revocation.planned_at
        )
    })
}
