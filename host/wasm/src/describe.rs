//! Asking a component which handlers it has, and checking what it says.

use std::{collections::HashSet, sync::Arc, time::Instant};

use async_trait::async_trait;

use crate::{
    Component, Grants, Limits, Mode, Outcome, Refusal, RunCause, RunFailure, RunHost, RunRequest, Stop,
    contract::{CheckpointError, EnqueueError, Handler, Job, Level, Manifest, Parent, ParentError, Request},
    failure,
    host_calls::check_json,
    run::bounded,
    store,
};

/// More handlers than any module has by design; each costs the host a row wherever modules are shown.
const MAX_HANDLERS: usize = 200;

/// A schema is kept with the version and compiled into a validator.
const MAX_SCHEMA_BYTES: usize = 256 << 10;

/// A name of a module, a handler, a queue or a schedule, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// A summary, a version and every other text, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// A schedule's payload, in bytes.
const MAX_PAYLOAD_BYTES: usize = 64 << 10;

/// Entries of each list within a handler.
const MAX_ENTRIES: usize = 100;

/// What a component says of itself, checked: names keep the rules and are unique, texts are short, JSON is JSON.
/// Cron expressions, schemas' meaning and numbers are for the host to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The module's name where the deployer gives none.
    pub name: String,
    /// The author's version.
    pub version: String,
    /// What it was built with.
    pub sdk: String,
    /// The handlers of both interfaces.
    pub handlers: Vec<DescribedHandler>,
}

/// A handler and how it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedHandler {
    /// Which of the interfaces has it.
    pub mode: Mode,
    /// What the component says of it.
    pub handler: Handler,
}

impl Component {
    /// Asks for the handlers of both interfaces, each in a sandbox of its own with no grants, 1 s, 64 MiB and a billion
    /// instructions. Like a run it needs a tokio runtime; it may be awaited on any thread, since it yields.
    ///
    /// # Errors
    ///
    /// Where `describe` fails, or says what breaks the rules.
    pub async fn describe(&self) -> Result<Description, Refusal> {
        let modes = [(Mode::Sync, self.has_sync()), (Mode::Async, self.has_async())];
        let mut manifests = Vec::new();
        for (mode, _) in modes.into_iter().filter(|(_, exported)| *exported) {
            manifests.push((mode, self.manifest(mode).await?));
        }
        check_manifests(manifests)
    }

    async fn manifest(&self, mode: Mode) -> Result<Manifest, Refusal> {
        let limits = Limits::describe();
        let deadline = limits.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let stop = Stop::new();
        let request = RunRequest {
            // As an async run, whichever interface it is: so that the guest yields while it computes.
            mode: Mode::Async,
            job: no_job(),
            limits: limits.clone(),
            grants: Arc::new(Grants::default()),
            host: Arc::new(Deaf),
            stop: stop.clone(),
        };
        let mut store = store::open(self.engine(), &request, deadline).map_err(Refusal::DescribeFailed)?;
        let call = async {
            let instance = self.instantiate(&mut store).await.map_err(Asked::Failed)?;
            match mode {
                Mode::Sync => {
                    let guest = self.sync_guest(&mut store, &instance).map_err(Asked::Misfit)?;
                    guest.call_describe(&mut store).await.map_err(Asked::Failed)
                }
                Mode::Async => {
                    let guest = self.async_guest(&mut store, &instance).map_err(Asked::Misfit)?;
                    guest.call_describe(&mut store).await.map_err(Asked::Failed)
                }
            }
        };
        let answered = bounded(&stop, deadline, &limits, async { Ok(call.await) })
            .await
            .unwrap_or_else(|halt| Err(Asked::Failed(halt)));
        match answered {
            Ok(manifest) => Ok(manifest),
            Err(Asked::Misfit(error)) => Err(Refusal::WrongShape(format!("{error:#}"))),
            Err(Asked::Failed(error)) => Err(match failure::classify(&error, limits.fuel) {
                Outcome::Failed(failure) => Refusal::DescribeFailed(store::explained(failure, &store)),
                Outcome::NoRoom => Refusal::Host(format!("find a place to describe it in: {}", error.root_cause())),
                _ => Refusal::DescribeFailed(RunFailure::new(RunCause::Host, "it was stopped")),
            }),
        }
    }
}

enum Asked {
    Misfit(wasmtime::Error),
    Failed(wasmtime::Error),
}

/// Checks what the interfaces of a component say, and puts it together.
///
/// # Errors
/// Where it breaks the rules; the text says which.
pub fn check_manifests(manifests: Vec<(Mode, Manifest)>) -> Result<Description, Refusal> {
    let mut merged: Option<Description> = None;
    for (mode, manifest) in manifests {
        merge(&mut merged, manifest, mode)?;
    }
    let described = merged.ok_or_else(|| bad("it has no handlers".to_owned()))?;
    check_handlers(&described.handlers)?;
    Ok(described)
}

fn merge(merged: &mut Option<Description>, manifest: Manifest, mode: Mode) -> Result<(), Refusal> {
    let Manifest { name, version, sdk, handlers } = manifest;
    check_name("module", &name)?;
    check_text("version", &version)?;
    check_text("sdk", &sdk)?;
    let description =
        merged.get_or_insert_with(|| Description { name: name.clone(), version, sdk, handlers: Vec::new() });
    if description.name != name {
        let first = &description.name;
        return Err(bad(format!("its interfaces name it `{first}` and `{name}`: expected one name")));
    }
    description.handlers.extend(handlers.into_iter().map(|handler| DescribedHandler { mode, handler }));
    Ok(())
}

