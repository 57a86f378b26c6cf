//! What is wrong with how a storage is set up.

use serde::Serialize;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, but may lose what was promised, or be slow.
    Warning,
    /// It does not work.
    Error,
}

/// Something about a storage that its operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, in one sentence.
    pub what: String,
    /// What to do about it, in one sentence; empty where there is nothing to do.
    pub mend: String,
}
