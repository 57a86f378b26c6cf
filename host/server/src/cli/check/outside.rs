//! Programs elsewhere that the host is to tell something. Nothing is sent to them.

use super::report::Report;
use crate::{config::Settings, outbound, webhooks};

pub(super) fn look(settings: &Settings, report: &mut Report) {
    for webhook in &settings.webhooks {
        let (about, receiver) = ("webhooks", webhook.receiver());
        match webhooks::check(webhook) {
            Ok(()) => report.ok(about, format!("{receiver} is told, signed by a secret that can be used")),
            Err(error) => report.error(about, format!("{error:#}"), "correct it: the host would not start"),
        }
        if webhook.url.scheme() == "http" && !outbound::is_loopback(&webhook.url) {
            let what = format!("what {receiver} is told travels as it is: nobody can change it, but many may read it");
            report.note(about, what, "use https where the network is not your own");
        }
    }
    match settings.telemetry.destination() {
        Ok(Some(there)) => {
            let receiver = there.traces.host_str().unwrap_or_default();
            report.ok("telemetry", format!("traces and metrics are sent to {receiver}"));
        }
        Ok(None) => {}
        Err(error) => report.error("telemetry", error, "correct it: the host would not start"),
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    #[test]
    fn each_webhook_that_could_not_be_signed_or_is_open_to_readers_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("good");
        std::fs::write(&good, format!("whsec_{}", STANDARD.encode([1; 32]))).unwrap();
        let weak = folder.path().join("weak");
        std::fs::write(&weak, "hunter2").unwrap();
        let webhook = |url: &str, file: &std::path::Path| {
            toml::from_str(&format!("url = \"{url}\"\nsecret = {{ file = {:?} }}", file.display().to_string())).unwrap()
        };
        let webhooks = vec![
            webhook("https://good.example/hook", &good),
            webhook("https://weak.example/hook", &weak),
            webhook("http://open.example/hook", &good),
            webhook("http://127.0.0.1:9/hook", &folder.path().join("missing")),
        ];
        let settings = Settings { webhooks, ..Settings::default() };
        let mut report = Report::default();
        look(&settings, &mut report);
        let text = report.text();
        for said in [
            "good.example is told",
            "weak.example",
            "`whsec_`",
            "what open.example is told travels",
            "there is no file",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("hunter2") && report.errors == 2, "{text}");
    }
}
