//! Instants as people write them: `2026-11-23T15:00:00Z`, `2026-11-23` for its beginning in UTC, or `2h` for so long ago.

use windlass_api::Timestamp;

use super::format;
use crate::config::Span;

/// Reads an instant.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    read(text, format::now())
}

fn read(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    if let Ok(instant) = format!("{text}T00:00:00Z").parse() {
        return Ok(instant);
    }
    let span = text.strip_suffix("ago").unwrap_or(text).trim();
    match span.parse::<Span>() {
        Ok(span) => Ok(Timestamp(now.0.saturating_sub(i64::try_from(span.as_ms()).unwrap_or(i64::MAX)))),
        Err(_) => Err(format!(
            "`{text}` is no instant: expected one such as 2026-11-23T15:00:00Z, a day such as 2026-11-23, or how long ago \
             it was, such as 2h or \"1d 12h\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_days_and_spans_are_read() {
        let now: Timestamp = "2026-11-23T15:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-23T16:49:53.12+01:00", "2026-11-23T15:49:53.120Z"),
            ("2026-11-20", "2026-11-20T00:00:00.000Z"),
            ("2h", "2026-11-23T13:00:00.000Z"),
            ("1d 12h ago", "2026-11-22T03:00:00.000Z"),
            ("0s", "2026-11-23T15:00:00.000Z"),
        ] {
            assert_eq!(read(text, now).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused_with_what_is() {
        for text in ["yesterday", "", "5", "2026-13-01", "-2h"] {
            assert!(read(text, Timestamp(0)).unwrap_err().contains("how long ago"), "{text}");
        }
    }
}
