//! Requests as they stand on the wire, where the command line does not send such.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::Host;

/// How long an answer, or the next event, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers, with their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl HttpAnswer {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body).with_context(|| format!("{} with {}", self.status, self.body))
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentEvent {
    /// Its id.
    pub id: String,
    /// Its kind; empty where it only told an id.
    pub kind: String,
    /// Its data.
    pub data: String,
}

/// A stream of events that is being read.
#[derive(Debug)]
pub struct EventStream(BufReader<TcpStream>);

impl EventStream {
    /// The next event, or the id that stands alone at the beginning. Comments are passed over.
    ///
    /// # Errors
    /// Where the stream ends, or nothing comes for a minute.
    pub fn next_event(&mut self) -> Result<SentEvent> {
        let mut event = SentEvent::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                bail!("the stream has ended");
            }
            match line.trim_end().split_once(':') {
                Some(("id", id)) => event.id = id.trim().to_owned(),
                Some(("event", kind)) => event.kind = kind.trim().to_owned(),
                Some(("data", data)) => event.data = data.trim().to_owned(),
                None if line.trim_end().is_empty() && event != SentEvent::default() => return Ok(event),
                _ => {}
            }
        }
    }

    /// Reads on until the stream ends.
    ///
    /// # Errors
    /// Where it does not end within a minute.
    pub fn until_its_end(mut self) -> Result<()> {
        self.0.read_to_end(&mut Vec::new()).context("waiting for the stream to end").map(drop)
    }

    /// Reads on until an event comes that is looked for.
    ///
    /// # Errors
    /// Where it does not come.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&SentEvent) -> bool) -> Result<SentEvent> {
        let mut seen = Vec::new();
        while seen.len() < 1_000 {
            let event = self.next_event().with_context(|| format!("waiting for {what} after {seen:?}"))?;
            if wanted(&event) {
                return Ok(event);
            }
            seen.push(event);
        }
        bail!("never told: {what}; but {seen:?}")
    }
}

impl Host<'_> {
    /// Sends a request.
    ///
    /// # Errors
    /// Where no answer comes.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<HttpAnswer> {
        ask(&self.address(), method, path, headers, body.as_bytes())
    }

    /// Follows its events.
    ///
    /// # Errors
    /// Where it does not let one follow; the error holds its answer.
    pub fn follow(&self, query: &str, headers: &[(&str, &str)]) -> Result<EventStream> {
        follow(&self.address(), &format!("/api/v1/events{query}"), headers)
    }

    /// Sends these very bytes and gives all that comes until the host closes the connection; what cannot be sent any more because
    /// the host has said enough is left out.
    ///
    /// # Errors
    /// Where the host cannot be reached, or does not close the connection within a minute.
    pub fn exchange(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // It may have answered already, and closed.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
            _ => Ok(answer),
        }
    }
}

/// Sends a request to whoever listens there.
pub(crate) fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<HttpAnswer> {
    let mut stream = send(address, method, path, headers, body)?;
    let mut head = read_head(&mut stream)?;
    stream.read_to_string(&mut head.body)?;
    Ok(head)
}

/// Follows events.
pub(crate) fn follow(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<EventStream> {
    let mut stream = send(address, "GET", path, headers, b"")?;
    let head = read_head(&mut stream)?;
    if head.status != 200 {
        bail!("it answers {head:?}");
    }
    Ok(EventStream(stream))
}

/// As HTTP 1.0, whose answers come without chunks.
fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    } else if method == "POST" {
        // actix-web refuses one of HTTP 1.0 that does not say so.
        request += "Content-Length: 0\r\n";
    }
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    stream.write_all(body)?;
    Ok(BufReader::new(stream))
}

fn read_head(stream: &mut BufReader<TcpStream>) -> Result<HttpAnswer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("not HTTP: {line}"))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(HttpAnswer { status, headers, body: String::new() })
}
