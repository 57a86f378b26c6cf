//! `cargo xtask …`: what is done with the repository as a whole. Each command is a file; none knows how Windlass works
//! inside, all of them use it from outside.

mod bench;
mod browser;
mod build;
mod dashboard;
mod demo;
mod dist;
mod docs;
mod fuzz;
mod javascript;
mod lint;
mod python;
mod schemathesis;
mod services;
mod setup;
mod shell;
mod test;
mod workspace;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Set-up, build, demo, test, documentation, bench and lint of Windlass. Every command first sets up what it needs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Adds the WebAssembly targets and the servers that tests use, and checks for a C compiler
    Setup,
    /// Builds the dashboard, the host, the example handlers and the test guests
    Build,
    /// Builds the dashboard alone; a host that is built afterwards takes it in
    Dashboard,
    /// Runs real jobs on a host with its data in ./demo-data, and leaves the host running
    Demo {
        /// Stop the host at the end; fail if any job is not in its expected state
        #[arg(long)]
        exit: bool,
    },
    /// Runs the tests: one suite, or all of them
    Test {
        /// The suite
        suite: Option<test::Suite>,
    },
    /// Measures
    Bench {
        /// What to measure
        #[arg(default_value = "sandbox")]
        what: bench::What,
        /// Also write the figures to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Options of the measurement itself, such as `--stores redis --jobs 1000`
        #[arg(last = true)]
        more: Vec<String>,
    },
    /// Writes the generated pages and builds the documentation as a site, in target/site, with that of the crates
    Docs {
        /// Show it in a browser
        #[arg(long)]
        open: bool,
        /// Take its pictures of the dashboard anew
        #[arg(long)]
        pictures: bool,
    },
    /// Builds what is handed out, in target/dist: the release build, man pages, completions, checksums
    Dist,
    /// Throws things at Windlass at random, on a nightly compiler that it adds; what is found stands in fuzz/artifacts
    Fuzz {
        /// The target: cron, cursor, guest, request or upload [default: each of them]
        target: Option<String>,
        /// For how long, in seconds, each
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Checks formatting, lints, documentation and unused dependencies
    Lint,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let workspace = Workspace::locate()?;
    setup::run(&workspace)?;
    match arguments.command {
        Command::Setup => {
            services::install()?;
            shell::say("everything is set up");
            Ok(())
        }
        Command::Build => build::everything(&workspace),
        Command::Dashboard => dashboard::build(&workspace),
        Command::Demo { exit } => demo::run(&workspace, exit),
        Command::Test { suite } => test::run(&workspace, suite),
        Command::Bench { what, json, more } => bench::run(&workspace, what, json.as_deref(), &more),
        Command::Docs { open, pictures } => docs::run(&workspace, open, pictures),
        Command::Dist => dist::run(&workspace),
        Command::Fuzz { target, seconds } => fuzz::run(&workspace, target.as_deref(), seconds),
        Command::Lint => lint::run(&workspace),
    }
}
