//! The real binary is killed, again and again, at the worst moments: nothing is lost and nothing is done twice.
//!
//! `PATWARDEN_KILLS=500` kills more often than the default of 50, `PATWARDEN_SEED=…` repeats a run. SIGKILL does
//! not test that the disk was asked to keep anything: `e2e/tests/fsync.rs` does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one says what it did"
)]

mod common;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use common::{
    ACCESS_TOKEN, GRANT_REPOSITORIES, GRANTS, INSTALLATIONS, LIST, MEMBERSHIP, REPOSITORIES,
    REVIEW, Set, administrating, harmless, on_github, until_within, writing,
};
use fakehub::{Effect, Fakehub, Fault, Held, Hold, TokenSpec};
#[cfg(feature = "crash-points")]
use patwarden::store::{RequestRow, RevocationRow, RevocationState};
use patwarden::{
    engine::lifecycle::State,
    store::{DecisionFilter, RequestFilter, Store},
};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

/// Every call that the bot makes on the way of a request.
const CALLS: [&str; 8] = [
    LIST,
    MEMBERSHIP,
    REPOSITORIES,
    REVIEW,
    GRANTS,
    GRANT_REPOSITORIES,
    ACCESS_TOKEN,
    INSTALLATIONS,
];

/// The calls that matter most come up most.
const FAVOURITES: [&str; 5] = [LIST, MEMBERSHIP, REVIEW, REVIEW, GRANTS];

/// How long after the last kill everything may take: a call whose answer was lost stays in doubt for two minutes, and
/// what failed is tried again a minute and more later.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);

/// A small generator of numbers, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// `patwarden serve`, as anybody would run it.
struct Bot(Child);

