//! How fast patwarden takes deliveries in, and how large it is. `cargo bench --bench intake` takes less than
//! two minutes, with `-- --long` some five; what was found stands in `docs/performance.md`.
//!
//! Every figure that says something is a ratio to another one from the same run: the same handler without
//! a store, the same tables with one commit a delivery. Servers run on one core, the generator on another.
//! Words after `--` choose parts (`intake`, `beside`, `size`) and variants (`patwarden`, `no-store` …);
//! `--rounds N`, `--seconds S`, `--rows N`, `--rows-at-once N` and `--random-guids` change how long and with what.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark stops at the first surprise, and prints"
)]

mod beside;
mod load;
mod machine;
mod payload;
mod receivers;
mod size;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use load::Seen;
use machine::{Cores, Server, Usage};
use payload::{About, Guids, Mould, SECRET};
use receivers::Kind;

const COMPARED: [Kind; 5] =
    [Kind::NoStore, Kind::SignatureOnly, Kind::Log, Kind::OneCommit, Kind::Patwarden];

struct Options {
    /// How often each variant has its turn under each load.
    rounds: usize,
    /// How long a turn is.
    seconds: f64,
    /// How often the whole bot is watched at 500 a second.
    quiet_rounds: usize,
    /// How many rows are put in meanwhile.
    rows: usize,
    /// How many of them share a transaction: as many as the engine gives one.
    rows_at_once: usize,
    /// How long that takes.
    quiet_seconds: f64,
    /// How often the program is started on a new store, and again on one that is there.
    starts: usize,
    /// How many requests are decided one after the other.
    reviews: usize,
    guids: Guids,
    parts: Vec<String>,
    kinds: Vec<Kind>,
}

impl Options {
    const SHORT: Self = Self {
        rounds: 3,
        seconds: 0.8,
        quiet_rounds: 1,
        rows: 100_000,
        rows_at_once: 100,
        quiet_seconds: 15.0,
        starts: 5,
        reviews: 60,
        guids: Guids::Timed,
        parts: Vec::new(),
        kinds: Vec::new(),
    };

    const LONG: Self = Self {
        rounds: 5,
        seconds: 2.0,
        quiet_rounds: 3,
        rows: 100_000,
        rows_at_once: 100,
        quiet_seconds: 20.0,
        starts: 9,
        reviews: 200,
        guids: Guids::Timed,
        parts: Vec::new(),
        kinds: Vec::new(),
    };

    fn read() -> Self {
        let words: Vec<String> = env::args().skip(1).collect();
        let long = words.iter().any(|word| word == "--long");
        let mut options = if long { Self::LONG } else { Self::SHORT };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|word| word.parse::<f64>().ok());
            match word.as_str() {
                "--rounds" => options.rounds = number().expect("a number of rounds") as usize,
                "--seconds" => options.seconds = number().expect("a number of seconds"),
                "--rows" => options.rows = number().expect("a number of rows") as usize,
                "--rows-at-once" => {
                    options.rows_at_once = number().expect("a number of rows") as usize;
                }
                "--random-guids" => options.guids = Guids::Random,
                // Cargo's own.
                "--long" | "--bench" => {}
                "intake" | "beside" | "size" => options.parts.push(word),
                word => options.kinds.push(Kind::from_word(word)),
            }
        }
        if options.kinds.is_empty() {
            options.kinds = COMPARED.to_vec();
        }
        options
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }
}

fn main() {
    let words: Vec<String> = env::args().collect();
    if let [_, serve, kind, folder] = words.as_slice()
        && serve == "serve"
    {
        return receivers::serve(Kind::from_word(kind), Path::new(folder));
    }
    let cores = Cores::take();
    let options = Options::read();
    let folder = Folder::new();
    machine::describe(&folder.0);
    let mut goals = Goals::default();
    if options.has("intake") {
        intake(&options, &cores, &folder.0, &mut goals);
    }
    if options.has("beside") {
        quiet(&options, &cores, &folder.0, &mut goals);
    }
    if options.has("size") {
        sizes(&options, &cores, &folder.0, &mut goals);
    }
    goals.print();
}

/// A directory on the disk that holds the build: never one that lives in memory.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("intake");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a directory");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One line of the table at the end.
struct Goal {
    what: &'static str,
    found: f64,
    wanted: &'static str,
    reached: bool,
}

#[derive(Default)]
struct Goals(Vec<Goal>);

impl Goals {
    fn add(&mut self, what: &'static str, found: f64, reached: bool, wanted: &'static str) {
        self.0.push(Goal { what, found, wanted, reached });
    }

    fn print(&self) {
        println!("\n{:<62} {:>9}   {:<14}", "Goals", "found", "wanted");
        for Goal { what, found, wanted, reached } in &self.0 {
            let reached = if *reached { "reached" } else { "missed" };
            println!("  {what:<60} {found:>9.2}   {wanted:<14} {reached}");
        }
    }
}

