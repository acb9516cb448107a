//! A token request in words for people: one line, or a few.

use super::output::cell;
use crate::domain::{PermissionGroup, Permissions, Repository, RepositorySelection, TokenRequest};

#[cfg(feature = "demo")]
/// What is asked, in one line: `contents:write, issues:read on web, api (2) for 30 d`.
pub(super) fn asked(request: &TokenRequest, repositories: Option<&[Repository]>) -> String {
    format!(
        "{} on {} {}",
        permissions(&request.permissions),
        cell(&where_to(request.repository_selection, repositories), 60),
        how_long(request)
    )
}

/// The request in full, a line for each thing that was asked.
pub(super) fn lines(request: &TokenRequest, repositories: Option<&[Repository]>) -> Vec<String> {
    let reason = request.reason.as_deref().unwrap_or_default();
    let expires = request
        .token
        .expires_at
        .map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
    vec![
        format!("owner         {}", cell(request.owner.login.as_str(), 60)),
        format!("token         {} (id {})", cell(&request.token.name, 100), request.token.id),
        format!("permissions   {}", cell(&permissions(&request.permissions), 1_000)),
        format!(
            "repositories  {}",
            cell(&where_to(request.repository_selection, repositories), 1_000)
        ),
        format!("expires       {expires} ({})", how_long(request)),
        format!("asked at      {}", request.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
        format!(
            "says          {}",
            if reason.is_empty() { "nothing".to_owned() } else { cell(reason, 1_100) }
        ),
    ]
}

fn permissions(permissions: &Permissions) -> String {
    let mut asked: Vec<String> = permissions
        .iter()
        // GitHub adds it to every token that may do anything else.
        .filter(|(group, name, level)| {
            !(*group == PermissionGroup::Repository
                && *name == "metadata"
                && level.as_str() == "read")
        })
        .map(|(group, name, level)| match group {
            PermissionGroup::Repository => format!("{name}:{level}"),
            group => format!("{} {name}:{level}", group.as_str()),
        })
        .collect();
    if asked.is_empty() {
        asked.push("nothing but metadata".to_owned());
    }
    cell(&asked.join(", "), 1_000)
}

fn where_to(selection: RepositorySelection, repositories: Option<&[Repository]>) -> String {
    match (selection, repositories) {
        (RepositorySelection::None, _) => "no repository".to_owned(),
        (RepositorySelection::All, _) => "ALL repositories".to_owned(),
        (RepositorySelection::Subset, None) => "some repositories (which was not read)".to_owned(),
        (RepositorySelection::Subset, Some(list)) => {
            let names: Vec<&str> = list.iter().map(|repository| repository.name.as_str()).collect();
            names.join(", ")
        }
    }
}

fn how_long(request: &TokenRequest) -> String {
    match request.token.expires_at {
        None => "for ever".to_owned(),
        Some(at) => format!("for {} d", at.duration_since(request.created_at).as_hours() / 24),
    }
}
