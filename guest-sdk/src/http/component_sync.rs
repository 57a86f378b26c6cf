//! HTTP over WASI 0.2, for sync handlers: each step waits on the handler's thread.

use std::time::{Duration, Instant};

use wasip2::{
    clocks::monotonic_clock,
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, IncomingBody, Method as Wasi, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
        },
    },
    io::{
        poll::{Pollable, poll},
        streams::{OutputStream, StreamError},
    },
};

use super::{Error, Method, Request, Response, error::of_text, error_from_code, response::Body};

/// How much is read at once, in bytes.
const PIECE_BYTES: u64 = 64 << 10;

/// The time for all of a request together: the timeouts that the host knows each begin anew.
struct Clock {
    started_at: Instant,
    timeout: Duration,
}

impl Clock {
    /// Waits until the host has something to tell, or the time is over.
    fn wait(&self, ready: &Pollable) -> Result<(), Error> {
        let left = self.timeout.saturating_sub(self.started_at.elapsed());
        if left.is_zero() {
            return Err(Error::Timeout(self.timeout));
        }
        let over = monotonic_clock::subscribe_duration(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        poll(&[ready, &over]);
        Ok(())
    }

    /// The error, which after the time is over is only how the host gave up.
    fn judge(&self, error: Error) -> Error {
        if self.started_at.elapsed() >= self.timeout { Error::Timeout(self.timeout) } else { error }
    }
}

pub(super) fn send(request: &Request) -> Result<Response, Error> {
    let clock = Clock { started_at: Instant::now(), timeout: request.timeout };
    let outgoing = outgoing(request)?;
    let options = options(request);
    let to_error = |code: ErrorCode| error_from_code!(code, request.timeout, request.max_response_bytes, ErrorCode);

    let body = outgoing.body().map_err(|()| Error::Failed("the host gave no body to write to".into()))?;
    let pending = outgoing_handler::handle(outgoing, Some(options)).map_err(to_error)?;
    let stream = body.write().map_err(|()| Error::Failed("the host gave no stream to write to".into()))?;
    let wanted = write(&stream, &request.body, &clock)?;
    drop(stream);
    let finished = OutgoingBody::finish(body, None);
    // Where the other side wanted no more of it, it is shorter than announced; the response may say why.
    if wanted {
        finished.map_err(to_error)?;
    }

    let response = loop {
        match pending.get() {
            Some(Ok(answer)) => break answer.map_err(|code| clock.judge(to_error(code)))?,
            Some(Err(())) => return Err(Error::Failed("the host gave its response away".into())),
            None => clock.wait(&pending.subscribe())?,
        }
    };
    let status = response.status();
    let headers = response.headers().entries();
    let incoming = response.consume().map_err(|()| Error::Failed("the host gave no body to read".into()))?;
    let mut body = Body::new(request.max_response_bytes);
    let stream = incoming.stream().map_err(|()| Error::Failed("the host gave no stream to read".into()))?;
    loop {
        match stream.read(PIECE_BYTES) {
            Ok(piece) => {
                body.push(&piece)?;
                // Also where there was something: a response that trickles for ever ends here.
                clock.wait(&stream.subscribe())?;
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(clock.judge(match wasip2::http::types::http_error_code(&error) {
                    Some(code) => to_error(code),
                    None => of_text(&error.to_debug_string()),
                }));
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    Ok(body.into_response(status, headers))
}

fn outgoing(request: &Request) -> Result<OutgoingRequest, Error> {
    let url = request.parts()?;
    let headers = Fields::from_list(&request.sent_headers())
        .map_err(|error| Error::InvalidRequest(format!("the host refused a header: {error:?}")))?;
    let refused = |what: &str| Error::InvalidRequest(format!("the host refused its {what}"));
    let outgoing = OutgoingRequest::new(headers);
    outgoing.set_method(&method(&request.method)).map_err(|()| refused("method"))?;
    let scheme = if url.https { Scheme::Https } else { Scheme::Http };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    outgoing.set_authority(Some(url.authority)).map_err(|()| refused("host"))?;
    outgoing.set_path_with_query(Some(&url.path_and_query)).map_err(|()| refused("path"))?;
    Ok(outgoing)
}

/// A host that does not keep to a timeout says so here; its run's own deadline then holds.
fn options(request: &Request) -> RequestOptions {
    let nanoseconds = Some(u64::try_from(request.timeout.as_nanos()).unwrap_or(u64::MAX));
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(nanoseconds);
    let _ = options.set_first_byte_timeout(nanoseconds);
    let _ = options.set_between_bytes_timeout(nanoseconds);
    options
}

/// Writes the body; false where the other side wants no more of it.
fn write(stream: &OutputStream, body: &[u8], clock: &Clock) -> Result<bool, Error> {
    let mut rest = body;
    while !rest.is_empty() {
        let written = stream.check_write().and_then(|room| {
            let (piece, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            if !piece.is_empty() {
                stream.write(piece)?;
            }
            rest = later;
            Ok(room)
        });
        match written {
            Ok(0) => clock.wait(&stream.subscribe())?,
            Ok(_) => {}
            Err(StreamError::Closed) => return Ok(false),
            Err(StreamError::LastOperationFailed(error)) => {
                let text = format!("the body was not sent: {}", error.to_debug_string());
                return Err(clock.judge(Error::Failed(text)));
            }
        }
    }
    Ok(true)
}

fn method(method: &Method) -> Wasi {
    match method {
        Method::Get => Wasi::Get,
        Method::Head => Wasi::Head,
        Method::Post => Wasi::Post,
        Method::Put => Wasi::Put,
        Method::Patch => Wasi::Patch,
        Method::Delete => Wasi::Delete,
        Method::Options => Wasi::Options,
        Method::Other(name) => Wasi::Other(name.clone()),
    }
}
