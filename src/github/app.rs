//! The App itself: its key, its installations, and one client for each of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use octocrab::Octocrab;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{
    call::{Caller, LARGEST_ANSWER},
    error::{CallError, SetupError},
    issues::Identity,
    limits::{Limits, LimitsSeen},
    read::Read,
    wire,
    write::Write,
};
use crate::{
    clock::Clock,
    domain::{Installation, InstallationId, Login},
    watch::Tally,
};

/// Who we are to GitHub.
pub struct AppCredentials {
    /// The App's numeric id.
    pub app_id: u64,
    /// The private key, as PEM.
    pub private_key: SecretString,
}

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    /// The longest a single HTTP exchange may take.
    pub timeout: Duration,
    /// The least time between two calls that change something, for one installation. GitHub asks for a
    /// second: <https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api>.
    pub write_interval: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(20), write_interval: Duration::from_secs(1) }
    }
}

/// GitHub, as the App sees it.
pub struct App {
    caller: Caller,
    /// Whether it is a GitHub Enterprise Server.
    server: bool,
    /// The organizations that count; `None`: all.
    allowed: Option<Arc<[Login]>>,
    /// Who we are, and when that was asked.
    pub(super) identity: Mutex<Option<(Identity, Timestamp)>>,
}

impl App {
    /// A client for the API at `api_url` (`https://api.github.com`, or `https://HOST/api/v3`).
    ///
    /// # Errors
    /// When the key is no RSA key in PEM form, or the address is not one. Nothing is called yet.
    pub fn new(
        credentials: &AppCredentials,
        api_url: &str,
        options: ClientOptions,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(
            credentials.private_key.expose_secret().trim().as_bytes(),
        )
        .map_err(|error| SetupError::PrivateKey(error.to_string()))?;
        let identity = (credentials.app_id.into(), key);
        let caller = caller(api_url, options, clock, Some(identity))?;
        // Those have their API below a path; github.com and GHE.com have hosts of their own for it.
        let server = caller.base_path.trim_end_matches('/').ends_with("/v3");
        Ok(Self { caller, server, allowed: None, identity: Mutex::default() })
    }

    /// The same, for these organizations alone: whatever else the App is installed on is not even looked at. `None`: all.
    #[must_use]
    pub fn only(self, organizations: Option<Vec<Login>>) -> Self {
        Self { allowed: organizations.map(Arc::from), ..self }
    }

    /// The same, with every call counted there.
    #[must_use]
    pub fn counting(self, tally: Tally) -> Self {
        Self { caller: Caller { tally, ..self.caller }, ..self }
    }

    /// Whether an organization of this name counts.
    #[must_use]
    pub fn allows(&self, organization: &Login) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(organization))
    }

    pub(super) fn is_server(&self) -> bool {
        self.server
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Every installation on an organization that counts, to the last page. Those on users' accounts are left out:
    /// no token asks a user for access.
    ///
    /// # Errors
    /// Whatever the calls came to.
    pub async fn installations(&self) -> Result<Vec<Installation>, CallError> {
        Ok(self.all_installations().await?.0)
    }

    /// The same, and those beside them that are on organizations which do not count.
    ///
    /// # Errors
    /// As there.
    pub async fn all_installations(
        &self,
    ) -> Result<(Vec<Installation>, Vec<Installation>), CallError> {
        let all: Vec<wire::Installation> =
            self.caller.pages("/app/installations?per_page=100").await?;
        let all = all.into_iter().filter_map(wire::Installation::on_an_organization);
        Ok(all.partition(|installation| self.allows(&installation.organization.login)))
    }
}

