//! What jobs cost that wait for their instant: in a storage with a million of them beside one with none, in turns. A promotion
//! that finds nothing due, one job that becomes due and is taken, and a host that has nothing to do.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use windlass_jobs::{
    NewJob, Next, Settlement, Start,
    api::{Json, QueueName, ServerId, Usage},
    storage::Storage,
};

use crate::{
    drain::{Cpu, Host},
    stores::{self, Running, Store},
    verbs::{drive, median},
};

/// How many of each are measured; those of before warm up.
const SAMPLES: usize = 101;
const WARM: usize = 10;

/// What a host moves at once.
const PROMOTED_AT_ONCE: usize = 1_000;

/// When the first of the jobs that wait would be due, and how far their instants are apart, in milliseconds.
const FIRST_MS: u64 = 24 * 3_600_000;
const APART_MS: u64 = 3;

/// When a job is due that is to be moved, and how long until it surely is.
const SOON_MS: u64 = 1;
const DUE: Duration = Duration::from_millis(5);

/// A host that has just started looks at several things at first.
const SETTLING: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The host's program
    #[arg(long)]
    host: PathBuf,
    /// The stores: each is started for this measurement alone
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Store::Sqlite, Store::Postgres, Store::Redis])]
    stores: Vec<Store>,
    /// How many jobs wait for their instant
    #[arg(long, default_value_t = 1_000_000)]
    waiting: usize,
    /// How long the idle host is watched, in seconds
    #[arg(long, default_value_t = 30)]
    idle_s: u64,
}

/// One store's figures: with none waiting, and with many.
#[derive(Serialize)]
pub(crate) struct Figures {
    store: String,
    durability: String,
    waiting: usize,
    stored_per_s: f64,
    /// A promotion that finds nothing due, in microseconds.
    nothing_due_us: Pair,
    /// The promotion of one job that is due.
    one_due_us: Pair,
    /// The claim of it.
    claim_us: Pair,
    /// What an idle host uses of a processor in a second, in microseconds.
    idle_host_us: Pair,
    /// What its store's processes use; those of SQLite are the host.
    idle_store_us: Pair,
}

/// Medians.
#[derive(Clone, Copy, Debug, Serialize)]
struct Pair {
    none: f64,
    many: f64,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { none, many } = self;
        write!(f, "{none:>7.0} us among none, {many:>7.0} us among many")?;
        if *none > 0.0 { write!(f, ": {:.2} times", many / none) } else { Ok(()) }
    }
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    for store in &arguments.stores {
        let figures = measure_one(arguments, *store).await.with_context(|| format!("on {store}"))?;
        print(&figures);
        all.push(figures);
    }
    Ok(all)
}

async fn measure_one(arguments: &Arguments, store: Store) -> Result<Figures> {
    let running = [stores::start(store)?, stores::start(store)?];
    let stored = fill(&*running[1].storage().await?, arguments.waiting).await?;
    let [nothing_due_us, one_due_us, claim_us] = verbs(&running).await?;
    let none = idle(arguments, &running[0]).await?;
    let many = idle(arguments, &running[1]).await?;
    Ok(Figures {
        store: store.to_string(),
        durability: running[0].durability().to_owned(),
        waiting: arguments.waiting,
        stored_per_s: arguments.waiting as f64 / stored.as_secs_f64(),
        nothing_due_us,
        one_due_us,
        claim_us,
        idle_host_us: Pair { none: none.0, many: many.0 },
        idle_store_us: Pair { none: none.1, many: many.1 },
    })
}

fn delayed(delay_ms: u64) -> Result<NewJob> {
    Ok(NewJob { start: Start::After(delay_ms), ..drive::job(&QueueName::default())? })
}

/// Stores so many jobs that wait for a day at least.
async fn fill(storage: &dyn Storage, waiting: usize) -> Result<Duration> {
    let begun = Instant::now();
    let mut number = 0;
    while number < waiting {
        let last = waiting.min(number + drive::MOST_IN_BULK);
        let jobs = (number..last).map(|number| delayed(FIRST_MS + APART_MS * number as u64));
        storage.enqueue(jobs.collect::<Result<_>>()?, "bench").await?;
        number = last;
    }
    Ok(begun.elapsed())
}

/// A promotion that finds nothing, one that moves a job, and the claim of that job.
async fn verbs(running: &[Running; 2]) -> Result<[Pair; 3]> {
    let storages = [running[0].storage().await?, running[1].storage().await?];
    let servers = [drive::register(&*storages[0]).await?, drive::register(&*storages[1]).await?];
    let mut took = [const { [Vec::new(), Vec::new()] }; 3];
    for number in 0..WARM + SAMPLES {
        for side in 0..2 {
            let micros = one_life(&*storages[side], servers[side]).await?;
            if number >= WARM {
                micros.into_iter().zip(&mut took).for_each(|(micros, took)| took[side].push(micros));
            }
        }
    }
    for (storage, server) in storages.iter().zip(servers) {
        storage.leave(server).await?;
    }
    Ok(took.map(|[none, many]| Pair { none: median(none), many: median(many) }))
}

async fn one_life(storage: &dyn Storage, server: ServerId) -> Result<[f64; 3]> {
    let begun = Instant::now();
    let moved = storage.promote(PROMOTED_AT_ONCE).await?.moved;
    let nothing = begun.elapsed();
    ensure!(moved == 0, "{moved} jobs were due before their time");

    storage.enqueue(vec![delayed(SOON_MS)?], "bench").await?;
    tokio::time::sleep(DUE).await;
    let begun = Instant::now();
    let moved = storage.promote(PROMOTED_AT_ONCE).await?.moved;
    let one = begun.elapsed();
    ensure!(moved == 1, "{moved} jobs were moved where one was due");

    let begun = Instant::now();
    let claimed = drive::claim(storage, server, &[], 1).await?;
    let claim = begun.elapsed();
    let run = claimed.first().context("a claim brought nothing")?;
    let next = Next::Succeeded { result: Some(Json::null()) };
    let end = Settlement { fence: run.fence, next, usage: Usage::default(), follow_ups: Vec::new() };
    storage.settle(vec![end]).await?;
    Ok([nothing, one, claim].map(|took| took.as_secs_f64() * 1e6))
}

/// What a host that has nothing to do uses of a processor in a second, and what its store uses.
async fn idle(arguments: &Arguments, running: &Running) -> Result<(f64, f64)> {
    let host = Host::start(&arguments.host, running.url())?;
    tokio::time::sleep(SETTLING).await;
    let (host_before, store_before) = (Cpu::of(host.pid())?, running.cpu()?);
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(arguments.idle_s)).await;
    let seconds = begun.elapsed().as_secs_f64();
    Ok((Cpu::of(host.pid())?.since(host_before) / seconds, running.cpu()?.since(store_before) / seconds))
}

fn print(figures: &Figures) {
    let Figures { store, durability, waiting, stored_per_s, .. } = figures;
    println!("\n{store} ({durability}), {waiting} jobs wait for their instant, stored at {stored_per_s:.0}/s");
    println!("  a promotion, nothing due   {}", figures.nothing_due_us);
    println!("  a promotion, one job due   {}", figures.one_due_us);
    println!("  the claim of it            {}", figures.claim_us);
    println!("  an idle host, each second  {}", figures.idle_host_us);
    println!("  its store, each second     {}", figures.idle_store_us);
}
