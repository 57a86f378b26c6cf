//! The sandbox from outside: components that misbehave, and components that are refused.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod compiler;
mod harness;
mod output;
mod refusals;
mod runs;
mod stopping;
mod wat_guest;
