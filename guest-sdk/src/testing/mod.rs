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

mod context;
mod recorder;
mod responder;
mod run;

pub(crate) use self::recorder::Recorder;
#[cfg(not(target_family = "wasm"))]
pub(crate) use self::responder::respond;
pub use self::{
    context::TestContext,
    recorder::{Enqueued, LogLine, Progress},
    run::{block_on, describe, run, run_async},
};
