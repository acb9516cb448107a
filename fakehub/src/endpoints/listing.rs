//! The filters and the paging that the lists of requests and of grants share.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::ledger::Ledger;
use crate::state::State;
use crate::tokens::{GrantRow, PendingRequest, Selection, Shape, Token};
use crate::world::Organization;

/// A row of either list.
pub(crate) trait Row {
    fn token(&self) -> u64;
    fn owner(&self) -> u64;
    fn shape(&self) -> &Shape;
}

impl Row for PendingRequest {
    fn token(&self) -> u64 {
        self.token
    }
    fn owner(&self) -> u64 {
        self.owner
    }
    fn shape(&self) -> &Shape {
        &self.shape
    }
}

impl Row for GrantRow {
    fn token(&self) -> u64 {
        self.token
    }
    fn owner(&self) -> u64 {
        self.owner
    }
    fn shape(&self) -> &Shape {
        &self.shape
    }
}

/// Query parameters of both lists, checked. Times are Unix seconds.
pub(crate) struct Filter {
    owners: Option<HashSet<u64>>,
    /// In the order asked for, to be looked up one by one.
    tokens: Option<Vec<u64>>,
    repository: Option<Option<u64>>,
    permission: Option<String>,
    used_before: Option<i64>,
    used_after: Option<i64>,
    never_used_is_before: bool,
    ascending: bool,
}

impl Filter {
    pub(crate) fn read(
        state: &State,
        organization: &Organization,
        context: &Context,
    ) -> Result<Self, Box<Answer>> {
        let owners = context.query_array("owner");
        if owners.len() > 10 {
            return Err(Answer::invalid(
                "PersonalAccessToken",
                "owner",
                "invalid",
                "owner takes at most 10 logins",
            ));
        }
        let tokens = context.query_array("token_id");
        if tokens.len() > 50 {
            return Err(Answer::invalid(
                "PersonalAccessToken",
                "token_id",
                "invalid",
                "token_id takes at most 50 ids",
            ));
        }
        if context.query("sort").is_some_and(|sort| sort != "created_at") {
            return Err(Answer::invalid(
                "PersonalAccessToken",
                "sort",
                "invalid",
                "sort takes created_at",
            ));
        }
        let ascending = match context.query("direction") {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => {
                return Err(Answer::invalid(
                    "PersonalAccessToken",
                    "direction",
                    "invalid",
                    "direction takes asc or desc",
                ));
            }
        };
        let known_owner = |login: &&str| state.world.user(login).map(|user| user.id);
        Ok(Self {
            owners: (!owners.is_empty()).then(|| owners.iter().filter_map(known_owner).collect()),
            tokens: (!tokens.is_empty())
                .then(|| tokens.iter().filter_map(|id| id.parse().ok()).collect()),
            repository: context
                .query("repository")
                .filter(|name| !name.is_empty())
                .map(|name| organization.repository(name).map(|repository| repository.id)),
            permission: context
                .query("permission")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            used_before: time(context, "last_used_before")?,
            used_after: time(context, "last_used_after")?,
            never_used_is_before: state.switches.never_used_matches_last_used_before,
            ascending,
        })
    }

    fn is_plain(&self) -> bool {
        self.owners.is_none()
            && self.tokens.is_none()
            && self.repository.is_none()
            && self.permission.is_none()
            && self.used_before.is_none()
            && self.used_after.is_none()
    }

