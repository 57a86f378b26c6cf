//! Who calls, and whether they may: tokens, the sessions of browsers, and the one table of routes and roles.

mod caller;
#[cfg(test)]
mod documented;
mod failures;
mod proxy;
mod sessions;
mod table;
mod tokens;

use std::{net::IpAddr, time::Duration};

use axum::http::{HeaderMap, header};
use windlass_api::{ProblemCode, Timestamp};
use windlass_jobs::{Clock as _, SystemClock};

pub(super) use self::{
    caller::Caller,
    table::{Need, Rule, TABLE, methods, rule},
};
use self::{
    failures::Failures,
    proxy::Proxy,
    sessions::{SessionEnd, Sessions},
    tokens::Tokens,
};
use super::error::ApiError;
use crate::config::AccessSettings;

/// The cookie of a signed-in browser.
pub(super) const COOKIE: &str = "windlass_session";

/// How long a browser stays signed in: a working day, and some.
pub(super) const SESSION: Duration = Duration::from_secs(12 * 3_600);

/// What a host knows that asks for tokens.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: Tokens,
    sessions: Sessions,
    failures: Failures,
    proxy: Option<Proxy>,
}

impl Access {
    pub(crate) fn new(settings: &AccessSettings) -> Self {
        Self {
            tokens: Tokens::new(settings),
            sessions: Sessions::default(),
            failures: Failures::default(),
            proxy: settings.proxy.as_ref().and_then(Proxy::new),
        }
    }

    /// Whom the headers name: nobody, somebody, or an error where they name somebody who is not known.
    pub(super) fn caller(&self, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Option<Caller>, ApiError> {
        let now = SystemClock.now();
        // Before all else: what else such a request shows may be meant for the proxy.
        if let Some(proxy) = &self.proxy
            && let Some(caller) = proxy.caller(headers, from)?
        {
            return Ok(Some(caller));
        }
        // What is no bearer's is for somebody else, such as a proxy that asks for a password of its own.
        let authorization = headers.get(header::AUTHORIZATION).and_then(|authorization| authorization.to_str().ok());
        if let Some(token) = authorization.and_then(bearer) {
            let caller = self.tokens.find(token, now);
            // One that is right is never refused for the wrong ones before it: nobody guesses 256 bits, and whoever is
            // behind the same proxy as an attacker must not be locked out.
            return caller.map(Some).ok_or_else(|| self.wrong_token(from));
        }
        let Some(cookie) = cookie(headers) else { return Ok(None) };
        let name = self.sessions.find(cookie, now);
        Ok(name.and_then(|session| {
            Some(self.tokens.named(&session.name, now)?.until(session.expires_at).by_session(session.end))
        }))
    }

    /// Signs a browser in: gives the cookie's value and who it is now.
    pub(super) fn sign_in(&self, token: &str, from: Option<IpAddr>) -> Result<(String, Caller), ApiError> {
        // A right one is let in however many wrong ones came before: whoever is behind the same proxy may have sent them.
        let now = SystemClock.now();
        let caller = self.tokens.find(token, now).ok_or_else(|| self.wrong_token(from))?;
        let expires_at = now.plus_ms(u64::try_from(SESSION.as_millis()).unwrap_or(u64::MAX));
        let value = self.sessions.begin(caller.name(), expires_at, now).map_err(|error| {
            tracing::error!(%error, "failed to begin a session");
            ApiError::new(ProblemCode::Internal, "this host has no source of random numbers")
        })?;
        Ok((value, caller.until(expires_at)))
    }

    /// Ends the session of a browser.
    pub(super) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            self.sessions.end(cookie);
        }
    }

    fn wrong_token(&self, from: Option<IpAddr>) -> ApiError {
        if !self.failures.note(from) {
            return too_many();
        }
        tracing::warn!(?from, "a request came with a token that is not good here");
        ApiError::new(
            ProblemCode::Unauthenticated,
            "the token is not known to this host, or has expired: make one with `windlass token new`, and put what it \
             prints into the host's windlass.toml",
        )
    }
}

fn too_many() -> ApiError {
    let detail = format!(
        "there were {} wrong tokens from this address within a minute: wait a minute, and check the token",
        failures::MAX_FAILURES
    );
    ApiError::new(ProblemCode::TooManyAttempts, detail)
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Whether an instant has come; nothing never comes.
fn is_over(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|expires_at| expires_at <= now)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
