//! Who may use the API.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use windlass_api::{Digest, Role, Timestamp};

use super::ProxySettings;

/// `[access]`: who may use the API. Where there is a token, everybody needs one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of access settings")]
pub struct AccessSettings {
    /// The tokens that are good; `windlass token new` makes one and prints what belongs here. Default: none.
    pub tokens: Vec<TokenSettings>,
    /// Whether the host starts only with a token, on loopback too: for one behind a proxy, so that taking the last token away does
    /// not open it. Default: false.
    pub required: bool,
    /// Whether the API only tells and changes nothing; jobs are run all the same. Default: no.
    pub read_only: bool,
    /// By what names a host with `insecure_listen` is called, besides addresses, names without a dot, and those under `localhost`,
    /// `local`, `internal` and `home.arpa`: a web page could give any other name this host's address, and so have a browser
    /// within the network read and command it. Default: none.
    pub hosts: Vec<String>,
    /// A proxy that signs people in. Default: none.
    pub proxy: Option<ProxySettings>,
}

/// `[[access.tokens]]`: one token. The token itself stands nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(expecting = "a token: { name = \"…\", role = \"viewer\", sha256 = \"…\" }")]
pub struct TokenSettings {
    /// What it is called in the history of jobs and in logs; no two have the same name.
    pub name: String,
    /// What it allows: `viewer`, `operator`, `deployer` or `admin`.
    #[schemars(with = "String")]
    pub role: Role,
    /// The SHA-256 of the token, as 64 hexadecimal digits.
    #[serde(deserialize_with = "sha256")]
    #[schemars(with = "String")]
    pub sha256: Digest,
    /// When it is good no longer, such as `2027-11-23T00:00:00Z`. Default: never.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
}

/// No name is longer, in bytes.
const MAX_NAME_BYTES: usize = 100;

impl AccessSettings {
    /// Whether everybody is asked who they are.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.tokens.is_empty() || self.proxy.is_some()
    }

    /// Checks what no single key shows.
    pub(super) fn check(&self) -> Result<(), String> {
        self.proxy.as_ref().map_or(Ok(()), ProxySettings::check)?;
        for (at, token) in self.tokens.iter().enumerate() {
            check_name(&token.name).map_err(|problem| format!("in [[access.tokens]], `name`: {problem}"))?;
            for earlier in self.tokens.iter().take(at) {
                if earlier.name == token.name {
                    return Err(format!("in [[access.tokens]], two are named `{}`: rename one of them", token.name));
                }
                if earlier.sha256 == token.sha256 {
                    let (one, other) = (&earlier.name, &token.name);
                    return Err(format!(
                        "in [[access.tokens]], `{one}` and `{other}` are the same token: make one of them anew with \
                         `windlass token new`"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether it may be the name of a token.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!("expected 1 to {MAX_NAME_BYTES} bytes without control characters, not {name:?}"));
    }
    Ok(())
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = Digest;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the 64 hexadecimal digits that `windlass token new` printed, not the token itself")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
            // What was given is not shown: it may be the token.
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Other("other text"), &self))
        }
    }

    deserializer.deserialize_str(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, digit: u8) -> TokenSettings {
        TokenSettings { name: name.to_owned(), role: Role::Viewer, sha256: Digest([digit; 32]), expires: None }
    }

    fn refusal(tokens: Vec<TokenSettings>) -> String {
        AccessSettings { tokens, ..AccessSettings::default() }.check().unwrap_err()
    }

    #[test]
    fn tokens_that_cannot_be_told_apart_are_refused() {
        let tokens = vec![token("a", 1), token("b", 2)];
        assert_eq!(AccessSettings { tokens, required: true, ..AccessSettings::default() }.check(), Ok(()));
        assert!(refusal(vec![token("a", 1), token("a", 2)]).contains("two are named `a`"));
        assert!(refusal(vec![token("a", 1), token("b", 1)]).contains("`a` and `b` are the same token"));
        assert!(refusal(vec![token("", 1)]).contains("expected 1 to 100 bytes"));
        assert!(refusal(vec![token("a\nb", 1)]).contains("control characters"));
    }

    #[test]
    fn a_token_in_the_place_of_its_digest_is_not_repeated() {
        let text = format!("[[tokens]]\nname = \"a\"\nrole = \"viewer\"\nsha256 = \"wl_{}\"", "7".repeat(64));
        let error = toml::from_str::<AccessSettings>(&text).unwrap_err();
        assert!(error.message().contains("not the token itself") && !error.message().contains("777"), "{error}");
    }
}
