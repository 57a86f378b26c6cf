//! How much a log line matters.

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every step, for the author alone.
    Trace,
    /// What helps to understand a failure.
    Debug,
    /// What normally happens.
    Info,
    /// What should not happen and was dealt with.
    Warn,
    /// What failed.
    Error,
}
