//! JSON text as it is shown: cut into tokens and laid out in lines, without ever reading a number. What comes in as
//! `123456789012345678901234567890` is shown as that.

mod layout;
mod tokens;

pub use layout::{Layout, Line, Piece};
pub use tokens::{Kind, Token, tokens};
