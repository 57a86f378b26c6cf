//! Routes enqueue into real storages.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, StatusCode},
    routing::post,
};
use tower::ServiceExt as _;
use windlass_axum::{
    Client, Refused, Windlass,
    jobs::{
        self,
        api::{self, Enqueued, JobRequest, Problem, ProblemCode},
        storage::{
            OpenOptions, Storage, StorageUrl, open,
            postgres::{PostgresOptions, PostgresStorage},
        },
    },
};

async fn ask(app: Router, body: &str) -> Result<(StatusCode, String)> {
    let request =
        Request::post("/orders").header("content-type", "application/json").body(Body::from(body.to_owned()))?;
    let answer = app.oneshot(request).await?;
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await?;
    Ok((status, String::from_utf8(body.to_vec())?))
}

/// A job that waits for its handler, since no module is deployed here.
fn bill(order: i64) -> Result<JobRequest, Refused> {
    let mut job = JobRequest::new("shop/bill".parse()?, api::Json::write(&order)?);
    job.wait_for_handler = true;
    Ok(job)
}

async fn storage(folder: &tempfile::TempDir) -> Result<Arc<dyn Storage>> {
    let url = StorageUrl::sqlite(folder.path().join("jobs.db"));
    Ok(open(&url, OpenOptions::default()).await?)
}

#[tokio::test]
async fn a_route_enqueues_by_the_layer() -> Result<()> {
    async fn order(client: Client, Json(order): Json<i64>) -> Result<Json<Enqueued>, Refused> {
        Ok(Json(client.enqueue(bill(order)?).await?))
    }

    let folder = tempfile::tempdir()?;
    let windlass = Windlass::new(storage(&folder).await?);
    let app = Router::new().route("/orders", post(order)).layer(windlass.clone());
    let (status, body) = ask(app, "7").await?;
    assert_eq!(status, StatusCode::OK, "{body}");
    let job: Enqueued = serde_json::from_str(&body)?;
    let kept = windlass.client().get(job.id).await?.context("the job is not there")?;
    assert_eq!(kept.payload.as_str(), "7");
    Ok(())
}

#[tokio::test]
async fn a_route_enqueues_by_the_state() -> Result<()> {
    async fn order(State(client): State<jobs::Client>, Json(order): Json<i64>) -> Result<Json<Enqueued>, Refused> {
        Ok(Json(client.enqueue(bill(order)?).await?))
    }

    let folder = tempfile::tempdir()?;
    let windlass = Windlass::new(storage(&folder).await?);
    let app = Router::new().route("/orders", post(order)).with_state(windlass.clone());
    assert_eq!(ask(app, "7").await?.0, StatusCode::OK);
    assert_eq!(windlass.client().counts().await?.of(api::State::Awaiting), 1);
    Ok(())
}

#[tokio::test]
async fn a_handler_that_does_not_exist_and_a_name_that_is_none_are_answered_as_problems() -> Result<()> {
    async fn order(client: Client, Json(handler): Json<String>) -> Result<Json<Enqueued>, Refused> {
        Ok(Json(client.enqueue(JobRequest::new(handler.parse()?, api::Json::null())).await?))
    }

    let folder = tempfile::tempdir()?;
    let app = Router::new().route("/orders", post(order)).layer(Windlass::new(storage(&folder).await?));
    for (handler, code, text) in [
        ("shop/bill", ProblemCode::UnknownHandler, "no module has the handler `shop/bill`"),
        ("shop", ProblemCode::InvalidField, "`shop` is not a handler"),
    ] {
        let (status, body) = ask(app.clone(), &serde_json::to_string(handler)?).await?;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let problem: Problem = serde_json::from_str(&body)?;
        assert_eq!(problem.code, code);
        assert!(problem.detail.contains(text), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn a_route_without_the_layer_is_told_what_is_missing() -> Result<()> {
    async fn order(_: Client) {}

    let (status, body) = ask(Router::new().route("/orders", post(order)), "7").await?;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("add `.layer(windlass)` to the router"), "{body}");
    Ok(())
}

#[derive(Clone)]
struct Shop {
    pool: sqlx::PgPool,
}

/// Takes an order with its bill, or neither: one of a negative number is thought better of.
async fn take_order(State(shop): State<Shop>, client: Client, Json(order): Json<i64>) -> Result<String, Refused> {
    let failed = |error: sqlx::Error| Refused(Problem::new(ProblemCode::Internal, error.to_string()));
    let mut transaction = shop.pool.begin().await.map_err(failed)?;
    sqlx::query("INSERT INTO orders (id) VALUES ($1)").bind(order).execute(&mut *transaction).await.map_err(failed)?;
    let job = client.enqueue_in(&mut transaction, bill(order)?).await?;
    if order < 0 {
        transaction.rollback().await.map_err(failed)?;
    } else {
        transaction.commit().await.map_err(failed)?;
    }
    Ok(job.id.to_string())
}

#[tokio::test]
async fn a_job_is_there_with_the_applications_own_data_or_not_at_all() -> Result<()> {
    let server = windlass_test_services::Postgres::start()?;
    let pool = sqlx::PgPool::connect(&server.url()).await?;
    sqlx::query("CREATE TABLE orders (id bigint PRIMARY KEY)").execute(&pool).await?;
    let windlass = Windlass::new(
        PostgresStorage::connect(&server.url(), PostgresOptions { migrate: true, ..PostgresOptions::default() })
            .await?,
    );
    let app = Router::new()
        .route("/orders", post(take_order))
        .layer(windlass.clone())
        .with_state(Shop { pool: pool.clone() });
    for (order, expected) in [(7, 1), (-8, 1), (9, 2)] {
        let (status, body) = ask(app.clone(), &order.to_string()).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
        let is_there = windlass.client().get(body.parse()?).await?.is_some();
        assert_eq!(is_there, order > 0);
        assert_eq!(windlass.client().counts().await?.of(api::State::Awaiting), expected);
        let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&pool).await?;
        assert_eq!(orders.unsigned_abs(), expected);
    }
    // An order that is there already takes no bill.
    let (status, _) = ask(app, "7").await?;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(windlass.client().counts().await?.of(api::State::Awaiting), 2);
    Ok(())
}
