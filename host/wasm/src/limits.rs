//! What a run may use. The operator's configuration and the handler's wishes are already folded in: the smaller one is
//! here.

use std::time::Duration;

/// The limits of one run. [`Limits::default`] is what a handler gets where nobody says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel, about one per instruction. Default: 1 trillion, some 100 s of computing.
    pub fuel: u64,
    /// Time on the clock on the wall, waiting in host calls included; `None` for no limit. Default: 5 min.
    pub timeout: Option<Duration>,
    /// Memory over all of the run's linear memories together, in bytes; the engine's own bound
    /// ([`crate::EngineOptions::max_memory_bytes`]) holds too. Default: 128 MiB.
    pub memory_bytes: u64,
    /// Log messages with their fields, standard output and standard error together, in bytes. Default: 1 MiB.
    pub log_bytes: u64,
    /// Jobs that the run may enqueue. Default: 1,000.
    pub follow_ups: u32,
    /// Their payloads, headers and tags together, in bytes. Default: 4 MiB.
    pub follow_up_bytes: u64,
    /// The result's JSON text, in bytes. Default: 256 KiB.
    pub result_bytes: u64,
    /// A checkpoint's JSON text, in bytes. Default: 256 KiB.
    pub checkpoint_bytes: u64,
    /// Outbound HTTP requests, in all. Default: 10,000.
    pub http_requests: u64,
    /// Outbound HTTP requests open at once. Default: 100, so that one run leaves the host its file handles.
    pub http_connections: u32,
    /// Bodies of outbound requests, in all, in bytes. Default: 1 GiB.
    pub http_sent_bytes: u64,
    /// Bodies of responses, in all, in bytes. Default: 1 GiB.
    pub http_received_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000_000,
            timeout: Some(Duration::from_secs(300)),
            memory_bytes: 128 << 20,
            log_bytes: 1 << 20,
            follow_ups: 1_000,
            follow_up_bytes: 4 << 20,
            result_bytes: 256 << 10,
            checkpoint_bytes: 256 << 10,
            http_requests: 10_000,
            http_connections: 100,
            http_sent_bytes: 1 << 30,
            http_received_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// What `describe` may use: a second, 64 MiB and a billion instructions are plenty to list handlers.
    pub(crate) fn describe() -> Self {
        Self {
            fuel: 1_000_000_000,
            timeout: Some(Duration::from_secs(1)),
            memory_bytes: 64 << 20,
            log_bytes: 16 << 10,
            follow_ups: 0,
            http_requests: 0,
            ..Self::default()
        }
    }
}
