//! Connections: how many there may be at once, and how long one may leave its answers lying. What is said on
//! them stands elsewhere.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};

/// The most connections at once. Each takes a file descriptor, of which a process has 1,024 unless told
/// otherwise, and the store and the calls to GitHub need some too: with none left nothing is decided at all.
const MOST: usize = 512;

/// How long a client may leave its answers lying. Who sends one request after the other and never reads would
/// keep its connection for ever.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Lets connections in while there is a place.
#[derive(Clone)]
pub(super) struct Door {
    places: Arc<Semaphore>,
    taken_within: Duration,
}

impl Default for Door {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), taken_within: TAKEN_WITHIN }
    }
}

impl<I, S> Accept<I, S> for Door {
    type Stream = Guarded<I>;
    type Service = S;
    type Future = Ready<io::Result<(Guarded<I>, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        ready(match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok((
                Guarded { stream, taken_within: self.taken_within, stalled: None, _place: place },
                service,
            )),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        })
    }
}

/// A connection in its place.
pub(super) struct Guarded<I> {
    stream: I,
    taken_within: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use std::{io, sync::Arc, time::Duration};

    use axum_server::accept::Accept as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Semaphore,
    };

    use super::Door;

    fn door(places: usize) -> Door {
        let places = Arc::new(Semaphore::new(places));
        Door { places, taken_within: Duration::from_millis(100) }
    }

    #[tokio::test]
    async fn there_are_so_many_places_and_each_is_free_again_when_its_connection_ends() {
        let door = door(2);
        let stream = || tokio::io::duplex(8).0;
        let first = door.accept(stream(), ()).await.unwrap();
        let _second = door.accept(stream(), ()).await.unwrap();
        assert!(door.accept(stream(), ()).await.is_err());
        drop(first);
        assert!(door.accept(stream(), ()).await.is_ok());
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
