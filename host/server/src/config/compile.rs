//! Settings of the compiler, a child process with limits of its own.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Size, Span};

/// `[compile]`: what compiling a component may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of compiler settings")]
pub struct CompileSettings {
    /// No bigger component is taken. Default: 64 MiB.
    pub component: Size,
    /// The memory that the child process may have. Default: 2 GiB.
    pub memory: Size,
    /// How long compiling one component may take. Default: 60 s.
    pub timeout: Span,
    /// The program that is run as `PROGRAM compile-component`. Default: the `windlass` program that runs.
    pub program: Option<PathBuf>,
}

impl Default for CompileSettings {
    fn default() -> Self {
        Self {
            component: Size::from_mib(64),
            memory: Size::from_mib(2048),
            timeout: Span::from_secs(60),
            program: None,
        }
    }
}
