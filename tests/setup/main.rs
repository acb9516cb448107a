//! Registering the App, and attacks on it: the page that `patwarden setup` serves, with a fake GitHub at the other end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod attacks;
mod commands;
mod door;

use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use fakehub::{Config, Fakehub, Fault, Repo};
use patwarden::{
    clock::Clock,
    github::{App, AppCredentials, ClientOptions, Host},
    server::setup::{Open, Options},
    settings::{Settings, Sources, Webhooks},
    setup::Registered,
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const CONVERT: &str = "apps/create-from-manifest";
const FILES: [&str; 3] = ["patwarden.toml", "patwarden.pem", "patwarden.webhook-secret"];

/// A GitHub, the page, and a browser without a mind of its own.
struct Stage {
    hub: Fakehub,
    folder: tempfile::TempDir,
    address: SocketAddr,
    /// The address that the terminal shows.
    url: String,
    code: Option<String>,
    /// What the browser was given when it came in.
    cookie: String,
    page: JoinHandle<io::Result<Option<Registered>>>,
    stop: CancellationToken,
    clock: Clock,
    http: reqwest::Client,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    /// The value of a hidden field, or of another attribute, as a browser reads it.
    fn after(&self, mark: &str) -> String {
        let (_, rest) =
            self.text.split_once(mark).unwrap_or_else(|| panic!("{mark} in {}", self.text));
        let (value, _) = rest.split_once('"').unwrap();
        // Both ways to write a reference; `&` last.
        let plain = [
            ("&quot;", "\""),
            ("&#34;", "\""),
            ("&#x27;", "'"),
            ("&#39;", "'"),
            ("&#60;", "<"),
            ("&#62;", ">"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#38;", "&"),
            ("&amp;", "&"),
        ];
        plain.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// What a browser sends back of a cookie that it was given.
    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

impl Stage {
    /// With a browser that opened the address of the terminal.
    async fn open() -> Self {
        let mut stage = Self::open_with(|_| {}).await;
        let entered = stage.get(&stage.url).await;
        assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"));
        stage.cookie = entered.cookie();
        stage
    }

    /// With a browser that has not been there yet.
    async fn open_with(change: impl FnOnce(&mut Options)) -> Self {
        let hub = Fakehub::start(Config::default()).await.unwrap();
        hub.world(|world| {
            world.add_organization("acme").owner("olga").repository(Repo::private("token-policy"));
        });
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&hub, folder.path().join("app"));
        change(&mut options);
        let clock = Clock::system();
        let open = Open::bind(options, clock.clone()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], open.address.port()));
        let (url, code, stop) = (open.url.clone(), open.code.clone(), CancellationToken::new());
        let page = tokio::spawn(open.serve(stop.clone()));
        let (http, cookie) = (browser(), String::new());
        Self { hub, folder, address, url, code, cookie, page, stop, clock, http }
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Answer {
        let url = if url.starts_with('/') {
            format!("http://{}{url}", self.address)
        } else {
            url.to_owned()
        };
        let mut request = self.http.request(method, url).header("user-agent", "stories");
        if !headers.iter().any(|(name, _)| *name == "cookie") && !self.cookie.is_empty() {
            request = request.header("cookie", &self.cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !form.is_empty() {
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            body.extend_pairs(form);
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.finish());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    async fn get(&self, url: &str) -> Answer {
        self.call(Method::GET, url, &[], &[]).await
    }

    /// The choices of a page that was looked at first, and these.
    async fn choose(&self, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
        let token =
            self.call(Method::GET, "/", headers, &[]).await.after("name=\"token\" value=\"");
        let site = self.hub.api_url();
        let mut form = vec![
            ("token", token.as_str()),
            ("host", site.as_str()),
            ("organization", "acme"),
            ("rules", "acme/token-policy"),
            ("feature", "policy"),
        ];
        form.extend(fields);
        self.call(Method::POST, "/app", headers, &form).await
    }

    /// What a person does on GitHub: gives the address to which it sends the browser back.
    async fn on_github(&self, review: &Answer) -> String {
        assert_eq!(review.status, StatusCode::OK, "{}", review.text);
        let action = review.after("<form method=\"post\" action=\"");
        let manifest = review.after("name=\"manifest\" value=\"");
        let asked = self.call(Method::POST, &action, &[], &[("manifest", &manifest)]).await;
        assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
        let create =
            format!("{}{}", self.hub.api_url(), asked.after("<form method=post action=\""));
        let form = [
            ("manifest", asked.after("name=manifest value=\"")),
            ("state", asked.after("name=state value=\"")),
            ("name", "Acme tokens".to_owned()),
        ];
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let made = self.call(Method::POST, &create, &[], &form).await;
        assert_eq!(made.status, StatusCode::FOUND, "{}", made.text);
        made.header("location").to_owned()
    }

    /// To where GitHub sends back, for an App with webhooks.
    async fn sent_back(&self) -> String {
        let review = self.choose(&[], &[("webhook", "http://127.0.0.1:9")]).await;
        self.on_github(&review).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("app").join(name)
    }

    fn exchanges(&self) -> usize {
        self.hub.calls_of(CONVERT).len()
    }

    fn nothing_is_written(&self) {
        for name in FILES {
            assert!(!self.path(name).exists(), "{name} is there");
        }
    }

    /// What the page came to, once it is over.
    async fn over(self) -> Option<Registered> {
        let over = tokio::time::timeout(Duration::from_secs(20), self.page).await;
        let registered = over.expect("the page ends").unwrap().unwrap();
        let gone = self.http.get(format!("http://{}/", self.address)).send().await;
        assert!(gone.is_err(), "nobody listens any more");
        registered
    }
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .no_proxy()
        .build()
        .unwrap()
}

fn options(hub: &Fakehub, out: PathBuf) -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        url: None,
        out,
        host: Host::of_api(&hub.api_url()).unwrap(),
        timeout: Duration::from_secs(1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_registers_the_app_and_serve_can_use_what_is_written() {
    let stage = Stage::open().await;
    let before = stage.hub.app().id;
    let review = stage.choose(&[], &[("webhook", "http://127.0.0.1:9")]).await;
    let manifest: serde_json::Value =
        serde_json::from_str(&review.after("name=\"manifest\" value=\"")).unwrap();
    let homepage = format!("{}/acme", stage.hub.api_url());
    assert_eq!(manifest["url"], homepage.as_str(), "the owner's page, which is there");
    for part in [homepage.as_str(), "app/patwarden.sqlite"] {
        assert!(review.text.contains(part), "{part} in {}", review.text);
    }
    let back = stage.on_github(&review).await;
    assert_eq!(stage.exchanges(), 0, "nothing was fetched before GitHub sent us back");
    let done = stage.get(&back).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let app = stage.hub.app();
    assert!(app.id != before && app.slug == "acme-tokens");
    for part in [
        "acme-tokens",
        "/apps/acme-tokens/installations/new",
        "patwarden doctor --config",
        "Only select repositories",
        "app/patwarden.sqlite",
    ] {
        assert!(done.text.contains(part), "{part} in {}", done.text);
    }
    for secret in [app.webhook_secret.as_str(), app.private_key_pem.lines().nth(3).unwrap()] {
        assert!(!done.text.contains(secret), "a secret is shown");
    }
    for name in FILES {
        let mode = std::fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    let folder = std::fs::metadata(stage.path("")).unwrap().permissions().mode() & 0o777;
    assert_eq!(folder, 0o700, "it was made");
    assert_eq!(
        std::fs::read_to_string(stage.path("patwarden.webhook-secret")).unwrap(),
        app.webhook_secret
    );

    let settings = Settings::check(Sources::default().with_file(&stage.path("patwarden.toml")));
    let settings = settings.map_err(|problems| problems.to_string()).expect("`serve` takes it");
    assert_eq!(settings.app.id, app.id);
    assert_eq!(
        settings.rules.everybody.unwrap().to_string(),
        "github:acme/token-policy/rules.toml"
    );
    assert!(matches!(&settings.app.webhooks, Webhooks::Signed(secrets) if secrets.len() == 1));
    let credentials = AppCredentials { app_id: app.id, private_key: settings.app.private_key };
    let ours =
        App::new(&credentials, &settings.app.api_url, ClientOptions::default(), Clock::system())
            .unwrap();
    let known = ours.registration().await.unwrap();
    assert!(
        known.permissions.contains_key("contents") && !known.permissions.contains_key("issues")
    );
    assert_eq!(ours.hook_config().await.unwrap().content_type.as_deref(), Some("json"));
    let registered = stage.over().await.expect("it was registered");
    assert_eq!((registered.id, registered.notes.len()), (app.id, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_public_address_the_hook_is_not_active_and_there_is_no_secret() {
    let stage = Stage::open().await;
    let review = stage.choose(&[], &[]).await;
    assert!(review.text.contains("every 30 seconds"), "{}", review.text);
    let back = stage.on_github(&review).await;
    assert_eq!(stage.get(&back).await.status, StatusCode::OK);
    assert!(!stage.path("patwarden.webhook-secret").exists());
    let settings = Settings::check(Sources::default().with_file(&stage.path("patwarden.toml")));
    let settings = settings.map_err(|problems| problems.to_string()).unwrap();
    assert!(matches!(settings.app.webhooks, Webhooks::Off));
    let hub = stage.hub.clone();
    stage.over().await.unwrap();
    hub.install("acme").unwrap();
    hub.webhooks_sent().await;
    assert!(hub.deliveries().is_empty(), "{:?}", hub.deliveries());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_pasted_and_what_is_wrong_is_shown_as_people_read_it() {
    let stage = Stage::open().await;
    let site = stage.hub.api_url();
    let (page, repository) = (format!("{site}/acme/"), format!("{site}/acme/token-policy"));
    let pasted = [("organization", page.as_str()), ("rules", repository.as_str())];
    let review = stage.choose(&[], &pasted).await;
    assert_eq!(review.status, StatusCode::OK, "{}", review.text);
    assert!(review.text.contains("github:acme/token-policy/rules.toml"), "{}", review.text);
    assert_eq!(
        review.after("<form method=\"post\" action=\"").split('?').next().unwrap(),
        format!("{site}/organizations/acme/settings/apps/new")
    );
    let elsewhere = [("organization", "https://<b>.example/acme"), ("rules", "`a")];
    let wrong = stage.choose(&[], &elsewhere).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, problems) = wrong.text.split_once("role=\"alert\">").unwrap();
    let (problems, _) = problems.split_once("</div>").unwrap();
    assert!(problems.contains("write OWNER/REPOSITORY"), "{problems}");
    assert!(!problems.contains("<b>"), "{problems}");
    let missing = stage.choose(&[], &[("webhook", "nowhere")]).await;
    assert!(
        missing
            .text
            .contains("<p>The address for webhooks: <code>nowhere</code> is not an address")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_github_makes_no_secret_one_is_made_and_told_to_it_and_a_refusal_is_shown() {
    let stage = Stage::open().await;
    let app = stage.hub.app();
    let answer = json!({ "id": app.id, "slug": app.slug, "pem": app.private_key_pem, "webhook_secret": null });
    let back = stage.sent_back().await;
    stage.hub.fault(Fault::on(CONVERT).answer(201, answer).times(1));
    stage.hub.fault(Fault::on("apps/update-webhook-config-for-app").status(500).times(1));
    let done = stage.get(&back).await;
    assert_eq!(done.status, StatusCode::OK, "the App is there: {}", done.text);
    assert!(done.text.contains("application/json"), "{}", done.text);
    let secret = std::fs::read_to_string(stage.path("patwarden.webhook-secret")).unwrap();
    assert_eq!(secret.len(), 64);
    assert!(!done.text.contains(&secret));
    let told = stage.hub.calls_of("apps/update-webhook-config-for-app");
    assert_eq!(told[0].body.as_ref().unwrap()["secret"], secret.as_str());
    assert_eq!(stage.over().await.unwrap().notes.len(), 1);
}
