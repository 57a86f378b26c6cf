//! What the operator sets: read from `windlass.toml`, then from `WINDLASS_*`, then from flags, and checked as a whole.
//!
//! Each file here holds one concern with its defaults. Nothing here acts on a setting.

mod access;
mod command;
mod compile;
mod grants;
mod keys;
mod limits;
mod load;
mod meant;
mod paths;
mod proxy;
mod queues;
mod retention;
mod sandboxes;
mod settings;
mod signatures;
mod sources;
mod sqlite;
mod telemetry;
mod tls;
mod values;
mod webhooks;

pub(crate) use self::{access::check_name, keys::schema, sources::variable, telemetry::Destination};
pub use self::{
    access::{AccessSettings, TokenSettings},
    compile::CompileSettings,
    grants::{DirectorySettings, ModuleSettings, SecretSource},
    limits::{Bounded, LimitSettings, MaxLimitSettings, RunBounds},
    load::{ConfigError, Overrides, load, unknown_variables},
    proxy::{Network, ProxySettings},
    retention::RetentionSettings,
    sandboxes::{Sandbox, Sandboxes},
    settings::{ConcurrencyMode, Settings},
    signatures::{SignatureSettings, TrustedKey},
    sqlite::{SqliteSettings, Synchronous},
    telemetry::TelemetrySettings,
    tls::TlsSettings,
    values::{Size, Span},
    webhooks::{WebhookEvent, WebhookSettings},
};
