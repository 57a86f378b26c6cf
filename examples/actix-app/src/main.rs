//! Reports on tables of sales, in actix-web: a route asks for one, a handler in a sandbox makes it.

use std::{env, sync::Arc, time::Duration};

use actix_web::{
    App, Error, HttpRequest, HttpResponse, HttpServer,
    error::InternalError,
    http::header::{self, HeaderMap},
    web::{self, Json, Path},
};
use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokio::signal::unix::{SignalKind, signal};
use windlass_actix::{
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
async fn ask_for_report(client: Client, table: Json<Table>) -> Result<HttpResponse, Refused> {
    let mut request = JobRequest::new("reports/summarise".parse()?, api::Json::write(&*table)?);
    // The handler may be deployed after the application has started, and a table that is not there is for people to see.
    request.wait_for_handler = true;
    request.max_attempts = Some(1);
    let job = client.enqueue(request).await?;
    Ok(HttpResponse::Accepted().json(Asked { job: job.id }))
}

/// Gives what came of it, when it has ended, or how far it is after ten seconds.
async fn report(client: Client, job: Path<JobId>) -> Result<HttpResponse, Refused> {
    let Some(seen) = client.wait(*job, Duration::from_secs(10)).await? else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let failure = seen.job.failure.map(|failure| failure.message);
    Ok(HttpResponse::Ok().json(Report { state: seen.job.state, report: seen.result, failure }))
}

/// Lets in who knows the password, whatever their name.
fn only_admin(headers: &HeaderMap, password: &str) -> Result<Visitor, Error> {
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok()?.strip_prefix("Basic "));
    let given = given.and_then(|given| String::from_utf8(BASE64_STANDARD.decode(given).ok()?).ok());
    match given.as_deref().and_then(|given| given.split_once(':')) {
        Some((name, given)) if given.as_bytes().ct_eq(password.as_bytes()).into() => {
            Ok(Visitor::new(name, Role::Admin))
        }
        _ => {
            let answer = HttpResponse::Unauthorized().insert_header((header::WWW_AUTHENTICATE, "Basic")).finish();
            Err(InternalError::from_response("wrong password", answer).into())
        }
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let password: Arc<str> = env::var("DASHBOARD_PASSWORD").context("set DASHBOARD_PASSWORD")?.into();
    // The windlass.toml beside it, as a host has one.
    let settings = config::load(None, config::Overrides::default())?;
    let listen = settings.listen;

    let auth = move |request: HttpRequest| {
        let password = Arc::clone(&password);
        async move { only_admin(request.headers(), &password) }
    };
    let windlass = Windlass::new(open(&settings).await?).dashboard("/jobs", auth)?.worker(settings);
    windlass.start().await?;

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told_to_stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let installed = windlass.clone();
    let app = move || {
        App::new()
            .configure(installed.install())
            .route("/reports", web::post().to(ask_for_report))
            .route("/reports/{job}", web::get().to(report))
    };
    HttpServer::new(app).shutdown_signal(windlass.until(told_to_stop)).bind(listen)?.run().await?;
    windlass.stop().await?;
    Ok(())
}
