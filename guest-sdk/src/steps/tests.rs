//! What a handler's author relies on, and what goes wrong, against the stand-in for the host.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    CheckpointError, Context, EnqueueError, JobError, JobId, JobRequest, Level, Parent, ParentError,
    bindings::types as wit,
    host::Host,
    testing::{RecordedStep, Recorder, TestContext, block_on},
    time,
};

fn code(error: &JobError) -> (bool, &str, &str) {
    let failure = error.failure().unwrap();
    (matches!(error, JobError::Fatal(_)), &failure.code, &failure.message)
}

/// Three steps in a row, of which the work is counted; fails after one of them.
fn three(ctx: &Context, fail_after: u32, done: &RefCell<Vec<String>>) -> Result<u32, JobError> {
    let mut sum = 0;
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        sum += ctx.step(name, |key| {
            done.borrow_mut().push(key.to_owned());
            Ok(number * 10 + ctx.attempt())
        })?;
        if number == fail_after {
            return Err(JobError::retry("asked", "the test asked for it"));
        }
    }
    Ok(sum)
}

#[test]
fn each_step_is_done_once_whichever_of_them_an_attempt_fails_after() {
    let done = RefCell::new(Vec::new());
    let mut test = TestContext::new().with_id("J");
    for attempt in 1..=3 {
        test = test.with_attempt(attempt);
        assert_eq!(code(&three(&test.context(), attempt, &done).unwrap_err()).1, "asked");
    }
    assert_eq!(three(&test.with_attempt(4).context(), 0, &done).unwrap(), 11 + 22 + 33);
    assert_eq!(*done.borrow(), ["J-one", "J-two", "J-three"]);
}

#[test]
fn a_step_that_fails_is_not_recorded_and_says_what_it_says() {
    let test = TestContext::new();
    let ctx = test.context();
    for error in [JobError::snooze(Duration::from_secs(5)), JobError::fatal("declined", "no"), JobError::Cancelled] {
        assert_eq!(ctx.step::<u8>("charge", |_| Err(error.clone())), Err(error));
    }
    assert!(test.steps().is_empty());
    // It failed, so the same run may try again.
    assert_eq!(ctx.step("charge", |_| Ok("x".parse::<u8>().unwrap_or(7))), Ok(7));
    assert_eq!(test.steps(), [RecordedStep { name: "charge".into(), result: json!(7) }]);
}

#[test]
fn errors_of_the_work_become_those_of_the_job() {
    fn handler(ctx: &Context) -> Result<u8, JobError> {
        let number = ctx.step("parse", |_| Ok("x".parse::<u8>()?))?;
        Ok(number + 1)
    }
    assert_eq!(
        code(&handler(&TestContext::new().context()).unwrap_err()),
        (false, "error", "invalid digit found in string")
    );
}

#[test]
fn a_recorded_step_is_not_done_again_also_where_it_returned_nothing() {
    let test = TestContext::new().with_step("mail", ()).with_step("find", None::<u8>);
    let ctx = test.context();
    let never = |_: &str| -> Result<(), JobError> { panic!("it is done again") };
    assert_eq!(ctx.step("mail", never), Ok(()));
    assert_eq!(ctx.step::<Option<u8>>("find", |_| panic!("it is done again")), Ok(None));
    assert_eq!((test.logs()[0].level, test.logs().len()), (Level::Debug, 2));
}

#[test]
fn an_interrupted_step_is_done_again_with_the_same_key() {
    let keys = RefCell::new(Vec::new());
    let test = TestContext::new().with_id("J");
    let charge = |ctx: &Context| {
        ctx.step("charge", |key| {
            keys.borrow_mut().push(key.to_owned());
            Ok(())
        })
    };
    charge(&test.context()).unwrap();
    charge(&test.context()).unwrap();
    test.forget_step("charge");
    charge(&test.context()).unwrap();
    assert_eq!(*keys.borrow(), ["J-charge", "J-charge"]);
}

#[test]
fn async_steps_are_done_once_too() {
    let test = TestContext::new().with_id("J");
    let times = Cell::new(0);
    let handler = async |ctx: &Context| {
        let first: String = ctx
            .step_async("first", async |key| {
                time::sleep(Duration::from_secs(1)).await;
                times.set(times.get() + 1);
                Ok(format!("by {key}"))
            })
            .await?;
        ctx.step_async("second", async |_| Ok(first.len() + "5".parse::<usize>()?)).await
    };
    assert_eq!(block_on(handler(&test.context())), Ok(15));
    assert_eq!(block_on(handler(&test.context())), Ok(15));
    assert_eq!(times.get(), 1);
    assert_eq!(test.steps()[0], RecordedStep { name: "first".into(), result: json!("by J-first") });
}

