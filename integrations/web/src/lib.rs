//! What Windlass's plugins for the web frameworks of Rust share: a client for as long as the application is there, and, with the
//! feature `host`, a host within it. Applications use the crate for their framework, `windlass-axum` or `windlass-actix`.

mod not_here;
mod plugin;
#[cfg(feature = "host")]
mod prefix;
#[cfg(feature = "host")]
mod stage;

pub use not_here::{NotHere, problem};
pub use plugin::Plugin;
#[cfg(feature = "host")]
pub use prefix::{InvalidPrefix, Place, Prefix};
#[cfg(feature = "host")]
pub use stage::PluginError;
