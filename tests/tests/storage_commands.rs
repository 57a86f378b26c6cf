//! What operators do with a storage as a whole: check it, export it, import it elsewhere.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use windlass_api::{JobDetail, LogLine, ModuleView, QueueView, State};
use windlass_tests::{Answer, Host, Job, Site, guest, run};

/// Runs a command on a site's storage, without a host.
fn on(site: &Site, command: &[&str], arguments: &[&str]) -> Result<Answer> {
    let storage = site.storage();
    run(&[command, &["--storage", &storage, "--json"], arguments].concat(), "")
}

/// What `windlass check` found, as `LEVEL ABOUT: WHAT`.
fn found(answer: &Answer) -> Result<Vec<String>> {
    let report: Value = serde_json::from_str(&answer.stdout).with_context(|| format!("{answer:?}"))?;
    let items = report["items"].as_array().context("no items")?;
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    Ok(items
        .iter()
        .map(|item| format!("{} {}: {}", text(item, "level"), text(item, "about"), text(item, "what")))
        .collect())
}

fn ensure_found(found: &[String], level: &str, words: &[&str]) -> Result<()> {
    let is_it = |item: &&String| item.starts_with(level) && words.iter().all(|word| item.contains(word));
    ensure!(found.iter().any(|item| is_it(&item)), "nothing at level {level} names {words:?}: {found:#?}");
    Ok(())
}

/// Everything that can be seen from outside: jobs with their histories and logs, modules, queues.
#[derive(Debug, PartialEq)]
struct Seen {
    jobs: Vec<(JobDetail, Vec<LogLine>)>,
    modules: Vec<ModuleView>,
    queues: Vec<QueueView>,
}

fn seen(host: &Host<'_>) -> Result<Seen> {
    let jobs = host.all_jobs()?.into_iter().map(|job| Ok((host.show(Job(job.id))?, host.logs(Job(job.id))?)));
    Ok(Seen {
        jobs: jobs.collect::<Result<_>>()?,
        modules: host.json(&["modules", "list"])?,
        queues: host.json(&["queues", "list"])?,
    })
}

/// Leaves jobs in many states behind, and a paused queue.
fn fill(host: &Host<'_>) -> Result<()> {
    host.deploy("mixed", &guest("mixed")?)?;
    host.windlass(&["queues", "pause", "later"])?.json::<Value>()?;
    let sum = host.enqueue("mixed/add", &json!({ "a": 1, "b": 2 }), &["--tag", "sums", "--header", "k=v"])?;
    let too_much = host.enqueue("mixed/add", &json!({ "a": i64::MAX, "b": 1 }), &[])?;
    let gone = host.enqueue("mixed/wait", &json!({ "ms": 1 }), &["--delay", "1h"])?;
    host.enqueue("mixed/wait", &json!({ "ms": 2 }), &["--delay", "2h", "--priority", "1"])?;
    host.enqueue("mixed/add", &json!({ "a": 3, "b": 4 }), &["--queue", "later"])?;
    host.enqueue("other/handler", &json!("ä\u{0000}\u{1F600}"), &["--wait-for-handler"])?;
    host.windlass(&["jobs", "delete", &gone.0.to_string()])?.json::<Value>()?;
    ensure!(host.wait(sum)?.job.state == State::Succeeded, "the sum has not succeeded");
    ensure!(host.wait(too_much)?.job.state == State::Failed, "the sum that is too large has not failed");
    Ok(())
}

#[test]
fn check_changes_nothing_where_there_is_no_storage_yet() -> Result<()> {
    let site = Site::new()?;
    let answer = on(&site, &["check"], &[])?;
    ensure!(answer.status.success(), "{answer:?}");
    ensure_found(&found(&answer)?, "note storage", &["windlass.db", "does not exist yet"])?;
    ensure!(!site.path("windlass.db").exists() && !site.path("windlass.db.lock").exists(), "check made a file");
    Ok(())
}

