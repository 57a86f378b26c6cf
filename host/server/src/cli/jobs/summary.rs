//! What a bulk action came to, in words.

use windlass_api::{BulkAction, BulkState, BulkVerb, SkipReason};

use super::super::format;

pub(super) fn summary(action: &BulkAction) -> String {
    let verb = match action.action {
        BulkVerb::Requeue => "requeued",
        BulkVerb::Delete => "deleted",
        BulkVerb::Cancel => "cancelled",
    };
    let mut parts = vec![format!("{} jobs {verb}", format::count(action.done))];
    if action.pending > 0 {
        parts.push(format!("{} of which end when their sandboxes have stopped", format::count(action.pending)));
    }
    for (reason, jobs) in &action.skipped {
        let why = match reason {
            SkipReason::OtherState => "left alone since they changed their state meanwhile",
            SkipReason::NotAllowed => "left alone since their state does not allow it",
            SkipReason::NotUnique => "left alone since they are unique and another one is there",
            SkipReason::Gone if action.named.is_some() => "not there",
            SkipReason::Gone => "gone meanwhile",
        };
        parts.push(format!("{} {why}", format::count(*jobs)));
    }
    if action.failed > 0 {
        parts.push(format!("{} failed", format::count(action.failed)));
    }
    match action.state {
        BulkState::Stopped => parts.push("stopped before its end".to_owned()),
        BulkState::Failed => parts.push("given up before its end".to_owned()),
        _ if action.limit_reached => parts.push("there may be more: run it again".to_owned()),
        _ => {}
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use windlass_api::{BulkActionId, JobFilter, Timestamp};

    use super::*;

    fn action(state: BulkState) -> BulkAction {
        BulkAction {
            id: BulkActionId(uuid::Uuid::nil()),
            action: BulkVerb::Requeue,
            filter: JobFilter::default(),
            named: None,
            limit: 100_000,
            dry_run: false,
            by: "api".to_owned(),
            state,
            matched: None,
            looked_at: 0,
            done: 1_200,
            pending: 0,
            skipped: std::collections::BTreeMap::new(),
            failed: 0,
            errors: Vec::new(),
            limit_reached: false,
            started_at: Timestamp(0),
            ended_at: None,
        }
    }

    #[test]
    fn the_result_says_what_was_done_and_what_was_not() {
        assert_eq!(summary(&action(BulkState::Finished)), "1,200 jobs requeued");
        let skipped = [(SkipReason::OtherState, 3), (SkipReason::Gone, 1)].into();
        let stopped = BulkAction { skipped, failed: 2, ..action(BulkState::Stopped) };
        assert_eq!(
            summary(&stopped),
            "1,200 jobs requeued; 3 left alone since they changed their state meanwhile; 1 gone meanwhile; 2 failed; \
             stopped before its end"
        );
        let limited = BulkAction { limit_reached: true, ..action(BulkState::Finished) };
        assert_eq!(summary(&limited), "1,200 jobs requeued; there may be more: run it again");
    }
}
