//! The App's private keys, as its page has them: several may be active at once, and the last one stays.

use std::sync::Arc;

use super::Fakehub;
use crate::app;
use crate::error::Error;

/// How many an App may have.
const MOST_KEYS: usize = 25;

/// A private key that is active, as the App's page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppKey {
    /// Names it on the page.
    pub id: u64,
    /// SHA-256 of the public key (X.509, DER), in base64.
    pub fingerprint: String,
}

impl Fakehub {
    /// The App's active keys, oldest first.
    #[must_use]
    pub fn app_keys(&self) -> Vec<AppKey> {
        let app = self.app();
        let shown =
            app.keys.iter().map(|key| AppKey { id: key.id, fingerprint: key.fingerprint.clone() });
        shown.collect()
    }

    /// The App's owner makes another private key; gives it as PEM, which GitHub does not keep.
    ///
    /// # Errors
    /// When the App has as many as it may, or no key can be made.
    pub fn generate_app_key(&self) -> Result<String, Error> {
        let made = app::make_key()?;
        self.shared.with(|state| {
            let app = Arc::make_mut(&mut state.app);
            if app.keys.len() >= MOST_KEYS {
                return Err(Error::NotAllowed(format!(
                    "an App has {MOST_KEYS} private keys at most"
                )));
            }
            let last = app.keys.iter().map(|key| key.id).max().unwrap_or_default();
            app.keys.push(made.active(last.saturating_add(1)));
            Ok(made.private_pem)
        })
    }

    /// The App's owner deletes a private key: what it signs is refused from now on. Tokens that were given out for it stay good
    /// for as long as they are.
    ///
    /// # Errors
    /// When there is no such key, or it is the only one.
    pub fn delete_app_key(&self, id: u64) -> Result<(), Error> {
        self.shared.with(|state| {
            let app = Arc::make_mut(&mut state.app);
            if app.keys.iter().all(|key| key.id != id) {
                return Err(Error::UnknownId(id));
            }
            if app.keys.len() == 1 {
                let why = "generate another private key before you delete the only one".to_owned();
                return Err(Error::NotAllowed(why));
            }
            app.keys.retain(|key| key.id != id);
            Ok(())
        })
    }
}
