//! Showing the jobs: a line of counts while they run, a table when they have ended.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stderr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{check_interrupted, host::Host, jobs};

/// The states, in the order in which a job goes through them.
const STATES: [&str; 7] = ["scheduled", "awaiting", "enqueued", "processing", "succeeded", "failed", "deleted"];

/// How often the line of counts is drawn anew.
const REDRAW: Duration = Duration::from_millis(200);

/// The jobs take seconds; after this long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// Shows the counts until this many jobs have ended, and gives the jobs, by handler and oldest first.
pub(crate) fn until_ended(host: &mut Host, expected: usize) -> Result<Vec<Value>> {
    let started = Instant::now();
    let mut shown = String::new();
    loop {
        check_interrupted()?;
        host.check_alive()?;
        let mut jobs = host.jobs()?;
        let ended = jobs.iter().filter(|job| is_final(job)).count();
        let line = counts(&jobs);
        draw(&line, &mut shown, started.elapsed());
        if ended >= expected && ended == jobs.len() {
            if stderr().is_terminal() {
                eprintln!();
            }
            jobs.reverse();
            jobs.sort_by_key(jobs::handler);
            return Ok(jobs);
        }
        ensure!(started.elapsed() < PATIENCE, "of {expected} jobs only {ended} have ended: {line}");
        thread::sleep(REDRAW);
    }
}

/// Prints what became of each job.
pub(crate) fn table(jobs: &[Value]) {
    let head = ["job", "handler", "state", "attempts", "fuel", "peak memory", "time", "cause"].map(str::to_owned);
    let rows: Vec<[String; 8]> = [head].into_iter().chain(jobs.iter().map(row)).collect();
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Numbers stand at the right.
            let cell = if (3..7).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:width$}") };
            line = format!("{line}{cell}  ");
        }
        println!("{}", line.trim_end());
    }
}

fn row(job: &Value) -> [String; 8] {
    let text = |key: &str| job[key].as_str().unwrap_or("").to_owned();
    let usage = |key: &str| job["usage"][key].as_u64().unwrap_or(0);
    let mebibytes = usage("peak_memory_bytes") as f64 / f64::from(1 << 20);
    let milliseconds = usage("wall_us") as f64 / 1e3;
    [
        text("id"),
        jobs::handler(job),
        text("state"),
        job["attempt"].to_string(),
        grouped(usage("fuel")),
        format!("{mebibytes:.1} MiB"),
        format!("{milliseconds:.1} ms"),
        if job["state"] == "failed" {
            job["failure"]["cause"].as_str().unwrap_or("").to_owned()
        } else {
            String::new()
        },
    ]
}

fn is_final(job: &Value) -> bool {
    matches!(job["state"].as_str(), Some("succeeded" | "failed" | "deleted"))
}

fn counts(jobs: &[Value]) -> String {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(job["state"].as_str().unwrap_or("?")).or_insert(0) += 1;
    }
    let parts = STATES.iter().filter_map(|state| Some(format!("{} {state}", counts.get(state)?)));
    parts.collect::<Vec<_>>().join(", ")
}

/// Draws over the last line on a terminal; elsewhere writes a line for each change.
fn draw(line: &str, shown: &mut String, elapsed: Duration) {
    let line_with_time = format!("  {:5.1} s  {line}", elapsed.as_secs_f64());
    if stderr().is_terminal() {
        eprint!("\r\u{1b}[2K{line_with_time}");
        // Only for the eye.
        let _ = stderr().flush();
    } else if line != shown {
        eprintln!("{line_with_time}");
    }
    line.clone_into(shown);
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn counts_are_named_in_the_order_of_a_jobs_life() {
        let jobs = ["succeeded", "enqueued", "succeeded"].map(|state| json!({ "state": state }));
        assert_eq!(counts(&jobs), "1 enqueued, 2 succeeded");
    }
}
