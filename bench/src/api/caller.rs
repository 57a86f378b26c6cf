//! One connection that requests are sent on, each when it is due.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::{Instant, sleep_until},
};

/// What became of a request.
pub(super) struct Answered {
    /// From the instant at which it was due, so that what waits behind a slow one counts as slow too.
    pub(super) took: Duration,
    /// How long after it was due it was sent.
    pub(super) late: Duration,
    pub(super) is_right: bool,
}

pub(super) struct Caller {
    pub(super) address: String,
    pub(super) begun: Instant,
    pub(super) rate: u32,
    /// The number of the next request, over all connections.
    pub(super) due: Arc<AtomicU64>,
}

/// What is read in turns; every third request enqueues.
const READS: [&str; 4] =
    ["/api/v1/jobs?limit=20", "/api/v1/counts", "/api/v1/queues", "/api/v1/jobs?state=succeeded&limit=20"];

impl Caller {
    /// Sends requests as they come due until `last`.
    pub(super) async fn call(self, last: u64) -> Vec<Answered> {
        let mut answered = Vec::new();
        let mut stream = None;
        loop {
            let number = self.due.fetch_add(1, Ordering::Relaxed);
            if number >= last {
                return answered;
            }
            let at = self.begun + Duration::from_secs_f64(number as f64 / f64::from(self.rate));
            sleep_until(at).await;
            let late = at.elapsed();
            let is_right = match self.ask(&mut stream, number).await {
                Ok(status) => status == if number.is_multiple_of(3) { 201 } else { 200 },
                Err(error) => {
                    eprintln!("request {number}: {error:#}");
                    stream = None;
                    false
                }
            };
            answered.push(Answered { took: at.elapsed(), late, is_right });
        }
    }

    async fn ask(&self, stream: &mut Option<BufReader<TcpStream>>, number: u64) -> Result<u16> {
        let stream = match stream {
            Some(stream) => stream,
            None => {
                let connected = TcpStream::connect(&self.address).await?;
                connected.set_nodelay(true)?;
                stream.insert(BufReader::new(connected))
            }
        };
        let host = &self.address;
        let request = if number.is_multiple_of(3) {
            let body = r#"{"handler":"bench/noop"}"#;
            let length = body.len();
            format!(
                "POST /api/v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        } else {
            let path = READS[usize::try_from(number / 3).unwrap_or(0) % READS.len()];
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        };
        stream.get_mut().write_all(request.as_bytes()).await?;
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                bail!("the connection was closed");
            }
            if status.is_none() {
                status = Some(line.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?);
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        status.context("no answer")
    }
}
