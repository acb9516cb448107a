//! Every endpoint: GitHub's operation id, method, path, and what a caller needs. What each does is in `endpoints`.

use percent_encoding::percent_decode_str;

use crate::answer::Reply;
use crate::context::Context;
use crate::endpoints::issues::comments;
use crate::endpoints::{
    apps, checks, contents, git, hooks, issues, meta, orgs, pats, pulls, repos, requests, teams,
};
use crate::state::State;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The App's JWT.
    App,
    /// An installation of the organization named, with this permission.
    Installation(&'static str, &'static str),
    /// An installation, whichever it is.
    AnyInstallation,
    /// Nothing: public data.
    Public,
}

/// One endpoint.
pub(crate) struct Route {
    pub(crate) operation: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) run: fn(&mut State, &Context) -> Reply,
}

const fn route(
    operation: &'static str,
    method: &'static str,
    path: &'static str,
    access: Access,
    run: fn(&mut State, &Context) -> Reply,
) -> Route {
    Route { operation, method, path, access, run }
}

const ASK_READ: Access =
    Access::Installation("organization_personal_access_token_requests", "read");
const ASK_WRITE: Access =
    Access::Installation("organization_personal_access_token_requests", "write");
const PAT_READ: Access = Access::Installation("organization_personal_access_tokens", "read");
const PAT_WRITE: Access = Access::Installation("organization_personal_access_tokens", "write");
const MEMBERS: Access = Access::Installation("members", "read");
const METADATA: Access = Access::Installation("metadata", "read");
const PROPERTIES: Access = Access::Installation("organization_custom_properties", "read");
const CONTENTS: Access = Access::Installation("contents", "read");
const PULLS: Access = Access::Installation("pull_requests", "read");
const CHECKS_READ: Access = Access::Installation("checks", "read");
const CHECKS_WRITE: Access = Access::Installation("checks", "write");
const ISSUES_READ: Access = Access::Installation("issues", "read");
const ISSUES_WRITE: Access = Access::Installation("issues", "write");

