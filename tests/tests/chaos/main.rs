//! An acknowledged job is never lost and never runs twice at once, whatever fails: hosts that are killed or suspended,
//! storages that are killed or cut off, networks that break, a full disk, clocks that are set.
//!
//! `cargo xtask test chaos` runs the full form, `cargo xtask test` a short one. The seed of every random choice is
//! printed and can be set with `WINDLASS_CHAOS_SEED`.

mod bad_network;
mod black_hole;
mod full_disk;
mod hot_deploy;
mod killed_hosts;
mod killed_storage;
mod limits;
mod recurring;
mod set_clocks;
mod suspended_host;
