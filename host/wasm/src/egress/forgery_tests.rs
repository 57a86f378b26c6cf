//! Requests that a guest makes to where only the host can go: by names that lead there, by other ways to write an address, by
//! redirects, and by names whose answer changes. All are refused unless private networks are granted.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use wasmtime_wasi_http::Error;

use super::{
    EgressHooks,
    connect::{destination, resolve},
    tests::{HELLO, hooks, send, server},
};
use crate::{Limits, PrivateNetworks};

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Any name is granted and leads here.
fn leading_to(texts: &[&str], private_networks: PrivateNetworks) -> EgressHooks {
    let answer = addresses(texts);
    hooks(&["*"], private_networks, &Limits::default()).looking_up(Arc::new(move |_| answer.clone()))
}

#[tokio::test]
async fn a_name_that_leads_into_private_networks_is_refused() {
    let (port, mut seen) = server(HELLO).await;
    for address in [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ] {
        let mut hooks = leading_to(&[address], PrivateNetworks::Refused);
        let answer = send(&mut hooks, format!("http://rebind.example:{port}/"), "").await;
        assert!(matches!(answer, Err(Error::DestinationIpProhibited)), "{address}: {answer:?}");
    }
    assert!(seen.try_recv().is_err(), "something was sent");
}

#[tokio::test]
async fn other_ways_to_write_an_address_of_this_machine_lead_nowhere() {
    let (port, mut seen) = server(HELLO).await;
    for host in
        ["2130706433", "017700000001", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1", "127.1", "127.0.1", "0", "localhost."]
    {
        // Whatever the system makes of it: no address, or one that is looked at as all others.
        let mut hooks = hooks(&["*"], PrivateNetworks::Refused, &Limits::default());
        let answer = send(&mut hooks, format!("http://{host}:{port}/"), "").await;
        assert!(answer.is_err(), "{host}: {answer:?}");
    }
    assert!(seen.try_recv().is_err(), "something was sent");
}

#[tokio::test]
async fn of_the_addresses_of_a_name_those_that_are_refused_are_left_out() {
    let mut hooks = leading_to(&["127.0.0.1", "8.8.8.8", "::1", "169.254.169.254"], PrivateNetworks::Refused);
    let wanted = destination(&"http://mixed.example/".parse().unwrap()).unwrap();
    let found = resolve(&hooks.egress(), &wanted).await.unwrap();
    assert_eq!(found.iter().map(std::net::SocketAddr::ip).collect::<Vec<_>>(), addresses(&["8.8.8.8"]));
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_a_request_and_the_address_that_was_checked_is_connected_to() {
    let (port, mut seen) = server(HELLO).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Good the first time, another place each time after that.
    let changing = move |_: &str| match count.fetch_add(1, Ordering::SeqCst) {
        0 => addresses(&["127.0.0.1"]),
        _ => addresses(&["169.254.169.254"]),
    };
    let mut hooks = hooks(&["*"], PrivateNetworks::Granted, &Limits::default()).looking_up(Arc::new(changing));
    let uri = format!("http://changing.example:{port}/");
    assert_eq!(send(&mut hooks, uri.clone(), "").await.unwrap().0, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the name was looked up again after it was checked");
    assert!(seen.recv().await.unwrap().starts_with("GET "));
    // The next request is checked anew.
    let answer = send(&mut hooks, uri, "").await;
    assert!(matches!(answer, Err(Error::DestinationIpProhibited)), "{answer:?}");
}

#[tokio::test]
async fn a_redirect_into_private_networks_is_another_request_and_refused_as_such() {
    let (inner, mut seen) = server(HELLO).await;
    let (port, _outer) =
        server(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n").await;
    // What a name that is granted answers with leads to a host that is not.
    let lookup = Arc::new(|_: &str| addresses(&["127.0.0.1"]));
    let mut hooks = hooks(&["outer.example"], PrivateNetworks::Granted, &Limits::default()).looking_up(lookup);
    assert_eq!(send(&mut hooks, format!("http://outer.example:{port}/"), "").await.unwrap().0, 307);
    let answer = send(&mut hooks, format!("http://127.0.0.1:{inner}/"), "").await;
    assert!(matches!(answer, Err(Error::HttpRequestDenied)), "{answer:?}");
    assert!(seen.try_recv().is_err(), "the redirect was followed");
}
