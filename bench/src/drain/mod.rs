//! Jobs that do nothing, put in bulk and drained through a real host: the whole of Windlass and nothing else. And an idle
//! host, from enqueue to the start of the handler.

mod host;
mod latency;
mod processes;

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use windlass_jobs::{
    Client,
    api::{HandlerPath, JobRequest, Json, QueueName, State},
};

pub(crate) use self::{host::Host, processes::Cpu};
use crate::stores::{self, Store};

/// No bulk call carries more jobs.
const BULK: usize = 10_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The host's program, built in release
    #[arg(long)]
    host: PathBuf,
    /// The component with the handlers `noop` and `now`
    #[arg(long)]
    component: PathBuf,
    /// The stores: each is started for this measurement alone
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Store::Sqlite, Store::Postgres, Store::Redis])]
    stores: Vec<Store>,
    /// How many jobs to drain
    #[arg(long, default_value_t = 50_000)]
    jobs: usize,
    /// How many jobs to time on the idle host
    #[arg(long, default_value_t = 500)]
    samples: usize,
}

/// One store's figures.
#[derive(Serialize)]
pub(crate) struct Figures {
    store: String,
    durability: String,
    jobs: usize,
    runs: Vec<Drained>,
    idle: latency::Figures,
}

/// One way to drain.
#[derive(Serialize)]
struct Drained {
    handler: &'static str,
    enqueued_per_s: f64,
    drained_per_s: f64,
    /// Per job, over the draining, in microseconds.
    wall_us: f64,
    host_cpu_us: f64,
    store_cpu_us: f64,
    /// How long a run takes by the clock, the making of its sandbox included; runs are side by side.
    run_us: f64,
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
    let running = stores::start(store)?;
    let host = Host::start(&arguments.host, running.url())?;
    host.deploy(&arguments.component)?;
    let client = running.client().await?;
    let mut runs = Vec::new();
    // The first drain also loads the component, and is not counted.
    drain(&client, &host, &running, "noop", 1_000).await?;
    for handler in ["noop", "noop_async"] {
        runs.push(drain(&client, &host, &running, handler, arguments.jobs).await?);
    }
    let idle = latency::measure(&client, arguments.samples).await?;
    Ok(Figures {
        store: store.to_string(),
        durability: running.durability().to_owned(),
        jobs: arguments.jobs,
        runs,
        idle,
    })
}

async fn drain(
    client: &Client,
    host: &Host,
    running: &stores::Running,
    handler: &'static str,
    jobs: usize,
) -> Result<Drained> {
    let queue = QueueName::default();
    client.pause(&queue).await?;
    let path: HandlerPath = format!("bench/{handler}").parse()?;
    let before = client.counts().await?.of(State::Succeeded);
    let runs_before = run_us(client).await?;
    let begun = Instant::now();
    let mut left = jobs;
    while left > 0 {
        let now = left.min(BULK);
        client.enqueue_many(vec![JobRequest::new(path.clone(), Json::null()); now]).await?;
        left -= now;
    }
    let enqueued = begun.elapsed();
    let (host_before, store_before) = (Cpu::of(host.pid())?, running.cpu()?);
    let begun = Instant::now();
    client.resume(&queue).await?;
    let wanted = before + jobs as u64;
    while client.counts().await?.of(State::Succeeded) < wanted {
        ensure!(begun.elapsed().as_secs() < 600, "the host did not drain {jobs} jobs in 10 minutes");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let drained = begun.elapsed();
    let each = |micros: f64| micros / jobs as f64;
    Ok(Drained {
        handler,
        enqueued_per_s: jobs as f64 / enqueued.as_secs_f64(),
        drained_per_s: jobs as f64 / drained.as_secs_f64(),
        wall_us: each(drained.as_secs_f64() * 1e6),
        host_cpu_us: each(Cpu::of(host.pid())?.since(host_before)),
        store_cpu_us: each(running.cpu()?.since(store_before)),
        run_us: each(run_us(client).await? - runs_before),
    })
}

/// What the runs of the benchmark's handlers have taken so far, by the storage's own counters.
async fn run_us(client: &Client) -> Result<f64> {
    use windlass_jobs::{
        Clock as _, SystemClock,
        api::{CounterQuery, Grain, Timestamp},
    };
    // Of the last spans before an instant there are rows, so that one is the end of this hour.
    let before = SystemClock.now().plus_ms(Grain::Hour.span_ms());
    let query = CounterQuery { grain: Grain::Hour, from: Timestamp(0), before, module: None, handler: None };
    let rows = client.storage().counters(&query).await?;
    Ok(rows.iter().map(|row| row.run_us as f64).sum())
}

fn print(figures: &Figures) {
    let Figures { store, durability, jobs, runs, idle } = figures;
    println!("\n{store} ({durability}), {jobs} jobs");
    for run in runs {
        println!(
            "  {:<11} enqueued {:>8.0}/s, drained {:>7.0}/s: {:>6.1} us each; CPU of host {:>6.1} us, of store {:>6.1} us; a run takes {:>5.1} us",
            run.handler,
            run.enqueued_per_s,
            run.drained_per_s,
            run.wall_us,
            run.host_cpu_us,
            run.store_cpu_us,
            run.run_us
        );
    }
    println!(
        "  idle host, enqueue to start: p50 {:.2} ms, p99 {:.2} ms over {} jobs",
        idle.p50_ms, idle.p99_ms, idle.samples
    );
}
