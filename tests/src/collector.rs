//! A program that others send requests to: it takes all, keeps them, and answers that all is well, or at first that it is not.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Collected {
    /// Its path.
    pub path: String,
    /// Its headers, their names in small letters.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Collected {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether its body has these bytes somewhere.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// The program; it ends with the tests' process.
#[derive(Debug)]
pub struct Collector {
    address: String,
    collected: Arc<Mutex<Vec<Collected>>>,
}

impl Collector {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// Where there is none.
    pub fn start() -> Result<Self> {
        Self::refusing(0)
    }

    /// Starts one that answers so many requests with 503 before all is well.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn refusing(count: usize) -> Result<Self> {
        let refusals = Arc::new(AtomicUsize::new(count));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let collected = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&collected);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, refusals) = (Arc::clone(&kept), Arc::clone(&refusals));
                thread::spawn(move || {
                    if let Ok(request) = take(stream, &refusals) {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    }
                });
            }
        });
        Ok(Self { address, collected })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What came to a path so far.
    #[must_use]
    pub fn at(&self, path: &str) -> Vec<Collected> {
        let collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.iter().filter(|request| request.path == path).cloned().collect()
    }
}

fn take(mut stream: TcpStream, refusals: &AtomicUsize) -> Result<Collected> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Ok(0), |(_, value)| value.parse())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let left = |left: usize| left.checked_sub(1);
    let refuses = refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok();
    let status = if refuses { "503 Service Unavailable" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(Collected { path, headers, body })
}