impl Bot {
    fn start(hub: &Fakehub, folder: &Path, crash_point: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
        command
            .arg("serve")
            .args(["--app-id", &hub.app().id.to_string()])
            .args(["--private-key-path", &folder.join("app.pem").display().to_string()])
            .args(["--api-url", &hub.api_url()])
            .args([
                "--database-url",
                &format!("sqlite:{}", folder.join("patwarden.sqlite").display()),
            ])
            .args(["--rules", &folder.join("rules.toml").display().to_string()])
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "off"])
            .args([
                "--reconcile-interval",
                "2s",
                "--write-interval",
                "1ms",
                "--github-timeout",
                "2s",
            ])
            .args(["--most-at-once", "100000"])
            .env_clear()
            .env("GITHUB_WEBHOOK_SECRET", &hub.app().webhook_secret)
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(point) = crash_point {
            command.env("PATWARDEN_CRASH_POINT", point);
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if let Some(at) = line.find("http://") {
            hub.set_webhook_url(line[at..].trim());
        } else {
            assert!(crash_point.is_some(), "the bot does not start: `{line}`");
        }
        Self(child)
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    #[cfg(feature = "crash-points")]
    /// Whether it ended by itself within this time; then it is killed all the same.
    async fn ended_by_itself(mut self, limit: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < limit {
            if self.0.try_wait().unwrap().is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.kill();
        false
    }
}

/// What somebody asked, and what must come of it.
struct Asked {
    request: u64,
    token: u64,
    must_be: &'static str,
}

struct Run {
    hub: Fakehub,
    scene: common::Scene,
    asked: Vec<Asked>,
    kills: usize,
}

impl Run {
    async fn begin() -> Self {
        let scene = Set::default()
            .hub(|hub| {
                hub.rate_limit = None;
                hub.delivery_log = 1_000_000;
                hub.webhook_time_limit = Duration::from_secs(5);
            })
            .without_bot()
            .await;
        Self { hub: scene.hub.clone(), scene, asked: Vec::new(), kills: 0 }
    }

    fn bot(&self) -> Bot {
        Bot::start(&self.hub, self.scene.folder(), None)
    }

    /// Somebody asks for what must come out so. Gives the request.
    fn asks(&mut self, spec: TokenSpec, must_be: &'static str) -> u64 {
        let ids = self.scene.ask(spec.named(&format!("{must_be} {}", self.asked.len())));
        self.asked.push(Asked { request: ids.request_id, token: ids.token_id, must_be });
        ids.request_id
    }

    /// Three people ask: one is to be approved, one denied, one left to people.
    fn three_ask(&mut self) {
        self.asks(harmless("kim"), "approved");
        self.asks(administrating("lee"), "denied");
        self.asks(writing("ada"), "pending");
    }

    /// Waits until GitHub's state is what the rules say, and the record says the same; then looks at all of it.
    async fn ends_well(self, what: &str) {
        let began = Instant::now();
        self.hub.clear_faults();
        let bot = self.bot();
        until_within(SETTLED_WITHIN, "every request is decided", || async {
            self.asked
                .iter()
                .all(|one| on_github(&self.hub, one.request) == one.must_be)
                .then_some(())
        })
        .await;
        let path = self.scene.store_path();
        let reader = Store::open(&path).await.unwrap();
        until_within(SETTLED_WITHIN, "nothing is left to be done", || async {
            let filter = RequestFilter { organization: None, open_only: false, limit: 1_000_000 };
            let rows = reader.requests(&filter).await.unwrap();
            let over = rows.iter().all(|row| row.due_at.is_none());
            let unfinished = reader.unfinished_effects().await.unwrap();
            let backlog = reader.backlog().await.unwrap();
            let known = self.asked.len() <= rows.len();
            (over && known && unfinished == 0 && backlog.unprocessed == 0).then_some(())
        })
        .await;
        // Every delivery that was answered with 202, and not one of them lost.
        self.hub.webhooks_sent().await;
        let deliveries = SqliteConnectOptions::new().filename(self.scene.deliveries_path());
        let mut connection = deliveries.connect().await.unwrap();
        let deliveries = self.hub.deliveries();
        let mut acknowledged: Vec<&str> = deliveries
            .iter()
            .filter(|one| one.status_code == 202)
            .map(|one| one.guid.as_str())
            .collect();
        acknowledged.sort_unstable();
        acknowledged.dedup();
        let mut lost = 0;
        for guid in &acknowledged {
            let key = hex::decode(guid.replace('-', "")).unwrap();
            let bodies: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM delivery_keys JOIN deliveries USING (guid, hook_id) WHERE guid = $1",
            )
            .bind(key)
            .fetch_one(&mut connection)
            .await
            .unwrap();
            lost += usize::from(bodies != 1);
        }
        let filter = RequestFilter { organization: None, open_only: false, limit: 1_000_000 };
        let rows = reader.requests(&filter).await.unwrap();
        let mut calls = 0;
        let mut unnamed = 0;
        let mut judged = 0;
        let mut refused = 0;
        for one in &self.asked {
            let reviews = self.hub.reviews(one.request);
            let applied = reviews.iter().filter(|review| review.effect == Effect::Applied).count();
            calls += reviews.len();
            refused += reviews.len() - applied;
            assert_eq!(applied, usize::from(one.must_be != "pending"), "request {}", one.request);
            assert_eq!(on_github(&self.hub, one.request), one.must_be, "request {}", one.request);
            assert_eq!(self.scene.has_access(one.token), one.must_be == "approved");
            let id = i64::try_from(one.request).unwrap();
            let row = rows.iter().find(|row| row.id.0 == id).expect("the record knows it");
            let says = row.state.to_string();
            match one.must_be {
                "approved" => assert_eq!(says, "approved by a rule", "request {id}"),
                // A denial leaves no trace but its webhook; when that met no bot, nobody can know whose it was.
                "denied" if row.state == State::Gone => unnamed += 1,
                "denied" => assert_eq!(says, "denied by a rule", "request {id}"),
                _ => assert_eq!(says, "escalated", "request {id}"),
            }
            let filter = DecisionFilter { request: Some(id), limit: 1_000 };
            let decisions = reader.decisions(&filter).await.unwrap();
            judged += decisions.len();
            // A fact that could not be read meanwhile is another decision; the same one is recorded once.
            for pair in decisions.windows(2) {
                let same = pair[0].fingerprint == pair[1].fingerprint
                    && pair[0].acts == pair[1].acts
                    && pair[0].decision == pair[1].decision;
                assert!(!same, "request {id}: one decision was recorded twice in a row");
            }
        }
        assert!(self.hub.revocations("acme").is_empty());
        assert_eq!(lost, 0, "deliveries that were acknowledged and are not in the record");
        bot.kill();
        reader.close().await;
        println!(
            "{what}: {} kills, {} requests, {} decisions, {calls} reviews ({refused} of them met what was settled), {} deliveries ({} acknowledged, {lost} lost), \
             {unnamed} denials that no webhook named, 0 requests lost, 0 decided twice; {:.0} s to settle the last",
            self.kills,
            self.asked.len(),
            judged,
            deliveries.len(),
            acknowledged.len(),
            began.elapsed().as_secs_f64(),
        );
        self.scene.leave().await;
    }
}

