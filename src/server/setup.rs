//! The page on which the App is registered: who may see it, what is sent to GitHub, what comes back. It is there only
//! while there are no credentials, and none is ever shown in it.
//!
//! Whoever can send a form to it could have patwarden work with an App of theirs. So it is behind a code that only the
//! terminal shows, also on this machine: nothing in a request tells whether a proxy passed it on, or who of this machine's
//! users sent it. It is reached under names that cannot be somebody else's (DNS rebinding); its forms carry a token; and what
//! comes back from GitHub counts once, with the `state` that was given out.

mod page;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use http_body_util::{BodyExt, Limited};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

use self::page::{Page, Pages, Said};
use super::Bound;
use crate::{
    clock::Clock,
    github::{App, AppCredentials, ClientOptions, Conversion, ConversionError, Host, NewApp},
    manifest::Manifest,
    setup::{Choices, Files, FilesError, Given, Once, Registered},
};

/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 16 * 1024;

/// How long a form may take to arrive.
const FORM_DEADLINE: Duration = Duration::from_secs(10);

/// How long GitHub keeps what a registration needs.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Where GitHub sends the browser back to.
const BACK: &str = "/back";

/// What the code is called, in a form or in an address.
const WORD: &str = "word";

/// The cookie of a browser that knew the code.
const COOKIE: &str = "patwarden_setup";

/// What most proxies add: then the other end is not on this machine, however the connection looks. One that adds nothing is
/// not noticed, and whoever comes through it does not have the code.
const OF_PROXIES: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// How the page is offered.
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Under which address browsers reach it, where that is not the one it listens on.
    pub url: Option<Url>,
    /// The folder for the files.
    pub out: PathBuf,
    /// Which GitHub stands in the form at first.
    pub host: Host,
    /// The longest that one call to GitHub may take.
    pub timeout: Duration,
}

/// Why the page cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Credentials are there.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// The machine has no randomness.
    #[error("no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// What came with the program is broken.
    #[error("{0}")]
    Manifest(String),
}

/// A page that is bound and not yet served.
pub struct Open {
    bound: Bound,
    desk: Arc<Desk>,
    done: watch::Receiver<bool>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where to point a browser. On this machine the address has the code in it.
    pub url: String,
    /// What has to be typed there first, where the address is not to have it: it may be written down on the way.
    pub code: Option<String>,
}

/// From where the page is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// From this machine, or through a tunnel that ends on it.
    ThisMachine,
    /// From elsewhere, or through a proxy.
    Elsewhere,
}

/// What opens the door: the code counts once, and its browser has the cookie then.
struct Lock {
    code: Mutex<Option<Once>>,
    session: Mutex<Option<Once>>,
}

/// What was sent to GitHub and has not come back.
struct Pending {
    state: Once,
    choices: Choices,
    until: Timestamp,
}

struct Desk {
    manifest: Manifest,
    address: SocketAddr,
    url: Option<Url>,
    out: PathBuf,
    host: Host,
    timeout: Duration,
    clock: Clock,
    reach: Reach,
    lock: Lock,
    /// In every form: no other page can know it.
    token: Once,
    pending: Mutex<Option<Pending>>,
    registered: Mutex<Option<Registered>>,
    done: watch::Sender<bool>,
}

impl Open {
    /// Binds the address. Nothing is served yet.
    ///
    /// # Errors
    /// When there are credentials already, or nothing can be listened on.
    pub fn bind(options: Options, clock: Clock) -> Result<Self, OpenError> {
        Files::look(&options.out)?;
        let manifest = Manifest::of_this_version().map_err(OpenError::Manifest)?;
        let bound =
            Bound::to(options.listen).map_err(|error| OpenError::Listen(options.listen, error))?;
        let reach = match &options.url {
            None if bound.address.ip().is_loopback() => Reach::ThisMachine,
            _ => Reach::Elsewhere,
        };
        let code = Once::to_type()?;
        let word = code.word().to_owned();
        let url = match &options.url {
            Some(url) => url.to_string(),
            None => format!("http://{}/", bound.address),
        };
        let (url, word) = match reach {
            Reach::ThisMachine => (format!("{url}enter?{WORD}={word}"), None),
            Reach::Elsewhere => (url, Some(word)),
        };
        let (sender, done) = watch::channel(false);
        let desk = Desk {
            manifest,
            address: bound.address,
            url: options.url,
            out: options.out,
            host: options.host,
            timeout: options.timeout,
            clock,
            reach,
            lock: Lock { code: Mutex::new(Some(code)), session: Mutex::default() },
            token: Once::long()?,
            pending: Mutex::default(),
            registered: Mutex::default(),
            done: sender,
        };
        let address = bound.address;
        Ok(Self { bound, desk: Arc::new(desk), done, address, url, code: word })
    }

