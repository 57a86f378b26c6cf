//! Going on past a job whose record is damaged: one such job must not stop all that stand behind it. It becomes `failed`,
//! reason `damaged`: once its record is repaired it can be requeued.

use windlass_api::{State, Usage};

use super::{
    fault::Fault,
    record::{self, Job},
    tx::Tx,
};
use crate::Fence;

/// Who sets damaged jobs aside.
const BY: &str = "storage";

/// Why.
const DAMAGED: &str = "damaged";

/// Sets aside jobs that have just been claimed.
pub(super) async fn set_aside(tx: &mut Tx<'_>, damaged: &[(Fence, String)]) -> Result<(), Fault> {
    let fences = damaged.iter().map(|(fence, _)| *fence).collect::<Vec<_>>();
    let now = tx.now();
    let mut changes = Vec::new();
    for (fence, job) in Job::fenced(tx, &fences).await? {
        let why = damaged.iter().find(|(of, _)| *of == fence).map_or("", |(_, why)| why.as_str());
        tracing::error!(job = %fence.job, why, "a job is set aside, because its record is damaged");
        let run = job.current_run();
        let mut change = job.change();
        change.job.become_now(now, State::Failed, Some(DAMAGED));
        change.record_run(now, run, Usage::default(), None, Some(BY))?;
        changes.push(change);
    }
    // The slots stay free for those behind them.
    tx.told.work = true;
    record::save(tx, &changes).await
}
