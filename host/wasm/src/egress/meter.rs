//! A body that is counted, bounded, and given up when nothing moves for too long.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};
use wasmtime_wasi_http::{Error, WasiBody};

/// Bytes of all bodies of a run in one direction.
#[derive(Debug)]
pub(super) struct Meter {
    used: AtomicU64,
    limit: u64,
    /// What the run does with them, and whose bodies they are: for the error.
    verb: &'static str,
    whose: &'static str,
}

impl Meter {
    pub(super) fn new(limit: u64, verb: &'static str, whose: &'static str) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit, verb, whose })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts; false where that goes over the limit.
    fn add(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }

    /// That it went over the limit, where it did.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.used() > self.limit { Err(self.error()) } else { Ok(()) }
    }

    /// In words of its own: the code for a body that is too large speaks of one, and this is about all of the run's.
    fn error(&self) -> Error {
        let Self { limit, verb, whose, .. } = self;
        Error::InternalError(Some(format!("the run may {verb} {limit} bytes of bodies of HTTP {whose} in all")))
    }
}

/// The body of a request, as the guest writes it.
pub(super) struct Sent {
    pub(super) body: WasiBody,
    pub(super) meter: Arc<Meter>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && !self.meter.add(frame.data_ref().map_or(0, Bytes::len))
        {
            return Poll::Ready(Some(Err(self.meter.error())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response, as it comes in. It holds the request's place among those that may be open at once.
pub(super) struct Received {
    body: hyper::body::Incoming,
    meter: Arc<Meter>,
    patience: Duration,
    given_up: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Received {
    /// `patience` is how long nothing may arrive.
    pub(super) fn new(
        body: hyper::body::Incoming,
        meter: Arc<Meter>,
        patience: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { body, meter, patience, given_up: Box::pin(tokio::time::sleep(patience)), _place: place }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                ready!(self.given_up.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let ends_at = Instant::now() + self.patience;
                self.given_up.as_mut().reset(ends_at);
                if self.meter.add(frame.data_ref().map_or(0, Bytes::len)) {
                    Poll::Ready(Some(Ok(frame)))
                } else {
                    Poll::Ready(Some(Err(self.meter.error())))
                }
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Error::from))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
