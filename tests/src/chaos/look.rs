//! What a host says of all jobs together.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use windlass_api::{Counts, JobId, JobSummary, Page, QueueView, State};

use super::http::request;

/// How many jobs a page has: as many as a host gives.
const PAGE: usize = 1_000;

/// The jobs in a state, or all of them, page by page.
///
/// # Errors
/// Where the host does not answer.
pub fn jobs(host: &str, state: Option<State>) -> Result<Vec<JobSummary>> {
    let filter = state.map(|state| format!("&state={}", state.as_str())).unwrap_or_default();
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/jobs?limit={PAGE}{filter}{cursor}");
        let page: Page<JobSummary> = request(host, "GET", &path, "")?.json()?;
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

/// Checks that the list, the counts and the queues say what each job says by itself.
pub(super) fn totals_agree(host: &str, states: &BTreeMap<JobId, State>) -> Result<()> {
    let listed = jobs(host, None)?;
    let by_id: BTreeMap<JobId, State> = listed.iter().map(|job| (job.id, job.state)).collect();
    ensure!(listed.len() == by_id.len(), "the list has {} entries for {} jobs", listed.len(), by_id.len());
    let odd = by_id.iter().find(|(job, state)| states.get(job) != Some(state));
    ensure!(odd.is_none(), "the list has {odd:?}, and the job itself says otherwise");
    let missing = states.keys().find(|job| !by_id.contains_key(job));
    ensure!(missing.is_none(), "{missing:?} is not in the list");

    let mut tally: BTreeMap<State, u64> = BTreeMap::new();
    states.values().for_each(|state| *tally.entry(*state).or_default() += 1);
    let mut counts: Counts = request(host, "GET", "/api/v1/counts", "")?.json()?;
    counts.0.retain(|_, count| *count > 0);
    ensure!(counts.0 == tally, "the counts are {:?}, and the jobs are {tally:?}", counts.0);

    let queues: Vec<QueueView> = request(host, "GET", "/api/v1/queues", "")?.json()?;
    let full = queues.iter().find(|queue| queue.enqueued + queue.processing > 0);
    ensure!(full.is_none(), "all jobs have ended, and a queue is not empty: {full:?}");
    Ok(())
}
