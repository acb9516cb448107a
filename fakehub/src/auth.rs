//! Who calls: the App by its JWT, an installation by its token, a user by theirs. What each may call is in `routes`.
//!
//! Source: <https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app>.

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::answer::Answer;
use crate::app::{ActiveKey, App};
use crate::permissions::rank;
use crate::state::State;

/// An installation's token; the time is Unix seconds.
#[derive(Debug, Clone)]
pub(crate) struct AccessToken {
    pub(crate) installation: u64,
    pub(crate) expires_at: i64,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) repositories: Option<Vec<u64>>,
}

/// Who makes a call.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    Nobody,
    App,
    Installation(Box<InstallationCaller>),
    /// A personal access token of whatever kind.
    User,
}

#[derive(Debug, Clone)]
pub(crate) struct InstallationCaller {
    pub(crate) id: u64,
    pub(crate) organization: u64,
    pub(crate) permissions: BTreeMap<String, String>,
    /// What the token was narrowed to.
    pub(crate) repositories: Option<Vec<u64>>,
    /// What the installation was given.
    pub(crate) chosen: Option<BTreeSet<u64>>,
}

impl InstallationCaller {
    /// Whether both the token and its installation include this repository.
    pub(crate) fn reaches(&self, repository: u64) -> bool {
        self.repositories.as_ref().is_none_or(|ids| ids.contains(&repository))
            && self.chosen.as_ref().is_none_or(|ids| ids.contains(&repository))
    }

    pub(crate) fn has(&self, permission: &str, level: &str) -> bool {
        self.permissions.get(permission).is_some_and(|has| rank(has) >= rank(level))
    }
}

/// What a header `Authorization` holds, checked as far as that goes without the state.
#[derive(Debug)]
pub(crate) enum Credential {
    None,
    Jwt,
    Token(String),
}

/// GitHub takes `Bearer` and `token`.
pub(crate) fn credential(
    header: Option<&str>,
    app: &App,
    now: i64,
) -> Result<Credential, Box<Answer>> {
    let Some(header) = header else {
        return Ok(Credential::None);
    };
    let (scheme, token) = header.split_once(' ').ok_or_else(Answer::bad_credentials)?;
    if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("token") {
        return Err(Answer::bad_credentials());
    }
    let token = token.trim();
    if token.starts_with("eyJ") && token.matches('.').count() == 2 {
        check_jwt(token, app, now)?;
        return Ok(Credential::Jwt);
    }
    Ok(Credential::Token(token.to_owned()))
}

/// RS256, by a key that is active; `iss` the App's id or client id; `exp` at most ten minutes ahead; `iat` not in the future.
fn check_jwt(token: &str, app: &App, now: i64) -> Result<(), Box<Answer>> {
    let refuse = |message: &str| Box::new(Answer::error(401, message));
    let mut validation = Validation::new(Algorithm::RS256);
    // Times are judged below, by fakehub's clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let signed_by = |key: &ActiveKey| {
        let key = DecodingKey::from_rsa_der(&key.public_der);
        jsonwebtoken::decode::<Value>(token, &key, &validation).ok()
    };
    let claims = app
        .keys
        .iter()
        .find_map(signed_by)
        .ok_or_else(|| refuse("A JSON web token could not be decoded"))?
        .claims;
    let number = |name: &str| claims.get(name).and_then(Value::as_i64);
    let exp = number("exp").filter(|exp| *exp > now).ok_or_else(|| {
        refuse("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
    })?;
    if exp > now.saturating_add(600) {
        return Err(refuse("'Expiration time' claim ('exp') is too far in the future"));
    }
    number("iat").filter(|iat| *iat <= now.saturating_add(60)).ok_or_else(|| {
        refuse("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
    })?;
    let issuer = match claims.get("iss") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if issuer != app.client_id && issuer != app.id.to_string() {
        return Err(refuse("'Issuer' claim ('iss') does not name this App"));
    }
    Ok(())
}

impl State {
    /// Turns a credential into a caller.
    pub(crate) fn caller(&self, credential: Credential) -> Result<Caller, Box<Answer>> {
        let token = match credential {
            Credential::None => return Ok(Caller::Nobody),
            Credential::Jwt => return Ok(Caller::App),
            Credential::Token(token) => token,
        };
        if token.starts_with("ghp_") || token.starts_with("github_pat_") {
            return Ok(Caller::User);
        }
        let known = self.access_tokens.get(&token).filter(|known| known.expires_at > self.now());
        let known = known.ok_or_else(Answer::bad_credentials)?;
        let installation =
            self.installations.get(&known.installation).ok_or_else(Answer::bad_credentials)?;
        if installation.suspended_at.is_some() {
            return Err(Box::new(Answer::error(403, "This installation has been suspended")));
        }
        // A permission taken away from the installation is gone from tokens minted before.
        let permissions = known
            .permissions
            .iter()
            .filter_map(|(name, level)| {
                let granted = installation.permissions.get(name)?;
                let lower = if rank(granted) < rank(level) { granted } else { level };
                Some((name.clone(), lower.clone()))
            })
            .collect();
        Ok(Caller::Installation(Box::new(InstallationCaller {
            id: installation.id,
            organization: installation.organization,
            permissions,
            repositories: known.repositories.clone(),
            chosen: installation.chosen.clone(),
        })))
    }
}
