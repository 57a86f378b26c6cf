//! `windlass token`: keys to a host that asks for them.

use clap::{Args, Subcommand};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use windlass_api::{Digest, Role, Timestamp};

use super::{Exit, Global, exit::Usage, format, output::say};
use crate::{
    config::{Span, check_name},
    secret,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    New(New),
}

/// Make a token, and print it once together with what belongs into the host's windlass.toml.
///
/// Nothing is stored by this, and no host is asked. The token is known by its SHA-256 alone: whoever loses it makes another.
/// It is revoked by taking its entry out of windlass.toml; the host reads that when it starts.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  windlass token new --role operator --name ci
  windlass token new --role viewer --name prometheus --expires never")]
pub(super) struct New {
    /// What it allows: viewer, operator, deployer or admin, each also all that those before it may.
    #[arg(long)]
    role: Role,
    /// What it is called in the history of jobs.
    #[arg(long, value_parser = name)]
    name: String,
    /// How long it is good, such as `90d`, or `never` for one without an end.
    #[arg(long, value_name = "SPAN", default_value = "365d")]
    expires: String,
}

/// A new token, the only time that it is told.
#[derive(Serialize)]
struct Made {
    token: String,
    name: String,
    role: Role,
    sha256: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

pub(super) fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    let Command::New(New { role, name, expires }) = command;
    let expires = expiry(&expires, format::now()).map_err(Usage)?;
    let token = format!("wl_{}", secret::random()?);
    let sha256 = Digest(Sha256::digest(token.as_bytes()).into());
    let made = Made { token, name, role, sha256, expires };
    global.output().show(&made, text)?;
    if !global.json {
        say("\nThe token is shown this once. Put the lines above into the host's windlass.toml and start it anew.");
    }
    Ok(Exit::Fine)
}

fn text(made: &Made) -> String {
    let expires = made.expires.map_or_else(String::new, |expires| format!("expires = \"{expires}\"\n"));
    // JSON's way of quoting is one of TOML's.
    let name = serde_json::Value::from(made.name.as_str());
    format!(
        "{}\n\n[[access.tokens]]\nname = {name}\nrole = \"{}\"\nsha256 = \"{}\"\n{expires}",
        made.token, made.role, made.sha256
    )
}

fn expiry(text: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    if text == "never" {
        return Ok(None);
    }
    let span: Span = text.parse().map_err(|error| format!("--expires: {error}, or `never`"))?;
    Ok(Some(now.plus_ms(span.as_ms())))
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AccessSettings;

    fn made(name: &str, expires: Option<Timestamp>) -> Made {
        Made { token: "wl_0".to_owned(), name: name.to_owned(), role: Role::Operator, sha256: Digest([1; 32]), expires }
    }

    #[derive(serde::Deserialize)]
    struct File {
        access: AccessSettings,
    }

    #[test]
    fn what_is_printed_is_what_the_settings_take() {
        for (name, expires) in [("ci", None), ("a \"quoted\" name \\ ü", Some(Timestamp(1_800_000_000_000)))] {
            let printed = text(&made(name, expires));
            let (token, toml) = printed.split_once("\n\n").unwrap();
            assert_eq!(token, "wl_0");
            let file: File = toml::from_str(toml).unwrap();
            let known = &file.access.tokens[0];
            assert_eq!((known.name.as_str(), known.role, known.expires), (name, Role::Operator, expires));
            assert_eq!(known.sha256, Digest([1; 32]));
        }
    }

    #[test]
    fn a_token_ends_after_a_span_or_never() {
        assert_eq!(expiry("never", Timestamp(5)), Ok(None));
        assert_eq!(expiry("1s", Timestamp(5)), Ok(Some(Timestamp(1_005))));
        assert!(expiry("soon", Timestamp(5)).unwrap_err().contains("or `never`"));
    }
}
