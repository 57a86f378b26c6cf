//! What routes answer that could not do what they are for.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use windlass_jobs::{
    ClientError,
    api::{InvalidName, Problem, ProblemCode},
};
use windlass_web::NotHere;

/// A problem document as a route's answer, as a host gives it too: whatever a client refuses becomes one by `?`. What is wrong with
/// a job is said as it is, so that whoever called can mend it; what a storage said goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub Problem);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        // Plain data of the API: it can always be written.
        let body = serde_json::to_string(&self.0).unwrap_or_default();
        HttpResponse::build(self.status_code()).content_type("application/problem+json").body(body)
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
