//! Repositories and their custom properties.

use serde_json::{Value, json};

use super::time::zulu;
use super::user::{object, simple_user};
use super::{MADE_AT, Urls};
use crate::ids::node_id;
use crate::world::{Access, Organization, PropertyDefinition, Repository, User, Visibility};

/// A repository where it is, as a caller names it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) organization: &'a Organization,
    pub(crate) repository: &'a Repository,
    pub(crate) urls: &'a Urls,
}

impl Place<'_> {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.organization.login, self.repository.name)
    }

    pub(crate) fn api(&self) -> String {
        format!("{}/repos/{}", self.urls.api, self.full_name())
    }

    pub(crate) fn site(&self) -> String {
        format!("{}/{}", self.urls.site, self.full_name())
    }
}

/// The five fields a webhook shows of a repository.
pub(crate) fn repository_stub(repository: &Repository, organization: &Organization) -> Value {
    json!({
        "id": repository.id,
        "node_id": node_id("Repository", repository.id),
        "name": repository.name,
        "full_name": format!("{}/{}", organization.login, repository.name),
        "private": repository.visibility != Visibility::Public,
    })
}

/// URL fields of a repository and what follows the repository's own URL.
const LINKS: [(&str, &str); 37] = [
    ("url", ""),
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("hooks_url", "/hooks"),
];

/// The schema `minimal-repository`.
pub(crate) fn minimal_repository(
    repository: &Repository,
    organization: &Organization,
    urls: &Urls,
) -> Value {
    let full_name = format!("{}/{}", organization.login, repository.name);
    let api = format!("{}/repos/{full_name}", urls.api);
    let site = format!("{}/{full_name}", urls.site);
    let mut out = repository_stub(repository, organization);
    if let Some(fields) = out.as_object_mut() {
        for (name, rest) in LINKS {
            fields.insert(name.to_owned(), json!(format!("{api}{rest}")));
        }
        if let Value::Object(more) = json!({
            "owner": object(&organization.login, organization.id, "Organization", urls),
            "html_url": site,
            "description": repository.description,
            "fork": repository.fork,
            "git_url": format!("git://fakehub.invalid/{full_name}.git"),
            "ssh_url": format!("git@fakehub.invalid:{full_name}.git"),
            "clone_url": format!("{site}.git"),
            "svn_url": site,
            "mirror_url": null,
            "homepage": null,
            "language": null,
            "forks_count": 0,
            "stargazers_count": 0,
            "watchers_count": 0,
            "size": 0,
            "default_branch": repository.default_branch(),
            "open_issues_count": 0,
            "is_template": false,
            "topics": repository.topics,
            "has_issues": !repository.issues.disabled,
            "has_projects": true,
            "has_wiki": true,
            "has_pages": false,
            "has_downloads": true,
            "has_discussions": false,
            "archived": repository.archived,
            "disabled": false,
            "visibility": repository.visibility.as_str(),
            "pushed_at": zulu(pushed_at(repository)),
            "created_at": zulu(MADE_AT),
            "updated_at": zulu(MADE_AT),
            "license": null,
            "forks": 0,
            "open_issues": 0,
            "watchers": 0,
        }) {
            fields.extend(more);
        }
    }
    out
}

/// The schema `repository-webhooks`.
pub(crate) fn repository_webhook(place: &Place<'_>) -> Value {
    let mut out = minimal_repository(place.repository, place.organization, place.urls);
    if let Some(fields) = out.as_object_mut() {
        fields.insert("custom_properties".to_owned(), json!(place.repository.properties));
    }
    out
}

fn pushed_at(repository: &Repository) -> i64 {
    let tips = repository.git.branches.keys().filter_map(|branch| repository.git.tip(branch));
    tips.map(|tip| tip.at).max().unwrap_or(MADE_AT)
}

/// The schema `full-repository`.
pub(crate) fn full_repository(place: &Place<'_>) -> Value {
    let organization = place.organization;
    let mut out = minimal_repository(place.repository, organization, place.urls);
    if let (Some(fields), Value::Object(more)) = (
        out.as_object_mut(),
        json!({
            "subscribers_count": 0,
            "network_count": 0,
            "organization": object(&organization.login, organization.id, "Organization", place.urls),
            "custom_properties": place.repository.properties,
        }),
    ) {
        fields.extend(more);
    }
    out
}

/// The schema `repository-collaborator-permission`.
pub(crate) fn collaborator_permission(user: &User, access: Option<Access>, urls: &Urls) -> Value {
    let role = access.map_or("none", Access::role_name);
    let may = |least: Access| access.is_some_and(|access| access >= least);
    let mut shown = simple_user(user, urls);
    if let Some(fields) = shown.as_object_mut() {
        let permissions = json!({
            "admin": may(Access::Admin),
            "maintain": may(Access::Maintain),
            "push": may(Access::Write),
            "triage": may(Access::Triage),
            "pull": may(Access::Read),
        });
        fields.insert("permissions".to_owned(), permissions);
        fields.insert("role_name".to_owned(), json!(role));
    }
    json!({
        "permission": access.map_or("none", Access::permission),
        "role_name": role,
        "user": shown,
    })
}

/// The schema `custom-property`.
pub(crate) fn property_schema(
    definition: &PropertyDefinition,
    organization: &Organization,
    urls: &Urls,
) -> Value {
    let select = matches!(definition.value_type.as_str(), "single_select" | "multi_select");
    json!({
        "property_name": definition.name,
        "url": format!("{}/orgs/{}/properties/schema/{}", urls.api, organization.login, definition.name),
        "source_type": "organization",
        "value_type": definition.value_type,
        "required": definition.required,
        "default_value": definition.default_value,
        "description": null,
        "allowed_values": select.then_some(&definition.allowed_values),
        "values_editable_by": "org_actors",
    })
}

/// The values of every property the organization defines, and any the repository has besides; default values stand in.
pub(crate) fn property_values(repository: &Repository, organization: &Organization) -> Vec<Value> {
    let defined = organization.properties.iter().map(|definition| {
        let value = repository.properties.get(&definition.name);
        let value = value.cloned().unwrap_or_else(|| json!(definition.default_value));
        json!({ "property_name": definition.name, "value": value })
    });
    let others = repository
        .properties
        .iter()
        .filter(|(name, _)| {
            !organization.properties.iter().any(|definition| definition.name == **name)
        })
        .map(|(name, value)| json!({ "property_name": name, "value": value }));
    defined.chain(others).collect()
}
