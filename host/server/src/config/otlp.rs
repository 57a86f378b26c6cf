//! Telling a collector what happens.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{SecretSource, Span};

/// `[otlp]`: a collector that is told of traces and numbers, by OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(expecting = "a table such as { endpoint = \"http://127.0.0.1:4318\" }")]
pub struct OtlpSettings {
    /// The collector's URL, without `/v1/traces`.
    #[serde(deserialize_with = "url")]
    #[schemars(with = "String")]
    pub endpoint: reqwest::Url,
    /// How often numbers are sent. Default: 60 s.
    #[serde(default = "minute")]
    pub metrics_interval: Span,
    /// Headers of each request, such as one that says who sends it, by where their values come from. Default: none.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretSource>,
}

const fn minute() -> Span {
    Span::from_secs(60)
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<reqwest::Url, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = reqwest::Url;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a URL such as \"http://127.0.0.1:4318\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<reqwest::Url, E> {
            let url = text.parse::<reqwest::Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(Visitor)
}
