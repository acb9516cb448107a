//! Registering the App, and attacks on it: the page that `patwarden setup` serves, with a fake GitHub at the other end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use fakehub::{Config, Fakehub, Fault, Repo};
use patwarden::{
    clock::Clock,
    github::{App, AppCredentials, ClientOptions, Host},
    server::setup::{Open, OpenError, Options},
    settings::{Settings, Sources, Webhooks},
    setup::Registered,
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

const CONVERT: &str = "apps/create-from-manifest";
const FILES: [&str; 3] = ["patwarden.toml", "patwarden.pem", "patwarden.webhook-secret"];

/// A GitHub, the page, and a browser without a mind of its own.
struct Stage {
    hub: Fakehub,
    folder: tempfile::TempDir,
    address: SocketAddr,
    code: Option<String>,
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
}

impl Stage {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

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
        let port = open.url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (code, stop) = (open.code.clone(), CancellationToken::new());
        let page = tokio::spawn(open.serve(stop.clone()));
        let http = browser();
        Self { hub, folder, address, code, page, stop, clock, http }
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
    let back = stage.sent_back().await;
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
async fn a_state_that_is_forged_missing_doubled_old_or_used_fetches_nothing() {
    let stage = Stage::open().await;
    assert_eq!(
        stage.get("/back?code=abc&state=").await.status,
        StatusCode::FORBIDDEN,
        "none was given out"
    );
    let back = stage.sent_back().await;
    let state = back.rsplit("state=").next().unwrap().to_owned();
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let forged = format!("{}{}", &state[..63], if state.ends_with('0') { '1' } else { '0' });
    for query in [
        format!("code={code}"),
        format!("code={code}&state="),
        format!("code={code}&state={forged}"),
        format!("code={code}&state={}", &state[..32]),
        format!("code={code}&state={state}&state={state}"),
    ] {
        let answer = stage.get(&format!("/back?{query}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{query}");
    }
    assert_eq!(stage.exchanges(), 0);
    // A second page with other choices: what was given out before counts no more.
    let newer = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::FORBIDDEN);
    // The right one with a code that is none is used up by that.
    let newer_state = newer.rsplit("state=").next().unwrap().to_owned();
    let answer = stage.get(&format!("/back?code=..%2Fapp&state={newer_state}")).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text);
    assert_eq!(stage.get(&newer).await.status, StatusCode::FORBIDDEN);
    let late = stage.sent_back().await;
    stage.clock.push(Duration::from_secs(3_601));
    assert_eq!(stage.get(&late).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.exchanges(), 0);
    stage.nothing_is_written();
    stage.stop.cancel();
    assert!(stage.over().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_ours_and_proxies_are_turned_away() {
    let stage = Stage::open().await;
    let port = stage.address.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("127.0.0.1:{}", port.wrapping_add(1)),
        format!("10.0.0.1:{port}"),
        format!("olga@127.0.0.1:{port}"),
        String::new(),
    ] {
        let answer = stage.call(Method::GET, "/", &[("host", &host)], &[]).await;
        assert!(answer.status.is_client_error(), "{host}: {}", answer.status);
        assert!(!answer.text.contains("token"), "{host}");
    }
    for header in ["x-forwarded-for", "forwarded", "via"] {
        let answer = stage.call(Method::GET, "/", &[(header, "10.0.0.1")], &[]).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{header}");
    }
    let local = format!("localhost:{port}");
    assert_eq!(stage.call(Method::GET, "/", &[("host", &local)], &[]).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_pages_are_not_taken_and_every_answer_is_closed_to_them() {
    let stage = Stage::open().await;
    let first = stage.get("/").await;
    let policy = first.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(policy.contains("form-action 'self';"), "{policy}");
    assert!(!first.text.contains("<script"), "no script is needed");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "strict-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(first.header(name), value);
    }
    let own = format!("http://{}", stage.address);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        let answer = stage.choose(&[("origin", origin)], &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let site = stage.hub.api_url();
    let without = [("host", site.as_str()), ("organization", "acme")];
    let answer = stage.call(Method::POST, "/app", &[("origin", &own)], &without).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "no token");
    let guessed = [("token", "guessed"), ("host", site.as_str()), ("organization", "acme")];
    let answer = stage.call(Method::POST, "/app", &[("origin", &own)], &guessed).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "another token");
    let review = stage.choose(&[("origin", &own)], &[]).await;
    let policy = review.header("content-security-policy");
    assert!(policy.contains(&format!("form-action 'self' {site};")), "{policy}");
    // What people type comes back as text.
    let hostile = "\"><script>alert(1)</script>";
    let wrong = stage.choose(&[], &[("organization", hostile)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.text.contains("<script"), "{}", wrong.text);
    let huge = "x".repeat(20_000);
    assert_eq!(stage.choose(&[], &[("webhook", &huge)]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_github_answers_that_is_no_app_leaves_nothing_behind() {
    let stage = Stage::open().await;
    let huge = "x".repeat(2_000_000);
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nTOPSECRET\n-----END RSA PRIVATE KEY-----\n";
    let faults = [
        ("refused", Fault::on(CONVERT).status(404)),
        ("not processed", Fault::on(CONVERT).status(422)),
        ("broken", Fault::on(CONVERT).status(500)),
        ("mute", Fault::on(CONVERT).mute()),
        ("half", Fault::on(CONVERT).half()),
        ("huge", Fault::on(CONVERT).answer(201, json!({ "id": 7, "slug": huge, "pem": pem }))),
        ("empty", Fault::on(CONVERT).answer(201, json!({}))),
        (
            "of another kind",
            Fault::on(CONVERT).answer(201, json!({ "id": "TOPSECRET", "slug": "x", "pem": pem })),
        ),
        (
            "with a key that is none",
            Fault::on(CONVERT).answer(201, json!({ "id": 7, "slug": "x", "pem": pem })),
        ),
        (
            "with a slug that is a path",
            Fault::on(CONVERT).answer(
                201,
                json!({ "id": 7, "slug": "../x", "pem": stage.hub.app().private_key_pem }),
            ),
        ),
    ];
    for (what, fault) in faults {
        let back = stage.sent_back().await;
        let fault = stage.hub.fault(fault.times(1));
        let began = Instant::now();
        let answer = stage.get(&back).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{what}: {}", answer.text);
        assert!(began.elapsed() < Duration::from_secs(10), "{what}");
        assert!(!answer.text.contains("TOPSECRET"), "{what}");
        assert!(
            answer.text.contains("/organizations/acme/settings/apps"),
            "{what}: {}",
            answer.text
        );
        assert_eq!(stage.hub.fault_fired(fault), 1, "{what}");
        stage.hub.clear_fault(fault);
        stage.nothing_is_written();
    }
    let back = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::OK, "and then it works");
    stage.over().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_never_written_over() {
    let stage = Stage::open().await;
    let back = stage.sent_back().await;
    // Made while the page was open.
    std::fs::create_dir_all(stage.path("")).unwrap();
    std::fs::write(stage.path("patwarden.pem"), "mine").unwrap();
    let answer = stage.get(&back).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text.contains("nothing is written over it"), "{}", answer.text);
    assert_eq!(stage.exchanges(), 0, "what has no place is not fetched");
    assert_eq!(std::fs::read_to_string(stage.path("patwarden.pem")).unwrap(), "mine");
    assert!(!stage.path("patwarden.toml").exists());
    // And there from the first: no page at all. A link that leads nowhere is something, too.
    for name in FILES {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join(name)).unwrap();
        let refused = Open::bind(options(&stage.hub, folder.path().to_owned()), Clock::system());
        assert!(matches!(refused, Err(OpenError::Files(_))), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_other_machines_only_whoever_has_the_code_comes_in_and_it_counts_once() {
    let stage = Stage::open_with(|options| options.listen.set_ip([0, 0, 0, 0].into())).await;
    let code = stage.code.clone().expect("a code");
    let closed = stage.get("/").await;
    assert!(closed.text.contains("The code, please") && !closed.text.contains("name=\"token\""));
    for (method, path) in [(Method::POST, "/app"), (Method::GET, "/back?code=a&state=b")] {
        let form: &[(&str, &str)] = if method == Method::POST { &[("token", "x")] } else { &[] };
        assert_eq!(stage.call(method, path, &[], form).await.status, StatusCode::FORBIDDEN);
    }
    let named = [("host", "evil.example")];
    let answer = stage.call(Method::POST, "/enter", &named, &[("word", &code)]).await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "a name may be anybody's");
    for wrong in ["", "AAAA-AAAA-AAAA-AAAA", &code[..18]] {
        let answer = stage.call(Method::POST, "/enter", &[], &[("word", wrong)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{wrong}");
        assert!(answer.headers.get("set-cookie").is_none());
    }
    let entered = stage.call(Method::POST, "/enter", &[], &[("word", &code.to_lowercase())]).await;
    assert_eq!(entered.status, StatusCode::OK);
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let again = stage.call(Method::POST, "/enter", &[], &[("word", &code)]).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "it counts once");
    let forged = format!("{}x", &cookie[..cookie.len() - 1]);
    for cookie in [forged.as_str(), "patwarden_setup=", "patwarden_setup"] {
        let answer = stage.call(Method::GET, "/", &[("cookie", cookie)], &[]).await;
        assert!(answer.text.contains("The code, please"), "{cookie}");
    }
    let with = [("cookie", cookie.as_str())];
    let review = stage.choose(&with, &[]).await;
    let back = stage.on_github(&review).await;
    assert_eq!(stage.get(&back).await.status, StatusCode::FORBIDDEN, "another browser");
    assert_eq!(stage.call(Method::GET, &back, &with, &[]).await.status, StatusCode::OK);
    stage.over().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_its_name_alone_counts_and_a_code_is_asked_for() {
    let url = "https://setup.acme.example/".parse().unwrap();
    let hub = Fakehub::start(Config::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = Open::bind(
        Options { url: Some(url), ..options(&hub, folder.path().to_owned()) },
        Clock::system(),
    );
    assert!(open.unwrap().code.is_some());
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

/// `patwarden` with these words in that folder, and nothing in its environment but this.
fn patwarden(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
    command.args(words).current_dir(folder).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_without_an_app_offers_the_page_and_goes_on_with_what_was_registered() {
    let mut stage = Stage::open().await;
    stage.stop.cancel();
    let api = stage.hub.api_url();
    std::fs::create_dir(stage.path("")).unwrap();
    let environment = [("GITHUB_API_URL", api.as_str()), ("PATWARDEN_LISTEN", "127.0.0.1:0")];
    let mut serve = patwarden(&stage.path(""), &["serve"], &environment).spawn().unwrap();
    let mut lines = BufReader::new(serve.stdout.take().unwrap()).lines();
    let mut until = async |mark: &str| loop {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let line = line.expect("it says more").unwrap().expect("it goes on");
        if line.contains(mark) {
            break line;
        }
    };
    until("Nothing is said of an App").await;
    let open = until("Open http://").await;
    let url = open.split(' ').nth(1).unwrap();
    stage.address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let back = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::OK);
    until("patwarden receives webhooks at").await;
    let record = stage.path("patwarden.sqlite");
    assert!(record.exists(), "the record is where the settings file says");
    // And the next time it says where what was written is.
    let again = patwarden(&stage.path(""), &["serve"], &environment).output().await.unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("start with --config patwarden.toml"), "{said}");
    assert_eq!(again.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_not_registered_where_one_is_named_or_other_settings_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |words: &[&str], environment: &[(&str, &str)]| {
        let ended = patwarden(folder.path(), words, environment).output();
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        let ended = ended.expect("it ends by itself").unwrap();
        (String::from_utf8(ended.stderr).unwrap(), ended.status.code())
    };
    for name in ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET"] {
        let (said, code) = run(&["setup", "--listen", "127.0.0.1:0"], &[(name, "7")]).await;
        assert!(code == Some(2) && said.contains(name), "{name}: {said}");
    }
    let (said, code) = run(&["serve"], &[("GITHUB_APP_ID", "7")]).await;
    assert!(code == Some(2) && said.contains("GITHUB_APP_PRIVATE_KEY_PATH"), "{said}");
    let (said, code) = run(&["serve"], &[("PATWARDEN_LISTEN", "everywhere")]).await;
    assert!(code == Some(2) && said.contains("PATWARDEN_LISTEN"), "{said}");
    let api = ("GITHUB_API_URL", "http://ghe.example/api/v3");
    let (said, code) = run(&["setup", "--listen", "127.0.0.1:0"], &[api]).await;
    assert!(code == Some(2) && said.contains("in the clear"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
