//! What the process itself logs: for people on a terminal, as JSON lines otherwise. Always on standard error.

use std::{io, time::Instant};

use tracing_subscriber::EnvFilter;

use super::{
    arguments::{Cli, Command},
    exit::Usage,
    output,
};

/// Starts logging.
pub(super) fn start(cli: &Cli) -> anyhow::Result<()> {
    let usual = if matches!(cli.command, Command::Serve(_)) { "info" } else { "warn" };
    let asked = cli.global.log.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(usual);
    let filter = EnvFilter::builder().parse(asked).map_err(|error| {
        Usage(format!("failed to read the log filter `{asked}`: {error}; expected a level such as `debug`"))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second initialisation means that the program which embeds this one logs in its own way.
    if output::on_terminal() {
        let since_start = SinceStart(Instant::now());
        drop(builder.with_timer(since_start).with_target(false).compact().try_init());
    } else {
        drop(builder.json().flatten_event(true).with_ansi(false).try_init());
    }
    Ok(())
}

/// The time since the process started, in seconds: shorter than an instant, and enough on a terminal.
struct SinceStart(Instant);

impl tracing_subscriber::fmt::time::FormatTime for SinceStart {
    fn format_time(&self, writer: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:9.3}s", self.0.elapsed().as_secs_f64())
    }
}