    /// Whether a row passes; its token is only looked up where a filter asks about its use.
    fn lets<R: Row>(&self, row: &R, state: &State) -> bool {
        if self.owners.as_ref().is_some_and(|owners| !owners.contains(&row.owner())) {
            return false;
        }
        if self.tokens.as_ref().is_some_and(|tokens| !tokens.contains(&row.token())) {
            return false;
        }
        let has = |repository: &Option<u64>| match (&row.shape().repositories, repository) {
            (_, None) | (Selection::None, _) => false,
            (Selection::All, Some(_)) => true,
            (Selection::Subset(ids), Some(id)) => ids.contains(id),
        };
        if self.repository.as_ref().is_some_and(|repository| !has(repository)) {
            return false;
        }
        if self
            .permission
            .as_ref()
            .is_some_and(|permission| !row.shape().permissions.matches_filter(permission))
        {
            return false;
        }
        if self.used_before.is_none() && self.used_after.is_none() {
            return true;
        }
        let used = state.tokens.get(&row.token()).and_then(|token| token.last_used_at);
        let before = self
            .used_before
            .is_none_or(|before| used.map_or(self.never_used_is_before, |at| at < before));
        before && self.used_after.is_none_or(|after| used.is_some_and(|at| at > after))
    }
}

fn time(context: &Context, name: &str) -> Result<Option<i64>, Box<Answer>> {
    context
        .query(name)
        .map(|text| {
            text.parse::<Timestamp>().map(Timestamp::as_second).map_err(|_| {
                Answer::invalid("PersonalAccessToken", name, "invalid", "not an ISO 8601 time")
            })
        })
        .transpose()
}

/// One page of a ledger, filtered and ordered. `by_token` finds a row without a walk through the list.
pub(crate) fn page_of<R: Row>(
    state: &State,
    context: &Context,
    ledger: &Ledger<R>,
    by_token: impl Fn(u64) -> Option<u64>,
    filter: &Filter,
    base: &str,
    render: impl Fn(&R, &Token) -> Value,
) -> Reply {
    let page = context.page();
    let shown = |row: &Arc<R>| state.tokens.get(&row.token()).map(|token| render(row, token));
    let passes = |row: &&Arc<R>| filter.lets(row.as_ref(), state);
    if context.as_of_ms.is_none() && filter.is_plain() {
        let rows = if filter.ascending {
            ledger.iter().skip(page.skip).take(page.size).filter_map(shown).collect()
        } else {
            ledger.iter().rev().skip(page.skip).take(page.size).filter_map(shown).collect()
        };
        return Ok(context.listed(base, ledger.len(), rows));
    }
    let mut rows: Vec<&Arc<R>> = match (context.as_of_ms, &filter.tokens) {
        (Some(at), _) => ledger.as_of(at).into_iter().filter(passes).collect(),
        (None, Some(tokens)) => {
            let mut ids: Vec<u64> = tokens.iter().filter_map(|token| by_token(*token)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.iter().filter_map(|id| ledger.get(*id)).filter(passes).collect()
        }
        (None, None) => ledger.iter().filter(passes).collect(),
    };
    if !filter.ascending {
        rows.reverse();
    }
    let total = rows.len();
    let rows = rows.into_iter().skip(page.skip).take(page.size).filter_map(shown).collect();
    Ok(context.listed(base, total, rows))
}

/// The repositories of a selection, paged: only `subset` has any of its own.
pub(crate) fn repositories(
    context: &Context,
    organization: &Organization,
    shape: &Shape,
    base: &str,
) -> Reply {
    let all: Vec<_> = match &shape.repositories {
        Selection::None => Vec::new(),
        Selection::All => organization.repositories.values().collect(),
        Selection::Subset(ids) => {
            ids.iter().filter_map(|id| organization.repository_by_id(*id)).collect()
        }
    };
    context.list_all(base, &all, |repository| context.repository(repository, organization))
}

/// A list of integers in a body, one to a hundred; anything else is a 422.
pub(crate) fn ids(context: &Context, field: &str) -> Result<Vec<u64>, Box<Answer>> {
    let listed = context.field(field).and_then(Value::as_array);
    let listed = listed
        .ok_or_else(|| Answer::malformed(&format!("`{field}` must be an array of integers.")))?;
    if listed.is_empty() || listed.len() > 100 {
        return Err(Answer::malformed(&format!(
            "`{field}` must hold 1 to 100 ids; it holds {}.",
            listed.len()
        )));
    }
    listed
        .iter()
        .map(|id| {
            id.as_u64()
                .ok_or_else(|| Answer::malformed(&format!("`{field}` must hold integers only.")))
        })
        .collect()
}
