//! One action on many jobs, those that were selected or all that pass a filter: the host does it by itself.

use windlass_api::{
    BulkAction, BulkActionRequest, BulkState, BulkVerb, FilteredCount, JobFilter, JobId, SkipReason, State,
};

use super::job::Action;
use crate::format::{count, plural};

/// No more jobs of a filter are treated in one go; whoever wants more does it again.
const MOST: u64 = BulkActionRequest::MAX_LIMIT as u64;

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
    pub fn in_one_go(self) -> u64 {
        self.count.min(MOST)
    }

    /// In words: `12 jobs`, `1,000 or more jobs`, and where not all are treated in one go, `the newest 100,000 of …`.
    #[must_use]
    pub fn words(self) -> String {
        let all =
            if self.more { format!("{} or more jobs", count(self.count)) } else { plural(self.count, "job", "jobs") };
        if self.in_one_go() == self.count { all } else { format!("the newest {} of {all}", count(MOST)) }
    }
}

/// What is done to a whole filter: what its jobs' state allows. Without a state only deleting, so that nothing that has
/// succeeded is run again unasked.
#[must_use]
pub fn fits_filter(action: Action, state: Option<State>) -> bool {
    state.map_or(action == Action::Delete, |state| action.fits(state))
}

/// What the host is asked to do to all jobs that pass a filter.
#[must_use]
pub fn request(action: Action, filter: JobFilter) -> BulkActionRequest {
    BulkActionRequest { newest: action == Action::RequeueNewest, ..BulkActionRequest::new(verb(action), filter) }
}

/// What the host is asked to do to jobs that were selected, each in the state that the viewer saw it in. Where they all are
/// in one, a job that has left it meanwhile is left alone; else the host does to each what its state allows.
#[must_use]
pub fn request_on(action: Action, jobs: &[(JobId, State)]) -> BulkActionRequest {
    let ids = jobs.iter().map(|(id, _)| *id).collect();
    let request = BulkActionRequest::on(verb(action), ids, common_state(jobs));
    BulkActionRequest { newest: action == Action::RequeueNewest, ..request }
}

/// The state that all of these are in.
#[must_use]
pub fn common_state(jobs: &[(JobId, State)]) -> Option<State> {
    let (_, first) = jobs.first()?;
    jobs.iter().all(|(_, state)| state == first).then_some(*first)
}

const fn verb(action: Action) -> BulkVerb {
    match action {
        Action::Requeue | Action::RequeueNewest => BulkVerb::Requeue,
        Action::Cancel => BulkVerb::Cancel,
        Action::Delete => BulkVerb::Delete,
    }
}

/// How many jobs a bulk action of the host is about, as far as that is known: it has looked at no more.
#[must_use]
pub fn total(action: &BulkAction) -> u64 {
    let matched = action.matched.map_or(0, |FilteredCount { count, .. }| count);
    matched.min(action.limit.into()).max(action.looked_at)
}

/// What a bulk action does, while it does it: `Deleting 1,200 of 10,000 jobs`.
#[must_use]
pub fn doing(action: &BulkAction) -> String {
    let verb = match (action.state, action.action) {
        (BulkState::Stopping, _) => "Stopping after",
        (_, BulkVerb::Requeue) => "Enqueueing",
        (_, BulkVerb::Delete) => "Deleting",
        (_, BulkVerb::Cancel) => "Cancelling",
    };
    match action.matched {
        None => format!("{verb} {} …", plural(action.looked_at, "job", "jobs")),
        Some(_) => format!("{verb} {} of {} …", count(action.looked_at), plural(total(action), "job", "jobs")),
    }
}

/// What came of a bulk action of the host, in some sentences, and whether something of it is not as it should be.
#[must_use]
pub fn outcome(action: &BulkAction) -> (String, bool) {
    let done = match action.action {
        BulkVerb::Requeue => "enqueued again",
        BulkVerb::Delete => "deleted",
        BulkVerb::Cancel => "cancelled",
    };
    let mut said = vec![format!("{} {done}.", plural(action.done, "job", "jobs"))];
    if action.pending > 0 {
        said.push(format!("{} being stopped first.", count(action.pending)));
    }
    let skipped = action.skipped.iter().filter(|(_, number)| **number > 0).map(|(reason, number)| {
        let why = match reason {
            SkipReason::OtherState => "in another state by then",
            SkipReason::NotAllowed => "in a state that does not allow it",
            SkipReason::NotUnique => "unique, with another one there",
            SkipReason::Gone => "gone by then",
        };
        format!("{} {why}", count(*number))
    });
    let skipped: Vec<_> = skipped.collect();
    if !skipped.is_empty() {
        said.push(format!("Left alone: {}.", skipped.join(", ")));
    }
    if action.failed > 0 {
        let reason = action.errors.first().map(|reason| format!(": {reason}")).unwrap_or_default();
        said.push(format!("{} failed{reason}.", count(action.failed)));
    }
    let (looked_at, total) = (count(action.looked_at), count(total(action)));
    match action.state {
        BulkState::Stopped => said.push(format!("Stopped after {looked_at} of {total}.")),
        BulkState::Failed => {
            let reason = action.errors.last().filter(|_| action.failed == 0);
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            said.push(format!("It gave up after {looked_at} of {total}{reason}."));
        }
        _ if action.limit_reached => said.push("There are more: do it again for the next.".to_owned()),
        _ => {}
    }
    (said.join(" "), action.failed > 0 || action.state == BulkState::Failed)
}

