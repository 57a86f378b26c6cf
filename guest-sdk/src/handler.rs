//! What `#[handler]` turns a function into. All of it is for the macros: an author writes plain functions.

use std::rc::Rc;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Context, JobError, bindings::types as wit, host::Host};

/// A function under `#[handler]`, of either mode.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    note = "put `#[handler]` above the function, and name the function itself here"
)]
pub trait Handler {
    /// Its name within the module.
    const NAME: &'static str;

    /// What its component says of it.
    fn describe() -> wit::Handler;
}

/// A handler that runs from start to end on a thread.
pub trait SyncHandler: Handler {
    /// Does the job of the context.
    fn run(context: &Context) -> Outcome;
}

/// A handler that takes no thread while it waits.
pub trait AsyncHandler: Handler {
    /// Does the job of the context.
    fn run(context: &Context) -> impl Future<Output = Outcome>;
}

/// What a run comes to: the result as JSON text, where there is one.
pub type Outcome = Result<Option<String>, JobError>;

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "expected `Result<R, JobError>` with a result `R` that implements `serde::Serialize`",
    note = "`Result<(), JobError>` does for a handler without a result"
)]
pub trait Returned {
    /// The result.
    type Value;

    /// The result as JSON text.
    fn into_outcome(self) -> Outcome;
}

impl<R: Serialize, E: Into<JobError>> Returned for Result<R, E> {
    type Value = R;

    fn into_outcome(self) -> Outcome {
        let result = self.map_err(Into::into)?;
        let json = serde_json::to_string(&result)
            .map_err(|error| JobError::fatal("bad-result", format!("failed to write the result as JSON: {error}")))?;
        Ok((json != "null").then_some(json))
    }
}

/// What a handler may take as its arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the payload of a job",
    label = "expected a type that implements `serde::Deserialize` and `schemars::JsonSchema`",
    note = "put `#[derive(Deserialize, JsonSchema)]` above `{Self}`, both from `windlass_guest::prelude`"
)]
pub trait Payload: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> Payload for T {}

/// The arguments of a handler, read from the payload.
pub fn arguments<T: DeserializeOwned>(context: &Context) -> Result<T, JobError> {
    context.payload()
}

/// The JSON Schema of a payload, as it must be for it to be read.
#[must_use]
pub fn payload_schema<T: Payload>() -> Option<String> {
    let schema = SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>();
    Some(schema.as_value().to_string())
}

/// Finds the JSON Schema of a result where its type has one: [`Described`] is found before [`Undescribed`], which
/// stands one reference further away.
#[derive(Debug)]
pub struct ResultSchema<R>(std::marker::PhantomData<R>);

impl<R> ResultSchema<R> {
    /// For the type that a function returns.
    #[must_use]
    pub const fn of() -> Self {
        Self(std::marker::PhantomData)
    }
}

/// A result whose type has a JSON Schema.
pub trait Described {
    /// The schema, as the result is written.
    fn schema(&self) -> Option<String>;
}

impl<R: JsonSchema> Described for ResultSchema<R> {
    fn schema(&self) -> Option<String> {
        let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<R>();
        Some(schema.as_value().to_string())
    }
}

/// A result whose type has none.
pub trait Undescribed {
    /// Nothing.
    fn schema(&self) -> Option<String>;
}

impl<R> Undescribed for &ResultSchema<R> {
    fn schema(&self) -> Option<String> {
        None
    }
}

/// What a component says of itself.
#[must_use]
pub fn manifest(name: &str, version: &str, handlers: Vec<wit::Handler>) -> wit::Manifest {
    wit::Manifest {
        name: name.to_owned(),
        version: version.to_owned(),
        sdk: concat!("windlass-guest ", env!("CARGO_PKG_VERSION")).to_owned(),
        handlers,
    }
}

/// The context of a job that the host hands over.
#[must_use]
pub fn context(job: wit::Job) -> Context {
    Context::new(job, host())
}

#[cfg(target_family = "wasm")]
fn host() -> Rc<dyn Host> {
    Rc::new(crate::host::Component)
}

#[cfg(not(target_family = "wasm"))]
fn host() -> Rc<dyn Host> {
    Rc::new(crate::testing::Recorder::default())
}

/// What a run comes to, as the contract has it.
pub fn finish(outcome: Outcome) -> Result<Option<String>, wit::JobError> {
    outcome.map_err(JobError::into_wit)
}

/// The answer for a handler that the module does not have.
pub fn unknown(handler: &str) -> Result<Option<String>, wit::JobError> {
    let message = format!("failed to find the handler `{handler}` in this component");
    Err(JobError::fatal("unknown-handler", message).into_wit())
}
