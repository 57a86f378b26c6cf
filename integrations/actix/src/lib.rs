//! Windlass in an actix-web application: its client in routes, its dashboard under a path, a worker in the process.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use actix_web::{App, HttpServer, web};
//! use windlass_actix::{
//!     Client, Refused, Windlass,
//!     jobs::{
//!         api::{self, Enqueued, JobRequest},
//!         storage::{OpenOptions, open},
//!     },
//! };
//!
//! async fn shrink(client: Client, picture: web::Json<String>) -> Result<web::Json<Enqueued>, Refused> {
//!     let job = JobRequest::new("images/thumbnail".parse()?, api::Json::write(&*picture)?);
//!     Ok(web::Json(client.enqueue(job).await?))
//! }
//!
//! let windlass = Windlass::new(open(&"sqlite:jobs.db".parse()?, OpenOptions::default()).await?);
//! HttpServer::new(move || App::new().configure(windlass.install()).route("/pictures", web::post().to(shrink)))
//!     .bind(("127.0.0.1", 3000))?
//!     .run()
//!     .await?;
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
#[cfg(feature = "dashboard")]
mod translate;

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
