//! What a module may reach and take, as its host's settings have it.

use serde::{Deserialize, Serialize};

/// What a host grants to a module, and what a run of it gets. Of environment variables, of what `config.get` gives and of secrets only
/// the names are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModuleGrants {
    /// The hosts that it may send HTTP requests to, as patterns.
    pub http: Vec<String>,
    /// Whether these may have private, loopback or link-local addresses.
    pub private_networks: bool,
    /// The folders that it may use.
    pub directories: Vec<GrantedDirectory>,
    /// The names of its environment variables.
    pub environment: Vec<String>,
    /// The names of what `config.get` gives it.
    pub config: Vec<String>,
    /// The names of what `config.secret` gives it.
    pub secrets: Vec<String>,
    /// What a run of it may take.
    pub limits: RunLimits,
}

/// A folder that a module may use. Where it is on the host is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrantedDirectory {
    /// Its path as the module sees it.
    pub guest: String,
    /// Whether the module may change what is in it.
    pub write: bool,
}

/// What a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunLimits {
    /// How many instructions, roughly.
    pub fuel: LimitRange,
    /// How long.
    pub timeout_ms: LimitRange,
    /// How much memory.
    pub memory_bytes: LimitRange,
    /// How much it may log.
    pub log_bytes: u64,
    /// How many jobs it may enqueue.
    pub follow_ups: u32,
    /// How long its result may be.
    pub result_bytes: u64,
}

/// What a run gets of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitRange {
    /// Where neither its handler nor its job asks for anything.
    pub default: u64,
    /// Whatever these ask for.
    pub max: u64,
}
