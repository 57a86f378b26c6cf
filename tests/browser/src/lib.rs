//! A browser as a person uses it: open, read, click, type. Everything waits until what it looks for is there; nothing
//! sleeps for a while and hopes.

mod browser;
mod checks;
mod driver;
mod palette;
mod proxy;
mod tokens;

pub use browser::{Browser, Look};
pub use checks::accessibility;
pub use palette::with_palette;
pub use proxy::Proxy;
pub use tokens::Tokens;
