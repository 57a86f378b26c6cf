//! The dashboard: a page in the browser that shows what a host does and lets people act on it.
//!
//! What decides is here and plain: models and their `update`, how JSON and figures are written, forms from schemas. It
//! builds and is tested on any machine. What draws is `ui`, which exists in the browser only; there, `ui::api` is the
//! one file that fetches and `ui::stream` the one that listens.

pub mod chart;
pub mod commands;
pub mod filter;
pub mod format;
pub mod json;
pub mod model;
pub mod order;
pub mod pages;
pub mod query;
pub mod schema;
pub mod trouble;
#[cfg(target_arch = "wasm32")]
pub mod ui;
pub mod window;
