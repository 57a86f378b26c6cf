//! From the application's start-up to its shutdown.

use std::future::Future;

use windlass_web::PluginError;

use crate::Windlass;

impl Windlass {
    /// Has jobs run in this process, on the runtime that [`Self::start`] is called on, beside threads and a runtime of its own. Of the
    /// settings, what is about listening and access is not looked at. Open the storage with [`open`](crate::open), as a host does.
    #[cfg(feature = "worker")]
    #[must_use]
    pub fn worker(self, settings: windlass::config::Settings) -> Self {
        self.plugin.add_worker(settings);
        self
    }

    /// Starts the dashboard and the worker, before the server takes requests.
    ///
    /// # Errors
    /// Where they were started before, the settings do not go together, or the storage does not take the registration.
    pub async fn start(&self) -> Result<(), PluginError> {
        self.plugin.start().await
    }

    /// Waits for the signal that stops the server, for `shutdown_signal` of `HttpServer`: from then on no more jobs are taken, and the
    /// dashboard's streams end, which the server would wait for.
    pub fn until<S: Future + Send + 'static>(&self, signal: S) -> impl Future<Output = ()> + Send + use<S> {
        self.plugin.until(signal)
    }

    /// Stops, when the server has ended: jobs that run may go on for `shutdown_grace` and are given back then. The storage is
    /// closed.
    ///
    /// # Errors
    /// Where the worker had failed.
    pub async fn stop(&self) -> Result<(), PluginError> {
        self.plugin.stop().await
    }
}
