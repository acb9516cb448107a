//! Refs, branches, commits, trees, blobs and files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::time::zulu;
use super::{Place, simple_user};
use crate::ids::node_id;
use crate::world::World;
use crate::world::git::{Blob, Commit, FileChange, mail};

/// How many entries a tree lists before it is cut.
const MOST_IN_TREE: usize = 100_000;

/// The schema `git-ref`; the name is without `refs/`.
pub(crate) fn git_ref(place: &Place<'_>, name: &str, sha: &str) -> Value {
    json!({
        "ref": format!("refs/{name}"),
        "node_id": node_id("Ref", place.repository.id),
        "url": format!("{}/git/refs/{name}", place.api()),
        "object": { "sha": sha, "type": "commit", "url": format!("{}/git/commits/{sha}", place.api()) },
    })
}

/// The schema `repository-rule-detailed`, of a rule that asks for pull requests with approvals.
pub(crate) fn review_rule(place: &Place<'_>, needed: u32) -> Value {
    json!({
        "type": "pull_request",
        "ruleset_source_type": "Repository",
        "ruleset_source": place.full_name(),
        "ruleset_id": place.repository.id,
        "parameters": {
            "allowed_merge_methods": ["merge", "squash", "rebase"],
            "dismiss_stale_reviews_on_push": true,
            "require_code_owner_review": false,
            "require_last_push_approval": true,
            "required_approving_review_count": needed,
            "required_review_thread_resolution": false,
        },
    })
}

/// The schema `branch-with-protection`. A ruleset makes a branch protected; the older protection is not there.
pub(crate) fn branch(place: &Place<'_>, world: &World, name: &str, tip: &Commit) -> Value {
    let api = format!("{}/branches/{name}", place.api());
    json!({
        "name": name,
        "commit": commit(place, world, tip),
        "_links": { "self": api, "html": format!("{}/tree/{name}", place.site()) },
        "protected": place.repository.approvals.is_some() && name == place.repository.default_branch(),
        "protection": {
            "enabled": false,
            "required_status_checks": { "enforcement_level": "off", "contexts": [], "checks": [] },
        },
        "protection_url": format!("{api}/protection"),
    })
}

/// The schema `commit`, without files.
pub(crate) fn commit(place: &Place<'_>, world: &World, commit: &Commit) -> Value {
    let (api, site) = (place.api(), place.site());
    let known = world.user(&commit.author);
    let name = known.and_then(|user| user.name.as_deref()).unwrap_or(&commit.author);
    let person = json!({ "name": name, "email": mail(&commit.author), "date": zulu(commit.at) });
    let user = known.map(|user| simple_user(user, place.urls));
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| {
            json!({ "sha": sha, "url": format!("{api}/commits/{sha}"), "html_url": format!("{site}/commit/{sha}") })
        })
        .collect();
    let sha = &commit.sha;
    json!({
        "sha": sha,
        "node_id": node_id("Commit", place.repository.id),
        "url": format!("{api}/commits/{sha}"),
        "html_url": format!("{site}/commit/{sha}"),
        "comments_url": format!("{api}/commits/{sha}/comments"),
        "commit": {
            "url": format!("{api}/git/commits/{sha}"),
            "author": person,
            "committer": person,
            "message": commit.message,
            "comment_count": 0,
            "tree": { "sha": commit.tree(), "url": format!("{api}/git/trees/{}", commit.tree()) },
            "verification": {
                "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null,
            },
        },
        "author": user,
        "committer": user,
        "parents": parents,
    })
}

/// The schema `commit`, with what it did to files.
pub(crate) fn commit_with_files(place: &Place<'_>, world: &World, one: &Commit) -> Value {
    let changes = place.repository.git.done_by(one);
    let additions: usize = changes.iter().map(|change| change.additions).sum();
    let deletions: usize = changes.iter().map(|change| change.deletions).sum();
    let files: Vec<Value> =
        changes.iter().take(300).map(|change| diff_entry(place, change, &one.sha)).collect();
    let mut out = commit(place, world, one);
    if let Some(fields) = out.as_object_mut() {
        let stats = json!({ "additions": additions, "deletions": deletions, "total": additions + deletions });
        fields.insert("stats".to_owned(), stats);
        fields.insert("files".to_owned(), json!(files));
    }
    out
}

