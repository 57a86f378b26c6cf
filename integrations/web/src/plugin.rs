//! Windlass as a part of an application.

use std::sync::Arc;

use windlass_jobs::{Client, storage::Storage};

#[cfg(feature = "host")]
use {
    crate::stage::{PluginError, Stage},
    axum::{body::Body, http::Request, response::Response},
    std::future::Future,
    windlass::{config::Settings, embed::Visitor},
};

use crate::NotHere;

/// Windlass as a part of an application. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Plugin {
    client: Client,
    #[cfg(feature = "host")]
    stage: Arc<Stage>,
}

impl Plugin {
    /// A client of this storage, and nothing to start yet.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        let client = Client::new(storage);
        Self {
            client,
            #[cfg(feature = "host")]
            stage: Arc::default(),
        }
    }

    /// The client, whatever stage it is in.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client, where it may be used now.
    ///
    /// # Errors
    /// Where what was put into the application is not started, or stopped.
    pub fn usable_client(&self) -> Result<&Client, NotHere> {
        #[cfg(feature = "host")]
        self.stage.check()?;
        Ok(&self.client)
    }
}

#[cfg(feature = "host")]
impl Plugin {
    /// There is to be a dashboard, so it must be started.
    pub fn add_dashboard(&self) {
        self.stage.add_dashboard();
    }

    /// What is started is to be as these say.
    pub fn add_settings(&self, settings: Settings) {
        self.stage.add_settings(settings);
    }

    /// There is to be a worker.
    pub fn add_worker(&self, settings: Settings) {
        self.stage.add_worker(settings);
    }

    /// Starts what was added.
    ///
    /// # Errors
    /// Where it was started before, or cannot be.
    pub async fn start(&self) -> Result<(), PluginError> {
        self.stage.start(&self.client).await
    }

    /// Answers a request for the dashboard.
    ///
    /// # Errors
    /// Where it is not started, or stopped.
    pub async fn answer(&self, request: Request<Body>, visitor: Visitor) -> Result<Response, NotHere> {
        let host = self.stage.host()?;
        Ok(host.answer(request, visitor).await)
    }

    /// Waits for the signal that stops the server, and begins the end of what was started.
    pub fn until<S: Future + Send + 'static>(&self, signal: S) -> impl Future<Output = ()> + Send + use<S> {
        let stage = Arc::clone(&self.stage);
        async move {
            signal.await;
            stage.wind_down();
        }
    }

    /// Cuts short what [`Self::stop`] waits for.
    pub fn hurry(&self) {
        self.stage.hurry();
    }

    /// Stops what was started, and closes the storage.
    ///
    /// # Errors
    /// Where the worker had failed; the storage is closed all the same.
    pub async fn stop(&self) -> Result<(), PluginError> {
        self.stage.stop(&self.client).await
    }
}
