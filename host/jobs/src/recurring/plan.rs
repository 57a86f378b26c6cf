//! What a recurring job enqueues at a moment: decided purely.

use windlass_api::{Misfire, Timestamp};

use super::Schedule;

/// An instant is missed when it is older than this, in milliseconds, by the time a host comes to it. A minute is more than
/// a host is taken for alive after it was lost, so that the others fire what it left without calling it missed.
pub const GRACE_MS: u64 = 60_000;

/// What to do about an entry that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The instants to enqueue a job for, in order.
    pub fire: Vec<Timestamp>,
    /// When the entry is due next: not later than now where more jobs are to be enqueued than a plan may have.
    pub next_at: Option<Timestamp>,
    /// Whether instants were left out, since they were missed.
    pub left_out: bool,
}

/// Decides what to do at `now` about an entry that is due since `next_at`. Instants that are not missed are each fired. Of
/// missed ones none is under [`Misfire::Skip`]; under [`Misfire::RunOnce`] one job is enqueued for all that are due, as of
/// the last of them; under [`Misfire::CatchUp`] the newest `catch_up` are each fired. A plan has at most `most` jobs: the
/// rest is for the next one.
#[must_use]
pub fn plan(
    schedule: &Schedule,
    misfire: Misfire,
    catch_up: usize,
    next_at: Timestamp,
    now: Timestamp,
    most: usize,
) -> Plan {
    // The entry is due, so that much time has passed, whatever the clock says.
    let now = now.max(next_at);
    let in_time = Timestamp(now.0.saturating_sub(i64::try_from(GRACE_MS).unwrap_or(i64::MAX)));
    let due = |from: Timestamp| {
        let due = std::iter::successors(Some(from), |last| schedule.next_after(*last));
        due.take_while(move |instant| *instant <= now)
    };
    let (fire, left_out) = match misfire {
        _ if next_at >= in_time => (due(next_at).collect::<Vec<_>>(), false),
        Misfire::Skip => {
            let first = schedule.next_after(Timestamp(in_time.0 - 1));
            (first.into_iter().flat_map(due).collect(), true)
        }
        Misfire::RunOnce => {
            let last = schedule.last_until(next_at, now);
            (vec![last], last != next_at)
        }
        Misfire::CatchUp => {
            let oldest = due(next_at).take(catch_up.saturating_add(1)).collect::<Vec<_>>();
            if oldest.len() <= catch_up { (oldest, false) } else { (newest(schedule, next_at, now, catch_up), true) }
        }
    };
    let next_at = fire.get(most).copied().or_else(|| schedule.next_after(now));
    Plan { fire: fire.into_iter().take(most).collect(), next_at, left_out }
}

/// The newest instants of those from `first` to `now`, in order.
fn newest(schedule: &Schedule, first: Timestamp, now: Timestamp, count: usize) -> Vec<Timestamp> {
    let mut newest = Vec::new();
    let mut until = now;
    while newest.len() < count && first <= until {
        let last = schedule.last_until(first, until);
        newest.push(last);
        until = Timestamp(last.0 - 1);
    }
    newest.reverse();
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1_000;

    fn schedule(text: &str) -> Schedule {
        Schedule::read(text, None, Timestamp(0)).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    fn fired(misfire: Misfire, catch_up: usize, next_at: i64, now: i64) -> Vec<i64> {
        let schedule = schedule("every 10s");
        let plan = plan(&schedule, misfire, catch_up, at(next_at), at(now), MOST);
        assert_eq!(plan.next_at, schedule.next_after(at(now)));
        plan.fire.iter().map(|instant| instant.0 / 1_000).collect()
    }

    #[test]
    fn what_is_not_missed_is_fired_each_whatever_the_policy() {
        for misfire in [Misfire::Skip, Misfire::RunOnce, Misfire::CatchUp] {
            assert_eq!(fired(misfire, 1, 10, 19), [10]);
            assert_eq!(fired(misfire, 1, 10, 70), [10, 20, 30, 40, 50, 60, 70]);
        }
    }

    #[test]
    fn missed_instants_are_skipped_run_once_or_caught_up_with() {
        assert_eq!(fired(Misfire::Skip, 100, 10, 105), [50, 60, 70, 80, 90, 100]);
        assert_eq!(fired(Misfire::RunOnce, 100, 10, 105), [100]);
        assert_eq!(fired(Misfire::CatchUp, 100, 10, 105), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!(fired(Misfire::CatchUp, 3, 10, 105), [80, 90, 100]);
    }

    #[test]
    fn an_instant_that_was_missed_alone_is_left_out_only_where_that_is_wanted() {
        let daily = schedule("0 3 * * *");
        let plan = |misfire| plan(&daily, misfire, 100, at(3 * 3_600), at(9 * 3_600), MOST);
        let tomorrow = Some(at(27 * 3_600));
        assert_eq!(plan(Misfire::Skip), Plan { fire: vec![], next_at: tomorrow, left_out: true });
        let once = Plan { fire: vec![at(3 * 3_600)], next_at: tomorrow, left_out: false };
        assert_eq!((plan(Misfire::RunOnce), plan(Misfire::CatchUp)), (once.clone(), once));
    }

    #[test]
    fn a_plan_has_no_more_jobs_than_it_may_and_leaves_the_rest_for_the_next() {
        let schedule = schedule("every 10s");
        let first = plan(&schedule, Misfire::CatchUp, 100, at(10), at(105), 4);
        assert_eq!((first.fire.len(), first.next_at), (4, Some(at(50))));
        let second = plan(&schedule, Misfire::CatchUp, 100, at(50), at(105), 4);
        assert_eq!((second.fire[0], second.next_at), (at(50), Some(at(90))));
    }

    #[test]
    fn a_clock_that_is_behind_the_storage_fires_all_the_same() {
        assert_eq!(fired(Misfire::RunOnce, 100, 10, 10), [10]);
        let early = plan(&schedule("every 10s"), Misfire::Skip, 100, at(10), at(7), MOST);
        assert_eq!((early.fire, early.next_at), (vec![at(10)], Some(at(20))));
    }

    #[test]
    fn years_of_missed_seconds_are_dealt_with_in_a_moment() {
        let seconds = schedule("* * * * 1 *");
        let (first, now) = (at(0), "2040-06-01T00:00:00Z".parse::<Timestamp>().unwrap());
        let last = "2040-01-31T23:59:59Z".parse::<Timestamp>().unwrap();
        assert_eq!(plan(&seconds, Misfire::RunOnce, 0, first, now, MOST).fire, [last]);
        let caught_up = plan(&seconds, Misfire::CatchUp, 100, first, now, MOST).fire;
        assert_eq!((caught_up.len(), caught_up[0], caught_up[99]), (100, Timestamp(last.0 - 99_000), last));
    }
}