async fn reached(held: &Held) {
    // A call that is not made this time, such as one for a fact that is known, is no reason to wait long.
    let _ = tokio::time::timeout(Duration::from_millis(700), held.reached()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_it_is_killed_every_request_is_decided_once_and_no_delivery_is_lost() {
    let kills = std::env::var("PATWARDEN_KILLS").map_or(50, |text| text.parse().unwrap());
    let seed = std::env::var("PATWARDEN_SEED").map_or_else(
        |_| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
                | 1
        },
        |text| text.parse().unwrap(),
    );
    println!("PATWARDEN_SEED={seed}");
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut run = Run::begin().await;
    let mut late: Option<Held> = None;
    while run.kills < kills {
        let call = if dice.below(2) == 0 {
            FAVOURITES[dice.below(FAVOURITES.len())]
        } else {
            CALLS[dice.below(CALLS.len())]
        };
        match dice.below(6) {
            // While a call is held, before its effect or after it; then it goes on without the bot, or never did.
            0..=2 => {
                let hold = if dice.below(2) == 0 { Hold::before(call) } else { Hold::after(call) };
                let held = run.hub.hold(hold.skip(u32::try_from(dice.below(3)).unwrap()));
                let bot = run.bot();
                run.three_ask();
                reached(&held).await;
                bot.kill();
                match dice.below(3) {
                    0 => held.release(),
                    1 => held.cut(),
                    // It lands while the next bot is at work, or even later.
                    _ => late = Some(held),
                }
            }
            // The effect is there, and its answer was cut.
            3 => {
                let fault = Fault::on(call).cut().after_effect().times(1);
                let fault = run.hub.fault(fault.skip(u32::try_from(dice.below(3)).unwrap()));
                let bot = run.bot();
                run.three_ask();
                let began = Instant::now();
                while run.hub.fault_fired(fault) == 0
                    && began.elapsed() < Duration::from_millis(700)
                {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::time::sleep(Duration::from_millis(u64::try_from(dice.below(30)).unwrap()))
                    .await;
                bot.kill();
                run.hub.clear_fault(fault);
            }
            // Any moment, under load.
            _ => {
                let bot = run.bot();
                for _ in 0..1 + dice.below(3) {
                    run.three_ask();
                }
                tokio::time::sleep(Duration::from_millis(u64::try_from(dice.below(250)).unwrap()))
                    .await;
                bot.kill();
            }
        }
        run.kills += 1;
        if dice.below(2) == 0 {
            late = None;
        }
    }
    drop(late);
    run.ends_well("killed at a held call, at a cut answer, at any moment").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_dead_bot_that_lands_before_or_after_the_next_ones_counts_once() {
    let mut run = Run::begin().await;
    for round in 0..6 {
        let of_the_dead = run.hub.hold(Hold::before(REVIEW));
        let of_the_next = run.hub.hold(Hold::before(REVIEW).skip(1));
        let bot = run.bot();
        let asked = run.asks(harmless("kim"), "approved");
        common::soon("the first bot's call is under way", of_the_dead.reached()).await;
        bot.kill();
        run.kills += 1;
        let bot = run.bot();
        common::soon("the next bot's call is under way", of_the_next.reached()).await;
        // Whichever goes first has the effect; the other meets what is settled.
        let (first, second) =
            if round % 2 == 0 { (of_the_dead, of_the_next) } else { (of_the_next, of_the_dead) };
        let decided = |hub: &Fakehub| {
            let all = hub.calls_of(REVIEW);
            all.iter().filter(|call| call.status.is_some()).count()
        };
        let before = decided(&run.hub);
        first.release();
        common::until("the first call lands", || async {
            (decided(&run.hub) > before).then_some(())
        })
        .await;
        second.release();
        common::until("both have landed", || async {
            (run.hub.reviews(asked).len() == 2).then_some(())
        })
        .await;
        bot.kill();
        run.kills += 1;
    }
    run.ends_well("killed, and its call landed late").await;
}

/// Between two commits, at every place that has a name.
#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_it_stops_between_two_commits_every_request_is_decided_once() {
    let points = [
        "deliveries-written",
        "deliveries-committed",
        "ingest-written",
        "ingest-committed",
        "decision-written",
        "decision-committed",
        "sending-committed",
        "review-answered",
        "answer-committed",
        "check-written",
        "check-committed",
    ];
    let mut run = Run::begin().await;
    for point in points {
        for time in 1..=3 {
            let bot = Bot::start(&run.hub, run.scene.folder(), Some(&format!("{point}:{time}")));
            run.three_ask();
            run.three_ask();
            run.three_ask();
            assert!(
                bot.ended_by_itself(Duration::from_secs(20)).await,
                "{point}:{time} was never passed"
            );
            run.kills += 1;
        }
    }
    run.ends_well("stopped between two commits").await;
}

#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_was_recorded_is_carried_out_after_a_crash() {
    let run = Run::begin().await;
    let bot = Bot::start(&run.hub, run.scene.folder(), Some("revoke-recorded"));
    let held = run.hub.hold(Hold::before(REVIEW));
    let asked = run.scene.ask(harmless("kim"));
    common::soon("the review is sent", held.reached()).await;
    run.hub
        .edit_request(asked.request_id, |spec| spec.repository_permission("contents", "write"))
        .unwrap();
    held.release();
    assert!(bot.ended_by_itself(Duration::from_secs(20)).await, "it stops before it revokes");
    assert!(run.scene.has_access(asked.token_id));
    let bot = run.bot();
    until_within(Duration::from_secs(60), "it is revoked", || async {
        (on_github(&run.hub, asked.request_id) == "revoked").then_some(())
    })
    .await;
    bot.kill();
    assert!(!run.scene.has_access(asked.token_id));
    assert_eq!(run.hub.revocations("acme").len(), 1);
    run.scene.leave().await;
}

/// A command of an operator's, on the store and the GitHub of this run. Gives its exit code; `None`: it was killed.
#[cfg(feature = "crash-points")]
async fn operator(run: &Run, arguments: &[&str], crash_point: Option<&str>) -> Option<i32> {
    let folder = run.scene.folder();
    let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
    command.args(arguments).env_clear().envs([
        ("GITHUB_APP_ID", run.hub.app().id.to_string()),
        ("GITHUB_APP_PRIVATE_KEY_PATH", folder.join("app.pem").display().to_string()),
        ("GITHUB_API_URL", run.hub.api_url()),
        ("PATWARDEN_DATABASE_URL", format!("sqlite:{}", folder.join("patwarden.sqlite").display())),
        ("PATWARDEN_RULES", folder.join("rules.toml").display().to_string()),
        ("PATWARDEN_WRITE_INTERVAL", "10ms".to_owned()),
    ]);
    if let Some(point) = crash_point {
        command.env("PATWARDEN_CRASH_POINT", point);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.status()).await;
    ended.unwrap().unwrap().code()
}

/// 250 tokens are revoked by a command that stops there, and by another that goes on.
#[cfg(feature = "crash-points")]
async fn revoked_in_spite_of(crash_point: String) {
    let run = Run::begin().await;
    let token = |number: usize| harmless("kim").named(&format!("number {number}"));
    let meant: Vec<u64> = (0..250)
        .map(|number| run.hub.grant_token("acme", token(number)).unwrap().token_id)
        .collect();
    let others = run.hub.grant_token("acme", harmless("lee")).unwrap().token_id;
    assert_eq!(operator(&run, &["tokens", "revoke", "--owner", "kim"], None).await, Some(0));
    let apply = ["tokens", "revoke", "--plan", "1", "--apply", "--yes"];
    let ended = operator(&run, &apply, Some(&crash_point)).await;
    assert_eq!(ended, None, "{crash_point} was never passed");
    // A token that came since is none of its business.
    let later = run.hub.grant_token("acme", harmless("kim")).unwrap().token_id;
    let resume = ["tokens", "revoke", "--plan", "1", "--resume"];
    assert_eq!(operator(&run, &resume, None).await, Some(0), "{crash_point}");
    let revocations = run.hub.revocations("acme");
    let times = |token: u64| revocations.iter().filter(|one| one.token_id == token).count();
    assert!(meant.iter().all(|token| times(*token) == 1), "{crash_point}");
    assert_eq!((times(others), times(later)), (0, 0), "{crash_point}");
    run.scene.leave().await;
}

#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_many_that_is_killed_before_or_after_a_call_goes_on_and_revokes_each_once() {
    // Side by side: before what was not answered is sent again, each of them waits for a minute.
    let mut runs = tokio::task::JoinSet::new();
    for point in ["revocation-journalled", "revocation-answered"] {
        for time in 1..=3 {
            runs.spawn(revoked_in_spite_of(format!("{point}:{time}")));
        }
    }
    while let Some(ended) = runs.join_next().await {
        ended.unwrap();
    }
}

