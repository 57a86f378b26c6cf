//! What the commands that look at the storage itself are given.

use clap::Args;

use super::arguments::Config;
use crate::config::{self, ConfigError, Overrides, Settings};

/// Where the storage is.
#[derive(Args, Debug)]
pub(super) struct StorageArguments {
    #[command(flatten)]
    pub(super) config: Config,
    /// The storage, instead of the one that the settings name.
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
}

impl StorageArguments {
    /// The host's settings, with these laid over them.
    pub(super) fn load(&self) -> Result<Settings, ConfigError> {
        config::load(self.config.config.as_deref(), Overrides::default().with("storage", self.storage.clone()))
    }
}