#[test]
fn check_tells_all_that_is_wrong_at_once_and_how_to_mend_it() -> Result<()> {
    let site = Site::new()?;
    let config = format!(
        "listen = \"0.0.0.0:0\"\nmodules = \"{0}/components\"\n[module.images]\n\
         directories = [{{ host = \"{0}/pictures\", guest = \"/pictures\" }}]\n\
         secrets.KEY = {{ env = \"WINDLASS_NOT_SET_ANYWHERE\" }}\n[compile]\nprogram = \"{0}/compiler\"\n",
        site.path("").display()
    );
    let config = site.write("windlass.toml", config)?;
    let answer = on(&site, &["check"], &["--config", &config.to_string_lossy()])?;
    ensure!(answer.status.code() == Some(1), "{answer:?}");
    let found = found(&answer)?;
    ensure_found(&found, "error listen", &["0.0.0.0", "other machines"])?;
    ensure_found(&found, "error modules", &["components", "does not exist"])?;
    ensure_found(&found, "error [module.images]", &["pictures", "does not exist"])?;
    ensure_found(&found, "error [module.images]", &["KEY"])?;
    ensure_found(&found, "error compiler", &["compiler"])?;

    let config = site.write("windlass.toml", "sync_slot = 3\n")?;
    let answer = on(&site, &["check"], &["--config", &config.to_string_lossy()])?;
    ensure!(answer.status.code() == Some(1), "{answer:?}");
    ensure_found(&self::found(&answer)?, "error settings", &["sync_slot", "sync_slots"])
}

#[test]
fn check_works_beside_a_running_host() -> Result<()> {
    let site = Site::new()?;
    let mut host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let config = site.write("windlass.toml", "[module.mixd]\nconfig = { a = \"b\" }\n")?;
    let arguments = ["--config", &*config.to_string_lossy()];
    let answer = on(&site, &["check"], &arguments)?;
    ensure!(answer.status.success(), "{answer:?}");
    let found = found(&answer)?;
    ensure_found(&found, "ok storage", &["windlass.db", "answers", "servers: 1"])?;
    ensure_found(&found, "warning [module.mixd]", &["no module of this name"])?;
    ensure!(answer.stdout.contains("did you mean `mixed`?"), "{answer:?}");
    let strict = on(&site, &["check", "--strict"], &arguments)?;
    ensure!(strict.status.code() == Some(1), "{strict:?}");
    host.still_runs()
}

#[test]
fn a_storage_that_cannot_be_leaves_nothing_behind() -> Result<()> {
    let site = Site::new()?;
    let text = site.write("notes.txt", "This is not a database. ".repeat(100))?;
    let storage = format!("sqlite:{}", text.display());
    for command in
        [&["check"][..], &["serve", "--listen", "127.0.0.1:0"], &["storage", "migrate"], &["storage", "export"]]
    {
        let answer = run(&[command, &["--storage", &storage]].concat(), "")?;
        let said = format!("{}{}", answer.stdout, answer.stderr);
        ensure!(answer.status.code() == Some(1) && said.contains("not a database"), "{answer:?}");
    }
    let folder = format!("sqlite:{}", site.path("").display());
    for (storage, said) in [
        (folder.as_str(), "folder"),
        ("sqlite::memory:", "lost with the process"),
        ("sqlite:a.db?mode=ro", "parameters"),
    ] {
        run(&["serve", "--listen", "127.0.0.1:0", "--storage", storage], "")?.complains_of(&[said])?;
    }
    let left: Vec<_> = fs::read_dir(site.path(""))?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(left == ["notes.txt"], "there is {left:?}");
    Ok(())
}

#[test]
fn migrating_says_what_was_done() -> Result<()> {
    let site = Site::new()?;
    let first: Value = on(&site, &["storage", "migrate"], &[])?.json()?;
    ensure!(first["from"].is_null() && first["to"].as_u64() > Some(0), "{first}");
    let again: Value = on(&site, &["storage", "migrate"], &[])?.json()?;
    ensure!(again["from"] == first["to"] && again["to"] == first["to"], "{again}");
    Ok(())
}