/// 150 tokens that nobody used are taken by a standing policy of a bot that stops there, and of the next.
#[cfg(feature = "crash-points")]
async fn taken_by_a_policy_in_spite_of(crash_point: &str) {
    let rules = "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
        [revoke.unused]\nwhen.unused_for = \"90d\"\ngrace = \"0d\"\nmax_per_run = 500\n";
    let scene = Set::default().rules(rules).hub(|hub| hub.rate_limit = None).without_bot().await;
    let run = Run { hub: scene.hub.clone(), scene, asked: Vec::new(), kills: 0 };
    let days_ago = |days: i64| run.hub.now() - jiff::SignedDuration::from_hours(24 * days);
    let token = |login: &str, days: i64| {
        let spec = harmless(login).since(days_ago(days)).never_expires();
        run.hub.grant_token("acme", spec).unwrap().token_id
    };
    let meant: Vec<u64> = (0..150).map(|_| token("kim", 200)).collect();
    let others = token("lee", 80);
    let bot = Bot::start(&run.hub, run.scene.folder(), Some(crash_point));
    let ended = bot.ended_by_itself(Duration::from_secs(60)).await;
    assert!(ended, "{crash_point} was never passed");
    let bot = run.bot();
    let reader = Store::open(&run.scene.store_path()).await.unwrap();
    until_within(SETTLED_WITHIN, "its run is at its end", || async {
        let rows = reader.revocations(None, 10).await.unwrap();
        let done = |row: &RevocationRow| row.state == RevocationState::Done;
        rows.first().is_some_and(done).then_some(())
    })
    .await;
    assert_eq!(reader.revocations(None, 10).await.unwrap().len(), 1, "{crash_point}: one run");
    bot.kill();
    reader.close().await;
    let revocations = run.hub.revocations("acme");
    let times = |token: u64| revocations.iter().filter(|one| one.token_id == token).count();
    assert!(meant.iter().all(|token| times(*token) == 1), "{crash_point}");
    assert_eq!(times(others), 0, "{crash_point}");
    run.scene.leave().await;
}

