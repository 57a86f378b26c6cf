//! The storage for several hosts on one PostgreSQL database, 14 or newer, and for applications that enqueue with their own
//! data or not at all.
//!
//! ```text
//!   stores ──▶ core ──▶ lanes (connections) ──▶ tx ──▶ enqueue, claim, settle, notes, commands, promote, prune, …
//!     │          └────▶ hub ◀── listen                      └──▶ record: the one way in which a job changes
//!     └─▶ intake: jobs that come one by one share commits
//! ```
//!
//! A job that has not ended is a row of the narrow table `live`, one that has ended a row of `ended`; what was given when
//! it was made stands in `jobs`, written once. A claim is one statement, and so is a settlement of runs that succeeded;
//! everything else reads its jobs, held by `FOR UPDATE`, changes them here, and writes them back. Whoever holds several
//! rows takes them in the order of their ids, and whoever claims passes over what is held, so that no two wait for each
//! other; should they all the same, the step is carried out again.
//!
//! No number of a name or of a server is remembered beyond a step: a database that was restored from an older copy may give
//! it to another one. Each claim marks its jobs with a token, by which they are handed over again where its answer was lost.
//! Nothing waits for an application's transaction that stays open, except for what that transaction itself has touched.
//!
//! Jobs with conditions are stored by a longer way (`conditioned`); what the ends of jobs mean for others is written down
//! as `ripples`; where there are limits, claims go in rounds (`limited`) and whatever ends a run gives its place back (`rooms`).
//!
//! How many jobs there are is kept in `tally`, what happened in `counters`. Neither is written by a step: it appends what
//! it changed to `changes`, which nobody waits for, and the heartbeats and [`prune`](crate::storage::JobStore::prune) fold
//! that in. Whoever reads adds what is not folded in yet.
//!
//! Behind a pooler that hands each transaction to another connection every step is a transaction whose statements are not
//! kept prepared, and hosts look for work each second instead of listening.

mod audit;
mod claim;
mod claims;
mod commands;
mod conditioned;
mod conditions;
mod core;
mod damage;
mod enqueue;
mod expiry;
mod export;
mod fault;
mod findings;
mod flow;
mod guest;
mod hub;
mod import;
mod intake;
mod lanes;
mod limited;
mod limits;
mod listen;
mod looks;
mod modules;
mod news;
mod notes;
mod number;
mod open;
mod options;
mod promote;
mod prune;
mod queues;
mod record;
mod ripples;
mod rooms;
mod rules;
mod salvage;
mod schedule;
mod schema;
mod search;
mod servers;
mod settle;
mod show;
mod stores;
mod tally;
mod texts;
mod tx;
mod unique;
mod words;

pub use options::{PostgresOptions, Role};
pub use stores::PostgresStorage;
