//! What the control API reads. Unknown fields are refused, so that a typing error is not a silent default.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::deliveries::ContentType;
use crate::error::Error;
use crate::faults::Fault;
use crate::hub::Fakehub;
use crate::permissions::Permissions;
use crate::tokens::{Lifetime, RepositoryChoice, TokenSpec};

/// A token as the control API describes it; on PATCH, what is absent stays as it was.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    organization: Option<String>,
    by: Option<String>,
    name: Option<String>,
    /// Days from now; or see `expires`.
    days: Option<u64>,
    /// `"never"` or a time.
    expires: Option<String>,
    /// `"none"`, `"all"` or names.
    repositories: Option<Repositories>,
    permissions: Option<Permissions>,
    reason: Option<String>,
    last_used: Option<Timestamp>,
    since: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Repositories {
    Word(String),
    Names(Vec<String>),
}

impl Ask {
    pub(super) fn organization(&self) -> &str {
        self.organization.as_deref().unwrap_or("acme")
    }

    pub(super) fn spec(&self) -> Result<TokenSpec, Error> {
        self.check()?;
        let by = self.by.as_deref().ok_or_else(|| Error::Invalid("`by` is required".to_owned()))?;
        Ok(self.change(TokenSpec::by(by)))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(Repositories::Word(word)) = &self.repositories
            && !matches!(word.as_str(), "none" | "all")
        {
            return Err(Error::Invalid(
                "`repositories` is `none`, `all` or an array of names".to_owned(),
            ));
        }
        match self.expires.as_deref() {
            None | Some("never") => Ok(()),
            Some(text) => text
                .parse::<Timestamp>()
                .map(|_| ())
                .map_err(|_| Error::Invalid("`expires` is `never` or a time".to_owned())),
        }
    }

    pub(super) fn change(&self, mut spec: TokenSpec) -> TokenSpec {
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        if let Some(days) = self.days {
            spec = spec.lasting_days(days);
        }
        match self.expires.as_deref() {
            None => {}
            Some("never") => spec.lifetime = Lifetime::Never,
            Some(text) => {
                if let Ok(at) = text.parse() {
                    spec.lifetime = Lifetime::Until(at);
                }
            }
        }
        match &self.repositories {
            None => {}
            Some(Repositories::Word(word)) if word == "all" => {
                spec.repositories = RepositoryChoice::All
            }
            Some(Repositories::Word(_)) => spec.repositories = RepositoryChoice::None,
            Some(Repositories::Names(names)) => {
                spec.repositories = RepositoryChoice::Named(names.clone())
            }
        }
        if let Some(permissions) = &self.permissions {
            spec.permissions = permissions.clone();
            if !spec.permissions.repository.is_empty() {
                spec.permissions
                    .repository
                    .entry("metadata".to_owned())
                    .or_insert_with(|| "read".to_owned());
            }
        }
        if let Some(reason) = &self.reason {
            spec.reason = Some(reason.clone());
        }
        if self.last_used.is_some() {
            spec.last_used_at = self.last_used;
        }
        if self.since.is_some() {
            spec.since = self.since;
        }
        spec
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewInput {
    pub(super) by: String,
    pub(super) action: String,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Belonging {
    pub(super) organization: String,
    pub(super) user: String,
    pub(super) team: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendInput {
    pub(super) event: String,
    pub(super) body: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    pub(super) seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldInput {
    pub(super) on: String,
    pub(super) when: String,
    pub(super) times: Option<u32>,
    #[serde(default)]
    pub(super) skip: u32,
}

/// A fault; `what` names it, the other fields are its parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultInput {
    on: String,
    what: String,
    status: Option<u16>,
    body: Option<Value>,
    seconds: Option<u64>,
    milliseconds: Option<u64>,
    times: Option<u32>,
    #[serde(default)]
    skip: u32,
    #[serde(default)]
    after_effect: bool,
}

impl FaultInput {
    pub(super) fn fault(self) -> Result<Fault, Error> {
        let fault = Fault::on(&self.on);
        let time = match (self.seconds, self.milliseconds) {
            (Some(seconds), _) => Some(Duration::from_secs(seconds)),
            (None, Some(milliseconds)) => Some(Duration::from_millis(milliseconds)),
            (None, None) => None,
        };
        let timed = || {
            time.ok_or_else(|| Error::Invalid("`seconds` or `milliseconds` is required".to_owned()))
        };
        let fault = match self.what.as_str() {
            "status" => match (self.status.unwrap_or(500), self.body) {
                (status, None) => fault.status(status),
                (status, Some(body)) => fault.answer(status, body),
            },
            "bad_credentials" => fault.bad_credentials(),
            "missing_permission" => fault.missing_permission(),
            "rate_limited" => fault.rate_limited(timed()?),
            "secondary_limit" => fault.secondary_limit(time),
            "too_many_requests" => fault.too_many_requests(timed()?),
            "slow" => fault.slow(timed()?),
            "mute" => fault.mute(),
            "cut" => fault.cut(),
            "half" => fault.half(),
            "lag" => fault.lag(timed()?),
            "lose_row" => fault.lose_row(),
            other => return Err(Error::Invalid(format!("no fault is called `{other}`"))),
        };
        let fault = fault.skip(self.skip);
        let fault = if self.after_effect { fault.after_effect() } else { fault };
        Ok(match self.times {
            Some(times) => fault.times(times),
            None => fault,
        })
    }
}

/// What is done to webhooks; absent fields stay as they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    url: Option<String>,
    content_type: Option<String>,
    drop: Option<bool>,
    duplicate: Option<bool>,
    delay_ms: Option<u64>,
    reverse: Option<usize>,
}

impl Handle {
    pub(super) fn apply(self, hub: &Fakehub) -> Result<(), Error> {
        match self.content_type.as_deref() {
            None => {}
            Some("json") => hub.set_webhook_content_type(ContentType::Json),
            Some("form") => hub.set_webhook_content_type(ContentType::Form),
            Some(_) => return Err(Error::Invalid("`content_type` is `json` or `form`".to_owned())),
        }
        if let Some(url) = self.url {
            hub.set_webhook_url(&url);
        }
        if let Some(on) = self.drop {
            hub.drop_webhooks(on);
        }
        if let Some(on) = self.duplicate {
            hub.duplicate_webhooks(on);
        }
        if let Some(delay) = self.delay_ms {
            hub.delay_webhooks(Duration::from_millis(delay));
        }
        if let Some(batch) = self.reverse {
            hub.reverse_webhooks(batch);
        }
        Ok(())
    }
}
