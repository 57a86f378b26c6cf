//! The API under load: reads and enqueues at a steady rate beside jobs that run, and readers of events of which some read
//! nothing.

mod caller;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::Instant};

use self::caller::{Answered, Caller};
use crate::{
    drain::{Cpu, Host},
    stores::{self, Store},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The host's program, built in release
    #[arg(long)]
    host: PathBuf,
    /// The component with the handlers `noop` and `now`
    #[arg(long)]
    component: PathBuf,
    /// The store: it is started for this measurement alone
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// How many requests a second: a third of them enqueue a job, which is run, the others read
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// How long, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many connections the requests are spread over
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// How many follow the events meanwhile
    #[arg(long, default_value_t = 200)]
    readers: u32,
    /// How many of them read nothing
    #[arg(long, default_value_t = 20)]
    stalled: u32,
}

/// What was seen.
#[derive(Serialize)]
pub(crate) struct Figures {
    store: String,
    durability: String,
    rate: u32,
    seconds: u64,
    answered: u64,
    /// Those that were answered with another status than they should, or not at all.
    wrong: u64,
    /// From the instant at which a request was due to the end of its answer, in milliseconds.
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
    /// How late the last request was sent: where it is more than some milliseconds, the machine could not send as fast as asked.
    behind_ms: f64,
    events: u64,
    /// Resident memory of the host, in MiB.
    memory_before_mib: f64,
    memory_most_mib: f64,
    memory_after_mib: f64,
    /// Processors that the host used on average.
    processors: f64,
}

pub(crate) async fn measure(arguments: &Arguments) -> Result<Figures> {
    let running = stores::start(arguments.store)?;
    let host = Host::start(&arguments.host, running.url())?;
    host.deploy(&arguments.component)?;
    let heard = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    let memory_before_mib = memory_mib(host.pid())?;
    for at in 0..arguments.readers {
        readers.spawn(follow(host.address().to_owned(), at >= arguments.stalled, Arc::clone(&heard)));
    }
    let cpu = Cpu::of(host.pid())?;
    let begun = Instant::now();
    let (due, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let watching = tokio::spawn(watch(host.pid(), Arc::clone(&most)));
    let mut callers = JoinSet::new();
    for _ in 0..arguments.connections {
        let caller = Caller { address: host.address().to_owned(), begun, rate: arguments.rate, due: Arc::clone(&due) };
        callers.spawn(caller.call(u64::from(arguments.rate) * arguments.seconds));
    }
    let mut answered: Vec<Answered> = Vec::new();
    while let Some(caller) = callers.join_next().await {
        answered.extend(caller.context("a caller panicked")?);
    }
    let took = begun.elapsed();
    let cpu_us = Cpu::of(host.pid())?.since(cpu);
    watching.abort();
    let behind = answered.iter().map(|answered| answered.late).max().unwrap_or_default();
    let mut times: Vec<Duration> = answered.iter().map(|answered| answered.took).collect();
    times.sort_unstable();
    let at = |share: f64| {
        let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    let figures = Figures {
        store: arguments.store.to_string(),
        durability: running.durability().to_owned(),
        rate: arguments.rate,
        seconds: arguments.seconds,
        answered: answered.len() as u64,
        wrong: answered.iter().filter(|answered| !answered.is_right).count() as u64,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        longest_ms: at(1.0),
        behind_ms: behind.as_secs_f64() * 1e3,
        events: heard.load(Ordering::Relaxed),
        memory_before_mib,
        memory_most_mib: most.load(Ordering::Relaxed) as f64 / 1024.0,
        memory_after_mib: memory_mib(host.pid())?,
        processors: cpu_us / 1e6 / took.as_secs_f64(),
    };
    print(&figures, arguments);
    Ok(figures)
}

/// Follows the events; one that does not read holds its connection and lets what comes lie.
async fn follow(address: String, reads: bool, heard: Arc<AtomicU64>) -> Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    if !reads {
        std::future::pending::<()>().await;
    }
    let mut buffer = vec![0; 16 << 10];
    loop {
        let bytes = stream.read(&mut buffer).await?;
        if bytes == 0 {
            return Ok(());
        }
        let events = buffer[..bytes].windows(6).filter(|window| window == b"event:").count();
        heard.fetch_add(events as u64, Ordering::Relaxed);
    }
}

async fn watch(pid: u32, most: Arc<AtomicU64>) {
    loop {
        most.fetch_max(resident_kib(pid).unwrap_or(0), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn memory_mib(pid: u32) -> Result<f64> {
    Ok(resident_kib(pid).context("no resident memory")? as f64 / 1024.0)
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}

fn print(figures: &Figures, arguments: &Arguments) {
    println!(
        "\n{} ({}): {} requests/s for {} s on {} connections, {} readers of events, {} of them stalled",
        figures.store,
        figures.durability,
        figures.rate,
        figures.seconds,
        arguments.connections,
        arguments.readers,
        arguments.stalled
    );
    println!(
        "  {} answered, {} wrongly: p50 {:.2} ms, p99 {:.2} ms, longest {:.1} ms; the last was sent {:.1} ms late at most",
        figures.answered, figures.wrong, figures.p50_ms, figures.p99_ms, figures.longest_ms, figures.behind_ms
    );
    println!(
        "  {} events heard; the host held {:.0} MiB before, {:.0} at most, {:.0} after, and used {:.2} processors",
        figures.events,
        figures.memory_before_mib,
        figures.memory_most_mib,
        figures.memory_after_mib,
        figures.processors
    );
}
