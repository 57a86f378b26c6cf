//! A host that is away, that comes back, that is none: against servers that say what the test wants.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use tokio::net::TcpListener;
use windlass_api::{Enqueued, JobId, JobRequest, Json as Payload, Problem, ProblemCode};
use windlass_http_client::{Change, Client, Error};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// How often something was asked.
type Asked = Arc<AtomicUsize>;

async fn serve(app: Router) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

fn client(address: SocketAddr) -> Result<Client> {
    Ok(Client::new(&format!("http://{address}"))?.with_patience(Duration::from_secs(30)))
}

fn busy() -> Response {
    let problem = Problem::new(ProblemCode::Busy, "the host is starting");
    (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response()
}

fn job() -> Result<JobRequest> {
    Ok(JobRequest::new("shop/bill".parse()?, Payload::null()))
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named_with_what_to_do() -> Result<()> {
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let client = client(free)?;
    let error = client.clone().with_patience(Duration::ZERO).counts().await.unwrap_err().to_string();
    assert!(error.contains(&format!("failed to reach a host at http://{free}/: ")), "{error}");
    assert!(error.contains("`windlass serve`") && !error.contains("tried for"), "{error}");
    let error = client.with_patience(Duration::from_millis(250)).counts().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("tried for 0.25 s"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_starts_meanwhile_is_waited_for_and_gets_each_job_once() -> Result<()> {
    async fn enqueue(State(asked): State<Asked>, Json(job): Json<JobRequest>) -> Response {
        match asked.fetch_add(1, Ordering::SeqCst) {
            // The door is closed yet; then a proxy does not find the host.
            0 => busy(),
            1 => StatusCode::BAD_GATEWAY.into_response(),
            _ => Json(Enqueued { id: job.id.unwrap_or(JobId(uuid::Uuid::nil())), existing: true, replaced: false })
                .into_response(),
        }
    }

    let asked = Asked::default();
    let app = Router::new().route("/api/v1/jobs", post(enqueue)).with_state(asked.clone());
    let enqueued = client(serve(app).await?)?.enqueue(&job()?).await?;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert_eq!(enqueued.id.0.get_version_num(), 7, "the job was sent with an id, so that it is made once");
    Ok(())
}

#[tokio::test]
async fn what_may_do_harm_is_not_sent_again_once_it_may_have_been_done() -> Result<()> {
    async fn lose(State(asked): State<Asked>) -> Response {
        asked.fetch_add(1, Ordering::SeqCst);
        let problem = Problem::new(ProblemCode::StorageUnavailable, "the storage broke off");
        (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response()
    }

    let asked = Asked::default();
    let app = Router::new().route("/api/v1/jobs/{id}", delete(lose)).with_state(asked.clone());
    let error = client(serve(app).await?)?.delete(JobId(uuid::Uuid::nil())).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::StorageUnavailable));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn a_wait_is_short_enough_for_proxies_and_goes_on_where_one_gave_it_up() -> Result<()> {
    async fn wait(State(asked): State<Asked>, Query(query): Query<HashMap<String, String>>) -> Response {
        assert_eq!(query.get("timeout_ms").map(String::as_str), Some("45000"));
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => StatusCode::GATEWAY_TIMEOUT.into_response(),
            _ => (StatusCode::NOT_FOUND, Json(Problem::new(ProblemCode::NotFound, "there is no such job")))
                .into_response(),
        }
    }

    let asked = Asked::default();
    let app = Router::new().route("/api/v1/jobs/{id}/wait", get(wait)).with_state(asked.clone());
    let id = JobId(uuid::Uuid::nil());
    let error = client(serve(app).await?)?.wait(id, Duration::from_secs(600)).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::NotFound));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_followed_but_told_as_the_url_to_use() -> Result<()> {
    let elsewhere =
        async || (StatusCode::PERMANENT_REDIRECT, [("location", "https://host.example/windlass/api/v1/counts")]);
    let app = Router::new()
        .route("/api/v1/counts", get(elsewhere))
        .route("/api/v1/queues", get(async || (StatusCode::FOUND, [("location", "/login")])));
    let address = serve(app).await?;
    let error = client(address)?.counts().await.unwrap_err();
    assert!(matches!(error, Error::Url { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains(&format!("http://{address}/")), "{error}");
    assert!(error.contains("use https://host.example/windlass/, where that leads, as the URL instead"), "{error}");
    let error = client(address)?.queues().await.unwrap_err().to_string();
    assert!(error.contains(&format!("leads to http://{address}/login")), "{error}");
    Ok(())
}

#[tokio::test]
async fn somebody_else_and_another_version_are_told_from_a_host() -> Result<()> {
    let older = async || {
        let problem = Problem::new(ProblemCode::InvalidField, "unknown field `limit_key`");
        (StatusCode::UNPROCESSABLE_ENTITY, Json(problem))
    };
    let app = Router::new()
        .route("/api/v1/counts", get(async || "<html>hello</html>"))
        .route("/api/v1/queues", get(async || StatusCode::NOT_FOUND))
        .route("/api/v1/jobs", post(older));
    let client = client(serve(app).await?)?;
    for error in [client.counts().await.unwrap_err(), client.queues().await.unwrap_err()] {
        assert!(matches!(error, Error::NotUnderstood { .. }), "{error}");
        assert!(error.to_string().contains("is it a Windlass host of this version?"), "{error}");
    }
    let error = client.enqueue(&job()?).await.unwrap_err().to_string();
    assert!(error.contains("the host may be older than this client"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_taken_up_where_it_ended() -> Result<()> {
    async fn follow(State(asked): State<Asked>, headers: axum::http::HeaderMap) -> Response {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or("none");
        match (asked.fetch_add(1, Ordering::SeqCst), last) {
            (0, "none") => "id: a-1\n: following\n\nevent: queues\nid: a-2\ndata: {}\n\nevent: ser".into_response(),
            (1, "a-2") => busy(),
            (2, "a-2") => {
                "event: later-than-this\nid: a-3\ndata: {}\n\nevent: missed\nid: a-4\ndata: {}\n\n".into_response()
            }
            other => panic!("asked as {other:?}"),
        }
    }

    let app = Router::new().route("/api/v1/events", get(follow)).with_state(Asked::default());
    let mut events = client(serve(app).await?)?.events(&[]).await?;
    assert_eq!(events.next().await?, Change::Queues);
    assert_eq!(events.next().await?, Change::Missed);
    Ok(())
}
