//! A reverse proxy in front of a host, as small as can be: it puts the host under a path, and may be led to another one.

use std::sync::{Arc, Mutex, PoisonError};

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
use tokio::net::TcpListener;

/// A reverse proxy. It ends with the test's runtime.
#[derive(Clone, Debug)]
pub struct Proxy {
    address: String,
    prefix: &'static str,
    host: Arc<Mutex<String>>,
    client: Client<HttpConnector, Body>,
}

impl Proxy {
    /// Starts one on a free port. `prefix` is the path that it puts the host under, such as `/tools/windlass`.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub async fn start(prefix: &'static str, host: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            address: listener.local_addr()?.to_string(),
            prefix,
            host: Arc::new(Mutex::new(host)),
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        let router = Router::new().fallback(forward).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(proxy)
    }

    /// Where the dashboard is for a browser.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://{}{}/", self.address, self.prefix)
    }

    /// Leads to another host from now on.
    pub fn leads_to(&self, host: String) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = host;
    }

    async fn pass_on(self, mut request: Request) -> Result<Option<Response>> {
        let path = request.uri().path_and_query().context("a request without a path")?.as_str();
        let Some(path) = path.strip_prefix(self.prefix) else { return Ok(None) };
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *request.uri_mut() = format!("http://{host}{path}").parse()?;
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
