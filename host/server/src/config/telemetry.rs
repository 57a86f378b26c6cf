//! Where traces and metrics are sent.

use std::{collections::BTreeMap, env};

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{SecretSource, Span, webhooks::http_url};

/// The variable that names the receiver to every program that speaks OTLP.
const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The variable that names the program to those who receive.
const SERVICE_VARIABLE: &str = "OTEL_SERVICE_NAME";

/// The variable that says what to send along.
const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The variable that turns all of it off.
const DISABLED_VARIABLE: &str = "OTEL_SDK_DISABLED";

/// `[telemetry]`: where traces and metrics are sent by OTLP, as JSON over HTTP. Nothing is sent unless there is an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of telemetry settings")]
pub struct TelemetrySettings {
    /// The receiver, such as `http://localhost:4318`, to which `/v1/traces` and `/v1/metrics` are added. Default: what
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, else none.
    #[serde(deserialize_with = "endpoint")]
    #[schemars(with = "Option<String>")]
    pub otlp_endpoint: Option<Url>,
    /// Headers that are sent along, by where each comes from; those in `OTEL_EXPORTER_OTLP_HEADERS` are sent too.
    pub headers: BTreeMap<String, SecretSource>,
    /// What this host is called there. Default: what `OTEL_SERVICE_NAME` says, else `windlass`.
    pub service_name: Option<String>,
    /// How often metrics are sent. Default: 1 min.
    pub metrics_interval: Span,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            headers: BTreeMap::new(),
            service_name: None,
            metrics_interval: Span::from_secs(60),
        }
    }
}

/// Whom to send to, and as what, with everything read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) traces: Url,
    pub(crate) metrics: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) service: String,
}

impl TelemetrySettings {
    /// Checks what no single key shows.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.metrics_interval < Span::from_secs(1) {
            return Err("in [telemetry], `metrics_interval` must be at least 1s".to_owned());
        }
        Ok(())
    }

    /// Where to send to; none where nothing is to be sent.
    ///
    /// # Errors
    /// Where a variable cannot be used or a header's source cannot be read; the text names it.
    pub(crate) fn destination(&self) -> Result<Option<Destination>, String> {
        self.destination_in(|name| env::var(name).ok())
    }

    fn destination_in(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Destination>, String> {
        // An empty variable is how a container says that one is not set.
        let variable = |name| variable(name).filter(|text| !text.trim().is_empty());
        if variable(DISABLED_VARIABLE).is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let named = match &self.otlp_endpoint {
            Some(url) => Some(url.clone()),
            None => variable(ENDPOINT_VARIABLE).map(|text| from_variable(&text)).transpose()?,
        };
        let Some(endpoint) = named else { return Ok(None) };
        let mut headers = variable(HEADERS_VARIABLE).map_or_else(|| Ok(Vec::new()), |text| listed(&text))?;
        for (name, source) in &self.headers {
            let value = source.read("headers");
            headers.push((name.clone(), value.map_err(|error| format!("in [telemetry], header `{name}`: {error:#}"))?));
        }
        for (name, value) in &headers {
            let is_good = reqwest::header::HeaderName::try_from(name).is_ok()
                && reqwest::header::HeaderValue::try_from(value).is_ok();
            if !is_good {
                return Err(format!("in [telemetry], `{name}` cannot be sent as a header: correct its name or value"));
            }
        }
        let below = |path: &str| {
            let mut url = endpoint.clone();
            url.set_path(&format!("{}/v1/{path}", endpoint.path().trim_end_matches('/')));
            url
        };
        let service = self.service_name.clone().or_else(|| variable(SERVICE_VARIABLE));
        Ok(Some(Destination {
            traces: below("traces"),
            metrics: below("metrics"),
            headers,
            service: service.unwrap_or_else(|| "windlass".to_owned()),
        }))
    }
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    http_url(deserializer).map(Some)
}

fn from_variable(text: &str) -> Result<Url, String> {
    let url: Option<Url> = text.trim().parse().ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some()).ok_or_else(|| {
        format!("the variable {ENDPOINT_VARIABLE} is not a URL such as http://localhost:4318: correct it")
    })
}

/// `a=1,b=2`, the values percent-encoded.
fn listed(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("the variable {HEADERS_VARIABLE} is not a list such as name=value,name=value: correct it");
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            Ok((name.trim().to_owned(), decoded(value.trim()).ok_or_else(wrong)?))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(text: &str, variables: &[(&str, &str)]) -> Result<Option<Destination>, String> {
        let settings: TelemetrySettings = toml::from_str(text).unwrap();
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        settings.destination_in(variable)
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where_to() {
        assert!(destination("", &[]).unwrap().is_none());
        assert!(destination("", &[(ENDPOINT_VARIABLE, "")]).unwrap().is_none());
        let off = [(ENDPOINT_VARIABLE, "http://localhost:4318"), (DISABLED_VARIABLE, "true")];
        assert!(destination("", &off).unwrap().is_none());
    }

    #[test]
    fn the_settings_go_before_the_variables() {
        let variables = [
            (ENDPOINT_VARIABLE, "http://other:4318"),
            (SERVICE_VARIABLE, "jobs"),
            (HEADERS_VARIABLE, "authorization=Bearer%20x, tenant=a"),
        ];
        let text = "otlp_endpoint = \"https://otlp.example.com/base/\"\nservice_name = \"mine\"";
        let there = destination(text, &variables).unwrap().unwrap();
        assert_eq!(there.traces.as_str(), "https://otlp.example.com/base/v1/traces");
        assert_eq!(there.metrics.as_str(), "https://otlp.example.com/base/v1/metrics");
        assert_eq!(there.service, "mine");
        let of = |name: &str| there.headers.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!((of("authorization"), of("tenant")), ("Bearer x".to_owned(), "a".to_owned()));
        let there = destination("", &variables).unwrap().unwrap();
        assert_eq!((there.traces.as_str(), there.service.as_str()), ("http://other:4318/v1/traces", "jobs"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        assert!(
            destination("", &[(ENDPOINT_VARIABLE, "localhost")]).is_err_and(|error| error.contains(ENDPOINT_VARIABLE))
        );
        let bad = [(ENDPOINT_VARIABLE, "http://localhost:4318"), (HEADERS_VARIABLE, "a%2")];
        assert!(destination("", &bad).is_err_and(|error| error.contains(HEADERS_VARIABLE)));
    }
}
