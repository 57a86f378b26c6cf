//! Windlass as a layer and as state.

use std::sync::Arc;

use axum::{Extension, extract::FromRef, middleware::AddExtension};
use tower::Layer;
use windlass_jobs::storage::Storage;
use windlass_web::Plugin;

/// Windlass as a part of an application. Cheap to clone; all clones are one.
///
/// As a layer, it gives routes a [`Client`](crate::Client). Where it is the application's state, or a part of that by
/// [`FromRef`], `State<windlass_jobs::Client>` works as well, where it is not looked at whether Windlass is started, or is stopped.
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
}

impl<S> Layer<S> for Windlass {
    type Service = AddExtension<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Extension(self.clone()).layer(inner)
    }
}

impl FromRef<Windlass> for windlass_jobs::Client {
    fn from_ref(windlass: &Windlass) -> Self {
        windlass.client()
    }
}
