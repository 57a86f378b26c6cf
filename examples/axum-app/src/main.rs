//! Reports on tables of sales, in axum: a route asks for one, a handler in a sandbox makes it.

use std::{env, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use windlass_axum::{
    Client, Refused, Visitor, Windlass, config,
    jobs::api::{self, JobId, JobRequest, Role, State},
    open,
};

/// A table of sales, below `tables`.
#[derive(Deserialize, Serialize)]
struct Table {
    path: String,
}

#[derive(Serialize)]
struct Asked {
    job: JobId,
}

#[derive(Serialize)]
struct Report {
    state: State,
    report: Option<api::Json>,
    failure: Option<String>,
}

/// Has a table summed up.
async fn ask_for_report(client: Client, Json(table): Json<Table>) -> Result<(StatusCode, Json<Asked>), Refused> {
    let mut request = JobRequest::new("reports/summarise".parse()?, api::Json::write(&table)?);
    // The handler may be deployed after the application has started, and a table that is not there is for people to see.
    request.wait_for_handler = true;
    request.max_attempts = Some(1);
    let job = client.enqueue(request).await?;
    Ok((StatusCode::ACCEPTED, Json(Asked { job: job.id })))
}

/// Gives what came of it, when it has ended, or how far it is after ten seconds.
async fn report(client: Client, Path(job): Path<JobId>) -> Result<Response, Refused> {
    let Some(seen) = client.wait(job, Duration::from_secs(10)).await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let failure = seen.job.failure.map(|failure| failure.message);
    Ok(Json(Report { state: seen.job.state, report: seen.result, failure }).into_response())
}

/// What asks the application to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// Lets in who knows the password, whatever their name.
fn only_admin(headers: &HeaderMap, password: &str) -> Result<Visitor, impl IntoResponse + use<>> {
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok()?.strip_prefix("Basic "));
    let given = given.and_then(|given| String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok());
    match given.as_deref().and_then(|given| given.split_once(':')) {
        Some((name, given)) if given.as_bytes().ct_eq(password.as_bytes()).into() => {
            Ok(Visitor::new(name, Role::Admin))
        }
        _ => Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic")], "wrong password")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    // An empty one would let everybody in.
    let password = env::var("DASHBOARD_PASSWORD").ok().filter(|password| !password.is_empty());
    let password: Arc<str> = password.context("set DASHBOARD_PASSWORD to the password of the dashboard")?.into();
    // The windlass.toml beside it, as a host has one.
    let settings = config::load(None, config::Overrides::default())?;
    let listener = TcpListener::bind(settings.listen).await?;

    let auth = move |request: Parts| {
        let password = Arc::clone(&password);
        async move { only_admin(&request.headers, &password) }
    };
    let windlass = Windlass::new(open(&settings).await?).dashboard("/jobs", auth)?.worker(settings);
    windlass.start().await?;

    let app = Router::new()
        .route("/reports", post(ask_for_report))
        .route("/reports/{job}", get(report))
        .merge(windlass.routes())
        .layer(windlass.clone());
    let (mut signals, hurried) = (Signals::listen()?, windlass.clone());
    let told_to_stop = async move {
        signals.next().await;
        // A second one does not wait for the jobs that run.
        tokio::spawn(async move {
            signals.next().await;
            hurried.hurry();
        });
    };
    let served = axum::serve(listener, app).with_graceful_shutdown(windlass.until(told_to_stop)).await;
    // Where the server has failed, jobs run on until this.
    windlass.stop().await?;
    served.context("the server failed")
}
