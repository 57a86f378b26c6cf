//! How an event is signed: as Standard Webhooks has it, so that its libraries check it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What a secret begins with, so that one is recognised where it should not be.
const PREFIX: &str = "whsec_";

/// How long a key is, in bytes: less could be guessed, more is a mistake.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What events are signed with. It is shown nowhere.
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Reads a secret; an error does not repeat it.
    pub(super) fn read(secret: &str) -> Result<Self, &'static str> {
        let key = secret.trim().strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        key.filter(|key| KEY_BYTES.contains(&key.len())).map(Self).ok_or(
            "it is not `whsec_` and 24 to 64 bytes in base64: make one with `echo \"whsec_$(openssl rand -base64 32)\"`",
        )
    }

    /// The signature of what is sent, as its header has it. `seconds` is when it is sent.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            // HMAC takes keys of any length.
            return String::new();
        };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_the_specification_shows() {
        // The example of the specification of Standard Webhooks.
        let key = Key::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_could_be_guessed_or_is_none_is_refused() {
        for secret in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64"] {
            assert!(Key::read(secret).is_err_and(|error| error.contains("openssl")), "{secret}");
        }
        let long = format!("{PREFIX}{}", STANDARD.encode([7; 65]));
        assert!(Key::read(&long).is_err());
    }
}
