//! The sandbox from outside: components that misbehave, and components that are refused.

mod compiler;
mod egress;
mod harness;
mod output;
mod refusals;
mod runs;
mod stopping;
mod wat_guest;
