//! What the end-to-end tests share: a host in a folder of its own, driven as an operator would drive it, through its
//! command line and signals. Nothing here knows how Windlass works inside.
//!
//! The tests need the host and the components built: `cargo xtask test e2e` builds them first.

mod application;
mod built;
pub mod chaos;
mod cli;
mod collector;
mod effects;
mod host;
mod http;
mod jobs;
mod shell;
mod text;
mod tls;

pub use application::Application;
pub use built::{application, axe, component, guest, guest_names, pictures, windlass};
pub use cli::{Answer, run};
pub use collector::{Collected, Collector};
pub use effects::{Effect, Effects};
pub use host::{Host, Launch, Site};
pub use http::{EventStream, HttpAnswer, SentEvent};
pub use jobs::{Job, overlap};
pub use shell::{checkout, shell, typed};
pub use text::component_of_text;
