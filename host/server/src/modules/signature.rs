//! Whether somebody whom the operator trusts has signed a component. It is looked at before anything else is done with it.

use minisign_verify::Signature;

use super::DeployError;
use crate::config::{SignatureSettings, TrustedKey};

/// No signature of minisign is as long, in bytes: two lines of comments and two of base64.
pub(crate) const MAX_SIGNATURE_BYTES: usize = 4 << 10;

/// The keys that count. Where there are none, everything is taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Trusted(Vec<TrustedKey>);

impl Trusted {
    pub(super) fn new(settings: &SignatureSettings) -> Self {
        Self(settings.trusted.clone())
    }

    /// Checks what came with a component: the text of a `.minisig` file.
    pub(super) fn check(&self, bytes: &[u8], signature: Option<&str>) -> Result<(), DeployError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let refused = |why: &str| Err(DeployError::Unsigned(why.to_owned()));
        let Some(signature) = signature else { return refused("it came without a signature") };
        let Ok(signature) = Signature::decode(signature) else {
            return refused("what came with it is not a signature of minisign");
        };
        // Without the old kind, which signs the bytes rather than their digest: minisign itself has not made it for years.
        if self.0.iter().any(|TrustedKey(key)| key.verify(bytes, &signature, false).is_ok()) {
            // What the comment says is signed as well.
            tracing::info!(comment = signature.trusted_comment(), "this component is signed by a key that is trusted");
            return Ok(());
        }
        refused("its signature is not by a key that is trusted here, or not for these bytes")
    }
}

/// Whether somebody has signed it with the key of minisign's own documentation.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_signed(bytes: &[u8], signature: &str) -> bool {
    let key = minisign_verify::PublicKey::from_base64("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
    let trusted = Trusted(key.into_iter().map(TrustedKey).collect());
    assert_eq!(trusted.0.len(), 1, "the key can be read");
    trusted.check(bytes, Some(signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    fn signed(pair: &KeyPair, bytes: &[u8]) -> String {
        minisign::sign(None, &pair.sk, Cursor::new(bytes), None, None).unwrap().into_string()
    }

    fn trusting(pairs: &[&KeyPair]) -> Trusted {
        let keys: Vec<String> = pairs.iter().map(|pair| format!("\"{}\"", pair.pk.to_base64())).collect();
        Trusted::new(&toml::from_str(&format!("trusted = [{}]", keys.join(","))).unwrap())
    }

    #[test]
    fn what_a_trusted_key_has_signed_is_taken_and_nothing_else() {
        let [one, other, stranger] = [(); 3].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let trusted = trusting(&[&one, &other]);
        let bytes = b"a component";
        for pair in [&one, &other] {
            assert!(trusted.check(bytes, Some(&signed(pair, bytes))).is_ok());
        }
        let why = |signature: Option<&str>| trusted.check(bytes, signature).unwrap_err().to_string();
        assert!(why(None).contains("without a signature"));
        assert!(why(Some("")).contains("not a signature of minisign"));
        for wrong in [signed(&stranger, bytes), signed(&one, b"another component")] {
            assert!(why(Some(&wrong)).contains("not by a key that is trusted here"), "{wrong}");
        }
        // Who changes the comment that is signed has changed the signature.
        let changed = signed(&one, bytes).replace("trusted comment: timestamp", "trusted comment: somewhen");
        assert!(trusted.check(bytes, Some(&changed)).is_err());
    }

    #[test]
    fn a_host_that_trusts_nobody_in_particular_takes_everything() {
        let trusted = Trusted::default();
        assert!(trusted.check(b"a", None).is_ok() && trusted.check(b"a", Some("no signature")).is_ok());
    }
}
