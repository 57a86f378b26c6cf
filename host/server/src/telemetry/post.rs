//! How a collector is reached: by the client that the command line has too, on the host's own runtime.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::{config::OtlpSettings, remote};

/// Sends what the threads of OpenTelemetry hand it, which have no runtime themselves.
#[derive(Clone)]
pub(super) struct Post {
    http: reqwest::Client,
    runtime: Handle,
    headers: HeaderMap,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the headers, which may be secret.
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

impl Post {
    pub(super) fn new(settings: &OtlpSettings, timeout: Duration) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        for (name, source) in &settings.headers {
            let named = || format!("failed to use the header `{name}` of [otlp]");
            let mut value = HeaderValue::from_str(&source.read().with_context(named)?).with_context(named)?;
            value.set_sensitive(true);
            headers.insert(name.parse::<HeaderName>().with_context(named)?, value);
        }
        let http = remote::client(&settings.endpoint).timeout(timeout).build().context("failed to set up [otlp]")?;
        Ok(Self { http, runtime: Handle::current(), headers })
    }
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let request =
            self.http.request(parts.method, url).headers(parts.headers).headers(self.headers.clone()).body(body);
        let sent = self.runtime.spawn(async move {
            let answer = request.send().await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}
