//! Following a page literally, in an empty folder: what it has one write is written, what it has one type is typed.
//!
//! Three things are put in place of what stands there, so that tests disturb nobody and each other: ports, the folder that
//! cargo builds to, and the servers of PostgreSQL and Redis.

use std::{
    collections::BTreeSet,
    env, fs,
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use windlass_test_services::shared;

use crate::{
    blocks::blocks,
    book::{Page, root},
    script::{Step, difference, script},
};

/// How long a page may take on a busy machine, everything built before.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long the first hour may take.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How often to look whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// How literally a page is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The checkout is there as `windlass`, and its program is found.
    Prepared,
    /// Nothing is there but Rust: the repository is cloned and built, in a home without anything in it.
    FromNothing,
}

/// Whether a page has commands that are run.
#[must_use]
pub fn is_followed(page: &Page) -> bool {
    steps(page, Way::Prepared).is_ok_and(|steps| steps.iter().any(|step| matches!(step, Step::Run { .. })))
}

/// The host's program, with nothing in its environment that sets anything of Windlass's.
///
/// # Errors
/// Where it has not been built.
pub fn windlass() -> Result<Command> {
    let mut command = Command::new(windlass_tests::windlass()?);
    forget_settings(&mut command);
    Ok(command)
}

/// Follows a page.
///
/// # Errors
/// Where a command fails, or prints something else than the page shows; the error names the line.
pub fn follow(page: &Page, way: Way) -> Result<()> {
    let steps = steps(page, way)?;
    let folder = TempDir::with_prefix("windlass-docs-")?;
    let (work, seen) = (folder.path().join("work"), folder.path().join("seen"));
    fs::create_dir_all(&work)?;
    fs::create_dir_all(&seen)?;
    let changes = changes(&steps)?;
    let change = |text: &str| changes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let text = script(&steps, change);
    let file = folder.path().join("page.sh");
    fs::write(&file, text)?;

    let mut command = Command::new("bash");
    command.arg(&file).current_dir(&work).env("SEEN", &seen);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(seen.join("script.err"))?);
    surroundings(&mut command, way, folder.path(), &change)?;
    let patience = if way == Way::FromNothing { HOUR } else { PATIENCE };
    let outcome = run(&mut command, patience);
    let at: usize = fs::read_to_string(seen.join("at")).unwrap_or_default().trim().parse().unwrap_or(0);
    let said = |at: usize, stream: &str| fs::read_to_string(seen.join(format!("{at}.{stream}"))).unwrap_or_default();
    outcome.with_context(|| {
        let line = steps.get(at).map_or(0, Step::line);
        let (out, err) = (said(at, "out"), said(at, "err"));
        let script = fs::read_to_string(seen.join("script.err")).unwrap_or_default();
        format!("{}:{line}: failed; it printed\n{out}{err}{script}", page.name)
    })?;
    for (at, step) in steps.iter().enumerate() {
        if let Step::Run { block, prints: Some(prints) } = step
            && let Some(difference) = difference(&change(&prints.text), &said(at, "out"))
        {
            bail!("{}:{}: {difference}", page.name, block.line);
        }
    }
    Ok(())
}

/// What there is to do.
fn steps(page: &Page, way: Way) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(&page.text) {
        let place = format!("{}:{}", page.name, block.line);
        if let Some(name) = block.noted("file") {
            ensure!(!name.is_empty() && !name.contains('\''), "{place}: no name of a file");
            let name = name.to_owned();
            steps.push(Step::Write { block, name });
        } else if block.language == "sh" {
            let reason = block.noted("not run").or(block.noted("run in the first hour"));
            ensure!(reason != Some(""), "{place}: it is not said why this is not run");
            let is_run = match way {
                Way::Prepared => reason.is_none(),
                Way::FromNothing => block.noted("not run").is_none(),
            };
            if is_run {
                steps.push(Step::Run { block, prints: None });
            }
        } else if block.note.as_deref() == Some("prints") {
            match steps.last_mut() {
                Some(Step::Run { prints: prints @ None, .. }) => *prints = Some(block),
                _ => bail!("{place}: there are no commands right before this that could print it"),
            }
        } else {
            ensure!(
                block.language != "console",
                "{place}: commands stand in blocks of `sh`, and what they print in others"
            );
        }
    }
    Ok(steps)
}

