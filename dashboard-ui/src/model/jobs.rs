//! The list of jobs. It follows by itself, except while somebody works in it: then its rows change in place, none moves,
//! and what is new waits behind a button.

use std::collections::BTreeSet;

use windlass_api::{JobId, JobSummary, Page, Timestamp};

use super::Loaded;
use crate::trouble::Trouble;

/// A job in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The job, as it was last seen.
    pub job: JobSummary,
    /// Whether the filter no longer lists it; it stays where it was until the list moves on.
    pub has_left: bool,
}

/// A page of the list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// What is shown.
    pub rows: Vec<Row>,
    /// Where the next page begins.
    pub next: Option<String>,
    /// How far back was searched, where the search was cut short.
    pub searched_to: Option<Timestamp>,
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Jobs {
    /// What is shown, or why it is not.
    pub listed: Loaded<Listed>,
    /// The page that is held back while somebody works in the list.
    held: Option<Page<JobSummary>>,
    /// What is selected, and where its range was begun.
    pub selected: BTreeSet<JobId>,
    /// Whether not only the shown ones are selected but all that pass the filter.
    pub is_whole: bool,
    anchor: Option<JobId>,
    /// Which question the list is an answer to; answers to earlier ones are dropped.
    question: u64,
}

/// What waits to be shown while somebody works in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    Nothing,
    /// So many jobs that are newer than what is shown.
    Newer(usize),
    /// Jobs that move up, since others have left.
    Other,
}

/// What happens to the list.
#[derive(Clone, Debug)]
pub enum Event {
    /// Another filter or page was chosen.
    Asked,
    /// An answer came. `hold` says that somebody works in the list.
    Arrived {
        /// The question that it answers.
        question: u64,
        /// The page.
        answer: Result<Page<JobSummary>, Trouble>,
        /// Whether rows must stay where they are.
        hold: bool,
    },
    /// What waits is to be shown.
    ShowHeld,
    /// A job was selected, or no longer is. With `range`, everything from the one before to this.
    Toggled {
        /// The job.
        id: JobId,
        /// Whether the shift key was held.
        range: bool,
    },
    /// All that is shown was selected, or nothing any more.
    ToggledAll,
    /// All that passes the filter was selected, shown or not.
    WholeSelected,
    /// The selection is to be forgotten.
    Cleared,
}

impl Jobs {
    /// What to ask under.
    #[must_use]
    pub const fn question(&self) -> u64 {
        self.question
    }

    /// The rows that are shown.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        self.listed.value.as_ref().map(|listed| listed.rows.as_slice()).unwrap_or_default()
    }

    /// A job of the list.
    #[must_use]
    pub fn row(&self, id: JobId) -> Option<&Row> {
        self.rows().iter().find(|row| row.job.id == id)
    }

    /// What waits to be shown.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let held = self.held.as_ref().map(|page| page.items.as_slice()).unwrap_or_default();
        let first = self.rows().first().map(|row| row.job.id);
        let fresh: Vec<_> = held.iter().map(|job| job.id).filter(|id| self.row(*id).is_none()).collect();
        match fresh.len() {
            0 => Waiting::Nothing,
            number if fresh.iter().all(|id| Some(*id) > first) => Waiting::Newer(number),
            _ => Waiting::Other,
        }
    }

    /// The selected jobs, in the order of the list.
    #[must_use]
    pub fn selection(&self) -> Vec<JobSummary> {
        self.rows().iter().filter(|row| self.selected.contains(&row.job.id)).map(|row| row.job.clone()).collect()
    }

    /// Whether everything that is shown is selected.
    #[must_use]
    pub fn is_all_selected(&self) -> bool {
        !self.rows().is_empty() && self.rows().iter().all(|row| self.selected.contains(&row.job.id))
    }

    fn show(&mut self, page: Page<JobSummary>) {
        let rows: Vec<_> = page.items.into_iter().map(|job| Row { job, has_left: false }).collect();
        self.selected.retain(|id| rows.iter().any(|row| row.job.id == *id));
        self.listed.take(Ok(Listed { rows, next: page.next, searched_to: page.searched_to }));
        self.held = None;
    }

    /// Brings what is shown up to date without moving a row.
    fn hold(&mut self, page: Page<JobSummary>) {
        // Nobody works in a list that has no rows, nor in one of which all are gone.
        let has_rows = |listed: &&mut Listed| !listed.rows.is_empty() && !page.items.is_empty();
        let Some(listed) = self.listed.value.as_mut().filter(has_rows) else {
            return self.show(page);
        };
        self.listed.trouble = None;
        for row in &mut listed.rows {
            match page.items.iter().find(|job| job.id == row.job.id) {
                Some(job) => *row = Row { job: job.clone(), has_left: false },
                // Pushed off the page by newer ones, it may well pass the filter still: it is marked only where the
                // page goes on beyond it.
                None => row.has_left = page.items.last().is_none_or(|last| last.id < row.job.id) || page.next.is_none(),
            }
        }
        self.held = Some(page);
    }

    fn select_range(&mut self, id: JobId) {
        let position = |id: JobId| self.rows().iter().position(|row| row.job.id == id);
        let (Some(from), Some(to)) = (self.anchor.and_then(position), position(id)) else {
            self.selected.insert(id);
            return;
        };
        let range: Vec<_> = self.rows()[from.min(to)..=from.max(to)].iter().map(|row| row.job.id).collect();
        self.selected.extend(range);
    }
}

