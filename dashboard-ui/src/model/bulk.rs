//! One action on many jobs, one request after the other, until the host takes them all at once.

use windlass_api::{CommandReply, JobId};

use super::job::Action;
use crate::{format::plural, trouble::Trouble};

/// How far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Bulk {
    /// What is done.
    pub action: Action,
    /// How many jobs there are in all.
    pub total: usize,
    /// Those that it was done to.
    pub done: Vec<JobId>,
    /// Those that are being stopped first.
    pub pending: usize,
    /// Those that refused, with the reason.
    pub refused: Vec<(JobId, String)>,
    /// Whether somebody stopped it, or the host was lost.
    pub stopped: Option<String>,
}

impl Bulk {
    /// Before the first job.
    #[must_use]
    pub const fn new(action: Action, total: usize) -> Self {
        Self { action, total, done: Vec::new(), pending: 0, refused: Vec::new(), stopped: None }
    }

    /// How many jobs were treated.
    #[must_use]
    pub fn treated(&self) -> usize {
        self.done.len() + self.refused.len()
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stopped.is_some() || self.treated() == self.total
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
        let jobs = |number: usize| plural(u64::try_from(number).unwrap_or(u64::MAX), "job", "jobs");
        let mut said = format!("{} {}.", jobs(self.done.len()), self.action.done());
        if self.pending > 0 {
            said.push_str(&format!(" {} being stopped first.", self.pending));
        }
        if let Some((_, reason)) = self.refused.first() {
            said.push_str(&format!(" {} refused: {reason}.", self.refused.len()));
        }
        if let Some(reason) = &self.stopped {
            said.push_str(&format!(" Stopped after {} of {}: {reason}.", self.treated(), self.total));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::{Problem, ProblemCode, State};

    use super::*;
    use crate::model::job::tests::summary;

    #[test]
    fn the_result_tells_what_happened_to_every_job() {
        let mut bulk = Bulk::new(Action::Delete, 3);
        let id = |number| summary(number, State::Failed).id;
        bulk.take(id(1), Ok(CommandReply { id: id(1), state: State::Deleted, pending: false }));
        bulk.take(id(2), Err(Trouble::Problem(Problem::new(ProblemCode::Conflict, "job 2 is processing"))));
        assert!(!bulk.is_over());
        bulk.take(id(3), Ok(CommandReply { id: id(3), state: State::Deleted, pending: false }));
        assert!(bulk.is_over());
        assert_eq!(bulk.summary(), "2 jobs deleted. 1 refused: job 2 is processing.");
    }

    #[test]
    fn a_lost_host_ends_it_and_the_rest_is_left_alone() {
        let mut bulk = Bulk::new(Action::Requeue, 100);
        let id = summary(1, State::Failed).id;
        bulk.take(id, Err(Trouble::Unreachable));
        assert!(bulk.is_over());
        assert_eq!(bulk.summary(), "0 jobs enqueued again. Stopped after 0 of 100: the host does not answer.");
    }
}
