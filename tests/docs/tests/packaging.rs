//! What others run Windlass with: files for systemd, containers, Kubernetes and Grafana. They cannot run everywhere, so they
//! are checked for what can be known without: that they can be read, and that what they say of Windlass is so.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize as _;
use serde_json::Value;
use windlass_docs_tests::{root, windlass};
use windlass_tests::{Site, component};

fn read(name: &str) -> Result<String> {
    let file = root().join("packaging").join(name);
    fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
}

/// The documents of a file of YAML.
fn yaml(name: &str) -> Result<Vec<Value>> {
    let text = read(name)?;
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(Value::deserialize);
    documents.collect::<Result<_, _>>().with_context(|| format!("packaging/{name} is no YAML"))
}

/// What begins with `windlass_`, as metrics and nothing else do.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    // What a name of Prometheus ends with where a histogram is meant.
    let base = |word: &str| {
        ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    words.filter(|word| word.starts_with("windlass_") && !word.ends_with('_')).map(base).collect()
}

fn metrics_of_a_host() -> Result<BTreeSet<String>> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    // What nothing has happened to is not there yet: a run that ended, a queue in which a job waits.
    host.deploy("faults", &component("faults")?)?;
    for line in ["queues pause later", "enqueue faults/noop --queue later", "enqueue faults/noop --wait"] {
        let answer = host.windlass(&line.split(' ').collect::<Vec<_>>())?;
        ensure!(answer.status.success(), "{line}: {}", answer.stderr);
    }
    let (status, answer) = host.get("/metrics")?;
    ensure!(status == 200, "{answer}");
    // Those that come with the first error alone, or where somebody is to be told.
    let later = ["windlass_storage_errors_total", "windlass_webhook_events_total", "windlass_spans_total"];
    let mut names = BTreeSet::from(later.map(str::to_owned));
    for line in answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.trim().split_once(' ').context("a metric without a type")?;
        let suffix = if kind == "counter" { "_total" } else { "" };
        // A name of Prometheus; in the text, a gauge that only says what is has a suffix of its own.
        let suffix = if kind == "info" { "_info" } else { suffix };
        names.insert(format!("{name}{suffix}"));
    }
    Ok(names)
}

#[test]
fn the_page_of_metrics_names_every_one_and_no_other() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/src/observability.md"))?;
    let (there, told) = (metrics_of_a_host()?, metrics_in(&page));
    ensure!(there == told, "not told: {:?}; not there: {:?}", &there - &told, &told - &there);
    Ok(())
}

#[test]
fn the_dashboard_for_grafana_asks_for_metrics_that_there_are() -> Result<()> {
    let text = read("grafana/windlass.json")?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let (there, asked) = (metrics_of_a_host()?, metrics_in(&text));
    ensure!(asked.is_subset(&there), "not there: {:?}", &asked - &there);
    for panel in panels {
        let targets = panel["targets"].as_array().map_or(0, Vec::len);
        ensure!(targets > 0 || panel["type"] == "row", "the panel {} asks for nothing", panel["title"]);
    }
    ensure!(panels.len() > 5, "{} panels", panels.len());
    Ok(())
}

/// The command line that a file gives, as the program understands it.
fn is_understood(arguments: &[&str]) -> Result<()> {
    let output = windlass()?.args(arguments).arg("--help").output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_manifests_for_kubernetes_go_with_the_host() -> Result<()> {
    let documents = yaml("kubernetes/windlass.yaml")?;
    let of_kind = |kind: &str| documents.iter().find(|document| document["kind"] == kind).context(kind.to_owned());
    let pod = &of_kind("Deployment")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    is_understood(&words(&container["args"]))?;
    let port = container["ports"][0]["name"].as_str().context("no port")?;
    for (probe, path) in [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        let ask = &container[probe]["httpGet"];
        ensure!(ask["path"] == path && ask["port"] == port, "{probe}: {ask}");
    }
    let service = of_kind("Service")?;
    ensure!(service["spec"]["ports"][0]["targetPort"] == port, "{service}");
    ensure!(container["securityContext"]["readOnlyRootFilesystem"] == true);
    ensure!(container["securityContext"]["runAsNonRoot"] == true || pod["securityContext"]["runAsNonRoot"] == true);

    let settings = of_kind("ConfigMap")?["data"]["windlass.toml"].as_str().context("no settings")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("windlass.toml");
    fs::write(&file, settings)?;
    let output = windlass()?.args(["documentation", "settings"]).arg(&file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Longer than jobs may go on, or they are killed where they could have been given back.
    let grace = settings.lines().find_map(|line| line.strip_prefix("shutdown_grace = \"")).context("no grace")?;
    let grace: u64 = grace.trim_end_matches(['"', 's']).parse()?;
    let termination = pod["terminationGracePeriodSeconds"].as_u64().context("no period")?;
    ensure!(termination >= grace + 10, "{termination} s for a grace of {grace} s");
    Ok(())
}

#[test]
fn the_files_for_compose_go_with_the_host() -> Result<()> {
    for (name, server) in [("compose.postgres.yaml", "postgres"), ("compose.redis.yaml", "redis")] {
        let documents = yaml(&format!("container/{name}"))?;
        let services = &documents.first().context("empty")?["services"];
        ensure!(services[server]["image"].is_string(), "{name} has no {server}");
        let host = &services["windlass"];
        is_understood(&words(&host["command"]))?;
        let storage = host["environment"]["WINDLASS_STORAGE"].as_str().context("no storage")?;
        ensure!(storage.starts_with(server), "{storage}");
        ensure!(host["depends_on"][server]["condition"] == "service_healthy", "{name}: {host}");
        ensure!(host["stop_grace_period"].is_string(), "{name} gives no time to stop");
    }
    Ok(())
}

#[test]
fn the_container_is_built_from_what_is_there_and_runs_as_nobody() -> Result<()> {
    let text = read("container/Dockerfile")?;
    let stages = text.lines().filter(|line| line.starts_with("FROM ")).count();
    ensure!(stages == 2, "{stages} stages");
    let user = text.lines().rev().find_map(|line| line.strip_prefix("USER ")).context("no user")?;
    ensure!(user != "0" && user != "root", "it runs as {user}");
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml"))?;
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).context("no channel")?;
    let image = format!("FROM rust:{}", channel.trim_matches('"').trim_end_matches(".0"));
    ensure!(text.contains(&image), "the Dockerfile builds with another Rust than {channel}");
    let entry = text.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).context("no entry point")?;
    ensure!(serde_json::from_str::<Vec<String>>(entry)?.last().is_some_and(|program| program.ends_with("windlass")));
    let command = text.lines().find_map(|line| line.strip_prefix("CMD ")).context("no command")?;
    let command: Vec<String> = serde_json::from_str(command)?;
    is_understood(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_unit_for_systemd_is_one() -> Result<()> {
    let text = read("systemd/windlass.service")?;
    let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("it starts nothing")?;
    let words: Vec<_> = start.split_whitespace().skip(1).collect();
    is_understood(&words)?;
    let mut analyze = Command::new("systemd-analyze");
    if analyze.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("not looked at by systemd-analyze, which is not on this machine");
        return Ok(());
    }
    // It wants the program to be where the unit says, which is the same for any program.
    let folder = tempfile::tempdir()?;
    let unit = folder.path().join("windlass.service");
    fs::write(&unit, text.replace("/usr/local/bin/windlass", "/bin/true"))?;
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.contains("windlass.service"), "{said}");
    Ok(())
}
