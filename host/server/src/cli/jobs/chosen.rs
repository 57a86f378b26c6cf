//! Which jobs a command is for: those of some ids, or all that pass a filter.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use windlass_api::{BulkActionRequest, BulkVerb, JobFilter, JobId};

use super::{
    super::{exit::Usage, output::say},
    filter::Filter,
};

/// No command is given more ids: as many jobs as a filter may choose.
const MAX_IDS: usize = BulkActionRequest::MAX_LIMIT as usize;

/// More than so many ids have with anything around them, so that a wrong file is not read whole.
const LONGEST_BYTES: u64 = 16 << 20;

pub(super) const HELP: &str = "\
Up to 100 ids are commanded one after the other, each with a line for its job; more of them by the host, in the background.

Without ids, the options of `windlass jobs list` choose the jobs: how many they are is printed, and with --yes, or after a yes on \
a terminal, it is done. The host does it in the background and spares other work; only jobs that were made before are touched, and \
where --state is given only those that are still in it. Ctrl-C stops it after the jobs that it is at, a second one no longer waits \
for that.

Examples:
  windlass jobs requeue --state failed --handler images/thumbnail --from 2h --yes
  windlass jobs delete --state succeeded --before 2026-11-01 --yes
  windlass jobs cancel --queue mail
  windlass jobs list --state failed --json | jq -r '.items[].id' | windlass jobs retry --ids-from -";

/// The jobs that a command is for.
#[derive(Args, Debug)]
#[group(skip)]
pub(in super::super) struct Chosen {
    /// The jobs; or options that choose them.
    ids: Vec<JobId>,
    /// Read the ids of the jobs from a file, one a line, 100,000 at most; - is standard input.
    #[arg(long, value_name = "FILE", help_heading = "Many jobs")]
    ids_from: Option<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    /// Do it for all jobs that the options choose, without asking.
    #[arg(long, help_heading = "Many jobs")]
    yes: bool,
    /// Do it for no more jobs than this, 1 to 100,000, the newest first.
    #[arg(long, value_name = "N", help_heading = "Many jobs", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: Option<u32>,
}

/// Which jobs were meant.
pub(super) enum Jobs {
    Named(Vec<JobId>),
    Like(Like),
}

/// All jobs that pass a filter, to a limit.
pub(super) struct Like {
    pub(super) filter: JobFilter,
    pub(super) is_agreed: bool,
    pub(super) limit: Option<u32>,
}

impl Chosen {
    /// Either ids or options that choose.
    pub(super) fn read(self, verb: BulkVerb) -> anyhow::Result<Jobs> {
        let Self { ids, ids_from, filter, yes, limit } = self;
        let filter = filter.read()?;
        let (has_filter, has_ids) = (filter != JobFilter::default(), !ids.is_empty() || ids_from.is_some());
        let wrong = match (has_ids, has_filter) {
            (true, true) => {
                format!("failed to {verb} jobs: give their ids or options that choose them, not both")
            }
            (false, false) => format!(
                "failed to {verb} jobs: give their ids, or options that choose them such as --state failed; see `windlass jobs \
                 {verb} --help`"
            ),
            (true, false) if yes || limit.is_some() => {
                "--yes and --limit go with options that choose jobs, not with ids".to_owned()
            }
            (true, false) => return named(ids, ids_from.as_deref()),
            (false, true) => return Ok(Jobs::Like(Like { filter, is_agreed: yes, limit })),
        };
        Err(Usage(wrong).into())
    }
}

fn named(mut ids: Vec<JobId>, from: Option<&Path>) -> anyhow::Result<Jobs> {
    if let Some(path) = from {
        let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        let context = || format!("failed to read the ids of jobs in {name}");
        let reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).with_context(context)?))
        };
        ids.extend(read_ids(reader, &name)?);
        if ids.is_empty() {
            say(&format!("there is no id of a job in {name}: nothing is done"));
        }
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    if ids.len() > MAX_IDS {
        return Err(too_many(ids.len()).into());
    }
    Ok(Jobs::Named(ids))
}

fn too_many(count: usize) -> Usage {
    Usage(format!("{count} ids of jobs: at most {MAX_IDS} are taken by one command"))
}

/// The ids in a text, one a line. Empty lines are passed over.
fn read_ids(reader: impl BufRead, name: &str) -> anyhow::Result<Vec<JobId>> {
    let mut ids = Vec::new();
    for (number, line) in reader.take(LONGEST_BYTES).lines().enumerate() {
        let line = line.with_context(|| format!("failed to read the ids of jobs in {name}"))?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let id = line.parse::<JobId>();
        ids.push(id.map_err(|error| Usage(format!("line {} of {name}: {error}", number + 1)))?);
        if ids.len() > MAX_IDS {
            return Err(Usage(format!("{name} has more than {MAX_IDS} ids of jobs: split it")).into());
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn text(count: u128) -> String {
        (0..count).map(|number| format!("{}\n", Uuid::from_u128(number))).collect()
    }

    #[test]
    fn ids_are_read_line_by_line_and_a_bad_one_is_named_with_its_line() {
        let id = "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55";
        let ids = read_ids(format!("{id}\n\n  {id}  \n").as_bytes(), "a.txt").unwrap();
        assert_eq!(ids.iter().map(JobId::to_string).collect::<Vec<_>>(), [id, id]);
        let error = read_ids(format!("{id}\n\njob 7\n").as_bytes(), "a.txt").unwrap_err();
        assert!(error.is::<Usage>());
        assert_eq!(
            error.to_string(),
            format!("line 3 of a.txt: `job 7` is not a job id: expected a UUID such as {id}")
        );
    }

    #[test]
    fn more_ids_than_a_command_takes_are_refused() {
        assert_eq!(read_ids(text(100_000).as_bytes(), "ids").unwrap().len(), 100_000);
        let error = read_ids(text(100_001).as_bytes(), "ids").unwrap_err().to_string();
        assert_eq!(error, "ids has more than 100000 ids of jobs: split it");
    }

    #[test]
    fn an_id_that_is_named_twice_is_taken_once() {
        let id = JobId(Uuid::from_u128(7));
        let Jobs::Named(ids) = named(vec![id, id], None).unwrap() else { panic!("they are ids") };
        assert_eq!(ids, [id]);
    }
}