/// The schema `diff-entry`, without a patch, which GitHub leaves out of large ones, too.
pub(crate) fn diff_entry(place: &Place<'_>, change: &FileChange, at: &str) -> Value {
    let (api, site, path) = (place.api(), place.site(), &change.path);
    let mut out = json!({
        "sha": change.sha,
        "filename": path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": format!("{site}/blob/{at}/{}", escaped(path)),
        "raw_url": format!("{site}/raw/{at}/{}", escaped(path)),
        "contents_url": format!("{api}/contents/{}?ref={at}", escaped(path)),
    });
    if let (Some(fields), Some(previous)) = (out.as_object_mut(), &change.previous) {
        fields.insert("previous_filename".to_owned(), json!(previous));
    }
    out
}

/// The schema `git-tree`: the entries of a folder, or of it and all below.
pub(crate) fn tree(place: &Place<'_>, commit: &Commit, folder: &str, recursive: bool) -> Value {
    let inside = |path: &str| -> Option<String> {
        let rest = match folder {
            "" => path,
            folder => path.strip_prefix(folder)?.strip_prefix('/')?,
        };
        let wanted = !rest.is_empty() && (recursive || !rest.contains('/'));
        wanted.then(|| rest.to_owned())
    };
    let folders = commit.trees.iter().filter_map(|(path, sha)| {
        let url = format!("{}/git/trees/{sha}", place.api());
        Some(json!({ "path": inside(path)?, "mode": "040000", "type": "tree", "sha": sha, "url": url }))
    });
    let files = commit.files.iter().filter_map(|(path, blob)| {
        let url = format!("{}/git/blobs/{}", place.api(), blob.sha);
        Some(json!({
            "path": inside(path)?, "mode": "100644", "type": "blob", "sha": blob.sha,
            "size": blob.bytes.len(), "url": url,
        }))
    });
    let mut entries: Vec<Value> = folders.chain(files).collect();
    entries.sort_by_key(|entry| entry.get("path").and_then(Value::as_str).map(str::to_owned));
    let truncated = entries.len() > MOST_IN_TREE;
    entries.truncate(MOST_IN_TREE);
    let sha = commit.trees.get(folder).map_or("", String::as_str);
    json!({
        "sha": sha,
        "url": format!("{}/git/trees/{sha}", place.api()),
        "tree": entries,
        "truncated": truncated,
    })
}

/// The schema `blob`.
pub(crate) fn blob(place: &Place<'_>, blob: &Blob) -> Value {
    json!({
        "sha": blob.sha,
        "node_id": node_id("Blob", place.repository.id),
        "size": blob.bytes.len(),
        "url": format!("{}/git/blobs/{}", place.api(), blob.sha),
        "content": in_lines(&blob.bytes),
        "encoding": "base64",
    })
}

/// What the schemas of a file and of a folder's entry have in common. The kind is `file` or `dir`.
pub(crate) fn content_entry(
    place: &Place<'_>,
    at: &str,
    path: &str,
    kind: &str,
    sha: &str,
    size: usize,
) -> Value {
    let (api, site, escaped) = (place.api(), place.site(), escaped(path));
    let own = format!("{api}/contents/{escaped}?ref={at}");
    let (view, git) = if kind == "dir" { ("tree", "trees") } else { ("blob", "blobs") };
    let html = format!("{site}/{view}/{at}/{escaped}");
    let git = format!("{api}/git/{git}/{sha}");
    json!({
        "type": kind,
        "size": size,
        "name": path.rsplit('/').next().unwrap_or(path),
        "path": path,
        "sha": sha,
        "url": own,
        "git_url": git,
        "html_url": html,
        "download_url": (kind == "file").then(|| format!("{site}/raw/{at}/{escaped}")),
        "_links": { "self": own, "git": git, "html": html },
    })
}

/// A path in a URL, its slashes kept.
fn escaped(path: &str) -> String {
    let segment = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
            .to_string()
            .replace("%2D", "-")
            .replace("%2E", ".")
            .replace("%5F", "_")
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Base 64 with a line break every 60 letters, as GitHub sends it.
pub(crate) fn in_lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut out = String::with_capacity(text.len() + text.len() / 60 + 1);
    let mut rest = text.as_str();
    while let Some((line, after)) = rest.split_at_checked(60) {
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out
}
