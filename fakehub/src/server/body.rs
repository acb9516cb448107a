//! The body of an answer on its way out: whole, or half of it and then an error that closes the connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

use super::Cut;

#[derive(Debug)]
pub(crate) struct Outgoing {
    data: Option<Bytes>,
    /// Set for half an answer: how long what was written has to leave before the cut.
    cut: Option<Pin<Box<Sleep>>>,
}

impl Outgoing {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { data: (!bytes.is_empty()).then_some(bytes), cut: None }
    }

    pub(crate) fn half(bytes: &Bytes) -> Self {
        let half = bytes.slice(..bytes.len() / 2);
        Self {
            data: Some(half),
            cut: Some(Box::pin(tokio::time::sleep(Duration::from_millis(15)))),
        }
    }

    pub(crate) fn is_half(&self) -> bool {
        self.cut.is_some()
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.cut {
            None => Poll::Ready(None),
            Some(sleep) => sleep.as_mut().poll(cx).map(|()| Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_half() {
            // The header says how long the body would have been.
            return SizeHint::default();
        }
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
