//! Pull requests.

use serde_json::{Map, Value, json};

use super::time::zulu;
use super::{Place, minimal_repository, simple_user};
use crate::ids::node_id;
use crate::world::{Head, Organization, PullRequest, Role, World};

/// The schema `pull-request-simple`.
pub(crate) fn pull_simple(place: &Place<'_>, world: &World, pull: &PullRequest) -> Value {
    let number = pull.number;
    let (api, site) = (format!("{}/pulls/{number}", place.api()), place.site());
    let issue = format!("{}/issues/{number}", place.api());
    let links = [
        ("self", api.clone()),
        ("html", format!("{site}/pull/{number}")),
        ("issue", issue.clone()),
        ("comments", format!("{issue}/comments")),
        ("review_comments", format!("{api}/comments")),
        ("review_comment", format!("{}/pulls/comments{{/number}}", place.api())),
        ("commits", format!("{api}/commits")),
        ("statuses", format!("{}/statuses/{}", place.api(), pull.head_sha)),
    ];
    let urls: Map<String, Value> = links
        .iter()
        .filter(|(name, _)| *name != "self")
        .map(|(name, url)| (format!("{name}_url"), json!(url)))
        .collect();
    let hrefs: Map<String, Value> =
        links.iter().map(|(name, url)| ((*name).to_owned(), json!({ "href": url }))).collect();
    let user = world.user(&pull.author).map(|user| simple_user(user, place.urls));
    let mut out = json!({
        "url": api,
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "diff_url": format!("{site}/pull/{number}.diff"),
        "patch_url": format!("{site}/pull/{number}.patch"),
        "number": number,
        "state": if pull.open { "open" } else { "closed" },
        "locked": false,
        "title": pull.title,
        "user": user,
        "body": null,
        "labels": [],
        "milestone": null,
        "active_lock_reason": null,
        "created_at": zulu(pull.created_at),
        "updated_at": zulu(pull.updated_at),
        "closed_at": pull.closed_at.map(zulu),
        "merged_at": pull.merge_sha.as_ref().and(pull.closed_at).map(zulu),
        "merge_commit_sha": pull.merge_sha,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "head": head(place, world, pull),
        "base": side(place, &place.organization.login, &pull.base, &pull.base_sha, own(place)),
        "_links": hrefs,
        "author_association": association(place.organization, world, &pull.author),
        "auto_merge": null,
        "draft": false,
    });
    if let Some(fields) = out.as_object_mut() {
        fields.extend(urls);
    }
    out
}

/// The schema `pull-request`.
pub(crate) fn pull_full(place: &Place<'_>, world: &World, pull: &PullRequest) -> Value {
    let changes = place.repository.changed_by(pull);
    let commits = place.repository.git.between(&pull.base_sha, &pull.head_sha).len();
    let merged_by = pull.merged_by.as_ref().and_then(|login| world.user(login));
    let mut out = pull_simple(place, world, pull);
    if let (Some(fields), Value::Object(more)) = (
        out.as_object_mut(),
        json!({
            "merged": pull.merge_sha.is_some(),
            "mergeable": pull.open.then_some(true),
            "rebaseable": pull.open.then_some(true),
            "mergeable_state": if pull.open { "clean" } else { "unknown" },
            "merged_by": merged_by.map(|user| simple_user(user, place.urls)),
            "comments": 0,
            "review_comments": 0,
            "maintainer_can_modify": false,
            "commits": commits,
            "additions": changes.iter().map(|change| change.additions).sum::<usize>(),
            "deletions": changes.iter().map(|change| change.deletions).sum::<usize>(),
            "changed_files": changes.len(),
        }),
    ) {
        fields.extend(more);
    }
    out
}

/// The schema `pull-request-minimal`, which check runs show.
pub(crate) fn pull_minimal(place: &Place<'_>, pull: &PullRequest) -> Value {
    let repo =
        |id: u64, url: String| json!({ "id": id, "url": url, "name": place.repository.name });
    let own = || repo(place.repository.id, place.api());
    json!({
        "id": pull.id,
        "number": pull.number,
        "url": format!("{}/pulls/{}", place.api(), pull.number),
        "head": { "ref": pull.head.branch(), "sha": pull.head_sha, "repo": own() },
        "base": { "ref": pull.base, "sha": pull.base_sha, "repo": own() },
    })
}

fn own(place: &Place<'_>) -> Value {
    minimal_repository(place.repository, place.organization, place.urls)
}

fn head(place: &Place<'_>, world: &World, pull: &PullRequest) -> Value {
    let branch = pull.head.branch();
    let Head::Fork(_) = pull.head else {
        return side(place, &place.organization.login, branch, &pull.head_sha, own(place));
    };
    let Some(author) = world.user(&pull.author) else {
        return Value::Null;
    };
    // A fork is its author's repository of the same name; it is shown here, and nowhere served.
    let account = Organization::new(author.id, &author.login);
    let fork = place.repository.forked(pull.fork);
    let mut repo = minimal_repository(&fork, &account, place.urls);
    let user = simple_user(author, place.urls);
    if let Some(fields) = repo.as_object_mut() {
        fields.insert("owner".to_owned(), user.clone());
    }
    let mut out = side(place, &author.login, branch, &pull.head_sha, repo);
    if let Some(fields) = out.as_object_mut() {
        fields.insert("user".to_owned(), user);
    }
    out
}

fn side(place: &Place<'_>, owner: &str, branch: &str, sha: &str, repo: Value) -> Value {
    let organization = place.organization;
    json!({
        "label": format!("{owner}:{branch}"),
        "ref": branch,
        "sha": sha,
        "user": super::user::object(&organization.login, organization.id, "Organization", place.urls),
        "repo": repo,
    })
}

fn association(organization: &Organization, world: &World, login: &str) -> &'static str {
    match world.user(login).and_then(|user| organization.members.get(&user.id)) {
        Some(Role::Admin | Role::Member) => "MEMBER",
        None => "NONE",
    }
}
