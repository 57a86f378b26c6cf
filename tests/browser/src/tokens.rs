//! Tokens, one for each role, and the settings of a host that knows them.

use anyhow::{Context, Result};
use serde_json::Value;
use windlass_api::{Role, Timestamp};
use windlass_tests::{Site, run};

/// Tokens, one for each role.
#[derive(Clone, Debug)]
pub struct Tokens {
    tokens: Vec<(Role, String)>,
    /// The file of the host's settings.
    pub config: String,
}

impl Tokens {
    /// Makes them, for good.
    ///
    /// # Errors
    /// Where they cannot be made, or the settings cannot be written.
    pub fn new(site: &Site) -> Result<Self> {
        Self::until(site, None)
    }

    /// Makes them; they expire at that instant.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn until(site: &Site, expires: Option<Timestamp>) -> Result<Self> {
        let expires = expires.map(|at| format!("expires = \"{at}\"\n")).unwrap_or_default();
        let (mut tokens, mut settings) = (Vec::new(), String::new());
        for &role in Role::ALL {
            let name = format!("the-{role}");
            let made: Value = run(&["token", "new", "--role", role.as_str(), "--name", &name, "--json"], "")?.json()?;
            let part = |key: &str| made[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {made}"));
            let sha256 = part("sha256")?;
            settings +=
                &format!("[[access.tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n{expires}");
            tokens.push((role, part("token")?));
        }
        let file = site.write("windlass.toml", settings)?;
        Ok(Self { tokens, config: file.to_string_lossy().into_owned() })
    }

    /// That of a role.
    ///
    /// # Errors
    /// Where there is none.
    pub fn of(&self, role: Role) -> Result<&str> {
        let found = self.tokens.iter().find(|(other, _)| *other == role);
        found.map(|(_, token)| token.as_str()).context("no such token")
    }
}
