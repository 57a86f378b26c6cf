//! One outbound request: resolve once, check, connect to the checked address, send.
//!
//! No redirect is followed and no connection is kept: the guest sees what the other side said, and each request is
//! checked anew.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, Uri, uri::Scheme};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    address,
    hooks::{Destination, Egress},
    meter::{Received, Sent},
};
use crate::EngineError;

/// Where a guest sets no timeout of its own: a server that has not answered by then will not.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many of a name's addresses are tried.
const MAX_ADDRESSES: usize = 4;

/// No head of a response is longer, in bytes; hyper's own default is four times as much.
const MAX_HEAD_BYTES: usize = 100 << 10;

pub(super) type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// What all runs of an engine use for TLS: the public roots, no client certificate.
pub(crate) fn tls_config() -> Result<Arc<rustls::ClientConfig>, EngineError> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EngineError::new("set up TLS for outbound requests", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Sends a request whose destination was granted.
pub(super) async fn send(
    egress: Arc<Egress>,
    destination: Destination,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<(Response<WasiBody>, Driver), Error> {
    let clamp = |wish: Option<Duration>| wish.unwrap_or(DEFAULT_TIMEOUT).min(egress.remaining());
    let wishes = options.unwrap_or_default();
    let connect_timeout = clamp(wishes.connect_timeout);
    let first_byte_timeout = clamp(wishes.first_byte_timeout);
    let between_bytes_timeout = clamp(wishes.between_bytes_timeout);

    let opened = async {
        let place = Arc::clone(&egress.places).acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
        let stream = open(&egress, &destination).await?;
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok::<_, Error>((place, sender, connection))
    };
    let (place, mut sender, connection) =
        timeout(connect_timeout, opened).await.map_err(|_| Error::ConnectionTimeout)??;

    let request = in_origin_form(request)?.map(|body| Sent { body, meter: Arc::clone(&egress.sent) });
    let mut connection = Box::pin(connection);
    let answered = timeout(first_byte_timeout, async {
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        // The connection moves the bytes; where it ends first, the answer, or why there is none, is there.
        tokio::select! {
            biased;
            answer = &mut answer => (answer, false),
            _ = &mut connection => (answer.await, true),
        }
    });
    let (answer, connection_ended) = answered.await.map_err(|_| Error::ConnectionReadTimeout)?;
    let response = match answer {
        Ok(response) => response,
        // hyper only says that the guest's body failed, not how.
        Err(error) => return Err(egress.sent.check().err().unwrap_or_else(|| error.into())),
    };
    let response = response
        .map(|body| Received::new(body, Arc::clone(&egress.received), between_bytes_timeout, place).boxed_unsync());
    // No further request will come: with the response's body read, the connection ends.
    drop(sender);
    let driver: Driver =
        Box::new(async move { if connection_ended { Ok(()) } else { connection.await.map_err(Error::from) } });
    Ok((response, driver))
}

async fn open(egress: &Egress, destination: &Destination) -> Result<Box<dyn Stream>, Error> {
    let addresses = resolve(egress, destination).await?;
    let tcp = connect(&addresses).await?;
    // Requests are written whole; waiting to fill a packet would only delay them.
    tcp.set_nodelay(true).map_err(Error::Connect)?;
    if !destination.tls {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(destination.host.clone()).map_err(|_| Error::HttpRequestUriInvalid)?;
    let connector = TlsConnector::from(Arc::clone(&egress.tls));
    Ok(Box::new(connector.connect(name, tcp).await.map_err(Error::Tls)?))
}

pub(super) async fn resolve(egress: &Egress, destination: &Destination) -> Result<Vec<SocketAddr>, Error> {
    let port = destination.port;
    let found: Vec<SocketAddr> = match (destination.host.parse::<IpAddr>(), &egress.lookup) {
        (Ok(address), _) => vec![SocketAddr::new(address, port)],
        (Err(_), Some(lookup)) => {
            lookup(&destination.host).into_iter().map(|address| SocketAddr::new(address, port)).collect()
        }
        (Err(_), None) => {
            let dns_error = |error: std::io::Error| Error::DnsError { rcode: Some(error.to_string()), info_code: None };
            tokio::net::lookup_host((destination.host.as_str(), port)).await.map_err(dns_error)?.collect()
        }
    };
    if found.is_empty() {
        return Err(Error::DestinationNotFound);
    }
    let allowed = found.iter().filter(|address| address::is_allowed(address.ip(), egress.private_networks));
    let allowed: Vec<SocketAddr> = allowed.take(MAX_ADDRESSES).copied().collect();
    if allowed.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(allowed) }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut last = Error::DestinationUnavailable;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Error::Connect(error),
        }
    }
    Err(last)
}

/// The request line names the path alone; the host travels in its header.
fn in_origin_form(mut request: Request<WasiBody>) -> Result<Request<WasiBody>, Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(request)
}

/// Where a request wants to go.
pub(super) fn destination(uri: &Uri) -> Result<Destination, Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    // A name and password before the host would be sent along in the `host` header.
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(Error::HttpRequestUriInvalid);
    }
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
    Ok(Destination { host: bare.to_owned(), port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls })
}
