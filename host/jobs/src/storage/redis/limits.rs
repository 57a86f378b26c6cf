//! Limits.

use async_trait::async_trait;
use windlass_api::{LimitRule, LimitTarget, LimitView, Rate};

use super::{
    RedisStorage,
    answer::{self, List},
    fault::{damaged, too_many_limits},
    script,
};
use crate::storage::{LimitStore, MAX_LIMITS, MAX_LINES_LOOKED_AT, Signal, StorageError};

/// A rule as the scripts take it: how many at once, how many starts, in which period; 0 for any.
pub(super) fn rule_numbers(rule: &LimitRule) -> [u64; 3] {
    let (starts, period_ms) = rule.rate.map_or((0, 0), |rate| (rate.count, rate.period_ms.min(1 << 50)));
    [u64::from(rule.concurrency.unwrap_or(0)), u64::from(starts), period_ms]
}

fn read(fields: &mut List) -> Result<LimitView, StorageError> {
    let target = fields.text()?;
    let target: LimitTarget = target.parse().map_err(|error| damaged(format_args!("the limit `{target}`"), error))?;
    if fields.is_empty() {
        return Err(damaged(format_args!("the limit `{target}`"), "its rule cannot be read"));
    }
    let (concurrency, count, period_ms) = (fields.number::<u32>()?, fields.number::<u32>()?, fields.number::<u64>()?);
    let rule = LimitRule {
        concurrency: (concurrency > 0).then_some(concurrency),
        rate: (count > 0).then_some(Rate { count, period_ms }),
    };
    let mut counted = || Ok::<_, StorageError>(u64::try_from(fields.number::<i64>()?).unwrap_or(0));
    let (running, held) = (counted()?, counted()?);
    Ok(LimitView { target, rule, running, held, keys: answer::optional_number(fields.next()?)? })
}

impl RedisStorage {
    /// The limits, each as far as it can be read, in the order of their targets.
    pub(super) async fn all_limits(&self) -> Result<Vec<Result<LimitView, StorageError>>, StorageError> {
        let mut call = self.call(&script::SHOW_LIMITS);
        call.arg(MAX_LINES_LOOKED_AT);
        let mut answer = List::of(self.run(call).await?)?;
        let mut limits = Vec::new();
        while !answer.is_empty() {
            limits.push(read(&mut List::of(answer.next()?)?));
        }
        limits.sort_by(|one, other| match (one, other) {
            (Ok(one), Ok(other)) => one.target.cmp(&other.target),
            (one, other) => one.is_err().cmp(&other.is_err()),
        });
        Ok(limits)
    }
}

#[async_trait]
impl LimitStore for RedisStorage {
    async fn limits(&self) -> Result<Vec<LimitView>, StorageError> {
        let mut limits = Vec::new();
        for limit in self.all_limits().await? {
            match limit {
                Ok(limit) => limits.push(limit),
                Err(error) => tracing::error!(%error, "a limit is left out of the list"),
            }
        }
        Ok(limits)
    }

    async fn put_limit(&self, target: &LimitTarget, rule: LimitRule) -> Result<(), StorageError> {
        let mut call = self.call(&script::PUT_LIMIT);
        call.arg(target.to_string());
        for number in rule_numbers(&rule) {
            call.arg(number);
        }
        call.arg(MAX_LIMITS);
        if answer::number::<i64>(self.run(call).await?)? == 0 {
            return Err(too_many_limits());
        }
        self.hub.tell(Signal::Work);
        Ok(())
    }

    async fn remove_limit(&self, target: &LimitTarget) -> Result<bool, StorageError> {
        let mut call = self.call(&script::REMOVE_LIMIT);
        call.arg(target.to_string());
        let was_there = answer::number::<i64>(self.run(call).await?)? == 1;
        self.hub.tell(Signal::Work);
        Ok(was_there)
    }
}