/// What is said of a bulk action that the host knows nothing of any more.
#[must_use]
pub fn lost(action: &BulkAction) -> String {
    format!(
        "The host that did it has stopped, or another one answers now. When it was last heard of, {} of {} were looked at. \
         Do it again for what is left.",
        count(action.looked_at),
        plural(total(action), "job", "jobs")
    )
}

#[cfg(test)]
mod tests {
    use windlass_api::Timestamp;

    use super::*;
    use crate::model::job::tests::summary;

    fn action(verb: BulkVerb, state: BulkState) -> BulkAction {
        BulkAction {
            id: "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55".parse().unwrap(),
            action: verb,
            filter: JobFilter { state: Some(State::Failed), ..JobFilter::default() },
            named: None,
            limit: BulkActionRequest::MAX_LIMIT,
            dry_run: false,
            by: "api".to_owned(),
            state,
            matched: Some(FilteredCount { count: 10_000, more: false }),
            looked_at: 1_200,
            done: 1_200,
            pending: 0,
            skipped: [].into(),
            failed: 0,
            errors: Vec::new(),
            limit_reached: false,
            started_at: Timestamp(0),
            ended_at: None,
        }
    }

    #[test]
    fn a_filter_is_named_by_how_many_pass_it() {
        let words = |count, more| Passing { count, more }.words();
        assert_eq!(words(1, false), "1 job");
        assert_eq!(words(100_000, false), "100,000 jobs");
        assert_eq!(words(100_001, false), "the newest 100,000 of 100,001 jobs");
        assert_eq!(words(100_000, true), "100,000 or more jobs");
        assert_eq!(words(12, true), "12 or more jobs");
    }

    #[test]
    fn what_has_succeeded_is_never_run_again_by_a_filter_that_names_no_state() {
        let offered = |state| Action::ALL.into_iter().filter(|action| fits_filter(*action, state)).collect::<Vec<_>>();
        assert_eq!(offered(None), [Action::Delete]);
        assert_eq!(offered(Some(State::Failed)), [Action::Requeue, Action::RequeueNewest, Action::Delete]);
        assert_eq!(offered(Some(State::Processing)), [Action::Cancel]);
    }

    #[test]
    fn a_bulk_action_tells_how_far_it_is_and_what_came_of_it() {
        let running = action(BulkVerb::Delete, BulkState::Running);
        assert_eq!(doing(&running), "Deleting 1,200 of 10,000 jobs …");
        let counting = BulkAction { matched: None, looked_at: 0, ..running.clone() };
        assert_eq!(doing(&counting), "Deleting 0 jobs …");
        let finished = BulkAction {
            looked_at: 10_000,
            done: 9_990,
            pending: 3,
            skipped: [(SkipReason::OtherState, 7), (SkipReason::Gone, 3)].into(),
            ..action(BulkVerb::Requeue, BulkState::Finished)
        };
        assert_eq!(
            outcome(&finished),
            (
                "9,990 jobs enqueued again. 3 being stopped first. Left alone: 7 in another state by then, 3 gone by then."
                    .to_owned(),
                false
            )
        );
        let stopped = action(BulkVerb::Delete, BulkState::Stopped);
        assert_eq!(outcome(&stopped), ("1,200 jobs deleted. Stopped after 1,200 of 10,000.".to_owned(), false));
        let failed = BulkAction { errors: vec!["no answer".to_owned()], ..action(BulkVerb::Cancel, BulkState::Failed) };
        assert_eq!(
            outcome(&failed),
            ("1,200 jobs cancelled. It gave up after 1,200 of 10,000: no answer.".to_owned(), true)
        );
        assert!(lost(&running).contains("1,200 of 10,000 jobs"));
    }

    #[test]
    fn the_request_says_what_the_button_says() {
        let filter = JobFilter { tag: Some("x".to_owned()), ..JobFilter::default() };
        let newest = request(Action::RequeueNewest, filter.clone());
        assert_eq!((newest.action, newest.newest, newest.limit), (BulkVerb::Requeue, true, None));
        assert_eq!(request(Action::Delete, filter.clone()), BulkActionRequest::new(BulkVerb::Delete, filter));
    }

    #[test]
    fn selected_jobs_are_named_in_one_request_with_the_state_that_they_have_in_common() {
        let job = |number, state| (summary(number, state).id, state);
        let failed = [job(1, State::Failed), job(2, State::Failed)];
        let asked = request_on(Action::RequeueNewest, &failed);
        assert_eq!((asked.ids.len(), asked.filter.state, asked.newest), (2, Some(State::Failed), true));
        let mixed = [job(1, State::Failed), job(2, State::Scheduled)];
        assert_eq!(request_on(Action::Delete, &mixed).filter.state, None);
    }
}
