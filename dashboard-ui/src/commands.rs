//! What stands on the clipboard after "copy as": the same job asked for from a shell.

use windlass_api::{JobRequest, RetryPolicy};

/// A command line of `windlass enqueue`.
#[must_use]
pub fn command_line(request: &JobRequest, url: &str) -> String {
    let mut words = vec!["windlass enqueue".to_owned(), quoted(&request.handler.to_string())];
    // After `--` for a payload such as -5, and last for whoever edits it.
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name} {}", quoted(&value)));
        }
    };
    option("url", Some(url.to_owned()));
    option("queue", request.queue.as_ref().map(ToString::to_string));
    option("priority", request.priority.map(|priority| priority.to_string()));
    option("max-attempts", request.max_attempts.map(|attempts| attempts.to_string()));
    option("retry", request.retry.as_ref().map(retry));
    option("timeout", request.timeout_ms.map(|timeout| format!("{timeout}ms")));
    option("delay", request.delay_ms.map(|delay| format!("{delay}ms")));
    option("at", request.run_at.map(|at| at.to_string()));
    for tag in &request.tags {
        option("tag", Some(tag.clone()));
    }
    for (key, value) in &request.headers {
        option("header", Some(format!("{key}={value}")));
    }
    option("limit-key", request.limit_key.as_ref().map(ToString::to_string));
    for parent in request.after.iter().flat_map(|after| &after.jobs) {
        option("after", Some(parent.to_string()));
    }
    option("on", request.after.as_ref().map(|after| after.on.to_string()).filter(|on| on != "success"));
    if let Some(unique) = &request.unique {
        option("unique-key", unique.key.clone());
        for field in &unique.fields {
            option("unique-field", Some(field.clone()));
        }
        option("unique-for", unique.period_ms.map(|period| format!("{period}ms")));
        option("on-conflict", Some(unique.on_conflict.to_string()).filter(|what| what != "reject"));
        if unique.key.is_none() && unique.fields.is_empty() {
            words.push("--unique".to_owned());
        }
    }
    if request.wait_for_handler {
        words.push("--wait-for-handler".to_owned());
    }
    words.push(format!("-- {}", quoted(request.payload.as_str())));
    words.join(" ")
}

fn retry(policy: &RetryPolicy) -> String {
    match policy {
        RetryPolicy::Fixed { delay_ms } => format!("fixed:{delay_ms}ms"),
        RetryPolicy::Linear { delay_ms } => format!("linear:{delay_ms}ms"),
        RetryPolicy::Exponential { base_ms, max_ms } => format!("exponential:{base_ms}ms,{max_ms}ms"),
        RetryPolicy::Delays { delays_ms } => {
            let delays: Vec<_> = delays_ms.iter().map(|delay| format!("{delay}ms")).collect();
            format!("delays:{}", delays.join(","))
        }
    }
}

/// A command line of curl.
#[must_use]
pub fn curl(request: &JobRequest, url: &str) -> String {
    // Plain data is always written.
    let json = serde_json::to_string(request).unwrap_or_default();
    let endpoint = format!("{}/api/v1/jobs", url.trim_end_matches('/'));
    format!("curl --json {} {}", quoted(&json), quoted(&endpoint))
}

/// A word of a POSIX shell that stands for exactly this text; plain words as they are.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=%@+".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use windlass_api::Json;

    use super::*;

    #[test]
    fn a_shell_reads_back_every_text() {
        for text in ["plain", "", "it's", "$(touch x) `y` \\ \"", "line\nbreak", "~", "*", "'''"] {
            let output = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(text))).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn big_numbers_are_copied_as_they_are() {
        let payload = Json::from_text(r#"{"n":123456789012345678901}"#.to_owned()).unwrap();
        let mut request = JobRequest::new("a/b".parse().unwrap(), payload);
        assert_eq!(
            curl(&request, "http://localhost:7878/"),
            r#"curl --json '{"handler":"a/b","payload":{"n":123456789012345678901}}' http://localhost:7878/api/v1/jobs"#
        );
        request.tags = vec!["with space".to_owned()];
        request.retry = Some(RetryPolicy::Fixed { delay_ms: 1_000 });
        assert_eq!(
            command_line(&request, "http://localhost:7878"),
            "windlass enqueue a/b --url http://localhost:7878 --retry fixed:1000ms --tag 'with space' -- \
             '{\"n\":123456789012345678901}'"
        );
    }
}