    /// Serves until the App is registered, or `stop`. Then nothing is there any more.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(mut self, stop: CancellationToken) -> io::Result<Option<Registered>> {
        let over = stop.child_token();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&self.desk));
        let server = self.bound.serve(router, over.clone());
        let watching = async {
            tokio::select! {
                _ = self.done.wait_for(|done| *done) => {}
                () = stop.cancelled() => {}
            }
            over.cancel();
        };
        let (served, ()) = tokio::join!(server, watching);
        served?;
        Ok(held(&self.desk.registered).take())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every request: who asks is looked at first, and every answer has the same headers.
async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let Ok(nonce) = Once::long() else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
    let pages = Pages { nonce: nonce.word() };
    let mut cookie = None;
    let page = match desk.base(&request) {
        Err(why) => pages.message(StatusCode::MISDIRECTED_REQUEST, "Not here", why),
        Ok(base) => desk.route(request, &base, &pages, &mut cookie).await,
    };
    sent(page, nonce.word(), cookie)
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn sent(page: Page, nonce: &str, cookie: Option<String>) -> Response {
    let sends_to = page.sends_to.map(|to| format!(" {to}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'{sends_to}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let mut response = Response::new(Body::from(page.html));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // GitHub hears from where the form came, and nobody hears of what follows the address: codes and `state`.
        (header::REFERRER_POLICY, "strict-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    // A host in it was checked to be one; what cannot be a header is a page without style or forms.
    let policy = HeaderValue::from_str(&policy);
    if page.status == StatusCode::SEE_OTHER {
        headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    }
    let none = HeaderValue::from_static("default-src 'none'; form-action 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(none));
    if let Some(Ok(cookie)) = cookie.map(|cookie| HeaderValue::from_str(&cookie)) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

impl Desk {
    /// Under which address we are called, as `http://127.0.0.1:8181`: one that cannot be another's name for us.
    fn base(&self, request: &Request) -> Result<String, &'static str> {
        let headers = request.headers();
        let wrong =
            "This page is not known under that address. Use the one that the terminal shows.";
        let host = only(headers, "host").filter(|_| request.uri().authority().is_none());
        let called = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
        let called = called.filter(|url| url.username().is_empty() && url.path() == "/");
        let called = called.ok_or(wrong)?;
        if let Some(url) = &self.url {
            // The port may be left out where it is the scheme's own.
            let port = called.port().or_else(|| Url::port_or_known_default(url));
            let same = called.host_str() == url.host_str() && port == url.port_or_known_default();
            let otherwise = "This page is not known under that address. Use the one of --url; a proxy passes on the Host header as \
                             the browser sent it.";
            return if same { Ok(url.origin().ascii_serialization()) } else { Err(otherwise) };
        }
        let ip = match called.host() {
            Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        let localhost = called.host_str() == Some("localhost");
        let known = match self.reach {
            Reach::ThisMachine => {
                (localhost || ip.is_some_and(|ip| ip.is_loopback()))
                    && called.port_or_known_default() == Some(self.address.port())
            }
            // A number is nobody's name.
            Reach::Elsewhere => localhost || ip.is_some(),
        };
        if !known {
            return Err(wrong);
        }
        if self.reach == Reach::ThisMachine
            && OF_PROXIES.iter().any(|name| headers.contains_key(*name))
        {
            return Err(
                "This came through a proxy, so whoever asks may be on any machine. Start `patwarden setup` with \
                        `--url`.",
            );
        }
        Ok(called.origin().ascii_serialization())
    }

    async fn route(
        self: &Arc<Self>,
        request: Request,
        base: &str,
        pages: &Pages<'_>,
        cookie: &mut Option<String>,
    ) -> Page {
        if held(&self.registered).is_some() || *self.done.borrow() {
            let text = "The App is registered, and its key is where the terminal says.";
            return pages.message(StatusCode::GONE, "This page is closed", text);
        }
        let inside = self.lets_in(request.headers());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        match (&method, path.as_str()) {
            (&Method::GET | &Method::POST, "/enter") if !inside => {
                self.enter(request, base, pages, cookie).await
            }
            // The address with the code, opened again.
            (&Method::GET, "/enter") => pages.inside(),
            (_, "/") if !inside => pages.enter(&Said::Nothing),
            _ if !inside => {
                let text =
                    "Open the address that the terminal shows, or type its code on the first page.";
                pages.message(StatusCode::FORBIDDEN, "The code first", text)
            }
            (&Method::GET, "/") => self.choose(&Given::at_first(&self.host), &[], pages),
            (&Method::POST, "/app") => self.app(request, base, pages).await,
            (&Method::GET, BACK) => {
                let query = request.uri().query().unwrap_or_default().to_owned();
                self.back(&query, pages).await
            }
            _ => pages.message(StatusCode::NOT_FOUND, "Not found", "There is nothing here."),
        }
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter();
        let said = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        let session = held(&self.lock.session);
        session.as_ref().zip(said).is_some_and(|(session, said)| session.is(said))
    }

    /// The code, typed or in the address that the terminal shows. It is taken out of the browser's own address at once.
    async fn enter(
        &self,
        request: Request,
        base: &str,
        pages: &Pages<'_>,
        cookie: &mut Option<String>,
    ) -> Page {
        let fields = if request.method() == Method::GET {
            let query = request.uri().query().unwrap_or_default();
            Some(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
        } else {
            form(request, base).await
        };
        let Some(fields) = fields else { return pages.enter(&Said::Wrong) };
        let said = fields.iter().find(|(name, _)| name == WORD).map(|(_, value)| value.as_str());
        let mut code = held(&self.lock.code);
        if code.is_none() {
            return pages.enter(&Said::Again);
        }
        let known = code.as_ref().zip(said).is_some_and(|(code, said)| code.is_typed(said));
        let Some(new) = known.then(Once::long).and_then(Result::ok) else {
            return pages.enter(&Said::Wrong);
        };
        *code = None;
        let secure = if base.starts_with("https:") { "; Secure" } else { "" };
        // Not `Strict`: coming back from GitHub is coming from another site.
        *cookie = Some(format!("{COOKIE}={}; HttpOnly; SameSite=Lax; Path=/{secure}", new.word()));
        *held(&self.lock.session) = Some(new);
        pages.inside()
    }

    fn choose(&self, given: &Given, problems: &[String], pages: &Pages<'_>) -> Page {
        pages.choose(&self.manifest, given, problems, self.token.word())
    }

    /// What was chosen: checked, kept under a new `state`, and shown with the button that goes to GitHub.
    async fn app(&self, request: Request, base: &str, pages: &Pages<'_>) -> Page {
        let refused = |text| pages.message(StatusCode::FORBIDDEN, "Not taken", text);
        let Some(fields) = form(request, base).await else {
            return refused("This is no form of this page.");
        };
        let token = fields.iter().find(|(name, _)| name == "token");
        if !token.is_some_and(|(_, said)| self.token.is(said)) {
            return refused(
                "This form is not from this page, or from before patwarden was started anew.",
            );
        }
        let given = Given::read(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let choices = match Choices::of(&given, &self.manifest) {
            Ok(choices) => choices,
            Err(problems) => return self.choose(&given, &problems, pages),
        };
        let Ok(state) = Once::long() else {
            let text = "This machine has no randomness.";
            return pages.message(StatusCode::INTERNAL_SERVER_ERROR, "That went wrong", text);
        };
        let folder = std::path::absolute(&self.out).unwrap_or_else(|_| self.out.clone());
        let redirect = format!("{base}{BACK}");
        let page = pages.review(&choices, &folder.to_string_lossy(), &redirect, state.word());
        let until = self.clock.now().saturating_add(HOUR).unwrap_or(Timestamp::MAX);
        *held(&self.pending) = Some(Pending { state, choices, until });
        page
    }

    /// Back from GitHub, with a code for the App's credentials.
    async fn back(self: &Arc<Self>, query: &str, pages: &Pages<'_>) -> Page {
        let mut code = Vec::new();
        let mut state = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "code" => code.push(value.into_owned()),
                "state" => state.push(value.into_owned()),
                _ => {}
            }
        }
        let pending = {
            let mut pending = held(&self.pending);
            let known = match (pending.as_ref(), state.as_slice()) {
                (Some(pending), [said]) => pending.state.is(said),
                _ => false,
            };
            // Taken whatever comes of it: it counts once.
            if known { pending.take() } else { None }
        };
        let now = self.clock.now();
        let (Some(pending), [code]) = (pending.filter(|one| one.until > now), code.as_slice())
        else {
            let text = "This was not asked for here, or was here before, or is older than an hour. Nothing was fetched.";
            return pages.message(StatusCode::FORBIDDEN, "Not taken", text);
        };
        let (desk, code) = (Arc::clone(self), code.clone());
        // What GitHub gives once must not be lost because a browser hung up.
        let work = tokio::spawn(async move { desk.fetch(pending.choices, &code).await });
        match work.await {
            Ok(Ok(registered)) => pages.done(&registered),
            Ok(Err((status, text))) => {
                pages.message(status, "The App's key could not be fetched", &text)
            }
            Err(_) => pages.message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "That went wrong",
                "The terminal says more.",
            ),
        }
    }

    /// Fetches the credentials and writes them: their files are made before, so that there is a place for what is told once.
    async fn fetch(
        &self,
        choices: Choices,
        code: &str,
    ) -> Result<Registered, (StatusCode, String)> {
        let apps =
            format!("{}/organizations/{}/settings/apps", choices.host.web(), choices.organization);
        let left = format!(
            "If GitHub has made the App, it is of no use without its key: delete it at {apps}, and begin again."
        );
        let failed = |status: StatusCode, why: String| (status, format!("{why}. {left}"));
        let disk = |error: FilesError| failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
        let files = Files::make(&self.out).map_err(disk)?;
        let conversion = Conversion::at(choices.host.clone(), self.timeout, self.clock.clone());
        let app = async { conversion?.of(code).await }.await;
        let app = app
            .map_err(|error: ConversionError| failed(StatusCode::BAD_GATEWAY, error.to_string()))?;
        let mut own = None;
        let secret = match (&choices.webhook, &app.webhook_secret) {
            (None, _) => None,
            (Some(_), Some(secret)) => Some(secret.clone()),
            (Some(_), None) => {
                let made = Once::long();
                let made = made.map_err(|error| {
                    failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
                })?;
                own = Some(SecretString::from(made.word().to_owned()));
                own.clone()
            }
        };
        let written = files.write(&app, secret.as_ref(), &choices).map_err(disk)?;
        let mut notes = Vec::new();
        if choices.webhook.is_some()
            && let Err(why) = self.as_json(&app, &choices, own.as_ref()).await
        {
            notes.push(format!(
                "GitHub did not take how webhooks are to be sent ({why}). Set their content type to application/json, and \
                 the secret to what is in its file, on the App's settings page; `patwarden doctor` looks at both."
            ));
        }
        let registered = Registered::new(&app, &choices, written, notes);
        *held(&self.registered) = Some(registered.clone());
        self.done.send_replace(true);
        Ok(registered)
    }

    async fn as_json(
        &self,
        app: &NewApp,
        choices: &Choices,
        secret: Option<&SecretString>,
    ) -> Result<(), String> {
        let private_key = SecretString::from(app.private_key.expose_secret().to_owned());
        let credentials = AppCredentials { app_id: app.id, private_key };
        let options = ClientOptions { timeout: self.timeout, ..ClientOptions::default() };
        let app = App::new(&credentials, choices.host.api(), options, self.clock.clone());
        let app = app.map_err(|error| error.to_string())?;
        app.send_webhooks_as_json(secret).await.map_err(|error| error.to_string())
    }
}

/// The fields of a form of our own pages; `None`: it is none, or another page's.
async fn form(request: Request, base: &str) -> Option<Vec<(String, String)>> {
    let headers = request.headers();
    // Browsers say where a form comes from. What says nothing has the token to show.
    if headers.contains_key(header::ORIGIN) && only(headers, "origin") != Some(base) {
        return None;
    }
    let kind = only(headers, "content-type")?;
    if kind.split(';').next()?.trim() != "application/x-www-form-urlencoded" {
        return None;
    }
    let body = Limited::new(request.into_body(), LARGEST_FORM).collect();
    let body = tokio::time::timeout(FORM_DEADLINE, body).await.ok()?.ok()?.to_bytes();
    Some(form_urlencoded::parse(&body).into_owned().collect())
}
