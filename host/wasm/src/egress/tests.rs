//! Requests against a server on loopback, through the same hook that wasi:http calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks as _};

use super::{EgressHooks, tls_config};
use crate::{Grants, Limits, PrivateNetworks};

/// Answers every connection with these bytes, once it has seen a whole request; gives the port, and the requests.
pub(super) async fn server(answer: &'static [u8]) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (requests, seen) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut part = [0; 1024];
                let length = stream.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..length]);
            }
            let _ = requests.send(String::from_utf8_lossy(&request).into_owned());
            stream.write_all(answer).await.unwrap();
            // Kept open: whoever reads goes by the length alone.
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1]).await;
            });
        }
    });
    (port, seen)
}

pub(super) fn hooks(patterns: &[&str], private_networks: PrivateNetworks, limits: &Limits) -> EgressHooks {
    let http = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let grants = Arc::new(Grants { http, private_networks, ..Grants::default() });
    let deadline = limits.timeout.map(|timeout| Instant::now() + timeout);
    EgressHooks::new(grants, tls_config().unwrap(), limits, deadline)
}

fn granted(limits: &Limits) -> EgressHooks {
    hooks(&["127.0.0.1"], PrivateNetworks::Granted, limits)
}

pub(super) async fn send(hooks: &mut EgressHooks, uri: String, body: &'static str) -> Result<(u16, Bytes), Error> {
    let body: WasiBody = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let request = Request::builder().uri(uri).body(body).unwrap();
    let sent = Box::into_pin(hooks.send_request(request, Some(RequestOptions::default()), Box::new(async { Ok(()) })));
    let (response, driver) = sent.await?;
    let driver = tokio::spawn(Box::into_pin(driver));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    driver.await.unwrap()?;
    Ok((status, body))
}

/// What the guest is told of a limit of its run.
fn told(answer: Result<(u16, Bytes), Error>) -> String {
    match answer {
        Err(Error::InternalError(Some(text))) => text,
        other => panic!("expected an error with a text, not {other:?}"),
    }
}

pub(super) const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn a_granted_request_is_answered_and_counted() {
    let (port, mut seen) = server(HELLO).await;
    let mut hooks = granted(&Limits::default());
    let (status, body) = send(&mut hooks, format!("http://127.0.0.1:{port}/a?b=c"), "four").await.unwrap();
    assert_eq!((status, &body[..]), (200, &b"hello"[..]));
    assert_eq!(hooks.bytes(), (4, 5));
    assert!(seen.recv().await.unwrap().starts_with("GET /a?b=c HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_denied_before_anything_is_resolved() {
    let mut nothing = hooks(&[], PrivateNetworks::Granted, &Limits::default());
    let mut other = hooks(&["example.com", "127.0.0.1:1"], PrivateNetworks::Granted, &Limits::default());
    for hooks in [&mut nothing, &mut other] {
        let answer = send(hooks, "http://127.0.0.1:2/".to_owned(), "").await;
        assert!(matches!(answer, Err(Error::HttpRequestDenied)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_granted_host_at_a_private_address_is_refused_unless_private_networks_are_granted() {
    let (port, mut seen) = server(HELLO).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "169.254.169.254"] {
        let mut hooks = hooks(&["*"], PrivateNetworks::Refused, &Limits::default());
        let answer = send(&mut hooks, format!("http://{host}:{port}/"), "").await;
        assert!(matches!(answer, Err(Error::DestinationIpProhibited)), "{host}: {answer:?}");
    }
    assert!(seen.try_recv().is_err(), "nothing was sent");
}

#[tokio::test]
async fn a_name_and_password_in_the_address_are_refused() {
    let answer = send(&mut granted(&Limits::default()), "http://a:b@127.0.0.1:1/".to_owned(), "").await;
    assert!(matches!(answer, Err(Error::HttpRequestUriInvalid)), "{answer:?}");
}

#[tokio::test]
async fn a_redirect_is_handed_over_and_not_followed() {
    let (port, mut seen) = server(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    let (status, _) = send(&mut granted(&Limits::default()), format!("http://127.0.0.1:{port}/"), "").await.unwrap();
    assert_eq!(status, 302);
    assert!(seen.recv().await.is_some());
    assert!(seen.try_recv().is_err(), "there was no second request");
}

#[tokio::test]
async fn bodies_over_their_limits_end_the_request() {
    let (port, _seen) = server(HELLO).await;
    let uri = format!("http://127.0.0.1:{port}/");
    let few = Limits { http_received_bytes: 4, ..Limits::default() };
    let answer = send(&mut granted(&few), uri.clone(), "").await;
    assert_eq!(told(answer), "the run may receive 4 bytes of bodies of HTTP responses in all");
    let few = Limits { http_sent_bytes: 3, ..Limits::default() };
    let answer = send(&mut granted(&few), uri, "four").await;
    assert_eq!(told(answer), "the run may send 3 bytes of bodies of HTTP requests in all");
}

#[tokio::test]
async fn a_run_sends_no_more_requests_than_it_may() {
    let (port, _seen) = server(HELLO).await;
    let mut hooks = granted(&Limits { http_requests: 2, ..Limits::default() });
    for _ in 0..2 {
        assert!(send(&mut hooks, format!("http://127.0.0.1:{port}/"), "").await.is_ok());
    }
    let answer = send(&mut hooks, format!("http://127.0.0.1:{port}/"), "").await;
    assert_eq!(told(answer), "the run has sent its 2 HTTP requests and may send no more");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_with_the_run() {
    let (port, _seen) = server(b"").await;
    let mut hooks = granted(&Limits { timeout: Some(Duration::from_millis(50)), ..Limits::default() });
    let answer = send(&mut hooks, format!("http://127.0.0.1:{port}/"), "").await;
    assert!(matches!(answer, Err(Error::ConnectionReadTimeout)), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_is_given_up_with_the_run() {
    let (port, _seen) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").await;
    let mut hooks = granted(&Limits { timeout: Some(Duration::from_millis(50)), ..Limits::default() });
    let answer = send(&mut hooks, format!("http://127.0.0.1:{port}/"), "").await;
    assert!(matches!(answer, Err(Error::ConnectionReadTimeout)), "{answer:?}");
}