pub(crate) const ROUTES: &[Route] = &[
    route(
        "orgs/list-pat-grant-requests",
        "GET",
        "/orgs/{org}/personal-access-token-requests",
        ASK_READ,
        requests::list,
    ),
    route(
        "orgs/review-pat-grant-requests-in-bulk",
        "POST",
        "/orgs/{org}/personal-access-token-requests",
        ASK_WRITE,
        requests::review_many,
    ),
    route(
        "orgs/review-pat-grant-request",
        "POST",
        "/orgs/{org}/personal-access-token-requests/{id}",
        ASK_WRITE,
        requests::review,
    ),
    route(
        "orgs/list-pat-grant-request-repositories",
        "GET",
        "/orgs/{org}/personal-access-token-requests/{id}/repositories",
        ASK_READ,
        requests::repositories,
    ),
    route(
        "orgs/list-pat-grants",
        "GET",
        "/orgs/{org}/personal-access-tokens",
        PAT_READ,
        pats::list,
    ),
    route(
        "orgs/update-pat-accesses",
        "POST",
        "/orgs/{org}/personal-access-tokens",
        PAT_WRITE,
        pats::revoke_many,
    ),
    route(
        "orgs/update-pat-access",
        "POST",
        "/orgs/{org}/personal-access-tokens/{id}",
        PAT_WRITE,
        pats::revoke,
    ),
    route(
        "orgs/list-pat-grant-repositories",
        "GET",
        "/orgs/{org}/personal-access-tokens/{id}/repositories",
        PAT_READ,
        pats::repositories,
    ),
    route(
        "apps/create-from-manifest",
        "POST",
        "/app-manifests/{code}/conversions",
        Access::Public,
        apps::create_from_manifest,
    ),
    route("apps/get-authenticated", "GET", "/app", Access::App, apps::app),
    route("apps/list-installations", "GET", "/app/installations", Access::App, apps::installations),
    route(
        "apps/get-installation",
        "GET",
        "/app/installations/{id}",
        Access::App,
        apps::installation,
    ),
    route(
        "apps/get-org-installation",
        "GET",
        "/orgs/{org}/installation",
        Access::App,
        apps::org_installation,
    ),
    route(
        "apps/create-installation-access-token",
        "POST",
        "/app/installations/{id}/access_tokens",
        Access::App,
        apps::access_token,
    ),
    route(
        "apps/list-repos-accessible-to-installation",
        "GET",
        "/installation/repositories",
        Access::AnyInstallation,
        apps::installation_repositories,
    ),
    route("apps/get-webhook-config-for-app", "GET", "/app/hook/config", Access::App, hooks::config),
    route(
        "apps/update-webhook-config-for-app",
        "PATCH",
        "/app/hook/config",
        Access::App,
        hooks::set_config,
    ),
    route(
        "apps/list-webhook-deliveries",
        "GET",
        "/app/hook/deliveries",
        Access::App,
        hooks::deliveries,
    ),
    route(
        "apps/get-webhook-delivery",
        "GET",
        "/app/hook/deliveries/{id}",
        Access::App,
        hooks::delivery,
    ),
    route(
        "apps/redeliver-webhook-delivery",
        "POST",
        "/app/hook/deliveries/{id}/attempts",
        Access::App,
        hooks::redeliver,
    ),
    route("orgs/get", "GET", "/orgs/{org}", Access::Public, orgs::get),
    route("orgs/list-members", "GET", "/orgs/{org}/members", MEMBERS, orgs::members),
    route(
        "orgs/check-membership-for-user",
        "GET",
        "/orgs/{org}/members/{user}",
        MEMBERS,
        orgs::is_member,
    ),
    route(
        "orgs/get-membership-for-user",
        "GET",
        "/orgs/{org}/memberships/{user}",
        MEMBERS,
        orgs::membership,
    ),
    route("repos/list-for-org", "GET", "/orgs/{org}/repos", METADATA, repos::list),
    route(
        "orgs/custom-properties-for-repos-get-organization-definitions",
        "GET",
        "/orgs/{org}/properties/schema",
        PROPERTIES,
        repos::property_schema,
    ),
    route(
        "orgs/custom-properties-for-repos-get-organization-values",
        "GET",
        "/orgs/{org}/properties/values",
        PROPERTIES,
        repos::org_property_values,
    ),
    route("teams/list", "GET", "/orgs/{org}/teams", MEMBERS, teams::list),
    route("teams/get-by-name", "GET", "/orgs/{org}/teams/{team}", MEMBERS, teams::get),
    route(
        "teams/list-members-in-org",
        "GET",
        "/orgs/{org}/teams/{team}/members",
        MEMBERS,
        teams::members,
    ),
    route(
        "teams/get-membership-for-user-in-org",
        "GET",
        "/orgs/{org}/teams/{team}/memberships/{user}",
        MEMBERS,
        teams::membership,
    ),
    route("repos/get", "GET", "/repos/{owner}/{repo}", METADATA, repos::get),
    route(
        "repos/custom-properties-for-repos-get-repository-values",
        "GET",
        "/repos/{owner}/{repo}/properties/values",
        METADATA,
        repos::property_values,
    ),
    route(
        "repos/get-collaborator-permission-level",
        "GET",
        "/repos/{owner}/{repo}/collaborators/{user}/permission",
        METADATA,
        repos::collaborator_permission,
    ),
    route(
        "repos/get-branch",
        "GET",
        "/repos/{owner}/{repo}/branches/{*branch}",
        CONTENTS,
        git::branch,
    ),
    route(
        "repos/get-branch-rules",
        "GET",
        "/repos/{owner}/{repo}/rules/branches/{*branch}",
        METADATA,
        git::branch_rules,
    ),
    route(
        "checks/list-for-ref",
        "GET",
        "/repos/{owner}/{repo}/commits/{ref}/check-runs",
        CHECKS_READ,
        checks::list_for_ref,
    ),
    route("repos/get-commit", "GET", "/repos/{owner}/{repo}/commits/{*ref}", CONTENTS, git::commit),
    route("git/get-ref", "GET", "/repos/{owner}/{repo}/git/ref/{*ref}", CONTENTS, git::reference),
    route("git/get-tree", "GET", "/repos/{owner}/{repo}/git/trees/{*tree}", CONTENTS, git::tree),
    route("git/get-blob", "GET", "/repos/{owner}/{repo}/git/blobs/{sha}", CONTENTS, git::blob),
    route(
        "repos/get-content",
        "GET",
        "/repos/{owner}/{repo}/contents",
        CONTENTS,
        contents::content,
    ),
    route(
        "repos/get-content",
        "GET",
        "/repos/{owner}/{repo}/contents/{*path}",
        CONTENTS,
        contents::content,
    ),
    route("pulls/list", "GET", "/repos/{owner}/{repo}/pulls", PULLS, pulls::list),
    route("pulls/get", "GET", "/repos/{owner}/{repo}/pulls/{number}", PULLS, pulls::get),
    route(
        "pulls/list-files",
        "GET",
        "/repos/{owner}/{repo}/pulls/{number}/files",
        PULLS,
        pulls::files,
    ),
    route(
        "checks/create",
        "POST",
        "/repos/{owner}/{repo}/check-runs",
        CHECKS_WRITE,
        checks::create,
    ),
    route("checks/get", "GET", "/repos/{owner}/{repo}/check-runs/{id}", CHECKS_READ, checks::get),
    route(
        "checks/update",
        "PATCH",
        "/repos/{owner}/{repo}/check-runs/{id}",
        CHECKS_WRITE,
        checks::update,
    ),
    route(
        "checks/list-annotations",
        "GET",
        "/repos/{owner}/{repo}/check-runs/{id}/annotations",
        CHECKS_READ,
        checks::annotations,
    ),
    route("issues/list-for-repo", "GET", "/repos/{owner}/{repo}/issues", ISSUES_READ, issues::list),
    route("issues/create", "POST", "/repos/{owner}/{repo}/issues", ISSUES_WRITE, issues::create),
    route(
        "issues/get-comment",
        "GET",
        "/repos/{owner}/{repo}/issues/comments/{id}",
        ISSUES_READ,
        comments::get,
    ),
    route(
        "issues/update-comment",
        "PATCH",
        "/repos/{owner}/{repo}/issues/comments/{id}",
        ISSUES_WRITE,
        comments::update,
    ),
    route(
        "issues/delete-comment",
        "DELETE",
        "/repos/{owner}/{repo}/issues/comments/{id}",
        ISSUES_WRITE,
        comments::delete,
    ),
    route("issues/get", "GET", "/repos/{owner}/{repo}/issues/{number}", ISSUES_READ, issues::get),
    route(
        "issues/update",
        "PATCH",
        "/repos/{owner}/{repo}/issues/{number}",
        ISSUES_WRITE,
        issues::update,
    ),
    route(
        "issues/add-assignees",
        "POST",
        "/repos/{owner}/{repo}/issues/{number}/assignees",
        ISSUES_WRITE,
        issues::assign,
    ),
    route(
        "issues/list-comments",
        "GET",
        "/repos/{owner}/{repo}/issues/{number}/comments",
        ISSUES_READ,
        comments::list,
    ),
    route(
        "issues/create-comment",
        "POST",
        "/repos/{owner}/{repo}/issues/{number}/comments",
        ISSUES_WRITE,
        comments::create,
    ),
    route("users/get-by-username", "GET", "/users/{user}", Access::Public, meta::user_by_login),
    route("rate-limit/get", "GET", "/rate_limit", Access::Public, meta::rate_limit),
    route("meta/get", "GET", "/meta", Access::Public, meta::meta),
    route("meta/root", "GET", "/", Access::Public, meta::root),
];

