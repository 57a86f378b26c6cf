//! Write Windlass job handlers in Rust: plain functions, compiled to a WebAssembly component.
//!
//! ```
//! use windlass_guest::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Resize {
//!     path: String,
//!     width: u32,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Resized {
//!     bytes: usize,
//! }
//!
//! /// Shrinks a picture.
//! #[handler(queue = "pictures", max_attempts = 5, timeout = "30s")]
//! fn resize(ctx: &Context, args: Resize) -> Result<Resized, JobError> {
//!     let picture = std::fs::read(&args.path)?;
//!     if args.width == 0 {
//!         return Err(JobError::fatal("no-width", "a picture cannot be 0 pixels wide"));
//!     }
//!     ctx.progress(50.0, "read");
//!     ctx.info(format!("shrinking {} to {}", args.path, args.width));
//!     Ok(Resized { bytes: picture.len() })
//! }
//!
//! /// Greets somebody after a while, without taking a thread meanwhile.
//! #[handler]
//! async fn greet(name: String) -> Result<String, JobError> {
//!     windlass_guest::time::sleep(std::time::Duration::from_secs(1)).await;
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! windlass_guest::export!(resize, greet);
//! # fn main() {}
//! ```
//!
//! A crate of handlers is a `cdylib` (and an `rlib`, where it has tests) with this crate and `serde` among its
//! dependencies. Build it with `cargo build --release --target wasm32-wasip2` and deploy the `.wasm`.
//!
//! - [`macro@handler`] makes a handler of a function, [`macro@export`] a component of handlers.
//! - [`Context`] is what a handler may ask about its job and tell the host meanwhile.
//! - [`JobError`] is how a run ends without a result; `?` turns any error into one.
//! - [`Context::step`] does a part of a handler once, whatever the number of attempts.
//! - [`http`] and [`time`] reach out and wait; files, the environment and standard output work as in any program, as
//!   far as the operator grants them.
//! - [`testing`] runs handlers natively, in unit tests.

extern crate self as windlass_guest;

mod bindings;
mod checkpoint;
mod conditions;
mod context;
mod error;
mod export;
mod handler;
mod host;
pub mod http;
mod log;
mod parent;
pub mod prelude;
mod queue;
mod steps;
pub mod testing;
pub mod time;

pub use schemars;
pub use serde;
pub use serde_json;

/// Makes a job handler of a function.
///
/// The function keeps its name and stays a plain function. It may be `async`; it takes the [`Context`], the payload,
/// both or neither, and returns a `Result` whose error becomes a [`JobError`]:
///
/// ```
/// # use windlass_guest::prelude::*;
/// #[derive(Deserialize, JsonSchema)]
/// struct Charge { card: String, cents: u64 }
///
/// /// Charges a card. What is written here is shown beside the handler.
/// #[handler(
///     queue = "payments",
///     priority = 2,
///     max_attempts = 8,
///     retry = "exponential(15s, 1h)",
///     timeout = "30s",
///     memory = "64MiB",
///     redact("/card"),
/// )]
/// fn charge(ctx: &Context, args: Charge) -> Result<(), JobError> {
///     ctx.info(format!("charging {} cents", args.cents));
///     Ok(())
/// }
/// # fn main() {
/// # let described = windlass_guest::testing::describe::<charge>();
/// # assert_eq!(described["timeout_ms"], 30_000);
/// # }
/// ```
///
/// The payload implements [`serde::Deserialize`] and [`schemars::JsonSchema`]: the host refuses jobs whose payload does
/// not match its schema. The result implements [`serde::Serialize`]; with [`schemars::JsonSchema`] its schema is shown
/// too. The doc comment is the handler's summary.
///
/// All settings may be left out; then the operator's defaults hold, and the operator's limits clamp what is asked for.
///
/// | setting | what it is |
/// | --- | --- |
/// | `name = "…"` | the handler's name; the function's unless given |
/// | `queue = "…"` | the queue of its jobs |
/// | `priority = 5` | 0, the first to be taken, to 9 |
/// | `max_attempts = 5` | how many attempts a job has in all, 1 to 1000 |
/// | `retry = "…"` | the delay before an attempt that follows a failure: `fixed(10s)`, `linear(10s)`, `exponential(15s, 1h)` or `delays(1s, 10s, 1m)` |
/// | `timeout = "30s"` | how long a run may take: numbers with the units `ms`, `s`, `m`, `h` and `d`, such as `1m30s` |
/// | `cancel_grace = "5s"` | how long a cancelled run may go on after [`Context::cancelled`] turned true; without it, it is stopped at once |
/// | `fuel = 1_000_000_000` | how many instructions a run may take, roughly |
/// | `memory = "64MiB"` | how much memory a run may have: a number with `B`, `KB`, `MB`, `GB`, `KiB`, `MiB` or `GiB` |
/// | `redact("/card", …)` | JSON Pointers into payload and result whose values are masked for those who only look |
/// | `schedule = "@daily"` | a recurring job that comes with the module; may be given several times, each with a `name` of its own |
/// | `schedule("0 3 * * *", name = "…", time_zone = "Europe/Zurich", payload = "{}", misfire = "skip")` | the same with more to say; `misfire` is `skip`, `run-once` or `catch-up` |
///
/// Beside the function stand a hidden type and a hidden macro of the same name, so a handler cannot share its name with
/// a type or a module that stands beside it.
pub use windlass_guest_macros::handler;

/// Makes a component of handlers of this crate, once per crate: `windlass_guest::export!(resize, links::check);`
///
/// Each is the path of a function under [`macro@handler`]. The component exports the interfaces of the modes that they
/// have: one without async handlers runs on hosts that do not offer async components.
///
/// The module's name, where the deployer gives none, is the name of the package; another one goes first:
///
/// ```
/// # use windlass_guest::prelude::*;
/// # #[handler]
/// # fn resize() -> Result<(), JobError> { Ok(()) }
/// windlass_guest::export!(module = "pictures"; resize);
/// # fn main() {}
/// ```
pub use windlass_guest_macros::export;

pub use crate::{
    checkpoint::CheckpointError,
    conditions::{ContinueOn, OnConflict, Unique},
    context::{Context, MissingSetting},
    error::{Failure, JobError, ResultExt},
    log::Level,
    parent::{Parent, ParentError},
    queue::{EnqueueError, JobId, JobRequest, RetryPolicy, Start},
};

/// What the macros name. Nothing else may: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use wit_bindgen;

    pub use crate::{
        bindings::{
            async_module::{self, export_async_module},
            sync_module::{self, export_sync_module},
            types as wit,
        },
        handler::{
            AsyncHandler, Described, Handler, Outcome, Payload, ResultSchema, Returned, SyncHandler, Undescribed,
            arguments, context, finish, manifest, payload_schema, unknown,
        },
    };
}

/// A span in the contract's unit; spans that no clock can reach end at its end.
fn milliseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
