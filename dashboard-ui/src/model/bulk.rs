//! One action on many jobs: a request for each, some at a time, until the host takes them all at once.

use windlass_api::{CommandReply, JobId, State};

use super::job::Action;
use crate::{
    format::{count, plural},
    trouble::Trouble,
};

/// No more jobs are treated in one go; whoever wants more does it again.
pub const MOST: usize = 10_000;

/// How many requests are under way at once: as many as a browser has connections to one host.
pub const AT_ONCE: usize = 6;

/// How many jobs pass a filter, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passing {
    /// How many were counted.
    pub count: u64,
    /// Whether there may be more.
    pub more: bool,
}

impl Passing {
    /// How many of them are treated in one go.
    #[must_use]
    pub fn in_one_go(self) -> usize {
        usize::try_from(self.count).unwrap_or(MOST).min(MOST)
    }

    /// In words: `12 jobs`, `100,000 or more jobs`, and where not all are treated in one go, `the newest 10,000 of …`.
    #[must_use]
    pub fn words(self) -> String {
        let all =
            if self.more { format!("{} or more jobs", count(self.count)) } else { plural(self.count, "job", "jobs") };
        if self.in_one_go() as u64 == self.count { all } else { format!("the newest {} of {all}", count(MOST as u64)) }
    }
}

/// What is done to a whole filter: what its jobs' state allows. Without a state only what ends jobs, so that nothing that
/// has succeeded is run again unasked.
#[must_use]
pub fn fits_filter(action: Action, state: Option<State>) -> bool {
    state.map_or_else(|| action.destroys(), |state| action.fits(state))
}

/// What came of it so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk {
    /// What is done.
    pub action: Action,
    /// How many jobs there are to be treated; where a filter says which, as many as were counted.
    pub total: usize,
    /// Those that it was done to.
    pub done: Vec<JobId>,
    /// Those that are being stopped first.
    pub pending: usize,
    /// Those that refused, with the reason.
    pub refused: Vec<(JobId, String)>,
    /// How many were passed over, since it cannot be done to them.
    pub unfit: usize,
    /// Whether there are more than are treated in one go.
    pub more: bool,
    /// Whether somebody stopped it, or the host was lost.
    pub stopped: Option<String>,
}

impl Bulk {
    /// Before the first job.
    #[must_use]
    pub const fn new(action: Action, total: usize) -> Self {
        Self { action, total, done: Vec::new(), pending: 0, refused: Vec::new(), unfit: 0, more: false, stopped: None }
    }

    /// How many jobs were treated.
    #[must_use]
    pub fn treated(&self) -> usize {
        self.done.len() + self.refused.len()
    }

    /// How many more are treated in this go.
    #[must_use]
    pub fn room(&self) -> usize {
        MOST.saturating_sub(self.treated())
    }

    /// Takes the answer for one job. A lost host ends it: nothing is tried on the rest blindly.
    pub fn take(&mut self, id: JobId, answer: Result<CommandReply, Trouble>) {
        match answer {
            Ok(reply) => {
                self.done.push(id);
                self.pending += usize::from(reply.pending);
            }
            Err(Trouble::Problem(problem)) => self.refused.push((id, problem.detail)),
            Err(trouble) => self.stopped = Some(trouble.to_string()),
        }
    }

    /// What came of it, in a sentence or two.
    #[must_use]
    pub fn summary(&self) -> String {
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut said = format!("{} {}.", plural(number(self.done.len()), "job", "jobs"), self.action.done());
        if self.pending > 0 {
            said.push_str(&format!(" {} being stopped first.", count(number(self.pending))));
        }
        if self.unfit > 0 {
            said.push_str(&format!(" {} left alone, since their state does not allow it.", count(number(self.unfit))));
        }
        if let Some((_, reason)) = self.refused.first() {
            said.push_str(&format!(" {} refused: {reason}.", count(number(self.refused.len()))));
        }
        if let Some(reason) = &self.stopped {
            let (treated, total) = (count(number(self.treated())), count(number(self.total)));
            said.push_str(&format!(" Stopped after {treated} of {total}: {reason}."));
        } else if self.more {
            said.push_str(" There are more: do it again for the next.");
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::{Problem, ProblemCode};

    use super::*;
    use crate::model::job::tests::summary;

    #[test]
    fn the_result_tells_what_happened_to_every_job() {
        let mut bulk = Bulk::new(Action::Delete, 3);
        let id = |number| summary(number, State::Failed).id;
        bulk.take(id(1), Ok(CommandReply { id: id(1), state: State::Deleted, pending: false }));
        bulk.take(id(2), Err(Trouble::Problem(Problem::new(ProblemCode::Conflict, "job 2 is processing"))));
        bulk.take(id(3), Ok(CommandReply { id: id(3), state: State::Deleted, pending: false }));
        assert_eq!((bulk.treated(), bulk.room()), (3, MOST - 3));
        assert_eq!(bulk.summary(), "2 jobs deleted. 1 refused: job 2 is processing.");
        (bulk.unfit, bulk.more) = (2, true);
        assert!(bulk.summary().ends_with(
            "2 left alone, since their state does not allow it. 1 refused: job 2 is processing. There are more: do it \
             again for the next."
        ));
    }

    #[test]
    fn a_lost_host_ends_it_and_the_rest_is_left_alone() {
        let mut bulk = Bulk::new(Action::Requeue, 100);
        let id = summary(1, State::Failed).id;
        bulk.take(id, Err(Trouble::Unreachable));
        assert!(bulk.stopped.is_some());
        assert_eq!(bulk.summary(), "0 jobs enqueued again. Stopped after 0 of 100: the host does not answer.");
    }

    #[test]
    fn a_filter_is_named_by_how_many_pass_it() {
        let words = |count, more| Passing { count, more }.words();
        assert_eq!(words(1, false), "1 job");
        assert_eq!(words(10_000, false), "10,000 jobs");
        assert_eq!(words(10_001, false), "the newest 10,000 of 10,001 jobs");
        assert_eq!(words(100_000, true), "the newest 10,000 of 100,000 or more jobs");
        assert_eq!(words(12, true), "12 or more jobs");
    }

    #[test]
    fn what_has_succeeded_is_never_run_again_by_a_filter_that_names_no_state() {
        let offered = |state| Action::ALL.into_iter().filter(|action| fits_filter(*action, state)).collect::<Vec<_>>();
        assert_eq!(offered(None), [Action::Cancel, Action::Delete]);
        assert_eq!(offered(Some(State::Failed)), [Action::Requeue, Action::RequeueNewest, Action::Delete]);
        assert_eq!(offered(Some(State::Processing)), [Action::Cancel]);
    }
}