/// What is put in place of what stands in the page.
fn changes(steps: &[Step]) -> Result<Vec<(String, String)>> {
    let mut changes = Vec::new();
    let target = target()?.display().to_string();
    for before in ["windlass/target/", "$PWD/target/"] {
        changes.push((before.to_owned(), format!("{target}/")));
    }
    changes.push((" target/".to_owned(), format!(" {target}/")));
    let mut taken = BTreeSet::new();
    for port in [7878, 7879] {
        let free = loop {
            let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if taken.insert(free) {
                break free;
            }
        };
        changes.push((format!("127.0.0.1:{port}"), format!("127.0.0.1:{free}")));
    }
    let mut server = |stands: &str, url: fn() -> std::io::Result<String>| -> Result<()> {
        let is_named = steps.iter().any(|step| match step {
            Step::Run { block, .. } | Step::Write { block, .. } => block.text.contains(stands),
        });
        if is_named {
            let (url, name) = (url()?, taken.iter().next().copied().unwrap_or_default());
            let separator = if url.contains('?') { '&' } else { '?' };
            changes.push((stands.to_owned(), format!("{url}{separator}namespace=docs{name}")));
        }
        Ok(())
    };
    server("postgres://windlass:secret@127.0.0.1:5432/windlass", shared::postgres_url)?;
    server("redis://127.0.0.1:6379", shared::redis_url)?;
    Ok(changes)
}

/// The environment of the page's shell.
fn surroundings(command: &mut Command, way: Way, folder: &Path, change: &impl Fn(&str) -> String) -> Result<()> {
    forget_settings(command);
    let host = change("127.0.0.1:7878");
    command.env("WINDLASS_URL", format!("http://{host}")).env("WINDLASS_LISTEN", host);
    command.env("CARGO_TARGET_DIR", target()?).env("NO_COLOR", "1").env_remove("RUST_LOG");
    // A busy machine compiles slowly, and that is not what is tested.
    command.env("WINDLASS_COMPILE_TIMEOUT", "10min");
    // What the cargo of this test's run says to its programs is not for those that are started here.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("RUSTFLAGS");
    match way {
        Way::Prepared => {
            symlink(root(), folder.join("work/windlass"))?;
            let programs =
                windlass_tests::windlass()?.parent().map(Path::to_owned).context("the program has no folder")?;
            let paths = env::var_os("PATH").unwrap_or_default();
            let paths = env::join_paths([programs].into_iter().chain(env::split_paths(&paths)))?;
            command.env("PATH", paths).env("XDG_CACHE_HOME", target()?.join("e2e-cache"));
        }
        Way::FromNothing => {
            let home = folder.join("home");
            fs::create_dir_all(&home)?;
            let old = PathBuf::from(env::var_os("HOME").unwrap_or_default());
            for (variable, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
                command.env(variable, env::var_os(variable).map_or_else(|| old.join(usual), PathBuf::from));
            }
            command.env("HOME", home).env_remove("XDG_CACHE_HOME");
            // The clone is of what lies here, changes included.
            let copy = snapshot(folder)?;
            command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", format!("url.{}.insteadOf", copy.display()));
            command.env("GIT_CONFIG_VALUE_0", "https://github.com/windlass-jobs/windlass");
        }
    }
    Ok(())
}

/// A repository with one commit, of all files that lie in the checkout and are not ignored.
fn snapshot(folder: &Path) -> Result<PathBuf> {
    let copy = folder.join("copy.git");
    let git = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new("git");
        command.current_dir(root()).arg("--git-dir").arg(&copy).arg("--work-tree").arg(root());
        command.args(["-c", "user.name=docs", "-c", "user.email=docs@localhost", "-c", "init.defaultBranch=main"]);
        let output = command.args(arguments).output().context("failed to run git")?;
        ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    git(&["init", "--quiet"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "What lies here"])?;
    Ok(copy)
}

fn forget_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("WINDLASS_") {
            command.env_remove(name);
        }
    }
}

/// Where cargo builds.
fn target() -> Result<PathBuf> {
    let windlass = windlass_tests::windlass()?;
    Ok(windlass.ancestors().nth(2).context("the program was not built by cargo")?.to_owned())
}

/// Runs the page's shell, and ends all that it has started.
fn run(command: &mut Command, patience: Duration) -> Result<()> {
    let started = Instant::now();
    let mut child = command.process_group(0).spawn().context("failed to start bash")?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    let outcome = loop {
        match child.try_wait()? {
            Some(status) if status.success() => break Ok(()),
            Some(status) => break Err(anyhow::anyhow!("a command ended with {status}")),
            None if started.elapsed() > patience => {
                break Err(anyhow::anyhow!("it did not end within {} minutes", patience.as_secs() / 60));
            }
            None => thread::sleep(LOOK),
        }
    };
    // Hosts of the page still run, unless it has stopped them.
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
    outcome
}
