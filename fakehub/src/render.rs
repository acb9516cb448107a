//! GitHub's JSON objects, complete to its published `OpenAPI` description. One file a noun; no state is changed here.

mod app;
mod check;
mod git;
mod issue;
mod organization;
mod pat;
mod pull;
mod repository;
pub(crate) mod time;
mod user;
mod webhook;

pub(crate) use app::{installation, integration, integration_simple, simple_installation};
pub(crate) use check::{Writer, annotation, check_run, check_suite, check_suite_of_run};
pub(crate) use git::{
    blob, branch, commit_with_files, content_entry, diff_entry, git_ref, in_lines, review_rule,
    tree,
};
pub(crate) use issue::{issue, issue_comment, issue_webhook, other_bot};
pub(crate) use organization::{
    member_webhook_membership, membership, organization_account, organization_full,
    organization_webhook, team, team_full, team_membership, team_webhook,
};
pub(crate) use pat::{grant, request};
pub(crate) use pull::{pull_full, pull_simple};
pub(crate) use repository::{
    Place, collaborator_permission, full_repository, minimal_repository, property_schema,
    property_values, repository_stub, repository_webhook,
};
pub(crate) use user::{bot, ghost, plain_gravatars, public_user, simple_user, webhook_user};
pub(crate) use webhook::{PatEvent, pat_request_event};

/// The two roots of URLs in bodies: the API's (with a prefix, if the caller used one) and the site's.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    pub(crate) api: String,
    pub(crate) site: String,
}

/// When everything in a fake world was made: 2 January 2020.
pub(crate) const MADE_AT: i64 = 1_577_923_200;