#[test]
fn what_is_exported_from_one_storage_is_the_same_in_another() -> Result<()> {
    let (site, other) = (Site::new()?, Site::new()?);
    let host = site.start(&[])?;
    fill(&host)?;
    let before = seen(&host)?;
    ensure!(before.jobs.len() == 6, "there are {} jobs", before.jobs.len());

    let file = site.path("all.jsonl");
    let file = file.to_string_lossy();
    on(&site, &["storage", "export"], &["-o", &file])?.complains_of(&["hosts run", "--while-running"])?;
    ensure!(!site.path("all.jsonl").exists(), "a refused export left a file");
    let running = on(&site, &["storage", "export"], &["--while-running"])?;
    ensure!(running.status.success() && running.stdout.lines().count() > 8, "{running:?}");
    host.stop()?;
    let exported: Value = on(&site, &["storage", "export"], &["-o", &file])?.json()?;
    ensure!(exported["jobs"] == 6 && exported["versions"] == 1 && exported["queues"] == 1, "{exported}");

    let imported: Value = on(&other, &["storage", "import", &file], &[])?.json()?;
    ensure!(imported["jobs"] == 6, "{imported}");
    on(&other, &["storage", "import", &file], &[])?.complains_of(&["holds 6 jobs", "--merge"])?;
    let again: Value = on(&other, &["storage", "import", &file, "--merge"], &[])?.json()?;
    ensure!(again["new"] == 0 && again["jobs"] == 6, "{again}");

    let host = other.start(&[])?;
    let after = seen(&host)?;
    ensure!(after == before, "before: {before:#?}\nafter: {after:#?}");
    // It goes on where it was.
    host.windlass(&["queues", "resume", "later"])?.json::<Value>()?;
    let waiting = after.queues.iter().find(|queue| queue.name.as_str() == "later").context("no queue")?;
    ensure!(waiting.enqueued == 1, "{waiting:?}");
    let job = after.jobs.iter().find(|(detail, _)| detail.job.queue.as_str() == "later").context("no job")?;
    ensure!(host.result::<i64>(Job(job.0.job.id))? == 7, "the job that came along has another result");
    Ok(())
}

#[test]
fn a_wrong_export_is_refused_by_its_line_and_field() -> Result<()> {
    let (site, other) = (Site::new()?, Site::new()?);
    let host = site.start(&[])?;
    host.enqueue("other/handler", &json!(1), &["--wait-for-handler"])?;
    host.enqueue("other/handler", &json!(2), &["--wait-for-handler"])?;
    host.stop()?;
    let text = on(&site, &["storage", "export"], &[])?.stdout;
    let lines: Vec<&str> = text.lines().collect();
    ensure!(lines[0].contains("windlass-export") && lines.len() >= 4, "{text}");

    let import = |name: &str, text: &str, words: &[&str]| {
        let file = site.write(name, text)?;
        on(&other, &["storage", "import", &file.to_string_lossy()], &["--merge"])?.complains_of(words)
    };
    let at = lines.iter().rposition(|line| line.contains("\"kind\":\"job\"")).context("no job")?;
    let wrong = lines[at].replace("\"state\":\"awaiting\"", "\"state\":\"gone\"");
    ensure!(wrong != lines[at], "{wrong}");
    let wrong = text.replace(lines[at], &wrong);
    import("wrong.jsonl", &wrong, &[&format!("line {}", at + 1), "wrong.jsonl", "job.state", "gone"])?;
    import(
        "newer.jsonl",
        &text.replacen("\"version\":1", "\"version\":7", 1),
        &["line 1", "version 7", "newer windlass"],
    )?;
    import("other.jsonl", "{\"handler\":\"a/b\"}\n", &["line 1", "other.jsonl", "not the beginning of an export"])?;
    ensure!(!other.path("windlass.db").exists() || host_jobs(&other)? == 0, "a part of a wrong batch is there");
    let cut = lines[..lines.len() - 1].join("\n");
    import("cut.jsonl", &cut, &["cut.jsonl", "cut off"])?;
    ensure!(host_jobs(&other)? == 2, "what was in the part that is there is not");
    run(&["storage", "import", "not-there.jsonl", "--storage", &other.storage()], "")?
        .complains_of(&["not-there.jsonl"])?;
    run(&["storage", "export", "--storage", &Site::new()?.storage()], "")?.complains_of(&["there is no storage"])
}

fn host_jobs(site: &Site) -> Result<usize> {
    Ok(site.start(&[])?.all_jobs()?.len())
}