/// A call's endpoint and its path parameters.
pub(crate) struct Matched {
    pub(crate) route: &'static Route,
    pub(crate) params: Vec<(&'static str, String)>,
}

/// Finds the endpoint of a path without prefix. A trailing slash matches nothing, as on GitHub.
pub(crate) fn find(method: &str, path: &str) -> Option<Matched> {
    // `/organizations/{numeric id}/…` is `/orgs/{login}/…`, and `/repositories/{numeric id}/…` is
    // `/repos/{owner}/{name}/…`; `#` then says that a number follows.
    let numbered = match (path.strip_prefix("/organizations/"), path.strip_prefix("/repositories/"))
    {
        (Some(rest), _) => Some(format!("/orgs/#{rest}")),
        (None, Some(rest)) => Some(format!("/repos/#/{rest}")),
        (None, None) => None,
    };
    let path = numbered.as_deref().unwrap_or(path);
    ROUTES
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some(Matched { route, params: params(route.path, path)? }))
}

fn params(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut out = Vec::new();
    let mut parts = path.split('/');
    let mut wanted = pattern.split('/');
    loop {
        let (want, part) = match (wanted.next(), parts.next()) {
            (None, None) => return Some(out),
            (Some(want), Some(part)) => (want, part),
            _ => return None,
        };
        let Some(name) = want.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            if want == part {
                continue;
            }
            return None;
        };
        if let Some(name) = name.strip_prefix('*') {
            let rest: Vec<&str> = std::iter::once(part).chain(parts.by_ref()).collect();
            out.push((name, decode(&rest.join("/"))));
            return Some(out);
        }
        if part.is_empty() {
            return None;
        }
        out.push((name, decode(part)));
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
