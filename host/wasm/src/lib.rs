//! A component, its limits, one run of it, what came out.
//!
//! An [`Engine`] is made once per process. A [`Compiler`] turns a component's bytes into a [`Component`], in a child
//! process that may crash. [`Component::describe`] asks it for its handlers, and [`Component::run`] does one job in a
//! sandbox of its own: fuel, time, memory, logs and what it may reach are bounded by [`Limits`] and [`Grants`], and a
//! [`Stop`] ends it from outside.
//!
//! This room knows nothing of queues, storage or retries: what a run may tell the host goes through [`RunHost`], and
//! what comes out is a [`RunReport`].

mod cache;
mod compile;
mod component;
pub mod contract;
mod describe;
mod egress;
mod engine;
mod failure;
mod grants;
mod host_calls;
mod imports;
mod inspect;
mod limits;
mod output;
mod pool;
mod refusal;
mod run;
mod stop;
mod store;

pub use cache::digest;
pub use compile::{Compiler, CompilerOptions, compile_from_stdin};
pub use component::Component;
#[doc(hidden)]
pub use describe::check_manifests;
pub use describe::{DescribedHandler, Description};
pub use egress::{HostPattern, InvalidHostPattern};
pub use engine::{Engine, EngineError, EngineOptions};
pub use failure::{Outcome, RunCause, RunFailure, RunReport, Usage};
pub use grants::{DirectoryGrant, Grants, PrivateNetworks};
#[doc(hidden)]
pub use inspect::check_bytes;
pub use limits::Limits;
pub use refusal::Refusal;
pub use run::{Mode, RunHost, RunRequest};
pub use stop::{Stop, StopReason};
