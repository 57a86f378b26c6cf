//! The storage: whether it answers, what it says of itself, and whether the settings go with what it holds.

use std::{fs, io, path::Path, time::Duration};

use tokio::time::timeout;
use windlass_api::ModuleName;
use windlass_jobs::storage::{Storage, StorageError, StorageKind, StorageUrl};

use super::{super::format, folders, report::Report};
use crate::{config::Settings, storage};

const ABOUT: &str = "storage";

/// Longer than any storage's own limits on connecting.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn look(settings: &Settings, report: &mut Report) {
    let url = &settings.storage;
    if let Some(file) = url.file().filter(|file| is_absent(file)) {
        return absent(file, report);
    }
    if let Some(file) = url.file() {
        writable(file, report);
    }
    let storage = match timeout(LONGEST, storage::open_to_look(settings)).await {
        Ok(Ok(storage)) => storage,
        Ok(Err(error)) => return not_opened(&error, url, report),
        Err(_) => {
            return report.error(
                ABOUT,
                format!("{url} does not answer within 30 seconds"),
                "start it, or correct `storage`",
            );
        }
    };
    if let Err(error) = ask(&*storage, settings, report).await {
        report.error(ABOUT, format!("{url} answers with an error: {error:#}"), "");
    }
    storage.close().await;
}

fn not_opened(error: &anyhow::Error, url: &StorageUrl, report: &mut Report) {
    if let Some(StorageError::Absent { findings, .. }) = error.downcast_ref() {
        report.note(ABOUT, format!("nothing is there yet; `windlass serve` will make it: {url}"), "");
        return findings.iter().for_each(|finding| report.finding(ABOUT, finding.clone()));
    }
    let away = matches!(error.downcast_ref(), Some(StorageError::Unavailable(_)));
    let mend = if away { "start its server, or correct address, user and password in `storage`" } else { "" };
    report.error(ABOUT, format!("{error:#}"), mend);
}

async fn ask(storage: &dyn Storage, settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let jobs: u64 = storage.counts().await?.0.values().sum();
    let servers = storage.servers().await?.len();
    let what = format!("{} answers: jobs: {}, servers: {servers}", settings.storage, format::count(jobs));
    report.ok(ABOUT, what);
    let findings = storage.findings().await?;
    if findings.is_empty() {
        report.ok(ABOUT, format!("it is set up so that it loses nothing; {}", looked_at(settings)));
    }
    for finding in findings {
        report.finding(ABOUT, finding);
    }
    let known: Vec<_> = storage.modules().await?.into_iter().map(|module| module.name).collect();
    for name in settings.module.keys().filter(|name| !known.contains(name)) {
        let mend = match nearest(name, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("deploy it with `windlass deploy FILE --name {name}`, or correct the name"),
        };
        report.warning(&format!("[module.{name}]"), "no module of this name is deployed", &mend);
    }
    Ok(())
}

/// What of the contents was read, so that nobody takes this for a look at all of them.
fn looked_at(settings: &Settings) -> &'static str {
    match settings.storage.kind() {
        StorageKind::Sqlite => "no damage was found in its pages",
        StorageKind::Postgres => {
            "its tables are there and its newest 100 jobs can be read; older ones were not looked at"
        }
        StorageKind::Redis => "its newest 100 jobs can be read; older ones and modules were not looked at",
    }
}

/// A host writes to the file and beside it, also where looking needs neither.
fn writable(file: &Path, report: &mut Report) {
    let mend = "let the user that windlass runs as write there, or correct `storage`";
    if !folders::may_write(file) {
        report.error(ABOUT, format!("{} cannot be written to", file.display()), mend);
    } else if let Err(problem) = folders::can_be_made(folder_of(file)) {
        report.error(
            ABOUT,
            format!("the log and the lock of {} cannot be kept beside it: {problem}", file.display()),
            mend,
        );
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn nearest<'a>(name: &ModuleName, known: &'a [ModuleName]) -> Option<&'a ModuleName> {
    let rated = known.iter().map(|known| (strsim::jaro_winkler(name.as_str(), known.as_str()), known));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= 0.8).then_some(best.1)
}

/// Whether a host would make the storage: no file, or an empty one.
fn is_absent(file: &Path) -> bool {
    match fs::metadata(file) {
        Ok(metadata) => metadata.is_file() && metadata.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn absent(file: &Path, report: &mut Report) {
    let folder = folder_of(file);
    let shown = file.display();
    if !folder.is_dir() {
        let what = format!("{shown} cannot be made, since there is no folder {}", folder.display());
        return report.error(ABOUT, what, "make the folder, or correct `storage`");
    }
    match folders::can_be_made(folder) {
        Ok(()) => report.note(ABOUT, format!("{shown} does not exist yet; the host makes it when it starts"), ""),
        Err(problem) => report.error(
            ABOUT,
            format!("{shown} cannot be made: {problem}"),
            "let this user write there, or correct `storage`",
        ),
    }
}
