//! Running the tests.

use std::{
    os::unix::process::CommandExt as _,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    browser, build, docs, javascript, python, schemathesis,
    services::Shared,
    shell::{cargo, say, step, works},
    workspace::Workspace,
};

/// A part of the tests that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// What each crate promises by itself, the examples in its documentation included
    Unit,
    /// The part of them that is about what jobs are and where they are kept
    Storage,
    /// The real binary with real components: crashes, misbehaving guests, bad input
    E2e,
    /// The API against its own description, by schemathesis
    Api,
    /// The dashboard in a real browser
    Browser,
    /// What is written in Python, from its wheels, against the real binary: the client, the plugins, the handlers, the examples; and
    /// handlers of all languages side by side
    Python,
    /// The library for handlers in JavaScript and its example, natively and in the sandbox
    Javascript,
    /// The documentation: its commands are run, its code is compiled, its links are followed, the site is built
    Docs,
    /// The quick start, literally and from a clone on, in a home with nothing in it: builds for some minutes
    FirstHour,
    /// What kills hosts and storages, cuts networks, fills disks and sets clocks: up to ten minutes of it, where `e2e` has a short
    /// form
    Chaos,
}

/// The package of the end-to-end tests, which need the host and the components built.
const END_TO_END: &str = "windlass-tests";

/// The package of the tests in a browser, which need all that and a browser.
pub(crate) const BROWSER: &str = "windlass-browser-tests";

/// The package of the tests of the documentation, which need the host and the examples built.
const DOCS: &str = "windlass-docs-tests";

/// How many end-to-end tests run side by side: each has a whole host with all its threads, which waits most of the time.
const HOSTS: &str = "3";

/// How many tests in a browser do: each is a browser and a host, which compute more than they wait.
const BROWSERS: &str = "1";

/// How long the chaos tests may take once they are built.
const CHAOS_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// How often to look whether they have ended.
const LOOK: Duration = Duration::from_millis(100);

/// What a program exits with that was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

/// Runs one suite, or all of them.
pub(crate) fn run(workspace: &Workspace, suite: Option<Suite>) -> Result<()> {
    let services = Shared::start()?;
    match suite {
        Some(Suite::Unit) => unit(workspace, &services)?,
        Some(Suite::Storage) => storage(workspace, &services)?,
        Some(Suite::E2e) => end_to_end(workspace, &services, END_TO_END, HOSTS)?,
        Some(Suite::Api) => api(workspace, &services)?,
        Some(Suite::Browser) => in_browser(workspace, &services)?,
        Some(Suite::Python) => in_python(workspace)?,
        Some(Suite::Javascript) => in_javascript(workspace)?,
        Some(Suite::Docs) => documentation(workspace, &services)?,
        Some(Suite::FirstHour) => first_hour(workspace)?,
        Some(Suite::Chaos) => chaos(workspace, &services)?,
        None => {
            unit(workspace, &services)?;
            end_to_end(workspace, &services, END_TO_END, HOSTS)?;
            api(workspace, &services)?;
            in_browser(workspace, &services)?;
            // Without the site: it needs a tool that takes minutes to install.
            pages(workspace, &services)?;
        }
    }
    say("all tests passed");
    Ok(())
}

fn unit(workspace: &Workspace, services: &Shared) -> Result<()> {
    let mut tests = runner(workspace, services);
    tests.args(["--workspace", "--exclude", "windlass-test-guests"]);
    if has_nextest(workspace) {
        // Built with the others but not run: without them some dependencies have other features, and so wasmtime would be
        // compiled once more.
        let others = format!("package({END_TO_END}) | package({BROWSER}) | (package({DOCS}) & kind(test))");
        tests.args(["--filterset", &format!("not ({others})")]);
    } else {
        tests.args(["--exclude", END_TO_END, "--exclude", BROWSER, "--exclude", DOCS]);
    }
    step("unit tests", &mut tests)?;
    examples(workspace, services, &[])
}

/// The examples in the documentation of crates, and the code in the pages of the book, which is documentation of the crate of their
/// tests.
fn examples(workspace: &Workspace, services: &Shared, more: &[&str]) -> Result<()> {
    let mut examples = cargo(workspace);
    services.tell(&mut examples);
    step("the documentation's examples", examples.args(["test", "--doc", "--workspace"]).args(more))
}

fn documentation(workspace: &Workspace, services: &Shared) -> Result<()> {
    build::host(workspace)?;
    build::examples(workspace)?;
    pages(workspace, services)?;
    examples(workspace, services, &["--", "pages::"])?;
    docs::site(workspace, false)
}

