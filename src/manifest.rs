//! The App's manifest, `app.yml`: which permissions and events the App asks for. Pure.
//!
//! The file has a shape of its own, which is a small part of YAML: keys at the margin with a word, a map or a list. What is not
//! of that shape is an error, and the file comes with the program, so that a test sees it.

use std::collections::{BTreeMap, BTreeSet};

/// The file, as it comes with the program.
const FILE: &str = include_str!("../app.yml");

/// What the App asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Permissions, by GitHub's names in manifests, with `read` or `write`.
    pub permissions: BTreeMap<String, String>,
    /// Events that are sent to it. Those of installations come unasked.
    pub events: BTreeSet<String>,
}

impl Manifest {
    /// That of this version.
    ///
    /// # Errors
    /// A sentence, when the file that came with the program is not of its shape.
    pub fn of_this_version() -> Result<Self, String> {
        Self::read(FILE)
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut manifest = Self::default();
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            let content = line.split(" #").next().unwrap_or_default().trim_end();
            let inner = content.trim_start();
            if inner.is_empty() || inner.starts_with('#') {
                continue;
            }
            let wrong = || format!("app.yml, line {}: `{line}`", number + 1);
            if content == inner {
                section = inner.split(':').next().ok_or_else(wrong)?;
                continue;
            }
            match section {
                "default_permissions" => {
                    let (name, level) = inner.split_once(": ").ok_or_else(wrong)?;
                    manifest.permissions.insert(name.to_owned(), level.trim().to_owned());
                }
                "default_events" => {
                    let event = inner.strip_prefix("- ").ok_or_else(wrong)?;
                    manifest.events.insert(event.trim().to_owned());
                }
                _ => {}
            }
        }
        if manifest.permissions.is_empty() || manifest.events.is_empty() {
            return Err("app.yml names no permissions or no events".to_owned());
        }
        Ok(manifest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_comes_with_the_program_is_read() {
        let manifest = Manifest::of_this_version().unwrap();
        let of = |name: &str| manifest.permissions.get(name).map(String::as_str);
        assert_eq!(of("organization_personal_access_token_requests"), Some("write"));
        assert_eq!(of("members"), Some("read"));
        assert!(manifest.events.contains("personal_access_token_request"));
        assert!(!manifest.permissions.contains_key("url"), "what stands elsewhere is none");
    }

    #[test]
    fn what_is_not_of_its_shape_is_an_error() {
        assert!(Manifest::read("default_events:\n  push\n").unwrap_err().contains("line 2"));
        assert!(Manifest::read("name: x\n").is_err());
    }
}
