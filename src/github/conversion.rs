//! The App before we know it: the code that GitHub gives for a manifest is exchanged for the App's credentials, once.
//!
//! <https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest>

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    app::{ClientOptions, caller},
    call::Caller,
    error::{CallError, SetupError},
    host::Host,
};
use crate::clock::Clock;

/// The longest answer that is read: a key, secrets and names are some 4 KB.
const LARGEST_ANSWER: usize = 256 * 1024;

/// The longest code that is sent on. GitHub's have 40 characters.
const LONGEST_CODE: usize = 200;

/// An App that was just made, with what nobody can be told a second time.
#[derive(Debug)]
pub struct NewApp {
    /// Its id.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its page on GitHub.
    pub page: String,
    /// Its private key, as PEM.
    pub private_key: SecretString,
    /// What its webhooks are signed with; `None`: GitHub made no secret.
    pub webhook_secret: Option<SecretString>,
}

/// Why there is no App, or none that we know of.
#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    /// This is no code.
    #[error("GitHub sent no code that could be one of its own")]
    NoCode,
    /// GitHub does not know the code.
    #[error("GitHub does not take the code: it was used before, or is older than an hour")]
    Refused,
    /// GitHub answered something else than an App.
    #[error("GitHub's answer is not that of an App")]
    Nonsense,
    /// Something else went wrong.
    #[error(transparent)]
    Call(CallError),
    /// The address cannot be called.
    #[error(transparent)]
    Address(#[from] SetupError),
}

impl ConversionError {
    /// Whether GitHub may have made an App whose credentials are lost.
    #[must_use]
    pub fn may_have_made_an_app(&self) -> bool {
        matches!(self, Self::Nonsense | Self::Call(_))
    }
}

#[derive(Deserialize)]
struct Wire {
    id: u64,
    slug: String,
    #[serde(default)]
    html_url: String,
    pem: String,
    #[serde(default)]
    webhook_secret: Option<String>,
}

/// What exchanges codes at one GitHub.
pub struct Conversion {
    caller: Caller,
    host: Host,
}

impl Conversion {
    /// Nothing is called yet. `timeout` is for one exchange, from the connection to the last byte.
    ///
    /// # Errors
    /// When the address cannot be called.
    pub fn at(host: Host, timeout: Duration, clock: Clock) -> Result<Self, SetupError> {
        let options = ClientOptions { timeout, ..ClientOptions::default() };
        let mut caller = caller(host.api(), options, clock, None)?;
        caller.largest = LARGEST_ANSWER;
        Ok(Self { caller, host })
    }

    /// Exchanges `code`. Sent once: GitHub takes a code once.
    ///
    /// # Errors
    /// Why there is no App.
    pub async fn of(&self, code: &str) -> Result<NewApp, ConversionError> {
        let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if code.is_empty() || code.len() > LONGEST_CODE || !code.bytes().all(is_code) {
            return Err(ConversionError::NoCode);
        }
        let path = format!("/app-manifests/{code}/conversions");
        let answer = self.caller.post(&path, &serde_json::json!({})).await;
        let answer = answer.map_err(|error| match error {
            CallError::NotFound | CallError::Unprocessable { .. } => ConversionError::Refused,
            // What was wrong with it is not told on: the words may hold a part of a secret.
            CallError::Unreadable { .. } => ConversionError::Nonsense,
            other => ConversionError::Call(other),
        })?;
        let wire: Wire = answer.json().map_err(|_| ConversionError::Nonsense)?;
        let is_slug = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(wire.pem.trim().as_bytes());
        if wire.id == 0
            || wire.slug.is_empty()
            || wire.slug.len() > 100
            || !wire.slug.bytes().all(is_slug)
            || key.is_err()
        {
            return Err(ConversionError::Nonsense);
        }
        let secret = wire.webhook_secret.filter(|secret| !secret.trim().is_empty());
        Ok(NewApp {
            id: wire.id,
            page: self.host.app_page(&wire.html_url, &wire.slug),
            slug: wire.slug,
            private_key: wire.pem.into(),
            webhook_secret: secret.map(SecretString::from),
        })
    }
}
