//! Windlass as a part of every worker's application.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use windlass_jobs::storage::Storage;
use windlass_web::Plugin;

/// Windlass as a part of an application. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Windlass {
    pub(crate) plugin: Plugin,
    #[cfg(feature = "dashboard")]
    pub(crate) mounted: Option<crate::dashboard::Mounted>,
}

impl Windlass {
    /// A part that enqueues into this storage. Its jobs stand in the history as those of `client`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            plugin: Plugin::new(storage),
            #[cfg(feature = "dashboard")]
            mounted: None,
        }
    }

    /// The client, for what is no route.
    #[must_use]
    pub fn client(&self) -> windlass_jobs::Client {
        self.plugin.client().clone()
    }

    /// Puts it into an application, or a scope: `.configure(windlass.install())`. Routes there get a
    /// [`Client`](crate::Client), and the dashboard is at its path, where there is one.
    pub fn install(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        let windlass = self.clone();
        move |service| {
            #[cfg(feature = "dashboard")]
            if let Some(mounted) = &windlass.mounted {
                mounted.install(&windlass.plugin, service);
            }
            service.app_data(windlass);
        }
    }
}
