//! Recurring jobs: what their schedules mean, and what is to be enqueued when.
//!
//! [`Schedule`] works out instants, [`plan`] decides purely what an entry enqueues at a moment, [`Scheduler`] does it: any
//! number of hosts may, since an entry moves on by compare-and-set together with the jobs it makes. [`Client`](crate::Client)
//! puts, shows and removes entries. What a storage keeps of them is in [`storage`](crate::storage::RecurringEntry).

mod client;
mod cron;
mod days_of_week;
mod declared;
mod definition;
mod every;
mod fields;
mod plan;
mod schedule;
mod scheduler;
mod zone;

pub use declared::{check_declared, declare, declare_all};
pub use definition::DEFAULT_CATCH_UP;
pub use plan::{GRACE_MS, Plan, plan};
pub use schedule::{InvalidSchedule, Schedule};
pub use scheduler::{Missed, Scheduler};
