//! `windlass run`: one run in the sandbox, with neither host nor storage.

mod guest_host;

use std::{path::PathBuf, sync::Arc, thread};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use tokio::runtime::Handle;
use uuid::Uuid;
use windlass_api::{Failure, HandlerName, HandlerSpec, Json, Mode, ModuleName, Usage};
use windlass_jobs::{Verdict, admission};
use windlass_wasm::{Component, Limits, RunReport, RunRequest, Stop, contract};

use self::guest_host::TerminalHost;
use super::{
    Exit, Global, arguments::Config, component, exit::Usage as WrongUsage, files, format, output::say, payload,
};
use crate::{
    config::{self, Overrides, Sandbox},
    worker::verdict,
};

/// Run a handler once, in the sandbox, without a host.
///
/// The result goes to standard output; logs, progress and what the run used go to standard error. The module gets the
/// grants and limits that windlass.toml has under [module.NAME]. Jobs that the handler enqueues are only told of. The
/// exit code is 1 where the run does not succeed.
#[derive(Args, Debug)]
pub(super) struct Run {
    /// The component, a .wasm file.
    file: PathBuf,
    /// The handler's name.
    handler: HandlerName,
    /// What it is to work on: JSON, @FILE, or - for standard input [default: null].
    #[arg(allow_negative_numbers = true)]
    payload: Option<String>,
    /// The module whose grants it gets [default: what the component calls itself].
    #[arg(long)]
    name: Option<ModuleName>,
    #[command(flatten)]
    config: Config,
}

/// What came of it, for programs.
#[derive(Serialize)]
struct Ran {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    usage: Usage,
}

pub(super) async fn run(command: Run, global: &Global) -> anyhow::Result<Exit> {
    let file = command.file.display().to_string();
    let settings = config::load(command.config.config.as_deref(), Overrides::default())?;
    let payload = payload::read(command.payload.as_deref())?;
    let bytes = files::read(&command.file, "the component", "build it first")?;
    let failed = || format!("failed to load {file}");
    let component = component::load(&settings, bytes).await.with_context(failed)?;
    let described = component::describe(&component).await.with_context(failed)?;
    let handler = find(&described.handlers, &command.handler, &file)?;
    if let Some(schema) = &handler.payload_schema {
        let wrong = |error| WrongUsage(format!("the payload does not match what `{}` takes: {error}", handler.name));
        admission::check_payload(schema, &payload).map_err(wrong)?;
    }
    let module = match command.name {
        Some(name) => name,
        None => described.name.parse().with_context(|| format!("failed to name the module of {file}: give --name"))?,
    };
    let sandbox = Sandbox::new(&settings, &module)?;
    let stop = Stop::new();
    cancel_on_interrupt(stop.clone(), &sandbox, handler);
    let limits = sandbox.limits_for(handler, None);
    let request = RunRequest {
        mode: match handler.mode {
            Mode::Sync => windlass_wasm::Mode::Sync,
            Mode::Async => windlass_wasm::Mode::Async,
        },
        job: job(handler, &payload, &limits),
        limits,
        grants: sandbox.grants.clone(),
        host: Arc::new(TerminalHost::default()),
        stop,
    };
    report(on_a_thread(component, request).await?, global)
}

fn find<'a>(handlers: &'a [HandlerSpec], name: &HandlerName, file: &str) -> anyhow::Result<&'a HandlerSpec> {
    if let Some(handler) = handlers.iter().find(|handler| handler.name == *name) {
        return Ok(handler);
    }
    let names: Vec<_> = handlers.iter().map(|handler| format!("`{}`", handler.name)).collect();
    bail!(WrongUsage(format!("{file} has no handler `{name}`: it has {}", names.join(", "))))
}

fn job(handler: &HandlerSpec, payload: &Json, limits: &Limits) -> contract::Job {
    let now = format::now();
    let unsigned = |instant: windlass_api::Timestamp| u64::try_from(instant.0).unwrap_or(0);
    let timeout_ms = limits.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    contract::Job {
        id: Uuid::now_v7().to_string(),
        handler: handler.name.to_string(),
        queue: handler.queue.clone().unwrap_or_default().to_string(),
        run: 1,
        attempt: 1,
        max_attempts: 1,
        payload: payload.as_str().to_owned(),
        enqueued_at: unsigned(now),
        deadline: timeout_ms.map(|timeout_ms| unsigned(now.plus_ms(timeout_ms))),
        headers: Vec::new(),
        parents: Vec::new(),
    }
}

/// The first interrupt cancels the run as `jobs cancel` does; the next one ends the process.
fn cancel_on_interrupt(stop: Stop, sandbox: &Sandbox, handler: &HandlerSpec) {
    let grace = sandbox.cancel_grace(handler);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel(grace);
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

/// A sync handler keeps the thread that polls it, so it needs one that is no worker of the runtime.
async fn on_a_thread(component: Component, request: RunRequest) -> anyhow::Result<RunReport> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let runtime = Handle::current();
    let run = move || drop(sender.send(runtime.block_on(component.run(request))));
    thread::Builder::new().name("windlass-run".to_owned()).spawn(run).context("failed to start a thread")?;
    receiver.await.context("failed to run the handler: its thread panicked, which is a bug of Windlass")
}

fn report(report: RunReport, global: &Global) -> anyhow::Result<Exit> {
    let usage = verdict::usage(&report.usage);
    let (outcome, result, failure, told) = match verdict::of(report.outcome) {
        Verdict::Ok(result) => ("succeeded", result, None, None),
        Verdict::Retryable { failure, delay_ms: None } => ("retry", None, Some(failure), None),
        Verdict::Retryable { failure, delay_ms: Some(delay_ms) } => {
            ("retry", None, Some(failure), Some(format!("asks to be tried again in {}", format::span(delay_ms))))
        }
        Verdict::Fatal(failure) => ("fatal", None, Some(failure), None),
        Verdict::Snoozed { delay_ms } => {
            ("snooze", None, None, Some(format!("asks to be run again in {}", format::span(delay_ms))))
        }
        Verdict::Cancelled => ("cancelled", None, None, Some("was cancelled".to_owned())),
        // A host's own reasons to stop a run; there is no host here.
        Verdict::Released { .. } | Verdict::OtherMode(_) | Verdict::HandlerMissing => ("stopped", None, None, None),
    };
    let exit = if outcome == "succeeded" { Exit::Fine } else { Exit::Failed };
    if let Some(failure) = failure.as_ref().filter(|_| !global.json) {
        say(&format!("error: {}", format::failure(failure)));
    }
    if let Some(told) = told {
        say(&format!("the handler {told}"));
    }
    say(&format::usage(&usage));
    let ran = Ran { outcome, result, failure, usage };
    global
        .output()
        .show(&ran, |ran| ran.result.as_ref().map(|result| result.as_str().to_owned()).unwrap_or_default())?;
    Ok(exit)
}
