//! Retry policies as they are written on the command line.

use windlass_api::RetryPolicy;

use crate::config::Span;

const EXPECTED: &str = "expected fixed:1s, linear:1s, exponential:15s,1h (base, longest) or delays:1s,5s,1min";

/// Reads `fixed:1s`, `linear:1s`, `exponential:15s,1h` or `delays:1s,5s`.
pub(super) fn parse(text: &str) -> Result<RetryPolicy, String> {
    let wrong = |problem: String| format!("{problem}; {EXPECTED}");
    let (kind, spans) = text.split_once(':').ok_or_else(|| wrong("there is no `:`".to_owned()))?;
    let spans = spans.split(',').map(|span| span.parse().map(Span::as_ms)).collect::<Result<Vec<_>, String>>();
    match (kind, spans.map_err(wrong)?.as_slice()) {
        ("fixed", &[delay_ms]) => Ok(RetryPolicy::Fixed { delay_ms }),
        ("linear", &[delay_ms]) => Ok(RetryPolicy::Linear { delay_ms }),
        ("exponential", &[base_ms, max_ms]) => Ok(RetryPolicy::Exponential { base_ms, max_ms }),
        ("delays", delays_ms) => Ok(RetryPolicy::Delays { delays_ms: delays_ms.to_vec() }),
        ("fixed" | "linear", spans) => Err(wrong(format!("`{kind}` takes one span, not {}", spans.len()))),
        ("exponential", spans) => Err(wrong(format!("`{kind}` takes two spans, not {}", spans.len()))),
        _ => Err(wrong(format!("there is no policy `{kind}`"))),
    }
}

/// Writes a policy as it is read.
pub(super) fn shown(policy: &RetryPolicy) -> String {
    let span = |ms: u64| Span(std::time::Duration::from_millis(ms)).to_string();
    match policy {
        RetryPolicy::Fixed { delay_ms } => format!("fixed:{}", span(*delay_ms)),
        RetryPolicy::Linear { delay_ms } => format!("linear:{}", span(*delay_ms)),
        RetryPolicy::Exponential { base_ms, max_ms } => format!("exponential:{},{}", span(*base_ms), span(*max_ms)),
        RetryPolicy::Delays { delays_ms } => {
            format!("delays:{}", delays_ms.iter().map(|&ms| span(ms)).collect::<Vec<_>>().join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_written() {
        for (text, policy) in [
            ("fixed:1s", RetryPolicy::Fixed { delay_ms: 1_000 }),
            ("linear:2m", RetryPolicy::Linear { delay_ms: 120_000 }),
            ("exponential:15s,1h", RetryPolicy::default()),
            ("delays:1s,5s,1m", RetryPolicy::Delays { delays_ms: vec![1_000, 5_000, 60_000] }),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&policy));
            assert_eq!(shown(&policy), text);
        }
    }

    #[test]
    fn a_wrong_policy_is_refused_with_what_was_expected() {
        for (text, problem) in [
            ("often", "there is no `:`"),
            ("fixed:1s,2s", "`fixed` takes one span, not 2"),
            ("exponential:1s", "`exponential` takes two spans, not 1"),
            ("random:1s", "there is no policy `random`"),
            ("delays:", "`` is not a span"),
            ("fixed:soon", "`soon` is not a span"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(problem) && error.ends_with(EXPECTED), "{error}");
        }
    }
}