#[test]
fn an_async_step_that_is_given_up_may_be_tried_again() {
    let test = TestContext::new();
    let ctx = test.context();
    block_on(async {
        let forever = ctx.step_async::<u8>("slow", async |_| std::future::pending().await);
        assert!(time::timeout(Duration::from_secs(1), forever).await.is_err());
        assert_eq!(ctx.step_async("slow", async |_| Ok(1)).await, Ok(1));
    });
}

#[test]
fn a_name_that_is_used_twice_is_named() {
    let test = TestContext::new();
    let ctx = test.context();
    ctx.step("mail", |_| Ok(1)).unwrap();
    let error = ctx.step("mail", |_| Ok(2)).unwrap_err();
    assert_eq!(
        code(&error),
        (
            true,
            "bad-step",
            "the step `mail` is used twice in this run: give each step a name of its own, such as `mail-2`"
        )
    );
    // Also while it is being done, by itself or by another at the same time.
    let inner = ctx.step("outer", |_| ctx.step("outer", |_| Ok(1))).unwrap_err();
    assert_eq!(code(&inner).1, "bad-step");
    block_on(async {
        let first = ctx.step_async("same", async |_| {
            let second = ctx.step_async("same", async |_| Ok(1)).await;
            assert_eq!(code(&second.unwrap_err()).1, "bad-step");
            Ok(1)
        });
        assert_eq!(first.await, Ok(1));
    });
}

#[test]
fn a_bad_name_is_refused_before_anything_is_done() {
    let test = TestContext::new();
    let ctx = test.context();
    let long = "x".repeat(151);
    for (name, words) in [
        ("", "the name of a step is empty"),
        (long.as_str(), "the step `xxxxxxxxxxxxxxxxxxxx…` has 151 bytes"),
        ("send mail", "`send mail` has ' ' in it"),
        ("a\nb", "`a\\nb` has '\\n' in it"),
        ("grüezi", "has 'ü' in it"),
    ] {
        let error = ctx.step::<()>(name, |_| panic!("it is done")).unwrap_err();
        let (is_fatal, code, message) = code(&error);
        assert!(is_fatal && code == "bad-step" && message.contains(words), "{error}");
        assert!(message.ends_with("expected 1 to 150 visible ASCII characters, such as `charge`"), "{error}");
    }
    assert_eq!(ctx.step(&long[1..], |key| Ok(key.len())), Ok(36 + 1 + 150));
}

#[test]
fn plain_checkpoints_and_steps_of_the_same_name_are_apart() {
    let test = TestContext::new().with_checkpoint("page", 3);
    let ctx = test.context();
    assert_eq!(ctx.step("page", |_| Ok("four".to_owned())).unwrap(), "four");
    assert_eq!(ctx.checkpoint::<u8>("page"), Ok(Some(3)));
    let key = "windlass:step:page";
    assert_eq!(ctx.checkpoint::<String>(key), Err(CheckpointError::ReservedKey(key.into())));
    let error = ctx.put_checkpoint(key, 5).unwrap_err();
    assert!(error.to_string().contains("choose another"), "{error}");
    assert_eq!(code(&error.into()).1, "bad-checkpoint");
    assert_eq!((test.checkpoint("page"), test.steps().len()), (Some(json!(3)), 1));
}

