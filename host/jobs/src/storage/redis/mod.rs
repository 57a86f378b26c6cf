//! Redis as a storage: several hosts on one namespace.
//!
//! Each verb is one Lua script (`scripts/`), which is one step for Redis: it looks at everything before its first write,
//! because nothing rolls back. What a script needs of a job is its *record*, a packed text that it changes; what never
//! changes of a job is a text of its own that no script rewrites. Lists, lines and counts are indexes beside them. What
//! becomes of a job after a run is not known here: that is [`decide`](crate::decide)'s.
//!
//! ```text
//!   stores ──▶ jobs, notes, commands, relations, servers, modules, queues, limits, recurring, list, show, audit, export,
//!                │ import, findings
//!                 └──▶ script (the call) ──▶ link (the connection)          listen ──▶ hub (who waits)
//! ```

mod answer;
mod audit;
mod bytes;
mod commands;
mod conditions;
mod export;
mod fault;
mod findings;
mod history;
mod hub;
mod import;
mod jobs;
mod limits;
mod link;
mod list;
mod listen;
mod modules;
mod notes;
mod open;
mod options;
mod queues;
mod record;
mod recurring;
mod relations;
mod script;
mod servers;
mod show;
mod stores;

mod url;

pub use options::RedisOptions;
pub use stores::RedisStorage;
