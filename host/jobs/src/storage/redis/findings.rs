//! What is wrong with how a Redis is set up.

use std::{collections::HashMap, time::SystemTime};

use redis::cmd;

use super::{
    RedisStorage,
    answer::{self, List},
    url::Kind,
};
use crate::storage::{Finding, Severity, StorageError};

/// Clocks that differ by more make what people read confusing.
const CLOCK_DIFFERENCE_MS: i64 = 2_000;

/// Memory is nearly full where more than this share of it is used.
const NEARLY_FULL: f64 = 0.9;

/// How many of the newest jobs are read to see whether they can be.
const SAMPLE: usize = 100;

fn finding(severity: Severity, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { severity, what: what.into(), mend: mend.into() }
}

/// The first part of a version.
pub(super) fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

impl RedisStorage {
    /// A section of what the server says of itself.
    pub(super) async fn info(&self, section: &str) -> Result<HashMap<String, String>, StorageError> {
        let mut command = cmd("INFO");
        command.arg(section);
        let text = answer::text(self.link.ask(&command).await?)?;
        Ok(text.lines().filter_map(|line| line.split_once(':')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// A setting; nothing where the server does not say, as some that are operated by others do.
    async fn setting(&self, name: &str) -> Result<Option<String>, StorageError> {
        let mut command = cmd("CONFIG");
        command.arg("GET").arg(name);
        match self.link.send(&command).await? {
            Ok(value) => {
                let mut pair = List::of(value)?;
                Ok(if pair.is_empty() { None } else { Some((pair.next()?, pair.text()?).1) })
            }
            Err(error) if error.is_io_error() => Err(super::fault::storage_error(&error, self.link.name())),
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn all_findings(&self) -> Result<Vec<Finding>, StorageError> {
        let mut found = self.findings_of_server().await?;
        self.look_at_sample(&mut found).await?;
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(found)
    }

    /// What needs no namespace, the worst first.
    pub(super) async fn findings_of_server(&self) -> Result<Vec<Finding>, StorageError> {
        let mut found = Vec::new();
        self.look_at_server(&mut found).await?;
        self.look_at_durability(&mut found).await?;
        self.look_at_memory(&mut found).await?;
        self.look_at_clock(&mut found).await?;
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(found)
    }

    async fn look_at_server(&self, found: &mut Vec<Finding>) -> Result<(), StorageError> {
        let server = self.info("server").await?;
        let version = server.get("redis_version").cloned().unwrap_or_default();
        if major(&version) < 7 {
            let what = format!("Redis is version {version}, and 7 is the oldest that works");
            found.push(finding(Severity::Error, what, "upgrade Redis to 7.0 or newer"));
        }
        let replication = self.info("replication").await?;
        if replication.get("role").is_some_and(|role| role != "master") {
            let mend = "give the address of the master, or redis+sentinel:// so that it is found";
            found.push(finding(Severity::Error, "the server is a read-only replica", mend));
        }
        if matches!(self.link.kind(), Kind::Sentinel { .. }) {
            let least = self.setting("min-replicas-to-write").await?;
            if least.as_deref() == Some("0") {
                let what = "a master that is cut off from its Sentinels goes on taking jobs that a failover then loses \
                            (`min-replicas-to-write` is 0)";
                let mend = "set `min-replicas-to-write 1` and `min-replicas-max-lag 10` on the master and its replicas";
                found.push(finding(Severity::Warning, what, mend));
            }
        }
        if *self.link.kind() == Kind::Cluster {
            let mut command = cmd("CLUSTER");
            command.arg("INFO");
            let text = answer::text(self.link.ask(&command).await?)?;
            if !text.lines().any(|line| line.trim_end() == "cluster_state:ok") {
                let mend = "see `redis-cli cluster info` and `cluster nodes`";
                found.push(finding(Severity::Error, "the Cluster says that it does not work as a whole", mend));
            }
        }
        Ok(())
    }

    async fn look_at_durability(&self, found: &mut Vec<Finding>) -> Result<(), StorageError> {
        let persistence = self.info("persistence").await?;
        let is = |name: &str, value: &str| persistence.get(name).is_some_and(|given| given == value);
        if is("aof_enabled", "0") {
            let what = "Redis keeps no append-only file: a restart loses what came since the last snapshot";
            found.push(finding(Severity::Warning, what, "set `appendonly yes`"));
        } else if let Some(fsync) = self.setting("appendfsync").await?
            && fsync != "always"
        {
            let (severity, lost) = match fsync.as_str() {
                "everysec" => (Severity::Note, "a power cut or a killed machine may lose the last second"),
                _ => (
                    Severity::Warning,
                    "a power cut may lose what the operating system had not written, some 30 seconds",
                ),
            };
            let what = format!("`appendfsync` is {fsync}: {lost} of what was acknowledged");
            found.push(finding(severity, what, "set `appendfsync always` where no acknowledged job may be lost"));
        }
        if is("aof_last_write_status", "err") || is("rdb_last_bgsave_status", "err") {
            let mend = "see the log of Redis; most often its disk is full";
            found.push(finding(Severity::Error, "Redis failed to write to its disk", mend));
        }
        Ok(())
    }

    async fn look_at_memory(&self, found: &mut Vec<Finding>) -> Result<(), StorageError> {
        let memory = self.info("memory").await?;
        let number = |name: &str| memory.get(name).and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or(0.0);
        let (used, most) = (number("used_memory"), number("maxmemory"));
        let policy = memory.get("maxmemory_policy").map_or("noeviction", |policy| policy.trim());
        if policy != "noeviction" {
            // Without a limit nothing is evicted, until somebody sets one.
            let severity = if most > 0.0 { Severity::Error } else { Severity::Warning };
            let what = format!("`maxmemory-policy` is {policy}: Redis throws jobs away when its memory is full");
            found.push(finding(severity, what, "set `maxmemory-policy noeviction`"));
        }
        if most > 0.0 && used > most * NEARLY_FULL {
            let what = format!("{:.0} % of the memory that Redis may have is used", used / most * 100.0);
            found.push(finding(Severity::Warning, what, "raise `maxmemory`, or keep ended jobs for a shorter time"));
        }
        Ok(())
    }

    /// Reads the newest jobs, and sees whether the modules have what belongs to them.
    async fn look_at_sample(&self, found: &mut Vec<Finding>) -> Result<(), StorageError> {
        let damage = |what: String| {
            let mend = "restore Redis from a backup, or move what can be read with `windlass storage export --skip-damaged`; \
                        `maxmemory-policy` must be noeviction";
            finding(Severity::Error, what, mend)
        };
        let newest = self.newest_ids(SAMPLE).await?;
        let (looked_at, mut unread) = (newest.len(), Vec::new());
        for job in newest {
            match self.whole(job).await {
                Err(StorageError::Damaged(why)) => unread.push(why),
                read => drop(read?),
            }
        }
        if let Some(first) = unread.first() {
            let count = unread.len();
            found.push(damage(format!("{count} of the newest {looked_at} jobs cannot be read, such as: {first}")));
        }
        Ok(())
    }

    async fn look_at_clock(&self, found: &mut Vec<Finding>) -> Result<(), StorageError> {
        if self.clock.is_some() {
            return Ok(());
        }
        let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let here = i64::try_from(here.as_millis()).unwrap_or(i64::MAX);
        let difference = self.now().await?.0.saturating_sub(here);
        if difference.abs() > CLOCK_DIFFERENCE_MS {
            let what = format!("the clock of Redis, which jobs go by, differs from this machine's by {difference} ms");
            found.push(finding(Severity::Warning, what, "let both machines set their clocks by NTP"));
        }
        Ok(())
    }
}
