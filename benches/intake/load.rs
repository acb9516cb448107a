//! The generator: HTTP/1.1 by hand over loopback, connections kept alive.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::payload::Mould;

/// Every delivery of a run has its own number, whoever sends it.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What a load came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub requests: usize,
    pub a_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub most: Duration,
}

impl Seen {
    fn of(mut latencies: Vec<Duration>, took: Duration) -> Self {
        latencies.sort_unstable();
        Self {
            requests: latencies.len(),
            a_second: latencies.len() as f64 / took.as_secs_f64(),
            p50: percentile(&latencies, 0.50),
            p99: percentile(&latencies, 0.99),
            most: latencies.last().copied().unwrap_or_default(),
        }
    }
}

/// Of sorted ones.
pub fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Closed loop: each client sends its next delivery when the last was answered.
pub fn closed(to: SocketAddr, mould: &Arc<Mould>, clients: usize, lasting: Duration) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let began = Instant::now();
        let until = began + lasting;
        let clients: Vec<_> =
            (0..clients).map(|_| tokio::spawn(client(to, Arc::clone(mould), until))).collect();
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.await.expect("a client that ends"));
        }
        Seen::of(latencies, began.elapsed())
    })
}

async fn client(to: SocketAddr, mould: Arc<Mould>, until: Instant) -> Vec<Duration> {
    let mut stream = tokio::net::TcpStream::connect(to).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut delivery = mould.blank();
    let mut answer = [0; 1024];
    let mut latencies = Vec::with_capacity(8192);
    while Instant::now() < until {
        mould.fill(&mut delivery, NUMBER.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        stream.write_all(&delivery).await.expect("a server that reads");
        let mut read = 0;
        while !answer[..read].ends_with(b"\r\n\r\n") {
            let more = stream.read(&mut answer[read..]).await.expect("a server that answers");
            assert!(more > 0, "the server hung up");
            read += more;
        }
        latencies.push(sent.elapsed());
        accepted(&answer[..read]);
    }
    latencies
}

/// Open loop: deliveries leave at their time, whether or not earlier ones were answered. Sixteen clients
/// take turns, so that a delay of less than 30 ms delays no other delivery at 500 a second.
pub fn paced(to: SocketAddr, mould: &Arc<Mould>, a_second: u32, lasting: Duration) -> Seen {
    const CLIENTS: u32 = 16;
    let began = Instant::now();
    let latencies = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for place in 0..CLIENTS {
            let (latencies, mould) = (&latencies, Arc::clone(mould));
            scope.spawn(move || {
                let own = one_by_one(to, &mould, began, place, CLIENTS, a_second, lasting);
                latencies.lock().expect("nobody panicked").extend(own);
            });
        }
    });
    Seen::of(latencies.into_inner().expect("nobody panicked"), began.elapsed())
}

fn one_by_one(
    to: SocketAddr,
    mould: &Mould,
    began: Instant,
    place: u32,
    clients: u32,
    a_second: u32,
    lasting: Duration,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut delivery = mould.blank();
    let mut latencies = Vec::new();
    let step = Duration::from_secs(1) * clients / a_second;
    let mut next = began + Duration::from_secs(1) * place / a_second;
    while next < began + lasting {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        mould.fill(&mut delivery, NUMBER.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        post(&mut stream, &delivery).expect("a server that accepts");
        latencies.push(sent.elapsed());
        next += step;
    }
    latencies
}

/// Sends one delivery and waits until it was accepted.
pub fn post(stream: &mut TcpStream, delivery: &[u8]) -> std::io::Result<()> {
    stream.write_all(delivery)?;
    let mut answer = [0; 1024];
    let mut read = 0;
    while !answer[..read].ends_with(b"\r\n\r\n") {
        let more = stream.read(&mut answer[read..])?;
        if more == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        read += more;
    }
    accepted(&answer[..read]);
    Ok(())
}

/// Starts as soon as somebody listens, and gives the moment at which one delivery was accepted.
pub fn first_accepted(to: SocketAddr, mould: &Mould) -> Instant {
    let mut delivery = mould.blank();
    mould.fill(&mut delivery, NUMBER.fetch_add(1, Ordering::Relaxed));
    for _ in 0..20_000 {
        if let Ok(mut stream) = TcpStream::connect(to)
            && post(&mut stream, &delivery).is_ok()
        {
            return Instant::now();
        }
        thread::sleep(Duration::from_micros(500));
    }
    panic!("nobody listens at {to}");
}

fn accepted(answer: &[u8]) {
    assert!(
        answer.starts_with(b"HTTP/1.1 202"),
        "not accepted: {}",
        String::from_utf8_lossy(answer)
    );
}
