//! How figures are written for people. Pure: what depends on the viewer, such as the time zone, is handed in.

mod instants;
mod numbers;
mod text;

pub use instants::{clock, exact, offset_from, relative};
pub use numbers::{bytes, compact, count, decimal, fuel, micros, percent, rate, span};
pub use text::{clip, plural, visible};
