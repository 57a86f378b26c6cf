//! The client as an extractor.

use std::ops::Deref;

use axum::{extract::FromRequestParts, http::request::Parts};
use windlass_web::NotHere;

use crate::{Refused, Windlass};

/// The application's client, as the argument of a route. It does all that a [`windlass_jobs::Client`] does.
#[derive(Clone, Debug)]
pub struct Client(pub windlass_jobs::Client);

impl Deref for Client {
    type Target = windlass_jobs::Client;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let hint = "add `.layer(windlass)` to the router, after its routes";
        let windlass = parts.extensions.get::<Windlass>().ok_or(NotHere::NotInstalled { hint })?;
        Ok(Self(windlass.plugin.usable_client()?.clone()))
    }
}
