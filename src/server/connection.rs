//! Connections: how many there may be at once, whose place is given to another, and how long one may leave its answers
//! lying. What is said on them stands elsewhere.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::watch::{
    Counter, Tally,
    metrics::{FULL, SILENT},
};

/// How long a client may leave its answers lying. Who sends one request after the other and never reads would
/// keep its connection for ever.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// How many may wait for the place of one that is sent away.
const MOST_WAITING: usize = 64;

/// How long they wait: whoever is sent away goes at once.
const MADE_ROOM_WITHIN: Duration = Duration::from_secs(1);

/// Lets connections in while there is a place. When there is none, whoever has said nothing for the longest time makes
/// room: connecting and being silent keeps nobody else out.
#[derive(Clone)]
pub(super) struct Door {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    taken_within: Duration,
    silent: Silent,
    tally: Tally,
}

impl Door {
    /// A door to so many places.
    pub(super) fn to(places: usize, tally: Tally) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            taken_within: TAKEN_WITHIN,
            silent: Silent::default(),
            tally,
        }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let _waiting = self.waiting.try_acquire().ok()?;
        if !self.silent.send_the_first_away() {
            return None;
        }
        self.tally.count(Counter::ConnectionsClosed, [SILENT]);
        let place = Arc::clone(&self.places).acquire_owned();
        tokio::time::timeout(MADE_ROOM_WITHIN, place).await.ok()?.ok()
    }
}

impl<I: Send + 'static, S: Send + 'static> Accept<I, S> for Door {
    type Stream = Guarded<I>;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Guarded<I>, S)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let door = self.clone();
        Box::pin(async move {
            let Some(place) = door.place().await else {
                door.tally.count(Counter::ConnectionsRefused, [FULL]);
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let taken_within = door.taken_within;
            let head = Some(door.silent.enter());
            Ok((Guarded { stream, taken_within, stalled: None, head, _place: place }, service))
        })
    }
}

/// The connections that have not said what they want, in the order in which they came.
#[derive(Clone, Default)]
struct Silent(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, CancellationToken>,
}

impl Silent {
    fn enter(&self) -> Head {
        let leave = CancellationToken::new();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = waiting.next;
        waiting.next += 1;
        waiting.connections.insert(number, leave.clone());
        drop(waiting);
        let silent = self.clone();
        Head { number, silent, leave: Box::pin(leave.cancelled_owned()), line_ends: None }
    }

    /// Gives whether there was one.
    fn send_the_first_away(&self) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.connections.pop_first().is_some_and(|(_, leave)| {
            leave.cancel();
            true
        })
    }
}

/// The head of the first request of a connection, of which not all has come.
struct Head {
    number: u64,
    silent: Silent,
    leave: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How many ends of lines came in a row: at the second, the head is whole. Those before its first word do not count, as
    /// the parser skips them: `None` until then.
    line_ends: Option<u8>,
}

impl Head {
    /// Whether it is whole with these bytes.
    fn is_whole_with(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| {
            match byte {
                b'\n' => self.line_ends = self.line_ends.map(|ends| ends.saturating_add(1)),
                b'\r' => {}
                _ => self.line_ends = Some(0),
            }
            self.line_ends == Some(2)
        })
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        let mut waiting = self.silent.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.connections.remove(&self.number);
    }
}

/// A connection in its place.
pub(super) struct Guarded<I> {
    stream: I,
    taken_within: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Until it has said what it wants.
    head: Option<Head>,
    _place: OwnedSemaphorePermit,
}

impl<I> Guarded<I> {
    fn in_time(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.taken_within;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(head) = &mut this.head else {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        };
        if head.leave.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if head.is_whole_with(buffer.filled().get(before..).unwrap_or_default()) {
            this.head = None;
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]
mod tests {
    use std::{io, time::Duration};

    use axum_server::accept::Accept as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::{Door, Guarded};
    use crate::watch::{Counter, Tally};

    fn door(places: usize) -> Door {
        Door { taken_within: Duration::from_millis(100), ..Door::to(places, Tally::default()) }
    }

    #[tokio::test]
    async fn there_are_so_many_places_and_each_is_free_again_when_its_connection_ends() {
        let door = door(2);
        let (mut first, _there) = said_what_it_wants(&door).await;
        let (_second, _there) = said_what_it_wants(&door).await;
        let third = tokio::io::duplex(8).0;
        assert!(door.accept(third, ()).await.is_err());
        first.shutdown().await.unwrap();
        drop(first);
        let third = tokio::io::duplex(8).0;
        assert!(door.accept(third, ()).await.is_ok());
    }

    /// A connection on which the head of a request has come.
    async fn said_what_it_wants(door: &Door) -> (Guarded<DuplexStream>, DuplexStream) {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (mut ours, ()) = door.accept(ours, ()).await.unwrap();
        theirs.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        ours.read_exact(&mut [0; 27]).await.unwrap();
        (ours, theirs)
    }

    #[tokio::test]
    async fn whoever_is_silent_for_the_longest_time_makes_room_and_nobody_who_speaks_does() {
        let door = door(3);
        let (_speaks, _there) = said_what_it_wants(&door).await;
        let mut silent = Vec::new();
        for _ in 0..2 {
            let (ours, mut theirs) = tokio::io::duplex(64);
            let (mut ours, ()) = door.accept(ours, ()).await.unwrap();
            // Half a head is as good as silence.
            theirs.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            ours.read_exact(&mut [0; 16]).await.unwrap();
            let ended = tokio::spawn(async move { ours.read_u8().await.unwrap_err().kind() });
            silent.push((ended, theirs));
        }
        let (_new, _there) = said_what_it_wants(&door).await;
        let (first, _there) = silent.remove(0);
        assert_eq!(first.await.unwrap(), io::ErrorKind::ConnectionAborted);
        assert!(!silent[0].0.is_finished(), "one is enough");
        let (_new, _there) = said_what_it_wants(&door).await;
        let (second, _there) = silent.remove(0);
        assert_eq!(second.await.unwrap(), io::ErrorKind::ConnectionAborted);
        let one_more = tokio::io::duplex(8).0;
        assert!(door.accept(one_more, ()).await.is_err(), "all of them speak");
        assert_eq!(door.tally.counts().of(Counter::ConnectionsClosed).next().unwrap().1, 2);
        assert_eq!(door.tally.counts().of(Counter::ConnectionsRefused).next().unwrap().1, 1);
    }

    #[tokio::test]
    async fn whoever_leaves_its_answers_lying_is_sent_away_and_a_slow_reader_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let (mut ours, ()) = door(1).accept(ours, ()).await.unwrap();
        let slow = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                theirs.read_exact(&mut [0; 8]).await.unwrap();
            }
            theirs
        });
        ours.write_all(&[0; 40]).await.unwrap();
        let _theirs = slow.await.unwrap();
        let error = ours.write_all(&[0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
