//! A token request in words for people: a few lines.

use super::output::cell;
use crate::{
    domain::{Repository, TokenRequest},
    rules::render::{how_long, permissions, where_to},
};

/// The request in full, a line for each thing that was asked.
pub(super) fn lines(request: &TokenRequest, repositories: Option<&[Repository]>) -> Vec<String> {
    let reason = request.reason.as_deref().unwrap_or_default();
    let expires = request.token.expires_at.map_or_else(
        || "never".to_owned(),
        |at| format!("{} ({})", at.strftime("%Y-%m-%d %H:%M UTC"), how_long(request)),
    );
    vec![
        format!("owner         {}", cell(request.owner.login.as_str(), 60)),
        format!("token         {} (id {})", cell(&request.token.name, 100), request.token.id),
        format!("permissions   {}", cell(&permissions(&request.permissions), 1_000)),
        format!(
            "repositories  {}",
            cell(&where_to(request.repository_selection, repositories), 1_000)
        ),
        format!("expires       {expires}"),
        format!("asked at      {}", request.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
        format!(
            "says          {}",
            if reason.is_empty() { "nothing".to_owned() } else { cell(reason, 1_100) }
        ),
    ]
}
