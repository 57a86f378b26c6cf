//! What a guest writes: log lines, standard output and standard error, all within one limit.
//!
//! Writing never fails and never traps. Past the limit nothing is kept, and one line says so.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{RunHost, contract::Level, failure::clip};

/// No message is longer, in bytes; a longer line of standard output goes on in a further one.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

/// No fields are longer, in bytes.
const MAX_FIELDS_BYTES: usize = 8 << 10;

/// What a line costs beside its text: the host keeps a time and a level with each.
const LINE_OVERHEAD_BYTES: u64 = 16;

/// How much of the end of standard error goes into the message of a trap.
const TAIL_BYTES: usize = 500;

/// Where all lines of a run go.
pub(crate) struct LogSink {
    host: Arc<dyn RunHost>,
    limit: u64,
    written: AtomicU64,
    truncated: AtomicBool,
    /// The last lines of standard error. A mutex, held for one append.
    tail: Mutex<String>,
}

impl LogSink {
    pub(crate) fn new(host: Arc<dyn RunHost>, limit: u64) -> Arc<Self> {
        let (written, truncated) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { host, limit, written, truncated, tail: Mutex::default() })
    }

    /// Everything that was written, kept or not.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The end of standard error, where there was any: a panic's message is there.
    pub(crate) fn tail(&self) -> Option<String> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        (!tail.is_empty()).then(|| tail.trim_end().to_owned())
    }

    /// Passes a line on. Fields that are no JSON object are kept as a JSON string.
    pub(crate) fn write(&self, level: Level, message: String, fields: Option<String>) {
        let bytes = message.len().saturating_add(fields.as_ref().map_or(0, String::len));
        let bytes = LINE_OVERHEAD_BYTES.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.written.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit {
            self.host.log(level, clip(message, MAX_MESSAGE_BYTES), fields.map(fields_as_json));
        } else if !self.truncated.swap(true, Ordering::Relaxed) {
            let message = format!("the log ends here: the run wrote more than its {} bytes", self.limit);
            self.host.log(Level::Warn, message, None);
        }
    }

    fn remember(&self, line: &str) {
        if line.is_empty() || line.starts_with("note: run with `RUST_BACKTRACE") {
            return;
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push_str(line);
        tail.push('\n');
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        let cut = (surplus..=tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or(0);
        tail.drain(..cut);
    }
}

fn fields_as_json(fields: String) -> String {
    let is_object = fields.len() <= MAX_FIELDS_BYTES
        && serde_json::from_str::<std::collections::BTreeMap<String, serde::de::IgnoredAny>>(&fields).is_ok();
    if is_object { fields } else { serde_json::Value::String(clip(fields, MAX_FIELDS_BYTES)).to_string() }
}

/// Standard output or standard error: bytes in, lines out. Clones are the same stream.
#[derive(Clone)]
pub(crate) struct LineStream(Arc<Shared>);

struct Shared {
    sink: Arc<LogSink>,
    level: Level,
    /// The line that has not ended yet. A mutex, since a guest may hold the stream more than once; held for one write.
    partial: Mutex<Vec<u8>>,
}

impl LineStream {
    pub(crate) fn new(sink: Arc<LogSink>, level: Level) -> Self {
        Self(Arc::new(Shared { sink, level, partial: Mutex::default() }))
    }

    /// Passes on a last line that has no end.
    pub(crate) fn finish(&self) {
        let rest = std::mem::take(&mut *self.0.partial.lock().unwrap_or_else(PoisonError::into_inner));
        if !rest.is_empty() {
            self.line(&rest);
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut partial = self.0.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            while partial.len() + text.len() > MAX_MESSAGE_BYTES {
                let (part, rest) = text.split_at(MAX_MESSAGE_BYTES - partial.len());
                partial.extend_from_slice(part);
                let whole = whole_characters(&partial, rest);
                let kept = partial.split_off(whole);
                self.line(&std::mem::replace(&mut *partial, kept));
                text = rest;
            }
            partial.extend_from_slice(text);
            if ends {
                self.line(&std::mem::take(&mut *partial));
            }
        }
    }

    fn line(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        if self.0.level == Level::Error {
            self.0.sink.remember(&text);
        }
        if !text.is_empty() {
            self.0.sink.write(self.0.level, text.into_owned(), None);
        }
    }
}

/// How much of the text ends with a whole character, given what follows it. All of it where it is no UTF-8 there.
fn whole_characters(text: &[u8], rest: &[u8]) -> usize {
    let continues = |byte: Option<&u8>| byte.is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    if !continues(rest.first()) {
        return text.len();
    }
    // A character has four bytes at most, so at least its first of up to three is in the text.
    (1..=3).filter_map(|back| text.len().checked_sub(back)).find(|at| !continues(text.get(*at))).unwrap_or(text.len())
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    /// Written straight: the default would take a task per stream.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // As much as a guest's own buffers usually hold.
        Ok(64 << 10)
    }
}

#[async_trait::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LineStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
