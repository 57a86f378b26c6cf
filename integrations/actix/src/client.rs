//! The client as an extractor.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
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

impl FromRequest for Client {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(of(request))
    }
}

fn of(request: &HttpRequest) -> Result<Client, Refused> {
    let hint = "add `.configure(windlass.install())` to the `App`";
    let windlass = request.app_data::<Windlass>().ok_or(NotHere::NotInstalled { hint })?;
    Ok(Client(windlass.plugin.usable_client()?.clone()))
}
