//! Which limit a thing is under, and how much room there is in its line.
//!
//! A limited thing is a queue, a handler or one key; it is written as the target of a limit on it alone.

use std::collections::HashMap;

use sqlx::Row;
use windlass_api::{LimitRule, LimitTarget, Rate, Timestamp};

use super::{
    fault::Fault,
    tx::Tx,
    words::{signed, unsigned},
};

/// What the thing of a key begins with.
const KEY: &str = "key:";

/// All limits.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Those on one thing.
    exact: HashMap<String, (LimitTarget, LimitRule)>,
    /// Those on each key that starts so, the longest start first.
    starts: Vec<(String, LimitTarget, LimitRule)>,
}

impl Rules {
    pub(super) async fn read(tx: &mut Tx<'_>) -> Result<Self, Fault> {
        let query = tx.query("SELECT target, concurrency, rate_count, rate_period_ms FROM @limits ORDER BY target");
        let mut rules = Self::default();
        for row in tx.all(query).await? {
            let text = row.try_get::<String, _>(0)?;
            let rule = rule_of(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            // A limit that makes no sense must not hold up everything.
            match text.parse::<LimitTarget>() {
                Ok(target) if rule.check().is_ok() => rules.add(target, rule),
                _ => tracing::error!(target = text, "a limit is passed over, because it is damaged; put it again"),
            }
        }
        Ok(rules)
    }

    fn add(&mut self, target: LimitTarget, rule: LimitRule) {
        if let LimitTarget::Keys(start) = &target {
            let start = format!("{KEY}{start}");
            let at = self.starts.partition_point(|(other, ..)| other.len() >= start.len());
            self.starts.insert(at, (start, target, rule));
        } else {
            self.exact.insert(target.to_string(), (target, rule));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.starts.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&LimitTarget, LimitRule)> {
        let exact = self.exact.values().map(|(target, rule)| (target, *rule));
        exact.chain(self.starts.iter().map(|(_, target, rule)| (target, *rule)))
    }

    /// The limit that a thing is under.
    pub(super) fn of(&self, thing: &str) -> Option<(&LimitTarget, LimitRule)> {
        if let Some((target, rule)) = self.exact.get(thing) {
            return Some((target, *rule));
        }
        if !thing.starts_with(KEY) {
            return None;
        }
        let (_, target, rule) = self.starts.iter().find(|(start, ..)| thing.starts_with(start.as_str()))?;
        Some((target, *rule))
    }

    /// The things of a job that are under limits, in the order in which those are looked at.
    pub(super) fn things(&self, queue: &str, handler: &str, key: Option<&str>) -> Vec<String> {
        let mut things = vec![format!("queue:{queue}"), format!("handler:{handler}")];
        things.extend(key.map(|key| format!("{KEY}{key}")));
        things.retain(|thing| self.of(thing).is_some());
        things
    }
}

pub(super) fn rule_of(concurrency: Option<i64>, count: Option<i64>, period_ms: Option<i64>) -> LimitRule {
    let number = |value: i64| u32::try_from(value).unwrap_or(0);
    let rate =
        count.zip(period_ms).map(|(count, period_ms)| Rate { count: number(count), period_ms: unsigned(period_ms) });
    LimitRule { concurrency: concurrency.map(number), rate }
}

/// The line of a limited thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) n: i32,
    pub(super) running: i64,
    /// How long the parts are by which starts are counted, in milliseconds.
    pub(super) part_ms: i64,
    pub(super) parts: Vec<i64>,
    pub(super) starts: Vec<i64>,
}

impl Line {
    /// The starts that count at an instant, by their parts. Those of a rate with other parts do not.
    fn counted(&self, rate: &Rate, now: Timestamp) -> Vec<(u64, i64)> {
        if unsigned(self.part_ms) != rate.part_ms() {
            return Vec::new();
        }
        let all = self.parts.iter().map(|part| unsigned(*part)).zip(self.starts.iter().copied());
        let mut counted = all.filter(|(part, _)| rate.free_at(*part) > now).collect::<Vec<_>>();
        counted.sort_unstable();
        counted
    }

