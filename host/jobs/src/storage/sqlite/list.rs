//! Lists of jobs, and how many pass a filter.
//!
//! Each list follows the one index that leaves the fewest jobs to look at, as the tallies know beforehand; what else the
//! filter asks is checked job by job, as long as there is time. A page's cursor is the number of the last job that was
//! looked at.

use std::{ops::ControlFlow, time::Duration};

use rusqlite::Connection;
use windlass_api::{FilteredCount, JobFilter, JobSummary, Page};

use super::{
    fault::Fault,
    number,
    search::{Cut, Wanted},
    show,
};
use crate::storage::{MAX_COUNTED, StorageError};

/// No page is longer.
const MAX_PAGE: usize = 1000;

/// The size of a page in SQLite's terms: at least 1, at most [`MAX_PAGE`].
pub(super) fn page_size(limit: usize) -> i64 {
    i64::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(1)
}

/// Reads a cursor that is a number.
pub(super) fn numbered(cursor: &str) -> Result<i64, Fault> {
    cursor.parse::<i64>().map_err(|_| Fault::cursor(cursor))
}

pub(super) fn jobs(
    db: &Connection,
    filter: &JobFilter,
    cursor: Option<&str>,
    limit: usize,
    budget: Duration,
) -> Result<Page<JobSummary>, Fault> {
    let before = cursor.map(numbered).transpose()?.unwrap_or(i64::MAX);
    let limit = limit.clamp(1, MAX_PAGE);
    let Some(wanted) = Wanted::of(db, filter)? else { return Ok(Page::new(Vec::new(), None)) };
    let (mut found, mut has_more) = (Vec::new(), false);
    let cut = wanted.scan(db, before, budget, |seq| {
        // One more than asked for tells whether there is a next page.
        has_more = found.len() == limit;
        if has_more {
            return ControlFlow::Break(());
        }
        found.push(seq);
        ControlFlow::Continue(())
    })?;
    let (next, searched_to) = match cut {
        Some(Cut { last }) => (Some(last), Some(number::instant_of(last))),
        None => (found.last().copied().filter(|_| has_more), None),
    };
    let (mut items, mut damaged) = (Vec::with_capacity(found.len()), 0);
    for seq in found {
        match show::summary(db, seq) {
            Ok(shown) => items.extend(shown.map(|(_, summary)| summary)),
            // One that cannot be shown hides no other; whoever asks for it is told why.
            Err(fault) if fault.is_of_a_record() => {
                tracing::error!(number = seq, error = %StorageError::from(fault), "a job is left out of a list");
                damaged += 1;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(Page { items, next: next.map(|seq| seq.to_string()), searched_to, damaged })
}

pub(super) fn count(db: &Connection, filter: &JobFilter, budget: Duration) -> Result<FilteredCount, Fault> {
    let counted =
        |count: u64, cut: bool| FilteredCount { count: count.min(MAX_COUNTED), more: cut || count > MAX_COUNTED };
    let Some(wanted) = Wanted::of(db, filter)? else { return Ok(counted(0, false)) };
    if let Some(jobs) = wanted.tallied(db)? {
        return Ok(counted(jobs, false));
    }
    if let Some(jobs) = wanted.count_by_index(db, MAX_COUNTED + 1)? {
        return Ok(counted(jobs, false));
    }
    let mut jobs = 0;
    let cut = wanted.scan(db, i64::MAX, budget, |_| {
        jobs += 1;
        if jobs > MAX_COUNTED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(counted(jobs, cut.is_some()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use windlass_api::State;

    use super::*;

    /// Jobs of one queue; every tenth has failed with a message, and all have a payload.
    fn database(jobs: i64) -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&mut db, "a test", true).unwrap();
        db.execute_batch(
            "INSERT INTO queues (name) VALUES ('q'); INSERT INTO handlers (module, name) VALUES ('m', 'h')",
        )
        .unwrap();
        for at in 0..jobs {
            let state = if at % 10 == 0 { State::Failed } else { State::Enqueued };
            let seq = number::first_of(windlass_api::Timestamp(at));
            db.execute(
                "INSERT INTO jobs (seq, id, handler, queue, mode, priority, state, attempt, max_attempts, run, losses,
                 lines, created_at, at, ready_at) VALUES (?1, ?2, 1, 1, 0, 5, ?3, 0, 1, 0, 0, 0, ?4, ?4, ?4)",
                (seq, uuid::Uuid::now_v7().as_bytes(), state as i64, at),
            )
            .unwrap();
            db.execute(
                "INSERT INTO payloads (seq, born, made_by, payload) VALUES (?1, 2, 'ann', ?2)",
                (seq, format!("{{\"n\":\"number {at}.\"}}")),
            )
            .unwrap();
            db.execute(
                "INSERT INTO tally (queue, handler, state, jobs) VALUES (1, 1, ?1, 1)
                 ON CONFLICT DO UPDATE SET jobs = jobs + 1",
                [state as i64],
            )
            .unwrap();
        }
        db
    }

    #[test]
    fn a_search_whose_time_is_over_says_how_far_it_came_and_goes_on_from_there() {
        let db = database(500);
        let filter = JobFilter { text: Some("number 7.".into()), ..JobFilter::default() };
        let mut cursor = None::<String>;
        let (mut found, mut pages, mut reached) = (Vec::new(), 0, i64::MAX);
        loop {
            let page = jobs(&db, &filter, cursor.as_deref(), 10, Duration::ZERO).unwrap();
            found.extend(page.items.iter().map(|item| item.created_at.0));
            pages += 1;
            if let Some(to) = page.searched_to {
                assert!(to.0 < reached, "each page comes further back");
                reached = to.0;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, [7]);
        assert!(pages > 100, "without any time, each page looks at one job or a few: there were {pages}");
        let counted = count(&db, &filter, Duration::ZERO).unwrap();
        assert!(counted.more && counted.count == 0, "{counted:?}");
        let all = jobs(&db, &filter, None, 10, Duration::from_secs(60)).unwrap();
        assert_eq!((all.items.len(), all.next, all.searched_to), (1, None, None));
    }

    #[test]
    fn a_count_over_several_handlers_ends_at_its_limit() {
        let db = database(20);
        db.execute_batch("INSERT INTO handlers (module, name) VALUES ('m', 'i'); UPDATE jobs SET handler = 1 + at % 2")
            .unwrap();
        let filter = JobFilter {
            module: Some("m".parse().unwrap()),
            created_from: Some(windlass_api::Timestamp(0)),
            ..JobFilter::default()
        };
        let wanted = Wanted::of(&db, &filter).unwrap().unwrap();
        for (limit, counted) in [(5, 5), (10, 10), (13, 13), (20, 20), (50, 20)] {
            assert_eq!(wanted.count_by_index(&db, limit).unwrap(), Some(counted), "up to {limit}");
        }
    }

    #[test]
    fn what_an_index_answers_is_found_without_a_budget() {
        let db = database(500);
        let mut seen = HashSet::new();
        let mut cursor = None::<String>;
        loop {
            let filter = JobFilter { state: Some(State::Failed), ..JobFilter::default() };
            let page = jobs(&db, &filter, cursor.as_deref(), 20, Duration::ZERO).unwrap();
            assert_eq!(page.searched_to, None);
            assert!(page.items.iter().all(|item| seen.insert(item.id)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 50);
        let between = JobFilter {
            created_from: Some(windlass_api::Timestamp(100)),
            created_before: Some(windlass_api::Timestamp(300)),
            ..JobFilter::default()
        };
        assert_eq!(count(&db, &between, Duration::ZERO).unwrap(), FilteredCount { count: 200, more: false });
    }
}
