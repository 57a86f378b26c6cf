//! Who is told when something happens that somebody should look at.

use std::fmt;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use windlass_api::{ModuleName, QueueName};

use super::SecretSource;

/// `[[webhooks]]`: a program that is sent events by HTTP. Each is signed, and sent again where it is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(expecting = "a webhook: { url = \"https://…\", secret = { env = \"NAME\" } }")]
pub struct WebhookSettings {
    /// Where events are sent to, by POST.
    #[serde(deserialize_with = "http_url")]
    #[schemars(with = "String")]
    pub url: Url,
    /// What they are signed with: `whsec_` and 24 to 64 random bytes in base64.
    pub secret: SecretSource,
    /// Which events are sent. Default: all.
    #[serde(default = "all_events")]
    pub events: Vec<WebhookEvent>,
    /// Only what is about jobs of these modules. Default: all.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub modules: Vec<ModuleName>,
    /// Only what is about jobs of these queues. Default: all.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub queues: Vec<QueueName>,
    /// How often an event is sent that is not taken, before it is given up. Default: 12, about half an hour.
    #[serde(default = "twelve")]
    pub max_attempts: u32,
}

/// What a webhook may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookEvent {
    /// A job has failed for good.
    Failed,
    /// A handler of which a job had failed for good has succeeded again.
    Recovered,
    /// A recurring job was due while no host was there to enqueue it.
    MissedRecurring,
}

impl WebhookEvent {
    const ALL: [Self; 3] = [Self::Failed, Self::Recovered, Self::MissedRecurring];
}

impl WebhookSettings {
    /// Checks what no single key shows.
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |problem: &str| Err(format!("in [[webhooks]], that of {}: {problem}", self.receiver()));
        if self.events.is_empty() {
            return wrong("`events` is empty, so it would be told nothing: name some, or leave the key out for all");
        }
        if self.max_attempts == 0 {
            return wrong("`max_attempts` is 0, so nothing would be sent: expected at least 1");
        }
        Ok(())
    }

    /// What it is called in logs and metrics: the host and port of its URL, since the rest may hold a password.
    #[must_use]
    pub fn receiver(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

fn all_events() -> Vec<WebhookEvent> {
    WebhookEvent::ALL.to_vec()
}

fn twelve() -> u32 {
    12
}

/// Reads a URL that HTTP can be spoken to.
pub(super) fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Url;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a URL such as \"https://example.com/path\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Url, E> {
            // What was given is not shown: it may hold a password.
            let wrong = || E::invalid_value(de::Unexpected::Other("other text"), &self);
            let url: Url = text.trim().parse().map_err(|_| wrong())?;
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                return Err(wrong());
            }
            Ok(url)
        }
    }

    deserializer.deserialize_str(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WebhookSettings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn what_is_not_said_means_all() {
        let webhook = read("url = \"https://example.com:8443/hook\"\nsecret = { env = \"KEY\" }").unwrap();
        assert_eq!(webhook.events, WebhookEvent::ALL);
        assert_eq!(webhook.max_attempts, 12);
        assert_eq!(webhook.receiver(), "example.com:8443");
        assert_eq!(webhook.check(), Ok(()));
    }

    #[test]
    fn what_could_tell_nobody_anything_is_refused_without_showing_the_url() {
        for url in ["", "example.com", "ftp://example.com", "/path?key=hidden"] {
            let error = read(&format!("url = \"{url}\"\nsecret = {{ env = \"KEY\" }}")).unwrap_err();
            assert!(error.message().contains("a URL such as") && !error.message().contains("hidden"), "{error}");
        }
        let text = "url = \"https://example.com\"\nsecret = { env = \"KEY\" }";
        let refused = |more: &str| read(&format!("{text}\n{more}")).unwrap().check().unwrap_err();
        assert!(refused("events = []").contains("`events` is empty"));
        assert!(refused("max_attempts = 0").contains("expected at least 1"));
        assert!(read(&format!("{text}\nevents = [\"fails\"]")).is_err());
    }
}
