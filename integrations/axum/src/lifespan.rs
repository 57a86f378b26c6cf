//! From the application's start-up to its shutdown.

use std::future::Future;

use windlass_web::PluginError;

use crate::Windlass;

impl Windlass {
    /// The settings of the hosts on this storage, for a dashboard without a worker: components are taken as `[signatures]` and
    /// `[compile]` say, and nothing is changed where `read_only` is set under `[access]`. Without any, the dashboard takes no
    /// components, since whom the hosts trust is not known.
    ///
    /// Not looked at are `listen`, `insecure_listen`, `[tls]` and the rest of `[access]`, which are the application's own, and
    /// `storage`, which was opened. To be called before [`Self::start`]; the settings that are given last count.
    #[must_use]
    pub fn settings(self, settings: windlass::config::Settings) -> Self {
        self.plugin.add_settings(settings);
        self
    }

    /// Has jobs run in this process, on the runtime that [`Self::start`] is called on, beside threads and a runtime of its own, by
    /// these settings, which are looked at as [`Self::settings`] says. Open the storage with [`open`](crate::open), as a host does.
    /// To be called before [`Self::start`].
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

    /// Waits for the signal that stops the server, for `with_graceful_shutdown`: from then on no more jobs are taken, and the
    /// dashboard's streams end, which the server would wait for.
    pub fn until<S: Future + Send + 'static>(&self, signal: S) -> impl Future<Output = ()> + Send + use<S> {
        self.plugin.until(signal)
    }

    /// Stops at once what runs, and gives it back, rather than to let it go on for `shutdown_grace`: for a second signal. Where nothing
    /// was started it does nothing.
    pub fn hurry(&self) {
        self.plugin.hurry();
    }

    /// Stops, when the server has ended, or has failed: jobs that run may go on for `shutdown_grace` and are given back then. The
    /// storage is closed.
    ///
    /// # Errors
    /// Where the worker had failed; the storage is closed all the same.
    pub async fn stop(&self) -> Result<(), PluginError> {
        self.plugin.stop().await
    }
}
