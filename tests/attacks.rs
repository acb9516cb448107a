//! The real program under attack: it stays up, its memory stays within bounds, honest webhooks get through, and its log
//! never says a secret. What a single request may look like is tried in `tests/webhook_input`; `docs/threat-model.md` says
//! which attack is tried where.
//!
//! Whoever attacks is a process of its own, several of them, so that nobody needs more files than a process has by default.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and these say what they measured"
)]

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use common::{Scene, Set, administrating, harmless, soon, until, until_within, writing};
use fakehub::{Fault, signature};
use patwarden::server::{LARGEST_DELIVERY, WEBHOOK_PATH};

/// What the password of the mail server is here: it must be nowhere in the log.
const MAIL_PASSWORD: &str = "correct-horse-battery-staple";

/// `patwarden serve` on a scene's GitHub, with no more files than a process has by default.
struct Bot {
    process: Child,
    webhook: SocketAddr,
    ops: SocketAddr,
    /// Kept open, or the program could not write there.
    _answers: BufReader<ChildStdout>,
}

impl Bot {
    async fn start(scene: &Scene, log: &str, environment: &[(&str, &str)]) -> Self {
        let app = scene.hub.app();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "ulimit -S -n 1024; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_patwarden")])
            .args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .args(["--reconcile-interval", "24h", "--deliveries-interval", "off"])
            .args(["--inventory-interval", "off", "--write-interval", "1ms"])
            .args(["--app-id", &app.id.to_string()])
            .args(["--private-key-path", &scene.path("app.pem").display().to_string()])
            .args(["--api-url", &scene.hub.api_url()])
            .args(["--database-url", &format!("sqlite:{}", scene.store_path().display())])
            .args(["--rules", &scene.path("rules.toml").display().to_string()])
            .env_clear()
            .env("GITHUB_WEBHOOK_SECRET", &app.webhook_secret)
            .env("RUST_LOG", "warn")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(scene.path(log)).unwrap());
        let mut process = command.spawn().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let mut address = || {
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("`{line}`"));
            rest.split('/').next().unwrap().trim().parse().unwrap()
        };
        let (webhook, ops) = (address(), address());
        scene.hub.set_webhook_url(&format!("http://{webhook}{WEBHOOK_PATH}"));
        let bot = Self { process, webhook, ops, _answers: answers };
        until("the bot has looked around", || async {
            let ready = bot.get("/readyz").await?;
            ready.contains("\"last_reconcile\": \"").then_some(())
        })
        .await;
        bot
    }

    async fn get(&self, path: &str) -> Option<String> {
        let answer = reqwest::get(format!("http://{}{path}", self.ops)).await.ok()?;
        answer.text().await.ok()
    }

    /// A value of `/metrics`.
    async fn metric(&self, series: &str) -> f64 {
        let text = until("the metrics", || self.get("/metrics")).await;
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).trim().parse().unwrap()
    }

    /// The memory that is in use now, and the most that ever was, in MiB.
    fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let of = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() / 1024
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    fn lives(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    fn end(mut self) {
        assert!(self.lives(), "the bot is still there at the end");
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A process of strangers who connect. They leave when it is dropped.
struct Strangers {
    process: Child,
    answers: BufReader<ChildStdout>,
    _stays: ChildStdin,
}

impl Strangers {
    fn at(address: SocketAddr, many: usize, says: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "strangers", "--nocapture", "--quiet"])
            .env("STRANGERS_AT", address.to_string())
            .env("STRANGERS", many.to_string())
            .env("STRANGERS_SAY", says)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let stays = process.stdin.take().unwrap();
        Self { process, answers, _stays: stays }
    }

    /// Waits until all of them have connected and said what they say; gives how many did.
    fn came(&mut self) -> usize {
        let mut line = String::new();
        while !line.starts_with("came ") {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the strangers ended");
        }
        line.trim_start_matches("came ").trim().parse().unwrap()
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// No test: what a process of strangers does.
#[test]
fn strangers() {
    let Ok(address) = std::env::var("STRANGERS_AT") else { return };
    let address: SocketAddr = address.parse().unwrap();
    let many: usize = std::env::var("STRANGERS").unwrap().parse().unwrap();
    let says = std::env::var("STRANGERS_SAY").unwrap();
    let head = format!(
        "POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256={}\r\n\
         Content-Type: application/json\r\nContent-Length: {LARGEST_DELIVERY}\r\n\r\n",
        "0".repeat(64)
    );
    let body = vec![b' '; LARGEST_DELIVERY - 1];
    let mut kept = Vec::new();
    for _ in 0..many {
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(10)) else {
            continue;
        };
        let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
        let said = match says.as_str() {
            "nothing" => Ok(()),
            "half a head" => stream.write_all(b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"),
            _ => stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)),
        };
        // Whoever is turned away before the end has come all the same.
        let _ = said;
        kept.push(stream);
    }
    println!("\ncame {}", kept.len());
    let _ = std::io::stdin().read(&mut [0]);
}

