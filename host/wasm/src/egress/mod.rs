//! Outbound HTTP of a run: which hosts, which addresses, how much, how long.
//!
//! `pattern` says which names an operator grants, `address` which addresses are fit to be connected to, `connect`
//! sends one request, and `meter` counts its bodies. wasi:sockets stays closed: this is the only way out.

mod address;
mod connect;
#[cfg(test)]
mod forgery_tests;
mod hooks;
mod meter;
mod pattern;
#[cfg(test)]
mod tests;

pub(crate) use connect::tls_config;
pub(crate) use hooks::EgressHooks;
pub use pattern::{HostPattern, InvalidHostPattern};
