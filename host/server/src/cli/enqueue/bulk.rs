//! Many jobs, from JSON lines, in batches that are each stored wholly or not at all.

use std::{
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use uuid::Uuid;
use windlass_api::{Enqueued, JobId, JobRequest};

use super::super::{Exit, Global, exit::Usage, files, format, output::say, progress};
use crate::remote::RemoteError;

/// What a host takes in one call, so that a file of no more than that is enqueued wholly or not at all.
const BATCH_JOBS: usize = 10_000;
const BATCH_BYTES: usize = 16 << 20;

/// As many jobs that they continue may the jobs of one call name together.
const BATCH_PARENTS: usize = 50_000;

/// No job request is longer: payload, headers and tags have their own, lower limits.
const LINE_BYTES: u64 = 4 << 20;

pub(super) async fn run(path: &Path, global: &Global) -> anyhow::Result<Exit> {
    let (remote, output, begun_at) = (global.remote()?, global.output(), Instant::now());
    let (mut lines, bar) = open(path)?;
    let mut sent = Sent { ids: output.is_json().then(Vec::new), jobs: 0, existing: 0, last_line: 0 };
    loop {
        let batch = match lines.batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(error) => return sent.broke_off(error),
        };
        match remote.enqueue_bulk(batch.body.clone()).await {
            Ok(enqueued) => sent.add(enqueued, &batch),
            Err(error) => return sent.broke_off(batch.explain(&lines.name, error)),
        }
        bar.set_position(lines.read_bytes);
        bar.set_message(format!("{} jobs", format::count(sent.jobs)));
    }
    bar.finish_and_clear();
    if let Some(ids) = &sent.ids {
        output.show(ids, |_| String::new())?;
    } else {
        let elapsed = format::span(u64::try_from(begun_at.elapsed().as_millis()).unwrap_or(u64::MAX));
        say(&format!("{} in {elapsed}", sent.summary()));
    }
    Ok(Exit::Fine)
}

fn open(path: &Path) -> anyhow::Result<(Lines<Box<dyn BufRead>>, ProgressBar)> {
    if path == Path::new("-") {
        return Ok((Lines::new("standard input", Box::new(BufReader::new(io::stdin()))), progress::bar(None)));
    }
    let name = path.display().to_string();
    let file = files::open(path, "the jobs in", "write one job as JSON into each of its lines")?;
    // What is no plain file, such as a named pipe, has no length that tells anything.
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Lines::new(&name, Box::new(BufReader::with_capacity(1 << 20, file))), progress::bar(length)))
}

/// What was enqueued so far.
struct Sent {
    /// Kept only where they are printed.
    ids: Option<Vec<Enqueued>>,
    jobs: u64,
    existing: u64,
    /// The line of the last of them.
    last_line: u64,
}

impl Sent {
    fn add(&mut self, enqueued: Vec<Enqueued>, batch: &Batch) {
        self.last_line = batch.lines.last().copied().unwrap_or(self.last_line);
        self.jobs += enqueued.len() as u64;
        self.existing += enqueued.iter().filter(|enqueued| enqueued.existing).count() as u64;
        if let Some(ids) = &mut self.ids {
            ids.extend(enqueued);
        }
    }

    fn summary(&self) -> String {
        let existing = match self.existing {
            0 => String::new(),
            existing => format!(", {} of which were there before", format::count(existing)),
        };
        let jobs = if self.jobs == 1 { "job" } else { "jobs" };
        format!("{} {jobs} enqueued{existing}", format::count(self.jobs))
    }

    /// Says with an error what was done before it, since that stays.
    fn broke_off(&self, error: anyhow::Error) -> anyhow::Result<Exit> {
        if self.jobs == 0 {
            say("no job was enqueued");
            return Err(error);
        }
        let (done, last) = (self.summary(), self.last_line);
        say(&format!(
            "{done}, those up to line {last}; none of the lines after it: once it is mended, send these alone"
        ));
        say(&format!("error: {error:#}"));
        Ok(Exit::Partly)
    }
}

