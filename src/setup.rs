//! Registering the App: what somebody chose, and the files that hold what GitHub gave for it. The page stands in
//! `server::setup`, and the call in `github`.

mod choices;
mod files;
mod next;
mod once;

pub use choices::{Choices, Given};
pub use files::{Files, FilesError, RECORD, SETTINGS, Written};
pub use next::{Registered, Step};
pub use once::Once;
