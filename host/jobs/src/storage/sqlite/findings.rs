//! What an operator should know of how a database is set up.

use std::{
    cmp::Reverse,
    fs,
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode};

use super::{fault::Fault, options::Synchronous, show, words};
use crate::storage::{Finding, Retention, Severity, StorageError};

/// Below so much free room on the disk an operator is warned: a gibibyte is some hundred thousand jobs.
const LOW_BYTES: u64 = 1024 * 1024 * 1024;

/// Below so much the next large write may fail.
const TOO_LOW_BYTES: u64 = 64 * 1024 * 1024;

/// A log of so many bytes, eight times what it is folded at, is held open by somebody who reads.
const LONG_LOG_BYTES: u64 = 8 * 4096 * 4096;

/// For so long SQLite looks through the file: some 100,000 pages, 400 MB.
const LOOKS_FOR: Duration = Duration::from_secs(2);

/// What is found, the worst first. `path` is absent for a database in memory.
pub(super) fn findings(
    db: &Connection,
    path: Option<&Path>,
    synchronous: Synchronous,
    retention: &Retention,
) -> Vec<Finding> {
    let mut findings = of_the_setting(path, synchronous);
    // Where the file itself cannot be read, looking at its pages tells more.
    findings.extend(of_the_newest_jobs(db, retention).ok().flatten());
    findings.extend(path.and_then(|path| of_the_pages(db, path, LOOKS_FOR)));
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

/// How many of the newest jobs are read to see whether they can be.
const SAMPLE: i64 = 100;

fn of_the_newest_jobs(db: &Connection, retention: &Retention) -> Result<Option<Finding>, Fault> {
    let mut query = db.prepare_cached("SELECT seq, id FROM jobs ORDER BY seq DESC LIMIT ?1")?;
    let newest = query.query_map([SAMPLE], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1).ok())))?;
    let newest = newest.collect::<Result<Vec<(i64, _)>, _>>()?;
    let mut unread = Vec::new();
    for (seq, id) in &newest {
        match show::shown(db, retention, *seq) {
            Err(fault) if fault.is_of_a_record() => {
                let id = id.as_deref().and_then(|id| words::uuid(id).ok());
                let job = id.map_or_else(|| format!("number {seq}"), |id| id.to_string());
                unread.push((job, StorageError::from(fault).to_string()));
            }
            read => drop(read?),
        }
    }
    let Some((job, why)) = unread.first() else { return Ok(None) };
    // What is wrong mostly names the job already.
    let first = if why.contains(job.as_str()) { why.clone() } else { format!("job {job}: {why}") };
    let what = format!("{} of the newest {} jobs cannot be read, such as: {first}", unread.len(), newest.len());
    let mend = "`windlass jobs delete ID` deletes one; restore the file from a backup where its job must not be lost";
    Ok(Some(finding(Severity::Error, what, mend)))
}

/// What SQLite finds wrong with the pages of the file within a time.
fn of_the_pages(db: &Connection, path: &Path, within: Duration) -> Option<Finding> {
    let (done, waits) = mpsc::channel::<()>();
    let interrupts = db.get_interrupt_handle();
    let timer = thread::Builder::new().spawn(move || {
        if waits.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            interrupts.interrupt();
        }
    });
    // Without a timer it might take for hours.
    let timer = timer.ok()?;
    let (said, end) = quick_check(db);
    drop(done);
    // It does nothing that could panic.
    let _ = timer.join();
    let damage = said.into_iter().find(|line| line != "ok");
    let code = end.as_ref().and_then(rusqlite::Error::sqlite_error_code);
    let path = path.display();
    match (damage, code) {
        (None, None) => None,
        (None, Some(ErrorCode::OperationInterrupted)) => Some(finding(
            Severity::Note,
            format!("only a part of the file was looked through for damage ({} s); none was met", within.as_secs()),
            format!("`sqlite3 {path} 'PRAGMA integrity_check'` looks at all of it"),
        )),
        (damage, _) => Some(finding(
            Severity::Error,
            format!(
                "the database file is damaged: {}",
                damage.or(end.map(|error| error.to_string())).unwrap_or_default().chars().take(200).collect::<String>()
            ),
            "stop the host and restore the file from a backup, or move what can be read into a new one with `windlass \
             storage export --skip-damaged`",
        )),
    }
}

/// What it said, and why it stopped early.
fn quick_check(db: &Connection) -> (Vec<String>, Option<rusqlite::Error>) {
    let mut said = Vec::new();
    let checked = db.prepare("PRAGMA quick_check(3)").and_then(|mut query| {
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            said.push(row.get(0)?);
        }
        Ok(())
    });
    (said, checked.err())
}

/// What is found without looking into the file.
fn of_the_setting(path: Option<&Path>, synchronous: Synchronous) -> Vec<Finding> {
    let mut findings = Vec::new();
    match path {
        Some(path) => {
            if synchronous == Synchronous::Normal {
                findings.push(not_durable());
            }
            findings.extend(file_system(path));
            findings.extend(little_room(fs4::available_space(folder(path)).ok()));
            findings.extend(long_log(fs::metadata(log_of(path)).map_or(0, |log| log.len())));
        }
        None => findings.push(finding(
            Severity::Warning,
            "the database is in memory: every job is lost when the process ends",
            "give the host a file, such as `sqlite:windlass.db`",
        )),
    }
    findings
}

