//! What routes answer that could not do what they are for.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use windlass_jobs::{
    ClientError,
    api::{InvalidName, Problem, ProblemCode},
};
use windlass_web::NotHere;

/// A problem document as a route's answer, as a host gives it too: whatever a client refuses becomes one by `?`. What is wrong with
/// a job is said as it is, so that whoever called can mend it; what a storage said goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Self {
        Self(windlass_web::problem(&error))
    }
}

impl From<NotHere> for Refused {
    fn from(error: NotHere) -> Self {
        Self(error.problem())
    }
}

impl From<InvalidName> for Refused {
    fn from(error: InvalidName) -> Self {
        Self(Problem::new(ProblemCode::InvalidField, error.to_string()))
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self(Problem::new(ProblemCode::Internal, format!("the payload cannot be written as JSON: {error}")))
    }
}