#[test]
fn a_result_over_the_limit_names_the_step_and_the_limit() {
    let test = TestContext::new();
    let error = test.context().step("fetch", |_| Ok("x".repeat(256 << 10))).unwrap_err();
    let (is_fatal, code, message) = code(&error);
    assert!(is_fatal && code == "step-too-large", "{error}");
    for words in ["the step `fetch`", "262146 bytes", "at most 262144", "return less"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(test.steps().is_empty());
}

#[test]
fn more_steps_than_a_job_may_have_checkpoints_are_refused() {
    let test = TestContext::new();
    let ctx = test.context();
    for number in 0..1_000 {
        ctx.step(&format!("step-{number}"), |_| Ok(number)).unwrap();
    }
    let error = ctx.step("one-more", |_| Ok(1)).unwrap_err();
    let (_, code, message) = code(&error);
    assert!(code == "step-too-large" && message.contains("`one-more`") && message.contains("at most 1000"), "{error}");
}

#[test]
fn what_an_older_version_recorded_in_another_shape_is_an_error_that_says_what_to_do() {
    let test = TestContext::new().with_id("J").with_step("charge", json!({ "number": 7 }));
    let error = test.context().step::<u32>("charge", |_| panic!("it is done again")).unwrap_err();
    let (is_fatal, code, message) = code(&error);
    assert!(is_fatal && code == "step-unreadable", "{error}");
    for words in ["the step `charge`", "invalid type: map, expected u32", "windlass jobs requeue --fresh J"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_is_returned_is_what_a_later_attempt_would_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Found {
        id: u8,
        #[serde(skip)]
        cached: u8,
    }
    let test = TestContext::new();
    let first = test.context().step("find", |_| Ok(Found { id: 1, cached: 2 })).unwrap();
    assert_eq!(first, Found { id: 1, cached: 0 });
    let error = test.context().step("divide", |_| Ok(f64::NAN)).unwrap_err();
    let (is_fatal, code, message) = code(&error);
    assert!(is_fatal && code == "bad-step" && message.contains("`divide` was done"), "{error}");
    assert_eq!(test.steps().len(), 1);
}

/// A host whose storage is away for a while.
struct Away {
    recorder: Recorder,
    refusals: Cell<u32>,
    error: CheckpointError,
}

impl Host for Away {
    fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        self.recorder.log(level, message, fields);
    }
    fn progress(&self, percent: f32, note: Option<&str>) {
        self.recorder.progress(percent, note);
    }
    fn cancelled(&self) -> bool {
        self.recorder.cancelled()
    }
    fn remaining(&self) -> Option<Duration> {
        self.recorder.remaining()
    }
    fn checkpoint(&self, key: &str) -> Result<Option<String>, CheckpointError> {
        self.recorder.checkpoint(key)
    }
    fn put_checkpoint(&self, key: &str, value: &str) -> Result<(), CheckpointError> {
        match self.refusals.get().checked_sub(1) {
            None => self.recorder.put_checkpoint(key, value),
            Some(left) => {
                self.refusals.set(left);
                Err(self.error.clone())
            }
        }
    }
    fn parent(&self, id: &JobId) -> Result<Parent, ParentError> {
        self.recorder.parent(id)
    }
    fn config(&self, key: &str) -> Option<String> {
        self.recorder.config(key)
    }
    fn secret(&self, key: &str) -> Option<String> {
        self.recorder.secret(key)
    }
    fn enqueue(&self, request: JobRequest) -> Result<JobId, EnqueueError> {
        self.recorder.enqueue(request)
    }
}

fn away(refusals: u32, error: CheckpointError) -> (Rc<Away>, Context) {
    let host = Rc::new(Away { recorder: Recorder::default(), refusals: refusals.into(), error });
    let job = wit::Job {
        id: "J".into(),
        handler: "test".into(),
        queue: "default".into(),
        run: 1,
        attempt: 1,
        max_attempts: 1,
        payload: "null".into(),
        enqueued_at: 0,
        deadline: None,
        headers: Vec::new(),
        parents: Vec::new(),
    };
    let ctx = Context::new(job, Rc::<Away>::clone(&host));
    (host, ctx)
}

#[test]
fn recording_is_tried_again_where_the_storage_is_away_for_a_moment() {
    let unavailable = || CheckpointError::Unavailable("connection refused".into());
    let (host, ctx) = away(3, unavailable());
    let times = Cell::new(0);
    let work = |_: &str| {
        times.set(times.get() + 1);
        Ok(1)
    };
    assert_eq!((ctx.step("charge", work), times.get()), (Ok(1), 1));
    assert_eq!(host.recorder.steps().len(), 1);

    let (host, ctx) = away(4, unavailable());
    let error = block_on(ctx.step_async("charge", async |_| Ok(1))).unwrap_err();
    let (is_fatal, code, message) = code(&error);
    assert!(!is_fatal && code == "checkpoint" && message.contains("with the same key"), "{error}");
    assert!(message.contains("`charge` was done") && message.contains("connection refused"), "{error}");
    assert_eq!((host.recorder.steps().len(), host.refusals.get()), (0, 0));
}

#[test]
fn a_run_that_was_taken_away_records_nothing_and_does_not_try_again() {
    let (host, ctx) = away(2, CheckpointError::Superseded);
    let error = ctx.step("charge", |_| Ok(1)).unwrap_err();
    let (is_fatal, code, message) = code(&error);
    assert!(!is_fatal && code == "checkpoint" && message.contains("taken away"), "{error}");
    assert_eq!(host.refusals.get(), 1);
}
