//! HTTP over WASI 0.3, for async handlers: while a request is under way, the handler may do other things.

use wasip3::{
    http::{
        client,
        types::{ErrorCode, Fields, Method as Wasi, Request as Outgoing, RequestOptions, Response as Incoming, Scheme},
    },
    wit_bindgen::{StreamReader, StreamResult},
    wit_future, wit_stream,
};

use super::{Error, Method, Request, Response, error_from_code, response::Body};
use crate::time;

/// How much is read at once, in bytes.
const PIECE_BYTES: usize = 16 << 10;

pub(super) async fn send(request: Request) -> Result<Response, Error> {
    // The timeouts that the host knows each begin anew; this one holds for all of it together.
    let timeout = request.timeout;
    time::timeout(timeout, exchange(request)).await.unwrap_or(Err(Error::Timeout(timeout)))
}

async fn exchange(mut request: Request) -> Result<Response, Error> {
    let (timeout, limit_bytes) = (request.timeout, request.max_response_bytes);
    let to_error = |code: ErrorCode| error_from_code!(code, timeout, limit_bytes, ErrorCode);
    let headers = request.sent_headers();
    let body = std::mem::take(&mut request.body);
    let (contents, mut writer) = if body.is_empty() {
        (None, None)
    } else {
        let (writer, reader) = wit_stream::new();
        (Some(reader), Some(writer))
    };
    let outgoing = outgoing(&request, &headers, contents)?;
    let write = async {
        if let Some(mut writer) = writer.take() {
            writer.write_all(body).await;
        }
    };
    let receive = async {
        let response = client::send(outgoing).await.map_err(to_error)?;
        let status = response.get_status_code();
        let headers = response.get_headers().copy_all();
        let (_done, done) = wit_future::new(|| Ok(()));
        let (mut stream, trailers) = Incoming::consume_body(response, done);
        let mut body = Body::new(limit_bytes);
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        loop {
            let (result, read) = stream.read(piece).await;
            body.push(&read)?;
            piece = read;
            piece.clear();
            if !matches!(result, StreamResult::Complete(_)) {
                break;
            }
        }
        drop(stream);
        // A body that broke off ends like any other; only the trailers tell.
        trailers.await.map_err(to_error)?;
        Ok(body.into_response(status, headers))
    };
    // The body flows while the response is awaited and read: a server may begin its answer before it has read all.
    time::alongside(receive, write).await
}

fn outgoing(
    request: &Request,
    headers: &[(String, Vec<u8>)],
    contents: Option<StreamReader<u8>>,
) -> Result<Outgoing, Error> {
    let url = request.parts()?;
    let headers = Fields::from_list(headers)
        .map_err(|error| Error::InvalidRequest(format!("the host refused a header: {error:?}")))?;
    let refused = |what: &str| Error::InvalidRequest(format!("the host refused its {what}"));
    let (_no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (outgoing, _sent) = Outgoing::new(headers, contents, trailers, Some(options(request)));
    outgoing.set_method(&method(&request.method)).map_err(|()| refused("method"))?;
    let scheme = if url.https { Scheme::Https } else { Scheme::Http };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    outgoing.set_authority(Some(url.authority)).map_err(|()| refused("host"))?;
    outgoing.set_path_with_query(Some(&url.path_and_query)).map_err(|()| refused("path"))?;
    Ok(outgoing)
}

/// A host that does not keep to a timeout says so here; the one for all of it together then holds.
fn options(request: &Request) -> RequestOptions {
    let nanoseconds = Some(u64::try_from(request.timeout.as_nanos()).unwrap_or(u64::MAX));
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(nanoseconds);
    let _ = options.set_first_byte_timeout(nanoseconds);
    let _ = options.set_between_bytes_timeout(nanoseconds);
    options
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
