//! The demo: real jobs on a real host, through the command line alone, as a user would do it.

mod data;
mod host;
mod jobs;
mod pages;
mod show;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};

use crate::{build, shell::say, workspace::Workspace};

use data::Data;
use host::Host;

/// Set by Ctrl-C. The host has a process group of its own, so that it is this program that stops it, in order.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs the demo. With `exit`, stops the host at the end and fails if a job is not as expected.
pub(crate) fn run(workspace: &Workspace, exit: bool) -> Result<()> {
    build::host(workspace)?;
    build::examples(workspace)?;
    let data = Data::prepare(workspace)?;
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("failed to listen for Ctrl-C")?;
    let pages = pages::serve()?;
    let mut host = Host::start(workspace, &data, pages)?;
    for name in build::EXAMPLES {
        say(&format!("deploying {name}"));
        let component = workspace.components().join(format!("{name}.wasm"));
        host.windlass(&["deploy", &component.to_string_lossy(), "--name", name])?;
    }
    let requests = jobs::requests(&data, pages);
    say(&format!("enqueuing {} jobs", requests.len()));
    host.enqueue(&data, &requests)?;
    let ended = show::until_ended(&mut host, requests.len() + jobs::FOLLOW_UPS)?;
    show::table(&ended);
    let surprises = jobs::surprises(&ended);
    for surprise in &surprises {
        say(surprise);
    }
    if surprises.is_empty() {
        say(&format!("all {} jobs ended as expected", ended.len()));
    }
    if !exit {
        say(&format!("the host is at {}; for instance: {}", host.url(), host.example()));
        say("Ctrl-C stops it");
        host.until_interrupted()?;
    }
    host.stop()?;
    ensure!(!exit || surprises.is_empty(), "{} jobs did not end as expected", surprises.len());
    Ok(())
}

/// # Errors
/// Where the user wants to stop.
fn check_interrupted() -> Result<()> {
    ensure!(!is_interrupted(), "stopped by Ctrl-C");
    Ok(())
}

fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
