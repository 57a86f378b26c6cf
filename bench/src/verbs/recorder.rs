//! Writes down what Windlass says to a store, so that the very same bytes can be said again without Windlass.
//!
//! A store's answers are not kept: it is enough to know how many there are to each request, and that a fresh store
//! gives the same ones. So a recording is made of one worker, which asks one thing after another.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use windlass_jobs::storage::{OpenOptions, StorageUrl, open};

use super::drive::{self, Phase};
use crate::stores::{self, Store};

/// One request, and how many answers it had.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// Which connection it was on.
    pub(super) connection: usize,
    pub(super) request: Vec<u8>,
    pub(super) answers: usize,
    pub(super) phase: Phase,
}

/// All of them, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) connections: usize,
}

struct Notes {
    exchanges: Vec<Exchange>,
    /// The exchange that each connection is in.
    open: Vec<Option<usize>>,
    /// The time before the first phase counts as none of them.
    phase: Phase,
}

type Shared = Arc<Mutex<Notes>>;

/// Records the whole lives of this many jobs on a fresh store.
pub(super) async fn record(store: Store, jobs: usize) -> Result<Recording> {
    let fresh = stores::start(store)?;
    let target = fresh.address();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let notes: Shared = Arc::new(Mutex::new(Notes { exchanges: Vec::new(), open: Vec::new(), phase: Phase::End }));
    let accepting = {
        let (notes, target) = (notes.clone(), target.clone());
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(listen_in(client, target.clone(), store, notes.clone()));
            }
        })
    };
    let mut url = fresh.url().replace(&target, &address);
    if store == Store::Postgres {
        url.push_str("?sslmode=disable");
    }
    let storage = open(&url.parse::<StorageUrl>()?, OpenOptions::default()).await?;
    let phases = notes.clone();
    drive::all(&*storage, jobs, move |phase| lock(&phases).phase = phase).await?;
    accepting.abort();
    let notes = lock(&notes);
    let mut exchanges = notes.exchanges.clone();
    wait_for_no_messages(&mut exchanges);
    Ok(Recording { exchanges, connections: notes.open.len() })
}

/// What comes in on a connection that has subscribed comes by itself, whenever that is: it is nothing to wait for.
fn wait_for_no_messages(exchanges: &mut [Exchange]) {
    let subscribes = |exchange: &&Exchange| exchange.request.windows(9).any(|word| word == b"SUBSCRIBE");
    let listening: HashSet<usize> = exchanges.iter().filter(subscribes).map(|exchange| exchange.connection).collect();
    for exchange in exchanges {
        if listening.contains(&exchange.connection) {
            exchange.answers = 0;
        }
    }
}

fn lock(notes: &Shared) -> std::sync::MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on what one connection says, and writes it down.
async fn listen_in(mut client: TcpStream, target: String, store: Store, notes: Shared) -> Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let connection = {
        let mut notes = lock(&notes);
        notes.open.push(None);
        notes.open.len() - 1
    };
    let mut counter = Answers::new(store);
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                lock(&notes).asked(connection, bytes);
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                lock(&notes).answered(connection, counter.count(bytes));
                client.write_all(bytes).await?;
            }
        }
    }
}

impl Notes {
    fn asked(&mut self, connection: usize, bytes: &[u8]) {
        // More of a request whose answers have not begun, or a new one.
        if let Some(number) = self.open[connection]
            && self.exchanges[number].answers == 0
        {
            self.exchanges[number].request.extend_from_slice(bytes);
            return;
        }
        self.open[connection] = Some(self.exchanges.len());
        let phase = self.phase;
        self.exchanges.push(Exchange { connection, request: bytes.to_vec(), answers: 0, phase });
    }

    fn answered(&mut self, connection: usize, answers: usize) {
        if let Some(number) = self.open[connection] {
            self.exchanges[number].answers += answers;
        }
    }
}

/// Counts a store's answers as their bytes come in: those that a client waits for before it goes on.
#[derive(Debug)]
pub(super) struct Answers {
    store: Store,
    buffer: Vec<u8>,
}

impl Answers {
    pub(super) fn new(store: Store) -> Self {
        Self { store, buffer: Vec::new() }
    }

    /// How many answers these bytes complete.
    pub(super) fn count(&mut self, bytes: &[u8]) -> usize {
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        let mut answers = 0;
        while let Some((length, is_answer)) = match self.store {
            Store::Postgres => postgres_message(&self.buffer[at..]),
            Store::Redis | Store::Sqlite => redis_value(&self.buffer[at..]).map(|length| (length, true)),
        } {
            at += length;
            answers += usize::from(is_answer);
        }
        self.buffer.drain(..at);
        answers
    }
}

/// The length of the first message, and whether it says that the server is ready for more.
fn postgres_message(bytes: &[u8]) -> Option<(usize, bool)> {
    let length: [u8; 4] = bytes.get(1..5)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()? + 1;
    (bytes.len() >= length).then(|| (length, bytes[0] == b'Z'))
}

/// The length of the first value.
fn redis_value(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = || std::str::from_utf8(&bytes[1..end]).ok()?.parse::<i64>().ok();
    let mut length = end + 2;
    match bytes[0] {
        b'$' | b'!' | b'=' => {
            if let Ok(text) = usize::try_from(number()?) {
                length += text + 2;
            }
        }
        kind @ (b'*' | b'~' | b'>' | b'%') => {
            let values = usize::try_from(number()?).unwrap_or(0) * if kind == b'%' { 2 } else { 1 };
            for _ in 0..values {
                length += redis_value(bytes.get(length..)?)?;
            }
        }
        _ => {}
    }
    (bytes.len() >= length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_however_their_bytes_come() {
        let stream = b"+OK\r\n$3\r\na\r\n\r\n*2\r\n:1\r\n*1\r\n$-1\r\n%1\r\n+a\r\n:2\r\n";
        for size in 1..stream.len() {
            let mut answers = Answers::new(Store::Redis);
            assert_eq!(stream.chunks(size).map(|bytes| answers.count(bytes)).sum::<usize>(), 4, "in {size}s");
        }
        let ready = [b'C', 0, 0, 0, 6, b'x', 0, b'Z', 0, 0, 0, 5, b'I'];
        let mut answers = Answers::new(Store::Postgres);
        assert_eq!(ready.map(|byte| answers.count(&[byte])).iter().sum::<usize>(), 1);
    }
}
