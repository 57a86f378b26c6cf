//! One HTTP request, without the command line's start-up: the checker makes thousands.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use windlass_api::Problem;

/// How long an answer may take before the client asks another host.
const ANSWER: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks a host; the body is JSON, or empty.
///
/// # Errors
/// Where it does not answer, or dies while it does; whether it is content is in the answer.
pub fn request(host: &str, method: &str, path: &str, body: &str) -> Result<Answered> {
    let address: SocketAddr = host.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("not HTTP: {answer:?}"))?;
    let announced =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    if let Some(length) = announced {
        ensure!(length.trim().parse() == Ok(body.len()), "the answer was cut off after {} bytes", body.len());
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answered { status: status.with_context(|| format!("not HTTP: {answer:?}"))?, body: body.to_owned() })
}

impl Answered {
    /// The answer, where the host was content.
    ///
    /// # Errors
    /// Where it was not, or answered something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if !(200..300).contains(&self.status) {
            bail!("the host answered {}: {}", self.status, self.body);
        }
        serde_json::from_str(&self.body).with_context(|| format!("the host answered {}", self.body))
    }

    /// Why the host refused.
    ///
    /// # Errors
    /// Where it did not.
    pub fn problem(&self) -> Result<Problem> {
        serde_json::from_str(&self.body).with_context(|| format!("the host answered {}: {}", self.status, self.body))
    }
}
