//! Organizations, memberships and teams.

use serde_json::{Value, json};

use super::time::zulu;
use super::{MADE_AT, Urls, simple_user, webhook_user};
use crate::ids::node_id;
use crate::world::{Organization, Repository, Team, TeamRole, User, Visibility};

/// The schemas `organization-simple` and `organization-simple-webhooks`: twelve fields.
pub(crate) fn organization_simple(organization: &Organization, urls: &Urls) -> Value {
    let api = format!("{}/orgs/{}", urls.api, organization.login);
    json!({
        "login": organization.login,
        "id": organization.id,
        "node_id": node_id("Organization", organization.id),
        "url": api,
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events"),
        "hooks_url": format!("{api}/hooks"),
        "issues_url": format!("{api}/issues"),
        "members_url": format!("{api}/members{{/member}}"),
        "public_members_url": format!("{api}/public_members{{/member}}"),
        "avatar_url": format!("{}/avatars/u/{}?v=4", urls.site, organization.id),
        "description": organization.description,
    })
}

/// An organization as an account: the schema of a user, and twelve fields of an organization.
pub(crate) fn organization_account(organization: &Organization, urls: &Urls) -> Value {
    organization_simple(organization, urls)
}

pub(crate) fn organization_webhook(organization: &Organization, urls: &Urls) -> Value {
    organization_simple(organization, urls)
}

/// The schema `organization-full`.
pub(crate) fn organization_full(organization: &Organization, urls: &Urls) -> Value {
    let public = |repository: &&Repository| repository.visibility == Visibility::Public;
    let public_repos = organization.repositories.values().filter(public).count();
    let mut out = organization_simple(organization, urls);
    if let (Some(fields), Value::Object(more)) = (
        out.as_object_mut(),
        json!({
            "has_organization_projects": true,
            "has_repository_projects": true,
            "public_repos": public_repos,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "html_url": format!("{}/{}", urls.site, organization.login),
            "type": "Organization",
            "created_at": zulu(MADE_AT),
            "updated_at": zulu(MADE_AT),
            "archived_at": null,
        }),
    ) {
        fields.extend(more);
    }
    out
}

/// The schema `org-membership`. `role` is `admin`, `member` or `billing_manager`; `state` is `active` or `pending`.
pub(crate) fn membership(
    organization: &Organization,
    user: &User,
    role: &str,
    state: &str,
    urls: &Urls,
) -> Value {
    let api = format!("{}/orgs/{}", urls.api, organization.login);
    json!({
        "url": format!("{api}/memberships/{}", user.login),
        "state": state,
        "role": role,
        "direct_membership": true,
        "organization_url": api,
        "organization": organization_simple(organization, urls),
        "user": simple_user(user, urls),
    })
}

/// `membership` of the event `organization`.
pub(crate) fn member_webhook_membership(
    organization: &Organization,
    user: &User,
    member: bool,
    urls: &Urls,
) -> Value {
    let api = format!("{}/orgs/{}", urls.api, organization.login);
    json!({
        "url": format!("{api}/memberships/{}", user.login),
        "state": if member { "active" } else { "inactive" },
        "role": if member { "member" } else { "unaffiliated" },
        "organization_url": api,
        "user": webhook_user(user, urls),
    })
}

/// The schema `team-simple`, which is also what `parent` holds.
fn team_simple(organization: &Organization, team: &Team, urls: &Urls) -> Value {
    let api = format!("{}/organizations/{}/team/{}", urls.api, organization.id, team.id);
    json!({
        "id": team.id,
        "node_id": node_id("Team", team.id),
        "name": team.name,
        "slug": team.slug,
        "description": team.description,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": "pull",
        "url": api,
        "html_url": format!("{}/orgs/{}/teams/{}", urls.site, organization.login, team.slug),
        "members_url": format!("{api}/members{{/member}}"),
        "repositories_url": format!("{api}/repos"),
        "type": "organization",
        "organization_id": organization.id,
    })
}

/// The schema `team`.
pub(crate) fn team(organization: &Organization, team: &Team, urls: &Urls) -> Value {
    let parent = team
        .parent
        .as_ref()
        .and_then(|slug| organization.teams.get(slug))
        .map(|parent| team_simple(organization, parent, urls));
    let mut out = team_simple(organization, team, urls);
    if let Some(fields) = out.as_object_mut() {
        fields.insert("parent".to_owned(), json!(parent));
    }
    out
}

/// The schema `team-full`.
pub(crate) fn team_full(organization: &Organization, one: &Team, urls: &Urls) -> Value {
    let mut out = team(organization, one, urls);
    let mut parent = organization_full(organization, urls);
    if let Some(fields) = parent.as_object_mut() {
        // `team-organization` is an older form of the full organization, with one more field required.
        fields.insert("is_verified".to_owned(), json!(false));
    }
    if let (Some(fields), Value::Object(more)) = (
        out.as_object_mut(),
        json!({
            "members_count": organization.team_members(&one.slug).len(),
            "repos_count": 0,
            "created_at": zulu(MADE_AT),
            "updated_at": zulu(MADE_AT),
            "organization": parent,
        }),
    ) {
        fields.extend(more);
    }
    out
}

/// `team` of the event `membership`.
pub(crate) fn team_webhook(organization: &Organization, one: &Team, urls: &Urls) -> Value {
    team(organization, one, urls)
}

/// The schema `team-membership`.
pub(crate) fn team_membership(
    organization: &Organization,
    team: &Team,
    user: &User,
    role: TeamRole,
    urls: &Urls,
) -> Value {
    json!({
        "url": format!("{}/organizations/{}/team/{}/memberships/{}", urls.api, organization.id, team.id, user.login),
        "role": match role { TeamRole::Member => "member", TeamRole::Maintainer => "maintainer" },
        "state": "active",
    })
}