/// What calls the API at `api_url`: as an App, or as nobody, before there is one.
pub(super) fn caller(
    api_url: &str,
    options: ClientOptions,
    clock: Clock,
    identity: Option<(octocrab::models::AppId, jsonwebtoken::EncodingKey)>,
) -> Result<Caller, SetupError> {
    // A second call finds it installed; that is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let uri: http::Uri = api_url
        .trim_end_matches('/')
        .parse()
        .map_err(|error| SetupError::ApiUrl(format!("{error}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
        return Err(SetupError::ApiUrl(format!("`{api_url}` does not begin with https://HOST")));
    }
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let base_path: Arc<str> = uri.path().into();
    let mut http = reqwest::Client::builder()
        .timeout(options.timeout)
        .connect_timeout(options.timeout.min(Duration::from_secs(10)))
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::limited(3));
    if loopback {
        http = http.no_proxy();
    }
    let http = http.build().map_err(|error| SetupError::Client(error.to_string()))?;
    let crab =
        Octocrab::builder().base_uri(uri).map_err(|_| SetupError::ApiUrl(api_url.to_owned()))?;
    let crab = match identity {
        Some((id, key)) => crab.app(id, key),
        None => crab,
    };
    let crab = crab.build_with_reqwest(http);
    let crab = crab.map_err(|error| SetupError::Client(error.to_string()))?;
    let limits = Arc::new(LimitsSeen::default());
    // Two exchanges at most: the token, and the call itself.
    let deadline = options.timeout.saturating_mul(2);
    let (tally, largest) = (Tally::default(), LARGEST_ANSWER);
    Ok(Caller { crab: Arc::new(crab), base_path, limits, clock, tally, deadline, largest })
}

/// Readers and writers, one client an installation, so that a token is fetched once and shared.
pub struct InstallationClients {
    app: Arc<App>,
    write_interval: Duration,
    clients: Mutex<HashMap<InstallationId, Client>>,
}

/// A caller, and when it last changed something.
type Client = (Caller, Arc<tokio::sync::Mutex<Option<Instant>>>);

impl InstallationClients {
    /// Clients for the installations of `app`; none is made before it is asked for.
    #[must_use]
    pub fn new(app: Arc<App>, options: ClientOptions) -> Self {
        Self { app, write_interval: options.write_interval, clients: Mutex::default() }
    }

    /// What reads for an installation.
    ///
    /// # Errors
    /// When octocrab cannot make a client.
    pub fn read(&self, id: InstallationId) -> Result<Read, CallError> {
        Ok(Read::new(self.client(id)?.0))
    }

    /// What writes for an installation: another type, so that whoever holds a reader cannot write.
    ///
    /// # Errors
    /// When octocrab cannot make a client.
    pub fn write(&self, id: InstallationId) -> Result<Write, CallError> {
        let (caller, last_write) = self.client(id)?;
        Ok(Write::new(caller, last_write, self.write_interval))
    }

    /// Fetches a new token for every installation when it is next used: what the App may do is in the token, and an
    /// owner may just have accepted more. When each was last written to is kept.
    pub fn renew(&self) {
        let Ok(mut clients) = self.clients.lock() else { return };
        let old: Vec<_> = clients.drain().collect();
        drop(clients);
        for (id, (_, last_write)) in old {
            // Whoever uses one meanwhile has made it anew already.
            if let Ok((caller, _)) = self.client(id)
                && let Ok(mut clients) = self.clients.lock()
            {
                clients.insert(id, (caller, last_write));
            }
        }
    }

    /// What the last answers said of the hourly limits, of each installation that was called.
    #[must_use]
    pub fn limits(&self) -> Vec<(InstallationId, Limits)> {
        let Ok(clients) = self.clients.lock() else { return Vec::new() };
        clients
            .iter()
            .filter_map(|(id, (caller, _))| Some((*id, caller.limits.newest()?)))
            .collect()
    }

    fn client(&self, id: InstallationId) -> Result<Client, CallError> {
        let broken = |why: String| CallError::Unreadable { why };
        let mut clients = self.clients.lock().map_err(|error| broken(error.to_string()))?;
        if let Some(client) = clients.get(&id) {
            return Ok(client.clone());
        }
        let number = u64::try_from(id.0).map_err(|error| broken(error.to_string()))?;
        let crab = self
            .app
            .caller
            .crab
            .installation(number.into())
            .map_err(|error| broken(error.to_string()))?;
        let caller = Caller {
            crab: Arc::new(crab),
            limits: Arc::new(LimitsSeen::default()),
            ..self.app.caller.clone()
        };
        let client = (caller, Arc::default());
        clients.insert(id, client.clone());
        Ok(client)
    }
}
