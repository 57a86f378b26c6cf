//! What may stand on the command line, above the single commands.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use super::{
    audit::Audit, build::Build, check::Check, completions::Completions, deploy::Deploy, dev::Dev, documentation,
    enqueue::Enqueue, jobs, limits, modules, new::New, queues, recurring, run::Run, serve::Serve, storage, token,
};

/// A background-job runner whose job handlers are WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, arg_required_else_help = true, propagate_version = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command understands.
#[derive(Args)]
pub(super) struct Global {
    /// Print results as JSON, in the types of the HTTP API.
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(super) json: bool,
    /// The host to talk to.
    #[arg(
        long,
        global = true,
        env = "WINDLASS_URL",
        default_value = "http://127.0.0.1:7878",
        help_heading = "Everywhere"
    )]
    pub(super) url: String,
    /// The token to show it, where it asks for one. Better given as a variable: other users see command lines.
    #[arg(long, global = true, env = "WINDLASS_TOKEN", hide_env_values = true, help_heading = "Everywhere")]
    pub(super) token: Option<String>,
    /// What to log on standard error: a level such as `debug`, or `target=level` parts with commas between them
    /// [default: info for `serve`, else warn].
    #[arg(
        long,
        global = true,
        env = "RUST_LOG",
        value_name = "FILTER",
        help_heading = "Everywhere",
        hide_env_values = true
    )]
    pub(super) log: Option<String>,
}

impl std::fmt::Debug for Global {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token.
        let Self { json, url, log, token: _ } = self;
        f.debug_struct("Global").field("json", json).field("url", url).field("log", log).finish_non_exhaustive()
    }
}

