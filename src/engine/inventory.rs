//! The inventory: every token with access is listed, page by page, and kept; and who the members are.

use std::collections::{BTreeMap, BTreeSet};

use super::bulk::{Bulk, BulkError, Step, Watch};
use crate::{
    domain::{GrantId, Login, Owner, Role, TokenId, UserId},
    github::{CallError, GrantQuery, Read},
    rules::held::Left,
    store::{InstallationRow, MemberChanges, TokenListingRow},
};

/// How many tokens are looked for with one call.
const LOOKED_FOR_AT_ONCE: usize = crate::github::TOKEN_IDS_A_LIST;

impl Bulk {
    /// Lists every token with access to an organization and keeps what changed: one call for a hundred tokens, one page
    /// in memory at a time. A token that the list does not show is looked for by its id before it counts as gone: rows
    /// move between pages while tokens come and go.
    ///
    /// # Errors
    /// What stopped it. What was read by then is kept, and nothing counts as gone.
    pub async fn list_tokens(
        &self,
        installation: &InstallationRow,
        watch: &dyn Watch,
    ) -> Result<TokenListingRow, BulkError> {
        let organization = &installation.organization;
        let read = self.clients.read(installation.id)?;
        let began_at = self.clock.now();
        // An id for each, and nothing else of it: 100,000 tokens are some megabytes.
        let mut seen = BTreeSet::new();
        let (mut unreadable, mut nameless) = (0, 0);
        let pages = tokio::sync::Mutex::new(read.grant_pages(organization, &GrantQuery::default()));
        while let Some(page) = self.next_page(installation, &read, &pages, watch).await? {
            seen.extend(page.grants.iter().map(|grant| grant.id));
            for (id, why) in &page.unreadable {
                tracing::error!(organization = %organization.login, ?id, why, "a token is listed in a form that we cannot read");
                unreadable += 1;
                nameless += i64::from(id.is_none());
                seen.extend(id);
            }
            self.store.note_grants(&page.grants, self.clock.now()).await?;
            watch.step(&Step::Listing { tokens: seen.len() });
        }
        let mut calls = i64::from(pages.into_inner().pages());
        if nameless == 0 {
            calls += self.look_for_the_missing(installation, &read, &seen, began_at, watch).await?;
        }
        let listing = TokenListingRow {
            began_at,
            ended_at: self.clock.now(),
            active: self.store.count_tokens(organization.id).await?,
            calls,
            unreadable,
        };
        self.store.note_token_listing(organization.id, &listing).await?;
        Ok(listing)
    }

    /// Looks for tokens that were listed before and not now. Gives how many calls that took.
    async fn look_for_the_missing(
        &self,
        installation: &InstallationRow,
        read: &Read,
        seen: &BTreeSet<GrantId>,
        began_at: jiff::Timestamp,
        watch: &dyn Watch,
    ) -> Result<i64, BulkError> {
        let organization = &installation.organization;
        let missing = self.store.tokens_not_among(organization.id, seen, began_at).await?;
        let missing: Vec<(TokenId, GrantId)> = missing.into_iter().collect();
        let mut calls = 0;
        for some in missing.chunks(LOOKED_FOR_AT_ONCE) {
            let tokens: Vec<TokenId> = some.iter().map(|(token, _)| *token).collect();
            let grants = self
                .reading(installation, read, watch, || read.grants_of(organization, &tokens))
                .await?;
            calls += 1;
            let (mut there, mut gone) = (Vec::new(), Vec::new());
            for (token, grant) in some {
                match grants.of(*token) {
                    Ok(Some(found)) if found.id == *grant => there.push(found.clone()),
                    Ok(Some(found)) => {
                        there.push(found.clone());
                        gone.push(*grant);
                    }
                    Ok(None) => gone.push(*grant),
                    // Whatever it is, it is there.
                    Err(error) => tracing::warn!(%token, %error, "a token that we cannot read"),
                }
            }
            let now = self.clock.now();
            self.store.note_grants(&there, now).await?;
            self.store.note_gone(organization.id, &gone, now).await?;
        }
        Ok(calls)
    }

