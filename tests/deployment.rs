//! The files in deploy/ against the program: what they set, mount, call and listen on is what it knows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use common::Set;
use patwarden::{
    cli,
    server::LARGEST_DELIVERY,
    settings::{KEYS, Settings, Sources},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of deploy/ that people use, with its path.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("deploy")];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path.strip_prefix(root()).unwrap().display().to_string(), text));
            }
        }
    }
    assert!(found.len() > 10, "only {} files", found.len());
    found
}

/// Words out of these characters that begin so.
fn words<'t>(text: &'t str, begin: &str, of: fn(char) -> bool) -> BTreeSet<&'t str> {
    let word = |(at, _): (usize, &str)| {
        let before = text[..at].chars().next_back();
        let rest = &text[at..];
        let end = rest.find(|character| !of(character)).unwrap_or(rest.len());
        (!before.is_some_and(of)).then_some(&rest[..end])
    };
    text.match_indices(begin).filter_map(word).collect()
}

fn of_a_variable(character: char) -> bool {
    character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
}

fn of_a_path(character: char) -> bool {
    character.is_ascii_lowercase() || "/-".contains(character)
}

/// What `serve` listens on where nobody says otherwise, by the setting's name.
fn port(name: &str) -> u16 {
    let listen = KEYS.iter().find(|key| key.name == name).unwrap();
    listen.default.unwrap().parse::<SocketAddr>().unwrap().port()
}

/// Variables that no setting has, and who reads them.
const OTHERS: [&str; 2] = ["PATWARDEN_CONFIG", "PATWARDEN_COMMIT"];

