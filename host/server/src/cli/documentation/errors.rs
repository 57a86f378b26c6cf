//! The page of all codes: the problems of the API, the causes of failed runs. What to do about each stands here, so that
//! a new one does not compile, or has no page, before somebody has said it.

use std::fmt::Write as _;

use windlass_api::{Cause, Problem, ProblemCode};

use super::markdown::GENERATED;

/// In the order in which the API declares them.
const PROBLEMS: [ProblemCode; 21] = [
    ProblemCode::BadRequest,
    ProblemCode::InvalidField,
    ProblemCode::UnknownHandler,
    ProblemCode::PayloadMismatch,
    ProblemCode::KeyReused,
    ProblemCode::TooLarge,
    ProblemCode::TooSlow,
    ProblemCode::NotFound,
    ProblemCode::Conflict,
    ProblemCode::NotUnique,
    ProblemCode::ModuleRefused,
    ProblemCode::WouldBreak,
    ProblemCode::Forbidden,
    ProblemCode::Unauthenticated,
    ProblemCode::RoleTooLow,
    ProblemCode::TooManyAttempts,
    ProblemCode::ReadOnly,
    ProblemCode::TimedOut,
    ProblemCode::StorageUnavailable,
    ProblemCode::Busy,
    ProblemCode::Internal,
];

pub(super) fn page() -> String {
    let mut page = format!(
        "{GENERATED}# Error codes\n\n## Problems of the API\n\nEvery error of [the API](../api.md#errors) has one of these codes, which \
         stay. Its `detail` says what was wrong, with what, and what to do.\n\n| code | status | means | what to do |\n| --- | --- | --- | --- \
         |\n"
    );
    for code in PROBLEMS {
        let Problem { title, status, .. } = Problem::new(code, "");
        let word = word(code);
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{word}` | {status} | {title} | {} |", after_problem(code));
    }
    page.push_str(
        "\n## Causes of failed runs\n\nA run that does not succeed has one of these causes, shown with the job as `cause`. Where it is \
         `handler`, the handler may have added a code of its own. **Every cause is tried again while attempts are left**, unless the table \
         says otherwise.\n\n| cause | means | what to do |\n| --- | --- | --- |\n",
    );
    for &cause in Cause::ALL {
        let (means, after) = of_run(cause);
        let _ = writeln!(page, "| `{cause}` | {means} | {after} |");
    }
    page.push_str("\nWhat `windlass` itself ends with is told by [its commands](commands.md).\n");
    page
}

/// As it stands in an answer.
fn word(code: ProblemCode) -> String {
    serde_json::to_value(code).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn after_problem(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::BadRequest => {
            "correct the request as `detail` says: a path, a parameter, or JSON that cannot be read"
        }
        ProblemCode::InvalidField => "correct the field that `detail` names",
        ProblemCode::UnknownHandler => {
            "deploy the module first, correct the name (`windlass modules`), or let the job wait with `wait_for_handler`"
        }
        ProblemCode::PayloadMismatch => "correct the payload; `windlass modules show MODULE` has the handler's schema",
        ProblemCode::KeyReused => {
            "give each request an `Idempotency-Key` of its own; repeat one with the very same body"
        }
        ProblemCode::TooLarge => {
            "send less at once, or a reference to what is large; a component's limit is `[compile] component`"
        }
        ProblemCode::TooSlow => "send the body without long pauses; where the network is that slow, send less at once",
        ProblemCode::NotFound => "check the id or name; jobs that have ended are removed after their `[retention]`",
        ProblemCode::Conflict => "read the thing again and decide anew",
        ProblemCode::NotUnique => {
            "use the job that `job` names, wait for its end, or ask for `existing` or `replace` with `on_conflict`"
        }
        ProblemCode::ModuleRefused => "mend the component as `detail` says, build it, deploy it again",
        ProblemCode::WouldBreak => {
            "look at what `detail` names; mend the component, or do it all the same with `--force` (`force` in the API)"
        }
        ProblemCode::Forbidden => {
            "ask from the host's own machine, or give the host tokens: see [security](../security.md)"
        }
        ProblemCode::Unauthenticated => "send a token that the host knows and that has not expired",
        ProblemCode::RoleTooLow => "use a token of the role that `detail` names",
        ProblemCode::TooManyAttempts => "wait as long as `Retry-After` says; then send a right token",
        ProblemCode::ReadOnly => "ask another host of the same storage, or start this one without `read_only`",
        ProblemCode::TimedOut => "look whether it was done before you repeat it, or repeat it with the same id or key",
        ProblemCode::StorageUnavailable => {
            "ask again in a moment; where it goes on, look after the storage (`windlass check`)"
        }
        ProblemCode::Busy => "ask again in a moment; a host that is starting or stopping answers so",
        ProblemCode::Internal => "look into the host's log, which has what happened, and report it: it is a bug",
        // Whether anything is missing, the test tells.
        _ => "",
    }
}

/// What a cause means, and what to do about it.
fn of_run(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Handler => (
            "the handler returned an error",
            "read its message and code. One that the handler calls fatal is not tried again",
        ),
        Cause::Trap => (
            "the handler panicked, or trapped in another way of its own",
            "read message and backtrace, mend the handler, deploy it, `windlass jobs requeue --newest`",
        ),
        Cause::OutOfFuel => (
            "the run used up its fuel",
            "look for an endless loop; else give it more: `fuel` of the handler, `[limits] fuel` and `[limits.max] fuel`",
        ),
        Cause::Timeout => (
            "the run took longer than it may, waiting included",
            "look at its log for what it waited for; else give it more: `timeout` of job, handler or `[limits]`",
        ),
        Cause::OutOfMemory => (
            "the run asked for more memory than it may have",
            "work on less at once, or give it more: `memory` of the handler, `[limits]` or `[module.NAME.limits]`",
        ),
        Cause::StackOverflow => ("the handler called itself too deep", "look for a recursion without an end"),
        Cause::Exited => {
            ("the handler ended its process instead of returning", "return an error instead of calling `exit`")
        }
        Cause::ResultTooLarge => (
            "the result is over the limit",
            "return where something is kept rather than the thing itself; the limit is `[limits] result`",
        ),
        Cause::ResultNotJson => ("the result is not JSON", "mend the handler, or the library that it is written with"),
        Cause::Deadlock => {
            ("the handler waits for something that can never come", "look for an `.await` on what nothing completes")
        }
        Cause::Unloadable => (
            "the component could not be made ready to run on this host",
            "read the message; `windlass check` on that host tells of folders and settings that are not as they must be",
        ),
        Cause::ServerLost => (
            "the host was lost during the last attempt. Not tried again",
            "look for what ended the host; then `windlass jobs requeue`",
        ),
        Cause::Poison => (
            "three hosts were lost while they ran the job. Not tried again, so that it takes no more of them down",
            "find out what the job does to a host before you requeue it, and report it: no job should be able to",
        ),
        Cause::Host => ("the host failed, not the handler", "look into the host's log at that time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_says_what_to_do() {
        for code in PROBLEMS {
            assert!(!after_problem(code).is_empty(), "{code:?}");
        }
    }

    #[test]
    fn no_problem_is_left_out() {
        let source = include_str!("../../../../api/src/problem.rs");
        let declared =
            source.split_once("pub enum ProblemCode {").and_then(|(_, rest)| rest.split_once("\n}")).unwrap().0;
        let declared: Vec<_> = declared.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
        let told: Vec<_> = PROBLEMS.iter().map(|code| format!("{code:?}")).collect();
        assert_eq!(told, declared);
    }
}
