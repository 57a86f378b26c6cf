//! Windlass as a program and as a library: the only room where jobs meet WebAssembly.
//!
//! Start reading at `host.rs`, which puts a host together: [`serve`] as a program of its own, [`embed`] within another one.
//! Then [`worker`] for how jobs are taken and run, [`modules`] for how components come in, `http` for what the outside sees.

mod bulk;
pub mod cli;
pub mod config;
pub mod embed;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod http;
mod metrics;
pub mod modules;
mod outbound;
mod secret;
mod serve;
mod signals;
mod storage;
mod telemetry;
mod webhooks;
pub mod worker;

pub use serve::serve;

/// A host, spoken to over HTTP: what the commands of the command line are made of.
mod remote {
    pub(crate) use windlass_http_client::{Client as Remote, Error as RemoteError};
}
