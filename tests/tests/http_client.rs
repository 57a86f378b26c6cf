//! The client over HTTP against a real host.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use windlass_api::{JobRequest, Json, ProblemCode, Role, State};
use windlass_http_client::{Change, Client, Error};
use windlass_test_services::Proxy;
use windlass_tests::{Host, Site, component, run};

fn client(host: &Host<'_>) -> Result<Client> {
    Ok(Client::new(&format!("http://{}", host.address()))?.with_patience(Duration::from_secs(60)))
}

fn job(handler: &str, payload: &serde_json::Value) -> Result<JobRequest> {
    Ok(JobRequest::new(handler.parse()?, Json::write(payload)?))
}

#[tokio::test]
async fn jobs_are_enqueued_waited_for_followed_and_commanded() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let client = client(&host)?;
    let request = JobRequest { max_attempts: Some(1), ..job("faults/flaky", &json!({ "succeed_on": 2 }))? };
    let job_id = client.enqueue(&request).await?.id;
    let failed = client.wait(job_id, Duration::from_secs(60)).await?;
    assert_eq!(failed.job.state, State::Failed);
    let mut events = client.events(&[job_id]).await?;
    client.requeue(job_id, windlass_api::RequeueRequest::default()).await?;
    while events.next().await? != Change::Job(job_id) {}
    // Attempts count from the start again, so that it fails as before; and it did run.
    let again = client.wait(job_id, Duration::from_secs(60)).await?;
    assert_eq!(
        (again.job.state, again.history.iter().filter(|line| line.to == State::Failed).count()),
        (State::Failed, 2)
    );

    let many = client.enqueue_many(&[job("faults/noop", &json!(null))?, job("faults/noop", &json!(null))?]).await?;
    assert_eq!(many.len(), 2);
    let child = client.continue_with(many[0].id, &job("faults/noop", &json!(null))?).await?;
    assert_eq!(client.wait(child.id, Duration::from_secs(60)).await?.job.state, State::Succeeded);
    // With the same id it is one job.
    let mut again = job("faults/noop", &json!(null))?;
    again.id = Some(child.id);
    ensure!(client.enqueue(&again).await?.existing, "a second job was made");
    Ok(())
}

#[tokio::test]
async fn what_the_host_refuses_says_what_to_do() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let client = client(&host)?;
    let error = client.enqueue(&job("faults/flakey", &json!(null))?).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::UnknownHandler));
    ensure!(error.to_string().contains("flaky"), "the nearest handler is not named: {error}");
    let error = client.enqueue(&job("faults/flaky", &json!({ "succeed_on": "x" }))?).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::PayloadMismatch));
    Ok(())
}

#[tokio::test]
async fn a_token_is_asked_for_and_a_wrong_one_is_refused() -> Result<()> {
    let site = Site::new()?;
    let made = run(&["token", "new", "--role", Role::Viewer.as_str(), "--name", "looks", "--json"], "")?;
    let made: serde_json::Value = made.json()?;
    let (token, sha256) = (made["token"].as_str().context("no token")?, made["sha256"].as_str().context("no digest")?);
    let settings = format!("[[access.tokens]]\nname = \"looks\"\nrole = \"viewer\"\nsha256 = \"{sha256}\"\n");
    let config = site.write("windlass.toml", settings)?.to_string_lossy().into_owned();
    let host = site.start(&["--config", &config])?;
    let client = client(&host)?;
    for wrong in [client.clone(), client.clone().with_token(Some("wl_wrong"))?] {
        let error = wrong.counts().await.unwrap_err();
        assert_eq!(error.code(), Some(ProblemCode::Unauthenticated));
        ensure!(error.to_string().contains("windlass token new") || error.to_string().contains("wl_…"), "{error}");
    }
    let known = client.with_token(Some(token))?;
    known.counts().await?;
    let error = known.enqueue(&job("faults/noop", &json!(null))?).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::RoleTooLow));
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_away_for_a_while_is_waited_for() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let network = Proxy::start(host.address().parse()?)?;
    let client = Client::new(&format!("http://{}", network.address()))?.with_patience(Duration::from_secs(60));
    let mut events = client.events(&[]).await?;
    client.counts().await?;
    network.cut();
    let quick = client.clone().with_patience(Duration::ZERO).counts().await.unwrap_err();
    ensure!(matches!(quick, Error::Unreachable { .. }), "{quick}");
    // Asked while nobody is there, answered when somebody is again.
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.counts().await }
    });
    host.windlass(&["queues", "pause", "slow"])?;
    network.resume();
    asking.await??;
    // What happened meanwhile is told.
    while !matches!(events.next().await?, Change::Queues | Change::Missed) {}
    Ok(())
}