/// Some lines on their way to the host.
struct Batch {
    /// A JSON array of job requests.
    body: String,
    /// The line of each, from 1.
    lines: Vec<u64>,
}

impl Batch {
    /// Names the line, where the host named the job.
    fn explain(&self, file: &str, error: RemoteError) -> anyhow::Error {
        let (first, last) = (self.lines.first().copied().unwrap_or(0), self.lines.last().copied().unwrap_or(0));
        let whole = format!("failed to enqueue lines {first} to {last} of {file}");
        let RemoteError::Refused(problem) = &error else { return anyhow::Error::new(error).context(whole) };
        // The host names the job by its position within the call: `job 3 of 1000: …`.
        let named = problem.detail.strip_prefix("job ").and_then(|rest| rest.split_once(": "));
        let named = named.and_then(|(position, detail)| {
            let position: usize = position.split_once(" of ")?.0.parse().ok()?;
            Some((self.lines.get(position.checked_sub(1)?)?, detail))
        });
        match named {
            Some((line, detail)) => anyhow::anyhow!("failed to enqueue line {line} of {file}: {detail}"),
            None => anyhow::Error::new(error).context(whole),
        }
    }
}

/// A job request on its line.
struct Line {
    number: u64,
    /// As it is sent.
    job: String,
    /// How many jobs it continues.
    parents: usize,
}

/// Job requests, line by line.
struct Lines<R> {
    name: String,
    reader: R,
    line: u64,
    read_bytes: u64,
    /// A job that had no room in the batch before.
    held_back: Option<Line>,
}

impl<R: BufRead> Lines<R> {
    fn new(name: &str, reader: R) -> Self {
        Self { name: name.to_owned(), reader, line: 0, read_bytes: 0, held_back: None }
    }

    /// The next batch; nothing at the end.
    fn batch(&mut self) -> anyhow::Result<Option<Batch>> {
        let (mut batch, mut parents) = (Batch { body: String::from("["), lines: Vec::new() }, 0);
        while batch.lines.len() < BATCH_JOBS {
            let Some(line) = self.next()? else { break };
            let is_full = batch.body.len() + line.job.len() + 1 > BATCH_BYTES || parents + line.parents > BATCH_PARENTS;
            if !batch.lines.is_empty() && is_full {
                self.held_back = Some(line);
                break;
            }
            if !batch.lines.is_empty() {
                batch.body.push(',');
            }
            batch.body.push_str(&line.job);
            batch.lines.push(line.number);
            parents += line.parents;
        }
        batch.body.push(']');
        Ok((!batch.lines.is_empty()).then_some(batch))
    }

    /// The next job. Each gets an id here, so that a batch may be sent twice.
    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        if let Some(held_back) = self.held_back.take() {
            return Ok(Some(held_back));
        }
        loop {
            let Some(text) = self.read_line()? else { return Ok(None) };
            // Without its line break: what is missing is then missing on this line.
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let wrong = |error| Usage(format!("failed to read line {} of {}: {error}", self.line, self.name));
            let mut request: JobRequest = serde_json::from_str(text).map_err(|error| wrong(within_line(&error)))?;
            request.id.get_or_insert_with(|| JobId(Uuid::now_v7()));
            let parents = request.after.as_ref().map_or(0, |after| after.jobs.len());
            return Ok(Some(Line { number: self.line, job: serde_json::to_string(&request)?, parents }));
        }
    }

    fn read_line(&mut self) -> anyhow::Result<Option<String>> {
        let (mut text, line) = (Vec::new(), self.line + 1);
        let read = self.reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut text);
        let read = read.with_context(|| format!("failed to read line {line} of {}", self.name))? as u64;
        if read == 0 {
            return Ok(None);
        }
        (self.line, self.read_bytes) = (line, self.read_bytes + read);
        if read == LINE_BYTES && text.last() != Some(&b'\n') {
            bail!("failed to read line {line} of {}: it has more than {}", self.name, format::size(LINE_BYTES));
        }
        let text = String::from_utf8(text).map_err(|_| format!("line {line} of {} is not UTF-8", self.name));
        text.map(Some).map_err(|error| Usage(format!("failed to read the jobs: {error}")).into())
    }
}

