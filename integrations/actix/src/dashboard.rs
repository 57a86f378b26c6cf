//! The dashboard under a path of the application.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    http::{Method, header},
    web::{self, Payload, ServiceConfig},
};
use windlass::embed::Visitor;
use windlass_web::{InvalidPrefix, Place, Plugin, Prefix};

use crate::{Refused, Windlass, translate};

/// What is below the prefix, among what the routes of scopes have captured.
const BELOW: &str = "windlass_below";

type Asked = Pin<Box<dyn Future<Output = Result<Visitor, Error>>>>;

/// Where the dashboard is, and who may see it.
#[derive(Clone)]
pub(crate) struct Mounted {
    prefix: Prefix,
    auth: Arc<dyn Fn(HttpRequest) -> Asked + Send + Sync>,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Windlass {
    /// Puts the dashboard with the API under a path, such as `/jobs`. `auth` is asked before every request for it: an async function
    /// of the request, which gives the visitor with what they may do there, or the error for whoever is not let in.
    ///
    /// ```
    /// use actix_web::{Error, HttpRequest, error::ErrorForbidden};
    /// use windlass_actix::{Visitor, jobs::api::Role};
    ///
    /// // Only behind a proxy that signs people in, and takes this header off whatever comes from outside: else anybody is Ann.
    /// async fn only_ann(request: HttpRequest) -> Result<Visitor, Error> {
    ///     match request.headers().get("x-forwarded-user") {
    ///         Some(user) if user == "ann" => Ok(Visitor::new("ann", Role::Operator)),
    ///         _ => Err(ErrorForbidden("this is for Ann")),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Where the path is none, or the root.
    pub fn dashboard<A, V, E>(self, prefix: &str, auth: A) -> Result<Self, InvalidPrefix>
    where
        A: Fn(HttpRequest) -> V + Send + Sync + 'static,
        V: Future<Output = Result<Visitor, E>> + 'static,
        E: Into<Error>,
    {
        let prefix = Prefix::new(prefix)?;
        self.plugin.add_dashboard();
        let auth = Arc::new(move |request: HttpRequest| -> Asked {
            let asked = auth(request);
            Box::pin(async move { asked.await.map_err(Into::into) })
        });
        Ok(Self { mounted: Some(Mounted { prefix, auth }), ..self })
    }
}

impl Mounted {
    pub(crate) fn install(&self, plugin: &Plugin, service: &mut ServiceConfig) {
        let prefix = self.prefix.as_str();
        let (plugin, mounted) = (plugin.clone(), self.clone());
        let pass_on = move |request: HttpRequest, payload: Payload| {
            let (plugin, mounted) = (plugin.clone(), mounted.clone());
            async move { pass_on(&plugin, &mounted, request, payload).await }
        };
        service.route(prefix, web::to(pass_on.clone())).route(&format!("{prefix}/{{{BELOW}:.*}}"), web::to(pass_on));
    }
}

async fn pass_on(
    plugin: &Plugin,
    mounted: &Mounted,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    let whole = request.uri().path_and_query().map_or("/", |whole| whole.as_str());
    let Some(rest) = translate::rest(whole, request.match_info().get(BELOW)) else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let below = match mounted.prefix.place(rest) {
        Place::Host(below) => below,
        Place::Lead(location) => {
            return Ok(HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, location)).finish());
        }
    };
    let visitor = (mounted.auth)(request.clone()).await?;
    let Some(asked) = translate::request(&request, &below, payload) else {
        return Ok(HttpResponse::BadRequest().finish());
    };
    let answer = plugin.answer(asked, visitor).await.map_err(Refused::from)?;
    Ok(translate::response(answer, request.method() == Method::HEAD))
}
