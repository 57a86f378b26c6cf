//! The applications of `examples/` in axum and actix-web: a route enqueues, a handler runs in the process, the dashboard is under
//! its prefix, and all of it stops with the server.

use std::fs;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use windlass_api::{JobDetail, JobId, Problem, ProblemCode, State};
use windlass_tests::{Application, Site, component};

const APPLICATIONS: [&str; 2] = ["axum-app", "actix-app"];

const TABLE: &str = "date,region,product,quantity,unit_price_cents\n2026-01-05,north,bolt,2,150\n";

/// Asks for a report of `sales.csv`.
fn ask_for_report(application: &Application) -> Result<JobId> {
    let answer = application.ask("POST", "/reports", &[], br#"{"path":"sales.csv"}"#)?;
    ensure!(answer.status == 202, "{answer:?}");
    Ok(serde_json::from_value(answer.json::<Value>()?["job"].clone())?)
}

/// What came of it.
fn report(application: &Application, job: JobId) -> Result<Value> {
    application.ask("GET", &format!("/reports/{job}"), &[], b"")?.json()
}

#[test]
fn a_route_enqueues_a_handler_runs_and_a_failed_job_is_retried() -> Result<()> {
    for name in APPLICATIONS {
        let site = Site::new()?;
        let application = site.start_application(name)?;
        let job = ask_for_report(&application)?;
        let failed = report(&application, job)?;
        ensure!(failed["state"] == "failed" && failed["failure"].is_string(), "{name}: {failed}");
        fs::write(site.path("tables/sales.csv"), TABLE)?;
        let answer = application.command("POST", &format!("api/v1/jobs/{job}/requeue"), b"")?;
        ensure!(answer.status == 200, "{name}: {answer:?}");
        let made = report(&application, job)?;
        ensure!(made["state"] == "succeeded" && made["report"].is_object(), "{name}: {made}");
        let detail: JobDetail = application.command("GET", &format!("api/v1/jobs/{job}"), b"")?.json()?;
        ensure!(detail.history.iter().any(|line| line.by == "user admin" && line.to == State::Enqueued), "{detail:?}");
    }
    Ok(())
}

#[test]
fn the_dashboard_is_under_its_prefix_for_whom_the_application_lets_in() -> Result<()> {
    for name in APPLICATIONS {
        let site = Site::new()?;
        let application = site.start_application(name)?;
        let lead = application.ask("GET", "/jobs", &[], b"")?;
        ensure!(lead.status == 307 && lead.header("location") == Some("jobs/?&"), "{name}: {lead:?}");
        for headers in [&[][..], &[("Authorization", "Basic YWRtaW46d3Jvbmc=")]] {
            let answer = application.ask("GET", "/jobs/api/v1/counts", headers, b"")?;
            ensure!(answer.status == 401 && answer.header("www-authenticate") == Some("Basic"), "{name}: {answer:?}");
        }
        let page = application.ask("GET", "/jobs/modules", &[Application::admin(), ("Accept", "text/html")], b"")?;
        ensure!(page.status == 200 && page.header("content-security-policy").is_some(), "{name}: {page:?}");
        let foreign = [Application::admin(), ("Sec-Fetch-Site", "cross-site")];
        let answer = application.ask("POST", "/jobs/api/v1/queues/default/pause", &foreign, b"")?;
        ensure!(answer.json::<Problem>()?.code == ProblemCode::Forbidden, "{name}: {answer:?}");
        // What is large goes through as a stream.
        let faults = fs::read(component("faults")?)?;
        let answer = application.command("POST", "api/v1/modules?name=faults", &faults)?;
        ensure!(answer.status == 201, "{name}: {answer:?}");
    }
    Ok(())
}

/// Has a job sleep, and gives the path of it when it runs.
fn sleep(application: &Application, ms: u64) -> Result<String> {
    let faults = fs::read(component("faults")?)?;
    application.command("POST", "api/v1/modules?name=faults", &faults)?;
    let mut events = application.follow()?;
    let job = format!(r#"{{"handler":"faults/sleepy","payload":{{"ms":{ms}}}}}"#);
    let job: Value = application.command("POST", "api/v1/jobs", job.as_bytes())?.json()?;
    let path = format!("api/v1/jobs/{}", job["id"].as_str().unwrap_or_default());
    loop {
        let detail: JobDetail = application.command("GET", &path, b"")?.json()?;
        if detail.job.state == State::Processing {
            return Ok(path);
        }
        events.next_event()?;
    }
}

#[test]
fn a_second_signal_gives_back_what_runs() -> Result<()> {
    for name in APPLICATIONS {
        let site = Site::new()?;
        // What runs could go on for longer than the test waits for the end.
        let application = site.start_application_with(name, &[("WINDLASS_SHUTDOWN_GRACE", "1h")])?;
        let path = sleep(&application, 3_000_000)?;
        let events = application.follow()?;
        application.tell_to_stop()?;
        // The first signal has come when streams end.
        events.until_its_end()?;
        application.tell_to_stop()?;
        let status = application.ended()?;
        ensure!(status.success(), "{name} ended with {status}");
        let again = site.start_application(name)?;
        let detail: JobDetail = again.command("GET", &path, b"")?.json()?;
        ensure!(detail.history.iter().all(|line| line.to != State::Failed), "{name}: {detail:?}");
    }
    Ok(())
}

#[test]
fn an_empty_password_is_none() -> Result<()> {
    for name in APPLICATIONS {
        let Err(error) = Site::new()?.start_application_with(name, &[("DASHBOARD_PASSWORD", "")]) else {
            bail!("{name} lets everybody in")
        };
        ensure!(error.to_string().contains("set DASHBOARD_PASSWORD"), "{name}: {error}");
    }
    Ok(())
}

#[test]
fn it_stops_with_the_server_and_what_runs_ends_first() -> Result<()> {
    for name in APPLICATIONS {
        let site = Site::new()?;
        let application = site.start_application(name)?;
        let path = sleep(&application, 5_000)?;
        let events = application.follow()?;
        application.tell_to_stop()?;
        // An open dashboard does not hold it back.
        events.until_its_end()?;
        let status = application.ended()?;
        ensure!(status.success(), "{name} ended with {status}");
        // Started again it finds the job as it ended, not as one that was lost.
        let again = site.start_application(name)?;
        let detail: JobDetail = again.command("GET", &path, b"")?.json()?;
        ensure!(detail.job.state == State::Succeeded && detail.job.attempt == 1, "{name}: {detail:?}");
    }
    Ok(())
}
