//! What a [`Context`](crate::Context) stands on: the host in a component, a stand-in in a test.

use std::time::Duration;

use crate::{CheckpointError, EnqueueError, JobId, JobRequest, Level, Parent, ParentError};

pub(crate) trait Host {
    fn log(&self, level: Level, message: &str, fields: Option<&str>);
    fn progress(&self, percent: f32, note: Option<&str>);
    fn cancelled(&self) -> bool;
    fn remaining(&self) -> Option<Duration>;
    fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError>;
    fn put_checkpoint(&self, key: &str, value: &str) -> Result<(), CheckpointError>;
    fn parent(&self, id: &JobId) -> Result<Parent, ParentError>;
    fn config(&self, key: &str) -> Option<String>;
    fn secret(&self, key: &str) -> Option<String>;
    fn enqueue(&self, request: JobRequest) -> Result<JobId, EnqueueError>;
}

#[cfg(target_family = "wasm")]
pub(crate) use component::Component;

#[cfg(target_family = "wasm")]
mod component {
    use super::{CheckpointError, Duration, EnqueueError, Host, JobId, JobRequest, Level, Parent, ParentError};
    use crate::{
        Failure,
        bindings::{config, context, log, queue},
    };

    /// The host that runs this component.
    pub(crate) struct Component;

    impl Host for Component {
        fn log(&self, level: Level, message: &str, fields: Option<&str>) {
            let level = match level {
                Level::Trace => log::Level::Trace,
                Level::Debug => log::Level::Debug,
                Level::Info => log::Level::Info,
                Level::Warn => log::Level::Warn,
                Level::Error => log::Level::Error,
            };
            log::write(level, message, fields);
        }

        fn progress(&self, percent: f32, note: Option<&str>) {
            context::progress(percent, note);
        }

        fn cancelled(&self) -> bool {
            context::cancelled()
        }

        fn remaining(&self) -> Option<Duration> {
            context::remaining().map(Duration::from_millis)
        }

        fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError> {
            context::get_checkpoint(key).map_err(Into::into)
        }

        fn put_checkpoint(&self, key: &str, value: &str) -> Result<(), CheckpointError> {
            context::put_checkpoint(key, value).map_err(Into::into)
        }

        fn parent(&self, id: &JobId) -> Result<Parent, ParentError> {
            let told = context::get_parent(id.as_str()).map_err(|error| match error {
                context::ParentError::Unknown(text) => ParentError::Unknown(text),
                context::ParentError::Unavailable(text) => ParentError::Unavailable(text),
            })?;
            let failure = told.failure.map(|failure| Failure {
                code: failure.code,
                message: failure.message,
                details: failure.details.and_then(|details| serde_json::from_str(&details).ok()),
            });
            Ok(Parent { id: id.clone(), handler: told.handler, state: told.state, result: told.result, failure })
        }

        fn config(&self, key: &str) -> Option<String> {
            config::get(key)
        }

        fn secret(&self, key: &str) -> Option<String> {
            config::secret(key)
        }

        fn enqueue(&self, request: JobRequest) -> Result<JobId, EnqueueError> {
            let request = request.into_wit()?;
            queue::enqueue(&request).map(JobId::new).map_err(|error| match error {
                queue::EnqueueError::UnknownHandler(text) => EnqueueError::UnknownHandler(text),
                queue::EnqueueError::Invalid(text) => EnqueueError::Invalid(text),
                queue::EnqueueError::LimitReached(text) => EnqueueError::LimitReached(text),
            })
        }
    }

    impl From<context::CheckpointError> for CheckpointError {
        fn from(error: context::CheckpointError) -> Self {
            match error {
                context::CheckpointError::InvalidJson(text) => Self::InvalidJson(text),
                context::CheckpointError::TooLarge(text) => Self::TooLarge(text),
                context::CheckpointError::Superseded => Self::Superseded,
                context::CheckpointError::Unavailable(text) => Self::Unavailable(text),
            }
        }
    }
}
