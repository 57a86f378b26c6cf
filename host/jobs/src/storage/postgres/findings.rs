//! What an operator should know of how a database is set up.

use std::cmp::Reverse;

use sqlx::Row;
use windlass_api::Timestamp;

use super::{fault::Fault, show, tx::Tx};
use crate::{
    Clock, SystemClock,
    storage::{Finding, Severity, StorageError},
};

/// A clock that differs more shows in what people see.
const CLOCKS_MS: i64 = 2_000;

/// A transaction that is open longer keeps what is deleted from being cleared away.
const LONG_S: f64 = 60.0;

/// What holds back the clearing away of what so many transactions deleted is told of.
const FAR_BACK: i64 = 100_000;

/// What is known of the connection.
pub(super) struct Ways {
    pub(super) pooled: bool,
    pub(super) may_listen: bool,
    pub(super) is_listening: bool,
    /// How many connections this process may use.
    pub(super) connections: u32,
    /// Whether the clock is the database's.
    pub(super) uses_its_clock: bool,
}

fn finding(severity: Severity, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { severity, what: what.into(), mend: mend.into() }
}

/// What is found, the worst first.
pub(super) async fn findings(tx: &mut Tx<'_>, ways: &Ways) -> Result<Vec<Finding>, Fault> {
    let query = tx.query(
        "SELECT current_setting('server_version_num')::integer, current_setting('fsync'),
             current_setting('synchronous_commit'), current_setting('full_page_writes'),
             current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,
             (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
             (SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::double precision FROM pg_stat_activity
              WHERE state LIKE 'idle in transaction%' AND datname = current_database()),
             floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_is_in_recovery(),
             (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),
             (SELECT lower(split_part(c.setting, '=', 2)) FROM (
                  SELECT s.setrole, s.setdatabase, unnest(s.setconfig) AS setting FROM pg_db_role_setting s
                  WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                  AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))) c
              WHERE c.setting LIKE 'default_transaction_isolation=%'
              ORDER BY c.setrole = 0, c.setdatabase = 0 LIMIT 1),
             current_setting('default_transaction_isolation'), h.who, h.age
         FROM (SELECT 1) AS one LEFT JOIN LATERAL (
             SELECT who, age FROM (
                 SELECT 'the session ' || pid AS who, age(backend_xmin)::bigint AS age FROM pg_stat_activity
                 WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
                 UNION ALL
                 SELECT 'the replication slot ' || slot_name, age(xmin)::bigint FROM pg_replication_slots
                 WHERE xmin IS NOT NULL
                 UNION ALL
                 SELECT 'the standby ' || coalesce(application_name, '?'), age(backend_xmin)::bigint
                 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL) AS holders
             ORDER BY age DESC LIMIT 1) h ON true",
    );
    let row = tx.first(query).await?.ok_or(Fault::Again)?;
    let mut findings = Vec::new();
    let version = row.try_get::<i32, _>(0)?;
    if version < 150_000 {
        let what = format!("PostgreSQL {}.{} nears the end of its support", version / 10_000, version % 10_000);
        findings.push(finding(Severity::Note, what, "plan to upgrade it"));
    }
    if row.try_get::<bool, _>(8)? {
        let what = "the database is a standby that only reads: no job can be stored";
        findings.push(finding(Severity::Error, what, "give windlass the address of the primary"));
    }
    findings.extend(durability(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    findings.extend(room(i64::from(row.try_get::<i32, _>(4)?), row.try_get(5)?, ways.connections));
    if let Some(age_s) = row.try_get::<Option<f64>, _>(6)?.filter(|age_s| *age_s > LONG_S) {
        let what = format!(
            "a session has been idle in a transaction for {age_s:.0} s: nothing that was deleted since can be cleared \
             away, and claims become slower"
        );
        let mend = "end it (`pg_stat_activity` shows it), and set `idle_in_transaction_session_timeout`";
        findings.push(finding(Severity::Warning, what, mend));
    }
    if row.try_get::<i64, _>(9)? > 0 {
        let what = "there are prepared transactions: as long as they are open, nothing deleted can be cleared away";
        findings.push(finding(Severity::Note, what, "end them (`pg_prepared_xacts` shows them)"));
    }
    findings.extend(holder(row.try_get(12)?, row.try_get(13)?));
    findings.extend(isolation(row.try_get(10)?, row.try_get(11)?));
    if ways.uses_its_clock {
        findings.extend(clocks(row.try_get(7)?, SystemClock.now()));
    }
    findings.extend(waking(ways));
    findings.sort_by_key(|finding| Reverse(finding.severity));
    Ok(findings)
}

/// How many of the newest jobs are read to see whether they can be.
const SAMPLE: i64 = 100;

/// The statements that make the schema, for the names of its tables.
const SCHEMA: &str = concat!(include_str!("schema/1.sql"), include_str!("schema/2.sql"));

/// What is damaged of the tables and of the newest jobs.
pub(super) async fn sample(tx: &mut Tx<'_>) -> Result<Vec<Finding>, Fault> {
    let names = tables().map(|table| tx.texts.write(&format!("@{table}"))).collect::<Vec<_>>();
    let query = tx.query("SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL").bind(names);
    let missing = tx.all(query).await?.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
    let mend =
        "restore the database from a backup, or move what can be read with `windlass storage export --skip-damaged`";
    if !missing.is_empty() {
        let what = format!("tables that belong to windlass are not there: {}", missing.join(", "));
        return Ok(vec![finding(Severity::Error, what, mend)]);
    }
    let query = tx.query("SELECT seq FROM @jobs ORDER BY seq DESC LIMIT $1").bind(SAMPLE);
    let seqs = tx.all(query).await?.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    let mut unread = Vec::new();
    for seq in &seqs {
        match show::details(tx, &[*seq]).await {
            Err(fault) if fault.is_of_a_record() => unread.push(StorageError::from(fault).to_string()),
            read => drop(read?),
        }
    }
    let Some(first) = unread.first() else { return Ok(Vec::new()) };
    let what = format!("{} of the newest {} jobs cannot be read, such as: {first}", unread.len(), seqs.len());
    Ok(vec![finding(Severity::Error, what, mend)])
}

/// The names of the tables.
fn tables() -> impl Iterator<Item = &'static str> {
    let after = SCHEMA.lines().filter_map(|line| line.strip_prefix("CREATE ")?.split_once("TABLE @"));
    after.filter_map(|(_, text)| text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').next())
}

fn durability(fsync: &str, synchronous_commit: &str, full_page_writes: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if fsync == "off" {
        let what = "`fsync` is off: a power cut or a crash of the operating system may destroy the database";
        findings.push(finding(Severity::Warning, what, "set `fsync = on`"));
    }
    if synchronous_commit == "off" {
        let what = "`synchronous_commit` is off: a crash of the server may take back the last moments, with jobs whose \
                    storing was acknowledged and with ends of runs, which are then run again";
        findings.push(finding(Severity::Warning, what, "set `synchronous_commit = on` for windlass's user"));
    }
    if full_page_writes == "off" {
        let what = "`full_page_writes` is off: a power cut may leave torn pages, and with them damaged records";
        findings.push(finding(
            Severity::Warning,
            what,
            "set `full_page_writes = on` unless the file system prevents it",
        ));
    }
    findings
}

/// The one that looks back furthest.
fn holder(who: Option<String>, age: Option<i64>) -> Option<Finding> {
    let (who, age) = (who?, age.filter(|age| *age > FAR_BACK)?);
    let what = format!(
        "{who} still sees the database as it was {age} transactions ago: nothing that was deleted since can be cleared away, \
         and claims become slower"
    );
    let mend = "end the session or its statement, drop the slot if nobody uses it, or see why the standby is behind";
    Some(finding(Severity::Warning, what, mend))
}

/// `set` is what the database or the role sets by default, `ours` what holds for this connection.
fn isolation(set: Option<String>, ours: String) -> Option<Finding> {
    let default = set.unwrap_or(ours);
    if default.trim_matches('\'') == "read committed" {
        return None;
    }
    let what = format!(
        "transactions are `{default}` by default here: windlass sets its own, but an application's transactions that enqueue \
         may have to be tried again"
    );
    Some(finding(Severity::Note, what, "let applications repeat transactions that fail to serialize"))
}

fn room(allowed: i64, used: i64, wanted: u32) -> Option<Finding> {
    let left = allowed - used;
    if left >= i64::from(wanted) {
        return None;
    }
    let what = format!(
        "{used} of the server's {allowed} connections are in use, and this process may want {wanted} of its own"
    );
    Some(finding(Severity::Warning, what, "raise `max_connections`, or put PgBouncer before the server"))
}

fn clocks(theirs: i64, ours: Timestamp) -> Option<Finding> {
    let difference = theirs.saturating_sub(ours.0);
    if difference.abs() <= CLOCKS_MS {
        return None;
    }
    let ahead = if difference > 0 { "ahead of" } else { "behind" };
    let what = format!(
        "the database's clock is {} s {ahead} this machine's: jobs are due by the database's",
        difference.abs() / 1_000
    );
    Some(finding(Severity::Warning, what, "let both keep time by NTP"))
}

fn waking(ways: &Ways) -> Option<Finding> {
    if ways.pooled {
        let what = "a pooler such as PgBouncer stands before the database: hosts are not told of work but look each \
                    second, and statements are not kept prepared";
        let mend = "give hosts the address of PostgreSQL itself where jobs must start at once";
        return Some(finding(Severity::Note, what, mend));
    }
    if !ways.may_listen {
        return Some(finding(Severity::Note, "the URL says `listen=false`: hosts look for work each second", ""));
    }
    if ways.is_listening {
        return None;
    }
    let what = "notifications have not come through so far: hosts look for work each second";
    Some(finding(Severity::Note, what, "see whether something between here and the database drops them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_may_lose_what_was_acknowledged_is_warned_of() {
        assert!(durability("on", "on", "on").is_empty());
        assert_eq!(durability("off", "off", "off").len(), 3);
        assert!(durability("on", "remote_apply", "on").is_empty());
    }

    #[test]
    fn clocks_that_differ_are_told_with_which_one_is_ahead() {
        assert_eq!(clocks(10_000, Timestamp(9_000)), None);
        assert!(clocks(10_000, Timestamp(0)).unwrap().what.contains("10 s ahead of"));
        assert!(clocks(0, Timestamp(5_000)).unwrap().what.contains("5 s behind"));
    }

    #[test]
    fn whoever_looks_far_back_is_named() {
        assert_eq!(holder(Some("the session 7".to_owned()), Some(10)), None);
        assert_eq!(holder(None, None), None);
        let found = holder(Some("the replication slot old".to_owned()), Some(2_000_000)).unwrap();
        assert!(found.what.contains("the replication slot old") && found.what.contains("2000000"), "{}", found.what);
    }

    #[test]
    fn the_tables_are_those_of_the_schema() {
        let tables = tables().collect::<Vec<_>>();
        for table in ["queues", "jobs", "live", "ended", "wishes", "edges", "audit"] {
            assert!(tables.contains(&table), "{table}: {tables:?}");
        }
        assert_eq!(tables.len(), SCHEMA.matches("CREATE TABLE").count() + SCHEMA.matches("UNLOGGED TABLE").count());
    }

    #[test]
    fn too_few_connections_are_told_of() {
        assert_eq!(room(100, 10, 9), None);
        assert!(room(20, 18, 9).is_some());
    }
}
