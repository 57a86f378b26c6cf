//! What the operator lets a module reach. Nothing, by default.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use crate::HostPattern;

/// The grants of one module. [`Grants::default`] grants nothing.
#[derive(Clone, Default)]
pub struct Grants {
    /// Hosts that it may send HTTP requests to.
    pub http: Vec<HostPattern>,
    /// Addresses that are not public, such as those of the operator's own network, that a granted host may resolve to.
    pub private_networks: PrivateNetworks,
    /// Directories that it may read, or write.
    pub directories: Vec<DirectoryGrant>,
    /// Environment variables that it sees.
    pub environment: BTreeMap<String, String>,
    /// What `config.get` answers.
    pub config: BTreeMap<String, String>,
    /// What `config.secret` answers.
    pub secrets: BTreeMap<String, String>,
}

/// Whether outbound HTTP may go to addresses that are not public.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateNetworks {
    /// Refused, even where the host itself is granted.
    #[default]
    Refused,
    /// Loopback, link-local and private addresses are reachable by every granted host name.
    Granted,
}

/// A directory of the host that a guest sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryGrant {
    /// Where it is.
    pub host: PathBuf,
    /// What the guest calls it, such as `/pictures`.
    pub guest: String,
    /// Whether the guest may change what is in it.
    pub write: bool,
}

impl fmt::Debug for Grants {
    /// Secrets and the environment, which often carries some, appear by name only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("http", &self.http)
            .field("private_networks", &self.private_networks)
            .field("directories", &self.directories)
            .field("environment", &self.environment.keys())
            .field("config", &self.config)
            .field("secrets", &self.secrets.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_names_secrets_without_their_values() {
        let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let grants =
            Grants { secrets: one("token", "hunter2"), environment: one("PASSWORD", "hunter3"), ..Grants::default() };
        let text = format!("{grants:?}");
        assert!(text.contains("token") && text.contains("PASSWORD"), "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }
}