/// The file of settings, for the commands that need more than a host to talk to.
#[derive(Args, Debug)]
pub(super) struct Config {
    /// The file of settings [default: windlass.toml, where there is one].
    #[arg(long, env = "WINDLASS_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Serve(Serve),
    New(New),
    Build(Build),
    Dev(Dev),
    Run(Run),
    Deploy(Deploy),
    /// List modules, show one, activate one of its versions.
    Modules {
        #[command(subcommand)]
        command: Option<modules::Command>,
    },
    Enqueue(Enqueue),
    /// List and count jobs, show one, wait for it, read its logs; cancel, requeue or delete jobs.
    Jobs {
        #[command(subcommand)]
        command: jobs::Command,
    },
    /// List queues, pause, resume or limit one.
    Queues {
        #[command(subcommand)]
        command: Option<queues::Command>,
    },
    /// List, put or remove limits on how many jobs run at once or start in a span of time.
    Limits {
        #[command(subcommand)]
        command: Option<limits::Command>,
    },
    /// List recurring jobs, show one, put or remove one, pause, resume or trigger it.
    Recurring {
        #[command(subcommand)]
        command: Option<recurring::Command>,
    },
    /// List the host processes that take jobs.
    Servers,
    Audit(Audit),
    /// Make a token for a host that asks for them.
    Token {
        #[command(subcommand)]
        command: token::Command,
    },
    Check(Check),
    /// Migrate the storage, export all that it holds, or import an export.
    Storage {
        #[command(subcommand)]
        command: storage::Command,
    },
    Completions(Completions),
    /// Write what the documentation takes from the program itself, or read settings that it shows.
    #[command(hide = true)]
    Documentation {
        #[command(subcommand)]
        command: documentation::Command,
    },
    /// Compile the component on standard input; what the host starts to compile under limits.
    #[command(hide = true)]
    CompileComponent {
        /// What the host says to it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_go_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_documentation_shows_is_understood() {
        for line in [
            "serve --config w.toml --storage sqlite:a.db --listen 127.0.0.1:0 --queues a,b:3 --sync-slots 2 --async-slots 9 \
             --concurrency-mode async --modules handlers --shutdown-grace 30s",
            "run images.wasm thumbnail {}",
            "new hello",
            "new of/hello --lang python",
            "new hello --lang rust --sdk windlass/guest-sdk --json",
            "build",
            "build hello --lang javascript -o /tmp/hello.wasm",
            "dev",
            "dev hello --listen 127.0.0.1:7879",
            "dev --url http://host:1",
            "deploy images.wasm --name images --no-activate",
            "modules",
            "modules list --json",
            "modules show images",
            "modules activate images 0123456789ab",
            "enqueue images/thumbnail",
            "enqueue images/thumbnail {\"a\":1} --queue q --priority 0 --delay 5s --max-attempts 3 --timeout 1s \
             --retry fixed:1s --tag a --tag b --header k=v --wait --wait-for-handler",
            "enqueue images/thumbnail @payload.json --at 2026-11-23T12:00:00Z",
            "enqueue images/thumbnail -",
            "enqueue images/thumbnail -5",
            "enqueue a/b --after 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55 --on finished --limit-key k --expires 10m",
            "enqueue a/b {} --unique --unique-field /order --unique-for 1h --on-conflict replace",
            "enqueue a/b {} --unique-key k",
            "limits",
            "limits put key:tenant:* --concurrency 2 --rate 5/1s",
            "limits remove queue:mail",
            "queues limit mail --rate 100/1m",
            "queues limit mail --none",
            "enqueue --jsonl -",
            "jobs list --state failed --queue q --handler images/thumbnail --tag t --limit 5",
            "jobs counts",
            "jobs show 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55",
            "jobs wait 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55 --timeout 1min",
            "jobs logs 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55 --follow",
            "jobs cancel 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55",
            "jobs requeue 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55 --fresh --newest",
            "jobs delete 0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55 --url http://host:1",
            "jobs requeue --state failed --handler images/thumbnail --from 2h --yes --fresh --newest",
            "jobs delete --tag old --before 2026-11-01 --limit 500",
            "jobs cancel --queue mail --yes --json",
            "jobs list --text invoice --from 2h --before 2026-11-23 --count",
            "check",
            "check --config w.toml --storage redis://localhost --json --strict",
            "storage migrate --storage sqlite:a.db",
            "storage export",
            "storage export --storage sqlite:a.db -o all.jsonl --while-running",
            "storage import all.jsonl --storage sqlite:b.db --merge",
            "storage import - --config w.toml",
            "queues",
            "queues pause q",
            "queues resume q",
            "recurring",
            "recurring list --limit 5 --cursor a",
            "recurring show nightly",
            "recurring put tick @daily images/thumbnail {} --time-zone Europe/Berlin --misfire catch-up \
             --catch-up-limit 5 --queue q --priority 0 --max-attempts 3 --timeout 1s --retry fixed:1s --tag a --header k=v \
             --wait-for-handler",
            "recurring remove nightly",
            "recurring pause nightly",
            "recurring resume nightly",
            "recurring trigger nightly",
            "servers",
            "servers --token wl_00",
            "token new --role operator --name ci",
            "token new --role viewer --name prometheus --expires never --json",
            "completions zsh",
            "documentation pages /tmp/pages",
            "documentation man /tmp/man",
            "documentation settings a.toml b.toml",
            "compile-component /tmp/out 1000 10",
        ] {
            let words = std::iter::once("windlass").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "new",
            "new hello --lang cobol",
            "enqueue",
            "enqueue a/b --jsonl f",
            "enqueue a/b --delay 1s --at 2026-11-23T12:00:00Z",
            "enqueue a",
            "enqueue a/b --priority 10",
            "enqueue a/b --retry often",
            "jobs show 1",
            "jobs list --state gone",
            "jobs delete --limit 0 --state failed",
            "token new --role king --name a",
            "token new --role viewer",
            "jobs list --from tomorrow",
            "recurring put nightly @daily",
            "recurring put nightly @daily a/b --misfire never",
            "recurring put a/b @daily a/b",
            "storage",
        ] {
            let words = std::iter::once("windlass").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
