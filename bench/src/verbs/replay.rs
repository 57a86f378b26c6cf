//! Says to a fresh store what was said before, and takes the time: the same statements or scripts, driven raw.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use windlass_jobs::api::State;

use super::{
    Took,
    drive::Phase,
    recorder::{Answers, Recording},
};
use crate::stores::{self, Store};

/// How long a store may take over one answer; a recording that it does not answer as before is of no use.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fails where the store does not end with as many jobs done as it did before.
pub(super) async fn replay(recording: &Recording, store: Store, jobs: usize) -> Result<Took> {
    let fresh = stores::start(store)?;
    let mut connections = Vec::new();
    for _ in 0..recording.connections {
        let stream = TcpStream::connect(fresh.address()).await?;
        stream.set_nodelay(true)?;
        connections.push((stream, Answers::new(store)));
    }
    let mut took = Took { enqueue: Duration::ZERO, work: Duration::ZERO };
    let mut buffer = vec![0; 1 << 16];
    for exchange in &recording.exchanges {
        let (stream, answers) = connections.get_mut(exchange.connection).context("a connection is missing")?;
        let begun = Instant::now();
        stream.write_all(&exchange.request).await?;
        let mut seen = 0;
        while seen < exchange.answers {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await;
            let read = read.context("the store does not answer as it did when this was recorded")??;
            ensure!(read > 0, "the store hung up");
            seen += answers.count(&buffer[..read]);
        }
        match exchange.phase {
            Phase::Enqueue => took.enqueue += begun.elapsed(),
            Phase::Work => took.work += begun.elapsed(),
            Phase::End => {}
        }
    }
    let done = fresh.storage().await?.counts().await?.of(State::Succeeded);
    ensure!(done == jobs as u64, "what was replayed ended {done} of {jobs} jobs, so it was not the same work");
    Ok(took)
}
