//! What a job is, what may happen to it, where it is kept; and the [`Client`] that applications enqueue with.
//!
//! This crate knows nothing of WebAssembly, so an application that only enqueues does not compile a compiler. Read
//! [`decide`] for what becomes of a job after a run, [`storage`] for what a storage must do, [`admission`] for what
//! makes a job acceptable.

pub mod admission;
mod client;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod decide;
mod job;
pub mod recurring;
pub mod retry;
mod settlement;
pub mod storage;

pub use client::{Client, ClientError};
pub use clock::{Clock, SystemClock, TestClock};
pub use decide::{Verdict, decide};
pub use job::{Claimed, Conditions, Fence, NewJob, Start};
pub use settlement::{Next, Settlement};
pub use windlass_api as api;
