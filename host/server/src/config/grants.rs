//! What the operator grants to one module.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use anyhow::{Context as _, bail};
use schemars::JsonSchema;
use serde::Deserialize;
use windlass_wasm::{DirectoryGrant, Grants, PrivateNetworks};

use super::{LimitSettings, command};

/// A secret is a password or a key; a longer file is a mistake.
pub(super) const MAX_SECRET_BYTES: u64 = 64 << 10;

/// `[module.NAME]`: what a module may reach, and what it is told. Nothing is granted unless it stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of grants to a module")]
pub struct ModuleSettings {
    /// The hosts that it may send HTTP requests to: `example.com`, `*.example.com`, `example.com:8080` or `*`.
    pub http: Vec<String>,
    /// Whether these hosts may have private, loopback or link-local addresses. Default: no.
    pub private_networks: bool,
    /// The folders that it may use.
    pub directories: Vec<DirectorySettings>,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// What `config.get` gives it.
    pub config: BTreeMap<String, String>,
    /// What `config.secret` gives it, by where each secret comes from.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Its limits, where they differ from those for all modules.
    pub limits: Option<LimitSettings>,
}

/// A folder that a module may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(expecting = "a folder such as { host = \"pictures\", guest = \"/pictures\", write = true }")]
pub struct DirectorySettings {
    /// The folder on the host.
    pub host: PathBuf,
    /// Its path as the module sees it.
    pub guest: String,
    /// Whether the module may change what is in it. Default: no.
    #[serde(default)]
    pub write: bool,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    rename_all = "kebab-case",
    expecting = "the source of a secret: { env = \"NAME\" }, { file = \"PATH\" } or { command = [\"PROGRAM\", …] }"
)]
pub enum SecretSource {
    /// An environment variable of the host.
    Env(String),
    /// A file on the host, without its last line break.
    File(PathBuf),
    /// A program on the host and its arguments: what it writes to its standard output, without the white space around it. It is
    /// run once, when the host starts, without a shell, and may take 30 s.
    Command(Vec<String>),
}

impl ModuleSettings {
    /// Reads the secrets and gives what the sandbox needs.
    ///
    /// # Errors
    /// Where a host pattern cannot be read, a folder is not there, or a secret's source cannot be read; the text names it.
    pub fn grants(&self) -> anyhow::Result<Grants> {
        let http =
            self.http.iter().map(|host| host.parse().with_context(|| format!("failed to read `http`: `{host}`")));
        let secrets = self.secrets.iter().map(|(key, source)| {
            let secret = source.read("secrets").with_context(|| format!("failed to read the secret `{key}`"))?;
            Ok((key.clone(), secret))
        });
        Ok(Grants {
            http: http.collect::<anyhow::Result<_>>()?,
            private_networks: if self.private_networks { PrivateNetworks::Granted } else { PrivateNetworks::Refused },
            directories: self.directories.iter().map(DirectorySettings::grant).collect::<anyhow::Result<_>>()?,
            environment: self.environment.clone(),
            config: self.config.clone(),
            secrets: secrets.collect::<anyhow::Result<_>>()?,
        })
    }
}

impl DirectorySettings {
    fn grant(&self) -> anyhow::Result<DirectoryGrant> {
        let host = self.host.display();
        if !self.host.is_dir() {
            bail!("failed to grant the folder `{host}`: there is no such folder; make it, or correct `directories`");
        }
        if !self.guest.starts_with('/') {
            bail!("failed to grant the folder `{host}`: its `guest` path `{}` must begin with `/`", self.guest);
        }
        Ok(DirectoryGrant { host: self.host.clone(), guest: self.guest.clone(), write: self.write })
    }
}

impl SecretSource {
    /// Reads it; an error names the setting that says where it comes from.
    pub(crate) fn read(&self, setting: &str) -> anyhow::Result<String> {
        match self {
            Self::Env(name) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => anyhow::anyhow!(
                    "the environment variable `{name}` is not set: set it where the host is started, or correct `{setting}`"
                ),
                env::VarError::NotUnicode(_) => anyhow::anyhow!("the environment variable `{name}` is not UTF-8"),
            }),
            Self::File(path) => {
                let shown = path.display();
                let length = match fs::metadata(path) {
                    Ok(metadata) => metadata.len(),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        bail!("there is no file `{shown}`: put the secret there, or correct `{setting}`")
                    }
                    Err(error) => return Err(error).with_context(|| format!("the file `{shown}`")),
                };
                if length > MAX_SECRET_BYTES {
                    bail!("the file `{shown}` has {length} bytes, more than {MAX_SECRET_BYTES}");
                }
                let text = fs::read_to_string(path).with_context(|| format!("the file `{shown}`"))?;
                let without_break = text.strip_suffix('\n').unwrap_or(&text);
                Ok(without_break.strip_suffix('\r').unwrap_or(without_break).to_owned())
            }
            Self::Command(command) => command::output(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_loses_its_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "abc\n").unwrap();
        let secrets = [("KEY".to_owned(), SecretSource::File(file))].into();
        let grants = ModuleSettings { secrets, ..ModuleSettings::default() }.grants().unwrap();
        assert_eq!(grants.secrets["KEY"], "abc");
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let secrets = [("KEY".to_owned(), SecretSource::Env("WINDLASS_TEST_NOT_SET".to_owned()))].into();
        let error = ModuleSettings { secrets, ..ModuleSettings::default() }.grants().unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "failed to read the secret `KEY`: the environment variable `WINDLASS_TEST_NOT_SET` is not set: set it where \
             the host is started, or correct `secrets`"
        );
    }

    #[test]
    fn a_secret_whose_command_fails_is_named_with_what_that_said() {
        let command = ["sh", "-c", "echo 'no such entry' >&2; exit 1"].map(str::to_owned).to_vec();
        let secrets = [("KEY".to_owned(), SecretSource::Command(command))].into();
        let error = ModuleSettings { secrets, ..ModuleSettings::default() }.grants().unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "failed to read the secret `KEY`: the command `sh` failed (exit status: 1), and said: no such entry"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let directory = DirectorySettings { host: "no/such/folder".into(), guest: "/x".to_owned(), write: false };
        let error = ModuleSettings { directories: vec![directory], ..ModuleSettings::default() }.grants().unwrap_err();
        assert!(error.to_string().contains("`no/such/folder`"), "{error}");
    }
}
