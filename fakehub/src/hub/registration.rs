//! Apps that are registered from a manifest: made at a click, known once their code was exchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fakehub;
use crate::app::{self, App};
use crate::deliveries::{ContentType, HookConfig};
use crate::error::Error;
use crate::ids;
use crate::installations::Wishes;
use crate::state::State;
use crate::website::manifest::Manifest;

/// How long a code is good for, in seconds.
const CODE_LASTS: i64 = 3_600;

/// Apps that were made and whose credentials nobody has fetched.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    made: u64,
    waiting: BTreeMap<String, Registered>,
}

/// One of them; the time is Unix seconds.
#[derive(Debug)]
struct Registered {
    app: App,
    wishes: Wishes,
    hook: HookConfig,
    at: i64,
}

impl Fakehub {
    /// A person registers an App; gives the code for its credentials.
    ///
    /// # Errors
    /// When there is no such organization, or no key can be made.
    pub(crate) fn register_app(
        &self,
        organization: Option<&str>,
        manifest: Manifest,
    ) -> Result<String, Error> {
        if let Some(login) = organization {
            self.shared.with(|state| state.organization_id(login))?;
        }
        let slug = slug(&manifest.name);
        if slug.is_empty() {
            return Err(Error::Invalid("Name can't be blank".to_owned()));
        }
        let key = app::registered_key()?;
        let secret = hex::encode(ids::random::<20>());
        let code = hex::encode(ids::random::<20>());
        Ok(self.shared.with(|state| {
            let number = ids::next(&mut state.registrations.made);
            let app = App {
                id: state.app.id.saturating_add(number),
                client_id: format!("Iv23registered{number:06}"),
                slug,
                name: manifest.name,
                keys: vec![key.active(1)],
                private_key_pem: key.private_pem,
                webhook_secret: secret.clone(),
            };
            let hook = HookConfig {
                id: state.hook.id.saturating_add(number),
                url: Some(manifest.hook_url),
                active: manifest.hook_active,
                // The default of the description; whoever wants JSON says so.
                content_type: ContentType::Form,
                secret: Some(secret),
                insecure_ssl: false,
            };
            let wishes = Wishes { permissions: manifest.permissions, events: manifest.events };
            let at = state.now();
            let registered = Registered { app, wishes, hook, at };
            state.registrations.waiting.insert(code.clone(), registered);
            code
        }))
    }
}

impl State {
    /// Exchanges a code, once: the App is the one that this GitHub knows from now on, and is installed nowhere.
    pub(crate) fn converted(&mut self, code: &str) -> bool {
        let now = self.now();
        let Some(known) = self.registrations.waiting.remove(code) else { return false };
        if now.saturating_sub(known.at) > CODE_LASTS {
            return false;
        }
        self.app = Arc::new(known.app);
        self.wishes = known.wishes;
        self.hook = known.hook;
        self.installations.clear();
        self.access_tokens.clear();
        // They were the former App's: each has a list of its own.
        self.deliveries.forget();
        true
    }
}

/// The name in addresses.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}