#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standing_policys_run_that_is_killed_goes_on_and_revokes_each_once() {
    let in_spite_of = taken_by_a_policy_in_spite_of;
    tokio::join!(
        in_spite_of("standing-run-recorded"),
        in_spite_of("revocation-journalled:1"),
        in_spite_of("revocation-answered:1"),
        in_spite_of("revocation-journalled:2"),
        in_spite_of("revocation-answered:2"),
    );
}

/// Three requests are denied, and one approved, by commands that stop there; they are given again, and a bot comes.
#[cfg(feature = "crash-points")]
async fn reviewed_in_spite_of(crash_point: &str) {
    let run = Run::begin().await;
    let denied: Vec<u64> = (0..3)
        .map(|number| run.scene.ask(writing("kim").named(&format!("number {number}"))).request_id)
        .collect();
    let approved = run.scene.ask(writing("lee")).request_id;
    let untouched = run.scene.ask(writing("ada")).request_id;
    let deny = ["requests", "deny", "--org", "acme", "--owner", "kim", "--reason", "no", "--yes"];
    let approve = ["requests", "approve", "--org", "acme", "--owner", "lee", "--yes"];
    let many = crash_point.starts_with("reviews-");
    let (killed, other) = if many { (&deny[..], &approve[..]) } else { (&approve[..], &deny[..]) };
    let ended = operator(&run, killed, Some(crash_point)).await;
    assert_eq!(ended, None, "{crash_point} was never passed");
    // Given again at once: what may be under way is left alone, and nothing is sent on a guess.
    let again = operator(&run, killed, None).await;
    assert!(matches!(again, Some(0 | 1)), "{crash_point}: {again:?}");
    assert_eq!(operator(&run, other, None).await, Some(0), "{crash_point}");
    let bot = run.bot();
    let stands = |request: u64| on_github(&run.hub, request);
    until_within(SETTLED_WITHIN, "all of them are reviewed", || async {
        let well = denied.iter().all(|request| stands(*request) == "denied");
        (well && stands(approved) == "approved").then_some(())
    })
    .await;
    let reader = Store::open(&run.scene.store_path()).await.unwrap();
    until_within(SETTLED_WITHIN, "the record knows it", || async {
        let unfinished = reader.unfinished_effects().await.unwrap();
        let filter = RequestFilter { organization: None, open_only: true, limit: 100 };
        let open = reader.requests(&filter).await.unwrap();
        let left = |row: &RequestRow| row.id.0 == i64::try_from(untouched).unwrap();
        let over = matches!(open.as_slice(), [row] if left(row) && row.state == State::Escalated);
        (unfinished == 0 && over).then_some(())
    })
    .await;
    let filter = RequestFilter { organization: None, open_only: false, limit: 100 };
    for row in reader.requests(&filter).await.unwrap() {
        let id = u64::try_from(row.id.0).unwrap();
        let reviews = run.hub.reviews(id);
        let applied = reviews.iter().filter(|review| review.effect == Effect::Applied).count();
        let says = row.state.to_string();
        if id == untouched {
            assert_eq!((applied, says.as_str()), (0, "escalated"), "{crash_point}");
            continue;
        }
        assert_eq!(applied, 1, "{crash_point}: request {id}");
        // A denial of a dead command whose webhook met no bot leaves no trace of whose it was.
        let whose = says.contains("by operator") || row.state == State::Gone;
        assert!(whose, "{crash_point}: request {id} is {says}");
        assert!(
            id != approved || says.starts_with("approved by operator"),
            "{crash_point}: {says}"
        );
    }
    bot.kill();
    reader.close().await;
    run.scene.leave().await;
}

