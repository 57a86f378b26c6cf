//! Windlass in an axum application: its client in routes, its dashboard under a path, a worker in the process.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Json, Router, routing::post};
//! use windlass_axum::{
//!     Client, Refused, Windlass,
//!     jobs::{
//!         api::{self, Enqueued, JobRequest},
//!         storage::{OpenOptions, open},
//!     },
//! };
//!
//! async fn shrink(client: Client, Json(picture): Json<String>) -> Result<Json<Enqueued>, Refused> {
//!     let job = JobRequest::new("images/thumbnail".parse()?, api::Json::write(&picture)?);
//!     Ok(Json(client.enqueue(job).await?))
//! }
//!
//! let storage = open(&"sqlite:jobs.db".parse()?, OpenOptions::default()).await?;
//! let app: Router = Router::new().route("/pictures", post(shrink)).layer(Windlass::new(storage));
//! # Ok(())
//! # }
//! ```
//!
//! An application that only enqueues needs no feature but that of its storage, and compiles no WebAssembly engine. `dashboard`
//! puts the dashboard with the API under a path, `worker` has jobs run in the application's process; both compile one.

mod client;
#[cfg(feature = "dashboard")]
mod dashboard;
#[cfg(feature = "host")]
mod lifespan;
mod plugin;
mod refused;

pub use client::Client;
pub use plugin::Windlass;
pub use refused::Refused;
#[cfg(feature = "dashboard")]
pub use windlass::embed::Visitor;
#[cfg(feature = "host")]
pub use windlass::{config, embed::open};
pub use windlass_jobs as jobs;
#[cfg(feature = "dashboard")]
pub use windlass_web::InvalidPrefix;
#[cfg(feature = "host")]
pub use windlass_web::PluginError;
