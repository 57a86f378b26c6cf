//! Projects of handlers: made, built, tested, deployed and worked on as their authors do. Those in Rust are here; the suites `python`
//! and `javascript` have the others, whose tools they install.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use windlass_tests::{Answer, Site, checkout, run, shell, typed};

/// How long a build or a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How often something is looked at that cannot be waited for.
const LOOK: Duration = Duration::from_millis(20);

fn types(site: &Site, script: &str) -> Result<Answer> {
    typed(shell(&site.path(""), script)?)
}

/// A new project in Rust, written against the library of this checkout.
fn project(site: &Site, name: &str) -> Result<Answer> {
    let answer = types(site, &format!("windlass new {name} --sdk {}", checkout().display()))?;
    ensure!(answer.status.success(), "{}", answer.stderr);
    Ok(answer)
}

#[test]
fn a_project_is_built_tested_and_deployed_as_it_is_printed() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let made = project(&site, "greetings")?;
    let commands: Vec<_> = made.stdout.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    ensure!(commands.len() == 6, "{}", made.stdout);
    let mut shell = shell(&site.path(""), &commands.join("\n"))?;
    shell.env("WINDLASS_URL", format!("http://{}", host.address()));
    let answer = typed(shell)?;
    println!("{}{}", answer.stdout, answer.stderr);
    ensure!(answer.status.success(), "a command gave {}", answer.status);
    for said in [
        "tests::somebody_is_greeted ... ok",
        "tests::nobody_is_not_greeted ... ok",
        "greetings.wasm is the component of greetings 0.1.0 (",
        "Greets somebody.",
    ] {
        ensure!(answer.stdout.contains(said), "it is not said: {said}");
    }
    // Once from the sandbox alone, once from the host.
    ensure!(answer.stdout.lines().filter(|line| *line == "\"Hello, Ada!\"").count() == 2, "it greets in another way");
    Ok(())
}

#[test]
fn a_build_tells_programs_what_it_made() -> Result<()> {
    let site = Site::new()?;
    project(&site, "told")?;
    let answer = types(&site, "windlass build told --json --output made.wasm")?;
    let built: Value = answer.json()?;
    ensure!(built["module"] == "told" && built["version"] == "0.1.0" && built["file"] == "made.wasm", "{built}");
    ensure!(built["handlers"][0]["name"] == "greet" && built["handlers"][0]["mode"] == "sync", "{built}");
    ensure!(built["size_bytes"] == fs::metadata(site.path("made.wasm"))?.len(), "{built}");
    ensure!(!site.path("told/told.wasm").exists(), "it was put elsewhere, too");
    Ok(())
}

#[test]
fn what_cannot_be_made_is_refused_with_what_can() -> Result<()> {
    let site = Site::new()?;
    project(&site, "there")?;
    fs::create_dir(site.path("empty"))?;
    for (line, words) in [
        ("new there", &["there is there already", "choose another name"][..]),
        ("new Hello", &["`Hello` is no name for a project", "such as my-handlers"]),
        ("new struct", &["`struct` means something else already", "my-struct"]),
        ("new of/hello", &["there is no folder of", "make it first"]),
        ("new hello --lang cobol", &["'cobol'", "rust, python, js"]),
        ("new hello --sdk empty", &["empty holds no windlass-guest", "../windlass/guest-sdk"]),
        ("new hello --lang python --sdk there", &["--sdk is for rust", "leave it out"]),
        ("build nowhere", &["there is no folder nowhere", "`windlass new`"]),
        ("build empty", &["empty is no project", "cargo.toml (rust)", "`windlass new` makes one"]),
        ("build there --lang js", &["there is no project in javascript", "package.json and app.js"]),
        ("dev empty", &["empty is no project"]),
        ("dev there --listen 127.0.0.1:0", &["expected an address with a port"]),
        ("dev there --url http://127.0.0.1:1", &["failed to reach a host at http://127.0.0.1:1"]),
    ] {
        let answer = types(&site, &format!("windlass {line}"))?;
        answer.complains_of(words)?;
    }
    // Nothing was made of them.
    let mut left: Vec<_> =
        fs::read_dir(site.path(""))?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    left.sort();
    ensure!(left == ["empty", "there"], "{left:?}");
    Ok(())
}

#[test]
fn where_a_tool_is_missing_it_is_said_how_to_get_it() -> Result<()> {
    let site = Site::new()?;
    project(&site, "in-rust")?;
    let made = types(&site, "windlass new in-python --lang python && windlass new in-js --lang js")?;
    ensure!(made.status.success(), "{}", made.stderr);
    fs::create_dir(site.path("tools"))?;
    let with_tools = |project: &str| -> Result<Answer> {
        // By its whole path, since nothing is found by its name.
        let program = windlass_tests::windlass()?;
        let mut shell = shell(&site.path(""), &format!("PATH=\"$PWD/tools\" {} build {project}", program.display()))?;
        shell.env_remove("VIRTUAL_ENV");
        typed(shell)
    };
    let python = "`python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in";
    with_tools("in-rust")?
        .complains_of(&["failed to find `rustc`: install Rust with rustup, from https://rustup.rs"])?;
    with_tools("in-python")?.complains_of(&["failed to find componentize-py", python, "/in-python"])?;
    with_tools("in-js")?.complains_of(&[
        "failed to find componentize-qjs",
        "type `npm install` in",
        "Node 20 or newer",
    ])?;
    fs::create_dir_all(site.path("in-js/node_modules/.bin"))?;
    site.write("in-js/node_modules/.bin/componentize-qjs", "")?;
    with_tools("in-js")?.complains_of(&["failed to find `node`: install Node 20 or newer", "https://nodejs.org"])?;
    // A Rust without the target says where its libraries would be.
    let rustc = site.write("tools/rustc", "#!/bin/sh\necho /nowhere\n")?;
    fs::set_permissions(rustc, fs::Permissions::from_mode(0o755))?;
    with_tools("in-rust")?.complains_of(&["`rustup target add wasm32-wasip2` in", "/in-rust"])
}

