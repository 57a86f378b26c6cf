//! The embedded storage: one SQLite file, one host, any number of client processes beside it.
//!
//! What writes goes through one thread that owns the only writing connection and commits whatever queued up meanwhile as
//! one transaction; what reads goes to a few reading connections on threads of their own. Nothing here decides what
//! becomes of a job after a run: that is [`decide`](crate::decide)'s.
//!
//! ```text
//!   stores ──▶ writer ──▶ tx ──▶ enqueue, claim, settle, notes, commands, promote, servers, modules, queues,
//!      │                   │       recurring, import
//!      │                   │              └──▶ record: the one way in which a job changes ──▶ lines (of limits), ripples
//!      │                   ├──▶ follow: some of what a step means for other jobs; the rest is promote's
//!      │                   └──▶ counters, tallies: once for each commit
//!      └─────▶ readers ──▶ show, list, search, queues, modules, servers, counters, recurring, limits, audit, export, findings
//! ```

mod audit;
mod claim;
mod commands;
mod conditions;
mod counters;
mod damage;
mod enqueue;
mod expiry;
mod export;
mod fault;
mod findings;
mod flow;
mod follow;
mod forerunner;
mod ground;
mod hub;
mod import;
mod limits;
mod lines;
mod list;
mod lock;
mod modules;
mod notes;
mod number;
mod open;
mod operation;
mod options;
mod payload;
mod pen;
mod promote;
mod queues;
mod readers;
mod record;
mod recurring;
mod ripples;
mod rules;
mod schema;
mod search;
mod servers;
mod settle;
mod show;
mod stores;
mod tx;
mod unique;
mod words;
mod writer;

pub(super) use schema::VERSION as SCHEMA_VERSION;

pub use options::{Role, SqliteOptions, Synchronous};
pub use stores::SqliteStorage;