#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_review_by_hand_that_is_killed_before_or_after_its_call_counts_once() {
    tokio::join!(
        reviewed_in_spite_of("reviews-journalled"),
        reviewed_in_spite_of("reviews-answered"),
        reviewed_in_spite_of("sending-committed"),
        reviewed_in_spite_of("review-answered"),
    );
}

/// A request that people are asked about: the bot stops there, and the next one goes on. One issue, one comment of each kind, one
/// decision.
#[cfg(feature = "crash-points")]
async fn asked_in_spite_of(crash_point: &str) {
    let rules = "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n\
        [reviewers.owners]\nnotify = [\"issue:acme/token-reviews\"]\nmay_decide.roles = [\"owner\"]\n";
    let scene = Set::default()
        .rules(rules)
        .hub(|hub| {
            *hub = hub.clone().asks_by_issue();
            hub.rate_limit = None;
        })
        .without_bot()
        .await;
    scene.hub.world(|world| {
        world.add_organization("acme").repository(fakehub::Repo::private("token-reviews"));
    });
    let run = Run { hub: scene.hub.clone(), scene, asked: Vec::new(), kills: 0 };
    let issues = || run.hub.issues("acme", "token-reviews");
    let say = |text: &str| run.hub.comment("acme", "token-reviews", 1, "olga", text).unwrap();
    let before_it_is_asked = crash_point.starts_with("issue-");
    let bot = Bot::start(&run.hub, run.scene.folder(), Some(crash_point));
    let asked = run.scene.ask(writing("kim"));
    if !before_it_is_asked {
        until_within(SETTLED_WITHIN, "it is asked", || async {
            (issues().len() == 1).then_some(())
        })
        .await;
        say(if crash_point.starts_with("comment-") { "/deny" } else { "/approve" });
    }
    assert!(bot.ended_by_itself(Duration::from_secs(60)).await, "{crash_point} was never passed");
    let bot = run.bot();
    until_within(SETTLED_WITHIN, "it is asked", || async { (issues().len() == 1).then_some(()) })
        .await;
    let said = |text: &str| {
        let issue = issues().remove(0);
        let ours = issue.comments.iter().filter(|one| one.author == fakehub::Author::App);
        ours.filter(|one| one.body.contains(text)).count()
    };
    if crash_point.starts_with("comment-") {
        until_within(SETTLED_WITHIN, "it is answered", || async {
            (said("needs a reason") > 0).then_some(())
        })
        .await;
    }
    if !crash_point.starts_with("answer-") {
        // An answer counts once the bot has it on record that the issue is there.
        tokio::time::sleep(Duration::from_secs(3)).await;
        until_within(SETTLED_WITHIN, "an answer counts", || async {
            say("/approve");
            tokio::time::sleep(Duration::from_secs(5)).await;
            (on_github(&run.hub, asked.request_id) != "pending").then_some(())
        })
        .await;
    }
    until_within(SETTLED_WITHIN, "it is approved and the issue closed", || async {
        let approved = on_github(&run.hub, asked.request_id) == "approved";
        (approved && !issues()[0].open).then_some(())
    })
    .await;
    bot.kill();
    let reviews = run.hub.reviews(asked.request_id);
    assert_eq!(reviews.len(), 1, "{crash_point}: {reviews:?}");
    assert_eq!(issues().len(), 1, "{crash_point}");
    assert_eq!(said("This is over"), 1, "{crash_point}");
    let slips = usize::from(crash_point.starts_with("comment-"));
    assert_eq!(said("needs a reason"), slips, "{crash_point}");
    run.scene.leave().await;
}

#[cfg(feature = "crash-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_people_that_is_killed_before_or_after_a_call_asks_once_and_decides_once() {
    tokio::join!(
        asked_in_spite_of("issue-sending"),
        asked_in_spite_of("issue-answered"),
        asked_in_spite_of("comment-sending"),
        asked_in_spite_of("answer-recorded"),
    );
}
