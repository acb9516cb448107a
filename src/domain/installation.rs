//! Where the App is installed.

use super::{InstallationId, Organization};

/// One installation of the App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// The organization it is on.
    pub organization: Organization,
    /// Whether it is suspended: then GitHub refuses every call.
    pub suspended: bool,
}
