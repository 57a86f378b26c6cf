//! Why a component is not taken: what was wrong, and what was expected.

use std::time::Duration;

use crate::RunFailure;

/// A component that was refused. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no WebAssembly.
    #[error("this is not WebAssembly: expected a component, a binary file that begins with `\\0asm`")]
    NotWasm,
    /// The bytes are the text format.
    #[error("this is WebAssembly text: expected a component in the binary format, as `wasm-tools parse` makes it")]
    WasmText,
    /// The bytes are a core module.
    #[error(
        "this is a core module: expected a component, as `--target wasm32-wasip2` or `wasm-tools component new` makes it"
    )]
    CoreModule,
    /// The bytes are machine code that some wasmtime compiled earlier.
    #[error("this is a precompiled artifact, which the host never loads: expected the component that it was made from")]
    Precompiled,
    /// It is over the size limit.
    #[error("the component is {bytes} bytes long: expected at most {limit}")]
    TooLarge {
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        limit: u64,
    },
    /// It is no valid component, or uses a proposal that the host leaves out.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// It needs something that the host does not have.
    #[error(
        "the component imports `{name}`, which this host does not offer ({reason}): expected `windlass:job@0.1`, {offered} only"
    )]
    UnknownImport {
        /// The import.
        name: String,
        /// What exactly does not fit.
        reason: String,
        /// What there is besides the contract.
        offered: &'static str,
    },
    /// It has no handlers.
    #[error(
        "the component exports neither `windlass:job/handlers@0.1` nor `windlass:job/async-handlers@0.1`: expected one of them or both; it exports {0}"
    )]
    NoHandlers(String),
    /// It exports a handler interface of another shape.
    #[error("the component's handlers do not fit the contract `windlass:job@0.1`: {0}")]
    WrongShape(String),
    /// It needs more of the engine than one run may have.
    #[error("the component needs too much: {0}")]
    TooDemanding(String),
    /// Compiling took too long.
    #[error("compiling the component took longer than {} s", .0.as_secs_f64())]
    CompileTimeout(Duration),
    /// Compiling needed too much memory or processor time, or crashed the compiler.
    #[error("compiling the component failed: {0}")]
    CompileCrashed(String),
    /// `describe` did not return.
    #[error("the component's `describe` failed: {0}")]
    DescribeFailed(RunFailure),
    /// What `describe` returned breaks the rules.
    #[error("the component describes itself wrongly: {0}")]
    BadManifest(String),
    /// The host itself could not do its part; another try may help.
    #[error("failed to {0}")]
    Host(String),
}

impl Refusal {
    /// Whether the host is to blame rather than the component.
    #[must_use]
    pub fn is_host_failure(&self) -> bool {
        matches!(self, Self::Host(_))
    }
}
