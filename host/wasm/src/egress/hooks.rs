//! Where wasi:http, of either version, asks for a request to be sent.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, Request};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::{
    connect::{self, Driver},
    meter::Meter,
};
use crate::{Grants, Limits, PrivateNetworks};

/// How much of a request's body the host takes from the guest at once, in bytes. Up to two of them lie on the host's
/// heap for each request, also for one that is never sent; wasmtime's own default is 16 times as much.
const CHUNK_BYTES: usize = 64 << 10;

/// The headers that carry a trace on; the second means nothing without the first.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// How names become addresses where it is not the system that is asked: in tests, which have no names of their own.
pub(super) type Lookup = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

/// What outbound requests of one run share.
pub(crate) struct Egress {
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) private_networks: PrivateNetworks,
    pub(super) lookup: Option<Lookup>,
    pub(super) sent: Arc<Meter>,
    pub(super) received: Arc<Meter>,
    pub(super) places: Arc<Semaphore>,
    requests_left: AtomicU64,
    deadline: Option<Instant>,
}

/// Where a request goes.
pub(super) struct Destination {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Egress {
    /// How long the run still has. A day stands for no limit.
    pub(super) fn remaining(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(86_400);
        self.deadline.map_or(DAY, |deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// The hooks of one run. What requests share is made with the first one, since most runs send none.
pub(crate) struct EgressHooks {
    grants: Arc<Grants>,
    tls: Arc<rustls::ClientConfig>,
    limits: HttpLimits,
    deadline: Option<Instant>,
    trace: Vec<(HeaderName, HeaderValue)>,
    lookup: Option<Lookup>,
    egress: Option<Arc<Egress>>,
}

struct HttpLimits {
    requests: u64,
    connections: u32,
    sent_bytes: u64,
    received_bytes: u64,
}

impl EgressHooks {
    pub(crate) fn new(
        grants: Arc<Grants>,
        tls: Arc<rustls::ClientConfig>,
        limits: &Limits,
        deadline: Option<Instant>,
    ) -> Self {
        let limits = HttpLimits {
            requests: limits.http_requests,
            connections: limits.http_connections,
            sent_bytes: limits.http_sent_bytes,
            received_bytes: limits.http_received_bytes,
        };
        Self { grants, tls, limits, deadline, trace: Vec::new(), lookup: None, egress: None }
    }

    /// Says with each request what it belongs to, as the job's headers say it (W3C Trace Context).
    pub(crate) fn tracing(self, headers: &[(String, String)]) -> Self {
        let of_trace = headers.iter().filter_map(|(name, value)| {
            let name = TRACE.into_iter().find(|known| known == name)?;
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        });
        Self { trace: of_trace.collect(), ..self }
    }

    /// Takes addresses from here instead of from the system.
    #[cfg(test)]
    pub(super) fn looking_up(self, lookup: Lookup) -> Self {
        Self { lookup: Some(lookup), ..self }
    }

    /// A guest that traces by itself is left to it.
    fn traced(&self, mut request: Request<WasiBody>) -> Request<WasiBody> {
        if !request.headers().contains_key(TRACE[0]) {
            request.headers_mut().extend(self.trace.iter().cloned());
        }
        request
    }

    /// Bytes of bodies sent and received so far.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        self.egress.as_ref().map_or((0, 0), |egress| (egress.sent.used(), egress.received.used()))
    }

    pub(super) fn egress(&mut self) -> Arc<Egress> {
        let make = || {
            Arc::new(Egress {
                tls: Arc::clone(&self.tls),
                private_networks: self.grants.private_networks,
                lookup: self.lookup.clone(),
                sent: Meter::new(self.limits.sent_bytes, "send", "requests"),
                received: Meter::new(self.limits.received_bytes, "receive", "responses"),
                places: Arc::new(Semaphore::new(usize::try_from(self.limits.connections).unwrap_or(usize::MAX))),
                requests_left: AtomicU64::new(self.limits.requests),
                deadline: self.deadline,
            })
        };
        Arc::clone(self.egress.get_or_insert_with(make))
    }

    fn admit(&mut self, request: &Request<WasiBody>) -> Result<(Arc<Egress>, Destination), Error> {
        let destination = connect::destination(request.uri())?;
        if !self.grants.http.iter().any(|pattern| pattern.matches(&destination.host, destination.port)) {
            return Err(Error::HttpRequestDenied);
        }
        let egress = self.egress();
        let take = |left: u64| left.checked_sub(1);
        match egress.requests_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok((egress, destination)),
            // Not "denied", which would send the reader to the grants.
            Err(_) => Err(Error::InternalError(Some(format!(
                "the run has sent its {} HTTP requests and may send no more",
                self.limits.requests
            )))),
        }
    }
}

type Sending = dyn Future<Output = Result<(http::Response<WasiBody>, Driver), Error>> + Send;

impl WasiHttpHooks for EgressHooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // Tells what became of the response's body; the guest is the only one to care.
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<Sending> {
        let admitted = self.admit(&request);
        let request = self.traced(request);
        Box::new(async move {
            let (egress, destination) = admitted?;
            connect::send(egress, destination, request, options).await
        })
    }
}
