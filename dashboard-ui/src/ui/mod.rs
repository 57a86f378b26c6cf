//! What draws, in the browser only. Pages show models and hand events to them; `api` is the one file that fetches,
//! `stream` the one that listens, `browser` the one that asks the browser for anything else.

#![expect(clippy::needless_pass_by_value, reason = "components own what they are given")]
#![expect(unreachable_pub, reason = "the component macro makes its properties public")]

mod api;
mod app;
mod browser;
mod bulk;
mod later;
mod navigation;
mod pages;
mod parts;
mod shared;
mod shortcuts;
mod sign_in;
mod stream;
mod uploads;

pub use app::start;
