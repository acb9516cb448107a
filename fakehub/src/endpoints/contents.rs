//! Files and folders of a repository, at any commit.
//!
//! Source: <https://docs.github.com/rest/repos/contents>.

use std::collections::BTreeMap;

use serde_json::json;

use super::repos::place;
use crate::answer::{Answer, Reply};
use crate::context::Context;
use crate::render;
use crate::state::State;

/// How much of a file comes in base 64; more comes raw only.
const MOST_IN_JSON: usize = 1024 * 1024;
/// How large a file may be at all.
pub(super) const MOST: usize = 100 * 1024 * 1024;
/// How many entries of a folder are listed.
const MOST_ENTRIES: usize = 1_000;

/// A file in base 64 or raw, or the entries of a folder.
pub(crate) fn content(state: &mut State, context: &Context) -> Reply {
    let place = place(state, context)?;
    let wanted = context.query("ref").filter(|name| !name.is_empty());
    let name = wanted.unwrap_or_else(|| place.repository.default_branch());
    let commit = match (place.repository.commit(name), wanted) {
        (Some(commit), _) => commit,
        (None, Some(name)) => {
            let message = format!("No commit found for the ref {name}");
            return Err(Box::new(Answer::error(404, &message)));
        }
        (None, None) => return Err(Box::new(Answer::error(404, "This repository is empty."))),
    };
    let path = context.param("path").trim_matches('/');
    if let Some(blob) = commit.files.get(path) {
        if blob.bytes.len() > MOST {
            return Err(too_large());
        }
        if context.accept.contains("raw") {
            return Ok(Answer::raw(
                200,
                "application/vnd.github.raw+json; charset=utf-8",
                blob.bytes.to_vec(),
            ));
        }
        let mut out =
            render::content_entry(&place, name, path, "file", &blob.sha, blob.bytes.len());
        if let Some(fields) = out.as_object_mut() {
            let (encoding, content) = match blob.bytes.len() > MOST_IN_JSON {
                true => ("none", String::new()),
                false => ("base64", render::in_lines(&blob.bytes)),
            };
            fields.insert("encoding".to_owned(), json!(encoding));
            fields.insert("content".to_owned(), json!(content));
        }
        return Ok(Answer::ok(out));
    }
    let tree = commit.trees.get(path).ok_or_else(Answer::not_found)?;
    let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries = BTreeMap::new();
    for (file, blob) in &commit.files {
        let inside = file.strip_prefix(&folder).filter(|rest| !rest.contains('/'));
        if inside.is_some() {
            let size = blob.bytes.len();
            entries
                .insert(file, render::content_entry(&place, name, file, "file", &blob.sha, size));
        }
    }
    for (below, sha) in commit.trees.iter().filter(|(below, _)| !below.is_empty()) {
        let inside = below.strip_prefix(&folder).filter(|rest| !rest.contains('/'));
        if inside.is_some_and(|rest| !rest.is_empty()) {
            entries.insert(below, render::content_entry(&place, name, below, "dir", sha, 0));
        }
    }
    let entries: Vec<_> = entries.into_values().take(MOST_ENTRIES).collect();
    if !context.accept.contains("object") {
        return Ok(Answer::ok(json!(entries)));
    }
    let mut out = render::content_entry(&place, name, path, "dir", tree, 0);
    if let Some(fields) = out.as_object_mut() {
        fields.insert("entries".to_owned(), json!(entries));
    }
    Ok(Answer::ok(out))
}

/// A file GitHub's API does not hand out.
pub(super) fn too_large() -> Box<Answer> {
    Box::new(Answer::json(
        403,
        json!({
            "message": "This API returns blobs up to 100 MB in size. The requested blob is too large to fetch via the API, but you can always clone the repository via Git in order to obtain it.",
            "documentation_url": "https://docs.github.com/rest",
            "status": "403",
        }),
    ))
}
