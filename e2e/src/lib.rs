//! What tests that need other programs share: the real binaries, child processes, a small HTTP client. No tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("e2e is a folder of the repository")
        .to_owned()
}

/// The program `name` of this workspace, built from what is in the tree now: a stale one would test the past.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(build);
    built
        .iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == name))
        .unwrap_or_else(|| panic!("cargo built no program {name}, only {built:?}"))
        .clone()
}

fn build() -> Vec<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        // Built as tests have them, and with the same packages beside them: what they stand on has the same features
        // then as in the run that this is part of, and is not compiled anew. A test that stands beside a program is
        // what has it built.
        .args([
            "test",
            "--no-run",
            "--package",
            "patwarden",
            "--package",
            "fakehub",
            "--package",
            "e2e",
        ])
        .args(["--test", "architecture", "--test", "faults"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let out = cargo.output().expect("cargo can be run");
    assert!(out.status.success(), "patwarden and fakehub cannot be built");
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

/// The path of a program that the machine must have. Missing is a failure, never a reason to skip.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("`{name}` is not installed, and e2e needs it: .ci/run says how to get it")
        })
}

/// A child process that does not outlive its test. What it says goes to a file, shown when the test fails.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    out: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Starts it; its standard error is kept in `folder`.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("the log can be written"))
            .spawn();
        let mut child = child.unwrap_or_else(|why| panic!("{name} cannot be started: {why}"));
        let out = BufReader::new(child.stdout.take().expect("its output is piped"));
        Self { name: name.to_owned(), child, log, out }
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.out.read_line(&mut line).expect("its output can be read");
        assert!(read > 0, "{} ended without a word:\n{}", self.name, self.said());
        line.trim_end().to_owned()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error: the last of it.
    #[must_use]
    pub fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
    }

    /// Asks it to end and waits until it has.
    pub fn terminate(mut self) -> ExitStatus {
        // The shell's own `kill`: there is none in the standard library.
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.id())]).status();
        assert!(
            asked.expect("sh can be run").success(),
            "{} had ended already:\n{}",
            self.name,
            self.said()
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("its status can be read") {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- {} said last:\n{}", self.name, self.said());
        }
    }
}

/// A JSON API on the loopback interface, such as fakehub's control API.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
}

impl Api {
    /// The API at `base`, as in `http://127.0.0.1:4000/_fakehub`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { base: base.to_owned() }
    }

    /// What `GET` of a path answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, None)
    }

    /// What a call with a body answers. Anything but success is a failure of the test.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, path, Some(body))
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let rest = self.base.strip_prefix("http://").expect("plain HTTP");
        let (host, prefix) = rest
            .split_once('/')
            .map_or((rest, String::new()), |(host, prefix)| (host, format!("/{prefix}")));
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(host)
            .unwrap_or_else(|why| panic!("{} does not answer: {why}", self.base));
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
        write!(
            stream,
            "{method} {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: e2e\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it takes the request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap_or_else(|why| panic!("{method} {path}: {why}"));
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{method} {path}: half an answer"));
        let status: u16 =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        // The last line of a chunked body is not JSON; neither of the two servers sends one to a closing client.
        let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        if body.trim().is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&body)
                .unwrap_or_else(|why| panic!("{method} {path}: {why}: {body}"))
        }
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_default();
        if size == 0 {
            break;
        }
        whole.push_str(after.get(..size).unwrap_or_default());
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}

/// Waits until `holds` gives something; `what` is told when it does not within `patience`.
pub fn until<T>(what: &str, patience: Duration, mut holds: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = holds() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
