//! The dashboard under a path of the application.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use windlass::embed::Visitor;
use windlass_web::{InvalidPrefix, Place, Plugin, Prefix};

use crate::{Refused, Windlass};

type Asked = Pin<Box<dyn Future<Output = Result<Visitor, Response>> + Send>>;

/// Where the dashboard is, and who may see it.
#[derive(Clone)]
pub(crate) struct Mounted {
    prefix: Prefix,
    auth: Arc<dyn Fn(Parts) -> Asked + Send + Sync>,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Windlass {
    /// Puts the dashboard with the API under a path, such as `/jobs`, where [`Self::routes`] are. `auth` is asked before every
    /// request for it: an async function of what is known of the request, which gives the visitor with what they may do there, or
    /// the answer for whoever is not let in.
    ///
    /// ```
    /// use axum::http::{StatusCode, header, request::Parts};
    /// use windlass_axum::{Visitor, jobs::api::Role};
    ///
    /// // Only behind a proxy that signs people in, and takes this header off whatever comes from outside: else anybody is Ann.
    /// async fn only_ann(request: Parts) -> Result<Visitor, StatusCode> {
    ///     match request.headers.get("x-forwarded-user") {
    ///         Some(user) if user == "ann" => Ok(Visitor::new("ann", Role::Operator)),
    ///         _ => Err(StatusCode::FORBIDDEN),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Where the path is none, or the root.
    pub fn dashboard<A, V, R>(self, prefix: &str, auth: A) -> Result<Self, InvalidPrefix>
    where
        A: Fn(Parts) -> V + Send + Sync + 'static,
        V: Future<Output = Result<Visitor, R>> + Send + 'static,
        R: IntoResponse,
    {
        let prefix = Prefix::new(prefix)?;
        self.plugin.add_dashboard();
        let auth = Arc::new(move |request: Parts| -> Asked {
            let asked = auth(request);
            Box::pin(async move { asked.await.map_err(IntoResponse::into_response) })
        });
        Ok(Self { mounted: Some(Mounted { prefix, auth }), ..self })
    }

    /// The routes of the dashboard, to be merged into the application's, or nested in them; none where there is no dashboard.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let Some(mounted) = self.mounted.clone() else { return Router::new() };
        let prefix = mounted.prefix.as_str().to_owned();
        let plugin = self.plugin.clone();
        let pass_on = move |request: Request| {
            let (plugin, mounted) = (plugin.clone(), mounted.clone());
            async move { pass_on(&plugin, &mounted, request).await }
        };
        Router::new()
            .route(&prefix, any(pass_on.clone()))
            .route(&format!("{prefix}/"), any(pass_on.clone()))
            .route(&format!("{prefix}/{{*path}}"), any(pass_on))
    }
}

async fn pass_on(plugin: &Plugin, mounted: &Mounted, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().map_or("/", |whole| whole.as_str());
    let below = match mounted.prefix.rest(whole).map(|rest| mounted.prefix.place(rest)) {
        Some(Place::Host(below)) => below.parse::<Uri>(),
        Some(Place::Lead(location)) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
        }
        None => return StatusCode::NOT_FOUND.into_response(),
    };
    let Ok(below) = below else { return StatusCode::BAD_REQUEST.into_response() };
    let visitor = match (mounted.auth)(parts.clone()).await {
        Ok(visitor) => visitor,
        Err(answer) => return answer,
    };
    // HTTP/2 names the host in its own way, and the host's check for other web sites looks here.
    if let (None, Some(authority)) = (parts.headers.get(header::HOST), parts.uri.authority())
        && let Ok(named) = authority.as_str().parse()
    {
        parts.headers.insert(header::HOST, named);
    }
    parts.uri = below;
    match plugin.answer(Request::<Body>::from_parts(parts, body), visitor).await {
        Ok(response) => response,
        Err(error) => Refused::from(error).into_response(),
    }
}
