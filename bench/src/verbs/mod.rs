//! The storage verbs alone, without a host and without a sandbox: beside the same statements or scripts driven raw, and a
//! claim among a million waiting jobs beside one among a thousand.

mod claims;
pub(crate) mod drive;
mod raw_sqlite;
mod recorder;
mod removals;
mod replay;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::stores::{self, Store};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The stores: each is started for this measurement alone
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Store::Sqlite, Store::Postgres, Store::Redis])]
    stores: Vec<Store>,
    /// How many jobs are enqueued, claimed and settled
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// How many times, the verbs and the raw statements in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many jobs are enqueued in bulk, and then deleted by a filter
    #[arg(long, default_value_t = 100_000)]
    bulk: usize,
    /// How many jobs wait in the long line
    #[arg(long, default_value_t = 1_000_000)]
    waiting: usize,
}

/// How long the two halves of many jobs' lives took.
#[derive(Clone, Copy, Debug)]
struct Took {
    enqueue: Duration,
    /// Claims and settlements, 100 jobs at a time.
    work: Duration,
}

/// One store's figures; rates are jobs a second, medians over the rounds.
#[derive(Serialize)]
pub(crate) struct Figures {
    store: String,
    durability: String,
    enqueue_per_s: f64,
    raw_enqueue_per_s: f64,
    claim_and_settle_per_s: f64,
    raw_claim_and_settle_per_s: f64,
    /// What the verbs reach of the raw statements: the median over the rounds.
    claim_and_settle_share: f64,
    /// With several workers side by side.
    claim_and_settle_by_workers_per_s: Vec<(usize, f64)>,
    bulk_per_s: f64,
    /// Those of the bulk, listed and deleted 100 at a time.
    removed_per_s: f64,
    claims: claims::Figures,
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    for store in &arguments.stores {
        let figures = measure_one(arguments, *store).await.with_context(|| format!("on {store}"))?;
        print(&figures, arguments);
        all.push(figures);
    }
    Ok(all)
}

async fn measure_one(arguments: &Arguments, store: Store) -> Result<Figures> {
    let (mut verbs, mut raw) = (Vec::new(), Vec::new());
    let recording = match store {
        Store::Sqlite => None,
        Store::Postgres | Store::Redis => Some(recorder::record(store, arguments.jobs).await?),
    };
    for _ in 0..arguments.rounds {
        let fresh = stores::start(store)?;
        verbs.push(drive::all(&*fresh.storage().await?, arguments.jobs, |_| ()).await?);
        drop(fresh);
        raw.push(match &recording {
            None => raw_sqlite::drive(arguments.jobs)?,
            Some(recording) => replay::replay(recording, store, arguments.jobs).await?,
        });
    }
    let mut by_workers = Vec::new();
    for workers in [1, 2, 4] {
        let fresh = stores::start(store)?;
        let took = drive::side_by_side(fresh.storage().await?, arguments.jobs, workers).await?;
        by_workers.push((workers, rate(arguments.jobs, took)));
    }
    let fresh = stores::start(store)?;
    let storage = fresh.storage().await?;
    let bulk = drive::enqueue(&*storage, arguments.bulk, drive::MOST_IN_BULK).await?;
    let removed = removals::all(&*storage, arguments.bulk).await?;
    let (few, many) = (stores::start(store)?, stores::start(store)?);
    let claims = claims::measure(&*few.storage().await?, &*many.storage().await?, arguments.waiting).await?;
    let shares = verbs.iter().zip(&raw).map(|(verbs, raw)| raw.work.as_secs_f64() / verbs.work.as_secs_f64());
    let rates = |all: &[Took], part: fn(&Took) -> Duration| {
        median(all.iter().map(|took| rate(arguments.jobs, part(took))).collect())
    };
    Ok(Figures {
        store: store.to_string(),
        durability: fresh.durability().to_owned(),
        enqueue_per_s: rates(&verbs, |took| took.enqueue),
        raw_enqueue_per_s: rates(&raw, |took| took.enqueue),
        claim_and_settle_per_s: rates(&verbs, |took| took.work),
        raw_claim_and_settle_per_s: rates(&raw, |took| took.work),
        claim_and_settle_share: median(shares.collect()),
        claim_and_settle_by_workers_per_s: by_workers,
        bulk_per_s: rate(arguments.bulk, bulk),
        removed_per_s: rate(arguments.bulk, removed),
        claims,
    })
}

fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}

/// The middle one.
pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(figures: &Figures, arguments: &Arguments) {
    let Figures { store, durability, claims, .. } = figures;
    println!("\n{store} ({durability}), {} jobs, {} rounds", arguments.jobs, arguments.rounds);
    println!(
        "  enqueue, 1,000 at a time     {:>8.0}/s, raw {:>8.0}/s",
        figures.enqueue_per_s, figures.raw_enqueue_per_s
    );
    println!(
        "  claim and settle, 100 a time {:>8.0}/s, raw {:>8.0}/s: {:.0} %",
        figures.claim_and_settle_per_s,
        figures.raw_claim_and_settle_per_s,
        figures.claim_and_settle_share * 100.0
    );
    for (workers, rate) in &figures.claim_and_settle_by_workers_per_s {
        println!("  … by {workers} side by side         {rate:>8.0}/s");
    }
    println!("  {} jobs in bulk       {:>8.0}/s", arguments.bulk, figures.bulk_per_s);
    println!("  all of them deleted          {:>8.0}/s", figures.removed_per_s);
    for (from, claim) in [("one queue", &claims.from_one_queue), ("all queues", &claims.from_all_queues)] {
        println!(
            "  a claim of {} from {from}, {} waiting: {:.0} us, {} waiting: {:.0} us: {:.2} times",
            claims::BATCH,
            claims::FEW,
            claim.few_us,
            arguments.waiting,
            claim.many_us,
            claim.ratio
        );
    }
}
