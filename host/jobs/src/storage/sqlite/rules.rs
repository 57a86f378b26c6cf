//! The limits, as each claim reads them.

use std::collections::HashMap;

use rusqlite::{Connection, Row};
use windlass_api::{LimitRule, LimitTarget, Rate};

use super::{fault::Fault, words::unsigned};
use crate::storage::StorageError;

/// What a limit is read by, in the order of [`Limit::read`].
pub(super) const COLUMNS: &str = "n, target, concurrency, rate_count, rate_period_ms";

/// How the line of a key is called.
const KEY: &str = "key:";

/// A limit as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// Its number: starts are counted under it.
    pub(super) n: i64,
    pub(super) target: LimitTarget,
    pub(super) rule: LimitRule,
}

impl Limit {
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let target = row.get::<_, String>(1)?;
        let damaged = |why: &dyn std::fmt::Display| Fault::damaged(format_args!("the limit of {target}"), why);
        let number = |at: usize| row.get::<_, Option<i64>>(at);
        let small = |value: i64| u32::try_from(value).map_err(|error| damaged(&error));
        let rate = match (number(3)?, number(4)?) {
            (Some(count), Some(period_ms)) => Some(Rate { count: small(count)?, period_ms: unsigned(period_ms) }),
            _ => None,
        };
        let rule = LimitRule { concurrency: number(2)?.map(small).transpose()?, rate };
        rule.check().map_err(|why| damaged(&why))?;
        Ok(Self { n: row.get(0)?, target: target.parse().map_err(|error| damaged(&error))?, rule })
    }
}

/// All limits, by what they are on.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// By the name of the line that they are on.
    exact: HashMap<String, Limit>,
    /// By the start of the keys that they are on.
    starts: HashMap<String, Limit>,
}

impl Rules {
    /// One that cannot be read is passed over: it must not keep everything from running.
    pub(super) fn read(db: &Connection) -> Result<Self, Fault> {
        let mut rules = Self::default();
        for limit in all(db)? {
            match &limit.target {
                LimitTarget::Keys(start) => rules.starts.insert(start.clone(), limit),
                target => rules.exact.insert(target.to_string(), limit),
            };
        }
        Ok(rules)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.starts.is_empty()
    }

    /// The limit of a line; of a key's, its own or that of the longest start that there is one for.
    pub(super) fn of(&self, line: &str) -> Option<&Limit> {
        let own = self.exact.get(line);
        let Some(key) = line.strip_prefix(KEY).filter(|_| own.is_none() && !self.starts.is_empty()) else { return own };
        let ends = (0..=key.len()).rev().filter(|end| key.is_char_boundary(*end));
        ends.into_iter().find_map(|end| self.starts.get(&key[..end]))
    }
}

/// All limits by what they are on, but for those that cannot be read.
pub(super) fn all(db: &Connection) -> Result<Vec<Limit>, Fault> {
    let mut query = db.prepare_cached(&format!("SELECT {COLUMNS} FROM limits"))?;
    let mut rows = query.query([])?;
    let mut limits = Vec::new();
    while let Some(row) = rows.next()? {
        match Limit::read(row) {
            Ok(limit) => limits.push(limit),
            Err(fault) if fault.is_of_a_record() => {
                tracing::error!(error = %StorageError::from(fault), "a limit is passed over, because it is damaged");
            }
            Err(fault) => return Err(fault),
        }
    }
    limits.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_own_limit_or_that_of_its_longest_start() {
        let limit = |n: i64, target: &str| {
            let rule = LimitRule { concurrency: Some(1), rate: None };
            Limit { n, target: target.parse().unwrap(), rule }
        };
        let mut rules = Rules::default();
        let of = |rules: &Rules, line: &str| rules.of(line).map(|limit| limit.n);
        assert!(rules.is_empty());
        rules.starts.insert("ä".into(), limit(1, "key:ä*"));
        rules.starts.insert("äb:".into(), limit(2, "key:äb:*"));
        rules.exact.insert("key:äb:c".into(), limit(3, "key:äb:c"));
        rules.exact.insert("queue:a".into(), limit(4, "queue:a"));
        assert_eq!(of(&rules, "key:ä"), Some(1));
        assert_eq!(of(&rules, "key:äb"), Some(1));
        assert_eq!(of(&rules, "key:äb:"), Some(2));
        assert_eq!(of(&rules, "key:äb:d"), Some(2));
        assert_eq!(of(&rules, "key:äb:c"), Some(3));
        assert_eq!((of(&rules, "key:b"), of(&rules, "queue:a"), of(&rules, "queue:b")), (None, Some(4), None));
        rules.starts.insert(String::new(), limit(5, "key:*"));
        assert_eq!(of(&rules, "key:b"), Some(5));
    }
}
