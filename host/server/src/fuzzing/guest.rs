//! What a guest hands over: its description, jobs that it asks for, how it failed. Each line is a text of it, and its length a
//! number; where there are more places than lines, they begin again.

use windlass_api::{JobRequest, ModuleName, Timestamp};
use windlass_jobs::{Verdict, recurring};
use windlass_wasm::{
    Mode, Outcome,
    contract::{Exponential, Failure, Handler, JobError, Manifest, Misfire, Request, RetryPolicy, Schedule, Start},
};

use crate::{
    modules::manifest,
    worker::{run_host, verdict},
};

/// No text that a handler gives is kept longer, in characters.
const MAX_TEXT: usize = 4_000;

/// It is taken within its bounds, or refused.
pub fn guest(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = Lines { all: text.split('\n').collect(), at: 0 };
    let module: ModuleName = "guest".parse().expect("a name");
    describes(&module, &mut lines);
    enqueues(&module, &mut lines);
    fails(&mut lines);
}

fn describes(module: &ModuleName, lines: &mut Lines<'_>) {
    let told = Manifest { name: lines.text(), version: lines.text(), sdk: lines.text(), handlers: handlers(lines) };
    let Ok(description) = windlass_wasm::check_manifests(vec![(Mode::Sync, told)]) else { return };
    let Ok(described) = manifest::read(description) else { return };
    for handler in &described.handlers {
        assert!(handler.name.as_str().len() <= 100 && handler.priority.is_none_or(|priority| priority <= 9));
    }
    // Whether its schedules mean something is another question, which must have an answer too.
    drop(recurring::check_declared(module, &described.handlers, Timestamp(1_709_164_799_123)));
}

fn handlers(lines: &mut Lines<'_>) -> Vec<Handler> {
    let one = |lines: &mut Lines<'_>| Handler {
        name: lines.text(),
        summary: lines.optional(),
        queue: lines.optional(),
        priority: lines.number().and_then(|number| u8::try_from(number).ok()),
        max_attempts: lines.number().and_then(|number| u32::try_from(number).ok()),
        retry: retry(lines),
        timeout: lines.number(),
        cancel_grace: lines.number(),
        fuel: lines.number(),
        memory: lines.number(),
        payload_schema: lines.optional(),
        result_schema: lines.optional(),
        redact: vec![lines.text()],
        schedules: vec![Schedule {
            name: lines.optional(),
            expression: lines.text(),
            time_zone: lines.optional(),
            payload: lines.optional(),
            misfire: lines.number().map(|number| if number % 2 == 0 { Misfire::Skip } else { Misfire::CatchUp }),
        }],
        extensions: vec![(lines.text(), lines.text())],
    };
    vec![one(lines), one(lines)]
}

fn enqueues(module: &ModuleName, lines: &mut Lines<'_>) {
    let request = Request {
        handler: lines.text(),
        payload: lines.text(),
        queue: lines.optional(),
        priority: lines.number().and_then(|number| u8::try_from(number).ok()),
        start: lines
            .number()
            .map_or(Start::Now, |number| if number % 2 == 0 { Start::After(number) } else { Start::At(number) }),
        max_attempts: lines.number().and_then(|number| u32::try_from(number).ok()),
        retry: retry(lines),
        timeout: lines.number(),
        tags: vec![lines.text()],
        headers: vec![(lines.text(), lines.text())],
        extensions: ["after", "unique", "expires_at", "limit_key"].map(|name| (name.to_owned(), lines.text())).into(),
    };
    let request: Result<JobRequest, _> = run_host::to_request(request, module);
    if let Ok(request) = request {
        assert!(request.run_at.is_none_or(|run_at| run_at <= Timestamp::MAX));
    }
}

fn fails(lines: &mut Lines<'_>) {
    let failure = Failure { code: lines.text(), message: lines.text(), details: lines.optional() };
    let error = match lines.number() {
        Some(number) if number % 2 == 0 => JobError::RetryAfter((number, failure)),
        Some(_) => JobError::Fatal(failure),
        None => JobError::Retry(failure),
    };
    match verdict::of(Outcome::Error(error)) {
        Verdict::Retryable { failure, .. } | Verdict::Fatal(failure) => {
            let length = |text: &str| text.chars().count();
            assert!(length(&failure.message) <= MAX_TEXT && failure.code.is_none_or(|code| length(&code) <= MAX_TEXT));
        }
        verdict => assert!(matches!(verdict, Verdict::Snoozed { .. } | Verdict::Cancelled), "{verdict:?}"),
    }
    drop(verdict::of(Outcome::Ok(Some(lines.text()))));
}

fn retry(lines: &mut Lines<'_>) -> Option<RetryPolicy> {
    let number = lines.number()?;
    Some(match number % 4 {
        0 => RetryPolicy::Fixed(number),
        1 => RetryPolicy::Linear(number),
        2 => RetryPolicy::Exponential(Exponential { base: number, max: lines.number().unwrap_or_default() }),
        _ => RetryPolicy::Delays(vec![number; 3]),
    })
}

/// The texts, one after the other.
struct Lines<'a> {
    all: Vec<&'a str>,
    at: usize,
}

impl Lines<'_> {
    fn text(&mut self) -> String {
        let line = self.all[self.at % self.all.len()];
        self.at += 1;
        line.to_owned()
    }

    /// An empty one is none.
    fn optional(&mut self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }

    /// One that reads as a number is that, any other none.
    fn number(&mut self) -> Option<u64> {
        self.text().parse().ok()
    }
}