    /// How many more may start.
    pub(super) fn room(&self, rule: &LimitRule, now: Timestamp) -> usize {
        let left = |most: u32, used: i64| usize::try_from(i64::from(most).saturating_sub(used)).unwrap_or(0);
        let places = rule.concurrency.map_or(usize::MAX, |most| left(most, self.running));
        let starts = rule.rate.map_or(usize::MAX, |rate| {
            left(rate.count, self.counted(&rate, now).iter().map(|(_, starts)| *starts).sum())
        });
        places.min(starts)
    }

    /// When time makes room, where it is what is waited for.
    pub(super) fn frees_at(&self, rule: &LimitRule, now: Timestamp) -> Option<Timestamp> {
        let rate = rule.rate?;
        if rule.concurrency.is_some_and(|most| self.running >= i64::from(most)) {
            return None;
        }
        let counted = self.counted(&rate, now);
        let mut used = counted.iter().map(|(_, starts)| *starts).sum::<i64>();
        for (part, starts) in counted {
            if used < i64::from(rate.count) {
                return None;
            }
            used -= starts;
            if used < i64::from(rate.count) {
                return Some(rate.free_at(part));
            }
        }
        None
    }

    /// Takes a place. What no longer counts is forgotten.
    pub(super) fn take(&mut self, rule: &LimitRule, now: Timestamp) {
        self.running += 1;
        let Some(rate) = rule.rate else {
            (self.part_ms, self.parts, self.starts) = (0, Vec::new(), Vec::new());
            return;
        };
        let mut counted = self.counted(&rate, now);
        let part = rate.part_of(now);
        match counted.iter_mut().find(|(other, _)| *other == part) {
            Some((_, starts)) => *starts += 1,
            None => counted.push((part, 1)),
        }
        self.part_ms = signed(rate.part_ms());
        (self.parts, self.starts) = counted.into_iter().map(|(part, starts)| (signed(part), starts)).unzip();
    }

    /// From when on no start counts.
    pub(super) fn counts_until(&self, rule: &LimitRule) -> i64 {
        let last = self.parts.iter().max().map(|part| unsigned(*part));
        rule.rate.zip(last).map_or(0, |(rate, last)| rate.free_at(last).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(targets: &[&str]) -> Rules {
        let mut rules = Rules::default();
        for (n, target) in (1..).zip(targets) {
            rules.add(target.parse().unwrap(), LimitRule { concurrency: Some(n), rate: None });
        }
        rules
    }

    #[test]
    fn a_key_is_under_its_own_limit_or_that_of_its_longest_start() {
        let rules = rules(&["key:*", "key:a:*", "key:a:b", "queue:mail"]);
        let of = |thing: &str| rules.of(thing).map(|(target, _)| target.to_string());
        assert_eq!(of("key:a:b").as_deref(), Some("key:a:b"));
        assert_eq!(of("key:a:bc").as_deref(), Some("key:a:*"));
        assert_eq!(of("key:z").as_deref(), Some("key:*"));
        assert_eq!((of("queue:mail").as_deref(), of("queue:other")), (Some("queue:mail"), None));
        assert_eq!(rules.things("mail", "m/h", Some("z")), ["queue:mail", "key:z"]);
    }

    #[test]
    fn a_line_has_as_much_room_as_both_parts_of_its_limit_leave() {
        let rate = Rate { count: 3, period_ms: 60_000 };
        let rule = LimitRule { concurrency: Some(2), rate: Some(rate) };
        let (mut line, now) = (Line::default(), Timestamp(10_000));
        assert_eq!(line.room(&rule, now), 2);
        line.take(&rule, now);
        line.take(&rule, now);
        assert_eq!((line.room(&rule, now), line.frees_at(&rule, now)), (0, None), "an end makes room");
        line.running = 1;
        line.take(&rule, Timestamp(11_000));
        line.running = 0;
        assert_eq!(line.room(&rule, now), 0);
        assert_eq!(line.frees_at(&rule, now), Some(Timestamp(71_000)));
        assert_eq!(line.room(&rule, Timestamp(71_000)), 2);
        assert_eq!(line.counts_until(&rule), 72_000);
        let slower = LimitRule { rate: Some(Rate { period_ms: 120_000, ..rate }), ..rule };
        assert_eq!(line.room(&slower, now), 2, "starts of another period do not count");
    }
}