#[test]
fn jobs_are_found_by_time_and_text_and_counted() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("mixed", &guest("mixed")?)?;
    let sum = host.enqueue("mixed/add", &json!({ "a": 4711, "b": 1 }), &[])?;
    let too_much = host.enqueue("mixed/add", &json!({ "a": i64::MAX, "b": 2 }), &[])?;
    host.all_ended()?;
    let listed = |arguments: &[&str]| -> Result<Vec<Value>> {
        let page: Value = host.json(&[&["jobs", "list"], arguments].concat())?;
        Ok(page["items"].as_array().context("no items")?.iter().map(|job| job["id"].clone()).collect())
    };
    ensure!(listed(&["--text", "4711"])? == [json!(sum.0)], "the text in the payload is not found");
    ensure!(listed(&["--text", "sum is too large"])? == [json!(too_much.0)], "the text in the failure is not found");
    ensure!(listed(&["--text", "SUM"])?.is_empty(), "case does not matter");
    ensure!(listed(&["--from", "1h"])?.len() == 2 && listed(&["--before", "1h"])?.is_empty(), "time does not matter");
    let count: Value = host.json(&["jobs", "list", "--count", "--state", "failed", "--from", "1h"])?;
    ensure!(count == json!({ "count": 1, "more": false }), "{count}");

    let (status, rows) = host.get("/api/v1/stats/counters?module=mixed")?;
    let rows = rows.rsplit_once("\r\n\r\n").map(|(_, body)| body).context("no body")?;
    let rows: Vec<Value> = serde_json::from_str(rows).with_context(|| format!("{status}: {rows}"))?;
    let sum_of = |key: &str| rows.iter().filter_map(|row| row[key].as_u64()).sum::<u64>();
    ensure!((sum_of("made"), sum_of("succeeded"), sum_of("failed")) == (2, 1, 1), "{rows:?}");

    for (path, words) in [
        ("/api/v1/jobs?created_from=yesterday", &["created_from", "yesterday", "RFC 3339"][..]),
        (
            "/api/v1/jobs?created_from=2026-02-01T00:00:00Z&created_before=2026-01-01T00:00:00Z",
            &["created_before", "after"],
        ),
        ("/api/v1/jobs?state=gone", &["state", "gone", "succeeded"]),
        ("/api/v1/jobs?queue=a%20b", &["queue", "a b"]),
        ("/api/v1/jobs?limit=0", &["limit", "1 to 1000"]),
        ("/api/v1/jobs?colour=red", &["colour", "created_from"]),
        ("/api/v1/jobs/count?handler=a%2Fb", &["handler", "a/b"]),
        ("/api/v1/stats/counters?grain=week", &["grain", "week", "minute"]),
        ("/api/v1/stats/counters?from=2026-02-01T00:00:00Z&before=2026-01-01T00:00:00Z", &["from", "before"]),
    ] {
        let (status, answer) = host.get(path)?;
        ensure!(status == 400 && answer.contains("application/problem+json"), "{path}: {answer}");
        for word in words {
            ensure!(answer.contains(word), "{path} does not name `{word}`: {answer}");
        }
    }
    Ok(())
}

#[test]
fn slips_are_told_of() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let paused = host.windlass(&["queues", "pause", "defualt"])?;
    ensure!(paused.status.success() && paused.stderr.contains("did you mean `default`?"), "{paused:?}");
    let known = host.windlass(&["queues", "pause", "default"])?;
    ensure!(known.status.success() && known.stderr.is_empty(), "{known:?}");

    let before = host.deploy("busy", &guest("mixed")?)?.version.handlers;
    let sleeps = guest("sleeps")?;
    let deployed = host.windlass(&["deploy", &sleeps.to_string_lossy(), "--name", "busy"])?;
    let dropped = deployed.json::<Value>()?["dropped_handlers"].clone();
    ensure!(dropped.as_array().is_some_and(|dropped| dropped.len() == before.len()), "{deployed:?}");
    ensure!(
        deployed.stderr.contains("busy/add") && deployed.stderr.contains("wait until a version has them"),
        "{deployed:?}"
    );
    Ok(())
}
