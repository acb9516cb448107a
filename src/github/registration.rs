//! The App as GitHub has it: what it was registered with, where webhooks go, what each installation granted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{app::App, error::CallError, wire};
use crate::domain::Installation;

/// What the App was registered with.
///
/// <https://docs.github.com/rest/apps/apps#get-the-authenticated-app>
#[derive(Clone, Debug, Deserialize)]
pub struct Registration {
    /// Its id.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Permissions, with `read`, `write` or `admin`.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// Events that it is sent.
    #[serde(default)]
    pub events: BTreeSet<String>,
}

/// Where webhooks go.
///
/// <https://docs.github.com/rest/apps/webhooks#get-a-webhook-configuration-for-an-app>
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HookConfig {
    /// The address; none: GitHub sends nothing.
    #[serde(default)]
    pub url: Option<String>,
    /// `json` or `form`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Stars, where there is a secret.
    #[serde(default)]
    pub secret: Option<String>,
}

/// An installation, and what it granted: less than the App asks for, until an owner accepts what was added.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The installation.
    pub installation: Installation,
    /// Permissions, with `read`, `write` or `admin`.
    pub permissions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct WireGranted {
    #[serde(default)]
    permissions: BTreeMap<String, String>,
    #[serde(flatten)]
    installation: wire::Installation,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    installed_version: Option<String>,
}

impl App {
    /// What the App was registered with.
    ///
    /// # Errors
    /// Whatever the call came to; [`CallError::Unauthorized`] when key and id are not of one App, or a clock is wrong.
    pub async fn registration(&self) -> Result<Registration, CallError> {
        self.caller().get("/app").await
    }

    /// Where its webhooks go.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn hook_config(&self) -> Result<HookConfig, CallError> {
        self.caller().get("/app/hook/config").await
    }

    /// Has webhooks sent as JSON, and signed with this secret where one is given. GitHub makes the webhook of a new App with
    /// another form.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn send_webhooks_as_json(
        &self,
        secret: Option<&SecretString>,
    ) -> Result<(), CallError> {
        let mut body = serde_json::json!({ "content_type": "json" });
        if let (Some(fields), Some(secret)) = (body.as_object_mut(), secret) {
            fields.insert("secret".to_owned(), secret.expose_secret().into());
        }
        self.caller().change(http::Method::PATCH, "/app/hook/config", &body).await.map(|_| ())
    }

    /// Every installation on an organization, with what it granted.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn granted(&self) -> Result<Vec<Granted>, CallError> {
        let all: Vec<WireGranted> = self.caller().pages("/app/installations?per_page=100").await?;
        let granted = |one: WireGranted| {
            let permissions = one.permissions;
            one.installation
                .on_an_organization()
                .map(|installation| Granted { installation, permissions })
        };
        Ok(all.into_iter().filter_map(granted).collect())
    }

    /// The version of a GitHub Enterprise Server; `None` on github.com.
    ///
    /// # Errors
    /// Whatever the call came to.
    pub async fn server_version(&self) -> Result<Option<String>, CallError> {
        let meta: Meta = self.caller().get("/meta").await?;
        Ok(meta.installed_version)
    }

    /// How far our clock was ahead of GitHub's at the last answer.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        self.caller().limits.clock_ahead()
    }
}
