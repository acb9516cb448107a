//! Which mail address a login has, as far as the settings say: GitHub seldom shows it.

use std::{collections::BTreeMap, sync::Arc};

use lettre::Address;

use crate::domain::Login;

/// Mail addresses by login. Copies are cheap.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Arc<BTreeMap<Login, Address>>);

impl Addresses {
    /// These.
    #[must_use]
    pub fn new(addresses: BTreeMap<Login, Address>) -> Self {
        Self(Arc::new(addresses))
    }

    /// The address of this login, if it is known.
    #[must_use]
    pub fn of(&self, login: &Login) -> Option<&Address> {
        self.0.get(login)
    }
}
