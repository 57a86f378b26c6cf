//! Who somebody is to a registry: as the environment says, or as docker and its like keep it.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// The variable with the name of a user.
pub(super) const USERNAME_VARIABLE: &str = "WINDLASS_REGISTRY_USERNAME";

/// The variable with the user's password or token.
pub(super) const PASSWORD_VARIABLE: &str = "WINDLASS_REGISTRY_PASSWORD";

/// A user's name and password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    pub(super) fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// As a header says it.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What docker keeps, as far as it is needed here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Kept {
    auths: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `USER:PASSWORD` in base64.
    auth: String,
}

/// What a registry is told.
///
/// # Errors
/// Where one variable is set without the other, or docker's file cannot be read; the text says what to do.
pub(super) fn of(registry: &str) -> anyhow::Result<Option<Credentials>> {
    let variable = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    match (variable(USERNAME_VARIABLE), variable(PASSWORD_VARIABLE)) {
        (Some(user), Some(password)) => return Ok(Some(Credentials::new(user, password))),
        (Some(_), None) => bail!("{USERNAME_VARIABLE} is set without {PASSWORD_VARIABLE}: set both, or none"),
        (None, Some(_)) => bail!("{PASSWORD_VARIABLE} is set without {USERNAME_VARIABLE}: set both, or none"),
        (None, None) => {}
    }
    let folder = variable("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")));
    match folder {
        Some(folder) => kept(&folder.join("config.json"), registry),
        None => Ok(None),
    }
}

/// What docker's file says of a registry.
fn kept(file: &Path, registry: &str) -> anyhow::Result<Option<Credentials>> {
    let shown = file.display();
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("failed to read docker's credentials in {shown}")),
    };
    let kept: Kept = serde_json::from_slice(&text)
        .map_err(|_| anyhow::anyhow!("docker's credentials in {shown} are not as docker writes them: log in anew"))?;
    let entry = kept.auths.iter().find(|(name, entry)| is_for(name, registry) && !entry.auth.is_empty());
    let Some((_, entry)) = entry else { return Ok(None) };
    let user = STANDARD.decode(&entry.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match user.as_deref().and_then(|user| user.split_once(':')) {
        Some((user, password)) => Ok(Some(Credentials::new(user, password))),
        None => bail!("docker's credentials for {registry} in {shown} cannot be read: log in anew"),
    }
}

/// Whether an entry, which may be a URL, is for a registry.
fn is_for(name: &str, registry: &str) -> bool {
    let host = name.trim_start_matches("https://").trim_start_matches("http://").split('/').next();
    // Docker's own has another name in there than the one that everybody knows.
    host == Some(if registry == "docker.io" { "index.docker.io" } else { registry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_entry_for_the_registry_is_taken_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let entry = STANDARD.encode("ann:pass:word");
        let text = format!(
            r#"{{"auths":{{"ghcr.io":{{"auth":"{entry}"}},"https://index.docker.io/v1/":{{"auth":"{entry}"}},"empty.io":{{}}}},"credsStore":"x"}}"#
        );
        fs::write(&file, text).unwrap();
        for registry in ["ghcr.io", "docker.io"] {
            assert_eq!(kept(&file, registry).unwrap(), Some(Credentials::new("ann", "pass:word")), "{registry}");
        }
        for registry in ["empty.io", "evil.ghcr.io", "io"] {
            assert_eq!(kept(&file, registry).unwrap(), None, "{registry}");
        }
        assert_eq!(kept(&folder.path().join("none"), "ghcr.io").unwrap(), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        for text in ["hunter2", r#"{"auths":{"ghcr.io":{"auth":"hunter2"}}}"#] {
            fs::write(&file, text).unwrap();
            let error = format!("{:#}", kept(&file, "ghcr.io").unwrap_err());
            assert!(error.contains("log in anew") && !error.contains("hunter2"), "{error}");
        }
    }
}
