//! Behind a reverse proxy that puts the host under a path of its own: everything is found relative to that path.

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::net::TcpListener;
use windlass_api::State as JobState;
use windlass_browser_tests::Browser;
use windlass_tests::{Site, component};

/// Where the proxy puts the host.
const PREFIX: &str = "/tools/windlass";

#[derive(Clone)]
struct Proxy {
    host: String,
    client: Client<HttpConnector, Body>,
}

impl Proxy {
    /// Starts it on a free port; gives its address. It ends with the test.
    async fn start(host: String) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let router = Router::new().fallback(forward).with_state(Self { host, client });
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok(address)
    }

    async fn pass_on(self, mut request: Request) -> Result<Option<Response>> {
        let path = request.uri().path_and_query().context("a request without a path")?.as_str();
        let Some(path) = path.strip_prefix(PREFIX) else { return Ok(None) };
        *request.uri_mut() = format!("http://{}{path}", self.host).parse()?;
        Ok(Some(self.client.request(request).await?.map(Body::new)))
    }
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Response {
    match proxy.pass_on(request).await {
        Ok(Some(response)) => response,
        // Whatever asks outside of the path is not the dashboard's business, and the test sees it fail.
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

#[tokio::test]
async fn the_dashboard_works_under_a_path_of_a_reverse_proxy() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    host.deploy("faults", &component("faults")?)?;
    let job = host.enqueue("faults/flaky", &json!({ "succeed_on": 2 }), &["--max-attempts", "1"])?;
    host.wait_until(job, |detail| detail.job.state == JobState::Failed)?;
    let browser = Browser::open(&format!("http://{}{PREFIX}/", Proxy::start(host.address()).await?)).await?;
    browser.open_page("").await?;
    browser.sees(".tiles").await?;
    browser.click("Jobs").await?;
    browser.sees(&format!("a[href='jobs/{}']", job.0)).await?.click().await?;
    browser.reads("failed on purpose").await?;
    assert_eq!(browser.path().await?, format!("jobs/{}", job.0));
    // Loaded there, two folders deep, it finds its files, the API and the way back as well.
    browser.open_page(&format!("jobs/{}", job.0)).await?;
    browser.click("Retry").await?;
    browser.reads("The job is enqueued again.").await?;
    browser.sees(".head .state-succeeded, .head .state-failed").await?;
    browser.click("Modules").await?;
    browser.attach("input[type=file]", &component("images")?.to_string_lossy()).await?;
    browser.reads("is deployed and active").await?;
    assert_eq!(browser.path().await?, "modules");
    browser.presses("\u{e00c}").await?;
    browser.run("document.activeElement.blur()").await?;
    browser.presses("go").await?;
    browser.sees(".tiles").await?;
    assert_eq!(browser.path().await?, "");
    browser.is_content().await?;
    browser.close().await
}
