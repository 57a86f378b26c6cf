//! HTTP over WASI 0.2, for sync handlers: each step waits on the handler's thread.

use std::time::Instant;

use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, IncomingBody, Method as Wasi, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
        },
    },
    io::streams::{OutputStream, StreamError},
};

use super::{Error, Method, Request, Response, error_from_code, response::Body};

/// How much is read at once, in bytes.
const PIECE_BYTES: u64 = 64 << 10;

/// How much `blocking-write-and-flush` takes at once, in bytes, by its definition.
const WRITE_BYTES: usize = 4096;

pub(super) fn send(request: &Request) -> Result<Response, Error> {
    let started_at = Instant::now();
    let outgoing = outgoing(request)?;
    let options = options(request);
    let to_error = |code: ErrorCode| error_from_code!(code, request.timeout, request.max_response_bytes, ErrorCode);

    let body = outgoing.body().map_err(|()| Error::Failed("the host gave no body to write to".into()))?;
    let pending = outgoing_handler::handle(outgoing, Some(options)).map_err(to_error)?;
    let stream = body.write().map_err(|()| Error::Failed("the host gave no stream to write to".into()))?;
    write(&stream, &request.body)?;
    drop(stream);
    OutgoingBody::finish(body, None).map_err(to_error)?;

    let response = loop {
        match pending.get() {
            Some(Ok(answer)) => break answer.map_err(to_error)?,
            Some(Err(())) => return Err(Error::Failed("the host gave its response away".into())),
            None => pending.subscribe().block(),
        }
    };
    let status = response.status();
    let headers = response.headers().entries();
    let incoming = response.consume().map_err(|()| Error::Failed("the host gave no body to read".into()))?;
    let mut body = Body::new(request.max_response_bytes);
    let stream = incoming.stream().map_err(|()| Error::Failed("the host gave no stream to read".into()))?;
    loop {
        if started_at.elapsed() > request.timeout {
            return Err(Error::Timeout(request.timeout));
        }
        match stream.blocking_read(PIECE_BYTES) {
            Ok(piece) => body.push(&piece)?,
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match wasip2::http::types::http_error_code(&error) {
                    Some(code) => to_error(code),
                    None => Error::Failed(error.to_debug_string()),
                });
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    Ok(body.into_response(status, headers))
}

fn outgoing(request: &Request) -> Result<OutgoingRequest, Error> {
    let url = request.parts()?;
    let headers = request.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes()));
    let headers = Fields::from_list(&headers.collect::<Vec<_>>())
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

fn write(stream: &OutputStream, body: &[u8]) -> Result<(), Error> {
    for piece in body.chunks(WRITE_BYTES) {
        match stream.blocking_write_and_flush(piece) {
            Ok(()) => {}
            // The other side wants no more of it; its response may say why.
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(Error::Failed(format!("the body was not sent: {}", error.to_debug_string())));
            }
        }
    }
    Ok(())
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
