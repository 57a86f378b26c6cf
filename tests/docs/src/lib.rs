//! The documentation under test: the book in `docs/` and the texts at the root. Its commands are run ([`follow`]), its links
//! are followed (`links`), and its code in Rust is compiled as the documentation of this crate.
//!
//! What a page may say to the tests stands in a comment of HTML right before a block, where no reader sees it:
//!
//! | comment | before | |
//! | --- | --- | --- |
//! | `<!-- not run: why -->` | commands | they are not run |
//! | `<!-- run in the first hour: why -->` | commands | they are run by `cargo xtask test first-hour` alone |
//! | `<!-- file: NAME -->` | anything | it becomes a file in the folder that the commands run in |
//! | `<!-- prints -->` | text | it is what the commands before it print; `…` stands for anything, on a line of its own for any lines |
//! | `<!-- not settings: why -->` | TOML | it is no `windlass.toml` |

mod blocks;
mod book;
mod follow;
mod links;
mod script;

#[cfg(doctest)]
mod pages;

pub use blocks::{Block, blocks};
pub use book::{Page, listed, pages, root, texts};
pub use follow::{Way, follow, is_followed, windlass};
pub use links::broken;
