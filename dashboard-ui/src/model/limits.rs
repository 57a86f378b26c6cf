//! Limits: in words, and what is typed when one is set.

use windlass_api::{LimitRule, LimitTarget, LimitView, Rate};

use crate::format::{count, span};

/// What a limit is on, as it is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A queue.
    #[default]
    Queue,
    /// A handler.
    Handler,
    /// A key, or with `*` at its end each key that starts so.
    Key,
}

impl Kind {
    /// All of them, with what they are called and what a name of theirs looks like.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Queue, "queue", "mail"),
        (Self::Handler, "handler", "images/thumbnail"),
        (Self::Key, "key", "tenant-7, or tenant-* for each"),
    ];

    /// How it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Handler => "handler",
            Self::Key => "key",
        }
    }
}

/// A span of time, as it is chosen.
pub const PERIODS: [(u64, &str); 4] = [(1_000, "second"), (60_000, "minute"), (3_600_000, "hour"), (86_400_000, "day")];

/// What is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Editing {
    /// What it is on.
    pub kind: Kind,
    /// Of which name.
    pub name: String,
    /// How many may run at once.
    pub concurrency: String,
    /// How many may start …
    pub starts: String,
    /// … in this time, in milliseconds.
    pub period_ms: u64,
}

impl Default for Editing {
    fn default() -> Self {
        Self {
            kind: Kind::Queue,
            name: String::new(),
            concurrency: String::new(),
            starts: String::new(),
            period_ms: 60_000,
        }
    }
}

impl Editing {
    /// What one that is there says.
    #[must_use]
    pub fn of(limit: &LimitView) -> Self {
        let written = limit.target.to_string();
        let (kind, name) = written.split_once(':').unwrap_or_default();
        let kind = Kind::ALL.iter().find(|(known, ..)| known.word() == kind).map_or(Kind::Queue, |(known, ..)| *known);
        Self {
            kind,
            name: name.to_owned(),
            concurrency: limit.rule.concurrency.map(|number| number.to_string()).unwrap_or_default(),
            starts: limit.rule.rate.map(|rate| rate.count.to_string()).unwrap_or_default(),
            period_ms: limit.rule.rate.map_or(60_000, |rate| rate.period_ms),
        }
    }

    /// The limit, and what it is on.
    ///
    /// # Errors
    /// What cannot be sent as it stands, with what was expected.
    pub fn request(&self) -> Result<(LimitTarget, LimitRule), String> {
        let target = format!("{}:{}", self.kind.word(), self.name.trim());
        let target = target.parse::<LimitTarget>().map_err(|error| error.to_string())?;
        let number = |text: &str, name: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<u32>().map(Some).map_err(|_| format!("{name}: expected a whole number, not `{text}`")),
        };
        let rule = LimitRule {
            concurrency: number(&self.concurrency, "at once")?,
            rate: number(&self.starts, "starts")?.map(|count| Rate { count, period_ms: self.period_ms }),
        };
        if rule.concurrency.is_none() && rule.rate.is_none() {
            return Err("say how many may run at once, or how many may start in a time".to_owned());
        }
        rule.check()?;
        Ok((target, rule))
    }
}

/// A limit in words: `5 at once, 100 in 1 min`.
#[must_use]
pub fn words(rule: &LimitRule) -> String {
    let concurrency = rule.concurrency.map(|number| format!("{} at once", count(number.into())));
    let rate = rule.rate.map(|rate| format!("{} in {}", count(rate.count.into()), span(rate.period_ms)));
    concurrency.into_iter().chain(rate).collect::<Vec<_>>().join(", ")
}

/// What it is on, in words: `queue mail`, `each key that starts with tenant-`.
#[must_use]
pub fn target_words(target: &LimitTarget) -> String {
    match target {
        LimitTarget::Queue(name) => format!("queue {name}"),
        LimitTarget::Handler(path) => format!("handler {path}"),
        LimitTarget::Key(key) => format!("key {key}"),
        LimitTarget::Keys(start) if start.is_empty() => "each key".to_owned(),
        LimitTarget::Keys(start) => format!("each key that starts with {start}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editing(kind: Kind, name: &str, concurrency: &str, starts: &str) -> Editing {
        let text = str::to_owned;
        Editing { kind, name: text(name), concurrency: text(concurrency), starts: text(starts), period_ms: 60_000 }
    }

    #[test]
    fn a_limit_reads_back_as_it_was_typed() {
        for typed in [
            editing(Kind::Queue, "mail", "5", ""),
            editing(Kind::Handler, "images/thumbnail", "", "100"),
            editing(Kind::Key, "tenant-*", "1", "2"),
        ] {
            let (target, rule) = typed.request().unwrap();
            let view = LimitView { target, rule, running: 0, held: 0, keys: None };
            assert_eq!(Editing::of(&view), typed);
        }
    }

    #[test]
    fn what_cannot_be_set_is_told_with_what_was_expected() {
        let told = |typed: Editing| typed.request().unwrap_err();
        assert!(told(editing(Kind::Queue, "a b", "1", "")).contains("is not a queue name"));
        assert!(told(editing(Kind::Queue, "mail", "", "")).contains("how many may run at once"));
        assert!(told(editing(Kind::Queue, "mail", "many", "")).starts_with("at once: "));
        assert!(told(editing(Kind::Queue, "mail", "0", "")).contains("`concurrency`"));
        assert!(told(editing(Kind::Key, "", "1", "")).contains("limit key"));
    }

    #[test]
    fn a_limit_is_told_in_words() {
        let rule = LimitRule { concurrency: Some(5), rate: Some(Rate { count: 1_000, period_ms: 60_000 }) };
        assert_eq!(words(&rule), "5 at once, 1,000 in 1 min");
        let target = |text: &str| target_words(&text.parse().unwrap());
        assert_eq!(target("queue:mail"), "queue mail");
        assert_eq!(target("key:tenant-*"), "each key that starts with tenant-");
        assert_eq!(target("key:*"), "each key");
    }
}
