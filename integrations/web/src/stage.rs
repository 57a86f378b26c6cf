//! From the start of an application's host to its end.
//!
//! ```text
//!   before its start ──start──▶ starting ──▶ running ──stop──▶ stopping ──▶ stopped
//!                  ◀── it failed, or was given up ──┘
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

/// What is to be started.
#[derive(Clone, Debug, Default)]
struct Setup {
    has_dashboard: bool,
    takes_jobs: bool,
    settings: Option<Box<Settings>>,
}

impl Setup {
    fn is_empty(&self) -> bool {
        !self.has_dashboard && !self.takes_jobs
    }
}

#[derive(Debug)]
enum State {
    BeforeStart(Setup),
    Starting,
    Running(Arc<Embedded>),
    Stopping(Arc<Embedded>),
    Stopped,
}

impl Default for State {
    fn default() -> Self {
        Self::BeforeStart(Setup::default())
    }
}

/// Where it stands.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    state: Mutex<State>,
    /// Held by whoever starts or stops: so a stop waits for a start that is under way, and has what that has made.
    turn: tokio::sync::Mutex<()>,
}

/// A start that is under way. Where it fails, or nobody waits for it any more, it is as if it had not begun.
struct Attempt<'a> {
    stage: &'a Stage,
    setup: Setup,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = self.stage.state();
        if let State::Starting = &*state {
            *state = State::BeforeStart(std::mem::take(&mut self.setup));
        }
    }
}

impl Stage {
    pub(crate) fn add_dashboard(&self) {
        // What runs has the routes of a dashboard anyway.
        self.add(|setup| setup.has_dashboard = true);
    }

    pub(crate) fn add_settings(&self, settings: Settings) {
        if !self.add(|setup| setup.settings = Some(Box::new(settings))) {
            tracing::error!(
                "Windlass goes on without the settings: they must be given before `windlass.start().await`"
            );
        }
    }

    pub(crate) fn add_worker(&self, settings: Settings) {
        let add = |setup: &mut Setup| {
            setup.takes_jobs = true;
            setup.settings = Some(Box::new(settings));
        };
        if !self.add(add) {
            tracing::error!("no worker takes jobs here: it must be added before `windlass.start().await`");
        }
    }

    /// Whether there was still time for it.
    fn add(&self, change: impl FnOnce(&mut Setup)) -> bool {
        match &mut *self.state() {
            State::BeforeStart(setup) => {
                change(setup);
                true
            }
            State::Starting | State::Running(_) | State::Stopping(_) | State::Stopped => false,
        }
    }

    /// Whether the client may be used.
    pub(crate) fn check(&self) -> Result<(), NotHere> {
        match &*self.state() {
            State::BeforeStart(setup) if setup.is_empty() => Ok(()),
            State::Running(_) => Ok(()),
            State::BeforeStart(_) | State::Starting => Err(NotHere::NotStarted),
            State::Stopping(_) | State::Stopped => Err(NotHere::Stopped),
        }
    }

    pub(crate) fn host(&self) -> Result<Arc<Embedded>, NotHere> {
        match &*self.state() {
            State::Running(host) => Ok(Arc::clone(host)),
            State::Stopping(_) | State::Stopped => Err(NotHere::Stopped),
            State::BeforeStart(_) | State::Starting => Err(NotHere::NotStarted),
        }
    }

    pub(crate) async fn start(&self, client: &Client) -> Result<(), PluginError> {
        let _turn = self.turn.lock().await;
        let Some(attempt) = self.begin()? else { return Ok(()) };
        let settings = attempt.setup.settings.as_deref().cloned();
        let host = Embedded::start(Arc::clone(client.storage()), settings, attempt.setup.takes_jobs)
            .await
            .map_err(|error| PluginError::Host(format!("failed to start Windlass: {error:#}")))?;
        *self.state() = State::Running(Arc::new(host));
        Ok(())
    }

    /// Nothing where there is nothing to start.
    fn begin(&self) -> Result<Option<Attempt<'_>>, PluginError> {
        let mut state = self.state();
        let setup = match &*state {
            State::BeforeStart(setup) if setup.is_empty() => return Ok(None),
            State::BeforeStart(setup) => setup.clone(),
            State::Starting | State::Running(_) => return Err(PluginError::AlreadyStarted),
            State::Stopping(_) | State::Stopped => return Err(PluginError::Stopped),
        };
        *state = State::Starting;
        Ok(Some(Attempt { stage: self, setup }))
    }

    pub(crate) fn wind_down(&self) {
        if let State::Running(host) | State::Stopping(host) = &*self.state() {
            host.wind_down();
        }
    }

    pub(crate) fn hurry(&self) {
        if let State::Running(host) | State::Stopping(host) = &*self.state() {
            host.hurry();
        }
    }

    pub(crate) async fn stop(&self, client: &Client) -> Result<(), PluginError> {
        let _turn = self.turn.lock().await;
        let Some(host) = self.end() else {
            client.storage().close().await;
            return Ok(());
        };
        let ended = host.stop().await;
        *self.state() = State::Stopped;
        ended.map_err(|error| PluginError::Host(format!("Windlass did not end well: {error:#}")))
    }

    /// What is to be stopped; from now on nothing is answered.
    fn end(&self) -> Option<Arc<Embedded>> {
        let mut state = self.state();
        if let State::Running(host) | State::Stopping(host) = &*state {
            let host = Arc::clone(host);
            *state = State::Stopping(Arc::clone(&host));
            return Some(host);
        }
        *state = State::Stopped;
        None
    }

    /// Held for short synchronous sections only.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_start_is_not_taken() {
        let stage = Stage::default();
        assert!(stage.add(|setup| setup.has_dashboard = true));
        let attempt = stage.begin().unwrap().unwrap();
        assert!(!stage.add(|setup| setup.takes_jobs = true));
        assert_eq!(stage.check(), Err(NotHere::NotStarted));
        // It is given up, and there is time again.
        drop(attempt);
        assert!(stage.add(|setup| setup.takes_jobs = true));
        assert!(stage.end().is_none() && matches!(stage.begin(), Err(PluginError::Stopped)));
        assert!(!stage.add(|setup| setup.takes_jobs = true));
    }
}
