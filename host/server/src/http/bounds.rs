//! How long a request may take: how slowly its body may come, and how long it is worked on.
//!
//! Heads and idle connections are bounded where connections are taken in (`listener.rs`).

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, timeout};
use windlass_api::ProblemCode;

use super::error::ApiError;

/// Nothing comes for this long: the other side is gone, or means no good.
const SILENCE: Duration = Duration::from_secs(15);

/// From then on a body must have come at `LEAST_BYTES_PER_SECOND` on average, so that one byte at a time does not hold a place.
const GRACE: Duration = Duration::from_secs(30);

/// A tenth of what the slowest mobile networks carry.
const LEAST_BYTES_PER_SECOND: u64 = 1_024;

/// Longer than any request is held back: a long poll takes 60 s at most.
const LONGEST: Duration = Duration::from_secs(80);

/// A deploy waits for other compilations; whoever asked for it waits as long.
const LONGEST_DEPLOY: Duration = Duration::from_secs(600);

/// Bounds a request.
pub(super) async fn within(request: Request, next: Next) -> Response {
    let is_upload = *request.method() == Method::POST
        && request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == "/api/v1/modules");
    let longest = if is_upload { LONGEST_DEPLOY } else { LONGEST };
    let request =
        if request.body().is_end_stream() { request } else { request.map(|body| Body::new(Timed::new(body))) };
    match timeout(longest, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(?longest, "a request took too long and was given up");
            let detail = format!(
                "it was not done within {} s, and may be done all the same: look before you repeat it, or repeat it with \
                 the same id or Idempotency-Key",
                longest.as_secs()
            );
            ApiError::new(ProblemCode::TimedOut, detail).into_response()
        }
    }
}

/// A body came too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the body came too slowly: nothing for {} s, or less than {LEAST_BYTES_PER_SECOND} bytes a second",
            SILENCE.as_secs()
        )
    }
}

impl Error for TooSlow {}

impl TooSlow {
    /// Whether an error comes of this.
    pub(super) fn is_in(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// A body with a clock beside it.
struct Timed {
    body: Body,
    begun: Instant,
    received: u64,
    longest_silence: Duration,
    /// While the other side is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    fn new(body: Body) -> Self {
        Self { body, begun: Instant::now(), received: 0, longest_silence: SILENCE, silence: None }
    }

    fn is_too_slow(&self) -> bool {
        let took = self.begun.elapsed();
        took > GRACE && self.received / took.as_secs().max(1) < LEAST_BYTES_PER_SECOND
    }
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silence = None;
                self.received += frame.data_ref().map_or(0, Bytes::len) as u64;
                Poll::Ready(Some(if self.is_too_slow() { Err(TooSlow.into()) } else { Ok(frame) }))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let longest = self.longest_silence;
                let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(longest)));
                silence.as_mut().poll(context).map(|()| Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use futures::{StreamExt as _, stream};

    use super::*;

    fn pieces(pieces: usize) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        stream::iter(0..pieces).map(|_| Ok(Bytes::from_static(&[b' '; 1_024])))
    }

    async fn read(body: Timed) -> Result<usize, bool> {
        let read = to_bytes(Body::new(body), usize::MAX).await.map(|bytes| bytes.len());
        read.map_err(|error| TooSlow::is_in(&error))
    }

    #[tokio::test]
    async fn a_body_that_keeps_coming_is_read_however_long_it_takes() {
        let begun = Instant::now() - GRACE;
        let received = LEAST_BYTES_PER_SECOND * GRACE.as_secs();
        let body = Timed { begun, received, ..Timed::new(Body::from_stream(pieces(1_000))) };
        assert_eq!(read(body).await, Ok(1_024_000));
        // One that breaks off is told as what it is.
        let broken = pieces(1).chain(stream::iter([Err(std::io::Error::other("gone"))]));
        assert_eq!(read(Timed::new(Body::from_stream(broken))).await, Err(false));
    }

    #[tokio::test]
    async fn a_body_that_stops_or_trickles_is_given_up() {
        let stops = Body::from_stream(pieces(1).chain(stream::pending()));
        let impatient = Timed { longest_silence: Duration::from_millis(1), ..Timed::new(stops) };
        assert_eq!(read(impatient).await, Err(true));
        let trickles = Timed { begun: Instant::now() - 10 * GRACE, ..Timed::new(Body::from_stream(pieces(2))) };
        assert_eq!(read(trickles).await, Err(true));
    }
}