/// serde_json counts lines within the text, which is one line here.
fn within_line(error: &serde_json::Error) -> String {
    let problem = error.to_string().replace(" at line 1 column ", " at column ");
    if error.is_eof() { format!("{problem}: each job stands wholly on a line of its own") } else { problem }
}

#[cfg(test)]
mod tests {
    use windlass_api::{Problem, ProblemCode};

    use super::*;

    fn lines(text: &str) -> Lines<&[u8]> {
        Lines::new("jobs.jsonl", text.as_bytes())
    }

    #[test]
    fn lines_become_batches_of_requests_with_ids() {
        let text = "{\"handler\":\"a/b\"}\n\n  \n{\"handler\":\"a/c\",\"payload\":[1.0]}";
        let mut lines = lines(text);
        let batch = lines.batch().unwrap().unwrap();
        let jobs: Vec<JobRequest> = serde_json::from_str(&batch.body).unwrap();
        assert_eq!(batch.lines, [1, 4]);
        assert_eq!(jobs[1].payload.as_str(), "[1.0]");
        assert!(jobs.iter().all(|job| job.id.is_some()));
        assert!(lines.batch().unwrap().is_none());
        assert_eq!(lines.read_bytes, text.len() as u64);
    }

    #[test]
    fn a_batch_has_bounds() {
        let many = "{\"handler\":\"a/b\"}\n".repeat(BATCH_JOBS + 1);
        let mut many = lines(&many);
        assert_eq!(many.batch().unwrap().unwrap().lines.len(), BATCH_JOBS);
        assert_eq!(many.batch().unwrap().unwrap().lines, [BATCH_JOBS as u64 + 1]);

        let long = format!("{{\"handler\":\"a/b\",\"payload\":\"{}\"}}\n", "x".repeat(3 << 20)).repeat(6);
        let mut long = lines(&long);
        let first = long.batch().unwrap().unwrap();
        assert_eq!(first.lines, [1, 2, 3, 4, 5]);
        assert!(first.body.len() <= BATCH_BYTES);
        assert_eq!(long.batch().unwrap().unwrap().lines, [6]);

        let parents = vec!["\"0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55\""; 30_000].join(",");
        let follows = format!("{{\"handler\":\"a/b\",\"after\":{{\"jobs\":[{parents}]}}}}\n").repeat(2);
        let mut follows = lines(&follows);
        assert_eq!(follows.batch().unwrap().unwrap().lines, [1]);
        assert_eq!(follows.batch().unwrap().unwrap().lines, [2]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = |text: &str| lines(text).batch().err().unwrap().to_string();
        let unknown = error("{\"handler\":\"a/b\"}\n{\"handler\":\"a/b\",\"prio\":1}");
        assert!(
            unknown.starts_with("failed to read line 2 of jobs.jsonl: unknown field `prio`, expected"),
            "{unknown}"
        );
        let no_path = error("\n\n{\"handler\":\"a\"}");
        assert!(no_path.starts_with("failed to read line 3 of jobs.jsonl: `a` is not a handler path"), "{no_path}");
        let half =
            "failed to read line 1 of jobs.jsonl: EOF while parsing an object at column 1: each job stands wholly on";
        assert!(error("{\n\"handler\":\"a/b\"}\n").starts_with(half), "{}", error("{\n"));
    }

    #[test]
    fn a_job_that_the_host_refuses_is_named_by_its_line() {
        let batch = Batch { body: String::new(), lines: vec![5, 7, 9] };
        let refused = |detail: &str| {
            let problem = Problem::new(ProblemCode::UnknownHandler, detail);
            format!("{:#}", batch.explain("f", RemoteError::Refused(problem)))
        };
        assert_eq!(refused("job 2 of 3: no such handler"), "failed to enqueue line 7 of f: no such handler");
        assert_eq!(refused("too much"), "failed to enqueue lines 5 to 9 of f: too much");
        assert_eq!(refused("job 9 of 3: x"), "failed to enqueue lines 5 to 9 of f: job 9 of 3: x");
    }
}
