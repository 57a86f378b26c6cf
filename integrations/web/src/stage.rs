//! From the start of an application's host to its end.
//!
//! ```text
//!   nothing to start ──add──▶ to be started ──start──▶ running ──stop──▶ stopped
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windlass::{config::Settings, embed::Embedded};
use windlass_jobs::Client;

use crate::NotHere;

/// Why it was not started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// It was started before.
    #[error("Windlass is started already: call `windlass.start().await` once")]
    AlreadyStarted,
    /// It was stopped before.
    #[error("Windlass is stopped, and is not started again: make another one with `Windlass::new`")]
    Stopped,
    /// The host itself could not be started, or its worker had failed.
    #[error("{0}")]
    Host(String),
}

#[derive(Debug, Default)]
enum State {
    #[default]
    NothingToStart,
    ToBeStarted(Option<Box<Settings>>),
    Starting,
    Running(Arc<Embedded>),
    Stopped,
}

/// Where it stands.
#[derive(Debug, Default)]
pub(crate) struct Stage(Mutex<State>);

impl Stage {
    pub(crate) fn add_dashboard(&self) {
        let mut state = self.state();
        if let State::NothingToStart = &*state {
            *state = State::ToBeStarted(None);
        }
    }

    pub(crate) fn add_worker(&self, settings: Settings) {
        let mut state = self.state();
        if let State::NothingToStart | State::ToBeStarted(_) = &*state {
            *state = State::ToBeStarted(Some(Box::new(settings)));
        }
    }

    /// Whether the client may be used.
    pub(crate) fn check(&self) -> Result<(), NotHere> {
        match &*self.state() {
            State::NothingToStart | State::Running(_) => Ok(()),
            State::ToBeStarted(_) | State::Starting => Err(NotHere::NotStarted),
            State::Stopped => Err(NotHere::Stopped),
        }
    }

    pub(crate) fn host(&self) -> Result<Arc<Embedded>, NotHere> {
        match &*self.state() {
            State::Running(host) => Ok(Arc::clone(host)),
            State::Stopped => Err(NotHere::Stopped),
            State::NothingToStart | State::ToBeStarted(_) | State::Starting => Err(NotHere::NotStarted),
        }
    }

    pub(crate) async fn start(&self, client: &Client) -> Result<(), PluginError> {
        let worker = {
            let mut state = self.state();
            match &*state {
                State::NothingToStart => return Ok(()),
                State::Starting | State::Running(_) => return Err(PluginError::AlreadyStarted),
                State::Stopped => return Err(PluginError::Stopped),
                State::ToBeStarted(worker) => {
                    let worker = worker.clone();
                    *state = State::Starting;
                    worker
                }
            }
        };
        match Embedded::start(Arc::clone(client.storage()), worker.as_deref().cloned()).await {
            Ok(host) => {
                *self.state() = State::Running(Arc::new(host));
                Ok(())
            }
            Err(error) => {
                *self.state() = State::ToBeStarted(worker);
                Err(PluginError::Host(format!("failed to start Windlass: {error:#}")))
            }
        }
    }

    pub(crate) fn wind_down(&self) {
        if let State::Running(host) = &*self.state() {
            host.wind_down();
        }
    }

    pub(crate) async fn stop(&self, client: &Client) -> Result<(), PluginError> {
        let before = std::mem::replace(&mut *self.state(), State::Stopped);
        if let State::Running(host) = before {
            return host
                .stop()
                .await
                .map_err(|error| PluginError::Host(format!("Windlass did not end well: {error:#}")));
        }
        client.storage().close().await;
        Ok(())
    }

    /// Held for short synchronous sections only.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