fn finding(severity: Severity, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { severity, what: what.into(), mend: mend.into() }
}

fn not_durable() -> Finding {
    finding(
        Severity::Warning,
        "`synchronous` is `normal`: a power cut or a crash of the operating system may take back the last seconds, with \
         jobs whose storing was acknowledged and with ends of runs, which are then run again; a killed process loses \
         nothing",
        "set `synchronous` to `full` unless that may be lost",
    )
}

fn little_room(bytes: Option<u64>) -> Option<Finding> {
    let bytes = bytes.filter(|bytes| *bytes < LOW_BYTES)?;
    let severity = if bytes < TOO_LOW_BYTES { Severity::Error } else { Severity::Warning };
    let what =
        format!("the disk of the database has {} MiB left: on a full disk no job is stored", bytes / (1024 * 1024));
    Some(finding(severity, what, "make room on it, or keep ended jobs for a shorter time"))
}

fn long_log(bytes: u64) -> Option<Finding> {
    let what = format!(
        "the write-ahead log has grown to {} MiB: a process that holds a read transaction open keeps it from being folded \
         into the database",
        bytes / (1024 * 1024),
    );
    let mend = "end the process that reads, such as a forgotten `sqlite3` shell or a backup that hangs";
    (bytes >= LONG_LOG_BYTES).then(|| finding(Severity::Warning, what, mend))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn log_of(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// What lies in a file system that does not keep what SQLite needs of it.
#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> Option<Finding> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    // Kinds are 32 bits wide, whatever type the system gives them in.
    file_system_of(u32::try_from(kind & 0xffff_ffff).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<Finding> {
    None
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "file systems are only told apart on Linux"))]
fn file_system_of(kind: u32) -> Option<Finding> {
    let over_the_network = |name: &str| {
        finding(
            Severity::Error,
            format!(
                "the database lies in a file system that reaches over the network ({name}), where neither the locks nor \
                 the shared memory of SQLite can be relied upon: two hosts may damage it"
            ),
            "put it on a local disk, or use PostgreSQL or Redis for several hosts",
        )
    };
    // The numbers are those of the kernel's `magic.h`.
    match kind {
        0x6969 => Some(over_the_network("NFS")),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some(over_the_network("SMB")),
        0x5346_414f => Some(over_the_network("AFS")),
        0x00c3_6400 => Some(over_the_network("Ceph")),
        0x0bd0_0bd0 => Some(over_the_network("Lustre")),
        0x4750_4653 => Some(over_the_network("GPFS")),
        0x0102_1997 => Some(over_the_network("9P")),
        0x6573_5546 => Some(finding(
            Severity::Note,
            "the database lies in a file system of a program's own (FUSE), which may reach over the network or \
             acknowledge writes before they are on a disk",
            "put it on a local disk unless you know that file system",
        )),
        0x0102_1994 | 0x8584_58f6 => Some(finding(
            Severity::Warning,
            "the database lies in memory (tmpfs): every job is lost when the machine stops",
            "put it on a disk",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_an_error_and_a_local_one_nothing() {
        for kind in [0x6969, 0xff53_4d42, 0x00c3_6400] {
            assert_eq!(file_system_of(kind).unwrap().severity, Severity::Error);
        }
        assert_eq!(file_system_of(0x0102_1994).unwrap().severity, Severity::Warning);
        // ext4, xfs, btrfs, overlay.
        for kind in [0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630] {
            assert_eq!(file_system_of(kind), None);
        }
    }

    #[test]
    fn little_room_is_told_and_very_little_is_an_error() {
        assert_eq!(little_room(Some(LOW_BYTES)), None);
        assert_eq!(little_room(None), None);
        let low = little_room(Some(500 * 1024 * 1024)).unwrap();
        assert_eq!(low.severity, Severity::Warning);
        assert!(low.what.contains("500 MiB left"), "{}", low.what);
        assert_eq!(little_room(Some(1)).unwrap().severity, Severity::Error);
    }

    #[test]
    fn a_log_that_nobody_can_fold_is_told() {
        assert_eq!(long_log(LONG_LOG_BYTES - 1), None);
        assert!(long_log(LONG_LOG_BYTES).unwrap().what.contains("128 MiB"));
    }

    #[test]
    fn a_look_that_takes_too_long_is_cut_short_and_said_to_be() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE t (a); INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000)
             SELECT hex(zeroblob(50)) FROM n",
        )
        .unwrap();
        let found = of_the_pages(&db, Path::new("jobs.db"), Duration::ZERO);
        // A fast machine may be through with it before the timer runs.
        if let Some(found) = found {
            assert_eq!(found.severity, Severity::Note);
            assert!(found.what.contains("only a part of the file"), "{}", found.what);
        }
        assert_eq!(of_the_pages(&db, Path::new("jobs.db"), Duration::from_secs(600)), None);
    }

    #[test]
    fn the_worst_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        fs::write(log_of(&path), "").unwrap();
        let db = Connection::open(&path).unwrap();
        let findings = findings(&db, Some(&path), Synchronous::Normal, &Retention::default());
        assert!(findings.iter().any(|finding| finding.what.contains("power cut")));
        assert!(findings.is_sorted_by_key(|finding| Reverse(finding.severity)));
        assert!(findings.iter().all(|finding| !finding.what.ends_with('.')));
    }
}
