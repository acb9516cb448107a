//! The real program against the fake GitHub: how large it is, how soon it listens, how soon it decides.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fakehub::Fakehub;

use crate::{
    beside::Stage,
    load::{self, percentile},
    machine::{Cores, Usage},
    payload::{Guids, Mould},
};

const PATWARDEN: &str = env!("CARGO_BIN_EXE_patwarden");

/// The operation that reviews requests.
const REVIEW: &str = "orgs/review-pat-grant-request";
const REVIEWS_IN_BULK: &str = "orgs/review-pat-grant-requests-in-bulk";

/// How long it is loaded before its size is taken again.
pub const LOADED_FOR: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    pub idle: Usage,
    pub after_load: Usage,
    pub loaded_with: f64,
    pub first_start: Duration,
    pub later_start: Duration,
    pub to_review_p50: Duration,
    pub to_review_p99: Duration,
    pub reviews: usize,
}

struct Bot {
    child: Child,
    address: SocketAddr,
}

impl Bot {
    fn start(stage: &Stage, cores: &Cores, store: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let address = free.expect("a free port");
        let mut command = cores.server(Path::new(PATWARDEN));
        stage.environment(&mut command, store, &address.to_string());
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().expect("patwarden starts"), address }
    }

    fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs everything in this file.
pub fn measure(stage: &Stage, cores: &Cores, starts: usize, reviews: usize) -> Size {
    let mould = Arc::new(Mould::new(&stage.secret(), &stage.about, Guids::Timed));
    let mut size = Size::default();
    let start = |store: &str| {
        let began = Instant::now();
        let bot = Bot::start(stage, cores, store);
        let took = load::first_accepted(bot.address, &mould).duration_since(began);
        // It may still be talking to the fake.
        thread::sleep(Duration::from_millis(300));
        took
    };
    let first: Vec<_> =
        (0..starts).map(|number| start(&format!("first-{number}.sqlite"))).collect();
    let later: Vec<_> = (0..starts).map(|_| start("first-0.sqlite")).collect();
    size.first_start = median(first);
    size.later_start = median(later);

    let bot = Bot::start(stage, cores, "sized.sqlite");
    load::first_accepted(bot.address, &mould);
    thread::sleep(Duration::from_secs(6));
    size.idle = bot.usage();

    stage.hub.set_webhook_url(&format!("http://{}/webhooks/github", bot.address));
    let lags = lags(stage, reviews);
    size.reviews = lags.len();
    size.to_review_p50 = percentile(&lags, 0.5);
    size.to_review_p99 = percentile(&lags, 0.99);

    let seen = load::closed(bot.address, &mould, 64, LOADED_FOR);
    size.after_load = bot.usage();
    size.loaded_with = seen.a_second;
    size
}

/// From the moment an answer to a webhook was in, to the moment at which the review came. Sorted.
fn lags(stage: &Stage, requests: usize) -> Vec<Duration> {
    for number in 0..requests {
        stage.ask(number);
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_secs(1));
    let mut lags: Vec<_> = stage
        .hub
        .deliveries()
        .iter()
        .filter(|delivery| delivery.action.as_deref() == Some("created"))
        .filter_map(|delivery| {
            let request =
                delivery.payload.pointer("/personal_access_token_request/id")?.as_u64()?;
            let answered = delivery.delivered_at.checked_add(delivery.duration).ok()?;
            let reviewed = reviewed(&stage.hub, request)?;
            Some(Duration::try_from(reviewed.duration_since(answered)).unwrap_or_default())
        })
        .collect();
    lags.sort_unstable();
    lags
}

fn reviewed(hub: &Fakehub, request: u64) -> Option<jiff::Timestamp> {
    let end = format!("/{request}");
    let one = hub.calls_of(REVIEW).into_iter().find(|call| call.path.ends_with(&end));
    let many = || {
        hub.calls_of(REVIEWS_IN_BULK).into_iter().find(|call| {
            call.body
                .as_ref()
                .and_then(|body| body.get("pat_request_ids")?.as_array())
                .is_some_and(|ids| ids.iter().any(|id| id.as_u64() == Some(request)))
        })
    };
    one.or_else(many).map(|call| call.at)
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    percentile(&of, 0.5)
}

/// The size of the program's file, in MiB.
pub fn file_size() -> f64 {
    fs::metadata(PATWARDEN).map_or(0.0, |file| file.len() as f64 / 1024.0 / 1024.0)
}
