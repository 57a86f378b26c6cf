//! Forms from JSON Schemas: which fields a payload has, what stands in them, and the JSON text that they make. Numbers
//! are kept as they are typed.

mod decimal;
mod fill;
mod read;

pub use fill::{Fault, Filled, fill, write};
pub use read::{Field, Shape, Variant, read};
