//! What happened lately, from the host's counters: what the charts show, and which handlers fail.

use std::collections::BTreeMap;

use windlass_api::{CounterRow, Grain, HandlerPath, Timestamp};

use crate::order::sorted;

/// How far the charts look back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The last hour, by the minute.
    #[default]
    Hour,
    /// The last day, by the hour.
    Day,
    /// The last 30 days, by the day.
    Month,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// What its button says.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hour => "60 minutes",
            Self::Day => "24 hours",
            Self::Month => "30 days",
        }
    }

    /// Which counters to read.
    #[must_use]
    pub const fn grain(self) -> Grain {
        match self {
            Self::Hour => Grain::Minute,
            Self::Day | Self::Month => Grain::Hour,
        }
    }

    /// How long a bar is, in milliseconds, and how many there are.
    #[must_use]
    pub const fn bars(self) -> (i64, i64) {
        match self {
            Self::Hour => (60_000, 60),
            Self::Day => (3_600_000, 24),
            Self::Month => (86_400_000, 30),
        }
    }

    /// When the first bar begins.
    #[must_use]
    pub const fn from(self, now: Timestamp) -> Timestamp {
        let (span, number) = self.bars();
        Timestamp(now.0 - now.0.rem_euclid(span) - span * (number - 1))
    }
}

/// The counters that are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    rows: BTreeMap<(Timestamp, HandlerPath), CounterRow>,
}

/// What happened in a bar's span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// When it begins.
    pub at: Timestamp,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Runs that failed and are tried again.
    pub retried: u64,
}

impl Bar {
    /// Everything together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.succeeded + self.failed + self.retried
    }
}

/// What a handler did in all that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The handler.
    pub path: HandlerPath,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Runs that failed and are tried again.
    pub retried: u64,
    /// How long a run took on average, in microseconds; absent where none ended.
    pub mean_us: Option<u64>,
}

impl Traffic {
    /// From when on to ask: all that is shown at first, then only what may have changed since.
    #[must_use]
    pub fn ask_from(&self, reach: Reach, now: Timestamp) -> Timestamp {
        let newest = self.rows.keys().next_back().map(|(at, _)| *at);
        // The newest span and the one before are still counted in.
        let span = i64::try_from(reach.grain().span_ms()).unwrap_or(i64::MAX);
        newest.map_or(reach.from(now), |newest| reach.from(now).max(Timestamp(newest.0 - span)))
    }

    /// Takes rows that were asked for, in the place of what was known of their spans, and forgets what no chart shows.
    pub fn take(&mut self, rows: Vec<CounterRow>, reach: Reach, now: Timestamp) {
        for row in rows {
            let path = HandlerPath { module: row.module.clone(), handler: row.handler.clone() };
            self.rows.insert((row.at, path), row);
        }
        let first = reach.from(now);
        self.rows.retain(|(at, _), _| *at >= first);
    }

    /// The bars of a chart, oldest first, those without anything included.
    #[must_use]
    pub fn bars(&self, reach: Reach, now: Timestamp) -> Vec<Bar> {
        let (span, number) = reach.bars();
        let first = reach.from(now);
        let mut bars: Vec<_> =
            (0..number).map(|at| Bar { at: Timestamp(first.0 + at * span), ..Bar::default() }).collect();
        for row in self.rows.values() {
            let Ok(at) = usize::try_from((row.at.0 - first.0).div_euclid(span)) else { continue };
            if let Some(bar) = bars.get_mut(at) {
                bar.succeeded += row.succeeded;
                bar.failed += row.failed;
                bar.retried += row.retried;
            }
        }
        bars
    }

    /// What each handler did, those that failed most first.
    #[must_use]
    pub fn by_handler(&self) -> Vec<Handled> {
        let mut handlers: BTreeMap<&HandlerPath, (Handled, u64, u64)> = BTreeMap::new();
        for ((_, path), row) in &self.rows {
            let none = Handled { path: path.clone(), succeeded: 0, failed: 0, retried: 0, mean_us: None };
            let (handled, runs, run_us) = handlers.entry(path).or_insert((none, 0, 0));
            handled.succeeded += row.succeeded;
            handled.failed += row.failed;
            handled.retried += row.retried;
            *runs += row.runs;
            *run_us = run_us.saturating_add(row.run_us);
        }
        let handlers = handlers
            .into_values()
            .map(|(handled, runs, run_us)| Handled { mean_us: run_us.checked_div(runs), ..handled })
            .collect();
        let bad = |handled: &Handled| (handled.failed, handled.retried, handled.succeeded);
        sorted(handlers, |one, other| bad(other).cmp(&bad(one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const NOW: Timestamp = Timestamp(1_795_448_993_120);

    fn row(minutes_ago: i64, handler: &str, succeeded: u64, failed: u64) -> CounterRow {
        CounterRow {
            at: Grain::Minute.start_of(Timestamp(NOW.0 - minutes_ago * 60_000)),
            module: "m".parse().unwrap(),
            handler: handler.parse().unwrap(),
            made: 0,
            succeeded,
            failed,
            retried: 0,
            deleted: 0,
            runs: succeeded + failed,
            run_us: 1_000 * (succeeded + failed),
            fuel: 0,
        }
    }

    #[test]
    fn a_chart_has_all_its_bars_and_the_newest_is_the_present_one() {
        let mut traffic = Traffic::default();
        traffic.take(
            vec![row(0, "a", 3, 1), row(0, "b", 2, 0), row(59, "a", 7, 0), row(60, "a", 9, 9)],
            Reach::Hour,
            NOW,
        );
        let bars = traffic.bars(Reach::Hour, NOW);
        assert_eq!(bars.len(), 60);
        assert_eq!((bars[0].succeeded, bars[59].succeeded, bars[59].failed), (7, 5, 1));
        assert_eq!(bars.iter().map(Bar::total).sum::<u64>(), 13);
    }

    #[test]
    fn only_what_may_have_changed_is_asked_for_and_nothing_is_counted_twice() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.ask_from(Reach::Hour, NOW), Reach::Hour.from(NOW));
        traffic.take(vec![row(5, "a", 1, 0), row(0, "a", 1, 0)], Reach::Hour, NOW);
        assert_eq!(traffic.ask_from(Reach::Hour, NOW), row(1, "a", 0, 0).at);
        traffic.take(vec![row(0, "a", 4, 0)], Reach::Hour, NOW);
        assert_eq!(traffic.bars(Reach::Hour, NOW).iter().map(Bar::total).sum::<u64>(), 5);
    }

    #[test]
    fn what_is_too_old_for_the_chart_is_forgotten() {
        let mut traffic = Traffic::default();
        traffic.take(vec![row(0, "a", 1, 0)], Reach::Hour, NOW);
        let later = Timestamp(NOW.0 + 2 * 3_600_000);
        traffic.take(Vec::new(), Reach::Hour, later);
        assert_eq!(traffic, Traffic::default());
    }

    #[test]
    fn handlers_that_fail_come_first() {
        let mut traffic = Traffic::default();
        traffic.take(vec![row(0, "good", 100, 0), row(0, "bad", 0, 2), row(1, "bad", 1, 1)], Reach::Hour, NOW);
        let handlers = traffic.by_handler();
        assert_eq!((handlers[0].path.to_string().as_str(), handlers[0].failed), ("m/bad", 3));
        assert_eq!(handlers[1].mean_us, Some(1_000));
    }
}