fn start(kind: Kind, cores: &Cores, folder: &Path) -> Server {
    let own = folder.join(kind.word());
    fs::create_dir_all(&own).expect("a directory");
    let mut command = cores.server(&env::current_exe().expect("our own path"));
    command.arg("serve").arg(kind.word()).arg(own);
    Server::start(command)
}

/// What one round of one variant came to.
#[derive(Clone, Copy)]
struct Round {
    seen: Seen,
    cpu_us: f64,
}

fn intake(options: &Options, cores: &Cores, folder: &Path, goals: &mut Goals) {
    let mould = Arc::new(Mould::new(SECRET, &About::default(), options.guids));
    let lasting = Duration::from_secs_f64(options.seconds);
    println!(
        "Intake: {} bytes a delivery, {} rounds of {:.1} s, medians; closed loop, then 500 a second",
        mould.body_size(),
        options.rounds,
        options.seconds
    );
    let servers: Vec<(Kind, Server)> =
        options.kinds.iter().map(|kind| (*kind, start(*kind, cores, folder))).collect();
    let loads = [16, 64, 0];
    let mut rounds: Vec<Vec<Vec<Round>>> = vec![vec![Vec::new(); loads.len()]; servers.len()];
    for (_, server) in &servers {
        load::closed(server.address, &mould, 64, Duration::from_millis(500));
    }
    for round in 0..options.rounds {
        for (load, clients) in loads.into_iter().enumerate() {
            for turn in 0..servers.len() {
                let which = (turn + round) % servers.len();
                let server = &servers[which].1;
                let run = |lasting| match clients {
                    0 => load::paced(server.address, &mould, 500, lasting),
                    clients => load::closed(server.address, &mould, clients, lasting),
                };
                run(Duration::from_millis(200));
                let before = server.usage().cpu_us;
                let seen = run(lasting);
                let cpu_us = (server.usage().cpu_us - before) / seen.requests as f64;
                rounds[which][load].push(Round { seen, cpu_us });
                // What one left to be written must not be the next one's burden.
                thread::sleep(Duration::from_millis(300));
            }
        }
    }
    println!(
        "\n  {:<15} {:>9} {:>7} {:>7} {:>6}   {:>9} {:>7} {:>7} {:>6}   {:>7} {:>7}   {:>6} {:>6}",
        "",
        "16: a s",
        "p50 ms",
        "p99",
        "CPU us",
        "64: a s",
        "p50 ms",
        "p99",
        "CPU us",
        "500: p50",
        "p99",
        "MiB",
        "most"
    );
    let mut medians = Vec::new();
    for ((kind, server), rounds) in servers.iter().zip(&rounds) {
        let of =
            |load: usize, what: fn(&Round) -> f64| median(rounds[load].iter().map(what).collect());
        let row = [0, 1, 2].map(|load| {
            [
                of(load, |round| round.seen.a_second),
                of(load, |round| round.seen.p50.as_secs_f64() * 1000.0),
                of(load, |round| round.seen.p99.as_secs_f64() * 1000.0),
                of(load, |round| round.cpu_us),
            ]
        });
        let Usage { resident, most_resident, .. } = server.usage();
        println!(
            "  {:<15} {:>9.0} {:>7.2} {:>7.2} {:>6.1}   {:>9.0} {:>7.2} {:>7.2} {:>6.1}   {:>7.2} {:>7.2}   {:>6.1} {:>6.1}",
            kind.word(),
            row[0][0],
            row[0][1],
            row[0][2],
            row[0][3],
            row[1][0],
            row[1][1],
            row[1][2],
            row[1][3],
            row[2][1],
            row[2][2],
            resident,
            most_resident
        );
        medians.push((*kind, row));
    }
    let row = |wanted: Kind| medians.iter().find(|(kind, _)| *kind == wanted).map(|(_, row)| row);
    // Ratios are taken round by round, between neighbours in time, and then their median.
    let ratio = |of: Kind, to: Kind, load: usize| {
        let place = |wanted: Kind| servers.iter().position(|(kind, _)| *kind == wanted);
        let (of, to) = (place(of)?, place(to)?);
        let pairs = rounds[of][load].iter().zip(&rounds[to][load]);
        Some(median(pairs.map(|(of, to)| of.seen.a_second / to.seen.a_second).collect()))
    };
    println!();
    for (to, what) in [
        (Kind::NoStore, "no store"),
        (Kind::SignatureOnly, "signature only"),
        (Kind::Log, "log"),
        (Kind::OneCommit, "one commit"),
    ] {
        if let (Some(few), Some(many)) =
            (ratio(Kind::Patwarden, to, 0), ratio(Kind::Patwarden, to, 1))
        {
            println!("  patwarden / {what:<15} 16 clients {few:>6.3}   64 clients {many:>6.3}");
        }
    }
    if let Some(ratio) = ratio(Kind::Patwarden, Kind::NoStore, 1) {
        goals.add("durable / no store at 64 clients", ratio, ratio >= 0.45, "at least 0.45");
        goals.add("the goal beyond", ratio, ratio >= 0.5, "at least 0.50");
    }
    if let Some(ratio) = ratio(Kind::Patwarden, Kind::OneCommit, 1) {
        goals.add(
            "durable / one commit a delivery at 64 clients",
            ratio,
            ratio >= 3.0,
            "at least 3",
        );
    }
    if let Some(row) = row(Kind::Patwarden) {
        let tail = row[0][2] / row[0][1];
        goals.add("p99 / p50 at 16 clients", tail, tail <= 4.0, "at most 4");
    }
}