/// Asks honestly, and waits until GitHub has the answer: only a webhook can have told the bot.
async fn honest_work_goes_on(scene: &Scene, rounds: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        let asked = scene.ask(administrating("kim").named(&format!("kim-{round}")));
        let began = Instant::now();
        until("an honest request is answered", || async {
            (scene.on_github(asked.request_id) == "denied").then_some(())
        })
        .await;
        longest = longest.max(began.elapsed());
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_that_say_nothing_keep_nobody_out() {
    let scene = Set::default().without_bot().await;
    let mut bot = Bot::start(&scene, "log", &[]).await;
    honest_work_goes_on(&scene, 1).await;
    let (before, _) = bot.memory();
    let mut strangers: Vec<Strangers> = (0..12)
        .map(|number| {
            let says = if number % 2 == 0 { "nothing" } else { "half a head" };
            Strangers::at(bot.webhook, 850, says)
        })
        .collect();
    let during = honest_work_goes_on(&scene, 5).await;
    let came: usize = strangers.iter_mut().map(Strangers::came).sum();
    assert!(came >= 10_000, "only {came} came");
    let after = honest_work_goes_on(&scene, 3).await;
    assert!(bot.lives());
    let (_, most) = bot.memory();
    println!(
        "{came} silent connections: {before} MiB before, {most} MiB at most; the longest honest request took {during:?} \
         meanwhile and {after:?} while they stayed"
    );
    assert!(most < before + 64, "{before} MiB grew to {most} MiB");
    assert!(bot.metric("patwarden_connections_closed_total{why=\"silent\"}").await > 5_000.0);
    assert!(bot.get("/readyz").await.unwrap().contains("\"ready\": true"));
    drop(strangers);
    bot.end();
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_gigabytes_that_nobody_signed_take_a_bounded_memory() {
    let scene = Set::default().without_bot().await;
    let mut bot = Bot::start(&scene, "log", &[]).await;
    honest_work_goes_on(&scene, 1).await;
    let (before, _) = bot.memory();
    let mut strangers: Vec<Strangers> =
        (0..8).map(|_| Strangers::at(bot.webhook, 10, "all but a byte")).collect();
    let during = honest_work_goes_on(&scene, 5).await;
    let came: usize = strangers.iter_mut().map(Strangers::came).sum();
    let (_, most) = bot.memory();
    println!(
        "{came} bodies of 25 MiB: {before} MiB before, {most} MiB at most; the longest honest request took {during:?}"
    );
    assert!(came >= 60, "only {came} came");
    assert!(bot.lives());
    // 128 MiB of bodies; a buffer that grows may be twice as large as what is in it, and is copied once while it does.
    assert!(most < before + 400, "{before} MiB grew to {most} MiB");
    drop(strangers);
    bot.end();
    scene.leave().await;
}

#[tokio::test]
async fn a_body_that_comes_a_byte_a_second_is_given_up_on() {
    let scene = Set::default().open().await;
    let mut stream = tokio::net::TcpStream::connect(scene.bot().address).await.unwrap();
    let body = br#"{"action":"nonsense","padding":"................"}"#;
    let signed = signature(&scene.hub.app().webhook_secret, body);
    let head = format!(
        "POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {signed}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let began = Instant::now();
    let mut answer = [0; 12];
    let answered = read.read_exact(&mut answer);
    let slowly = async {
        for byte in body {
            let _ = write.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        answered = soon("an answer", answered) => drop(answered.unwrap()),
        () = slowly => panic!("all of it was waited for"),
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    scene.end().await;
}

#[tokio::test]
async fn a_compressed_body_is_not_blown_up() {
    let scene = Set::default().open().await;
    // What a megabyte of zeros becomes by gzip would do; it is not looked into, so a few bytes of it are enough.
    let body = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 99, 96, 0, 0];
    let signed = signature(&scene.hub.app().webhook_secret, &body);
    let answer = reqwest::Client::new()
        .post(format!("http://{}{WEBHOOK_PATH}", scene.bot().address))
        .header("X-Hub-Signature-256", signed)
        .header("X-GitHub-Event", "personal_access_token_request")
        .header("Content-Encoding", "gzip")
        .body(body.to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202, "it is signed, so it is kept, and shown as not understood");
    scene.until_read().await;
    let unread = scene.store().unread_deliveries(10).await.unwrap();
    assert_eq!(unread.len(), 1);
    assert!(unread[0].why.contains("line 1 column 1"), "{unread:?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_never_says_a_secret_however_much_it_says() {
    for format in ["text", "json"] {
        let scene = Set::default().without_bot().await;
        let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mail = format!("smtps://bot@localhost:{}", nowhere.local_addr().unwrap().port());
        drop(nowhere);
        let bot = Bot::start(
            &scene,
            "log",
            &[
                ("RUST_LOG", "trace"),
                ("PATWARDEN_LOG_FORMAT", format),
                ("PATWARDEN_MAIL", &mail),
                ("PATWARDEN_MAIL_FROM", "patwarden@example.com"),
                ("PATWARDEN_MAIL_PASSWORD", MAIL_PASSWORD),
                ("PATWARDEN_AUDIT_LOG", &scene.path("audit").display().to_string()),
            ],
        )
        .await;
        let approved = scene.ask(harmless("kim"));
        until("a request is approved", || async {
            (scene.on_github(approved.request_id) == "approved").then_some(())
        })
        .await;
        // An answer that is an error, and a token that is refused and made anew.
        scene.hub.fault(Fault::on(common::REVIEW).bad_credentials().times(1));
        let denied = scene.ask(administrating("lee"));
        scene.ask(writing("kim"));
        let refused = reqwest::Client::new()
            .post(format!("http://{}{WEBHOOK_PATH}", bot.webhook))
            .header("X-Hub-Signature-256", "sha256=00")
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 401);
        until_within(Duration::from_secs(60), "a request is denied", || async {
            (scene.on_github(denied.request_id) == "denied").then_some(())
        })
        .await;
        bot.end();
        let log = fs::read_to_string(scene.path("log")).unwrap();
        let audit = fs::read_to_string(scene.path("audit")).unwrap();
        assert!(log.len() > 20_000 && !audit.is_empty(), "it says much: {} bytes", log.len());
        let app = scene.hub.app();
        let key: Vec<&str> = app.private_key_pem.lines().collect();
        let mut secrets = vec![app.webhook_secret.as_str(), MAIL_PASSWORD, "ghs_", "Bearer ey"];
        secrets.extend(key.iter().filter(|line| line.len() > 40));
        for secret in secrets {
            for said in [&log, &audit] {
                let line = said.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{format}: `{secret}` is in: {}", line.unwrap_or_default());
            }
        }
        // Whoever looks for a delivery or a request finds its lines.
        let decided = log.lines().filter(|line| line.contains("sending a review"));
        for line in decided {
            assert!(
                line.contains(&denied.request_id.to_string())
                    || line.contains(&approved.request_id.to_string()),
                "{line}"
            );
        }
        let guid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
        let of_a_delivery =
            regex_lite::Regex::new(&format!("delivery\\\\?\"?[=:]\\\\?\"?{guid}")).unwrap();
        for what in ["a delivery is stored", "settled"] {
            let mut lines = log.lines().filter(|line| line.contains(what)).peekable();
            assert!(lines.peek().is_some(), "no line says `{what}`");
            for line in lines
                .filter(|line| !line.contains("by=\"rule\"") && !line.contains("\"by\":\"rule\""))
            {
                assert!(of_a_delivery.is_match(line), "{format}: {line}");
            }
        }
        scene.leave().await;
    }
}
