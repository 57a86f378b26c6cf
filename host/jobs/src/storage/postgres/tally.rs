//! How many jobs there are and what happened, as steps append it for [`super::prune::fold`] to fold in.

use std::collections::BTreeMap;

use windlass_api::State;

use super::{fault::Fault, record::Change, tx::Tx};

/// What is counted by the minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Happened {
    pub(super) made: i64,
    pub(super) succeeded: i64,
    pub(super) failed: i64,
    pub(super) retried: i64,
    pub(super) deleted: i64,
    pub(super) runs: i64,
    pub(super) run_us: i64,
    pub(super) fuel: i64,
}

/// Appends what has changed in how many jobs there are and in what is counted.
pub(super) async fn tally(tx: &mut Tx<'_>, changes: &[Change]) -> Result<(), Fault> {
    let mut sums = BTreeMap::<(i32, i32), [i64; 15]>::new();
    for change in changes {
        let job = &change.job;
        let row = sums.entry((job.queue, job.handler)).or_default();
        if let Some(before) = change.before {
            row[before as usize] -= 1;
        }
        row[job.state as usize] += 1;
        let mut happened = change.happened;
        if change.before.is_some_and(|before| before != job.state) {
            match job.state {
                State::Succeeded => happened.succeeded += 1,
                State::Failed => happened.failed += 1,
                State::Deleted => happened.deleted += 1,
                _ => {}
            }
        }
        let counted = [
            happened.made,
            happened.succeeded,
            happened.failed,
            happened.retried,
            happened.deleted,
            happened.runs,
            happened.run_us,
            happened.fuel,
        ];
        for (sum, more) in row[7..].iter_mut().zip(counted) {
            *sum = sum.saturating_add(more);
        }
    }
    append(tx, sums.into_iter().map(|((queue, handler), row)| (queue, handler, row)).collect()).await
}

/// Appends rows of changes: of the seven states, then of the eight counters.
pub(super) async fn append(tx: &mut Tx<'_>, mut rows: Vec<(i32, i32, [i64; 15])>) -> Result<(), Fault> {
    rows.retain(|(_, _, row)| row.iter().any(|value| *value != 0));
    if rows.is_empty() {
        return Ok(());
    }
    let mut query = tx
        .query(
            "INSERT INTO @changes (at, queue, handler, scheduled, awaiting, enqueued, processing, succeeded, failed,
             deleted, n_made, n_succeeded, n_failed, n_retried, n_deleted, runs, run_us, fuel)
             SELECT @now, c.* FROM unnest($2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
             $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[]) AS c",
        )
        .bind(tx.instant())
        .bind(rows.iter().map(|(queue, _, _)| *queue).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, handler, _)| *handler).collect::<Vec<_>>());
    for at in 0..15 {
        query = query.bind(rows.iter().map(|(_, _, row)| row[at]).collect::<Vec<_>>());
    }
    tx.run(query).await?;
    Ok(())
}