fn check_handlers(handlers: &[DescribedHandler]) -> Result<(), Refusal> {
    if handlers.is_empty() {
        return Err(bad("it has no handlers: expected at least one".to_owned()));
    }
    if handlers.len() > MAX_HANDLERS {
        return Err(bad(format!("it has {} handlers: expected at most {MAX_HANDLERS}", handlers.len())));
    }
    let mut names = HashSet::new();
    for DescribedHandler { handler, .. } in handlers {
        check_name("handler", &handler.name)?;
        if !names.insert(&handler.name) {
            return Err(bad(format!("it has two handlers named `{}`: expected every name once", handler.name)));
        }
        check_handler(handler).map_err(|what| bad(format!("handler `{}`: {what}", handler.name)))?;
    }
    Ok(())
}

fn check_handler(handler: &Handler) -> Result<(), String> {
    short("summary", handler.summary.as_deref(), MAX_TEXT_BYTES)?;
    json("payload-schema", handler.payload_schema.as_deref(), MAX_SCHEMA_BYTES)?;
    json("result-schema", handler.result_schema.as_deref(), MAX_SCHEMA_BYTES)?;
    if let Some(queue) = &handler.queue {
        is_name(queue).map_err(|rule| format!("the queue `{queue}` is not a name: expected {rule}"))?;
    }
    few("redact", handler.redact.len())?;
    few("schedules", handler.schedules.len())?;
    few("extensions", handler.extensions.len())?;
    for pointer in &handler.redact {
        short("redact", Some(pointer), MAX_TEXT_BYTES)?;
    }
    for schedule in &handler.schedules {
        short("a schedule's name", schedule.name.as_deref(), MAX_NAME_BYTES)?;
        short("a schedule's expression", Some(&schedule.expression), MAX_NAME_BYTES * 2)?;
        short("a schedule's time-zone", schedule.time_zone.as_deref(), MAX_NAME_BYTES)?;
        json("a schedule's payload", schedule.payload.as_deref(), MAX_PAYLOAD_BYTES)?;
    }
    for (name, value) in &handler.extensions {
        short("an extension's name", Some(name), MAX_NAME_BYTES)?;
        json("an extension", Some(value), MAX_PAYLOAD_BYTES)?;
    }
    Ok(())
}

fn few(what: &str, count: usize) -> Result<(), String> {
    if count > MAX_ENTRIES {
        Err(format!("{what} has {count} entries: expected at most {MAX_ENTRIES}"))
    } else {
        Ok(())
    }
}

fn short(what: &str, text: Option<&str>, limit: usize) -> Result<(), String> {
    match text.map_or(0, str::len) {
        length if length > limit => Err(format!("{what} has {length} bytes: expected at most {limit}")),
        _ => Ok(()),
    }
}

fn json(what: &str, text: Option<&str>, limit: usize) -> Result<(), String> {
    short(what, text, limit)?;
    let Some(text) = text else { return Ok(()) };
    check_json(text).map_err(|error| format!("{what} is not JSON: {error}"))
}

fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    short(what, Some(text), MAX_TEXT_BYTES).map_err(bad)
}

fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    let shown: String = name.chars().take(MAX_NAME_BYTES + 1).collect();
    is_name(name).map_err(|rule| bad(format!("`{shown}` is not a {what} name: expected {rule}")))
}

/// The same rules as for the names of `windlass-api`, which this room does not know.
fn is_name(name: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let fine = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['-', '.']);
    if fine { Ok(()) } else { Err("1 to 100 of a-z, A-Z, 0-9, `_`, `-` and `.`, not beginning with `-` or `.`") }
}

fn bad(what: String) -> Refusal {
    Refusal::BadManifest(what)
}

fn no_job() -> Job {
    Job {
        id: String::new(),
        handler: String::new(),
        queue: String::new(),
        run: 0,
        attempt: 0,
        max_attempts: 0,
        payload: String::new(),
        enqueued_at: 0,
        deadline: None,
        headers: Vec::new(),
        parents: Vec::new(),
    }
}

/// The host of a component that is only asked: it hears nothing and gives nothing.
struct Deaf;

#[async_trait]
impl RunHost for Deaf {
    fn log(&self, _: Level, _: String, _: Option<String>) {}

    fn progress(&self, _: f32, _: Option<String>) {}

    async fn checkpoint(&self, _: &str) -> Result<Option<String>, CheckpointError> {
        Err(CheckpointError::Unavailable("a component that is asked to describe itself has no checkpoints".to_owned()))
    }

    async fn put_checkpoint(&self, _: &str, _: String) -> Result<(), CheckpointError> {
        Err(CheckpointError::Unavailable("a component that is asked to describe itself has no checkpoints".to_owned()))
    }

    async fn parent(&self, _: &str) -> Result<Parent, ParentError> {
        Err(ParentError::Unknown("there is no job to be described".to_owned()))
    }

    async fn enqueue(&self, _: Request) -> Result<String, EnqueueError> {
        Err(EnqueueError::LimitReached("a component that is asked to describe itself may not enqueue".to_owned()))
    }
}