/// Takes in what happens.
pub fn update(event: Event, jobs: &mut Jobs) {
    if matches!(event, Event::Asked | Event::Toggled { .. } | Event::ToggledAll | Event::Cleared) {
        jobs.is_whole = false;
    }
    match event {
        Event::Asked => {
            // The rows stay until the answer is there, so that nothing flickers; the selection is not for them any more.
            jobs.question += 1;
            jobs.selected.clear();
            jobs.anchor = None;
            jobs.held = None;
        }
        Event::Arrived { question, .. } if question != jobs.question => {}
        Event::Arrived { answer: Ok(page), hold: true, .. } => jobs.hold(page),
        Event::Arrived { answer: Ok(page), hold: false, .. } => jobs.show(page),
        Event::Arrived { answer: Err(trouble), .. } => {
            if !trouble.may_pass() {
                jobs.listed.value = None;
            }
            jobs.listed.trouble = Some(trouble);
        }
        Event::ShowHeld => {
            if let Some(page) = jobs.held.take() {
                jobs.show(page);
            }
        }
        Event::Toggled { id, range: true } => jobs.select_range(id),
        Event::Toggled { id, range: false } => {
            if !jobs.selected.remove(&id) {
                jobs.selected.insert(id);
            }
            jobs.anchor = Some(id);
        }
        Event::ToggledAll if jobs.is_all_selected() => jobs.selected.clear(),
        Event::ToggledAll => jobs.selected = jobs.rows().iter().map(|row| row.job.id).collect(),
        Event::WholeSelected => jobs.is_whole = true,
        Event::Cleared => jobs.selected.clear(),
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::State;

    use super::*;
    use crate::model::job::tests::summary;

    fn page(numbers: &[u128]) -> Page<JobSummary> {
        Page::new(numbers.iter().map(|number| summary(*number, State::Enqueued)).collect(), Some("more".to_owned()))
    }

    fn arrive(jobs: &mut Jobs, numbers: &[u128], hold: bool) {
        update(Event::Arrived { question: jobs.question(), answer: Ok(page(numbers)), hold }, jobs);
    }

    fn shown(jobs: &Jobs) -> Vec<u128> {
        jobs.rows().iter().map(|row| row.job.id.0.as_u128()).collect()
    }

    fn id(number: u128) -> JobId {
        summary(number, State::Enqueued).id
    }

    #[test]
    fn the_list_follows_while_nobody_works_in_it() {
        let mut jobs = Jobs::default();
        assert!(jobs.listed.is_loading());
        arrive(&mut jobs, &[3, 2, 1], false);
        arrive(&mut jobs, &[4, 3, 2], false);
        assert_eq!(shown(&jobs), [4, 3, 2]);
    }

    #[test]
    fn under_the_pointer_rows_change_in_place_and_news_wait() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[3, 2, 1], false);
        let mut news = page(&[5, 4, 3, 1]);
        news.items[2].state = State::Succeeded;
        update(Event::Arrived { question: 0, answer: Ok(news), hold: true }, &mut jobs);
        assert_eq!(shown(&jobs), [3, 2, 1]);
        assert_eq!(jobs.rows()[0].job.state, State::Succeeded);
        assert_eq!(jobs.rows().iter().map(|row| row.has_left).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(jobs.waiting(), Waiting::Newer(2));
        update(Event::ShowHeld, &mut jobs);
        assert_eq!((shown(&jobs), jobs.waiting()), (vec![5, 4, 3, 1], Waiting::Nothing));
        arrive(&mut jobs, &[3, 2, 1], true);
        assert_eq!(jobs.waiting(), Waiting::Other);
    }

    #[test]
    fn an_empty_list_is_not_held() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[], false);
        arrive(&mut jobs, &[1], true);
        assert_eq!((shown(&jobs), jobs.waiting()), (vec![1], Waiting::Nothing));
        arrive(&mut jobs, &[], true);
        assert!(shown(&jobs).is_empty());
    }

    #[test]
    fn a_job_that_newer_ones_push_off_the_page_has_not_left_the_filter() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[3, 2, 1], false);
        arrive(&mut jobs, &[5, 4, 3], true);
        assert!(jobs.rows().iter().all(|row| !row.has_left));
    }

    #[test]
    fn an_answer_to_an_earlier_question_is_dropped() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[1], false);
        update(Event::Asked, &mut jobs);
        update(Event::Arrived { question: 0, answer: Ok(page(&[9])), hold: false }, &mut jobs);
        assert_eq!(shown(&jobs), [1]);
    }

    #[test]
    fn an_outage_leaves_the_rows_and_a_refusal_does_not() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[1], false);
        let fail =
            |jobs: &mut Jobs, trouble| update(Event::Arrived { question: 0, answer: Err(trouble), hold: false }, jobs);
        fail(&mut jobs, Trouble::Unreachable);
        assert_eq!((shown(&jobs), jobs.listed.trouble.clone()), (vec![1], Some(Trouble::Unreachable)));
        fail(&mut jobs, Trouble::NotOffered);
        assert_eq!(shown(&jobs), [0_u128; 0]);
    }

    #[test]
    fn selecting_takes_one_a_range_or_the_page() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[5, 4, 3, 2, 1], false);
        update(Event::Toggled { id: id(4), range: false }, &mut jobs);
        update(Event::Toggled { id: id(2), range: true }, &mut jobs);
        let selected = |jobs: &Jobs| jobs.selection().iter().map(|job| job.id.0.as_u128()).collect::<Vec<_>>();
        assert_eq!(selected(&jobs), [4, 3, 2]);
        update(Event::ToggledAll, &mut jobs);
        assert!(jobs.is_all_selected());
        update(Event::ToggledAll, &mut jobs);
        assert_eq!(selected(&jobs), [0_u128; 0]);
        update(Event::Toggled { id: id(5), range: false }, &mut jobs);
        update(Event::Asked, &mut jobs);
        assert!(jobs.selected.is_empty());
    }

    #[test]
    fn the_whole_filter_is_selected_until_the_selection_changes() {
        let mut jobs = Jobs::default();
        arrive(&mut jobs, &[3, 2, 1], false);
        let changes = [Event::Toggled { id: id(1), range: false }, Event::ToggledAll, Event::Cleared, Event::Asked];
        for change in changes {
            update(Event::WholeSelected, &mut jobs);
            arrive(&mut jobs, &[3, 2, 1], true);
            assert!(jobs.is_whole);
            update(change, &mut jobs);
            assert!(!jobs.is_whole);
        }
    }
}