#[test]
fn every_variable_that_is_set_is_one_that_the_program_reads() {
    let mut seen = 0;
    for (path, text) in files() {
        for begin in ["PATWARDEN_", "GITHUB_"] {
            for name in words(&text, begin, of_a_variable) {
                let known = KEYS.iter().any(|key| key.env == name) || OTHERS.contains(&name);
                assert!(known, "{path} sets {name}, which nobody reads");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "only {seen}: are they still written like this?");
    assert!(read("build.rs").contains("PATWARDEN_COMMIT"));
    // No secret itself stands in a variable, which whoever looks at a container sees: files hold them.
    for key in KEYS.iter().filter(|key| key.secret) {
        for (path, text) in files() {
            assert!(!words(&text, key.env, of_a_variable).contains(key.env), "{path}: {}", key.env);
        }
    }
}

#[test]
fn what_the_charts_settings_come_to_is_a_settings_file_that_can_be_used() {
    let values = read("deploy/helm/values.yaml");
    let (_, rest) = values.split_once("\nsettings:\n").expect("the block is there");
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    let names: Vec<&str> = lines
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| line.trim().split_once(':').unwrap().0)
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    let helpers = read("deploy/helm/templates/_helpers.tpl");
    let (_, own) = helpers.split_once("$own := list ").expect("what the chart says itself");
    let own: Vec<&str> =
        own.lines().next().unwrap().split('"').filter(|name| name.trim().len() > 3).collect();
    let secret = KEYS.iter().filter(|key| key.secret).map(|key| key.name);
    for name in names.iter().copied().chain(own.iter().copied()).chain(secret.clone()) {
        assert!(KEYS.iter().any(|key| key.name == name), "there is no setting `{name}`");
    }
    for name in secret {
        assert!(own.contains(&name), "`{name}` must not come into a ConfigMap");
    }
    // As the template writes them: each value in quotes.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("patwarden.toml");
    let lines: String = names.iter().map(|name| format!("{name} = \"json\"\n")).collect();
    fs::write(&file, lines.replace("app-id = \"json\"", "app-id = \"1234567\"")).unwrap();
    let problems = Settings::check(Sources::default().with_file(&file)).err().unwrap().0;
    assert!(
        problems.iter().all(|problem| !problem.contains("patwarden.toml")),
        "only what is not in it: {problems:#?}"
    );
}

/// The status of an answer.
fn status(address: SocketAddr, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_that_a_proxy_or_a_probe_calls_is_served() {
    let mut called = BTreeSet::new();
    for (path, text) in files() {
        for line in text.lines().map(str::trim) {
            let line = line.trim_start_matches("- ");
            for begin in ["path: /", "location = /", "handle /"] {
                if line.starts_with(begin) {
                    let place = begin.len() - 1;
                    let end = line[place..].find(|c| !of_a_path(c)).unwrap_or(line.len() - place);
                    called.insert((path.clone(), line[place..place + end].to_owned()));
                }
            }
        }
    }
    let paths: BTreeSet<&str> = called.iter().map(|(_, path)| path.as_str()).collect();
    for path in ["/healthz", "/readyz", "/webhooks/github"] {
        assert!(paths.contains(path), "{path} is not in {paths:?}");
    }
    let scene = Set::default().flag("ops-listen", "127.0.0.1:0").open().await;
    let (address, ops) = (scene.bot().address, scene.bot().ops_address.unwrap());
    assert_eq!((status(address, "/nonsense"), status(ops, "/nonsense")), (404, 404));
    for (file, path) in called {
        // 405: it is there, for POST.
        let status = status(if path == "/readyz" { ops } else { address }, &path);
        assert!(matches!(status, 200 | 405), "{file} calls {path}: {status}");
    }
    scene.end().await;
}

#[test]
fn all_ports_are_those_that_it_listens_on() {
    let (port, ops) = (port("listen"), port("ops-listen"));
    for (path, there) in [
        ("deploy/Dockerfile", format!("EXPOSE {port}")),
        ("deploy/Dockerfile", format!("PATWARDEN_LISTEN=0.0.0.0:{port}")),
        ("deploy/compose.yaml", format!("patwarden:{port}")),
        ("deploy/compose.yaml", format!("- \"{port}\"")),
        ("deploy/helm/templates/deployment.yaml", format!("containerPort: {port}")),
        ("deploy/helm/templates/deployment.yaml", format!("value: 0.0.0.0:{port}")),
        ("deploy/compose.yaml", format!("PATWARDEN_OPS_LISTEN: 0.0.0.0:{ops}")),
        ("deploy/compose.yaml", format!("- \"{ops}\"")),
        ("deploy/helm/templates/deployment.yaml", format!("containerPort: {ops}")),
        ("deploy/helm/templates/deployment.yaml", format!("value: 0.0.0.0:{ops}")),
        ("deploy/proxy/Caddyfile", format!("127.0.0.1:{port}")),
        ("deploy/proxy/nginx.conf", format!("http://127.0.0.1:{port};")),
    ] {
        assert!(read(path).contains(&there), "{path} is without `{there}`");
    }
}

/// Less would lose webhooks, and what is taken here and refused there comes out as a fault of the proxy's. A deadline of
/// Caddy's for bodies is answered with 200, which GitHub takes for delivered.
#[test]
fn proxies_pass_as_much_as_is_taken_and_call_nothing_delivered_themselves() {
    let most = LARGEST_DELIVERY / 1024 / 1024;
    let caddy = read("deploy/proxy/Caddyfile");
    assert!(caddy.contains(&format!("max_size {most}MiB")), "Caddy passes other than {most} MiB");
    assert!(!caddy.contains("read_body"), "Caddy answers a late body with 200");
    let nginx = read("deploy/proxy/nginx.conf");
    assert!(nginx.contains(&format!("client_max_body_size {most}m;")), "nginx, {most} MiB");
    assert!(nginx.contains("proxy_request_buffering on;"), "a body is taken as a whole first");
}

#[test]
fn the_image_is_the_release_that_is_tested_and_nobody_in_it_is_root() {
    let image = read("deploy/Dockerfile");
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let package = &manifest["workspace"]["package"];
    let rust = package["rust-version"].as_str().unwrap();
    assert!(image.contains(&format!("FROM rust:{rust}-")), "built with another Rust than {rust}");
    assert!(image.contains("--locked --release --package patwarden --no-default-features"));
    let user = image.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    assert_eq!(user, "65532:65532");
    let chart = read("deploy/helm/Chart.yaml");
    let version = package["version"].as_str().unwrap();
    assert!(chart.contains(&format!("appVersion: \"{version}\"")), "the chart is of {version}");
    let deployment = read("deploy/helm/templates/deployment.yaml");
    for held in [
        "runAsNonRoot: true",
        "runAsUser: 65532",
        "type: RuntimeDefault",
        "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true",
        "- ALL",
        "type: Recreate",
        "automountServiceAccountToken: false",
    ] {
        assert!(deployment.contains(held), "the pod is without `{held}`");
    }
}

#[test]
fn the_unit_hands_over_the_secrets_that_it_names_and_runs_a_command_that_is_there() {
    let unit = read("deploy/patwarden.service");
    let value = |key: &str| -> Vec<&str> {
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    };
    let loaded: BTreeSet<&str> =
        value("LoadCredential").iter().map(|one| one.split_once(':').unwrap().0).collect();
    let used: BTreeSet<&str> = value("Environment")
        .iter()
        .filter_map(|one| one.split_once('=')?.1.strip_prefix("%d/"))
        .collect();
    assert_eq!(loaded, used);
    assert_eq!(loaded.len(), 2);
    let start = value("ExecStart")[0];
    let command = cli::command();
    let serve = start.split(' ').nth(1).unwrap();
    assert!(command.find_subcommand(serve).is_some(), "{start}");
    for flag in words(start, "--", |c| c.is_ascii_lowercase() || c == '-') {
        assert!(KEYS.iter().any(|key| Some(key.name) == flag.strip_prefix("--")), "{flag}");
    }
    let user = read("deploy/patwarden.sysusers");
    assert!(user.contains(&format!("u {} ", value("User")[0])), "who is {}?", value("User")[0]);
    let state = format!("/var/lib/{}/", value("StateDirectory")[0]);
    assert!(unit.contains(&format!("sqlite:{state}")), "the record is where it may be written");
}
