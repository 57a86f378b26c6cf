//! Waiting takes no thread: async handlers wait in their thousands while sync handlers compute on every thread.

use anyhow::{Result, ensure};
use serde_json::json;
use windlass_api::{Mode, State};
use windlass_tests::{Site, guest};

const WAITERS: usize = 1_000;
const COMPUTERS: usize = 2;

#[test]
fn a_thousand_waiting_jobs_end_together_while_every_thread_computes() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&["--sync-slots", &COMPUTERS.to_string(), "--async-slots", &WAITERS.to_string()])?;
    let deployed = host.deploy("mixed", &guest("mixed")?)?;
    let modes = |mode| deployed.version.handlers.iter().filter(move |handler| handler.mode == mode).count();
    ensure!(modes(Mode::Sync) > 0 && modes(Mode::Async) > 0, "the component has {:?}", deployed.version.handlers);

    let compute = json!({ "handler": "mixed/compute", "payload": { "ms": 6_000 }, "max_attempts": 1 });
    let computing = host.enqueue_all((0..COMPUTERS).map(|_| compute.clone()))?;
    for job in &computing {
        host.wait_until(*job, |detail| detail.job.state == State::Processing)?;
    }
    let wait = json!({ "handler": "mixed/wait", "payload": { "ms": 1_000 }, "max_attempts": 1 });
    host.enqueue_all((0..WAITERS).map(|_| wait.clone()))?;
    let all = host.all_ended()?;
    ensure!(all.iter().all(|job| job.state == State::Succeeded), "a job did not succeed");

    let (waited, computed): (Vec<_>, Vec<_>) = all.iter().partition(|job| job.mode == Mode::Async);
    ensure!((waited.len(), computed.len()) == (WAITERS, COMPUTERS), "{} and {}", waited.len(), computed.len());
    let first_made = waited.iter().map(|job| job.created_at).min().unwrap_or_default();
    let last_ended = waited.iter().filter_map(|job| job.finished_at).max().unwrap_or_default();
    let first_computed = computed.iter().filter_map(|job| job.finished_at).min().unwrap_or_default();
    let took_ms = last_ended.ms_since(first_made);
    println!("{WAITERS} jobs that wait 1 s took {took_ms} ms while {COMPUTERS} sync handlers computed");
    println!("computing ended {} ms after the waiting began", first_computed.ms_since(first_made));
    // The figure to reach is 3 s. A busy machine is given twice that; with a thread each it would be minutes.
    ensure!(took_ms < 6_000, "{WAITERS} waiting jobs took {took_ms} ms");
    Ok(())
}
