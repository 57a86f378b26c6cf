//! Taking in connections: how many, how slow they may be, and TLS.
//!
//! Whoever connects and says nothing, sends its head letter by letter, or stops reading what it asked for, loses its
//! connection; how slowly a body may come is said in `bounds.rs`.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// No more connections at once; the next waits for its turn. Each costs some tens of KiB, and 256 of them may follow events.
const MAX_CONNECTIONS: u32 = 4_096;

/// How long the head of a request may take, counted also while nothing is asked on a connection that is kept open.
const HEAD: Duration = Duration::from_secs(30);

/// How long TLS may take to begin.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long whoever is answered may read nothing. Long enough for a laptop that wakes up.
const STALLED: Duration = Duration::from_secs(60);

/// The most that a connection holds of what comes in, and so the longest head, in bytes: cookies of other programs on the
/// same name travel along.
const MAX_BUFFER_BYTES: usize = 64 << 10;

/// How long to wait where the system has no room for one more connection.
const NO_ROOM: Duration = Duration::from_millis(200);

/// Serves until it is told to close, and then until the requests that go on are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    closing: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let (close, open) = watch::channel(());
    let mut closing = std::pin::pin!(closing);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, listener.accept().await?))
        };
        let next = tokio::select! {
            next = next => next,
            () = &mut closing => break,
        };
        match next {
            Ok((place, (stream, from))) => {
                let connection = Connection { from, tls: tls.clone(), routes: routes.clone(), place };
                tokio::spawn(connection.serve(stream, open.clone()));
            }
            // It was gone before it was taken.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "failed to take a connection");
                sleep(NO_ROOM).await;
            }
        }
    }
    drop(listener);
    drop(close);
    // With all places back, nobody is connected.
    drop(places.acquire_many(MAX_CONNECTIONS).await);
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    routes: Router,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, open: watch::Receiver<()>) {
        // Answers are written whole; waiting to fill a packet would only delay them.
        drop(stream.set_nodelay(true));
        let stream = Watched::new(stream);
        match self.tls.clone() {
            None => self.speak(stream, open).await,
            Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream, open).await,
                Ok(Err(error)) => tracing::debug!(from = %self.from, %error, "failed to begin TLS"),
                Err(_) => tracing::debug!(from = %self.from, "TLS did not begin in time"),
            },
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, mut open: watch::Receiver<()>) {
        let Self { from, routes, place, .. } = self;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            // Who calls is told by where they come from, where tokens are asked for.
            request.extensions_mut().insert(ConnectInfo(from));
            routes.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(MAX_BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            // An error tells that the sender is gone, which is how closing is said.
            _ = open.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%from, %error, "a connection ended");
        }
        drop(place);
    }
}

/// A stream that ends where the other side does not take what is written.
struct Watched {
    stream: TcpStream,
    /// While the other side is waited for.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn new(stream: TcpStream) -> Self {
        Self { stream, stalled: None }
    }

    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        stalled
            .as_mut()
            .poll(context)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the other side reads nothing")))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch(written, context)
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
