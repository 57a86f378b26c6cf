//! A client of a Windlass host over HTTP, for applications with no access to the storage. The command line is made of it too.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use windlass_http_client::{
//!     Client,
//!     api::{JobRequest, Json},
//! };
//!
//! let client = Client::from_environment()?; // WINDLASS_URL and WINDLASS_TOKEN
//! let job = client.enqueue(&JobRequest::new("images/thumbnail".parse()?, Json::write(&("a.jpg", 200))?)).await?;
//! let ended = client.wait(job.id, Duration::from_secs(60)).await?;
//! println!("{}", ended.job.state);
//! # Ok(())
//! # }
//! ```
//!
//! It knows the words of the API alone: neither storages nor schemas, so what is wrong with a job is said by the host.

mod calls;
mod client;
mod error;
mod events;
mod stream;
mod tries;

pub use calls::DeployOptions;
pub use client::{Client, DEFAULT_PATIENCE, DEFAULT_URL};
pub use error::Error;
pub use events::{Change, Events};
pub use windlass_api as api;
