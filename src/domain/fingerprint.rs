//! One value that stands for everything a decision judged: if it differs, the request changed.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PermissionGroup, Repository, TokenRequest};

/// SHA-256, in hex, over what the requester chose: who, which token, until when, why, what, where.
///
/// Left out is what changes without an edit: the time of last use, whether the token has expired by
/// now, and the names of people and repositories (their ids are in).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of `request`. `repositories` is the list behind a `subset`, where it was read;
    /// a request judged without its list has another fingerprint than the same with it.
    #[must_use]
    pub fn of(request: &TokenRequest, repositories: Option<&[Repository]>) -> Self {
        let mut hasher = Sha256::new();
        // Every field is preceded by its length, so that no two different requests write the same bytes.
        let mut field = |text: &str| {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        };
        field("patwarden fingerprint 1");
        field(&request.organization.id.to_string());
        field(&request.id.to_string());
        field(&request.owner.id.to_string());
        field(&request.token.id.to_string());
        field(&request.token.name);
        field(&request.token.expires_at.map_or_else(String::new, |at| at.to_string()));
        field(&request.created_at.to_string());
        field(request.reason.as_deref().unwrap_or_default());
        field(request.repository_selection.as_str());
        for group in PermissionGroup::ALL {
            let permissions = request.permissions.group(group);
            field(&permissions.len().to_string());
            for (name, level) in permissions {
                field(name);
                field(level.as_str());
            }
        }
        match repositories {
            None => field("unread"),
            Some(repositories) => {
                let mut ids: Vec<_> = repositories.iter().map(|repository| repository.id).collect();
                ids.sort_unstable();
                ids.dedup();
                field(&ids.len().to_string());
                for id in ids {
                    field(&id.to_string());
                }
            }
        }
        Self(hex::encode(hasher.finalize()))
    }

    /// A fingerprint read back from the store.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The hex text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
