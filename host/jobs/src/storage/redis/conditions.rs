//! What jobs depend on besides their turn, as the scripts keep it.

use std::collections::BTreeSet;

use windlass_api::{After, ContinueOn, Digest, JobId, OnConflict, State, UniqueRule};

use super::bytes::{Reader, Why, position, state_number, uuid};
use crate::{Conditions, Start};

/// How long a rule is as it is kept: the key, the states as bits, the period, what becomes of a conflict.
pub(super) const RULE_BYTES: usize = 32 + 1 + 8 + 1;

/// How a job starts, as the scripts know it: in which way, and the delay or the instant.
pub(super) fn start_numbers(start: Start) -> (u8, i64) {
    match start {
        Start::Now => (0, 0),
        // So long that it never comes, and a number that Lua holds exactly.
        Start::After(delay_ms) => (1, i64::try_from(delay_ms).unwrap_or(i64::MAX).min(1 << 50)),
        Start::At(at) => (2, at.0),
        Start::WithHandler => (3, 0),
    }
}

fn read_start(way: u8, when: i64) -> Result<Start, Why> {
    match way {
        0 => Ok(Start::Now),
        1 => Ok(Start::After(u64::try_from(when).unwrap_or(0))),
        2 => Ok(Start::At(windlass_api::Timestamp(when))),
        3 => Ok(Start::WithHandler),
        other => Err(format!("there is no start {other}")),
    }
}

fn on_number(on: ContinueOn) -> u8 {
    position(ContinueOn::ALL, on)
}

pub(super) fn read_on(number: u8) -> Result<ContinueOn, Why> {
    ContinueOn::ALL.get(usize::from(number)).copied().ok_or_else(|| format!("there is no way {number} to continue"))
}

/// A rule as it is kept.
pub(super) fn rule_bytes(rule: &UniqueRule) -> Vec<u8> {
    let states = rule.states.iter().fold(0_u8, |bits, state| bits | 1 << state_number(*state));
    let period = rule.period_ms.map_or(0, |period_ms| i64::try_from(period_ms).unwrap_or(i64::MAX).min(1 << 50));
    let mut to = rule.key.0.to_vec();
    to.push(states);
    to.extend(period.to_be_bytes());
    to.push(position(OnConflict::ALL, rule.on_conflict));
    to
}

pub(super) fn read_rule(bytes: &[u8]) -> Result<UniqueRule, Why> {
    let mut reader = Reader(bytes);
    let key = reader.take(32)?.try_into().map(Digest).map_err(|_| "its key does not have 32 bytes")?;
    let (bits, period, conflict) = (reader.u8()?, reader.i64()?, reader.u8()?);
    let states: BTreeSet<State> =
        State::ALL.iter().copied().filter(|state| bits & (1 << state_number(*state)) != 0).collect();
    let on_conflict = OnConflict::ALL.get(usize::from(conflict)).copied();
    Ok(UniqueRule {
        key,
        states,
        period_ms: u64::try_from(period).ok().filter(|period_ms| *period_ms > 0),
        on_conflict: on_conflict.ok_or_else(|| format!("there is no way {conflict} out of a conflict"))?,
    })
}

/// Appends a new job's conditions to its head, as `births.lua` says; nothing where there are none.
pub(super) fn put_conditions(head: &mut Vec<u8>, conditions: &Conditions) {
    if conditions.is_empty() {
        return;
    }
    let Conditions { after, unique, expires_at, limit_key } = conditions;
    let given = [after.is_some(), unique.is_some(), expires_at.is_some(), limit_key.is_some()];
    head.push(given.iter().enumerate().fold(0, |bits, (bit, given)| bits | u8::from(*given) << bit));
    if let Some(after) = after {
        head.push(on_number(after.on));
        head.push(u8::try_from(after.jobs.len()).unwrap_or(u8::MAX));
        for job in after.jobs.iter().take(usize::from(u8::MAX)) {
            head.extend(job.0.as_bytes());
        }
    }
    if let Some(rule) = unique {
        head.extend(rule_bytes(rule));
    }
    if let Some(at) = expires_at {
        head.extend(at.0.to_be_bytes());
    }
    if let Some(key) = limit_key {
        head.extend(key.as_str().as_bytes());
    }
}

/// What a job continues, as `flow.lua` keeps it.
pub(super) struct Edges {
    pub(super) on: ContinueOn,
    /// How it starts once they are met.
    pub(super) start: Start,
    /// Its parents, and whether each is met.
    pub(super) parents: Vec<(JobId, bool)>,
}

impl Edges {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Why> {
        let mut reader = Reader(bytes);
        let (on, way, when) = (read_on(reader.u8()?)?, reader.u8()?, reader.i64()?);
        let mut parents = Vec::new();
        while !reader.0.is_empty() {
            parents.push((JobId(uuid(reader.take(16)?)?), reader.u8()? == 1));
        }
        Ok(Self { on, start: read_start(way, when)?, parents })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let (way, when) = start_numbers(self.start);
        let mut to = vec![on_number(self.on), way];
        to.extend(when.to_be_bytes());
        for (parent, met) in &self.parents {
            to.extend(parent.0.as_bytes());
            to.push(u8::from(*met));
        }
        to
    }

    /// What was asked for.
    pub(super) fn after(&self) -> After {
        After { jobs: self.parents.iter().map(|(parent, _)| *parent).collect(), on: self.on }
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::Timestamp;

    use super::*;

    #[test]
    fn a_rule_reads_back_as_it_was_kept() {
        let rule = UniqueRule {
            key: Digest([7; 32]),
            states: [State::Scheduled, State::Deleted].into(),
            period_ms: Some(1_000),
            on_conflict: OnConflict::Replace,
        };
        assert_eq!(rule_bytes(&rule).len(), RULE_BYTES);
        assert_eq!(read_rule(&rule_bytes(&rule)), Ok(rule.clone()));
        let rule = UniqueRule { period_ms: None, on_conflict: OnConflict::Reject, ..rule };
        assert_eq!(read_rule(&rule_bytes(&rule)), Ok(rule));
    }

    #[test]
    fn the_scripts_numbers_of_ways_are_the_words() {
        let ways = [ContinueOn::Success, ContinueOn::Failure, ContinueOn::Finished];
        assert_eq!(ways.map(on_number), [0, 1, 2]);
        let ways = [OnConflict::Reject, OnConflict::Existing, OnConflict::Replace];
        assert_eq!(ways.map(|way| position(OnConflict::ALL, way)), [0, 1, 2]);
    }

    #[test]
    fn what_a_job_continues_reads_back_as_it_was_kept() {
        let parent = JobId(uuid::Uuid::from_u128(5));
        for start in [Start::Now, Start::After(9), Start::At(Timestamp(-3)), Start::WithHandler] {
            let edges = Edges { on: ContinueOn::Finished, start, parents: vec![(parent, true), (parent, false)] };
            let read = Edges::read(&edges.encode()).unwrap();
            assert_eq!((read.start, read.on, read.parents), (start, edges.on, edges.parents));
        }
        assert!(Edges::read(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(Edges::read(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
    }
}
