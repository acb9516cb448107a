//! The layers of rule files, the uppermost first: who may bind whom.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose rules. What an upper layer forbids, a lower one cannot allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The enterprise's, for all its organizations.
    Enterprise,
    /// One organization's.
    Organization,
}

impl Layer {
    /// All layers, the uppermost first.
    pub const ALL: [Self; 2] = [Self::Enterprise, Self::Organization];

    /// The layer's name, for people and in `layer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Organization => "organization",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