fn quiet(options: &Options, cores: &Cores, folder: &Path, goals: &mut Goals) {
    let lasting = Duration::from_secs_f64(options.quiet_seconds);
    println!(
        "\nThe whole bot at 500 a second for {:.0} s, while requests are decided (10 a second), the audit log is written and {} rows are put in",
        options.quiet_seconds, options.rows
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let own = folder.join("beside");
    fs::create_dir_all(&own).expect("a directory");
    let mut found = Vec::new();
    for round in 0..options.quiet_rounds {
        let own = own.join(round.to_string());
        fs::create_dir_all(&own).expect("a directory");
        let stage = Arc::new(runtime.block_on(beside::Stage::set(&own)));
        let mould = Arc::new(Mould::new(&stage.secret(), &stage.about, options.guids));
        let mut command = cores.server(&env::current_exe().expect("our own path"));
        stage.environment(&mut command, "store.sqlite", "127.0.0.1:0");
        command.arg("serve").arg(Kind::WithEngine.word()).arg(&own);
        let mut server = Server::start(command);
        stage.hub.set_webhook_url(&format!("http://{}/webhooks/github", server.address));
        load::paced(server.address, &mould, 500, Duration::from_secs(1));
        let asking = {
            let stage = Arc::clone(&stage);
            runtime.spawn(async move {
                beside::keep_asking(&stage, Duration::from_millis(100), lasting).await
            })
        };
        server.tell(&format!("write {} {}", options.rows, options.rows_at_once));
        let before = server.usage().cpu_us;
        let seen = load::paced(server.address, &mould, 500, lasting);
        let cpu = (server.usage().cpu_us - before) / 1e6 / lasting.as_secs_f64();
        let wrote = server.hear().replace("wrote ", "");
        let asked = runtime.block_on(asking).expect("somebody asks");
        thread::sleep(Duration::from_secs(1));
        let approved =
            stage.hub.outcomes().iter().filter(|(_, outcome)| outcome.is_approved()).count();
        println!(
            "  p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms; {} accepted; {approved} of {asked} requests approved; {wrote} ms for the rows; core {:.0} % busy; {:.1} MiB",
            seen.p50.as_secs_f64() * 1000.0,
            seen.p99.as_secs_f64() * 1000.0,
            seen.most.as_secs_f64() * 1000.0,
            seen.requests,
            cpu * 100.0,
            server.usage().resident
        );
        found.push(seen.p99.as_secs_f64() * 1000.0);
        drop(server);
        runtime.block_on(stage.hub.shutdown());
    }
    let p99 = median(found);
    goals.add("p99 at 500 a second, everything beside it, in ms", p99, p99 <= 2.0, "at most 2");
}

fn sizes(options: &Options, cores: &Cores, folder: &Path, goals: &mut Goals) {
    println!("\nSize: `patwarden serve`, a file of {:.1} MiB", size::file_size());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let own = folder.join("size");
    fs::create_dir_all(&own).expect("a directory");
    let stage = runtime.block_on(beside::Stage::set(&own));
    let size = size::measure(&stage, cores, options.starts, options.reviews);
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    println!(
        "  resident {:.1} MiB idle ({} threads); {:.1} MiB after {} s at 64 clients ({:.0} a second, the engine reading on), {:.1} MiB at most",
        size.idle.resident,
        size.idle.threads,
        size.after_load.resident,
        size::LOADED_FOR.as_secs(),
        size.loaded_with,
        size.after_load.most_resident
    );
    println!(
        "  first delivery accepted {:.0} ms after the start on a new store, {:.0} ms on one that was there",
        ms(size.first_start),
        ms(size.later_start)
    );
    println!(
        "  from 202 to the review, {} reviews: p50 {:.1} ms, p99 {:.1} ms",
        size.reviews,
        ms(size.to_review_p50),
        ms(size.to_review_p99)
    );
    let mib = size.idle.resident;
    goals.add("resident when idle, MiB", mib, mib <= 25.0, "at most 25");
    let mib = size.after_load.resident;
    goals.add("resident after the load, MiB", mib, mib <= 60.0, "at most 60");
    let start = ms(size.first_start.max(size.later_start));
    goals.add("start to first delivery, ms", start, start <= 150.0, "at most 150");
    let lag = ms(size.to_review_p50);
    goals.add("202 to review, p50 in ms", lag, size.reviews > 0 && lag <= 25.0, "at most 25");
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}
