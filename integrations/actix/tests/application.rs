//! Routes, and the dashboard under a path, in front of a real storage.

use actix_web::{
    App, Error, HttpRequest,
    body::{BodySize, MessageBody},
    dev::ServiceResponse,
    error::ErrorUnauthorized,
    http::{Method, StatusCode, header},
    middleware::NormalizePath,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use anyhow::Result;
use windlass_actix::{
    Client, Refused, Visitor, Windlass,
    jobs::{
        api::{self, Enqueued, JobRequest, Problem, ProblemCode, Role},
        storage::{OpenOptions, StorageUrl, open},
    },
};

/// Who they say they are, which only a test believes.
async fn as_they_say(request: HttpRequest) -> Result<Visitor, Error> {
    let role = request.headers().get("x-role").and_then(|role| role.to_str().ok()?.parse().ok());
    role.map(|role: Role| Visitor::new("ann", role)).ok_or_else(|| ErrorUnauthorized("who are you?"))
}

async fn windlass(folder: &tempfile::TempDir) -> Result<Windlass> {
    let url = StorageUrl::sqlite(folder.path().join("jobs.db"));
    Ok(Windlass::new(open(&url, OpenOptions::default()).await?))
}

async fn order(client: Client, handler: web::Json<String>) -> Result<web::Json<Enqueued>, Refused> {
    let mut job = JobRequest::new(handler.parse()?, api::Json::null());
    job.wait_for_handler = handler.as_str() == "shop/bill";
    Ok(web::Json(client.enqueue(job).await?))
}

async fn problem<B: MessageBody>(answer: ServiceResponse<B>) -> Result<Problem> {
    Ok(serde_json::from_slice(&read_body(answer).await)?)
}

fn as_operator(request: TestRequest) -> TestRequest {
    request.insert_header(("x-role", "operator")).insert_header(("host", "shop.example"))
}

#[actix_web::test]
async fn a_route_enqueues_and_answers_what_is_refused_as_a_problem() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?;
    let app = App::new().configure(windlass.install()).route("/orders", web::post().to(order));
    let app = init_service(app).await;
    let ask = |handler: &str| TestRequest::post().uri("/orders").set_json(handler).to_request();
    let answer = call_service(&app, ask("shop/bill")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(windlass.client().counts().await?.of(api::State::Awaiting), 1);
    let answer = call_service(&app, ask("shop/other")).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.headers().get(header::CONTENT_TYPE).unwrap(), "application/problem+json");
    let told = problem(answer).await?;
    assert_eq!(
        (told.code, told.detail.as_str()),
        (ProblemCode::UnknownHandler, "no module has the handler `shop/other`")
    );
    Ok(())
}

#[actix_web::test]
async fn a_route_of_an_application_without_it_is_told_what_is_missing() -> Result<()> {
    let app = init_service(App::new().route("/orders", web::post().to(order))).await;
    let answer = call_service(&app, TestRequest::post().uri("/orders").set_json("shop/bill").to_request()).await;
    let told = problem(answer).await?;
    assert!(told.detail.contains("add `.configure(windlass.install())` to the `App`"), "{}", told.detail);
    Ok(())
}

macro_rules! status {
    ($app:expr, $request:expr) => {
        call_service($app, $request.to_request()).await.status()
    };
}

#[actix_web::test]
async fn the_dashboard_is_below_its_path_for_those_who_are_let_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?.dashboard("/jobs", as_they_say)?;
    windlass.start().await?;
    let app = App::new()
        .configure(windlass.install())
        .service(web::scope("/tenants/{tenant:[^/]+}/{path}").configure(windlass.install()));
    let app = init_service(app).await;
    for before in ["", "/tenants/7/a%2Fb"] {
        let answer = call_service(&app, TestRequest::get().uri(&format!("{before}/jobs?a=b")).to_request()).await;
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers().get(header::LOCATION).unwrap(), "jobs/?a=b&");
        for path in ["", "api/v1/counts", "healthz"] {
            let asked = || TestRequest::get().uri(&format!("{before}/jobs/{path}"));
            assert_eq!(status!(&app, asked()), StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(status!(&app, as_operator(asked())), StatusCode::OK, "{path}");
        }
        let asked = TestRequest::get().uri(&format!("{before}/jobs/api/v1/jobs/no-id"));
        let told = problem(call_service(&app, as_operator(asked).to_request()).await).await?;
        assert_eq!(told.code, ProblemCode::BadRequest);
    }
    let pause = || as_operator(TestRequest::post().uri("/jobs/api/v1/queues/default/pause"));
    assert_eq!(status!(&app, pause().insert_header(("origin", "https://evil.example"))), StatusCode::FORBIDDEN);
    assert_eq!(status!(&app, pause().insert_header(("origin", "https://shop.example"))), StatusCode::OK);
    // A body goes along: what is wrong with this one is said by the host.
    let put = as_operator(TestRequest::put().uri("/jobs/api/v1/limits/queue:default"))
        .set_payload("{")
        .insert_header(header::ContentType::json());
    assert_eq!(problem(call_service(&app, put.to_request()).await).await?.code, ProblemCode::BadRequest);
    windlass.stop().await?;
    let told = problem(call_service(&app, as_operator(TestRequest::get().uri("/jobs/")).to_request()).await).await?;
    assert!(told.detail.contains("Windlass is stopped"), "{}", told.detail);
    Ok(())
}

#[actix_web::test]
async fn an_application_that_takes_the_slash_from_paths_has_a_dashboard_all_the_same() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?.dashboard("/jobs", as_they_say)?;
    windlass.start().await?;
    let app = init_service(App::new().wrap(NormalizePath::trim()).configure(windlass.install())).await;
    // From `/jobs` by `/jobs/`, from `/jobs/` by `/jobs/jobs/` and back.
    for (path, location) in [("/jobs", "jobs/?&"), ("/jobs/", "jobs/?&"), ("/jobs/jobs/?&", "../?&")] {
        let answer = call_service(&app, as_operator(TestRequest::get().uri(path)).to_request()).await;
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT, "{path}");
        assert_eq!(answer.headers().get(header::LOCATION).unwrap(), location, "{path}");
    }
    for path in ["/jobs/?&", "/jobs/api/v1/counts/"] {
        assert_eq!(status!(&app, as_operator(TestRequest::get().uri(path))), StatusCode::OK, "{path}");
    }
    windlass.stop().await?;
    Ok(())
}

#[actix_web::test]
async fn head_tells_how_long_the_answer_would_be() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let windlass = windlass(&folder).await?.dashboard("/jobs", as_they_say)?;
    windlass.start().await?;
    let app = init_service(App::new().configure(windlass.install())).await;
    for coding in ["identity", "br"] {
        let mut lengths = Vec::new();
        for method in [Method::GET, Method::HEAD] {
            let asked = as_operator(TestRequest::default().method(method).uri("/jobs/api/v1/openapi.json"));
            let asked = asked.insert_header((header::ACCEPT_ENCODING, coding)).to_request();
            lengths.push(call_service(&app, asked).await.response().body().size());
        }
        assert!(!matches!(lengths[0], BodySize::None | BodySize::Sized(0)), "{coding}: {lengths:?}");
        assert_eq!(lengths[0], lengths[1], "{coding}");
    }
    windlass.stop().await?;
    Ok(())
}
