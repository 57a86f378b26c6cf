//! What follows from a step for other jobs: children go on or are deleted, and jobs that waited at a limit go back to their
//! lines. Each step does some of it, within bounds; the rest is in the database, for the promotions.

use super::{damage::Suspect, fault::Fault, lines, ripples, tx::Tx};
use crate::storage::{Signal, StorageError};

/// How many children are told of ends within the step that ended a job, and how many jobs go back to their lines.
const MAX_AT_ONCE: usize = 100;

/// What a step has begun.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    /// Whether jobs with children have ended.
    pub(super) ripples: bool,
    /// The limits under which there may be room now, in the order in which it was made.
    pub(super) rooms: Vec<String>,
}

impl Consequences {
    pub(super) fn add(&mut self, other: Self) {
        self.ripples |= other.ripples;
        for target in other.rooms {
            self.room(target);
        }
    }

    pub(super) fn room(&mut self, target: String) {
        if !self.rooms.contains(&target) {
            self.rooms.push(target);
        }
    }

    fn is_empty(&self) -> bool {
        !self.ripples && self.rooms.is_empty()
    }
}

/// Does some of what follows from the step before. Nothing of that step is lost where it cannot be done.
pub(super) fn follow(tx: &mut Tx<'_>) -> Result<(), Fault> {
    let consequences = std::mem::take(&mut tx.effects.consequences);
    if consequences.is_empty() {
        return Ok(());
    }
    let done = if tx.leaves_consequences() { Ok(false) } else { tx.guarded(|tx| some(tx, &consequences)) };
    match done {
        Ok(true) => {}
        // Whoever promotes goes on with it.
        Ok(false) => tx.signal(Signal::Work),
        Err(fault) if fault.is_of_a_record() => {
            tracing::error!(error = %StorageError::from(fault), "what follows from a step is left to the promotions");
            tx.signal(Signal::Work);
        }
        // SQLite writes nothing more in this transaction, so that it has to be begun anew, without this.
        Err(fault) if fault.is_of_the_file() => {
            tracing::error!(
                "a damaged page was met in what follows from a step: from now on that is left to the promotions"
            );
            tx.leave_consequences();
            return Err(Fault::Unfollowed);
        }
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// Gives whether that was all.
fn some(tx: &mut Tx<'_>, consequences: &Consequences) -> Result<bool, Fault> {
    let suspect = Suspect::default();
    let mut all = true;
    if consequences.ripples {
        all &= ripples::spread(tx, MAX_AT_ONCE, &suspect)?.is_all;
    }
    let mut left = MAX_AT_ONCE;
    for target in &consequences.rooms {
        let moved = lines::move_back(tx, target, left, &suspect)?;
        left -= moved.jobs;
        all &= moved.is_all;
    }
    Ok(all)
}