#[test]
fn a_build_that_fails_shows_what_the_compiler_says_and_makes_nothing() -> Result<()> {
    let site = Site::new()?;
    project(&site, "wrong")?;
    site.write("wrong/src/lib.rs", "windlass_guest::export!(missing);")?;
    let answer = types(&site, "windlass build wrong")?;
    answer.complains_of(&["error: cannot find", "missing", "failed to build: `cargo build --lib --release"])?;
    ensure!(answer.stdout.is_empty() && !site.path("wrong/wrong.wasm").exists(), "{answer:?}");
    site.write("wrong/Cargo.toml", fs::read_to_string(site.path("wrong/Cargo.toml"))?.replace("\"cdylib\", ", ""))?;
    site.write("wrong/src/lib.rs", "")?;
    types(&site, "windlass build wrong")?.complains_of(&["made no component", "crate-type = [\"cdylib\", \"rlib\"]"])
}

/// `windlass dev`, and what it says. It is killed when it goes out of scope.
struct Dev<'a> {
    site: &'a Site,
    child: Child,
    url: String,
    address: String,
}

impl<'a> Dev<'a> {
    fn start(site: &'a Site, project: &str) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut shell = shell(&site.path(""), &format!("exec windlass dev {project} --listen {address}"))?;
        shell.stdin(Stdio::null()).stdout(File::create(site.path("out"))?).stderr(File::create(site.path("err"))?);
        Ok(Self { site, child: shell.spawn()?, url: format!("http://{address}"), address })
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.site.path(file)).unwrap_or_default()
    }

    /// Waits until it has said something so many times.
    fn until(&mut self, file: &str, text: &str, times: usize) -> Result<()> {
        let started = Instant::now();
        while self.said(file).matches(text).count() < times {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}{}", self.said("out"), self.said("err"));
            }
            let (out, err) = (self.said("out"), self.said("err"));
            ensure!(started.elapsed() < PATIENCE, "never said: {text}\n{out}{err}");
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn greets(&self, how: &str) -> Result<()> {
        let name = json!({ "name": "Ada" }).to_string();
        let answer = run(&["enqueue", "lively/greet", &name, "--wait", "--url", &self.url], "")?;
        ensure!(answer.stdout.contains(how), "{answer:?}");
        Ok(())
    }

    fn end(mut self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, signal)?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(started.elapsed() < PATIENCE, "it does not end: {}", self.said("err"));
            thread::sleep(LOOK);
        };
        ensure!(status.success(), "it ended with {status}: {}", self.said("err"));
        ensure!(TcpStream::connect(&self.address).is_err(), "the host that it started goes on");
        Ok(())
    }
}

impl Drop for Dev<'_> {
    fn drop(&mut self) {
        // It may be gone already, which is as good. Asked rather than killed, it takes its host along.
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process(id, Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

#[test]
fn a_project_that_is_worked_on_is_deployed_again_with_each_change_that_builds() -> Result<()> {
    let site = Site::new()?;
    project(&site, "lively")?;
    let source: PathBuf = site.path("lively/src/lib.rs");
    let first = fs::read_to_string(&source)?;
    let mut dev = Dev::start(&site, "lively")?;
    dev.until("err", "is deployed and active", 1)?;
    dev.greets("Hello, Ada!")?;
    dev.until("out", "greeting Ada", 1)?;
    dev.until("err", "succeeded, attempt 1 of 3: \"Hello, Ada!\"", 1)?;

    fs::write(&source, first.replace("max_attempts = 3", "max_attempts = nothing"))?;
    dev.until("err", "failed to build: `cargo build", 1)?;
    dev.until("err", "waiting for a change", 2)?;
    ensure!(dev.said("err").contains("error"), "the compiler's words are not there: {}", dev.said("err"));
    dev.greets("Hello, Ada!")?;

    fs::write(&source, first.replace("Hello, ", "Good morning, "))?;
    dev.until("err", "is deployed and active", 2)?;
    dev.greets("Good morning, Ada!")?;
    dev.until("out", "greeting Ada", 3)?;
    ensure!(site.path("lively/.windlass/jobs.db").is_file(), "its jobs are elsewhere");
    dev.end(Signal::INT)?;

    // What was there is there, and what was told is not told again.
    let mut dev = Dev::start(&site, "lively")?;
    dev.until("err", "waiting for a change", 1)?;
    let jobs: Value = run(&["jobs", "list", "--url", &dev.url, "--json"], "")?.json()?;
    ensure!(jobs["items"].as_array().is_some_and(|jobs| jobs.len() == 3), "{jobs}");
    dev.greets("Good morning, Ada!")?;
    dev.until("out", "greeting Ada", 1)?;
    ensure!(dev.said("out").matches("greeting Ada").count() == 1, "{}", dev.said("out"));
    dev.end(Signal::TERM)
}
