//! How much was moved.

use serde::Serialize;
use windlass_jobs::storage::Record;

use super::super::format;

/// Records by their kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) versions: u64,
    pub(super) queues: u64,
    pub(super) limits: u64,
    pub(super) recurring: u64,
    pub(super) counters: u64,
    pub(super) audit: u64,
    pub(super) jobs: u64,
}

impl Totals {
    pub(super) const fn add(&mut self, record: &Record) {
        match record {
            Record::Version(_) => self.versions += 1,
            Record::Queue(_) => self.queues += 1,
            Record::Limit(_) => self.limits += 1,
            Record::Recurring(_) => self.recurring += 1,
            Record::Counter(_) => self.counters += 1,
            Record::Audit(_) => self.audit += 1,
            Record::Job(_) => self.jobs += 1,
        }
    }

    pub(super) const fn sum(&self) -> u64 {
        self.versions + self.queues + self.limits + self.recurring + self.counters + self.audit + self.jobs
    }

    /// In words; kinds of which there are none are left out.
    pub(super) fn text(&self) -> String {
        let kinds = [
            (self.jobs, "job", "jobs"),
            (self.versions, "version of a module", "versions of modules"),
            (self.queues, "queue", "queues"),
            (self.limits, "limit", "limits"),
            (self.recurring, "recurring job", "recurring jobs"),
            (self.counters, "counter", "counters"),
            (self.audit, "entry of the audit log", "entries of the audit log"),
        ];
        let said = kinds
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{} {}", format::count(*count), if *count == 1 { one } else { many }));
        let said: Vec<_> = said.collect();
        if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_said_in_words() {
        let totals = Totals { versions: 1, jobs: 1_200, ..Totals::default() };
        assert_eq!(totals.text(), "1,200 jobs, 1 version of a module");
        assert_eq!(Totals::default().text(), "nothing");
        assert_eq!(totals.sum(), 1_201);
    }
}
