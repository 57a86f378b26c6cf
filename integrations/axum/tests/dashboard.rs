//! The dashboard under a path of an application, in front of a real storage.

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header, request::Parts},
    response::Response,
    routing::get,
};
use tower::ServiceExt as _;
use windlass_axum::{
    Client, PluginError, Visitor, Windlass, config,
    jobs::{
        api::{JobDetail, JobRequest, Json, Problem, ProblemCode, Role, SessionView},
        storage::{OpenOptions, StorageUrl, open},
    },
};

/// Who they say they are, which only a test believes.
async fn as_they_say(request: Parts) -> Result<Visitor, StatusCode> {
    let role = request.headers.get("x-role").and_then(|role| role.to_str().ok()?.parse().ok());
    role.map(|role: Role| Visitor::new("ann", role)).ok_or(StatusCode::UNAUTHORIZED)
}

async fn windlass(folder: &tempfile::TempDir) -> Result<Windlass> {
    let url = StorageUrl::sqlite(folder.path().join("jobs.db"));
    Ok(Windlass::new(open(&url, OpenOptions::default()).await?).dashboard("/jobs", as_they_say)?)
}

fn app(windlass: &Windlass) -> Router {
    Router::new().route("/", get(async |_: Client| "home")).merge(windlass.routes()).layer(windlass.clone())
}

async fn ask(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    let request = Request::builder().method(method).uri(path).header("host", "shop.example");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Ok(app.clone().oneshot(request.body(Body::empty())?).await?)
}

async fn text(answer: Response) -> Result<String> {
    Ok(String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await?.to_vec())?)
}

async fn problem(answer: Response) -> Result<Problem> {
    Ok(serde_json::from_str(&text(answer).await?)?)
}

const OPERATOR: (&str, &str) = ("x-role", "operator");

#[tokio::test]
async fn it_is_below_its_path_and_leads_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?;
    windlass.start().await?;
    let inner = app(&windlass);
    let outer = Router::new().nest("/tools", inner.clone());
    for (app, before) in [(inner, ""), (outer, "/tools")] {
        let answer = ask(&app, "GET", &format!("{before}/jobs?a=b"), &[]).await?;
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers()[header::LOCATION], "jobs/?a=b");
        for path in ["", "api/v1/counts", "healthz"] {
            let answer = ask(&app, "GET", &format!("{before}/jobs/{path}"), &[OPERATOR]).await?;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        let answer = ask(&app, "GET", &format!("{before}/jobs/api/v1/jobs/no-id"), &[OPERATOR]).await?;
        assert_eq!(problem(answer).await?.code, ProblemCode::BadRequest);
        let answer = ask(&app, "GET", &format!("{before}/jobsmith/"), &[OPERATOR]).await?;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    windlass.stop().await?;
    Ok(())
}

#[tokio::test]
async fn only_whom_the_application_lets_in_sees_it_and_does_what_their_role_allows() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?;
    windlass.start().await?;
    let app = app(&windlass);
    for path in ["", "assets/x.js", "api/v1/jobs", "metrics"] {
        let answer = ask(&app, "GET", &format!("/jobs/{path}"), &[]).await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let mut job = JobRequest::new("shop/bill".parse()?, Json::null());
    job.wait_for_handler = true;
    let job = windlass.client().enqueue(job).await?.id;
    let path = format!("/jobs/api/v1/jobs/{job}");
    let told = problem(ask(&app, "DELETE", &path, &[("x-role", "viewer")]).await?).await?;
    assert_eq!(told.code, ProblemCode::RoleTooLow);
    assert_eq!(
        told.detail,
        "`ann` has the role viewer here, and this takes operator: the application decides who has which"
    );
    let answer = ask(&app, "DELETE", &path, &[OPERATOR]).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    let detail: JobDetail = serde_json::from_str(&text(ask(&app, "GET", &path, &[OPERATOR]).await?).await?)?;
    assert_eq!(detail.history.last().map(|line| line.by.as_str()), Some("user ann"));
    let session = ask(&app, "GET", "/jobs/api/v1/session", &[OPERATOR]).await?;
    let session: SessionView = serde_json::from_str(&text(session).await?)?;
    let name = Some("ann".to_owned());
    assert_eq!(
        session,
        SessionView { required: false, read_only: false, role: Some(Role::Operator), name, expires_at: None }
    );
    windlass.stop().await?;
    Ok(())
}

#[tokio::test]
async fn pages_of_other_web_sites_change_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?;
    windlass.start().await?;
    let app = app(&windlass);
    let pause = "/jobs/api/v1/queues/default/pause";
    for foreign in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let answer = ask(&app, "POST", pause, &[OPERATOR, foreign]).await?;
        assert_eq!(problem(answer).await?.code, ProblemCode::Forbidden);
    }
    let answer = ask(&app, "POST", pause, &[OPERATOR, ("origin", "https://shop.example")]).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    windlass.stop().await?;
    Ok(())
}

#[tokio::test]
async fn before_its_start_and_after_its_end_it_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?;
    let app = app(&windlass);
    for path in ["/", "/jobs/"] {
        let told = problem(ask(&app, "GET", path, &[OPERATOR]).await?).await?;
        assert!(told.detail.contains("call `windlass.start().await` before the server"), "{}", told.detail);
    }
    windlass.start().await?;
    assert_eq!(ask(&app, "GET", "/", &[]).await?.status(), StatusCode::OK);
    assert!(matches!(windlass.start().await, Err(PluginError::AlreadyStarted)));
    windlass.stop().await?;
    for path in ["/", "/jobs/"] {
        let answer = ask(&app, "GET", path, &[OPERATOR]).await?;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let told = problem(answer).await?;
        assert!(told.detail.contains("after the server has ended, not before"), "{}", told.detail);
    }
    assert!(matches!(windlass.start().await, Err(PluginError::Stopped)));
    Ok(())
}

#[tokio::test]
async fn streams_of_events_end_when_the_server_is_told_to_stop() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?;
    windlass.start().await?;
    let answer = ask(&app(&windlass), "GET", "/jobs/api/v1/events", &[OPERATOR]).await?;
    let (stop, told) = tokio::sync::oneshot::channel::<()>();
    let until = tokio::spawn(windlass.until(told));
    drop(stop);
    until.await?;
    // It would go on for an hour.
    assert!(text(answer).await?.contains("following"));
    windlass.stop().await?;
    Ok(())
}

#[test]
fn a_path_that_is_none_is_refused() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let url = StorageUrl::sqlite(folder.path().join("jobs.db"));
        let windlass = Windlass::new(open(&url, OpenOptions::default()).await?);
        let error = windlass.dashboard("/", as_they_say).unwrap_err();
        assert!(error.to_string().contains("expected a path such as /jobs"), "{error}");
        Ok(())
    })
}

#[tokio::test]
async fn a_worker_on_a_storage_that_was_opened_to_enqueue_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?.worker(config::Settings::default());
    let error = windlass.start().await.unwrap_err().to_string();
    assert!(error.starts_with("failed to start Windlass: the storage was opened to enqueue into it"), "{error}");
    assert!(error.contains("`OpenOptions::host()`"), "{error}");
    Ok(())
}
