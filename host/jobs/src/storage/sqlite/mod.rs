//! The embedded storage: one SQLite file, one host, any number of client processes beside it.
//!
//! What writes goes through one thread that owns the only writing connection and commits whatever queued up meanwhile as
//! one transaction; what reads goes to a few reading connections on threads of their own. Nothing here decides what
//! becomes of a job after a run: that is [`decide`](crate::decide)'s.
//!
//! ```text
//!   stores ──▶ writer ──▶ tx ──▶ enqueue, claim, settle, notes, commands, promote, servers, modules, queues
//!      │                                  └──▶ record: the one way in which a job changes
//!      └─────▶ readers ──▶ show, list, queues, modules, servers
//! ```

mod claim;
mod commands;
mod damage;
mod enqueue;
mod fault;
mod hub;
mod list;
mod lock;
mod modules;
mod notes;
mod open;
mod options;
mod payload;
mod promote;
mod queues;
mod readers;
mod record;
mod schema;
mod servers;
mod settle;
mod show;
mod stores;
mod tx;
mod words;
mod writer;

pub(super) use schema::VERSION as SCHEMA_VERSION;

pub use options::{Role, SqliteOptions, Synchronous};
pub use stores::SqliteStorage;
