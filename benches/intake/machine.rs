//! Cores, child processes, and what `/proc` says of them.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crate::load::percentile;

/// Set in the process that was started again on a core of its own.
const PINNED: &str = "PATWARDEN_BENCH_CORES";

/// Which core serves and which one sends.
#[derive(Clone, Debug)]
pub struct Cores {
    server: Option<String>,
}

impl Cores {
    /// Moves this process to a core of its own and keeps another for servers, where there are two and
    /// `taskset` is installed; says so where not.
    pub fn take() -> Self {
        if let Ok(server) = env::var(PINNED) {
            return Self { server: Some(server).filter(|core| !core.is_empty()) };
        }
        let cores = allowed();
        if let [server, .., sender] = cores.as_slice() {
            let error = Command::new("taskset")
                .args(["-c", sender])
                .arg(env::current_exe().expect("our own path"))
                .args(env::args_os().skip(1))
                .env(PINNED, server)
                .exec();
            println!("Not pinned to cores, figures vary more: taskset: {error}.");
        } else {
            println!("Not pinned to cores, figures vary more: only one is ours.");
        }
        Self { server: None }
    }

    /// `program`, on the core for servers.
    pub fn server(&self, program: &Path) -> Command {
        match &self.server {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core]).arg(program);
                command
            }
            None => Command::new(program),
        }
    }
}

/// Says what the figures of this run were taken on: the core, the memory, and above all how long the disk
/// takes to say that something is safe.
pub fn describe(folder: &Path) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpu, "model name").unwrap_or_default().trim_start_matches([':', ' ']);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let mut file = fs::File::create(folder.join("synced")).expect("a file");
    let mut took: Vec<Duration> = (0..300)
        .map(|_| {
            file.write_all(&[7; 8192]).expect("a disk");
            let began = Instant::now();
            file.sync_data().expect("a disk");
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!(
        "Machine: {cores} cores ({model}); fdatasync after 8 KiB appended: p50 {:.2} ms, p99 {:.2} ms",
        percentile(&took, 0.5).as_secs_f64() * 1000.0,
        percentile(&took, 0.99).as_secs_f64() * 1000.0
    );
}

/// The cores this process may use.
fn allowed() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = field(&status, "Cpus_allowed_list:").unwrap_or_default();
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            cores.extend((first..=last).map(|core| core.to_string()));
        }
    }
    cores
}

/// A server in a process of its own; it ends when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    told: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Server {
    /// Starts `command`, which prints its address as its first line.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let told = child.stdin.take();
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let address = line
            .split_whitespace()
            .rev()
            .filter_map(|word| {
                let word = word.strip_prefix("http://").unwrap_or(word);
                word.split('/').next()?.parse().ok()
            })
            .next()
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { address, child, told, said }
    }

    /// Tells it something.
    pub fn tell(&mut self, line: &str) {
        let told = self.told.as_mut().expect("an open pipe");
        writeln!(told, "{line}").and_then(|()| told.flush()).expect("a server that listens");
    }

    /// The next line it says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.told.take());
        // A real `serve` does not watch its input.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on a core, in microseconds.
    pub cpu_us: f64,
    /// Resident now, in MiB.
    pub resident: f64,
    /// The most that was ever resident, in MiB.
    pub most_resident: f64,
    pub threads: u32,
}

impl Usage {
    pub fn of(process: u32) -> Self {
        let mut nanoseconds = 0u64;
        // Per thread and in nanoseconds; the process's own sum counts in hundredths of a second.
        for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text
                .split_whitespace()
                .next()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0);
        }
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let number = |name| -> f64 {
            field(&status, name)
                .and_then(|text| text.split_whitespace().next()?.parse().ok())
                .unwrap_or(0.0)
        };
        Self {
            cpu_us: nanoseconds as f64 / 1000.0,
            resident: number("VmRSS:") / 1024.0,
            most_resident: number("VmHWM:") / 1024.0,
            threads: number("Threads:") as u32,
        }
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}
