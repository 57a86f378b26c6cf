//! Starts the servers that tests share and prints the variables that name them, until it is ended (Ctrl-C): for running
//! single tests by hand against servers that stay. `cargo xtask test` does not need it.

use std::{io, thread};

use windlass_test_services::{Postgres, Redis, shared};

fn main() -> io::Result<()> {
    let redis = Redis::start()?;
    let postgres: Postgres = shared::postgres().start()?;
    println!("export {}={}", shared::REDIS, redis.url());
    println!("export {}={}", shared::POSTGRES, postgres.url());
    loop {
        // However it is ended, the servers' watchers end them.
        thread::park();
    }
}
