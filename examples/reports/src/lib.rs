//! Summarises a large CSV file of sales and publishes the summary: a sync handler with progress and a follow-up job.

mod summary;

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Component, Path, PathBuf},
};

use windlass_guest::prelude::*;

pub use crate::summary::{Sale, Summary, Totals};

windlass_guest::export!(summarise, publish);

/// Where the operator's directory appears to the handlers.
const DATA: &str = "/data";

/// Which file to summarise.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Summarise {
    /// The file, a path below `/data`: CSV with the columns `date`, `region`, `product`, `quantity` and
    /// `unit_price_cents`.
    pub path: String,
}

/// Adds up the sales of a CSV file by region and by product, and has the summary published.
#[handler(max_attempts = 3, timeout = "5m", cancel_grace = "1s")]
pub fn summarise(ctx: &Context, args: Summarise) -> Result<Summary, JobError> {
    let summary = read(ctx, Path::new(DATA), &args)?;
    ctx.enqueue(JobRequest::new("publish", Publish { path: args.path, summary: summary.clone() }))?;
    Ok(summary)
}

fn read(ctx: &Context, data: &Path, args: &Summarise) -> Result<Summary, JobError> {
    let path = below(data, &args.path)?;
    let file = File::open(&path).or_retry("unreadable")?;
    let all_bytes = file.metadata()?.len();
    summary::read(BufReader::with_capacity(1 << 16, file), |rows, read_bytes| {
        ctx.progress((read_bytes as f64 / all_bytes.max(1) as f64 * 100.0) as f32, &format!("{rows} rows"));
        ctx.check_cancelled()
    })
}

/// What to publish.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Publish {
    /// The file that was summarised, a path below `/data`.
    pub path: String,
    /// Its summary.
    pub summary: Summary,
}

/// Where the summary is.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Published {
    /// A path below `/data`.
    pub path: String,
    /// Its size.
    pub bytes: usize,
}

/// Writes a summary beside the file that it is of, as `….summary.json`.
#[handler(max_attempts = 5, timeout = "30s")]
pub fn publish(ctx: &Context, args: Publish) -> Result<Published, JobError> {
    let published = write(Path::new(DATA), &args)?;
    ctx.info(format!("published {}", published.path));
    Ok(published)
}

fn write(data: &Path, args: &Publish) -> Result<Published, JobError> {
    let path = format!("{}.summary.json", args.path);
    let target = below(data, &path)?;
    let text = serde_json::to_vec_pretty(&args.summary)?;
    // A reader of the summary never sees half of it, also where this attempt is stopped.
    let unfinished = target.with_extension("part");
    fs::write(&unfinished, &text)?;
    fs::rename(&unfinished, &target)?;
    Ok(Published { path, bytes: text.len() })
}

/// A file below a directory. The sandbox would refuse any other; this says it in better words.
fn below(directory: &Path, path: &str) -> Result<PathBuf, JobError> {
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(JobError::fatal("bad-path", format!("`{path}` is not a path below the granted directory")));
    }
    Ok(directory.join(relative))
}

#[cfg(test)]
mod tests {
    use windlass_guest::testing::TestContext;

    use super::*;

    #[test]
    fn a_file_is_summarised_with_progress_and_the_summary_published() {
        let folder = tempfile::tempdir().unwrap();
        let mut csv = "date,region,product,quantity,unit_price_cents\n".to_owned();
        for number in 0..100_000 {
            csv += &format!("2026-01-01,{},bolt,2,150\n", if number % 4 == 0 { "north" } else { "south" });
        }
        fs::write(folder.path().join("sales.csv"), csv).unwrap();
        let test = TestContext::new();
        let summary = read(&test.context(), folder.path(), &Summarise { path: "sales.csv".into() }).unwrap();
        assert_eq!((summary.rows, summary.total.revenue_cents), (100_000, 30_000_000));
        assert_eq!(summary.by_region["north"].rows, 25_000);
        let progress = test.progress();
        assert!(progress.len() >= 20 && progress.len() <= 200, "{}", progress.len());
        assert!(progress.windows(2).all(|pair| pair[0].percent <= pair[1].percent));

        let published = write(folder.path(), &Publish { path: "sales.csv".into(), summary: summary.clone() }).unwrap();
        let text = fs::read(folder.path().join(published.path)).unwrap();
        assert_eq!(serde_json::from_slice::<Summary>(&text).unwrap(), summary);
    }

    #[test]
    fn a_cancelled_run_stops_at_its_next_progress() {
        let folder = tempfile::tempdir().unwrap();
        let row = "2026-01-01,north,bolt,2,150\n";
        let csv = format!("date,region,product,quantity,unit_price_cents\n{}", row.repeat(10_000));
        fs::write(folder.path().join("sales.csv"), csv).unwrap();
        let test = TestContext::new();
        test.cancel();
        let error = read(&test.context(), folder.path(), &Summarise { path: "sales.csv".into() }).unwrap_err();
        assert_eq!(error, JobError::Cancelled);
        assert_eq!(test.progress().len(), 1);
    }

    #[test]
    fn a_path_that_leads_out_is_refused_for_good() {
        let error = below(Path::new(DATA), "../etc/passwd").unwrap_err();
        assert_eq!(error.failure().unwrap().code, "bad-path");
    }
}
