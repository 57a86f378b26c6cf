//! Who must have signed what is deployed.

use std::fmt;

use minisign_verify::PublicKey;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// `[signatures]`: who must have signed a component before this host takes it. Where a key is named, what is not signed by it or
/// by another of them is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table such as { trusted = [\"RWQ…\"] }")]
pub struct SignatureSettings {
    /// Public keys of minisign: the second line of its `.pub` files. Default: none, and signatures are not looked at.
    #[schemars(with = "Vec<String>")]
    pub trusted: Vec<TrustedKey>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey(pub(crate) PublicKey);

impl<'de> Deserialize<'de> for TrustedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = TrustedKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a public key of minisign, which begins with RW")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TrustedKey, E> {
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                PublicKey::from_base64(text.trim()).map(TrustedKey).map_err(|_| wrong())
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_minisign_writes_and_nothing_else() {
        let read = |key: &str| toml::from_str::<SignatureSettings>(&format!("trusted = [\"{key}\"]"));
        let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
        assert_eq!(read(&key).unwrap().trusted.len(), 1);
        for wrong in ["", "key", &key[1..], "../minisign.pub"] {
            assert!(read(wrong).unwrap_err().to_string().contains("a public key of minisign"), "{wrong}");
        }
    }
}
