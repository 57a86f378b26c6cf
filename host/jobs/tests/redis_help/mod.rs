//! A namespace of its own for each test, gone with it.

use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace that nobody else uses. Its keys are deleted when it is dropped.
pub(crate) struct Namespace {
    server: String,
    name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        Self::on(&std::env::var("WINDLASS_TEST_REDIS").unwrap())
    }

    /// A namespace of this server.
    pub(crate) fn on(server: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { server: server.to_owned(), name: format!("test-{}-{number}", std::process::id()) }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}?namespace={}", self.server, self.name)
    }

    /// A connection to the server itself.
    pub(crate) fn redis(&self) -> redis::Connection {
        redis::Client::open(self.server.as_str()).unwrap().get_connection().unwrap()
    }

    pub(crate) fn prefix(&self) -> String {
        format!("{{{}}}:", self.name)
    }

    /// All keys of the namespace.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let pattern = format!("{}*", self.prefix());
        let mut connection = self.redis();
        let (mut cursor, mut keys) = (0_u64, Vec::new());
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(10_000);
            let (next, some): (u64, Vec<Vec<u8>>) = scan.query(&mut connection).unwrap();
            keys.extend(some);
            if next == 0 {
                return keys;
            }
            cursor = next;
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The server may be gone by now, and its data with it.
        let Ok(mut connection) = redis::Client::open(self.server.as_str()).and_then(|it| it.get_connection()) else {
            return;
        };
        for keys in self.keys().chunks(1000) {
            let _ = redis::cmd("UNLINK").arg(keys).exec(&mut connection);
        }
    }
}
