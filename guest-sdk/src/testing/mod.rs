//! Native unit tests of handlers: a context that answers as the test says, and keeps what the handler did.
//!
//! ```
//! use windlass_guest::{prelude::*, testing::{self, TestContext}};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Greeting { name: String }
//!
//! /// Says hello.
//! #[handler]
//! fn greet(ctx: &Context, args: Greeting) -> Result<String, JobError> {
//!     ctx.info("greeting somebody");
//!     Ok(format!("{} {}!", ctx.require_config("hello")?, args.name))
//! }
//!
//! # fn main() {
//! let test = TestContext::new().with_config("hello", "Hi");
//! let text = greet(&test.context(), Greeting { name: "Ada".into() }).unwrap();
//! assert_eq!(text, "Hi Ada!");
//! assert_eq!(test.logs()[0].message, "greeting somebody");
//!
//! // The same by way of JSON, as the host does it:
//! let result = testing::run::<greet>(&test, serde_json::json!({ "name": "Ada" })).unwrap();
//! assert_eq!(result, "Hi Ada!");
//! # }
//! ```
//!
//! # Steps
//!
//! Each context that a test context makes is a run of the same job, so that a second run finds what the first recorded.
//! [`TestContext::with_step`] records a step beforehand, [`TestContext::steps`] tells which are recorded, and
//! [`TestContext::forget_step`] is what a crash between a step's work and its recording leaves:
//!
//! ```
//! use windlass_guest::{prelude::*, testing::{self, TestContext}};
//!
//! #[handler]
//! fn sell(ctx: &Context) -> Result<String, JobError> {
//!     let charge: u32 = ctx.step("charge", |_key| Err(JobError::retry("declined", "try another card")))?;
//!     ctx.step("mail", |key| Ok(format!("charge {charge}, mail {key}")))
//! }
//!
//! # fn main() {
//! let test = TestContext::new().with_id("J");
//! assert!(testing::run::<sell>(&test, ()).is_err());
//! assert!(test.steps().is_empty());
//!
//! let test = test.with_step("charge", 7);
//! assert_eq!(testing::run::<sell>(&test, ()).unwrap(), "charge 7, mail J-mail");
//! assert_eq!(test.steps()[1].name, "mail");
//!
//! test.forget_step("mail");
//! assert_eq!(testing::run::<sell>(&test, ()).unwrap(), "charge 7, mail J-mail");
//! # }
//! ```

mod context;
mod recorder;
mod responder;
mod run;

pub(crate) use self::recorder::Recorder;
#[cfg(not(target_family = "wasm"))]
pub(crate) use self::responder::respond;
pub use self::{
    context::TestContext,
    recorder::{Enqueued, LogLine, Progress, RecordedStep},
    run::{block_on, describe, run, run_async},
};