    /// Lists the members of an organization, owners and others, and keeps who came and who left.
    ///
    /// # Errors
    /// What stopped it. Then nobody counts as gone.
    pub async fn list_members(
        &self,
        installation: &InstallationRow,
        watch: &dyn Watch,
    ) -> Result<MemberChanges, BulkError> {
        let organization = &installation.organization;
        let read = self.clients.read(installation.id)?;
        let began_at = self.clock.now();
        let mut members = BTreeMap::new();
        // The owners last: who is made one while we read is in both lists, and an owner.
        for role in [Role::Member, Role::Owner] {
            let listed = self
                .reading(installation, &read, watch, || read.members(organization, role))
                .await?;
            members.extend(listed.into_iter().map(|user| (user.id, (user.login, role))));
        }
        if members.is_empty() {
            // An organization has an owner: a list without any is not one.
            return Err(
                CallError::Unreadable { why: "GitHub listed no member at all".to_owned() }.into()
            );
        }
        let missing = self.missing(installation, &read, &mut members, watch).await?;
        let changes = self.store.note_members(organization.id, &members, began_at).await?;
        let there = |user: UserId| members.contains_key(&user);
        self.store
            .note_departures(organization.id, &Left::Organization, &missing, &there, began_at)
            .await?;
        Ok(changes)
    }

    /// Who was a member or has a token, is on neither list, and is not a member: asked one by one, for a row can be lost
    /// between two pages, and the lists lack billing managers. Those who are members after all are added.
    async fn missing(
        &self,
        installation: &InstallationRow,
        read: &Read,
        members: &mut BTreeMap<UserId, (Login, Role)>,
        watch: &dyn Watch,
    ) -> Result<Vec<UserId>, BulkError> {
        let organization = &installation.organization;
        let mut candidates = BTreeMap::new();
        for owner in self.store.members(organization.id).await? {
            candidates.insert(owner.id, owner.login);
        }
        for owner in self.store.token_owners(organization.id).await? {
            candidates.insert(owner.id, owner.login);
        }
        candidates.retain(|id, _| !members.contains_key(id));
        let mut missing = Vec::new();
        for (id, login) in candidates {
            let mut owner = Owner { id, login };
            let mut role = self.role_of(installation, read, &owner, watch).await?;
            if role.is_none()
                && let Some(login) = self.present_login(installation, read, &owner, watch).await?
            {
                // Whoever renames themselves does not leave.
                owner.login = login;
                role = self.role_of(installation, read, &owner, watch).await?;
            }
            match role {
                Some(role) => drop(members.insert(id, (owner.login, role))),
                None => missing.push(id),
            }
        }
        Ok(missing)
    }

    /// The role of somebody under a login; `None`: nobody with their number is a member under it.
    async fn role_of(
        &self,
        installation: &InstallationRow,
        read: &Read,
        owner: &Owner,
        watch: &dyn Watch,
    ) -> Result<Option<Role>, BulkError> {
        let organization = &installation.organization;
        match self.reading(installation, read, watch, || read.role(organization, owner)).await {
            Ok(Role::Stranger) | Err(BulkError::GitHub(CallError::NotFound)) => Ok(None),
            Ok(role) => Ok(Some(role)),
            Err(error) => Err(error),
        }
    }

    /// The login that somebody has now, where it is another than we know: as a token of theirs shows it. Who has no token
    /// has nothing to lose by our not knowing.
    async fn present_login(
        &self,
        installation: &InstallationRow,
        read: &Read,
        owner: &Owner,
        watch: &dyn Watch,
    ) -> Result<Option<Login>, BulkError> {
        let organization = &installation.organization;
        let Some(token) = self.store.a_token_of(organization.id, owner.id).await? else {
            return Ok(None);
        };
        let tokens = [token];
        let grants = self
            .reading(installation, read, watch, || read.grants_of(organization, &tokens))
            .await?;
        let grant = grants.of(token)?.filter(|grant| grant.owner.id == owner.id);
        Ok(grant.map(|grant| grant.owner.login.clone()).filter(|login| *login != owner.login))
    }
}
