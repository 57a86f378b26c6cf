//! What was found.

use serde::Serialize;
use windlass_jobs::storage::{Finding, Severity};

use super::super::format;

/// Everything that was looked at.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// How many errors there are.
    pub(super) errors: usize,
    /// How many warnings there are.
    pub(super) warnings: usize,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    /// What was looked at.
    about: String,
    level: Level,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mend: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Ok,
    Note,
    Warning,
    Error,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Report {
    pub(super) fn ok(&mut self, about: &str, what: impl Into<String>) {
        self.add(about, Level::Ok, what.into(), "");
    }

    pub(super) fn note(&mut self, about: &str, what: impl Into<String>, mend: &str) {
        self.add(about, Level::Note, what.into(), mend);
    }

    pub(super) fn warning(&mut self, about: &str, what: impl Into<String>, mend: &str) {
        self.warnings += 1;
        self.add(about, Level::Warning, what.into(), mend);
    }

    pub(super) fn error(&mut self, about: &str, what: impl Into<String>, mend: &str) {
        self.errors += 1;
        self.add(about, Level::Error, what.into(), mend);
    }

    /// What the storage says of itself.
    pub(super) fn finding(&mut self, about: &str, finding: Finding) {
        let Finding { severity, what, mend } = finding;
        match severity {
            Severity::Note => self.note(about, what, &mend),
            Severity::Warning => self.warning(about, what, &mend),
            Severity::Error => self.error(about, what, &mend),
        }
    }

    fn add(&mut self, about: &str, level: Level, what: String, mend: &str) {
        self.items.push(Item { about: about.to_owned(), level, what, mend: mend.to_owned() });
    }

    /// For people: a line for each, and what to do below it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Item { about, level, what, mend } in &self.items {
            text += &format!("{:8}{about}: {}\n", level.word(), indented(what));
            if !mend.is_empty() {
                text += &format!("{:8}→ {}\n", "", indented(mend));
            }
        }
        text += "\n";
        text += &match (self.errors, self.warnings) {
            (0, 0) => "nothing wrong was found".to_owned(),
            (errors, warnings) => format!("{}, {}", number(errors, "error"), number(warnings, "warning")),
        };
        text
    }
}

/// Text of other programs, on lines of their own below the first.
fn indented(text: &str) -> String {
    format::harmless(text.trim_end()).replace('\n', "\n        ")
}

fn number(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_how_to_mend_what_is_wrong() {
        let mut report = Report::default();
        report.ok("settings", "they can be read");
        report.finding(
            "storage",
            Finding {
                severity: Severity::Warning,
                what: "Redis may drop jobs".to_owned(),
                mend: "set maxmemory-policy to noeviction".to_owned(),
            },
        );
        report.error("modules", "there is no folder `x`", "make it");
        assert_eq!((report.errors, report.warnings), (1, 1));
        insta::assert_snapshot!(report.text(), @r"
        ok      settings: they can be read
        warning storage: Redis may drop jobs
                → set maxmemory-policy to noeviction
        error   modules: there is no folder `x`
                → make it

        1 error, 1 warning
        ");
        insta::assert_snapshot!(serde_json::to_string(&report).unwrap(), @r#"{"errors":1,"warnings":1,"items":[{"about":"settings","level":"ok","what":"they can be read"},{"about":"storage","level":"warning","what":"Redis may drop jobs","mend":"set maxmemory-policy to noeviction"},{"about":"modules","level":"error","what":"there is no folder `x`","mend":"make it"}]}"#);
    }
}
