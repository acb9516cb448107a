//! Who comes in: by which name, from where, with which code.

use reqwest::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Stage;

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
async fn the_address_of_the_terminal_lets_one_browser_in_and_no_other() {
    let stage = Stage::open_with(|_| {}).await;
    assert!(stage.code.is_none(), "it need not be typed");
    let (address, word) = stage.url.split_once("word=").unwrap();
    for wrong in ["", "AAAA-AAAA-AAAA-AAAA", &word[..18]] {
        let answer = stage.get(&format!("{address}word={wrong}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{wrong}");
        assert!(answer.headers.get("set-cookie").is_none(), "{wrong}");
    }
    let entered = stage.get(&stage.url).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = entered.cookie();
    let with = [("cookie", cookie.as_str())];
    let first = stage.call(Method::GET, "/", &with, &[]).await;
    assert!(first.text.contains("name=\"token\"") && !first.text.contains(word));
    let reloaded = stage.call(Method::GET, &stage.url, &with, &[]).await;
    assert_eq!(reloaded.status, StatusCode::SEE_OTHER, "the same browser");
    let another = stage.get(&stage.url).await;
    assert_eq!(another.status, StatusCode::FORBIDDEN);
    assert!(another.text.contains("was taken already"), "{}", another.text);
}

/// As nginx does unless it is told more: the name of what stands behind it, and not a word of whom it is for.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_through_a_proxy_that_says_nothing_of_itself_does_not_come_in() {
    let stage = Stage::open_with(|_| {}).await;
    let own = format!("http://{}", stage.address);
    let first = stage.get("/").await;
    assert!(first.text.contains("The code, please") && !first.text.contains("name=\"token\""));
    let site = stage.hub.api_url();
    let form = [("token", "x"), ("host", site.as_str()), ("organization", "acme")];
    let sent = stage.call(Method::POST, "/app", &[("origin", &own)], &form).await;
    assert_eq!(sent.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.get("/back?code=a&state=b").await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.exchanges(), 0);
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
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = entered.cookie();
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
    let mut stage = Stage::open_with(|options| options.url = Some(url)).await;
    let code = stage.code.clone().expect("a code");
    assert_eq!(stage.url, "https://setup.acme.example/", "the code is not in it");
    let local = stage.address.to_string();
    for host in [
        local.as_str(),
        "localhost",
        "setup.acme.example:8443",
        "setup.acme.example.evil.example",
        "olga@setup.acme.example",
        "evil.example",
    ] {
        let answer = stage.call(Method::GET, "/", &[("host", host)], &[]).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        let typed = stage.call(Method::POST, "/enter", &[("host", host)], &[("word", &code)]).await;
        assert_eq!(typed.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let through = [("host", "setup.acme.example"), ("x-forwarded-for", "10.0.0.1")];
    let closed = stage.call(Method::GET, "/", &through, &[]).await;
    assert!(closed.status == StatusCode::OK && closed.text.contains("The code, please"));
    for host in ["setup.acme.example:443", "SETUP.acme.example"] {
        let answer = stage.call(Method::GET, "/", &[("host", host)], &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
    let entered = stage.call(Method::POST, "/enter", &through, &[("word", &code)]).await;
    assert!(entered.header("set-cookie").contains("; Secure"), "what goes over TLS stays there");
    stage.cookie = entered.cookie();
    let plain = [("host", "setup.acme.example"), ("origin", "http://setup.acme.example")];
    assert_eq!(stage.choose(&plain, &[]).await.status, StatusCode::FORBIDDEN, "another origin");
    let own = [("host", "setup.acme.example"), ("origin", "https://setup.acme.example")];
    let review = stage.choose(&own, &[]).await;
    let back = stage.on_github(&review).await;
    let (_, query) = back.split_once("https://setup.acme.example/back?").expect("to where it is");
    let done = stage.call(Method::GET, &format!("/back?{query}"), &through, &[]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    stage.over().await.expect("it was registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_about_to_ask_when_the_app_was_registered_finds_the_page_closed() {
    let stage = Stage::open().await;
    let mut late = TcpStream::connect(stage.address).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n", stage.address, stage.cookie);
    late.write_all(head.as_bytes()).await.unwrap();
    let back = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::OK);
    late.write_all(b"connection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 410 ") && answer.contains("closed"), "{answer}");
    stage.over().await.unwrap();
}