/// The tests of the pages, with the host and the examples built.
fn pages(workspace: &Workspace, services: &Shared) -> Result<()> {
    let mut tests = runner(workspace, services);
    if has_nextest(workspace) {
        // Of the whole workspace, for the reason that the unit tests have.
        tests.args(["--workspace", "--exclude", "windlass-test-guests", "--test", "pages", "--test", "packaging"]);
    } else {
        tests.args(["--package", DOCS]);
    }
    step("the documentation", &mut tests)
}

/// Everything that the quick start says, from the clone on.
fn first_hour(workspace: &Workspace) -> Result<()> {
    build::host(workspace)?;
    let mut follow = cargo(workspace);
    follow.args(["run", "--quiet", "--package", DOCS, "--bin", "follow", "--", "quick-start.md"]);
    step("the first hour", &mut follow)
}

fn storage(workspace: &Workspace, services: &Shared) -> Result<()> {
    step("storage tests", runner(workspace, services).args(["--package", "windlass-jobs", "--all-features"]))
}

fn api(workspace: &Workspace, services: &Shared) -> Result<()> {
    schemathesis::set_up(workspace)?;
    build::everything(workspace)?;
    let mut command = cargo(workspace);
    services.tell(&mut command);
    command.args(["test", "--package", END_TO_END, "--test", "openapi", "--", "--ignored", "--nocapture"]);
    step("the API against its description", &mut command)
}

fn in_browser(workspace: &Workspace, services: &Shared) -> Result<()> {
    browser::set_up(workspace)?;
    end_to_end(workspace, services, BROWSER, BROWSERS)
}

fn in_python(workspace: &Workspace) -> Result<()> {
    build::everything(workspace)?;
    python::test(workspace)
}

fn in_javascript(workspace: &Workspace) -> Result<()> {
    build::host(workspace)?;
    javascript::test(workspace)
}

fn end_to_end(workspace: &Workspace, services: &Shared, package: &str, side_by_side: &str) -> Result<()> {
    build::everything(workspace)?;
    let mut command = runner(workspace, services);
    command.args(["--package", package]);
    if has_nextest(workspace) {
        // Those that measure are alone all the same: `.config/nextest.toml` names them.
        command.args(["--test-threads", side_by_side])
    } else {
        command.args(["--", "--test-threads=1"])
    };
    step("end-to-end tests", &mut command)
}

fn chaos(workspace: &Workspace, services: &Shared) -> Result<()> {
    build::everything(workspace)?;
    let selection = ["--package", END_TO_END, "--test", "chaos"];
    step("building the chaos tests", cargo(workspace).args(["test", "--no-run"]).args(selection))?;
    let mut command = runner(workspace, services);
    command.env("WINDLASS_CHAOS", "full").args(selection);
    // What each test prints is shown: the seeds, and what was found.
    if has_nextest(workspace) {
        command.args(["--test-threads", HOSTS, "--success-output", "immediate"])
    } else {
        command.args(["--", "--test-threads", HOSTS, "--nocapture"])
    };
    step_within("chaos tests", &mut command, CHAOS_DEADLINE)
}

/// As [`step`], and ends the program with all that it has started where it takes longer than this.
fn step_within(what: &str, command: &mut Command, deadline: Duration) -> Result<()> {
    let minutes = deadline.as_secs() / 60;
    say(&format!("{what}, which may take {minutes} minutes …"));
    let started = Instant::now();
    // A group of their own, so that the tests' hosts end with the tests.
    let mut child = command.process_group(0).spawn().with_context(|| format!("failed to start {what}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    let end_all = move || {
        // They may have ended by themselves meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    };
    // The terminal interrupts this program alone, since the others are in another group.
    ctrlc::set_handler(move || {
        end_all();
        std::process::exit(INTERRUPTED);
    })?;
    loop {
        if let Some(status) = child.try_wait()? {
            let seconds = started.elapsed().as_secs_f64();
            ensure!(status.success(), "{what} failed after {seconds:.1} s with {status}");
            say(&format!("{what}: done in {seconds:.1} s"));
            return Ok(());
        }
        if started.elapsed() > deadline {
            end_all();
            child.wait()?;
            bail!(
                "{what} did not end within {minutes} minutes and were stopped; the last test that is named above hung"
            );
        }
        thread::sleep(LOOK);
    }
}

/// cargo-nextest where it is installed, since it runs test binaries side by side, or else cargo itself.
fn runner(workspace: &Workspace, services: &Shared) -> Command {
    let mut command = cargo(workspace);
    services.tell(&mut command);
    if has_nextest(workspace) {
        command.args(["nextest", "run", "--no-fail-fast"])
    } else {
        command.args(["test", "--tests", "--no-fail-fast"])
    };
    command
}

fn has_nextest(workspace: &Workspace) -> bool {
    works(cargo(workspace).args(["nextest", "--version"]))
}
