//! Numbers, spans and instants for people; and text of guests made harmless for a terminal.

use windlass_api::{Failure, Timestamp, Usage};

/// A span: `350 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(ms: u64) -> String {
    let two = |count: u64, unit: &str, rest: u64, rest_unit: &str| match rest {
        0 => format!("{count} {unit}"),
        rest => format!("{count} {unit} {rest} {rest_unit}"),
    };
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if ms < 1_000 => format!("{ms} ms"),
        () if seconds < 60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        () if minutes < 60 => two(minutes, "min", seconds % 60, "s"),
        () if hours < 24 => two(hours, "h", minutes % 60, "min"),
        () => two(days, "d", hours % 24, "h"),
    }
}

/// A span given in microseconds, `12 µs` being the shortest that a run takes.
pub(super) fn micros(us: u64) -> String {
    if us < 1_000 { format!("{us} µs") } else { span(us / 1_000) }
}

/// How far an instant is from now: `12 s ago`, `in 5 min`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    // The smaller unit would only distract at this distance.
    let rough = |ms: u64| span(if ms < 60_000 { ms / 1_000 * 1_000 } else { ms }).replace(".0 s", " s");
    match (now.ms_since(at), at.ms_since(now)) {
        (before, after) if before < 1_000 && after < 1_000 => "now".to_owned(),
        (0, after) => format!("in {}", rough(after)),
        (before, _) => format!("{} ago", rough(before)),
    }
}

/// Now, by this machine's clock.
pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// A size: `1.5 MiB`.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a run used, in one line.
pub(super) fn usage(usage: &Usage) -> String {
    let used = [
        format!("last run: {}", micros(usage.wall_us)),
        format!("{} fuel", count(usage.fuel)),
        format!("{} memory at most", size(usage.peak_memory_bytes)),
    ];
    let moved = [(usage.log_bytes, "logged"), (usage.sent_bytes, "sent"), (usage.received_bytes, "received")];
    let moved = moved.iter().filter(|(bytes, _)| *bytes > 0).map(|(bytes, what)| format!("{} {what}", size(*bytes)));
    used.into_iter().chain(moved).collect::<Vec<_>>().join(", ")
}

/// Why a run did not succeed, in a line or more.
pub(super) fn failure(failure: &Failure) -> String {
    let code = failure.code.as_deref().map(|code| format!(" ({})", one_line(code, 100))).unwrap_or_default();
    let mut text = format!("{}{code}: {}", failure.cause, harmless(&failure.message));
    if let Some(details) = &failure.details {
        text += &format!("\n{}", harmless(details.as_str()));
    }
    if let Some(backtrace) = &failure.backtrace {
        text += &format!("\n{}", harmless(backtrace.trim_end()));
    }
    text
}

/// Text of a guest or another stranger, for a terminal: control characters, which could move the cursor or change what
/// was printed before, are shown instead of obeyed. Line breaks and tabs stay.
pub(super) fn harmless(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        // These reverse the direction of what follows.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => letter.escape_unicode().to_string(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

/// The same in one line, cut after so many characters.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    let line = harmless(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    let cut: String = line.chars().take(longest.saturating_sub(1)).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_two_units_at_most() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (59_999, "59.9 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (86_400_000, "1 d"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(ms), expected);
        }
        assert_eq!(micros(12), "12 µs");
    }

    #[test]
    fn instants_are_shown_by_their_distance() {
        let now = Timestamp(10_000_000);
        assert_eq!(relative(Timestamp(10_000_500), now), "now");
        assert_eq!(relative(Timestamp(9_988_000), now), "12 s ago");
        assert_eq!(relative(Timestamp(10_300_000), now), "in 5 min");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\u{202e}c"), "a\\u{1b}[2Jb\\r\n\\u{202e}c");
        assert_eq!(one_line("a\n b\tc", 10), "a b c");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }
}
