//! Who calls, as far as a handler has to know.

use std::future::{Future, pending};

use axum::{extract::FromRequestParts, http::request::Parts};
use windlass_api::{ProblemCode, Role, Timestamp};

use super::{super::error::ApiError, SessionEnd};
use crate::embed::Visitor;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Caller {
    role: Role,
    /// Nothing where nobody is asked who they are.
    name: Option<String>,
    by: String,
    expires_at: Option<Timestamp>,
    /// Told where the session ends that they are known by.
    session: Option<SessionEnd>,
}

impl Caller {
    /// Somebody who was not asked.
    pub(in super::super) fn anybody() -> Self {
        Self { role: Role::Admin, name: None, by: "api".to_owned(), expires_at: None, session: None }
    }

    pub(super) fn new(role: Role, name: &str, expires_at: Option<Timestamp>) -> Self {
        Self { role, name: Some(name.to_owned()), by: format!("token {name}"), expires_at, session: None }
    }

    /// Somebody whom a trusted proxy names.
    pub(super) fn from_proxy(role: Role, name: &str) -> Self {
        Self { role, name: Some(name.to_owned()), by: format!("proxy {name}"), expires_at: None, session: None }
    }

    /// Somebody whom the application has let in that this host is a part of.
    pub(in super::super) fn of_application(visitor: &Visitor) -> Self {
        let (role, name) = (visitor.role(), visitor.name().to_owned());
        Self { role, by: format!("user {name}"), name: Some(name), expires_at: None, session: None }
    }

    /// The same, known until then at most.
    pub(super) fn until(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(self.expires_at.map_or(end, |expires_at| expires_at.min(end)));
        self
    }

    /// The same, known by a session.
    pub(super) fn by_session(mut self, end: SessionEnd) -> Self {
        self.session = Some(end);
        self
    }

    /// What they may do.
    pub(in super::super) fn role(&self) -> Role {
        self.role
    }

    /// The name of their token, or theirs as the proxy says it; empty where there is none.
    pub(in super::super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// How they stand in the history of a job: `api`, `token NAME`, `proxy NAME`, or `user NAME` in an application.
    pub(in super::super) fn by(&self) -> &str {
        &self.by
    }

    /// Until when they are known.
    pub(in super::super) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Returns when they are not known any more because their session was ended; where they are not known by one, never.
    pub(in super::super) fn signed_out(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = self.session.clone();
        async move {
            match session {
                Some(end) => end.come().await,
                None => pending().await,
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::new(ProblemCode::Internal, "the request was not looked at before it came here"))
    }
}
