//! The tokens that the operator has declared. Only their SHA-256 is known here.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use windlass_api::Timestamp;

use super::{Caller, is_over};
use crate::config::{AccessSettings, TokenSettings};

/// What every token begins with, so that one that lies about is recognised, by scanners too.
pub(crate) const PREFIX: &str = "wl_";

#[derive(Debug)]
pub(super) struct Tokens(Vec<TokenSettings>);

impl Tokens {
    pub(super) fn new(settings: &AccessSettings) -> Self {
        Self(settings.tokens.clone())
    }

    /// Whose token it is, unless it has expired. How long that takes tells nothing of the tokens that there are.
    pub(super) fn find(&self, token: &str, now: Timestamp) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for known in &self.0 {
            // All of them, whichever it is.
            if bool::from(known.sha256.0.ct_eq(&digest)) {
                found = Some(known);
            }
        }
        caller(found.filter(|_| token.starts_with(PREFIX))?, now)
    }

    /// The same by its name, for a session that began with it.
    pub(super) fn named(&self, name: &str, now: Timestamp) -> Option<Caller> {
        caller(self.0.iter().find(|known| known.name == name)?, now)
    }
}

fn caller(known: &TokenSettings, now: Timestamp) -> Option<Caller> {
    let is_good = !is_over(known.expires, now);
    is_good.then(|| Caller::new(known.role, &known.name, known.expires))
}
